/*
 * test-schedule.c - when is an account due next.
 *
 * The random number is a parameter: 0, the middle and the top give the least,
 * the nominal and (but for one part in 2^32) the largest delay.
 */
#include <check.h>
#include <string.h>

#include "schedule.h"

#define LOW        UINT32_C(0)
#define MIDDLE     UINT32_C(0x80000000)
#define HIGH       UINT32_MAX

#define MINUTES(n) ((n)*USEC_PER_MINUTE)
#define INTERVAL   MINUTES(5)

static struct schedule_outcome outcome_of(enum error_kind kind,
					  uint32_t retry_sec)
{
	return (struct schedule_outcome){ .kind = kind,
					  .retry_sec = retry_sec,
					  .interval_usec = INTERVAL };
}

static const struct {
	const char *name;
	enum error_kind kind;
	uint64_t minutes[8]; /* nominal, visit after visit */
} table[] = {
	{ "success comes at the interval",
	  ERROR_NONE,
	  { 5, 5, 5, 5, 5, 5, 5, 5 } },
	{ "busy comes back soon", ERROR_BUSY, { 1, 2, 5, 15, 15, 15, 15, 15 } },
	{ "network doubles to an hour",
	  ERROR_NETWORK,
	  { 1, 2, 4, 8, 16, 32, 60, 60 } },
	{ "protocol is as network",
	  ERROR_PROTOCOL,
	  { 1, 2, 4, 8, 16, 32, 60, 60 } },
	{ "auth doubles to six hours",
	  ERROR_AUTH,
	  { 15, 30, 60, 120, 240, 360, 360, 360 } },
	{ "local doubles to a quarter of an hour",
	  ERROR_LOCAL,
	  { 1, 2, 4, 8, 15, 15, 15, 15 } },
};

START_TEST(test_table)
{
	struct schedule schedule = { 0 };
	const struct schedule_outcome outcome = outcome_of(table[_i].kind, 0);

	for (unsigned i = 0; i < ARRAY_SIZE(table[_i].minutes); i++) {
		uint64_t delay = schedule_next(&schedule, &outcome, MIDDLE);

		ck_assert_msg(delay == MINUTES(table[_i].minutes[i]),
			      "%s: visit %u waits %llu", table[_i].name, i + 1,
			      (unsigned long long)delay);
		ck_assert_int_eq(schedule.last_kind, table[_i].kind);
		ck_assert_uint_eq(schedule.failures,
				  table[_i].kind == ERROR_NONE ? 0 : i + 1);
	}
}
END_TEST

START_TEST(test_jitter_is_a_tenth_or_a_quarter)
{
	const struct schedule_outcome outcome = outcome_of(table[_i].kind, 0);
	uint64_t nominal = MINUTES(table[_i].minutes[0]);
	uint64_t part = nominal / (outcome.kind == ERROR_NONE ? 10 : 4);
	struct schedule low = { 0 };
	struct schedule high = { 0 };
	uint64_t most;

	ck_assert_uint_eq(schedule_next(&low, &outcome, LOW), nominal - part);
	most = schedule_next(&high, &outcome, HIGH);
	ck_assert_uint_le(most, nominal + part);
	ck_assert_uint_ge(most, nominal + part - 1);
}
END_TEST

START_TEST(test_config_waits_for_the_reload)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_CONFIG, 60);
	struct schedule schedule = { 0 };

	ck_assert_uint_eq(schedule_next(&schedule, &outcome, MIDDLE),
			  SCHEDULE_NEVER);
	ck_assert_uint_eq(schedule_due(&schedule, &outcome, 1, MIDDLE),
			  SCHEDULE_NEVER);
	ck_assert_uint_eq(schedule.failures, 2);
}
END_TEST

START_TEST(test_another_kind_starts_anew)
{
	const struct schedule_outcome network = outcome_of(ERROR_NETWORK, 0);
	const struct schedule_outcome protocol = outcome_of(ERROR_PROTOCOL, 0);
	struct schedule schedule = { 0 };

	(void)schedule_next(&schedule, &network, MIDDLE);
	(void)schedule_next(&schedule, &network, MIDDLE);
	ck_assert_uint_eq(schedule.failures, 2);
	ck_assert_uint_eq(schedule_next(&schedule, &protocol, MIDDLE),
			  MINUTES(1));
	ck_assert_uint_eq(schedule.failures, 1);
	ck_assert_uint_eq(schedule_next(&schedule, &network, MIDDLE),
			  MINUTES(1));
}
END_TEST

