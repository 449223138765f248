/*
 * dispatch.h - who is visited when: timers, slots, and the visits under way.
 *
 * Holds the configuration in force and one entry per account of it. Starts
 * workers, reads their reports before their exit is handled, ends what is
 * past its deadline, and plans the next visit. Leaves the loop (sd_event_exit)
 * when it was told to stop, or is in a --once, and nothing is left to do.
 */
#pragma once

#include <sys/queue.h>

#include <systemd/sd-event.h>

#include "base.h"
#include "config.h"
#include "error.h"
#include "roster.h"
#include "status.h"
#include "visit.h"

struct worker_resources;

struct dispatch_options {
	const char *state_root; /* as worker_job's; borrowed */
	bool once;		/* no next time */
	enum purpose purpose;	/* of every visit */
	char *const *only;	/* account names; borrowed */
	size_t n_only;		/* 0: all */
};

struct dispatch {
	struct dispatch_options options;
	struct config *config; /* in force; NULL before the first adopt */
	struct roster roster;
	struct worker_resources *resources;
	sd_event *event;	 /* borrowed */
	struct status *status;	 /* borrowed */
	TAILQ_HEAD(, visit) visits;
	bool is_stopping;
	enum error_kind worst; /* of all visits but the first of an "again" */
};

/* dispatch_done is due also after a failure. */
int dispatch_init(struct dispatch *dispatch,
		  const struct dispatch_options *options, sd_event *event,
		  struct status *status, struct error *err) _must_check_;
void dispatch_done(struct dispatch *dispatch);

/*
 * Puts a configuration in force and takes the reference, also on failure,
 * when the old one stays. Visits of accounts that are gone are told to stop,
 * all others end as they began.
 */
int dispatch_adopt(struct dispatch *dispatch, struct config *config,
		   struct error *err) _must_check_;

/* Sets the timers of accounts that adopt found new, changed or without hope. */
void dispatch_arm(struct dispatch *dispatch);

/* Starts what is due, under both bounds. */
void dispatch_fill(struct dispatch *dispatch);

/* Everything is due now. */
void dispatch_all_now(struct dispatch *dispatch, bool is_asked_for);

/* No new visits; those under way are told. Returns how long that may last. */
uint64_t dispatch_stop(struct dispatch *dispatch);
