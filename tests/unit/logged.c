/*
 * logged.c - what log.c writes, caught for the test.
 */
#include "logged.h"

#include <check.h>
#include <sys/mman.h>

#include "log.h"

#define LOGGED_MAX 65536

void logged_begin(int max_level)
{
	_cleanup_fd_ int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
	log_init(max_level);
}

const char *logged_take(void)
{
	static char text[LOGGED_MAX];
	ssize_t len = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	ck_assert_int_eq(ftruncate(STDERR_FILENO, 0), 0);
	ck_assert_int_eq(lseek(STDERR_FILENO, 0, SEEK_SET), 0);
	return text;
}
