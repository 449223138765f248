/*
 * note.h - what went wrong, what was said, and bytes as people write them.
 *
 * Part of pop3-player. It shares no parser with mailhaul, so that a test
 * never shares its subject's mistakes.
 */
#pragma once

#include "base.h"

/* The first failure of a run; later ones are its consequences. */
struct failure {
	char text[1024]; /* one printable line, or empty */
};

/* Always returns -1. */
int fail(struct failure *failure, const char *fmt, ...) _printf_(2, 3);
int fail_errno(struct failure *failure, const char *what);
int fail_openssl(struct failure *failure, const char *what);

/* As malloc, realloc and strdup; a test tool without memory aborts. */
void *must_realloc(void *old, size_t size);
char *must_strdup(const char *string);

/* Bytes that we own. They may hold NUL; a NUL stands behind them as well. */
struct text {
	char *data;
	size_t len;
};

void text_done(struct text *text);
void text_append(struct text *text, const char *data, size_t len);
void text_repeat(struct text *text, const struct text *piece, size_t times);

/*
 * Appends what an escaped string stands for: \n is CRLF, then \r \t \0 \xNN
 * \\; \c only at the end (*ret_open says so). False: another escape.
 */
bool text_unescape(struct text *text, const char *escaped, bool *ret_open);

/* Printable ASCII, the rest as \xNN; cut when it does not fit. Returns dst. */
char *escape(char *dst, size_t cap, const char *src, size_t len);

/* Lines of the transcript, each in one unbuffered write. fd -1: none. */
struct transcript {
	int fd;
};

int transcript_open(struct transcript *ret, const char *path,
		    struct failure *failure);
void transcript_say(const struct transcript *transcript, const char *who,
		    const char *data, size_t len);
void transcript_note(const struct transcript *transcript, const char *fmt, ...)
	_printf_(2, 3);
