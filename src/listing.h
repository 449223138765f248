/*
 * listing.h - what the server has: UIDL and LIST, merged by message number.
 *
 * Only this session's lists count. STAT is not asked, since servers get it
 * wrong. Numbers may have holes and come in any order. Memory is bounded:
 * past LISTING_MAX_BYTES the rest is read and dropped, and the listing is
 * incomplete, so that nothing absent from it is taken for gone.
 */
#pragma once

#include "base.h"
#include "error.h"
#include "pop3.h"

#define LISTING_MAX_BYTES (16u << 20)

struct listing_item {
	uint32_t number;
	int64_t size_bytes; /* LIST's claim, a hint; -1: LIST did not name it */
	struct bytes uid;   /* empty: none */
};

struct listing {
	struct listing_item *items; /* by ascending number */
	size_t n_items;
	bool has_uids;	  /* the server answered UIDL */
	bool is_complete; /* false: beyond the bound, a number twice, or no line */
	char *text;	  /* owns the uids */
};

/*
 * In one write where PIPELINING is offered, and then with CAPA in front when
 * that is only assumed; else one after the other.
 */
int listing_read(struct pop3 *pop3, struct listing *ret, struct error *err)
	_must_check_;
void listing_done(struct listing *listing);
