/*
 * journal_db.h - SQLite, as the files of the journal use it. Theirs alone.
 *
 * journal_lock.c has the directory and its lock, journal_open.c the database
 * from its file to its end, journal.c the rows in it.
 */
#pragma once

#include <sqlite3.h>

#include "digest.h"
#include "error.h"
#include "maildir.h"

#define JOURNAL_FILE_NAME "journal.sqlite"

enum statement {
	BEGIN = 0,
	COMMIT,
	ROLLBACK,
	MEASURE,
	LOAD,
	MEASURE_STAGED,
	LOAD_STAGED,
	WALK,
	HAS_UIDS,
	HAS_TROUBLES,
	FIND_BASE,
	GET_DIGEST,
	FIND_ID,
	STAGE,
	SET_STATE,
	CONFIRM,
	NOTE_RETURNED,
	SET_BASE,
	FORGET,
	MARK_SEEN,
	FORGET_ALL,
	FORGET_TROUBLE,
	GET_COUNTED,
	COUNT_LISTING,
	DROP_GONE,
	DROP_TROUBLE,
	NOTE_TROUBLE,
	CLEAR_TROUBLE,
	GET_TROUBLE,
	GET_FACT,
	SET_FACT,
	N_STATEMENTS,
};

/* What journal.h keeps to itself. */
struct journal {
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
	int dir_fd;
	int lock_fd;
	char *dir;
	char *path;     /* of the database */
	char *moved_to; /* where the old database is, when it was moved away */
	char *account;  /* its name, for messages; NULL: not known */
	char tag[MAILDIR_TAG_SIZE];
	int changes_at_begin;
	bool is_open;    /* journal_open went well */
	bool was_made;   /* there is or was a journal here */
	bool was_killed; /* the last visit to write did not end cleanly */
	bool has_marked; /* this visit wrote the mark into the lock file */
	bool has_failed; /* a commit: nothing more is written by this visit */
	bool is_to_mark; /* if it is made now, it awaits a marking */
	bool is_foreign; /* another identity's: never ours to move */
};

/* Returns -1: ERROR_CONFIG, with the two ways on from a journal like this. */
int db_useless(const struct journal *journal, const char *words,
	       struct error *err);
int db_damaged(const struct journal *journal, const char *words,
	       struct error *err);
/* Damaged, unless it was the disk that could not be read: ERROR_LOCAL. */
int db_damaged_or_unread(const struct journal *journal, const char *words,
			 struct error *err);
/* What SQLite's last call said; what: "read", "write", "open", "sync". */
int db_error(const struct journal *journal, const char *what,
	     struct error *err);

int64_t db_clock_sec(void);

/*
 * Reset, without parameters; prepared when it is first asked for, since a visit
 * that finds nothing new needs a third of them. Borrowed until the journal is
 * closed. NULL, which all below take, when it cannot be prepared: the step says
 * why.
 */
sqlite3_stmt *db_statement(struct journal *journal, enum statement which);

/* So that there is no failure between a beginning and its end. */
int db_prepare_transactions(struct journal *journal,
			    struct error *err) _must_check_;

/* For what is asked once, while the journal is opened. */
int db_prepare(struct journal *journal, const char *sql, sqlite3_stmt **ret,
	       struct error *err) _must_check_;
void db_statement_done(sqlite3_stmt **stmt);
#define _cleanup_statement_ _cleanup_(db_statement_done)

/* What they bind is borrowed until the statement was executed. */
void db_bind_uid(sqlite3_stmt *stmt, int index, struct bytes uid);
void db_bind_number(sqlite3_stmt *stmt, int index, int64_t value);
void db_bind_text(sqlite3_stmt *stmt, int index, const char *text);
void db_bind_digest(sqlite3_stmt *stmt, int index, const uint8_t *digest);

/* Returns 1 with a row, 0 when there are no more, or -1. */
int db_step(struct journal *journal, sqlite3_stmt *stmt, struct error *err)
	_must_check_;
int db_execute(struct journal *journal, sqlite3_stmt *stmt, struct error *err)
	_must_check_;
/* The one number of a query, or otherwise when it has no row. */
int db_get_number(struct journal *journal, sqlite3_stmt *stmt,
		  int64_t otherwise, int64_t *ret, struct error *err)
	_must_check_;
int db_run(struct journal *journal, const char *sql, struct error *err)
	_must_check_;

/* Closes the database and its statements; the lock stays. */
void db_drop(struct journal *journal);
