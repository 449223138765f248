/*
 * test-log.c - one line, one write, nothing in it but printable text.
 *
 * Standard error is a pipe here; the journal's side is not looked at.
 */
#include <check.h>
#include <fcntl.h>
#include <string.h>

#include "log.h"

/* What one write wrote; nothing when nothing was written. */
static size_t capture(int pipe_fd, char *ret, size_t cap)
{
	ssize_t len = read(pipe_fd, ret, cap - 1);

	if (len < 0)
		len = 0;
	ret[len] = '\0';
	return (size_t)len;
}

static int redirect_stderr(void)
{
	int fds[2];

	/* O_DIRECT: each read returns what one write wrote. */
	ck_assert_int_eq(pipe2(fds, O_DIRECT | O_NONBLOCK), 0);
	ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
	(void)close(fds[1]);
	(void)unsetenv("JOURNAL_STREAM");
	return fds[0];
}

START_TEST(test_a_line_is_one_write)
{
	int fd = redirect_stderr();
	char text[4096];

	log_init(LOG_INFO);
	log_line(LOG_INFO, "started with %d accounts", 3);
	log_account(LOG_ERR, "alice", "login failed: %s", "-ERR\x1b\r\nno");
	(void)capture(fd, text, sizeof(text));
	ck_assert_str_eq(text, "started with 3 accounts\n");
	(void)capture(fd, text, sizeof(text));
	ck_assert_str_eq(text, "alice: login failed: -ERR\\x1b\\r\\nno\n");
}
END_TEST

START_TEST(test_lines_above_the_level_are_dropped)
{
	int fd = redirect_stderr();
	char text[4096];

	log_init(LOG_WARNING);
	log_line(LOG_INFO, "no");
	ck_assert_uint_eq(capture(fd, text, sizeof(text)), 0);
	log_line(LOG_WARNING, "yes");
	ck_assert_uint_eq(capture(fd, text, sizeof(text)), 4);
	log_set_max_level(LOG_DEBUG);
	log_line(LOG_DEBUG, "now");
	ck_assert_uint_eq(capture(fd, text, sizeof(text)), 4);
}
END_TEST

START_TEST(test_a_long_line_is_cut_and_ends)
{
	int fd = redirect_stderr();
	static char longer[10000];
	char text[4096];
	size_t len;

	memset(longer, 'x', sizeof(longer) - 1);
	log_init(LOG_INFO);
	log_account(LOG_INFO, "alice", "%s", longer);
	len = capture(fd, text, sizeof(text));
	ck_assert_uint_gt(len, 1000);
	ck_assert_str_eq(text + len - 4, "...\n");
	ck_assert_uint_eq(capture(fd, text, sizeof(text)), 0);
}
END_TEST

START_TEST(test_another_journal_stream_is_not_ours)
{
	int fd = redirect_stderr();
	char text[4096];

	ck_assert_int_eq(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	log_init(LOG_INFO);
	log_line(LOG_INFO, "plain");
	(void)capture(fd, text, sizeof(text));
	ck_assert_str_eq(text, "plain\n");
}
END_TEST

static Suite *log_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");

	tcase_add_test(tcase, test_a_line_is_one_write);
	tcase_add_test(tcase, test_lines_above_the_level_are_dropped);
	tcase_add_test(tcase, test_a_long_line_is_cut_and_ends);
	tcase_add_test(tcase, test_another_journal_stream_is_not_ours);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(log_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
