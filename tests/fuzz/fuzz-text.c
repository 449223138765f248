/*
 * fuzz-text.c - what makes foreign bytes fit for a log, and reads what people
 * write. The first byte chooses the room that there is.
 */
#include <string.h>

#include "fuzz.h"
#include "notes.h"
#include "text.h"

static void check_escaped(const char *text, size_t cap, size_t len)
{
	check(strlen(text) < cap && is_printable(text));
	check(len > 0 || text[0] == '\0');
}

/* Clean text goes through unchanged. */
static void check_clean(const char *text, size_t cap)
{
	char again[512];

	check(strcmp(text_clean(again, cap, text, strlen(text)), text) == 0);
}

static void escape(const char *src, size_t len, size_t cap)
{
	_cleanup_string_ char *dst = malloc(cap);

	if (dst == NULL)
		abort();
	check_escaped(text_escape(dst, cap, src, len), cap, len);
	check_escaped(text_clean(dst, cap, src, len), cap, len);
	check_clean(dst, cap);
}

static void parse(const char *text)
{
	static const char *const words[] = { "host", "password_file", "" };
	uint64_t usec = 0, bytes = 0;
	char formatted[64];

	if (text_parse_duration(text, &usec))
		check(usec <= 3650 * USEC_PER_DAY);
	if (text_parse_size(text, &bytes))
		check(bytes <= INT64_MAX);
	check(is_printable(text_format_duration(formatted, 64, usec)));
	check(is_printable(text_format_size(formatted, 64, bytes)));
	check(text_distance(text, text) == 0);
	check(text_distance(text, "host") == text_distance("host", text));
	(void)text_nearest(text, words, ARRAY_SIZE(words));
}

static void note(const char *text)
{
	struct notes notes = { 0 };

	for (unsigned i = 0; i < NOTES_MAX + 2; i++)
		notes_add(&notes, LOG_INFO, "server said \"%s\"", text);
	check(notes.n_notes == NOTES_MAX && notes.n_dropped == 2);
	check(is_printable(notes.notes[0].text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cap = 8 + (size_t)take_byte(&data, &size);
	_cleanup_string_ char *text = malloc(size + 1);

	if (text == NULL)
		abort();
	text[size] = '\0';
	if (size > 0)
		memcpy(text, data, size);
	escape(text, size, cap);
	parse(text);
	note(text);
	return 0;
}
