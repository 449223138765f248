/*
 * journal.h - what is known of one account's messages, durably.
 *
 * One SQLite file per account (WAL, synchronous=FULL, exclusive), owned by
 * the delivery user, locked for the whole visit. Nothing is flushed by a
 * visit that changes nothing: writes happen only between journal_begin and
 * journal_commit, and a commit without a change writes nothing. SQLite is
 * seen by the files of the journal alone. Errors are ERROR_LOCAL unless said.
 */
#pragma once

#include "base.h"
#include "error.h"
#include "digest.h"
#include "maildir.h"

struct journal;

enum journal_state {
	JOURNAL_STAGED = 1, /* fsynced in tmp/, being published */
	JOURNAL_DELIVERED,  /* durable in new/; DELE may follow */
	JOURNAL_GONE,	    /* and absent from a later complete listing */
	JOURNAL_DELETED,    /* and deleted by us, as the server said */
	JOURNAL_SEEN,	    /* known by a person's word, not received: no DELE */
};

struct journal_identity {
	const char *host;
	uint16_t port;
	const char *username;
	const char *account; /* its name, for messages; NULL: not known */
};

/*
 * Locks dir/lock, then opens dir/journal.sqlite and makes it if it never was.
 * ERROR_BUSY with the other's pid when it is locked; ERROR_CONFIG when it is
 * missing where there was one, corrupt, of a newer version, begun by a
 * --mark-seen that did not end, or another identity's: the text says which file
 * and what to do about it. Another port of the same host and user is the same mailbox. After a visit that was killed
 * while it wrote, the file is checked and all that can be read is synced.
 */
int journal_open(const char *dir, const struct journal_identity *identity,
		 struct journal **ret, struct error *err) _must_check_;

/*
 * The same for a person who has decided what shall be known. Every page and
 * row is checked, and a journal that is good for nothing (but not another
 * identity's) is moved away beside and made anew. One that was made with
 * is_to_mark is refused by journal_open until journal_end_marking is committed,
 * so that a mark that fails is not followed by a visit that fetches everything.
 */
int journal_open_anyway(const char *dir,
			const struct journal_identity *identity,
			bool is_to_mark, struct journal **ret,
			struct error *err) _must_check_;
/* Where journal_open_anyway has moved the old one, or NULL. Borrowed. */
const char *journal_moved_to(const struct journal *journal);
void journal_close(struct journal **journal); /* rolls back what is open, unlocks */
#define _cleanup_journal_ _cleanup_(journal_close)

/* The directory that holds it, to be kept in the sandbox. Borrowed. */
int journal_directory(const struct journal *journal);

/* Random, made with the journal: [0-9a-f]{12}. Borrowed. */
const char *journal_tag(const struct journal *journal);

struct journal_row {
	int64_t id;
	struct bytes uid;    /* empty: the server gave none */
	uint32_t occurrence; /* 1.. : copies that share a UID */
	enum journal_state state;
	int64_t list_size;   /* what LIST said then; -1: nothing */
	const char *base;    /* its name in the Maildir */
	uint64_t size_bytes; /* its size there */
};

/* Rows and their text, in the order (uid bytes, occurrence). */
struct journal_rows {
	struct journal_row *rows;
	size_t n_rows;
	char *text;	/* owns what the rows point to */
};

void journal_rows_done(struct journal_rows *rows);
int journal_load(struct journal *journal, struct journal_rows *ret,
		 struct error *err) _must_check_;

/*
 * All rows, one by one and in the same order, for a plan: 1 with the next one,
 * 0 when there are no more, or -1. The uid is borrowed until the next call;
 * base is NULL and size_bytes 0. Nothing is written before the walk's end.
 */
void journal_begin_walk(struct journal *journal);
int journal_walk(struct journal *journal, struct journal_row *ret,
		 struct error *err) _must_check_;

/* Whether any row has a uid; whether any message has made trouble. */
int journal_has_uids(struct journal *journal, bool *ret, struct error *err)
	_must_check_;
int journal_has_troubles(struct journal *journal, bool *ret, struct error *err)
	_must_check_;

/* Only those STAGED: what recovery must look at. */
int journal_load_staged(struct journal *journal, struct journal_rows *ret,
			struct error *err) _must_check_;

/* True when a row, in whatever state, names this base: *ret says so. */
int journal_has_base(struct journal *journal, const char *base, bool *ret,
		     int64_t *ret_id, uint64_t *ret_size_bytes,
		     struct error *err) _must_check_;

/* What the contents of this row's message were. */
int journal_get_digest(struct journal *journal, int64_t id,
		       uint8_t ret[DIGEST_SIZE], struct error *err)
	_must_check_;

