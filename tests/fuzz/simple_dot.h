/*
 * simple_dot.h - the dot-decoder's rules in the plainest form, on the whole at
 * once: what the real one is held against.
 */
#pragma once

#include "base.h"

struct simple_dot {
	char *data; /* with room for all of the input */
	size_t len;
	size_t consumed;
	uint64_t wire_bytes;
	bool ended;
};

/* data is set, all else zero. */
void simple_dot_decode(struct bytes in, bool bare_lf, struct simple_dot *to);
