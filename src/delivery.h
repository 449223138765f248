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
#include "known.h"
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
	struct bytes uid;  /* borrowed until the visit ends */
	int64_t list_size; /* -1: unknown */
};

/*
 * The arriving message is complete and joins the open batch. One whose
 * contents are known is not delivered a second time.
 */
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

/* Drops the messages of the open batch: they are doubtful. */
void delivery_void_batch(struct delivery *delivery);

/*
 * What was delivered before and may be listed under another name: messages
 * that end from now on are compared with it. Borrowed. What of it is absent
 * and does not turn up is recorded as GONE with the visit's last commit.
 */
void delivery_compare_with(struct delivery *delivery, struct known *known);

/* To be recorded with the last commit of the visit. */
void delivery_note_trouble(struct delivery *delivery, struct bytes uid,
			   int64_t list_size);
void delivery_note_listing(struct delivery *delivery); /* it was complete */

/* Records the last published batch as DELIVERED, and what was noted. */
int delivery_finish(struct delivery *delivery, struct error *err) _must_check_;

/*
 * Nothing more will be added: gives back what the syncs took, for which the
 * kernel takes its time. Best while the server is at work.
 */
void delivery_rest(struct delivery *delivery);

/*
 * The next item that may be deleted on the server, and its row: it was received
 * whole in this visit and a commit calls it DELIVERED. False: none.
 */
bool delivery_next_deletable(struct delivery *delivery, size_t *ret_item,
			     int64_t *ret_row_id);

/* The server has said +OK to the DELE of this row's message. */
int delivery_note_deleted(struct delivery *delivery, int64_t row_id,
			  struct error *err) _must_check_;
/* And to QUIT. Not synced: see journal_record_deleted. */
int delivery_record_deleted(struct delivery *delivery, struct error *err)
	_must_check_;

/*
 * Renames tmp/BASE into new/ for a row STAGED. When that name exists there a
 * new one is committed first. new/ is not synced. Recovery does the same.
 */
int delivery_publish(struct maildir *maildir, struct journal *journal,
		     const struct journal_row *row, struct error *err)
	_must_check_;

/* Newly published in this visit. */
uint32_t delivery_count(const struct delivery *delivery);
uint64_t delivery_bytes(const struct delivery *delivery);
