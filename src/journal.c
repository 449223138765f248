/*
 * journal.c - what is known of one account's messages: the rows, and how they
 * change.
 *
 * Refuses to write outside a transaction. A commit that fails is the visit's
 * last write: journal_open.c says why.
 */
#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "journal_db.h"
#include "journal_lock.h"

#define GONE_KEPT_SEC      (30 * INT64_C(86400))
#define GONE_KEPT_LISTINGS 20
#define LISTING_EVERY_SEC  INT64_C(86400)

/* ---- transactions ---- */

static bool has_changed(const struct journal *journal)
{
	return sqlite3_total_changes(journal->db) != journal->changes_at_begin;
}

/*
 * SQLite itself rolls back when a disk is full or fails. What follows would
 * then be committed at once, each piece alone.
 */
static int need_transaction(const struct journal *journal, struct error *err)
{
	if (!sqlite3_get_autocommit(journal->db))
		return 0;
	return error_set(err, ERROR_LOCAL, "no transaction is open in %s",
			 journal->path);
}

int journal_begin(struct journal *journal, struct error *err)
{
	if (journal->has_failed)
		return error_set(err, ERROR_LOCAL,
				 "an earlier write to %s has failed",
				 journal->path);
	if (db_execute(journal, db_statement(journal, BEGIN), err) < 0)
		return -1;
	journal->changes_at_begin = sqlite3_total_changes(journal->db);
	return 0;
}

void journal_rollback(struct journal *journal)
{
	struct error ignored;

	if (sqlite3_get_autocommit(journal->db))
		return; /* SQLite may have rolled back itself */
	if (db_execute(journal, db_statement(journal, ROLLBACK), &ignored) < 0)
		return; /* nothing is committed, whatever became of it */
}

int journal_commit(struct journal *journal, struct error *err)
{
	if (need_transaction(journal, err) < 0)
		return -1;
	if (has_changed(journal) && journal_lock_mark(journal, err) < 0) {
		journal_rollback(journal);
		return -1;
	}
	if (db_execute(journal, db_statement(journal, COMMIT), err) < 0) {
		journal->has_failed = true;
		journal_rollback(journal);
		return -1;
	}
	return 0;
}

/* ---- reading rows ---- */

void journal_rows_done(struct journal_rows *rows)
{
	free(rows->rows);
	free(rows->text);
	*rows = (struct journal_rows){ 0 };
}

#define _cleanup_rows_ _cleanup_(journal_rows_done)

static int compare_rows(const void *a, const void *b)
{
	const struct journal_row *one = a;
	const struct journal_row *two = b;
	int order = memcmp(one->uid.data, two->uid.data,
			   MIN(one->uid.len, two->uid.len));

	if (order != 0)
		return order;
	if (one->uid.len != two->uid.len)
		return one->uid.len < two->uid.len ? -1 : 1;
	return (one->occurrence > two->occurrence) -
	       (one->occurrence < two->occurrence);
}

/* Room for all rows and their text; *ret_text_size counts the latter. */
static int measure(struct journal *journal, enum statement which,
		   struct journal_rows *ret, size_t *ret_text_size,
		   struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, which);
	int64_t n_rows;

	if (db_step(journal, stmt, err) < 0)
		return -1;
	n_rows = sqlite3_column_int64(stmt, 0);
	*ret_text_size = (size_t)sqlite3_column_int64(stmt, 1);
	(void)sqlite3_reset(stmt);

	ret->rows = calloc((size_t)n_rows + 1, sizeof(*ret->rows));
	ret->text = malloc(*ret_text_size + 1);
	if (!ret->rows || !ret->text)
		return error_set_memory(err);
	ret->n_rows = (size_t)n_rows;
	return 0;
}

static size_t row_text_size(sqlite3_stmt *stmt)
{
	return (size_t)sqlite3_column_bytes(stmt, 1) +
	       (size_t)sqlite3_column_bytes(stmt, 5) + 1;
}

