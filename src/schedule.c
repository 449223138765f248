/*
 * schedule.c - DESIGN section 5 as numbers. Pure.
 */
#include "schedule.h"

/* An interval of nothing would keep a server and the loop busy. */
#define LEAST_DELAY_USEC USEC_PER_SEC

/* A pause that was asked for is exceeded a little, never undercut. */
#define ASKED_SPREAD_MAX_USEC USEC_PER_MINUTE

/* The first visits of all accounts take so long, and of many so long each. */
#define FIRST_SPREAD_USEC USEC_PER_MINUTE
#define FIRST_EACH_USEC   (30 * USEC_PER_MSEC)

/* random as a fraction of 2^32, of span. Exact enough below 2^32 s. */
static uint64_t share(uint64_t span, uint32_t random)
{
	return (span >> 32) * random + (((span & UINT32_MAX) * random) >> 32);
}

/* base less an nth part, up to base and an nth part. */
static uint64_t vary(uint64_t base, uint64_t nth, uint32_t random)
{
	return base - base / nth + share(2 * (base / nth), random);
}

/* first, doubled for each failure after the first one, up to most. */
static uint64_t doubling(uint64_t first, uint64_t most, unsigned failures)
{
	uint64_t delay = first;

	for (unsigned i = 1; i < failures && delay < most; i++)
		delay *= 2;
	return MIN(delay, most);
}

uint64_t schedule_refusal_usec(unsigned refusals)
{
	return doubling(15 * USEC_PER_MINUTE, 6 * USEC_PER_HOUR, refusals);
}

static uint64_t busy_usec(unsigned failures)
{
	static const uint64_t minutes[] = { 1, 2, 5, 15 };
	size_t i = MIN((size_t)failures, ARRAY_SIZE(minutes)) - 1;

	return minutes[i] * USEC_PER_MINUTE;
}

static uint64_t back_off_usec(const struct schedule *schedule)
{
	switch (schedule->last_kind) {
	case ERROR_BUSY:
		return busy_usec(schedule->failures);
	case ERROR_AUTH:
		return schedule_refusal_usec(schedule->failures);
	case ERROR_LOCAL:
		return doubling(USEC_PER_MINUTE, 15 * USEC_PER_MINUTE,
				schedule->failures);
	case ERROR_NETWORK:
	case ERROR_PROTOCOL:
		return doubling(USEC_PER_MINUTE, USEC_PER_HOUR,
				schedule->failures);
	case ERROR_NONE:
	case ERROR_CONFIG:
		break;
	}
	return SCHEDULE_NEVER;
}

static void count_outcome(struct schedule *schedule, enum error_kind kind)
{
	if (kind == ERROR_NONE)
		schedule->failures = 0;
	else if (kind != schedule->last_kind)
		schedule->failures = 1;
	else if (schedule->failures < UINT32_MAX)
		schedule->failures++;
	schedule->last_kind = kind;
}

/* The server and the journal's memory of refusals know best. */
static bool is_asked_pause(const struct schedule_outcome *outcome)
{
	return outcome->retry_sec != 0 &&
	       (outcome->kind == ERROR_BUSY || outcome->kind == ERROR_AUTH);
}

uint64_t schedule_next(struct schedule *schedule,
		       const struct schedule_outcome *outcome, uint32_t random)
{
	uint64_t asked = outcome->retry_sec * USEC_PER_SEC;
	uint64_t delay;

	count_outcome(schedule, outcome->kind);
	if (outcome->kind == ERROR_CONFIG)
		return SCHEDULE_NEVER;
	if (is_asked_pause(outcome))
		return asked +
		       share(MIN(asked / 4, ASKED_SPREAD_MAX_USEC), random);

	if (outcome->kind == ERROR_NONE)
		delay = vary(outcome->interval_usec, 10, random);
	else
		delay = vary(back_off_usec(schedule), 4, random);
	return MAX(MAX(delay, asked), LEAST_DELAY_USEC);
}

/*
 * The delay is the interval, more or less. Beats that were missed, since the
 * visit was long or late, are left out: that all are late at once must not put
 * all on one beat.
 */
static uint64_t due_by_beat(struct schedule *schedule, uint64_t delay,
			    uint64_t interval_usec, uint64_t now_usec)
{
	uint64_t least = now_usec + MAX(interval_usec / 10, LEAST_DELAY_USEC);
	uint64_t due = schedule->beat_usec + delay;

	if (schedule->is_early)
		due -= interval_usec;
	else
		schedule->beat_usec += interval_usec;
	schedule->is_early = false;

	if (due < least) {
		uint64_t missed =
			((least - due) / interval_usec + 1) * interval_usec;

		schedule->beat_usec += missed;
		due += missed;
	}
	return due;
}

uint64_t schedule_due(struct schedule *schedule,
		      const struct schedule_outcome *outcome, uint64_t now_usec,
		      uint32_t random)
{
	uint64_t delay = schedule_next(schedule, outcome, random);

	if (delay == SCHEDULE_NEVER)
		return SCHEDULE_NEVER;
	if (outcome->kind == ERROR_NONE && outcome->retry_sec == 0)
		return due_by_beat(
			schedule, delay,
			MAX(outcome->interval_usec, LEAST_DELAY_USEC),
			now_usec);

	schedule->is_early = false;
	schedule->beat_usec = now_usec + delay;
	return schedule->beat_usec;
}

uint64_t schedule_first(struct schedule *schedule, uint64_t interval_usec,
			size_t n_accounts, uint64_t now_usec, uint32_t random)
{
	uint64_t spread = MAX(FIRST_SPREAD_USEC, n_accounts * FIRST_EACH_USEC);

	*schedule = (struct schedule){
		.beat_usec = now_usec + share(interval_usec, random),
		.is_early = true,
	};
	return now_usec + share(MIN(interval_usec, spread), random);
}

void schedule_hasten(struct schedule *schedule, uint64_t now_usec)
{
	if (schedule->beat_usec == 0)
		schedule->beat_usec = now_usec;
	schedule->is_early = schedule->beat_usec > now_usec;
}
