/*
 * fuzz-digest.c - the header of a message, read for the digest of it.
 *
 * The first byte chooses the size of the pieces. The reference takes the
 * message line by line, on the whole at once, and digests what is left.
 */
#include <string.h>

#include "digest.h"
#include "fuzz.h"

static bool is_left_out(const char *line, size_t len)
{
	static const char *const names[] = {
		"x-uidl",     "x-uid",      "status", "x-status",
		"x-keywords", "x-mozilla-", "lines",  "content-length",
		"x-imap",     "x-imapbase",
	};
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon != NULL ? (size_t)(colon - line) : 0;

	if (colon == NULL || name_len > 64)
		return false;
	while (name_len > 0 &&
	       (line[name_len - 1] == ' ' || line[name_len - 1] == '\t'))
		name_len--;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t wanted = strlen(names[i]);
		bool is_prefix = names[i][wanted - 1] == '-';

		if ((name_len == wanted || (is_prefix && name_len > wanted)) &&
		    strncasecmp(line, names[i], wanted) == 0)
			return true;
	}
	return false;
}

/* Copies what counts and returns its length. */
static size_t reduce(const char *data, size_t size, char *dst)
{
	bool is_out = false;
	size_t len = 0;

	while (size > 0 && data[0] != '\n') {
		const char *lf = memchr(data, '\n', size);
		size_t line = lf != NULL ? (size_t)(lf - data) + 1 : size;

		if (data[0] != ' ' && data[0] != '\t')
			is_out = is_left_out(data, line);
		if (!is_out) {
			memcpy(dst + len, data, line);
			len += line;
		}
		data += line;
		size -= line;
	}
	if (size > 0)
		memcpy(dst + len, data, size);
	return len + size;
}

static void digest_in_pieces(const char *data, size_t size, size_t piece,
			     uint8_t ret[DIGEST_SIZE])
{
	_cleanup_digest_ struct digest *digest = NULL;
	struct error err;

	check(digest_new(&digest, &err) == 0);
	digest_begin(digest);
	for (size_t at = 0; at < size; at += piece) {
		size_t len = MIN(piece, size - at);
		_cleanup_string_ char *copy = malloc(len);

		if (copy == NULL)
			abort();
		memcpy(copy, data + at, len);
		digest_add(digest, copy, len);
	}
	check(digest_end(digest, ret, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = (size_t)take_byte(&data, &size) + 1;
	_cleanup_string_ char *reduced = malloc(size + 1);
	uint8_t pieces[DIGEST_SIZE], simple[DIGEST_SIZE];
	struct bytes rest = { .data = reduced };
	struct error err;

	if (reduced == NULL)
		abort();
	rest.len = reduce((const char *)data, size, reduced);
	digest_in_pieces((const char *)data, size, piece, pieces);
	check(digest_bytes(rest, simple, &err) == 0);
	check(memcmp(pieces, simple, DIGEST_SIZE) == 0);
	return 0;
}
