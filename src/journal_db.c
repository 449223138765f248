/*
 * journal_db.c - SQLite's statements and its errors, in our words.
 */
#include "journal_db.h"

#include <stdio.h>
#include <string.h>

#define MEASURE_SQL                                    \
	"SELECT count(*), coalesce(sum(length(uid) + " \
	"length(CAST(base AS BLOB)) + 1), 0) FROM message"
#define LOAD_SQL                                                          \
	"SELECT id, uid, occurrence, state, list_size, base, size_bytes " \
	"FROM message"

static const char *const statement_sql[] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[MEASURE] = MEASURE_SQL,
	[LOAD] = LOAD_SQL,
	[MEASURE_STAGED] = MEASURE_SQL " WHERE state = 1",
	[LOAD_STAGED] = LOAD_SQL " WHERE state = 1",
	[WALK] = "SELECT id, uid, occurrence, state, list_size FROM message "
		 "ORDER BY uid, occurrence",
	[HAS_UIDS] = "SELECT EXISTS (SELECT 1 FROM message WHERE uid > x'')",
	[HAS_TROUBLES] = "SELECT EXISTS (SELECT 1 FROM trouble)",
	[FIND_BASE] = "SELECT id, size_bytes FROM message WHERE base = ?1",
	[GET_DIGEST] = "SELECT digest FROM message WHERE id = ?1",
	[FIND_ID] = "SELECT 1 FROM message WHERE id = ?1",
	[STAGE] =
		"INSERT INTO message (uid, occurrence, state, list_size, base,"
		" size_bytes, digest, changed_at, gone_listings) VALUES (?1,"
		" (SELECT 1 + coalesce(max(occurrence), 0) FROM message"
		" WHERE uid = ?1), 1, ?2, ?3, ?4, ?5, ?6, 0)",
	[SET_STATE] = "UPDATE message SET state = ?2, changed_at = ?3, "
		      "gone_listings = (SELECT listings FROM identity) "
		      "WHERE id = ?1 AND state <> ?2",
	[CONFIRM] =
		"UPDATE message SET state = 2, list_size = ?2, changed_at = ?3,"
		" uid = ?4, occurrence = CASE WHEN uid = ?4 THEN occurrence"
		" ELSE (SELECT 1 + coalesce(max(occurrence), 0) FROM message"
		" WHERE uid = ?4) END WHERE id = ?1"
		" AND (state <> 2 OR list_size <> ?2 OR uid <> ?4)",
	[NOTE_RETURNED] = "INSERT INTO fact (key, value) SELECT ?2, ?3 "
			  "FROM message WHERE id = ?1 AND state = 4 "
			  "ON CONFLICT DO UPDATE SET value = ?3",
	[SET_BASE] = "UPDATE message SET base = ?2 WHERE id = ?1",
	[FORGET] = "DELETE FROM message WHERE id = ?1",
	[MARK_SEEN] =
		"INSERT INTO message (uid, occurrence, state, list_size, base,"
		" size_bytes, digest, changed_at, gone_listings) VALUES (?1,"
		" (SELECT 1 + coalesce(max(occurrence), 0) FROM message"
		" WHERE uid = ?1), 5, ?2, '', 0, zeroblob(32), ?3, 0)",
	[FORGET_ALL] = "DELETE FROM message",
	[FORGET_TROUBLE] = "DELETE FROM trouble",
	[GET_COUNTED] = "SELECT counted_at FROM identity",
	[COUNT_LISTING] = "UPDATE identity SET listings = listings + 1, "
			  "counted_at = ?1",
	[DROP_GONE] = "DELETE FROM message WHERE state IN (3, 4) "
		      "AND changed_at <= ?1 AND gone_listings <= "
		      "(SELECT listings FROM identity) - ?2",
	[DROP_TROUBLE] = "DELETE FROM trouble WHERE noted_at <= ?1",
	[NOTE_TROUBLE] = "INSERT INTO trouble (uid, times, noted_at) "
			 "VALUES (?1, 1, ?2) ON CONFLICT DO UPDATE SET "
			 "times = min(times + 1, 1000000), noted_at = ?2",
	[CLEAR_TROUBLE] = "DELETE FROM trouble WHERE uid = ?1",
	[GET_TROUBLE] = "SELECT times, noted_at FROM trouble WHERE uid = ?1",
	[GET_FACT] = "SELECT value FROM fact WHERE key = ?1",
	[SET_FACT] = "INSERT INTO fact (key, value) VALUES (?1, ?2) "
		     "ON CONFLICT DO UPDATE SET value = ?2",
};
_Static_assert(ARRAY_SIZE(statement_sql) == N_STATEMENTS, "one row each");