/* The file may have been made by anyone: what is not sane is not passed on. */
static int check_row(const struct journal *journal, sqlite3_stmt *stmt,
		     size_t text_left, struct error *err)
{
	int64_t occurrence = sqlite3_column_int64(stmt, 2);
	int64_t state = sqlite3_column_int64(stmt, 3);

	if (!sqlite3_column_text(stmt, 5))
		return error_set_memory(err);
	if (occurrence < 1 || occurrence > UINT32_MAX ||
	    state < JOURNAL_STAGED || state > JOURNAL_SEEN ||
	    sqlite3_column_int64(stmt, 6) < 0 ||
	    row_text_size(stmt) > text_left)
		return db_damaged(journal, "a row makes no sense", err);
	return 0;
}

/* Text in SQLite is terminated, so that base can be copied with its end. */
static void read_row(sqlite3_stmt *stmt, char *text, struct journal_row *ret)
{
	const void *uid = sqlite3_column_blob(stmt, 1);
	const void *base = sqlite3_column_text(stmt, 5);
	size_t uid_len = (size_t)sqlite3_column_bytes(stmt, 1);
	size_t base_len = (size_t)sqlite3_column_bytes(stmt, 5);

	if (uid_len > 0)
		memcpy(text, uid, uid_len);
	memcpy(text + uid_len, base, base_len + 1);
	*ret = (struct journal_row){
		.id = sqlite3_column_int64(stmt, 0),
		.uid = { text, uid_len },
		.occurrence = (uint32_t)sqlite3_column_int64(stmt, 2),
		.state = (enum journal_state)sqlite3_column_int(stmt, 3),
		.list_size = sqlite3_column_int64(stmt, 4),
		.base = text + uid_len,
		.size_bytes = (uint64_t)sqlite3_column_int64(stmt, 6),
	};
}

static int load(struct journal *journal, enum statement measured,
		enum statement loaded, struct journal_rows *ret,
		struct error *err)
{
	_cleanup_rows_ struct journal_rows rows = { 0 };
	sqlite3_stmt *stmt = db_statement(journal, loaded);
	size_t text_left;
	size_t n = 0;
	char *text;
	int r = 0;

	if (measure(journal, measured, &rows, &text_left, err) < 0)
		return -1;
	text = rows.text;
	while (n < rows.n_rows && (r = db_step(journal, stmt, err)) > 0) {
		r = check_row(journal, stmt, text_left, err);
		if (r < 0)
			break;
		read_row(stmt, text, &rows.rows[n++]);
		text += row_text_size(stmt);
		text_left -= row_text_size(stmt);
	}
	(void)sqlite3_reset(stmt); /* repeats the last step's error */
	if (r < 0)
		return -1;

	rows.n_rows = n;
	qsort(rows.rows, n, sizeof(*rows.rows), compare_rows);
	*ret = rows;
	rows = (struct journal_rows){ 0 }; /* handed over */
	return 0;
}

int journal_load(struct journal *journal, struct journal_rows *ret,
		 struct error *err)
{
	return load(journal, MEASURE, LOAD, ret, err);
}

int journal_load_staged(struct journal *journal, struct journal_rows *ret,
			struct error *err)
{
	return load(journal, MEASURE_STAGED, LOAD_STAGED, ret, err);
}

/* As check_row, of what a walk reads. */
static int check_walked(const struct journal *journal, sqlite3_stmt *stmt,
			struct error *err)
{
	int64_t occurrence = sqlite3_column_int64(stmt, 2);
	int64_t state = sqlite3_column_int64(stmt, 3);

	if (occurrence < 1 || occurrence > UINT32_MAX ||
	    state < JOURNAL_STAGED || state > JOURNAL_SEEN)
		return db_damaged(journal, "a row makes no sense", err);
	if (!sqlite3_column_blob(stmt, 1) && sqlite3_column_bytes(stmt, 1) > 0)
		return error_set_memory(err);
	return 0;
}

void journal_begin_walk(struct journal *journal)
{
	(void)db_statement(journal, WALK); /* journal_walk tells */
}

int journal_walk(struct journal *journal, struct journal_row *ret,
		 struct error *err)
{
	sqlite3_stmt *stmt = journal->statements[WALK];
	int r = db_step(journal, stmt, err);

