/*
 * test-known.c - which row a message is, told by its contents.
 */
#include "known.h"

#include <check.h>
#include <string.h>

static struct bytes as_bytes(const char *text)
{
	return (struct bytes){ text, strlen(text) };
}

static void fill(uint8_t digest[DIGEST_SIZE], uint8_t filling)
{
	memset(digest, filling, DIGEST_SIZE);
}

static void add(struct known *known, int64_t id, const char *uid,
		uint8_t filling, bool has_own_uid_only, bool is_absent)
{
	struct known_row row = {
		.id = id,
		.uid = as_bytes(uid),
		.has_own_uid_only = has_own_uid_only,
		.is_absent = is_absent,
	};
	struct error err = { 0 };

	fill(row.digest, filling);
	ck_assert_int_eq(known_add(known, &row, &err), 0);
}

/* 0: none. */
static int64_t take(struct known *known, const char *uid, uint8_t filling)
{
	uint8_t digest[DIGEST_SIZE];
	int64_t id = 99;

	fill(digest, filling);
	if (!known_take(known, as_bytes(uid), digest, &id)) {
		ck_assert_int_eq(id, 99);
		return 0;
	}
	return id;
}

static struct known *make(void)
{
	struct error err = { 0 };
	struct known *known = NULL;

	ck_assert_int_eq(known_new(&known, &err), 0);
	return known;
}

START_TEST(contents_decide_and_each_row_is_taken_once)
{
	struct known *known = make();

	ck_assert_int_eq(take(known, "a", 1), 0);
	add(known, 1, "a", 7, false, false);
	add(known, 2, "b", 8, false, false);
	add(known, 3, "a", 7, false, false);
	ck_assert_int_eq(take(known, "a", 9), 0);
	ck_assert_int_eq(take(known, "a", 7), 1);
	ck_assert_int_eq(take(known, "a", 7), 3);
	ck_assert_int_eq(take(known, "a", 7), 0);
	ck_assert_int_eq(take(known, "b", 8), 2);
	ck_assert_uint_eq(known_count_renamed(known), 0);
	known_free(&known);
	ck_assert_ptr_null(known);
	known_free(&known);
}
END_TEST

START_TEST(a_row_of_the_same_uid_goes_before_one_of_another)
{
	struct known *known = make();

	add(known, 1, "a", 7, false, false);
	add(known, 2, "b", 7, false, false);
	add(known, 3, "", 7, false, false);
	ck_assert_int_eq(take(known, "b", 7), 2);
	ck_assert_int_eq(take(known, "", 7), 3);
	ck_assert_uint_eq(known_count_renamed(known), 0);
	ck_assert_int_eq(take(known, "new", 7), 1);
	ck_assert_uint_eq(known_count_renamed(known), 1);
	known_free(&known);
}
END_TEST

START_TEST(a_row_may_be_for_its_own_uid_only)
{
	struct known *known = make();

	add(known, 1, "a", 7, true, false);
	ck_assert_int_eq(take(known, "b", 7), 0);
	ck_assert_int_eq(take(known, "ab", 7), 0);
	ck_assert_int_eq(take(known, "", 7), 0);
	ck_assert_int_eq(take(known, "a", 7), 1);
	known_free(&known);
}
END_TEST

START_TEST(what_is_absent_is_gone_unless_it_turns_up)
{
	struct known *known = make();
	int64_t id = 0;
	size_t at = 0;

	add(known, 1, "a", 7, false, true);
	add(known, 2, "b", 8, false, true);
	add(known, 3, "c", 9, false, false);
	ck_assert_int_eq(take(known, "new", 7), 1);
	ck_assert(known_next_absent(known, &at, &id));
	ck_assert_int_eq(id, 2);
	ck_assert(!known_next_absent(known, &at, &id));
	known_free(&known);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("known");
	TCase *tcase = tcase_create("known");
	SRunner *runner;
	int n_failed;

	tcase_add_test(tcase, contents_decide_and_each_row_is_taken_once);
	tcase_add_test(tcase, a_row_of_the_same_uid_goes_before_one_of_another);
	tcase_add_test(tcase, a_row_may_be_for_its_own_uid_only);
	tcase_add_test(tcase, what_is_absent_is_gone_unless_it_turns_up);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
