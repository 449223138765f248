/*
 * log.h - one line to the journal or to stderr; the supervisor's alone.
 *
 * Workers never call this: their lines come up through the job socket.
 */
#pragma once

#include <syslog.h>

#include "base.h"

/*
 * Chooses the journal when stderr is connected to it (JOURNAL_STREAM), plain
 * lines on stderr otherwise. Lines above max_level are dropped.
 */
void log_init(int max_level);
void log_set_max_level(int max_level);

/* One line about mailhaul as a whole. */
void log_line(int priority, const char *fmt, ...) _printf_(2, 3);

/* About an account: "NAME: " is put before the text, and NAME in a field. */
void log_account(int priority, const char *account, const char *fmt, ...)
	_printf_(3, 4);