START_TEST(test_success_forgets_the_failures)
{
	const struct schedule_outcome network = outcome_of(ERROR_NETWORK, 0);
	const struct schedule_outcome good = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { 0 };

	for (int i = 0; i < 5; i++)
		(void)schedule_next(&schedule, &network, MIDDLE);
	ck_assert_uint_eq(schedule_next(&schedule, &good, MIDDLE), INTERVAL);
	ck_assert_uint_eq(schedule.failures, 0);
	ck_assert_uint_eq(schedule_next(&schedule, &network, MIDDLE),
			  MINUTES(1));
}
END_TEST

START_TEST(test_count_of_failures_does_not_wrap)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NETWORK, 0);
	struct schedule schedule = { .last_kind = ERROR_NETWORK,
				     .failures = UINT32_MAX };

	ck_assert_uint_eq(schedule_next(&schedule, &outcome, MIDDLE),
			  MINUTES(60));
	ck_assert_uint_eq(schedule.failures, UINT32_MAX);
}
END_TEST

static const struct {
	const char *name;
	enum error_kind kind;
	uint32_t retry_sec;
	uint64_t least_usec; /* with the lowest random number */
	uint64_t most_usec;  /* with the highest */
} retry_cases[] = {
	{ "a busy server's pause replaces the table", ERROR_BUSY, 4,
	  4 * USEC_PER_SEC, 5 * USEC_PER_SEC },
	{ "a long pause is exceeded by a minute", ERROR_BUSY, 3600, MINUTES(60),
	  MINUTES(61) },
	{ "the journal's pause replaces the table", ERROR_AUTH, 120, MINUTES(2),
	  MINUTES(2) + 30 * USEC_PER_SEC },
	{ "a longer pause delays a retry", ERROR_NETWORK, 600, MINUTES(10),
	  MINUTES(10) },
	{ "a shorter one does not hasten it", ERROR_NETWORK, 1,
	  45 * USEC_PER_SEC, 75 * USEC_PER_SEC },
	{ "a success may ask for a pause too", ERROR_NONE, 3600, MINUTES(60),
	  MINUTES(60) },
};

START_TEST(test_pause_that_was_asked_for)
{
	const struct schedule_outcome outcome =
		outcome_of(retry_cases[_i].kind, retry_cases[_i].retry_sec);
	struct schedule schedule = { 0 };
	uint64_t least;
	uint64_t most;

	least = schedule_next(&schedule, &outcome, LOW);
	schedule = (struct schedule){ 0 };
	most = schedule_next(&schedule, &outcome, HIGH);
	ck_assert_msg(least == retry_cases[_i].least_usec, "%s: least %llu",
		      retry_cases[_i].name, (unsigned long long)least);
	ck_assert_msg(most <= retry_cases[_i].most_usec &&
			      most + 1 >= retry_cases[_i].most_usec,
		      "%s: most %llu", retry_cases[_i].name,
		      (unsigned long long)most);
}
END_TEST

START_TEST(test_no_interval_is_still_a_second)
{
	const struct schedule_outcome outcome = { .kind = ERROR_NONE };
	struct schedule schedule = { 0 };

	ck_assert_uint_eq(schedule_next(&schedule, &outcome, LOW),
			  USEC_PER_SEC);
	ck_assert_uint_gt(schedule_due(&schedule, &outcome, USEC_PER_HOUR, LOW),
			  USEC_PER_HOUR);
}
END_TEST

#define START UINT64_C(1000000000)

/* Each visit takes two minutes: with an interval of five it must not show. */
START_TEST(test_visits_keep_the_beat_however_long_they_last)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { .beat_usec = START };
	static const uint32_t randoms[] = { LOW, HIGH, HIGH, LOW, HIGH, HIGH };
	uint64_t due = START;

	for (unsigned i = 1; i <= ARRAY_SIZE(randoms); i++) {
		uint64_t nominal = START + i * INTERVAL;

		due = schedule_due(&schedule, &outcome, due + MINUTES(2),
				   randoms[i - 1]);
		ck_assert_uint_ge(due, nominal - INTERVAL / 10);
		ck_assert_uint_le(due, nominal + INTERVAL / 10);
	}
}
END_TEST

START_TEST(test_beats_in_a_visit_longer_than_the_interval_are_left_out)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { .beat_usec = START };
	uint64_t end = START + 3 * INTERVAL + MINUTES(1);
	uint64_t due = schedule_due(&schedule, &outcome, end, MIDDLE);

	ck_assert_uint_eq(due, START + 4 * INTERVAL);
	due = schedule_due(&schedule, &outcome, due + 1, MIDDLE);
	ck_assert_uint_eq(due, START + 5 * INTERVAL);
}
END_TEST

