/*
 * test-error.c - whatever gets into an error comes out as one printable line.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "error.h"

#define POISON 0x5a

static struct error poisoned(void)
{
	struct error err;

	memset(&err, POISON, sizeof(err));
	return err;
}

START_TEST(test_set_fills_both_and_returns_minus_one)
{
	struct error err = poisoned();

	ck_assert_int_eq(error_set(&err, ERROR_AUTH, "no %s for %d", "way", 7),
			 -1);
	ck_assert_int_eq(err.kind, ERROR_AUTH);
	ck_assert_str_eq(err.text, "no way for 7");
}
END_TEST

START_TEST(test_set_makes_foreign_bytes_printable)
{
	struct error err = poisoned();

	(void)error_set(&err, ERROR_PROTOCOL, "said '%s'",
			"-ERR \x1b[2J\r\nfake: line \xe2\x80\xae");
	ck_assert_str_eq(err.text, "said '-ERR \\x1b[2J\\r\\nfake: line "
				   "\\xe2\\x80\\xae'");
}
END_TEST

START_TEST(test_set_leaves_what_is_escaped_already)
{
	struct error err = poisoned();

	(void)error_set(&err, ERROR_PROTOCOL, "said '%s'", "a\\x00b");
	ck_assert_str_eq(err.text, "said 'a\\x00b'");
}
END_TEST

/* Lengths around the end of the text, and far beyond it. */
START_TEST(test_set_cuts_what_does_not_fit)
{
	char longer[2 * ERROR_TEXT_MAX];

	for (size_t len = ERROR_TEXT_MAX - 5; len < sizeof(longer); len++) {
		struct error err = poisoned();
		size_t got;

		memset(longer, 'x', len);
		longer[len] = '\0';
		(void)error_set(&err, ERROR_LOCAL, "%s", longer);
		got = strnlen(err.text, sizeof(err.text));
		ck_assert_uint_eq(got, MIN(len, ERROR_TEXT_MAX - 1));
		ck_assert_int_eq(strcmp(err.text + got - 3, "...") == 0,
				 len >= ERROR_TEXT_MAX);
	}
}
END_TEST

START_TEST(test_set_may_take_its_own_text)
{
	struct error err = poisoned();

	(void)error_set(&err, ERROR_LOCAL, "inner");
	(void)error_set(&err, ERROR_NETWORK, "outer (%s)", err.text);
	ck_assert_str_eq(err.text, "outer (inner)");
	ck_assert_int_eq(err.kind, ERROR_NETWORK);
}
END_TEST

START_TEST(test_errno_adds_the_words)
{
	struct error err = poisoned();

	ck_assert_int_eq(error_set_errno(&err, ERROR_LOCAL, ENOSPC,
					 "cannot write %s", "x"),
			 -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_str_eq(err.text, "cannot write x: No space left on device");
}
END_TEST

START_TEST(test_errno_that_nobody_knows_is_a_number)
{
	struct error err = poisoned();

	(void)error_set_errno(&err, ERROR_LOCAL, 99999, "odd");
	ck_assert_str_eq(err.text, "odd: error 99999");
}
END_TEST

START_TEST(test_errno_stays_whole_behind_a_long_path)
{
	char path[4096];
	struct error err = poisoned();

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	(void)error_set_errno(&err, ERROR_LOCAL, EACCES, "open %s", path);
	ck_assert_ptr_nonnull(strstr(err.text, "ppp...: Permission denied"));
}
END_TEST

START_TEST(test_prefix_keeps_the_kind)
{
	struct error err = poisoned();

	(void)error_set(&err, ERROR_BUSY, "locked");
	ck_assert_int_eq(error_prefix(&err, "account %s\n", "a"), -1);
	ck_assert_int_eq(err.kind, ERROR_BUSY);
	ck_assert_str_eq(err.text, "account a\\n: locked");
}
END_TEST

START_TEST(test_no_memory_is_local)
{
	struct error err = poisoned();

	ck_assert_int_eq(error_set_memory(&err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_str_eq(err.text, "out of memory");
}
END_TEST

/* From the best news to the worst. */
static const struct {
	enum error_kind kind;
	const char *name;
	int exit_status;
} kinds[] = {
	{ ERROR_NONE, "ok", 0 },          { ERROR_BUSY, "busy", 75 },
	{ ERROR_NETWORK, "network", 69 }, { ERROR_PROTOCOL, "protocol", 76 },
	{ ERROR_AUTH, "auth", 77 },       { ERROR_LOCAL, "local", 74 },
	{ ERROR_CONFIG, "config", 78 },
};

START_TEST(test_kinds)
{
	size_t i = (size_t)_i;

	ck_assert_str_eq(error_kind_name(kinds[i].kind), kinds[i].name);
	ck_assert_int_eq(error_exit_status(kinds[i].kind),
			 kinds[i].exit_status);
	for (size_t j = 0; j < ARRAY_SIZE(kinds); j++)
		ck_assert_msg(error_is_worse(kinds[i].kind, kinds[j].kind) ==
				      (i > j),
			      "%s against %s", kinds[i].name, kinds[j].name);
}
END_TEST

static Suite *error_suite(void)
{
	Suite *suite = suite_create("error");
	TCase *tcase = tcase_create("error");

	tcase_add_test(tcase, test_set_fills_both_and_returns_minus_one);
	tcase_add_test(tcase, test_set_makes_foreign_bytes_printable);
	tcase_add_test(tcase, test_set_leaves_what_is_escaped_already);
	tcase_add_test(tcase, test_set_cuts_what_does_not_fit);
	tcase_add_test(tcase, test_set_may_take_its_own_text);
	tcase_add_test(tcase, test_errno_adds_the_words);
	tcase_add_test(tcase, test_errno_that_nobody_knows_is_a_number);
	tcase_add_test(tcase, test_errno_stays_whole_behind_a_long_path);
	tcase_add_test(tcase, test_prefix_keeps_the_kind);
	tcase_add_test(tcase, test_no_memory_is_local);
	tcase_add_loop_test(tcase, test_kinds, 0, ARRAY_SIZE(kinds));
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(error_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
