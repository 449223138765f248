/*
 * test-flush.c - each file is synced once, and no failure is lost.
 *
 * The kernel's AIO is asked through syscall, which stands here: it writes
 * down what was asked, refuses what a case wants refused, and makes the sync
 * of one file fail, which no file of a test would do by itself.
 */
#include "flush.h"

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "scratch.h"

#define REAL_SYSCALL ((__typeof__(&syscall))dlsym(RTLD_NEXT, "syscall"))

static int fds[FLUSH_MAX];
static int results[FLUSH_MAX];
static unsigned n_synced[FLUSH_MAX]; /* by the index in fds */
static unsigned n_alone;             /* of them by fsync */
static bool refuses_setup;
static bool interrupts;  /* the next wait, by a signal */
static long most_taken;  /* of one io_submit; -1: all */
static int failing;      /* the index of the file whose sync fails; -1: none */
static int refused_wait; /* an errno value: io_getevents fails */

static size_t index_of(int fd)
{
	for (size_t i = 0; i < FLUSH_MAX; i++)
		if (fds[i] == fd)
			return i;
	ck_abort_msg("a sync of %d, which is no file of ours", fd);
}

int fsync(int fd)
{
	size_t i = index_of(fd);

	n_synced[i]++;
	n_alone++;
	if (failing != (int)i)
		return 0;
	errno = EIO;
	return -1;
}

static long submit(unsigned long context, long n, struct iocb **list)
{
	if (most_taken >= 0 && n > most_taken)
		n = most_taken;
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	for (long i = 0; i < n; i++) {
		ck_assert_uint_eq(list[i]->aio_lio_opcode, IOCB_CMD_FSYNC);
		n_synced[index_of((int)list[i]->aio_fildes)]++;
		list[i]->aio_data = list[i]->aio_fildes;
	}
	return REAL_SYSCALL(SYS_io_submit, context, n, list);
}

static long wait_for(unsigned long context, long min, long max,
		     struct io_event *events)
{
	long n;

	if (interrupts || refused_wait != 0) {
		errno = interrupts ? EINTR : refused_wait;
		interrupts = false;
		return -1;
	}
	n = REAL_SYSCALL(SYS_io_getevents, context, min, max, events, NULL);
	for (long i = 0; i < n; i++)
		if (failing >= 0 && (int)events[i].data == fds[failing])
			events[i].res = -EIO;
	return n;
}

static long call_aio(long number, va_list args)
{
	unsigned long context;
	long n, max;

	if (number == SYS_io_setup) {
		int count = va_arg(args, int);
		void *ret = va_arg(args, void *);

		if (!refuses_setup)
			return REAL_SYSCALL(number, count, ret);
		errno = EAGAIN;
		return -1;
	}
	context = va_arg(args, unsigned long);
	if (number == SYS_io_destroy)
		return REAL_SYSCALL(number, context);
	n = va_arg(args, long);
	if (number == SYS_io_submit)
		return submit(context, n, va_arg(args, struct iocb **));
	ck_assert_int_eq(number, SYS_io_getevents);
	max = va_arg(args, long);
	return wait_for(context, n, max, va_arg(args, struct io_event *));
}

long syscall(long number, ...)
{
	va_list args;
	long r;

	va_start(args, number);
	r = call_aio(number, args);
	va_end(args);
	return r;
}

static void set_up(void)
{
	char dir[SCRATCH_PATH_MAX];
	char path[SCRATCH_PATH_MAX + 16];

	scratch_make(dir);
	for (size_t i = 0; i < FLUSH_MAX; i++) {
		(void)snprintf(path, sizeof(path), "%s/%zu", dir, i);
		fds[i] = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_ge(fds[i], 0);
		ck_assert_int_eq(write(fds[i], "x", 1), 1);
		n_synced[i] = 0;
	}
	n_alone = 0;
	refuses_setup = false;
	interrupts = false;
	most_taken = -1;
	failing = -1;
	refused_wait = 0;
}

