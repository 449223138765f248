/*
 * fetch.h - carry out a plan: RETR, batches, DELE, through one pipeline.
 */
#pragma once

#include "base.h"
#include "config.h"
#include "delivery.h"
#include "error.h"
#include "notes.h"
#include "plan.h"
#include "pop3.h"
#include "report.h"
#include "uplink.h"

struct fetch_job {
	const struct account *account; /* all borrowed */
	const struct plan *plan;
	struct pop3 *pop3;
	struct delivery *delivery;
	struct uplink *uplink;
	struct notes *notes;
	uint64_t deadline_usec; /* CLOCK_MONOTONIC: looked at between messages */
};

/*
 * Retrieves, delivers and deletes until the plan is done, the worker is told
 * to stop, or the deadline passes. Whatever the end, what is complete has been
 * published and recorded when this returns, and, unless the stream broke, no
 * reply is due, so that QUIT can follow, unless QUIT has gone with the last
 * DELEs and its reply is the only one due. Fills in the counts, the step and
 * "stopped" of report, also on failure.
 */
int fetch_run(const struct fetch_job *job, struct report *report,
	      struct error *err) _must_check_;
