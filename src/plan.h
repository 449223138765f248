/*
 * plan.h - listing + journal + policy -> what to fetch, delete, keep.
 *
 * Pure. The rule is DESIGN section 3's "what a DELE needs": without a RETR
 * only what the journal vouches for is deleted, a row DELIVERED whose UID
 * occurs once in this listing and once in the journal, with the size that
 * LIST gave then. Anything less is retrieved again. A UID is no identity:
 * what is retrieved may be the message of any row that the listing does not
 * account for, and only its contents can tell (known.h). A row SEEN keeps its
 * message on the server, whatever the policy.
 */
#pragma once

#include "journal.h"
#include "listing.h"

/* A row that no KEEP and no DELETE accounts for. */
struct plan_loose {
	int64_t row_id;
	struct bytes uid; /* the plan's */
	enum journal_state state;
	bool is_absent; /* DELIVERED or SEEN, and the listing lacks its UID */
};

struct plan {
	struct plan_item *items; /* the listing's: borrowed, in its order */
	size_t n_items;
	size_t *retrieve; /* indexes of FETCH, in the order to send */
	size_t n_retrieve;
	size_t n_untroubled; /* of them: those behind have made trouble */
	struct plan_loose *loose; /* what a fetched message may turn out to be */
	size_t n_loose;
	size_t cap_loose;
	size_t n_put_off; /* left for another day: troubles beyond their limit */
	size_t n_unfit;	  /* left on the server: the disk has no room for them */
	uint64_t unfit_bytes;
};

/*
 * Gives the next row of the journal, in the order (uid bytes, occurrence): 1,
 * 0 when there are no more, or -1. Its uid lasts until the next call. There
 * may be many rows, of which few matter, so they are looked at one by one.
 */
typedef int plan_next_row(void *source, struct journal_row *ret,
			  struct error *err);

struct plan_input {
	struct listing *listing; /* what is decided is written into its items */
	plan_next_row *next_row; /* NULL: nothing is known */
	void *source;
	bool keeps_mail; /* keep = "forever" */
};

int plan_make(const struct plan_input *input, struct plan *ret,
	      struct error *err) _must_check_;
void plan_done(struct plan *plan);

/*
 * Moves to the end of plan->retrieve what has made trouble, what has made it
 * more often behind the others, since one that breaks each visit must not stand
 * before one that was once there when a visit broke. What has made trouble
 * PLAN_TROUBLES_MAX times is tried once a day only.
 * troubles[i] belongs to plan->retrieve[i].
 */
#define PLAN_TROUBLES_MAX 10
int plan_put_last(struct plan *plan, const struct journal_trouble *troubles,
		  uint64_t now_sec, struct error *err) _must_check_;

/* Leaves out of plan->retrieve what would overfill the disk, by LIST's sizes. */
void plan_fit(struct plan *plan, uint64_t free_bytes);