int journal_begin(struct journal *journal, struct error *err) _must_check_;

struct journal_entry {
	struct bytes uid;
	int64_t list_size;
	const char *base;
	uint64_t size_bytes;
	const uint8_t *digest; /* DIGEST_SIZE bytes */
};

/* A new row, STAGED, with the next free occurrence of its uid. */
int journal_stage(struct journal *journal, const struct journal_entry *entry,
		  int64_t *ret_id, struct error *err) _must_check_;
int journal_set_state(struct journal *journal, int64_t id,
		      enum journal_state state, struct error *err) _must_check_;
/*
 * The row is the message that the server now lists with this UID and size;
 * makes it DELIVERED. A row DELETED that is listed again says that this
 * server's word is not to be taken: see journal_record_deleted.
 */
int journal_confirm(struct journal *journal, int64_t id, struct bytes uid,
		    int64_t list_size, struct error *err) _must_check_;
int journal_set_base(struct journal *journal, int64_t id, const char *base,
		     struct error *err) _must_check_;
int journal_forget(struct journal *journal, int64_t id, struct error *err)
	_must_check_;

/* A new row, SEEN: it has no name, no size and no contents. */
int journal_mark_seen(struct journal *journal, struct bytes uid,
		      int64_t list_size, struct error *err) _must_check_;
/* From its commit on the journal is as good as any. */
int journal_end_marking(struct journal *journal, struct error *err)
	_must_check_;
/* All rows and troubles, and a marking that did not end; *ret_n counts rows. */
int journal_forget_all(struct journal *journal, uint32_t *ret_n,
		       struct error *err) _must_check_;

/*
 * After QUIT: the server said that it deleted these. The word is not taken
 * for 30 days when it proved false. A transaction of its own, whole or not at
 * all but not synced: when it is lost, so was the reply to QUIT.
 */
int journal_record_deleted(struct journal *journal, const int64_t *ids,
			   size_t n, struct error *err) _must_check_;

/*
 * Counts one complete listing, at most one a day: an idle account flushes
 * once a day, and a clock that jumps makes no more than one day of it. Drops
 * rows GONE or DELETED for 30 days and 20 such listings.
 */
int journal_count_listing(struct journal *journal, uint64_t now_sec,
			  struct error *err) _must_check_;

/* Durable when it returns 0. When it fails everything since begin is undone. */
int journal_commit(struct journal *journal, struct error *err) _must_check_;
void journal_rollback(struct journal *journal); /* harmless when none is open */

/*
 * A message that broke a visit or was refused: it goes last in the next one.
 * By UID, or by its size where it has none; each call counts one more time.
 * Noting and clearing need an open transaction.
 */
struct journal_trouble {
	uint32_t times;	    /* 0: never */
	uint64_t noted_sec; /* since 1970: the last time */
};

int journal_note_trouble(struct journal *journal, struct bytes uid,
			 int64_t list_size, struct error *err) _must_check_;
int journal_clear_trouble(struct journal *journal, struct bytes uid,
			  int64_t list_size, struct error *err) _must_check_;
int journal_get_trouble(struct journal *journal, struct bytes uid,
			int64_t list_size, struct journal_trouble *ret,
			struct error *err) _must_check_;

/*
 * Small facts of the account that outlive a visit, by name. The value of one
 * never set is 0. Setting needs an open transaction; the same value again is
 * no change.
 */
enum journal_fact {
	JOURNAL_REFUSED_AT = 1,	     /* seconds since 1970: login refused */
	JOURNAL_REFUSED_TIMES,	     /* in a row */
	JOURNAL_REFUSED_FINGERPRINT, /* 32 bits of what was refused: secret and settings */
	JOURNAL_APOP_REFUSED,	     /* 32 bits of greeting, capabilities and secret */
	JOURNAL_QUIT_LIED_AT,	     /* seconds since 1970: it kept what it said it deleted */
	JOURNAL_AWAITS_MARK,	     /* 1: made for a marking that has not ended */
	JOURNAL_CAPA,		     /* these three: see capa_memory.c */
	JOURNAL_CAPA_AT,	     /* seconds since 1970 */
	JOURNAL_LOGIN_DELAY,	     /* seconds */
};
int journal_get_fact(struct journal *journal, enum journal_fact fact,
		     int64_t *ret, struct error *err) _must_check_;
int journal_set_fact(struct journal *journal, enum journal_fact fact,
		     int64_t value, struct error *err) _must_check_;

/*
 * What may be lost: a transaction of its own, whole or not at all but not
 * synced.
 */
int journal_record_facts(struct journal *journal,
			 const enum journal_fact *facts, const int64_t *values,
			 size_t n, struct error *err) _must_check_;
