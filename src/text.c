/*
 * text.c - escaping, durations, sizes and the nearest word. Pure.
 *
 * Nothing here allocates or fails half-way: a text that does not fit is cut,
 * and a number that does not fit is refused, never wrapped.
 */
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DURATION_MAX_USEC (UINT64_C(3650) * USEC_PER_DAY)
#define SIZE_MAX_BYTES    ((uint64_t)INT64_MAX) /* off_t and SQLite end there */
#define DISTANCE_LEN_MAX  127
#define NEAREST_EDITS_MAX 3

/* Writes one byte's printable form, at most four characters. */
static size_t escape_byte(char piece[5], unsigned char byte,
			  bool keep_backslash)
{
	static const char digits[] = "0123456789abcdef";
	const char *name = NULL;

	if (byte == '\t')
		name = "\\t";
	else if (byte == '\r')
		name = "\\r";
	else if (byte == '\n')
		name = "\\n";
	if (name != NULL) {
		memcpy(piece, name, 3);
		return 2;
	}

	if (byte >= 0x20 && byte <= 0x7e && (byte != '\\' || keep_backslash)) {
		piece[0] = (char)byte;
		piece[1] = '\0';
		return 1;
	}
	piece[0] = '\\';
	piece[1] = 'x';
	piece[2] = digits[byte >> 4];
	piece[3] = digits[byte & 15];
	piece[4] = '\0';
	return 4;
}

static char *escape(char *dst, size_t cap, struct bytes src,
		    bool keep_backslash)
{
	size_t used = 0;
	size_t cut = 0; /* where "..." still fits, between two whole pieces */

	for (size_t i = 0; i < src.len; i++) {
		char piece[5];
		size_t len = escape_byte(piece, (unsigned char)src.data[i],
					 keep_backslash);

		if (used + len >= cap) {
			memcpy(dst + cut, "...", 4);
			return dst;
		}
		memcpy(dst + used, piece, len);
		used += len;
		if (used + 4 <= cap)
			cut = used;
	}
	dst[used] = '\0';
	return dst;
}

char *text_escape(char *dst, size_t cap, const char *src, size_t len)
{
	return escape(dst, cap, (struct bytes){ src, len }, false);
}

char *text_clean(char *dst, size_t cap, const char *src, size_t len)
{
	return escape(dst, cap, (struct bytes){ src, len }, true);
}

/* Takes decimal digits; false when there is none or the value exceeds max. */
static bool take_number(const char **p, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		uint64_t digit = (uint64_t)(**p - '0');

		if (value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}

/* "ms" stands before "m", which it begins with. */
static const struct {
	const char *name;
	uint64_t usec;
} duration_units[] = {
	{ "ms", USEC_PER_MSEC },  { "s", USEC_PER_SEC },
	{ "m", USEC_PER_MINUTE }, { "h", USEC_PER_HOUR },
	{ "d", USEC_PER_DAY },
};

static bool take_duration_unit(const char **p, uint64_t *ret_usec)
{
	for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
		size_t len = strlen(duration_units[i].name);

		if (strncmp(*p, duration_units[i].name, len) != 0)
			continue;
		*p += len;
		*ret_usec = duration_units[i].usec;
		return true;
	}
	return false;
}

bool text_parse_duration(const char *text, uint64_t *ret_usec)
{
	const char *p = text;
	uint64_t total = 0;
	bool is_first = true;

	do {
		uint64_t number;
		uint64_t unit = USEC_PER_SEC;
		bool is_bare;

		if (!take_number(&p, DURATION_MAX_USEC, &number))
			return false;
		/* "1h30" has two meanings: only a lone number may be bare. */
		is_bare = is_first && *p == '\0';
		if (!is_bare && !take_duration_unit(&p, &unit))
			return false;
		if (number > (DURATION_MAX_USEC - total) / unit)
			return false;
		total += number * unit;
		is_first = false;
	} while (*p != '\0');

	*ret_usec = total;
	return true;
}

