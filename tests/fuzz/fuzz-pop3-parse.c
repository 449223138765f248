/*
 * fuzz-pop3-parse.c - every line parser, on lines that a fuzzer makes up.
 *
 * Each line is copied to a block of its own size, so that the sanitizer sees
 * a read of even one byte past its end.
 */
#include <string.h>

#include "fuzz.h"
#include "pop3_parse.h"

static bool is_within(struct bytes part, struct bytes whole)
{
	return part.data >= whole.data && part.len <= whole.len &&
	       part.data + part.len <= whole.data + whole.len;
}

static void parse_lists(struct bytes line)
{
	struct pop3_scan scan;
	struct pop3_unique unique;
	struct error err;

	if (pop3_parse_scan(line, &scan, &err) == 0)
		check(scan.number >= 1 && scan.number <= POP3_NUMBER_MAX);
	if (pop3_parse_unique(line, &unique, &err) == 0)
		check(unique.number >= 1 && unique.number <= POP3_NUMBER_MAX &&
		      is_within(unique.uid, line));
}

static void parse_line(struct bytes line)
{
	struct pop3_reply reply;
	struct pop3_capa capa = { 0 };
	struct error err;
	char timestamp[POP3_TIMESTAMP_MAX];

	if (pop3_parse_reply(line, &reply, &err) == 0)
		check(is_within(reply.text, line));
	else
		check(err.kind == ERROR_PROTOCOL && strlen(err.text) > 0);
	parse_lists(line);
	pop3_parse_capability(line, &capa);
	if (pop3_parse_timestamp(line, timestamp, sizeof(timestamp)))
		check(timestamp[0] == '<' && strchr(timestamp, '@') != NULL);
}

static void parse_copy(const uint8_t *data, size_t len)
{
	_cleanup_string_ char *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		return;
	if (len > 0)
		memcpy(copy, data, len);
	parse_line((struct bytes){ .data = copy, .len = len });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size > 0) {
		const uint8_t *lf = memchr(data, '\n', size);
		size_t len = lf != NULL ? (size_t)(lf - data) : size;

		parse_copy(data, len);
		len += lf != NULL;
		data += len;
		size -= len;
	}
	return 0;
}