static void tear_down(void)
{
	for (size_t i = 0; i < FLUSH_MAX; i++)
		fd_close(&fds[i]);
}

static void check_each_once(size_t n)
{
	for (size_t i = 0; i < FLUSH_MAX; i++)
		ck_assert_uint_eq(n_synced[i], i < n);
}

static const struct {
	const char *name;
	size_t n_files;
	bool refuses_setup;
	long most_taken;
	unsigned n_alone;
} cases[] = {
	{ "no file at all", 0, false, -1, 0 },
	{ "one file is synced alone", 1, false, -1, 1 },
	{ "few are synced one by one", 7, false, -1, 7 },
	{ "many are synced together", 8, false, -1, 0 },
	{ "as many as there may be", FLUSH_MAX, false, -1, 0 },
	{ "a kernel without AIO", FLUSH_MAX, true, -1, FLUSH_MAX },
	{ "a kernel that takes none", FLUSH_MAX, false, 0, FLUSH_MAX },
	{ "a kernel that takes only some", 20, false, 12, 8 },
};

START_TEST(each_file_is_synced_once)
{
	struct flush flush = { 0 };

	refuses_setup = cases[_i].refuses_setup;
	most_taken = cases[_i].most_taken;
	ck_assert_msg(flush_files(&flush, fds, cases[_i].n_files, results) == 0, "%s",
		      cases[_i].name);
	check_each_once(cases[_i].n_files);
	ck_assert_msg(n_alone == cases[_i].n_alone, "%s: %u alone",
		      cases[_i].name, n_alone);
	flush_done(&flush);
}
END_TEST

/* The first, the last of those taken together, the first and last behind. */
static const int failures[] = { 0, 11, 12, 19 };

START_TEST(a_sync_that_fails_is_told_and_not_tried_again)
{
	struct flush flush = { 0 };

	most_taken = 12;
	failing = failures[_i];
	ck_assert_int_eq(flush_files(&flush, fds, 20, results), EIO);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(results[i], i == failing ? EIO : 0);
	check_each_once(20);
	flush_done(&flush);
}
END_TEST

START_TEST(a_signal_does_not_end_the_wait)
{
	struct flush flush = { 0 };

	interrupts = true;
	failing = 3;
	ck_assert_int_eq(flush_files(&flush, fds, 8, results), EIO);
	check_each_once(8);
	flush_done(&flush);
}
END_TEST

START_TEST(a_wait_that_fails_voids_all_and_the_next_go_one_by_one)
{
	struct flush flush = { 0 };

	refused_wait = EPERM;
	ck_assert_int_eq(flush_files(&flush, fds, 8, results), EPERM);
	check_each_once(8);
	ck_assert_int_eq(flush_files(&flush, fds, 8, results), 0);
	ck_assert_uint_eq(n_alone, 8);
	flush_done(&flush);
}
END_TEST

START_TEST(so_few_as_one_are_synced_in_the_same_way_when_that_is_wanted)
{
	struct flush flush = { .together_min = 1 };

	ck_assert_int_eq(flush_files(&flush, fds, 1, results), 0);
	check_each_once(1);
	ck_assert_uint_eq(n_alone, 0);
	flush_done(&flush);
	flush_done(&flush); /* nothing is left to do */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flush");
	TCase *tcase = tcase_create("flush");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, each_file_is_synced_once, 0,
			    ARRAY_SIZE(cases));
	tcase_add_loop_test(tcase,
			    a_sync_that_fails_is_told_and_not_tried_again, 0,
			    ARRAY_SIZE(failures));
	tcase_add_test(tcase, a_signal_does_not_end_the_wait);
	tcase_add_test(tcase,
		       a_wait_that_fails_voids_all_and_the_next_go_one_by_one);
	tcase_add_test(
		tcase,
		so_few_as_one_are_synced_in_the_same_way_when_that_is_wanted);
	suite_add_tcase(suite, tcase);

	scratch_begin();
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