/* The two ways on. The path comes last: what is cut off must not be advice. */
int db_useless(const struct journal *journal, const char *words,
	       struct error *err)
{
	const char *account = journal->account ? journal->account : "NAME";

	return error_set(
		err, ERROR_CONFIG,
		"the journal %s: mailhaul --mark-seen %s takes what is on the "
		"server as known, mailhaul --refetch %s fetches all of it again "
		"(%s)",
		words, account, account, journal->path);
}

int db_damaged(const struct journal *journal, const char *words,
	       struct error *err)
{
	char what[128];

	(void)snprintf(what, sizeof(what), "is damaged (%s)", words);
	return db_useless(journal, what, err);
}

/*
 * SQLite calls it damage when a read fails with EIO, as if the disk's trouble
 * were for good. What the system said is with the file that it said it of.
 */
static int read_errno(const struct journal *journal)
{
	sqlite3_file *wal = NULL;
	int errnum = 0;

	(void)sqlite3_file_control(journal->db, "main", SQLITE_FCNTL_LAST_ERRNO,
				   &errnum);
	if (errnum != 0)
		return errnum;
	(void)sqlite3_file_control(journal->db, "main",
				   SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	if (wal && wal->pMethods)
		(void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO,
						  &errnum);
	return errnum;
}

int db_damaged_or_unread(const struct journal *journal, const char *words,
			 struct error *err)
{
	int errnum = read_errno(journal);

	if (errnum == 0)
		return db_damaged(journal, words, err);
	return error_set_errno(err, ERROR_LOCAL, errnum, "cannot read %s",
			       journal->path);
}

int db_error(const struct journal *journal, const char *what, struct error *err)
{
	int code = sqlite3_errcode(journal->db) & 0xff;
	int errnum = sqlite3_system_errno(journal->db);
	const char *words = sqlite3_errmsg(journal->db);

	/*
	 * The file can be written to, so its header says that nobody knows how;
	 * or SQLite could open the WAL for reading alone, whatever the reason.
	 */
	if (sqlite3_extended_errcode(journal->db) == SQLITE_READONLY &&
	    sqlite3_db_readonly(journal->db, "main") == 1)
		return db_damaged(journal, words, err);
	switch (code) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return db_damaged_or_unread(journal, words, err);
	case SQLITE_BUSY:
		return error_set(err, ERROR_BUSY, "another program has %s open",
				 journal->path);
	case SQLITE_NOMEM:
		return error_set_memory(err);
	case SQLITE_FULL:
		return error_set(err, ERROR_LOCAL, "no space left to %s %s",
				 what, journal->path);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		if (errnum != 0)
			return error_set_errno(err, ERROR_LOCAL, errnum,
					       "cannot %s %s", what,
					       journal->path);
		break;
	default:
		break;
	}
	return error_set(err, ERROR_LOCAL, "cannot %s %s: %s", what,
			 journal->path, words);
}

int64_t db_clock_sec(void)
{
	return (int64_t)(now_usec(CLOCK_REALTIME) / USEC_PER_SEC);
}

static int prepare(struct journal *journal, const char *sql, sqlite3_stmt **ret)
{
	return sqlite3_prepare_v3(journal->db, sql, -1,
				  SQLITE_PREPARE_PERSISTENT, ret, NULL);
}

