/*
 * stuff.c - sends a message as a multi-line reply (RFC 1939 section 3).
 *
 * Byte by byte through a small buffer: a message of any size costs nothing.
 */
#include <stdio.h>
#include <string.h>

#include "stuff.h"

#define BUFFER_SIZE 16384

struct stuffer {
	struct wire *wire;
	bool is_lf_a_line_end; /* and becomes CRLF */
	size_t body_lines;     /* still to send */
	bool is_in_body;
	bool is_at_line_start;
	bool is_line_blank;
	int before;
	char buf[BUFFER_SIZE];
	size_t len;
};

static void flush(struct stuffer *stuffer)
{
	wire_queue(stuffer->wire, stuffer->buf, stuffer->len);
	stuffer->len = 0;
}

/* CR and LF stay in one piece, for the sake of wire->lf_only. */
static void put(struct stuffer *stuffer, int c)
{
	if (stuffer->len == BUFFER_SIZE)
		flush(stuffer);
	stuffer->buf[stuffer->len++] = (char)c;
	if (stuffer->len > BUFFER_SIZE / 2 && c != '\r')
		flush(stuffer);
}

/* False: the lines asked for were sent. */
static bool stuff_byte(struct stuffer *stuffer, int c)
{
	bool has_cr = stuffer->before == '\r';
	bool is_end = c == '\n' && (has_cr || stuffer->is_lf_a_line_end);

	if (stuffer->is_at_line_start && stuffer->is_in_body &&
	    stuffer->body_lines-- == 0)
		return false;
	if (stuffer->is_at_line_start && c == '.')
		put(stuffer, '.');
	if (is_end && !has_cr)
		put(stuffer, '\r');
	put(stuffer, c);

	if (c != '\r' && c != '\n')
		stuffer->is_line_blank = false;
	if (is_end && stuffer->is_line_blank)
		stuffer->is_in_body = true;
	stuffer->is_at_line_start = is_end;
	stuffer->is_line_blank = is_end || stuffer->is_line_blank;
	stuffer->before = c;
	return true;
}

static void stuff_text(struct stuffer *stuffer, const struct text *text)
{
	for (size_t i = 0; i < text->len; i++) {
		if (!stuff_byte(stuffer, (unsigned char)text->data[i]))
			return;
	}
}

static void stuff_file(struct stuffer *stuffer, const char *path)
{
	FILE *file = fopen(path, "re");
	int c;

	if (!file)
		return; /* gone since it was listed: an empty message */
	while ((c = getc_unlocked(file)) != EOF && stuff_byte(stuffer, c))
		;
	(void)fclose(file);
}

void stuff_mail(struct wire *wire, const struct mail *mail, size_t body_lines)
{
	struct stuffer stuffer = {
		.wire = wire,
		.is_lf_a_line_end = mail->path != NULL,
		.body_lines = body_lines,
		.is_at_line_start = true,
		.is_line_blank = true,
		.before = '\n',
	};

	if (mail->path)
		stuff_file(&stuffer, mail->path);
	else
		stuff_text(&stuffer, &mail->wire);
	flush(&stuffer);
	if (!stuffer.is_at_line_start)
		wire_queue(wire, "\r\n", 2);
	wire_queue(wire, ".\r\n", 3);
}
