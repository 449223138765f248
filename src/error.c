/*
 * error.c - fills the error struct; every text leaves here clean and bounded.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "text.h"

static const struct {
	const char *name;
	int exit_status;
	unsigned badness; /* the order of error_is_worse */
} kinds[] = {
	[ERROR_NONE] = { "ok", EX_OK, 0 },
	[ERROR_BUSY] = { "busy", EX_TEMPFAIL, 1 },
	[ERROR_NETWORK] = { "network", EX_UNAVAILABLE, 2 },
	[ERROR_AUTH] = { "auth", EX_NOPERM, 4 },
	[ERROR_PROTOCOL] = { "protocol", EX_PROTOCOL, 3 },
	[ERROR_LOCAL] = { "local", EX_IOERR, 5 },
	[ERROR_CONFIG] = { "config", EX_CONFIG, 6 },
};
_Static_assert(ARRAY_SIZE(kinds) == ERROR_KIND_MAX + 1, "one row per kind");

static void format_clean(char *dst, size_t cap, const char *fmt, va_list args)
	_printf_(3, 0);

/*
 * The formatted text is allowed one character more than any error holds, so
 * that what was cut here is seen to be cut by text_clean.
 */
static void format_clean(char *dst, size_t cap, const char *fmt, va_list args)
{
	char raw[ERROR_TEXT_MAX + 1];

	if (vsnprintf(raw, sizeof(raw), fmt, args) < 0)
		raw[0] = '\0';
	(void)text_clean(dst, cap, raw, strlen(raw));
}

int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	va_list args;

	/* The old text may be among the arguments: they are read first. */
	va_start(args, fmt);
	format_clean(err->text, sizeof(err->text), fmt, args);
	va_end(args);

	err->kind = kind;
	return -1;
}

int error_set_errno(struct error *err, enum error_kind kind, int errnum,
		    const char *fmt, ...)
{
	char head[ERROR_TEXT_MAX];
	char number[32];
	const char *words = strerrordesc_np(errnum);
	va_list args;

	if (words == NULL) {
		(void)snprintf(number, sizeof(number), "error %d", errnum);
		words = number;
	}

	/* A long path is cut, so that the reason behind it stays whole. */
	va_start(args, fmt);
	format_clean(head, sizeof(head) - strlen(words) - strlen(": "), fmt,
		     args);
	va_end(args);
	return error_set(err, kind, "%s: %s", head, words);
}

int error_prefix(struct error *err, const char *fmt, ...)
{
	char head[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	format_clean(head, sizeof(head), fmt, args);
	va_end(args);
	return error_set(err, err->kind, "%s: %s", head, err->text);
}

int error_set_memory(struct error *err)
{
	return error_set(err, ERROR_LOCAL, "out of memory");
}

const char *error_kind_name(enum error_kind kind)
{
	return kinds[kind].name;
}

int error_exit_status(enum error_kind kind)
{
	return kinds[kind].exit_status;
}

bool error_is_worse(enum error_kind a, enum error_kind b)
{
	return kinds[a].badness > kinds[b].badness;
}