/* Our statements are right, so the tables are not. */
static int prepare_error(struct journal *journal, struct error *err)
{
	if ((sqlite3_errcode(journal->db) & 0xff) == SQLITE_ERROR)
		return db_damaged(journal, sqlite3_errmsg(journal->db), err);
	return db_error(journal, "read", err);
}

sqlite3_stmt *db_statement(struct journal *journal, enum statement which)
{
	sqlite3_stmt **stmt = &journal->statements[which];

	if (*stmt == NULL &&
	    prepare(journal, statement_sql[which], stmt) != SQLITE_OK)
		return NULL;
	(void)sqlite3_reset(*stmt);          /* repeats the last step's error */
	(void)sqlite3_clear_bindings(*stmt); /* never fails */
	return *stmt;
}

/* A null pointer would make NULL of an empty uid. */
void db_bind_uid(sqlite3_stmt *stmt, int index, struct bytes uid)
{
	/* What cannot be bound stays NULL, and NOT NULL refuses it. */
	(void)sqlite3_bind_blob64(stmt, index, uid.len > 0 ? uid.data : "",
				  uid.len, SQLITE_STATIC);
}

void db_bind_number(sqlite3_stmt *stmt, int index, int64_t value)
{
	(void)sqlite3_bind_int64(stmt, index, value); /* takes no memory */
}

void db_bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	(void)sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

void db_bind_digest(sqlite3_stmt *stmt, int index, const uint8_t *digest)
{
	(void)sqlite3_bind_blob64(stmt, index, digest, DIGEST_SIZE,
				  SQLITE_STATIC);
}

int db_step(struct journal *journal, sqlite3_stmt *stmt, struct error *err)
{
	int r;

	if (!stmt)
		return prepare_error(journal, err);
	r = sqlite3_step(stmt);
	if (r == SQLITE_ROW)
		return 1;
	if (r != SQLITE_DONE)
		(void)db_error(journal, "read", err);
	(void)sqlite3_reset(stmt); /* repeats the step's error */
	return r == SQLITE_DONE ? 0 : -1;
}

int db_execute(struct journal *journal, sqlite3_stmt *stmt, struct error *err)
{
	int r;

	if (!stmt)
		return prepare_error(journal, err);
	r = sqlite3_step(stmt);
	if (r != SQLITE_DONE)
		(void)db_error(journal, "write", err);
	(void)sqlite3_reset(stmt); /* repeats the step's error */
	return r == SQLITE_DONE ? 0 : -1;
}

int db_get_number(struct journal *journal, sqlite3_stmt *stmt,
		  int64_t otherwise, int64_t *ret, struct error *err)
{
	int r = db_step(journal, stmt, err);

	if (r < 0)
		return -1;
	*ret = r > 0 ? sqlite3_column_int64(stmt, 0) : otherwise;
	(void)sqlite3_reset(stmt);
	return 0;
}

int db_prepare(struct journal *journal, const char *sql, sqlite3_stmt **ret,
	       struct error *err)
{
	if (prepare(journal, sql, ret) != SQLITE_OK)
		return prepare_error(journal, err);
	return 0;
}

void db_statement_done(sqlite3_stmt **stmt)
{
	(void)sqlite3_finalize(*stmt); /* repeats the last step's error */
}

int db_run(struct journal *journal, const char *sql, struct error *err)
{
	int r = sqlite3_exec(journal->db, sql, NULL, NULL, NULL);

	if (r == SQLITE_ERROR)
		return db_damaged(journal, sqlite3_errmsg(journal->db), err);
	return r == SQLITE_OK ? 0 : db_error(journal, "open", err);
}

int db_prepare_transactions(struct journal *journal, struct error *err)
{
	static const enum statement needed[] = { BEGIN, COMMIT, ROLLBACK };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!db_statement(journal, needed[i]))
			return prepare_error(journal, err);
	return 0;
}

void db_drop(struct journal *journal)
{
	for (size_t i = 0; i < N_STATEMENTS; i++) {
		(void)sqlite3_finalize(journal->statements[i]);
		journal->statements[i] = NULL;
	}
	(void)sqlite3_close(journal->db); /* nothing is open in it */
	journal->db = NULL;
}
