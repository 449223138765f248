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

enum plan_action {
	PLAN_KEEP = 0, /* known, stays on the server */
	PLAN_DELETE,   /* vouched for: DELE without RETR */
	PLAN_FETCH,    /* RETR, and deliver it if its contents are new */
};

/* One for each message that is listed, so it is small. */
struct plan_item {
	uint32_t number;
	enum plan_action action; /* plan.h decides on it, and sets row_id */
	int64_t list_size; /* LIST's claim, a hint; -1: LIST did not name it */
	struct bytes uid;  /* borrowed from the listing; empty: none */
	int64_t row_id;	   /* KEEP and DELETE: whose row it is; else 0 */
};

struct listing {
	struct plan_item *items; /* by ascending number */
	size_t n_items;
	bool has_uids;	  /* the server answered UIDL */
	bool is_complete; /* false: beyond the bound, a number twice, or no line */
	struct uid_text *text; /* owns the uids */
};

/*
 * In one write where PIPELINING is offered, and then with CAPA in front when
 * that is only assumed; else one after the other.
 */
int listing_read(struct pop3 *pop3, struct listing *ret, struct error *err)
	_must_check_;
void listing_done(struct listing *listing);
