/*
 * status.h - what "systemctl status" shows: one line, at most once a second.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base.h"
#include "roster.h"

struct status {
	sd_event *event;	     /* borrowed; NULL: nobody is told */
	const struct roster *roster; /* borrowed */
	sd_event_source *timer;
	uint64_t sent_usec;	     /* CLOCK_MONOTONIC */
	bool is_reload_refused;	     /* the file is not what is in force */
};

void status_done(struct status *status);

/* At once. state is "" or another assignment with its newline: "READY=1\n". */
void status_send(struct status *status, const char *state);

/* Soon: the last change always gets through. */
void status_changed(struct status *status);