START_TEST(test_beat_right_behind_a_long_visit_is_left_out)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { .beat_usec = START };
	uint64_t end = START + INTERVAL - INTERVAL / 10 + 1;

	ck_assert_uint_eq(schedule_due(&schedule, &outcome, end, MIDDLE),
			  START + 2 * INTERVAL);
	schedule = (struct schedule){ .beat_usec = START };
	ck_assert_uint_eq(schedule_due(&schedule, &outcome, end - 1, MIDDLE),
			  START + INTERVAL);
}
END_TEST

START_TEST(test_back_off_counts_from_the_end_of_the_visit)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NETWORK, 0);
	struct schedule schedule = { .beat_usec = START };
	uint64_t end = START + MINUTES(4);

	ck_assert_uint_eq(schedule_due(&schedule, &outcome, end, MIDDLE),
			  end + MINUTES(1));
	ck_assert_uint_eq(schedule.beat_usec, end + MINUTES(1));
}
END_TEST

START_TEST(test_pause_counts_from_the_end_of_the_visit)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 3600);
	struct schedule schedule = { .beat_usec = START };
	uint64_t end = START + MINUTES(4);

	ck_assert_uint_eq(schedule_due(&schedule, &outcome, end, MIDDLE),
			  end + MINUTES(60));
}
END_TEST

static const struct {
	const char *name;
	uint64_t interval_usec;
	size_t n_accounts;
	uint32_t random;
	uint64_t delay_usec;
} first_cases[] = {
	{ "the first of few comes at once", INTERVAL, 3, LOW, 0 },
	{ "half of few come in half a minute", INTERVAL, 3, MIDDLE,
	  30 * USEC_PER_SEC },
	{ "a short interval is not exceeded", 10 * USEC_PER_SEC, 3, MIDDLE,
	  5 * USEC_PER_SEC },
	{ "half of 4,000 come in a minute", INTERVAL, 4000, MIDDLE,
	  USEC_PER_MINUTE },
	{ "half of 10,000 come in half the interval", INTERVAL, 10000, MIDDLE,
	  INTERVAL / 2 },
	{ "even of a million", INTERVAL, 1000000, MIDDLE, INTERVAL / 2 },
};

START_TEST(test_first_visit_comes_soon)
{
	struct schedule schedule;

	ck_assert_msg(schedule_first(&schedule, first_cases[_i].interval_usec,
				     first_cases[_i].n_accounts, START,
				     first_cases[_i].random) ==
			      START + first_cases[_i].delay_usec,
		      "%s", first_cases[_i].name);
}
END_TEST

#define N_SLOTS 10

/* Ten thousand accounts, started together: the interval's tenths have as many. */
START_TEST(test_visits_after_the_first_are_spread_over_the_interval)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	/* All are late once, as when the machine was asleep. */
	const uint64_t wake = START + 10 * INTERVAL;
	unsigned visits[N_SLOTS] = { 0 };

	for (uint32_t i = 0; i < 10000; i++) {
		struct schedule schedule;
		uint32_t random =
			i * UINT32_C(2654435769); /* evenly, but out of order */
		uint64_t due =
			schedule_first(&schedule, INTERVAL, 3, START, random);

		due = schedule_due(&schedule, &outcome, due,
				   random * UINT32_C(40503));
		due = schedule_due(&schedule, &outcome, MAX(due, wake),
				   random * UINT32_C(30011));
		visits[(due - START) % INTERVAL * N_SLOTS / INTERVAL]++;
	}
	for (unsigned i = 0; i < N_SLOTS; i++) {
		ck_assert_uint_ge(visits[i], 800);
		ck_assert_uint_le(visits[i], 1200);
	}
}
END_TEST

START_TEST(test_second_visit_comes_at_the_beat)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule;
	uint64_t end =
		schedule_first(&schedule, INTERVAL, 3, START, MIDDLE) + 1;

	ck_assert_uint_eq(schedule_due(&schedule, &outcome, end, MIDDLE),
			  START + INTERVAL / 2);
	ck_assert_uint_eq(schedule_due(&schedule, &outcome,
				       START + INTERVAL / 2 + 1, MIDDLE),
			  START + INTERVAL + INTERVAL / 2);
}
END_TEST

START_TEST(test_beat_too_near_the_first_visit_is_left_out)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule;
	uint64_t end = schedule_first(&schedule, INTERVAL, 3, START, LOW) + 1;

	ck_assert_uint_eq(schedule_due(&schedule, &outcome, end, MIDDLE),
			  START + INTERVAL);
}
END_TEST