bool text_parse_size(const char *text, uint64_t *ret_bytes)
{
	const char *p = text;
	uint64_t number;
	unsigned shift = 0;

	if (!take_number(&p, SIZE_MAX_BYTES, &number))
		return false;
	if (*p == 'K')
		shift = 10;
	else if (*p == 'M')
		shift = 20;
	else if (*p == 'G')
		shift = 30;
	if (shift != 0)
		p++;
	if (*p != '\0' || number > SIZE_MAX_BYTES >> shift)
		return false;

	*ret_bytes = number << shift;
	return true;
}

char *text_format_duration(char *dst, size_t cap, uint64_t usec)
{
	static const struct {
		uint64_t usec;
		const char *name;
	} units[] = {
		{ USEC_PER_DAY, "d" },      { USEC_PER_HOUR, "h" },
		{ USEC_PER_MINUTE, "min" }, { USEC_PER_SEC, "s" },
		{ USEC_PER_MSEC, "ms" },
	};
	size_t i = 0;
	uint64_t rest = 0;

	while (i < ARRAY_SIZE(units) && usec < units[i].usec)
		i++;
	if (i == ARRAY_SIZE(units)) {
		(void)snprintf(dst, cap, "0 s");
		return dst;
	}

	if (i + 1 < ARRAY_SIZE(units))
		rest = usec % units[i].usec / units[i + 1].usec;
	if (rest == 0)
		(void)snprintf(dst, cap, "%llu %s",
			       (unsigned long long)(usec / units[i].usec),
			       units[i].name);
	else
		(void)snprintf(dst, cap, "%llu %s %llu %s",
			       (unsigned long long)(usec / units[i].usec),
			       units[i].name, (unsigned long long)rest,
			       units[i + 1].name);
	return dst;
}

/* In tenths of the unit, rounded; nothing here can overflow. */
static uint64_t tenths_of(uint64_t bytes, uint64_t unit)
{
	uint64_t tenth = unit / 10;

	return bytes / tenth + (bytes % tenth >= tenth / 2);
}

char *text_format_size(char *dst, size_t cap, uint64_t bytes)
{
	static const char *const names[] = {
		"kB", "MB", "GB", "TB", "PB", "EB"
	};
	uint64_t unit = 1000;
	size_t i = 0;

	if (bytes < 1000) {
		(void)snprintf(dst, cap, "%u B", (unsigned)bytes);
		return dst;
	}

	/* Rounded first: 999,960 bytes are "1.0 MB", not "1000.0 kB". */
	while (tenths_of(bytes, unit) >= 10000 && i + 1 < ARRAY_SIZE(names)) {
		i++;
		unit *= 1000;
	}
	(void)snprintf(dst, cap, "%llu.%llu %s",
		       (unsigned long long)(tenths_of(bytes, unit) / 10),
		       (unsigned long long)(tenths_of(bytes, unit) % 10),
		       names[i]);
	return dst;
}

static bool is_same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	return MIN(MIN(a, b), c);
}

/*
 * Optimal string alignment. Three rows are enough: a swap of neighbours looks
 * two rows back.
 */
unsigned text_distance(const char *a, const char *b)
{
	unsigned rows[3][DISTANCE_LEN_MAX + 1];
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);

	if (a_len > DISTANCE_LEN_MAX || b_len > DISTANCE_LEN_MAX)
		return strcasecmp(a, b) == 0 ? 0 : (unsigned)MAX(a_len, b_len);

	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3];
		const unsigned *before = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned cost = !is_same_letter(a[i - 1], b[j - 1]);

			row[j] = min3(row[j - 1] + 1, above[j] + 1,
				      above[j - 1] + cost);
			if (i > 1 && j > 1 &&
			    is_same_letter(a[i - 1], b[j - 2]) &&
			    is_same_letter(a[i - 2], b[j - 1]))
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

const char *text_nearest(const char *word, const char *const *candidates,
			 size_t n_candidates)
{
	size_t third = strlen(word) / 3;
	unsigned best = (unsigned)MIN(MAX(third, 1), NEAREST_EDITS_MAX) + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < n_candidates; i++) {
		unsigned distance = text_distance(word, candidates[i]);

		if (distance < best) {
			best = distance;
			nearest = candidates[i];
		}
	}
	return nearest;
}
