/*
 * plan.h - listing + journal + policy -> what to fetch, compare, delete, keep.
 *
 * Pure. The rule is DESIGN section 3's "what a DELE needs": without a RETR
 * only what the journal vouches for is deleted, a row DELIVERED whose UID
 * occurs once in this listing and once in the journal, with the size that
 * LIST gave then. Anything less is retrieved again and compared.
 */
#pragma once

#include "base.h"
#include "error.h"
#include "journal.h"
#include "listing.h"

enum plan_action {
	PLAN_KEEP = 0, /* known, stays on the server */
	PLAN_DELETE,   /* vouched for: DELE without RETR */
	PLAN_FETCH,    /* unknown: RETR and deliver */
	PLAN_COMPARE,  /* perhaps known: RETR, deliver only if its contents are new */
};

struct plan_item {
	enum plan_action action;
	uint32_t number;
	int64_t list_size; /* -1: unknown */
	struct bytes uid;  /* borrowed from the listing */
	int64_t row_id;	   /* KEEP and DELETE: whose row it is; else 0 */
};

struct plan {
	struct plan_item *items; /* in the listing's order */
	size_t n_items;
	size_t *retrieve; /* indexes of FETCH and COMPARE, in the order to send */
	size_t n_retrieve;
	int64_t *gone; /* rows DELIVERED that a complete listing no longer names */
	size_t n_gone;
};

struct plan_input {
	const struct listing *listing;
	const struct journal_rows *rows;
	bool keeps_mail; /* keep = "forever" */
};

int plan_make(const struct plan_input *input, struct plan *ret,
	      struct error *err) _must_check_;
void plan_done(struct plan *plan);

/*
 * Moves to the end of plan->retrieve what has made trouble, in the order it
 * was. troubles[i] belongs to plan->retrieve[i].
 */
int plan_put_last(struct plan *plan, const uint32_t *troubles,
		  struct error *err) _must_check_;
