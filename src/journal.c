/*
 * journal.c - what is known of one account's messages, in one SQLite file.
 *
 * Refuses to make a journal anew where there was one (unless a person says so,
 * and then the old one is moved away, never removed), to work beside another
 * mailhaul, and to write outside a transaction.
 *
 * Three files in the account's directory:
 *   lock            held for the whole visit. Empty until the journal was made
 *                   durably; from then on its first line says so, and a journal
 *                   that is missing or empty beside it is an error.
 *   journal.sqlite  locking_mode=EXCLUSIVE before WAL: the WAL's index lives in
 *                   our memory, and there is no -shm file.
 *   journal.sqlite-wal  stays behind at the end of a visit, and is no reason to
 *                   flush: each commit in it was synced when it was made.
 *
 * The lock file is longer than its first line from the first commit of a visit
 * to its clean end. If that mark is found, a worker was killed while it wrote.
 * Then what can be read may exist in the page cache alone, so the database is
 * checked and the WAL is copied into it, with all the syncs that this takes,
 * before anything in it is trusted. After a power cut the mark may be lost;
 * then there is no page cache to doubt.
 *
 * A commit that fails is the visit's last write. Its frames may stand in the
 * WAL, a commit to who reads it next, and a sync that was refused once must not
 * be asked for again on that descriptor: it would say that all is well. So the
 * mark stays, and the next visit looks with descriptors of its own.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "safeguard.h"

#define FILE_NAME          "journal.sqlite"
#define APPLICATION_ID     0x4d486a31 /* "MHj1" */
#define SCHEMA_VERSION     1
#define GONE_KEPT_SEC      (30 * INT64_C(86400))
#define GONE_KEPT_LISTINGS 20
#define LISTING_EVERY_SEC  INT64_C(86400)
#define LOCK_TRIES         3 /* it may be let go while we ask for its holder */

/*
 * A WAL above this size is copied into the database at the end of a visit,
 * which costs three flushes (5 ms measured). A smaller one stays: the next
 * visit reads it to build its index, at 2.3 us a page, 0.6 ms for 256.
 */
#define WAL_KEPT_BYTES (256 * (4096 + 24) + 32)

#define MADE_LINE \
	"The journal was made; without it, mail kept on the server comes again.\n"
#define OPEN_LINE "A visit is writing to it.\n"

enum statement {
	BEGIN = 0,
	COMMIT,
	ROLLBACK,
	MEASURE,
	LOAD,
	MEASURE_STAGED,
	LOAD_STAGED,
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

/* EXCLUSIVE must come first: it decides whether WAL needs a -shm file. */
/* clang-format off */
static const char settings_sql[] =
	"PRAGMA locking_mode = EXCLUSIVE;"
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = FULL;"
	"PRAGMA wal_autocheckpoint = 1000;"
	"PRAGMA journal_size_limit = 1048576;"
	"PRAGMA temp_store = MEMORY;"
	"PRAGMA mmap_size = 0;"
	"PRAGMA cell_size_check = ON;";
/* clang-format on */

static const char schema_sql[] =
	"CREATE TABLE identity (id INTEGER PRIMARY KEY CHECK (id = 1),"
	" host TEXT NOT NULL, port INTEGER NOT NULL, username TEXT NOT NULL,"
	" tag TEXT NOT NULL, listings INTEGER NOT NULL,"
	" counted_at INTEGER NOT NULL) STRICT;"

	"CREATE TABLE message (id INTEGER PRIMARY KEY, uid BLOB NOT NULL,"
	" occurrence INTEGER NOT NULL CHECK (occurrence >= 1),"
	" state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),"
	" list_size INTEGER NOT NULL, base TEXT NOT NULL,"
	" size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),"
	" digest BLOB NOT NULL CHECK (length(digest) = 32),"
	" changed_at INTEGER NOT NULL, gone_listings INTEGER NOT NULL,"
	" UNIQUE (uid, occurrence)) STRICT;"
	"CREATE INDEX message_staged ON message (id) WHERE state = 1;"

	"CREATE TABLE trouble (uid BLOB PRIMARY KEY, times INTEGER NOT NULL,"
	" noted_at INTEGER NOT NULL) STRICT;"
	"CREATE TABLE fact (key INTEGER PRIMARY KEY,"
	" value INTEGER NOT NULL) STRICT;";

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
	bool has_marked; /* this visit wrote OPEN_LINE */
	bool has_failed; /* a commit: nothing more is written by this visit */
	bool is_to_mark; /* if it is made now, it awaits a marking */
	bool is_foreign; /* another identity's: never ours to move */
};

/* ---- errors ---- */