	if (r <= 0)
		return r;
	if (check_walked(journal, stmt, err) < 0) {
		(void)sqlite3_reset(stmt);
		return -1;
	}
	*ret = (struct journal_row){
		.id = sqlite3_column_int64(stmt, 0),
		.uid.data = sqlite3_column_blob(stmt, 1),
		.uid.len = (size_t)sqlite3_column_bytes(stmt, 1),
		.occurrence = (uint32_t)sqlite3_column_int64(stmt, 2),
		.state = (enum journal_state)sqlite3_column_int(stmt, 3),
		.list_size = sqlite3_column_int64(stmt, 4),
	};
	return 1;
}

static int is_there(struct journal *journal, enum statement which, bool *ret,
		    struct error *err)
{
	int64_t exists;

	if (db_get_number(journal, db_statement(journal, which), 0, &exists,
			  err) < 0)
		return -1;
	*ret = exists != 0;
	return 0;
}

int journal_has_uids(struct journal *journal, bool *ret, struct error *err)
{
	return is_there(journal, HAS_UIDS, ret, err);
}

int journal_has_troubles(struct journal *journal, bool *ret, struct error *err)
{
	return is_there(journal, HAS_TROUBLES, ret, err);
}

int journal_has_base(struct journal *journal, const char *base, bool *ret,
		     int64_t *ret_id, uint64_t *ret_size_bytes,
		     struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, FIND_BASE);
	int r;

	db_bind_text(stmt, 1, base);
	r = db_step(journal, stmt, err);
	if (r < 0)
		return -1;
	*ret = r > 0;
	*ret_id = r > 0 ? sqlite3_column_int64(stmt, 0) : 0;
	*ret_size_bytes = r > 0 ? (uint64_t)sqlite3_column_int64(stmt, 1) : 0;
	(void)sqlite3_reset(stmt);
	return 0;
}

int journal_get_digest(struct journal *journal, int64_t id,
		       uint8_t ret[DIGEST_SIZE], struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, GET_DIGEST);
	int r;

	db_bind_number(stmt, 1, id);
	r = db_step(journal, stmt, err);
	if (r < 0)
		return -1;
	if (r == 0 || sqlite3_column_bytes(stmt, 0) != DIGEST_SIZE) {
		(void)sqlite3_reset(stmt);
		return db_damaged(journal, "a row has no digest", err);
	}
	memcpy(ret, sqlite3_column_blob(stmt, 0), DIGEST_SIZE);
	(void)sqlite3_reset(stmt);
	return 0;
}

/* ---- changing rows ---- */

int journal_stage(struct journal *journal, const struct journal_entry *entry,
		  int64_t *ret_id, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, STAGE);

	if (need_transaction(journal, err) < 0)
		return -1;
	db_bind_uid(stmt, 1, entry->uid);
	db_bind_number(stmt, 2, entry->list_size);
	db_bind_text(stmt, 3, entry->base);
	db_bind_number(stmt, 4, (int64_t)entry->size_bytes);
	db_bind_digest(stmt, 5, entry->digest);
	db_bind_number(stmt, 6, db_clock_sec());
	if (db_execute(journal, stmt, err) < 0)
		return -1;
	*ret_id = sqlite3_last_insert_rowid(journal->db);
	return 0;
}

/* To change nothing is no error, unless there is no such row. */
static int change_row(struct journal *journal, sqlite3_stmt *stmt, int64_t id,
		      struct error *err)
{
	int64_t exists;

	if (need_transaction(journal, err) < 0)
		return -1;
	db_bind_number(stmt, 1, id);
	if (db_execute(journal, stmt, err) < 0)
		return -1;
	if (sqlite3_changes(journal->db) > 0)
		return 0;

	stmt = db_statement(journal, FIND_ID);
	db_bind_number(stmt, 1, id);
	if (db_get_number(journal, stmt, 0, &exists, err) < 0)
		return -1;
	if (!exists)
		return error_set(err, ERROR_LOCAL, "%s has no row %lld",
				 journal->path, (long long)id);
	return 0;
}

