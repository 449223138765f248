/*
 * log.c - one line to the journal or to stderr.
 *
 * A line is made whole and clean in a buffer and leaves with one call, so
 * that lines of several processes on one stderr do not mix. Whether it could
 * be written is not asked: there is nobody left to tell.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The location would always be this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "text.h"

#define LOG_LINE_MAX 1536

static int max_level = LOG_INFO;
static bool is_journal = false;

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of what it connected. */
static bool is_stderr_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char expected[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;
	(void)snprintf(expected, sizeof(expected), "%ju:%ju",
		       (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, expected) == 0;
}

void log_init(int level)
{
	max_level = level;
	is_journal = is_stderr_journal();
}

void log_set_max_level(int level)
{
	max_level = level;
}

static void write_plain(const char *account, const char *text)
{
	char line[2 * LOG_LINE_MAX];
	int len = snprintf(line, sizeof(line) - 1, "%s%s%s",
			   account == NULL ? "" : account,
			   account == NULL ? "" : ": ", text);
	size_t used;

	if (len < 0)
		return;
	used = MIN((size_t)len, sizeof(line) - 2);
	line[used] = '\n';
	if (write(STDERR_FILENO, line, used + 1) < 0)
		return;
}

/* Negative when it could not be sent; to libsystemd no journal is no error. */
static int write_journal(int priority, const char *account, const char *text)
{
	if (account == NULL)
		return sd_journal_send("MESSAGE=%s", text, "PRIORITY=%d",
				       priority, NULL);
	return sd_journal_send("MESSAGE=%s: %s", account, text, "PRIORITY=%d",
			       priority, "MAILHAUL_ACCOUNT=%s", account, NULL);
}

static void log_va(int priority, const char *account, const char *fmt,
		   va_list args) _printf_(3, 0);

static void log_va(int priority, const char *account, const char *fmt,
		   va_list args)
{
	char raw[LOG_LINE_MAX + 1];
	char text[LOG_LINE_MAX];

	if (priority > max_level)
		return;
	if (vsnprintf(raw, sizeof(raw), fmt, args) < 0)
		return;
	(void)text_clean(text, sizeof(text), raw, strlen(raw));

	if (!is_journal || write_journal(priority, account, text) < 0)
		write_plain(account, text);
}

void log_line(int priority, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_va(priority, NULL, fmt, args);
	va_end(args);
}

void log_account(int priority, const char *account, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_va(priority, account, fmt, args);
	va_end(args);
}