/* The two ways on. The path comes last: what is cut off must not be advice. */
static int useless(const struct journal *journal, const char *words,
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

static int damaged(const struct journal *journal, const char *words,
		   struct error *err)
{
	char what[128];

	(void)snprintf(what, sizeof(what), "is damaged (%s)", words);
	return useless(journal, what, err);
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

static int damaged_or_unread(const struct journal *journal, const char *words,
			     struct error *err)
{
	int errnum = read_errno(journal);

	if (errnum == 0)
		return damaged(journal, words, err);
	return error_set_errno(err, ERROR_LOCAL, errnum, "cannot read %s",
			       journal->path);
}

/* What SQLite's last call said. */
static int sqlite_error(const struct journal *journal, const char *what,
			struct error *err)
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
		return damaged(journal, words, err);
	switch (code) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return damaged_or_unread(journal, words, err);
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

/* ---- statements ---- */

static int64_t clock_sec(void)
{
	return (int64_t)(now_usec(CLOCK_REALTIME) / USEC_PER_SEC);
}

/* Ready for its parameters. */
static sqlite3_stmt *statement(struct journal *journal, enum statement which)
{
	sqlite3_stmt *stmt = journal->statements[which];

	(void)sqlite3_reset(stmt);          /* repeats the last step's error */
	(void)sqlite3_clear_bindings(stmt); /* never fails */
	return stmt;
}

/* A null pointer would make NULL of an empty uid. */
static void bind_uid(sqlite3_stmt *stmt, int index, struct bytes uid)
{
	/* What cannot be bound stays NULL, and NOT NULL refuses it. */
	(void)sqlite3_bind_blob64(stmt, index, uid.len > 0 ? uid.data : "",
				  uid.len, SQLITE_STATIC);
}

static void bind_number(sqlite3_stmt *stmt, int index, int64_t value)
{
	(void)sqlite3_bind_int64(stmt, index, value); /* takes no memory */
}

static void bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	(void)sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

static void bind_digest(sqlite3_stmt *stmt, int index, const uint8_t *digest)
{
	(void)sqlite3_bind_blob64(stmt, index, digest, DIGEST_SIZE,
				  SQLITE_STATIC);
}

/* Returns 1 with a row, 0 when there are no more, or -1. */
static int step(struct journal *journal, sqlite3_stmt *stmt, struct error *err)
{
	int r = sqlite3_step(stmt);

	if (r == SQLITE_ROW)
		return 1;
	if (r != SQLITE_DONE)
		(void)sqlite_error(journal, "read", err);
	(void)sqlite3_reset(stmt); /* repeats the step's error */
	return r == SQLITE_DONE ? 0 : -1;
}

static int execute(struct journal *journal, sqlite3_stmt *stmt,
		   struct error *err)
{
	int r = sqlite3_step(stmt);

	if (r != SQLITE_DONE)
		(void)sqlite_error(journal, "write", err);
	(void)sqlite3_reset(stmt); /* repeats the step's error */
	return r == SQLITE_DONE ? 0 : -1;
}

/* The one number of a query, or otherwise when it has no row. */
static int get_number(struct journal *journal, sqlite3_stmt *stmt,
		      int64_t otherwise, int64_t *ret, struct error *err)
{
	int r = step(journal, stmt, err);

	if (r < 0)
		return -1;
	*ret = r > 0 ? sqlite3_column_int64(stmt, 0) : otherwise;
	(void)sqlite3_reset(stmt);
	return 0;
}

/* For what is asked once, while the journal is opened. */
static int prepare(struct journal *journal, const char *sql, sqlite3_stmt **ret,
		   struct error *err)
{
	int r = sqlite3_prepare_v3(journal->db, sql, -1,
				   SQLITE_PREPARE_PERSISTENT, ret, NULL);

	/* Our statements are right, so the tables are not. */
	if (r == SQLITE_ERROR)
		return damaged(journal, sqlite3_errmsg(journal->db), err);
	return r == SQLITE_OK ? 0 : sqlite_error(journal, "read", err);
}

static void statement_done(sqlite3_stmt **stmt)
{
	(void)sqlite3_finalize(*stmt); /* repeats the last step's error */
}

#define _cleanup_statement_ _cleanup_(statement_done)

static int ask_number(struct journal *journal, const char *sql, int64_t *ret,
		      struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *stmt = NULL;

	if (prepare(journal, sql, &stmt, err) < 0)
		return -1;
	return get_number(journal, stmt, 0, ret, err);
}

static int run_sql(struct journal *journal, const char *sql, struct error *err)
{
	int r = sqlite3_exec(journal->db, sql, NULL, NULL, NULL);

	if (r == SQLITE_ERROR)
		return damaged(journal, sqlite3_errmsg(journal->db), err);
	return r == SQLITE_OK ? 0 : sqlite_error(journal, "open", err);
}

/* ---- the directory and its lock ---- */

static int open_directory(struct journal *journal, struct error *err)
{
	struct stat st;

	journal->dir_fd = open(journal->dir,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (journal->dir_fd < 0 || fstat(journal->dir_fd, &st) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot open the state directory %s",
				       journal->dir);
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return error_set(
			err, ERROR_LOCAL,
			"the state directory %s must belong to uid %u, "
			"and no one else may write there",
			journal->dir, (unsigned)geteuid());
	return 0;
}

static int lock_error(const struct journal *journal, struct error *err)
{
	return error_set_errno(err, ERROR_LOCAL, errno, "cannot lock %s/lock",
			       journal->dir);
}

/* Returns 0 when it is ours now, 1 when it was *ret_holder's, or -1. */
static int try_lock(struct journal *journal, pid_t *ret_holder,
		    struct error *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*ret_holder = 0;
	if (fcntl(journal->lock_fd, F_SETLK, &whole) == 0)
		return 0;
	if (errno != EACCES && errno != EAGAIN)
		return lock_error(journal, err);
	if (fcntl(journal->lock_fd, F_GETLK, &whole) < 0)
		return lock_error(journal, err);
	if (whole.l_type != F_UNLCK)
		*ret_holder = whole.l_pid;
	return 1;
}

static int take_lock(struct journal *journal, struct error *err)
{
	pid_t holder = 0;
	int r = 1;

	journal->lock_fd = openat(
		journal->dir_fd, "lock",
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (journal->lock_fd < 0)
		return lock_error(journal, err);
	for (unsigned tries = 0; tries < LOCK_TRIES && r > 0 && holder == 0;
	     tries++) {
		r = try_lock(journal, &holder, err);
		if (r < 0)
			return -1;
	}
	if (r == 0)
		return 0;
	if (holder <= 0) /* of another pid namespace */
		return error_set(err, ERROR_BUSY,
				 "another mailhaul is visiting this account");
	return error_set(err, ERROR_BUSY,
			 "another mailhaul (pid %d) is visiting this account",
			 (int)holder);
}

static int read_lock(struct journal *journal, struct error *err)
{
	struct stat st;

	if (fstat(journal->lock_fd, &st) < 0)
		return lock_error(journal, err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_LOCAL,
				 "%s/lock is not a regular file", journal->dir);

	/* Whatever it says: in doubt a journal is not made anew. */
	journal->was_made = st.st_size > 0;
	journal->was_killed = journal->was_made &&
			      st.st_size != (off_t)strlen(MADE_LINE);
	return 0;
}

static int write_lock(struct journal *journal, const char *line, off_t offset,
		      struct error *err)
{
	ssize_t n = pwrite(journal->lock_fd, line, strlen(line), offset);

	if (n == (ssize_t)strlen(line))
		return 0;
	if (n >= 0)
		errno = ENOSPC;
	return error_set_errno(err, ERROR_LOCAL, errno, "cannot write %s/lock",
			       journal->dir);
}

/* ---- opening ---- */

static int make_file(struct journal *journal, struct error *err)
{
	_cleanup_fd_ int fd = -1;

	fd = openat(journal->dir_fd, FILE_NAME,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot make %s", journal->path);
	return 0;
}

/*
 * Once the lock file has its line, the database is never empty again: it was
 * written in full before the line was. SQLite would take an empty file for a
 * new one, and remove its WAL.
 */
static int check_file(struct journal *journal, struct error *err)
{
	struct stat st;

	if (fstatat(journal->dir_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return error_set_errno(err, ERROR_LOCAL, errno,
					       "cannot look at %s",
					       journal->path);
		if (!journal->was_made)
			return make_file(journal, err);
		return useless(journal, "is missing though there was one", err);
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return error_set(err, ERROR_LOCAL,
				 "%s is not a regular file of uid %u",
				 journal->path, (unsigned)geteuid());
	if (st.st_size == 0 && journal->was_made)
		return damaged(journal, "it is empty", err);
	return 0;
}

/* Nothing is flushed for being closed: each commit was. */
static void keep_wal(struct journal *journal)
{
	int on = 1;

	/* Neither can fail for a database that is open. */
	(void)sqlite3_db_config(journal->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
				1, NULL);
	(void)sqlite3_file_control(journal->db, "main",
				   SQLITE_FCNTL_PERSIST_WAL, &on);
}

static int connect_file(struct journal *journal, struct error *err)
{
	/* No SQLITE_OPEN_CREATE: whether to make it was decided above. */
	int r = sqlite3_open_v2(journal->path, &journal->db,
				SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
					SQLITE_OPEN_PRIVATECACHE,
				NULL);

	if (!journal->db)
		return error_set_memory(err);
	if (r != SQLITE_OK)
		return sqlite_error(journal, "open", err);
	if (sqlite3_db_readonly(journal->db, "main") == 1)
		return error_set(err, ERROR_LOCAL, "%s cannot be written to",
				 journal->path);

	/* Hardening, which a SQLite may lack. */
	(void)sqlite3_db_config(journal->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0,
				NULL);
	(void)sqlite3_db_config(journal->db, SQLITE_DBCONFIG_DEFENSIVE, 1,
				NULL);
	keep_wal(journal);
	if (run_sql(journal, settings_sql, err) < 0)
		return -1;
	if (is_left_out(SAFEGUARD_JOURNAL_SYNC))
		return run_sql(journal, "PRAGMA synchronous = NORMAL", err);
	return 0;
}

/* Copies the WAL into the database and empties it, all synced. */
static int checkpoint(struct journal *journal, struct error *err)
{
	if (sqlite3_wal_checkpoint_v2(journal->db, "main",
				      SQLITE_CHECKPOINT_TRUNCATE, NULL,
				      NULL) != SQLITE_OK)
		return sqlite_error(journal, "sync", err);
	return 0;
}

/* A page that could not be read says nothing of what is in it. */
static bool is_unreadable(const char *words)
{
	const char *code = strstr(words, "error code=");

	if (!code)
		return false;
	code += strlen("error code=");
	return (strtol(code, NULL, 10) & 0xff) != SQLITE_CORRUPT;
}

static int check_integrity(struct journal *journal, const char *sql,
			   struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *stmt = NULL;
	const char *words;
	int r;

	if (prepare(journal, sql, &stmt, err) < 0)
		return -1;
	r = step(journal, stmt, err);
	if (r < 0)
		return -1;
	words = r > 0 ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
	if (!words)
		return error_set_memory(err);
	if (strcmp(words, "ok") == 0)
		return 0;
	if (is_unreadable(words))
		return error_set(err, ERROR_LOCAL, "cannot read %s: %s",
				 journal->path, words);
	return damaged_or_unread(journal, words, err);
}

static int make_tag(char ret[MAILDIR_TAG_SIZE], struct error *err)
{
	uint8_t random[(MAILDIR_TAG_SIZE - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "no random bytes");
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", random[i]);
	return 0;
}

static int insert_identity(struct journal *journal,
			   const struct journal_identity *identity,
			   struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *stmt = NULL;
	char tag[MAILDIR_TAG_SIZE];

	if (make_tag(tag, err) < 0 ||
	    prepare(journal,
		    "INSERT INTO identity VALUES (1, ?1, ?2, ?3, ?4, 0, 0)",
		    &stmt, err) < 0)
		return -1;
	bind_text(stmt, 1, identity->host);
	bind_number(stmt, 2, identity->port);
	bind_text(stmt, 3, identity->username);
	bind_text(stmt, 4, tag);
	return execute(journal, stmt, err);
}

/* One transaction, so that a journal has all of it or is not one yet. */
static int make_schema(struct journal *journal,
		       const struct journal_identity *identity,
		       struct error *err)
{
	char version_sql[96];
	char mark_sql[64];

	(void)snprintf(mark_sql, sizeof(mark_sql),
		       "INSERT INTO fact VALUES (%d, %d)", JOURNAL_AWAITS_MARK,
		       journal->is_to_mark);
	(void)snprintf(version_sql, sizeof(version_sql),
		       "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		       APPLICATION_ID, SCHEMA_VERSION);
	if (run_sql(journal, "BEGIN IMMEDIATE", err) < 0 ||
	    run_sql(journal, schema_sql, err) < 0 ||
	    run_sql(journal, version_sql, err) < 0 ||
	    run_sql(journal, mark_sql, err) < 0 ||
	    insert_identity(journal, identity, err) < 0)
		return -1; /* the close that follows rolls back */
	return run_sql(journal, "COMMIT", err);
}

static int check_schema(struct journal *journal,
			const struct journal_identity *identity,
			struct error *err)
{
	int64_t application;
	int64_t version;
	int64_t n_tables;
	char words[96];

	if (ask_number(journal, "PRAGMA application_id", &application, err) <
		    0 ||
	    ask_number(journal, "PRAGMA user_version", &version, err) < 0 ||
	    ask_number(journal, "SELECT count(*) FROM sqlite_schema", &n_tables,
		       err) < 0)
		return -1;

	if (!journal->was_made && application == 0 && n_tables == 0)
		return make_schema(journal, identity, err);
	if (application != APPLICATION_ID || version < 1)
		return damaged(journal, "it is no journal of mailhaul", err);
	if (version == SCHEMA_VERSION)
		return 0;
	(void)snprintf(words, sizeof(words),
		       "was written by a newer mailhaul (it has version %lld, "
		       "we know %d)",
		       (long long)version, SCHEMA_VERSION);
	return useless(journal, words, err);
}

/* "" when memory ran out: it then equals nothing. */
static const char *text_of(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	return text ? text : "";
}

static bool take_tag(const char *tag, char ret[MAILDIR_TAG_SIZE])
{
	if (strlen(tag) != MAILDIR_TAG_SIZE - 1 ||
	    strspn(tag, "0123456789abcdef") != MAILDIR_TAG_SIZE - 1)
		return false;
	memcpy(ret, tag, MAILDIR_TAG_SIZE);
	return true;
}

/* Another port of one host is how the same mailbox is reached over TLS. */
static int check_identity(struct journal *journal,
			  const struct journal_identity *identity,
			  struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *stmt = NULL;
	int r;

	if (prepare(journal, "SELECT host, username, tag FROM identity", &stmt,
		    err) < 0)
		return -1;
	r = step(journal, stmt, err);
	if (r < 0)
		return -1;
	if (r == 0 || !take_tag(text_of(stmt, 2), journal->tag))
		return damaged(journal, "it does not say whose it is", err);
	journal->is_foreign = strcasecmp(text_of(stmt, 0), identity->host) !=
				      0 ||
			      strcmp(text_of(stmt, 1), identity->username) != 0;
	if (journal->is_foreign)
		return error_set(
			err, ERROR_CONFIG,
			"%s is the journal of %s at %s, not of %s at %s: "
			"move its directory away",
			journal->path, text_of(stmt, 1), text_of(stmt, 0),
			identity->username, identity->host);
	return 0;
}

static int prepare_statements(struct journal *journal, struct error *err)
{
	for (size_t i = 0; i < N_STATEMENTS; i++)
		if (prepare(journal, statement_sql[i], &journal->statements[i],
			    err) < 0)
			return -1;
	return 0;
}

/* Returns its length, 0 at the end, or -1 with errno. */
static ssize_t rewrite_piece(int fd, off_t offset, char *buf, size_t cap)
{
	ssize_t len = pread(fd, buf, cap, offset);
	ssize_t n;

	if (len <= 0)
		return len;
	n = pwrite(fd, buf, (size_t)len, offset);
	if (n == len)
		return len;
	if (n >= 0)
		errno = ENOSPC;
	return -1;
}

/*
 * The killed visit may have been told that a sync of the WAL failed. What can
 * be read then is not on the disk, and the kernel calls it clean: the next sync
 * would say nothing, and a checkpoint would overwrite the database while its
 * only good copy is in memory. Written once more it is dirty again.
 */
static int rewrite_wal(struct journal *journal, struct error *err)
{
	_cleanup_fd_ int fd = -1;
	char buf[4096];
	off_t offset = 0;
	ssize_t len;

	fd = openat(journal->dir_fd, FILE_NAME "-wal",
		    O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot open %s-wal", journal->path);
	while ((len = rewrite_piece(fd, offset, buf, sizeof(buf))) > 0)
		offset += len;
	if (len < 0 || fsync(fd) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot sync %s-wal", journal->path);
	return 0;
}

/*
 * The names come first: SQLite syncs that of a WAL only when it has just made
 * it, not when it finds one that a killed visit left, and a database that is
 * half overwritten is damaged without its WAL. The line comes last: it promises
 * that all before it is durable.
 */
static int finish_making(struct journal *journal, struct error *err)
{
	if (fsync(journal->dir_fd) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot sync %s", journal->dir);
	if (rewrite_wal(journal, err) < 0 || checkpoint(journal, err) < 0)
		return -1;
	if (write_lock(journal, MADE_LINE, 0, err) < 0)
		return -1;
	if (fsync(journal->lock_fd) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot sync %s/lock", journal->dir);
	return 0;
}

static int finish_opening(struct journal *journal, struct error *err)
{
	if (!journal->was_made)
		return finish_making(journal, err);
	if (!journal->was_killed)
		return 0;

	/* It may have been killed while it made the journal anew. */
	if (check_integrity(journal, "PRAGMA quick_check(1)", err) < 0 ||
	    rewrite_wal(journal, err) < 0 || checkpoint(journal, err) < 0)
		return -1;
	if (fsync(journal->dir_fd) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot sync %s", journal->dir);
	journal->has_marked = true; /* from now on it is ours to remove */
	return 0;
}

/* The database under the lock, from its file to its last statement. */
static int open_database(struct journal *journal,
			 const struct journal_identity *identity,
			 struct error *err)
{
	if (check_file(journal, err) < 0 || connect_file(journal, err) < 0 ||
	    check_schema(journal, identity, err) < 0 ||
	    check_identity(journal, identity, err) < 0 ||
	    prepare_statements(journal, err) < 0)
		return -1;
	return finish_opening(journal, err);
}

static void drop_database(struct journal *journal)
{
	for (size_t i = 0; i < N_STATEMENTS; i++) {
		(void)sqlite3_finalize(journal->statements[i]);
		journal->statements[i] = NULL;
	}
	(void)sqlite3_close(journal->db); /* nothing is open in it */
	journal->db = NULL;
}

static int journal_new(const char *dir, const char *account,
		       struct journal **ret, struct error *err)
{
	_cleanup_journal_ struct journal *journal = NULL;

	journal = calloc(1, sizeof(*journal));
	if (!journal)
		return error_set_memory(err);
	journal->dir_fd = -1;
	journal->lock_fd = -1;
	journal->dir = strdup(dir);
	if (!journal->dir)
		return error_set_memory(err);
	journal->account = account ? strdup(account) : NULL;
	if (account && !journal->account)
		return error_set_memory(err);
	if (asprintf(&journal->path, "%s/" FILE_NAME, dir) < 0) {
		journal->path = NULL;
		return error_set_memory(err);
	}
	*ret = TAKE_PTR(journal);
	return 0;
}

/* The directory and its lock. */
static int enter(struct journal *journal, struct error *err)
{
	if (open_directory(journal, err) < 0 || take_lock(journal, err) < 0)
		return -1;
	return read_lock(journal, err);
}

static struct journal *opened(struct journal **journal)
{
	(*journal)->is_open = true;
	return TAKE_PTR(*journal);
}

/* What was made to be marked and was not: it knows nothing yet. */
static int check_marked(struct journal *journal, struct error *err)
{
	int64_t awaits_mark;

	if (journal_get_fact(journal, JOURNAL_AWAITS_MARK, &awaits_mark, err) <
	    0)
		return -1;
	if (awaits_mark == 0)
		return 0;
	return useless(journal, "was begun by a --mark-seen that did not end",
		       err);
}

int journal_open(const char *dir, const struct journal_identity *identity,
		 struct journal **ret, struct error *err)
{
	_cleanup_journal_ struct journal *journal = NULL;

	if (journal_new(dir, identity->account, &journal, err) < 0 ||
	    enter(journal, err) < 0 ||
	    open_database(journal, identity, err) < 0 ||
	    check_marked(journal, err) < 0)
		return -1;
	*ret = opened(&journal);
	return 0;
}

/* ---- making it anew ---- */

static bool is_there(const struct journal *journal, const char *name)
{
	struct stat st;

	return fstatat(journal->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The database first: what is left of an attempt that was cut short has none,
 * and a WAL alone is nobody's. Each rename is durable before the next.
 */
static int move_files(struct journal *journal, const char *to,
		      struct error *err)
{
	/* A rollback journal would be played back into the new database. */
	static const char *const endings[] = { "", "-wal", "-journal", "-shm" };
	char old_name[64];
	char new_name[96];

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		(void)snprintf(old_name, sizeof(old_name), FILE_NAME "%s",
			       endings[i]);
		(void)snprintf(new_name, sizeof(new_name), "%s%s", to,
			       endings[i]);
		if (!is_there(journal, old_name))
			continue;
		if (renameat(journal->dir_fd, old_name, journal->dir_fd,
			     new_name) < 0 ||
		    fsync(journal->dir_fd) < 0)
			return error_set_errno(err, ERROR_LOCAL, errno,
					       "cannot move %s away",
					       journal->path);
	}
	return 0;
}

/* journal.sqlite.broken-EPOCH, so that its WAL beside it is found as its WAL. */
static int move_away(struct journal *journal, struct error *err)
{
	bool has_file = is_there(journal, FILE_NAME);
	int64_t at = clock_sec();
	char name[64];
	char wal_name[80];

	do {
		(void)snprintf(name, sizeof(name), FILE_NAME ".broken-%lld",
			       (long long)at++);
		(void)snprintf(wal_name, sizeof(wal_name), "%s-wal", name);
	} while (is_there(journal, name) || is_there(journal, wal_name));

	if (move_files(journal, name, err) < 0)
		return -1;
	if (!has_file)
		return 0;
	if (asprintf(&journal->moved_to, "%s/%s", journal->dir, name) < 0) {
		journal->moved_to = NULL;
		return error_set_memory(err);
	}
	return 0;
}

/*
 * While it lasts the lock file says that there was a journal and that somebody
 * writes: after a power cut it is missing or damaged, after a kill it is
 * checked and synced, and in neither case taken for one that never was.
 */
static int make_anew(struct journal *journal,
		     const struct journal_identity *identity, struct error *err)
{
	drop_database(journal);
	if (move_away(journal, err) < 0 ||
	    write_lock(journal, MADE_LINE OPEN_LINE, 0, err) < 0)
		return -1;
	journal->was_made = false;
	journal->has_marked = true;
	return open_database(journal, identity, err);
}

/* More than a visit asks: nobody will look again before it is trusted. */
static int check_thoroughly(struct journal *journal, struct error *err)
{
	_cleanup_(journal_rows_done) struct journal_rows rows = { 0 };

	if (check_integrity(journal, "PRAGMA integrity_check(1)", err) < 0 ||
	    run_sql(journal,
		    "BEGIN IMMEDIATE; UPDATE identity SET port = port; ROLLBACK",
		    err) < 0)
		return -1;
	return journal_load(journal, &rows, err);
}

int journal_open_anyway(const char *dir,
			const struct journal_identity *identity,
			bool is_to_mark, struct journal **ret,
			struct error *err)
{
	_cleanup_journal_ struct journal *journal = NULL;

	if (journal_new(dir, identity->account, &journal, err) < 0 ||
	    enter(journal, err) < 0)
		return -1;
	journal->is_to_mark = is_to_mark;
	if (open_database(journal, identity, err) < 0 ||
	    check_thoroughly(journal, err) < 0) {
		if (err->kind != ERROR_CONFIG || journal->is_foreign ||
		    make_anew(journal, identity, err) < 0)
			return -1;
	}
	*ret = opened(&journal);
	return 0;
}

const char *journal_moved_to(const struct journal *journal)
{
	return journal->moved_to;
}

/* ---- closing ---- */

static bool is_wal_large(const struct journal *journal)
{
	struct stat st;

	return fstatat(journal->dir_fd, FILE_NAME "-wal", &st,
		       AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_size > WAL_KEPT_BYTES;
}

static void shrink_wal(struct journal *journal)
{
	struct error ignored; /* the WAL keeps everything until it works */

	if (!journal->has_failed && is_wal_large(journal))
		(void)checkpoint(journal, &ignored);
}

static void remove_mark(struct journal *journal)
{
	if (!journal->has_marked || journal->has_failed)
		return;
	if (ftruncate(journal->lock_fd, (off_t)strlen(MADE_LINE)) < 0)
		return; /* it stays: the next visit checks once more */
	journal->has_marked = false;
}

static void journal_disconnect(struct journal *journal)
{
	if (journal->is_open) {
		journal_rollback(journal);
		shrink_wal(journal);
		remove_mark(journal);
	}
	drop_database(journal);
}

void journal_close(struct journal **journal)
{
	struct journal *j = *journal;

	if (!j)
		return;
	if (j->db)
		journal_disconnect(j);
	fd_close(&j->lock_fd); /* only now may another come */
	fd_close(&j->dir_fd);
	free(j->dir);
	free(j->path);
	free(j->moved_to);
	free(j->account);
	free(j);
	*journal = NULL;
}

const char *journal_tag(const struct journal *journal)
{
	return journal->tag;
}

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
	if (execute(journal, statement(journal, BEGIN), err) < 0)
		return -1;
	journal->changes_at_begin = sqlite3_total_changes(journal->db);
	return 0;
}

void journal_rollback(struct journal *journal)
{
	struct error ignored; /* SQLite may have rolled back itself */

	if (!sqlite3_get_autocommit(journal->db))
		(void)execute(journal, statement(journal, ROLLBACK), &ignored);
}

/* Not synced: it is for the next process, not for the next boot. */
static int mark_open(struct journal *journal, struct error *err)
{
	if (journal->has_marked || !has_changed(journal))
		return 0;
	if (write_lock(journal, OPEN_LINE, (off_t)strlen(MADE_LINE), err) < 0)
		return -1;
	journal->has_marked = true;
	return 0;
}

int journal_commit(struct journal *journal, struct error *err)
{
	if (need_transaction(journal, err) < 0)
		return -1;
	if (mark_open(journal, err) < 0) {
		journal_rollback(journal);
		return -1;
	}
	if (execute(journal, statement(journal, COMMIT), err) < 0) {
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
	sqlite3_stmt *stmt = statement(journal, which);
	int64_t n_rows;

	if (step(journal, stmt, err) < 0)
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
		return damaged(journal, "a row makes no sense", err);
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
	sqlite3_stmt *stmt = statement(journal, loaded);
	size_t text_left;
	size_t n = 0;
	char *text;
	int r = 0;

	if (measure(journal, measured, &rows, &text_left, err) < 0)
		return -1;
	text = rows.text;
	while (n < rows.n_rows && (r = step(journal, stmt, err)) > 0) {
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

int journal_has_base(struct journal *journal, const char *base, bool *ret,
		     int64_t *ret_id, uint64_t *ret_size_bytes,
		     struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, FIND_BASE);
	int r;

	bind_text(stmt, 1, base);
	r = step(journal, stmt, err);
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
	sqlite3_stmt *stmt = statement(journal, GET_DIGEST);
	int r;

	bind_number(stmt, 1, id);
	r = step(journal, stmt, err);
	if (r < 0)
		return -1;
	if (r == 0 || sqlite3_column_bytes(stmt, 0) != DIGEST_SIZE) {
		(void)sqlite3_reset(stmt);
		return damaged(journal, "a row has no digest", err);
	}
	memcpy(ret, sqlite3_column_blob(stmt, 0), DIGEST_SIZE);
	(void)sqlite3_reset(stmt);
	return 0;
}

/* ---- changing rows ---- */

int journal_stage(struct journal *journal, const struct journal_entry *entry,
		  int64_t *ret_id, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, STAGE);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_uid(stmt, 1, entry->uid);
	bind_number(stmt, 2, entry->list_size);
	bind_text(stmt, 3, entry->base);
	bind_number(stmt, 4, (int64_t)entry->size_bytes);
	bind_digest(stmt, 5, entry->digest);
	bind_number(stmt, 6, clock_sec());
	if (execute(journal, stmt, err) < 0)
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
	bind_number(stmt, 1, id);
	if (execute(journal, stmt, err) < 0)
		return -1;
	if (sqlite3_changes(journal->db) > 0)
		return 0;

	stmt = statement(journal, FIND_ID);
	bind_number(stmt, 1, id);
	if (get_number(journal, stmt, 0, &exists, err) < 0)
		return -1;
	if (!exists)
		return error_set(err, ERROR_LOCAL, "%s has no row %lld",
				 journal->path, (long long)id);
	return 0;
}

int journal_set_state(struct journal *journal, int64_t id,
		      enum journal_state state, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, SET_STATE);

	bind_number(stmt, 2, state);
	bind_number(stmt, 3, clock_sec());
	return change_row(journal, stmt, id, err);
}

int journal_confirm(struct journal *journal, int64_t id, struct bytes uid,
		    int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, NOTE_RETURNED);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_number(stmt, 1, id);
	bind_number(stmt, 2, JOURNAL_QUIT_LIED_AT);
	bind_number(stmt, 3, clock_sec());
	if (execute(journal, stmt, err) < 0)
		return -1;

	stmt = statement(journal, CONFIRM);
	bind_number(stmt, 2, list_size);
	bind_number(stmt, 3, clock_sec());
	bind_uid(stmt, 4, uid);
	return change_row(journal, stmt, id, err);
}

int journal_set_base(struct journal *journal, int64_t id, const char *base,
		     struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, SET_BASE);

	bind_text(stmt, 2, base);
	return change_row(journal, stmt, id, err);
}

int journal_forget(struct journal *journal, int64_t id, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, FORGET);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_number(stmt, 1, id);
	return execute(journal, stmt, err);
}

/* ---- deleted, as the server says ---- */

static int mark_deleted(struct journal *journal, const int64_t *ids, size_t n,
			struct error *err)
{
	if (journal_begin(journal, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (journal_set_state(journal, ids[i], JOURNAL_DELETED, err) <
		    0) {
			journal_rollback(journal);
			return -1;
		}
	}
	return journal_commit(journal, err);
}

int journal_record_deleted(struct journal *journal, const int64_t *ids,
			   size_t n, struct error *err)
{
	int64_t lied_at;
	int r;

	if (journal_get_fact(journal, JOURNAL_QUIT_LIED_AT, &lied_at, err) < 0)
		return -1;
	if (n == 0 || clock_sec() - lied_at < GONE_KEPT_SEC)
		return 0;

	if (run_sql(journal, "PRAGMA synchronous = NORMAL", err) < 0)
		return -1;
	r = mark_deleted(journal, ids, n, err);
	if (run_sql(journal, "PRAGMA synchronous = FULL", err) < 0)
		return -1;
	return r;
}

/* ---- a person's word ---- */

int journal_mark_seen(struct journal *journal, struct bytes uid,
		      int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, MARK_SEEN);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_uid(stmt, 1, uid);
	bind_number(stmt, 2, list_size);
	bind_number(stmt, 3, clock_sec());
	return execute(journal, stmt, err);
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
	    execute(journal, statement(journal, FORGET_ALL), err) < 0)
		return -1;
	n = (uint32_t)sqlite3_changes(journal->db);
	if (execute(journal, statement(journal, FORGET_TROUBLE), err) < 0 ||
	    journal_end_marking(journal, err) < 0)
		return -1;
	*ret_n = n;
	return 0;
}

/* ---- listings ---- */

static int drop_old(struct journal *journal, int64_t now, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, DROP_GONE);

	bind_number(stmt, 1, now - GONE_KEPT_SEC);
	bind_number(stmt, 2, GONE_KEPT_LISTINGS);
	if (execute(journal, stmt, err) < 0)
		return -1;

	/* A message that left by another way took no leave of us. */
	stmt = statement(journal, DROP_TROUBLE);
	bind_number(stmt, 1, now - GONE_KEPT_SEC);
	return execute(journal, stmt, err);
}

int journal_count_listing(struct journal *journal, uint64_t now_sec,
			  struct error *err)
{
	int64_t now = (int64_t)now_sec;
	sqlite3_stmt *stmt;
	int64_t counted_at;

	if (need_transaction(journal, err) < 0 ||
	    get_number(journal, statement(journal, GET_COUNTED), 0, &counted_at,
		       err) < 0)
		return -1;
	/* A count from the future was made by a clock that was wrong. */
	if (counted_at <= now && now - counted_at < LISTING_EVERY_SEC)
		return 0;

	stmt = statement(journal, COUNT_LISTING);
	bind_number(stmt, 1, now);
	if (execute(journal, stmt, err) < 0)
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
		bind_uid(stmt, 1, uid);
		return;
	}
	(void)snprintf(key + 1, sizeof(key) - 1, "%" PRId64, list_size);
	(void)sqlite3_bind_blob64(stmt, 1, key, 1 + strlen(key + 1),
				  SQLITE_TRANSIENT);
}

int journal_note_trouble(struct journal *journal, struct bytes uid,
			 int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, NOTE_TROUBLE);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_trouble(stmt, uid, list_size);
	bind_number(stmt, 2, clock_sec());
	return execute(journal, stmt, err);
}

int journal_clear_trouble(struct journal *journal, struct bytes uid,
			  int64_t list_size, struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, CLEAR_TROUBLE);

	if (need_transaction(journal, err) < 0)
		return -1;
	bind_trouble(stmt, uid, list_size);
	return execute(journal, stmt, err);
}

int journal_get_trouble(struct journal *journal, struct bytes uid,
			int64_t list_size, struct journal_trouble *ret,
			struct error *err)
{
	sqlite3_stmt *stmt = statement(journal, GET_TROUBLE);
	int r;

	bind_trouble(stmt, uid, list_size);
	r = step(journal, stmt, err);
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
	sqlite3_stmt *stmt = statement(journal, GET_FACT);

	bind_number(stmt, 1, fact);
	return get_number(journal, stmt, 0, ret, err);
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
	stmt = statement(journal, SET_FACT);
	bind_number(stmt, 1, fact);
	bind_number(stmt, 2, value);
	return execute(journal, stmt, err);
}
