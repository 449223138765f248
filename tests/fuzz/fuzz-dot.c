/*
 * fuzz-dot.c - the dot-decoder: fast and in pieces against slow and simple.
 *
 * The first byte chooses the line end, the second the size of the pieces and
 * the third the room for output; the rest comes from the wire. The reference
 * holds the rules of the header in the plainest form, on the whole at once.
 */
#include <string.h>

#include "fuzz.h"
#include "pop3_parse.h"
#include "simple_dot.h"

static void decode_in_pieces(struct bytes in, struct pop3_dot *dot,
			     size_t piece, size_t cap, struct simple_dot *to)
{
	while (in.len > 0 && dot->state != POP3_DOT_END) {
		struct bytes part = { in.data, MIN(in.len, piece) };
		size_t consumed;
		size_t len = pop3_dot_decode(dot, part, &consumed,
					     to->data + to->len, cap);

		check(len <= cap && consumed <= part.len);
		check(len > 0 || consumed > 0);
		to->len += len;
		to->consumed += consumed;
		in.data += consumed;
		in.len -= consumed;
	}
	to->wire_bytes = dot->wire_bytes;
	to->ended = dot->state == POP3_DOT_END;
}

/* A CR at the end of all input is still held back by the decoder. */
static void drop_held_cr(const struct pop3_dot *dot, struct simple_dot *simple)
{
	if (dot->state != POP3_DOT_CR && dot->state != POP3_DOT_DOT_CR)
		return;
	check(simple->len > 0 && simple->data[simple->len - 1] == '\r');
	simple->len--;
	simple->wire_bytes--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_string_ char *simple_data = malloc(size + 256);
	_cleanup_string_ char *pieces_data = malloc(size + 256);
	struct simple_dot simple = { .data = simple_data };
	struct simple_dot pieces = { .data = pieces_data };
	struct pop3_dot dot;
	struct bytes in;

	if (size < 3 || simple_data == NULL || pieces_data == NULL)
		return 0;
	in = (struct bytes){ (const char *)data + 3, size - 3 };

	simple_dot_decode(in, data[0] & 1, &simple);
	pop3_dot_init(&dot, data[0] & 1);
	decode_in_pieces(in, &dot, data[1] + 1u, MAX(data[2], 2), &pieces);
	drop_held_cr(&dot, &simple);

	check(simple.len == pieces.len &&
	      memcmp(simple.data, pieces.data, simple.len) == 0);
	check(simple.ended == pieces.ended);
	check(simple.consumed == pieces.consumed);
	check(simple.wire_bytes == pieces.wire_bytes);
	return 0;
}
