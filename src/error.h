/*
 * error.h - an error has a kind, for the scheduler, and one line, for people.
 *
 * The text never holds a secret. It is always one printable line: whatever
 * else gets into it, server bytes above all, is escaped on the way in.
 */
#pragma once

#include "base.h"

#define ERROR_TEXT_MAX 400

enum error_kind {
	ERROR_NONE = 0,
	ERROR_BUSY,	/* the server, or another worker, says later: soon */
	ERROR_NETWORK,	/* unreachable, timed out, cut: back off */
	ERROR_AUTH,	/* login or certificate refused: back off far */
	ERROR_PROTOCOL, /* the server broke RFC 1939: delete nothing */
	ERROR_LOCAL,	/* disk, memory, permissions: retry, tell the admin */
	ERROR_CONFIG,	/* cannot succeed until the configuration changes */
};
#define ERROR_KIND_MAX ERROR_CONFIG

struct error {
	enum error_kind kind;
	char text[ERROR_TEXT_MAX]; /* one line, printable, no secrets */
};

/* Always returns -1, so that "return error_set(...)" reads well. */
int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
	_printf_(3, 4);

/* As error_set, with ": " and the words for the errno value behind the text. */
int error_set_errno(struct error *err, enum error_kind kind, int errnum,
		    const char *fmt, ...) _printf_(4, 5);

/* Puts "text: " before what the error says already. Returns -1. */
int error_prefix(struct error *err, const char *fmt, ...) _printf_(2, 3);

/* ERROR_LOCAL, "out of memory". Returns -1. */
int error_set_memory(struct error *err);

/* "network", "auth", ...; "ok" for ERROR_NONE. */
const char *error_kind_name(enum error_kind kind);

/* The exit status of sysexits.h that tells a script the same; 0 for none. */
int error_exit_status(enum error_kind kind);

/* Is a worse news than b? BUSY < NETWORK < PROTOCOL < AUTH < LOCAL < CONFIG. */
bool error_is_worse(enum error_kind a, enum error_kind b);
