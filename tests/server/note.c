/*
 * note.c - what went wrong, what was said, and bytes as people write them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "note.h"

#define TRANSCRIPT_LINE_MAX 4096

int fail(struct failure *failure, const char *fmt, ...)
{
	va_list args;

	if (failure->text[0] != '\0')
		return -1;
	va_start(args, fmt);
	(void)vsnprintf(failure->text, sizeof(failure->text), fmt, args);
	va_end(args);
	return -1;
}

int fail_errno(struct failure *failure, const char *what)
{
	return fail(failure, "%s: %s", what, strerror(errno));
}

int fail_openssl(struct failure *failure, const char *what)
{
	char reason[256] = "no reason given";
	unsigned long code = ERR_peek_last_error();

	if (code != 0)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return fail(failure, "%s: %s", what, reason);
}

void *must_realloc(void *old, size_t size)
{
	void *new = realloc(old, size > 0 ? size : 1);

	if (!new)
		abort();
	return new;
}

char *must_strdup(const char *string)
{
	size_t size = strlen(string) + 1;

	return memcpy(must_realloc(NULL, size), string, size);
}

void text_done(struct text *text)
{
	free(text->data);
	*text = (struct text){ 0 };
}

void text_append(struct text *text, const char *data, size_t len)
{
	text->data = must_realloc(text->data, text->len + len + 1);
	if (len > 0)
		memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void text_repeat(struct text *text, const struct text *piece, size_t times)
{
	size_t start = text->len;

	text->len += times * piece->len;
	text->data = must_realloc(text->data, text->len + 1);
	for (size_t at = start; at < text->len; at += piece->len)
		memcpy(text->data + at, piece->data, piece->len);
	text->data[text->len] = '\0';
}

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at ? (int)(at - digits) % 16 : -1;
}

/* Takes the two digits of \xNN; the caller stands on the x. */
static bool take_hex(const char **escaped, char *ret)
{
	const char *p = *escaped;
	int high = hex_value(p[1]);
	int low = high < 0 ? -1 : hex_value(p[2]);

	if (low < 0)
		return false;
	*ret = (char)(high * 16 + low);
	*escaped = p + 2;
	return true;
}

/* The caller stands on the character behind the backslash. */
static bool take_escape(struct text *text, const char **escaped)
{
	static const char names[] = "rt0\\";
	static const char values[] = "\r\t\0\\";
	const char *at;
	char byte;

	if (**escaped == 'n') {
		text_append(text, "\r\n", 2);
		return true;
	}
	if (**escaped == 'x' && take_hex(escaped, &byte)) {
		text_append(text, &byte, 1);
		return true;
	}
	at = **escaped == '\0' ? NULL : strchr(names, **escaped);
	if (!at)
		return false;
	text_append(text, values + (at - names), 1);
	return true;
}

bool text_unescape(struct text *text, const char *escaped, bool *ret_open)
{
	text_append(text, "", 0);
	*ret_open = false;
	for (const char *p = escaped; *p != '\0'; p++) {
		if (strcmp(p, "\\c") == 0) {
			*ret_open = true;
			return true;
		}
		if (*p != '\\') {
			text_append(text, p, 1);
			continue;
		}
		p++;
		if (!take_escape(text, &p))
			return false;
	}
	return true;
}

char *escape(char *dst, size_t cap, const char *src, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len && used + 5 <= cap; i++) {
		unsigned char c = (unsigned char)src[i];

		if (c >= 0x20 && c < 0x7f && c != '\\')
			dst[used++] = (char)c;
		else
			used += (size_t)snprintf(dst + used, cap - used,
						 "\\x%02x", c);
	}
	dst[used] = '\0';
	return dst;
}

int transcript_open(struct transcript *ret, const char *path,
		    struct failure *failure)
{
	int fd;

	ret->fd = -1;
	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(failure, path);
	ret->fd = fd;
	return 0;
}

static void transcript_put(const struct transcript *transcript,
			   const char *line, size_t len)
{
	if (transcript->fd < 0)
		return;
	/* A full disk shows up in the test that misses the line. */
	if (write(transcript->fd, line, len) < 0)
		return;
}

void transcript_say(const struct transcript *transcript, const char *who,
		    const char *data, size_t len)
{
	char line[TRANSCRIPT_LINE_MAX];
	size_t used = (size_t)snprintf(line, sizeof(line), "%s ", who);

	(void)escape(line + used, sizeof(line) - used - 1, data, len);
	used = strlen(line);
	line[used++] = '\n';
	transcript_put(transcript, line, used);
}

void transcript_note(const struct transcript *transcript, const char *fmt, ...)
{
	char note[TRANSCRIPT_LINE_MAX / 4];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(note, sizeof(note), fmt, args);
	va_end(args);
	transcript_say(transcript, "--", note, strlen(note));
}
