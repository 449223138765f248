/*
 * notes.h - what a visit has to tell beside its report.
 *
 * Code below worker.c does not log. Oddities that do not end a visit, such as
 * a refused DELE, are noted here, and the worker sends them up as log lines.
 */
#pragma once

#include <syslog.h>

#include "base.h"
#include "error.h"

#define NOTES_MAX 8

struct notes {
	unsigned n_notes;
	unsigned n_dropped; /* beyond NOTES_MAX */
	struct {
		int priority; /* LOG_WARNING..LOG_DEBUG */
		char text[ERROR_TEXT_MAX];
	} notes[NOTES_MAX];
};

/* One printable line; what is not printable in it is escaped. */
void notes_add(struct notes *notes, int priority, const char *fmt, ...)
	_printf_(3, 4);
