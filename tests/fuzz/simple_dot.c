/*
 * simple_dot.c - the dot-decoder's rules in the plainest form.
 */
#include "simple_dot.h"

/* How many bytes of a line's end stand here; 0: none. */
static size_t line_end(struct bytes in, size_t at, bool bare_lf)
{
	if (bare_lf && at < in.len && in.data[at] == '\n')
		return 1;
	if (at + 1 < in.len && in.data[at] == '\r' && in.data[at + 1] == '\n')
		return 2;
	return 0;
}

void simple_dot_decode(struct bytes in, bool bare_lf, struct simple_dot *to)
{
	bool at_start = true;
	size_t at = 0;

	while (at < in.len) {
		size_t end;

		if (at_start && in.data[at] == '.') {
			at++;
			end = line_end(in, at, bare_lf);
			to->ended = end > 0;
			at += end;
			at_start = false;
			if (to->ended)
				break;
			continue;
		}
		end = line_end(in, at, bare_lf);
		at_start = end > 0;
		to->data[to->len++] = end > 0 ? '\n' : in.data[at];
		at += end > 0 ? end : 1;
		to->wire_bytes += end > 0 ? end : 1;
	}
	to->consumed = at;
}
