/*
 * test-notes.c - few, short and printable notes.
 */
#include "notes.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

START_TEST(notes_keep_their_order_and_priority)
{
	struct notes notes = { 0 };

	notes_add(&notes, LOG_WARNING, "RETR %d refused", 7);
	notes_add(&notes, LOG_INFO, "%s", "second");
	ck_assert_uint_eq(notes.n_notes, 2);
	ck_assert_uint_eq(notes.n_dropped, 0);
	ck_assert_str_eq(notes.notes[0].text, "RETR 7 refused");
	ck_assert_int_eq(notes.notes[0].priority, LOG_WARNING);
	ck_assert_str_eq(notes.notes[1].text, "second");
	ck_assert_int_eq(notes.notes[1].priority, LOG_INFO);
}
END_TEST

START_TEST(what_is_beyond_the_bound_is_counted)
{
	struct notes notes = { 0 };

	for (unsigned i = 0; i < NOTES_MAX + 3; i++)
		notes_add(&notes, LOG_INFO, "note %u", i);
	ck_assert_uint_eq(notes.n_notes, NOTES_MAX);
	ck_assert_uint_eq(notes.n_dropped, 3);
	ck_assert_str_eq(notes.notes[NOTES_MAX - 1].text, "note 7");
}
END_TEST

static const struct {
	const char *name;
	const char *text;
	const char *expected;
} escape_cases[] = {
	{ "a line break", "a\r\nb", "a\\r\\nb" },
	{ "a terminal's control", "\x1b[2J", "\\x1b[2J" },
	{ "8-bit", "\xe4", "\\xe4" },
	{ "a format is text", "%n%s", "%n%s" },
	{ "what an error has escaped already", "server said \"\\xe4\"",
	  "server said \"\\xe4\"" },
};

START_TEST(notes_are_printable)
{
	struct notes notes = { 0 };

	notes_add(&notes, LOG_INFO, "%s", escape_cases[_i].text);
	ck_assert_msg(strcmp(notes.notes[0].text,
			     escape_cases[_i].expected) == 0,
		      "%s: %s", escape_cases[_i].name, notes.notes[0].text);
}
END_TEST

START_TEST(a_long_note_is_cut)
{
	static char text[3 * ERROR_TEXT_MAX];
	struct notes notes = { 0 };

	memset(text, '\xff', sizeof(text) - 1);
	notes_add(&notes, LOG_INFO, "%s", text);
	ck_assert_uint_lt(strlen(notes.notes[0].text), ERROR_TEXT_MAX);
	ck_assert_uint_gt(strlen(notes.notes[0].text), ERROR_TEXT_MAX / 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notes");
	TCase *tcase = tcase_create("notes");
	SRunner *runner;
	int n_failed;

	tcase_add_test(tcase, notes_keep_their_order_and_priority);
	tcase_add_test(tcase, what_is_beyond_the_bound_is_counted);
	tcase_add_loop_test(tcase, notes_are_printable, 0,
			    (int)ARRAY_SIZE(escape_cases));
	tcase_add_test(tcase, a_long_note_is_cut);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