START_TEST(test_visit_that_is_asked_for_leaves_the_beat_alone)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { .beat_usec = START + MINUTES(2) };

	schedule_hasten(&schedule, START);
	ck_assert_uint_eq(schedule_due(&schedule, &outcome, START + 1, MIDDLE),
			  START + MINUTES(2));
	ck_assert_uint_eq(schedule_due(&schedule, &outcome,
				       START + MINUTES(2) + 1, MIDDLE),
			  START + MINUTES(2) + INTERVAL);
}
END_TEST

START_TEST(test_asking_for_what_is_late_leaves_the_beat_alone)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { .beat_usec = START - MINUTES(2) };

	schedule_hasten(&schedule, START);
	ck_assert_uint_eq(schedule_due(&schedule, &outcome, START + 1, MIDDLE),
			  START + MINUTES(3));
}
END_TEST

START_TEST(test_asking_before_there_is_a_beat_begins_it)
{
	const struct schedule_outcome outcome = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { 0 };

	schedule_hasten(&schedule, START);
	ck_assert_uint_eq(schedule_due(&schedule, &outcome, START + 1, MIDDLE),
			  START + INTERVAL);
}
END_TEST

START_TEST(test_failure_of_an_early_visit_starts_a_new_beat)
{
	const struct schedule_outcome network = outcome_of(ERROR_NETWORK, 0);
	const struct schedule_outcome good = outcome_of(ERROR_NONE, 0);
	struct schedule schedule = { .beat_usec = START + MINUTES(4) };
	uint64_t due;

	schedule_hasten(&schedule, START);
	due = schedule_due(&schedule, &network, START, MIDDLE);
	ck_assert_uint_eq(due, START + MINUTES(1));
	ck_assert_uint_eq(schedule_due(&schedule, &good, due + 1, MIDDLE),
			  due + INTERVAL);
}
END_TEST

START_TEST(test_refusals)
{
	ck_assert_uint_eq(schedule_refusal_usec(0), MINUTES(15));
	ck_assert_uint_eq(schedule_refusal_usec(1), MINUTES(15));
	ck_assert_uint_eq(schedule_refusal_usec(2), MINUTES(30));
	ck_assert_uint_eq(schedule_refusal_usec(6), MINUTES(360));
	ck_assert_uint_eq(schedule_refusal_usec(UINT32_MAX), MINUTES(360));
}
END_TEST

static Suite *schedule_suite(void)
{
	Suite *suite = suite_create("schedule");
	TCase *tcase = tcase_create("schedule");

	tcase_add_loop_test(tcase, test_table, 0, ARRAY_SIZE(table));
	tcase_add_loop_test(tcase, test_jitter_is_a_tenth_or_a_quarter, 0,
			    ARRAY_SIZE(table));
	tcase_add_test(tcase, test_config_waits_for_the_reload);
	tcase_add_test(tcase, test_another_kind_starts_anew);
	tcase_add_test(tcase, test_success_forgets_the_failures);
	tcase_add_test(tcase, test_count_of_failures_does_not_wrap);
	tcase_add_loop_test(tcase, test_pause_that_was_asked_for, 0,
			    ARRAY_SIZE(retry_cases));
	tcase_add_test(tcase, test_no_interval_is_still_a_second);
	tcase_add_test(tcase, test_visits_keep_the_beat_however_long_they_last);
	tcase_add_test(
		tcase,
		test_beats_in_a_visit_longer_than_the_interval_are_left_out);
	tcase_add_test(tcase, test_beat_right_behind_a_long_visit_is_left_out);
	tcase_add_test(tcase, test_back_off_counts_from_the_end_of_the_visit);
	tcase_add_test(tcase, test_pause_counts_from_the_end_of_the_visit);
	tcase_add_loop_test(tcase, test_first_visit_comes_soon, 0,
			    ARRAY_SIZE(first_cases));
	tcase_add_test(
		tcase,
		test_visits_after_the_first_are_spread_over_the_interval);
	tcase_add_test(tcase, test_second_visit_comes_at_the_beat);
	tcase_add_test(tcase, test_beat_too_near_the_first_visit_is_left_out);
	tcase_add_test(tcase,
		       test_visit_that_is_asked_for_leaves_the_beat_alone);
	tcase_add_test(tcase,
		       test_asking_for_what_is_late_leaves_the_beat_alone);
	tcase_add_test(tcase, test_asking_before_there_is_a_beat_begins_it);
	tcase_add_test(tcase, test_failure_of_an_early_visit_starts_a_new_beat);
	tcase_add_test(tcase, test_refusals);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(schedule_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
