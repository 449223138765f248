/*
 * delivery.h - the life of a message: the one place where durability is decided.
 *
 * Ties the Maildir to the journal in the order of DESIGN section 3; the table
 * of states stands at the top of delivery.c. Errors are ERROR_LOCAL.
 */
#pragma once

#include "base.h"
#include "error.h"
#include "journal.h"
#include "maildir.h"

struct delivery;

struct delivery_limits {
	unsigned batch_messages;
	uint64_t batch_bytes;
	uint64_t batch_time_usec;
};

/* Both are borrowed and outlive the delivery. */
int delivery_new(struct maildir *maildir, struct journal *journal,
		 const struct delivery_limits *limits, struct delivery **ret,
		 struct error *err) _must_check_;
/* What was not closed is discarded: its files are unlinked. */
void delivery_free(struct delivery **delivery);

/* One message arrives at a time, beside the open batch. */
int delivery_begin(struct delivery *delivery, struct error *err) _must_check_;
int delivery_write(struct delivery *delivery, const char *data, size_t len,
		   struct error *err) _must_check_;
void delivery_abandon(struct delivery *delivery); /* harmless when none arrives */

struct delivery_message {
	size_t item;	   /* the caller's number for it, given back for its DELE */
	size_t rank;	   /* its place among the messages of this visit */
	struct bytes uid;  /* borrowed until the visit ends */
	int64_t list_size; /* -1: unknown */
	bool is_compared;  /* deliver only if no row of this uid has the same contents */
};

/* The arriving message is complete and joins the open batch. */
int delivery_end(struct delivery *delivery,
		 const struct delivery_message *message, struct error *err)
	_must_check_;

/* Messages in the open batch. */
size_t delivery_open_count(const struct delivery *delivery);

/* True when the open batch has reached a limit; now is CLOCK_MONOTONIC. */
bool delivery_is_due(const struct delivery *delivery, uint64_t now);

/*
 * Stages and publishes the open batch, and records the one before as
 * DELIVERED. On failure the batch is void, or left to recovery when its STAGED
 * rows may be durable.
 */
int delivery_close_batch(struct delivery *delivery, struct error *err)
	_must_check_;

/* Drops the messages of the open batch from this rank on: they are doubtful. */
void delivery_void_from(struct delivery *delivery, size_t rank);

/* To be recorded with the last commit of the visit. */
int delivery_note_gone(struct delivery *delivery, const int64_t *row_ids,
		       size_t n, struct error *err) _must_check_;
/* Kept as it is: a row that a KEEP took is no match for another message. */
int delivery_note_used(struct delivery *delivery, int64_t row_id,
		       struct error *err) _must_check_;
void delivery_note_trouble(struct delivery *delivery, struct bytes uid);
void delivery_note_listing(struct delivery *delivery); /* it was complete */

/* Records the last published batch as DELIVERED, and what was noted. */
int delivery_finish(struct delivery *delivery, struct error *err) _must_check_;

/*
 * The next item that may be deleted on the server: it was received whole in
 * this visit and a commit calls it DELIVERED. False: none.
 */
bool delivery_next_deletable(struct delivery *delivery, size_t *ret_item);

/*
 * Renames tmp/BASE into new/ for a row STAGED. When that name exists there a
 * new one is committed first. new/ is not synced. Recovery does the same.
 */
int delivery_publish(struct maildir *maildir, struct journal *journal,
		     const struct journal_row *row, struct error *err)
	_must_check_;

/* Newly published in this visit, durable. */
uint32_t delivery_count(const struct delivery *delivery);
uint64_t delivery_bytes(const struct delivery *delivery);
