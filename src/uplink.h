/*
 * uplink.h - the worker's end of the job socket.
 *
 * Sending never fails the visit: when the supervisor is gone, the worker is
 * about to be told so by a signal.
 */
#pragma once

#include "base.h"
#include "report.h"

struct uplink {
	int fd; /* borrowed */
	uint64_t last_progress_usec;
};

void uplink_log(struct uplink *uplink, int priority, const char *text);

/* At most one a second; the rest is dropped. Tells the supervisor that we live. */
void uplink_progress(struct uplink *uplink, uint32_t messages_done,
		     uint32_t messages_planned, uint64_t bytes_done);

/* The last message. */
void uplink_report(struct uplink *uplink, const struct report *report);