int journal_set_state(struct journal *journal, int64_t id,
		      enum journal_state state, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, SET_STATE);

	db_bind_number(stmt, 2, state);
	db_bind_number(stmt, 3, db_clock_sec());
	return change_row(journal, stmt, id, err);
}

int journal_confirm(struct journal *journal, int64_t id, struct bytes uid,
		    int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, NOTE_RETURNED);

	if (need_transaction(journal, err) < 0)
		return -1;
	db_bind_number(stmt, 1, id);
	db_bind_number(stmt, 2, JOURNAL_QUIT_LIED_AT);
	db_bind_number(stmt, 3, db_clock_sec());
	if (db_execute(journal, stmt, err) < 0)
		return -1;

	stmt = db_statement(journal, CONFIRM);
	db_bind_number(stmt, 2, list_size);
	db_bind_number(stmt, 3, db_clock_sec());
	db_bind_uid(stmt, 4, uid);
	return change_row(journal, stmt, id, err);
}

int journal_set_base(struct journal *journal, int64_t id, const char *base,
		     struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, SET_BASE);

	db_bind_text(stmt, 2, base);
	return change_row(journal, stmt, id, err);
}

int journal_forget(struct journal *journal, int64_t id, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, FORGET);

	if (need_transaction(journal, err) < 0)
		return -1;
	db_bind_number(stmt, 1, id);
	return db_execute(journal, stmt, err);
}

/* ---- what may be lost ---- */

static int begin_unsynced(struct journal *journal, struct error *err)
{
	if (db_run(journal, "PRAGMA synchronous = NORMAL", err) < 0)
		return -1;
	return journal_begin(journal, err);
}

/* Ends what begin_unsynced began, also where that or what followed failed. */
static int end_unsynced(struct journal *journal, int r, struct error *err)
{
	if (r < 0)
		journal_rollback(journal);
	else
		r = journal_commit(journal, err);
	if (db_run(journal, "PRAGMA synchronous = FULL", err) < 0)
		return -1;
	return r;
}

static int mark_deleted(struct journal *journal, const int64_t *ids, size_t n,
			struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (journal_set_state(journal, ids[i], JOURNAL_DELETED, err) <
		    0)
			return -1;
	return 0;
}

int journal_record_deleted(struct journal *journal, const int64_t *ids,
			   size_t n, struct error *err)
{
	int64_t lied_at;
	int r;

	if (journal_get_fact(journal, JOURNAL_QUIT_LIED_AT, &lied_at, err) < 0)
		return -1;
	if (n == 0 || db_clock_sec() - lied_at < GONE_KEPT_SEC)
		return 0;

	r = begin_unsynced(journal, err);
	if (r == 0)
		r = mark_deleted(journal, ids, n, err);
	return end_unsynced(journal, r, err);
}

/* ---- a person's word ---- */

int journal_mark_seen(struct journal *journal, struct bytes uid,
		      int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, MARK_SEEN);

	if (need_transaction(journal, err) < 0)
		return -1;
	db_bind_uid(stmt, 1, uid);
	db_bind_number(stmt, 2, list_size);
	db_bind_number(stmt, 3, db_clock_sec());
	return db_execute(journal, stmt, err);
}

int journal_end_marking(struct journal *journal, struct error *err)
{
	return journal_set_fact(journal, JOURNAL_AWAITS_MARK, 0, err);
}

int journal_forget_all(struct journal *journal, uint32_t *ret_n,
		       struct error *err)
{
	uint32_t n;

	if (need_transaction(journal, err) < 0 ||
	    db_execute(journal, db_statement(journal, FORGET_ALL), err) < 0)
		return -1;
	n = (uint32_t)sqlite3_changes(journal->db);
	if (db_execute(journal, db_statement(journal, FORGET_TROUBLE), err) <
		    0 ||
	    journal_end_marking(journal, err) < 0)
		return -1;
	*ret_n = n;
	return 0;
}

/* ---- listings ---- */

