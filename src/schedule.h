/*
 * schedule.h - when is an account due next, given how the last visit ended.
 *
 * Pure: the time and the randomness are parameters. DESIGN section 5's table.
 */
#pragma once

#include "base.h"
#include "error.h"

struct schedule {
	enum error_kind last_kind; /* of the last visit */
	unsigned failures;	   /* visits in a row that ended so */
	uint64_t
		beat_usec; /* when the visit to come was meant to begin; 0: none */
	bool is_early;      /* it begins before that, and the beat stands */
};

struct schedule_outcome {
	enum error_kind kind;
	uint32_t retry_sec; /* the pause that was asked for; 0: none */
	uint64_t interval_usec;
};

/* Never: a CONFIG error waits for the next reload. */
#define SCHEDULE_NEVER UINT64_MAX

/*
 * Takes the outcome into the schedule and returns the time until the next
 * visit. random is any 32-bit value: success varies by up to a tenth, a
 * back-off by a quarter. The delay is never below retry_sec.
 */
uint64_t schedule_next(struct schedule *schedule,
		       const struct schedule_outcome *outcome, uint32_t random);

/*
 * As schedule_next, but a point in time on the clock of now_usec, or
 * SCHEDULE_NEVER. After a success it is counted from the beat and not from
 * the end of the visit, and the jitter does not add up: an interval of 10 s
 * makes six visits a minute, however long they last. An early visit is followed
 * by the one at its beat; beats less than a tenth of the interval after now, or
 * missed, are left out.
 */
uint64_t schedule_due(struct schedule *schedule,
		      const struct schedule_outcome *outcome, uint64_t now_usec,
		      uint32_t random);

/*
 * The first visit of all, on the clock of now_usec, one of n_accounts: within
 * a minute, or 30 ms for each account, so that a start is no rush; or within
 * the interval where that is less. The beat is anywhere in the interval: from
 * the second visit on accounts come evenly.
 */
uint64_t schedule_first(struct schedule *schedule, uint64_t interval_usec,
			size_t n_accounts, uint64_t now_usec, uint32_t random);

/* The visit to come begins now: somebody asked for it. */
void schedule_hasten(struct schedule *schedule, uint64_t now_usec);

/* AUTH: 15 min doubling to 6 h, by the number of refusals in a row (1..). */
uint64_t schedule_refusal_usec(unsigned refusals);