static int drop_old(struct journal *journal, int64_t now, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, DROP_GONE);

	db_bind_number(stmt, 1, now - GONE_KEPT_SEC);
	db_bind_number(stmt, 2, GONE_KEPT_LISTINGS);
	if (db_execute(journal, stmt, err) < 0)
		return -1;

	/* A message that left by another way took no leave of us. */
	stmt = db_statement(journal, DROP_TROUBLE);
	db_bind_number(stmt, 1, now - GONE_KEPT_SEC);
	return db_execute(journal, stmt, err);
}

int journal_count_listing(struct journal *journal, uint64_t now_sec,
			  struct error *err)
{
	int64_t now = (int64_t)now_sec;
	sqlite3_stmt *stmt;
	int64_t counted_at;

	if (need_transaction(journal, err) < 0 ||
	    db_get_number(journal, db_statement(journal, GET_COUNTED), 0,
			  &counted_at, err) < 0)
		return -1;
	/* A count from the future was made by a clock that was wrong. */
	if (counted_at <= now && now - counted_at < LISTING_EVERY_SEC)
		return 0;

	stmt = db_statement(journal, COUNT_LISTING);
	db_bind_number(stmt, 1, now);
	if (db_execute(journal, stmt, err) < 0)
		return -1;
	return drop_old(journal, now, err);
}

/* ---- troubles and facts ---- */

/* Without a UID a message goes by its size: no UID has a NUL in it. */
static void bind_trouble(sqlite3_stmt *stmt, struct bytes uid,
			 int64_t list_size)
{
	char key[24] = { 0 };

	if (uid.len > 0) {
		db_bind_uid(stmt, 1, uid);
		return;
	}
	(void)snprintf(key + 1, sizeof(key) - 1, "%" PRId64, list_size);
	(void)sqlite3_bind_blob64(stmt, 1, key, 1 + strlen(key + 1),
				  SQLITE_TRANSIENT);
}

int journal_note_trouble(struct journal *journal, struct bytes uid,
			 int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, NOTE_TROUBLE);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_trouble(stmt, uid, list_size);
	db_bind_number(stmt, 2, db_clock_sec());
	return db_execute(journal, stmt, err);
}

int journal_clear_trouble(struct journal *journal, struct bytes uid,
			  int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, CLEAR_TROUBLE);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_trouble(stmt, uid, list_size);
	return db_execute(journal, stmt, err);
}

int journal_get_trouble(struct journal *journal, struct bytes uid,
			int64_t list_size, struct journal_trouble *ret,
			struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, GET_TROUBLE);
	int r;

	bind_trouble(stmt, uid, list_size);
	r = db_step(journal, stmt, err);
	if (r < 0)
		return -1;
	*ret = (struct journal_trouble){ 0 };
	if (r > 0) {
		ret->times = (uint32_t)sqlite3_column_int64(stmt, 0);
		ret->noted_sec = (uint64_t)sqlite3_column_int64(stmt, 1);
	}
	(void)sqlite3_reset(stmt);
	return 0;
}

int journal_get_fact(struct journal *journal, enum journal_fact fact,
		     int64_t *ret, struct error *err)
{
	sqlite3_stmt *stmt = db_statement(journal, GET_FACT);

	db_bind_number(stmt, 1, fact);
	return db_get_number(journal, stmt, 0, ret, err);
}

int journal_set_fact(struct journal *journal, enum journal_fact fact,
		     int64_t value, struct error *err)
{
	sqlite3_stmt *stmt;
	int64_t old;

	if (need_transaction(journal, err) < 0 ||
	    journal_get_fact(journal, fact, &old, err) < 0)
		return -1;
	if (old == value)
		return 0;
	stmt = db_statement(journal, SET_FACT);
	db_bind_number(stmt, 1, fact);
	db_bind_number(stmt, 2, value);
	return db_execute(journal, stmt, err);
}

static int set_facts(struct journal *journal, const enum journal_fact *facts,
		     const int64_t *values, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (journal_set_fact(journal, facts[i], values[i], err) < 0)
			return -1;
	return 0;
}

int journal_record_facts(struct journal *journal,
			 const enum journal_fact *facts, const int64_t *values,
			 size_t n, struct error *err)
{
	int r = begin_unsynced(journal, err);

	if (r == 0)
		r = set_facts(journal, facts, values, n, err);
	return end_unsynced(journal, r, err);
}
