/*
 * journal_open.c - a journal from its file to its end.
 *
 * Refuses to make a journal anew where there was one (unless a person says so,
 * and then the old one is moved away, never removed), and to work beside another
 * mailhaul.
 *
 * Three files in the account's directory:
 *   lock            journal_lock.h
 *   journal.sqlite  locking_mode=EXCLUSIVE before WAL: the WAL's index lives in
 *                   our memory, and there is no -shm file.
 *   journal.sqlite-wal  stays behind at the end of a visit, and is no reason to
 *                   flush: each commit in it was synced when it was made.
 *
 * If the mark of a killed worker is in the lock file, what can be read may exist
 * in the page cache alone, so the database is checked, the WAL is written once
 * more and copied into it, with all the syncs that this takes, before anything
 * in it is trusted. After a power cut the mark may be lost; then there is no
 * page cache to doubt.
 *
 * A commit that fails is the visit's last write. Its frames may stand in the
 * WAL, a commit to who reads it next, and a sync that was refused once must not
 * be asked for again on that descriptor: it would say that all is well. So the
 * mark stays, and the next visit looks with descriptors of its own.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "journal_lock.h"
#include "safeguard.h"

#define APPLICATION_ID 0x4d486a31 /* "MHj1" */
#define SCHEMA_VERSION 1

/*
 * A WAL above this size is copied into the database at the end of a visit,
 * which costs three flushes (5 ms measured). A smaller one stays: the next
 * visit reads it to build its index, at 2.3 us a page, 0.6 ms for 256.
 */
#define WAL_KEPT_BYTES (256 * (4096 + 24) + 32)

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

/* SQLite keeps these words; check_tables() compares them. */
#define N_OBJECTS 5 /* tables, and an index */

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

static int ask_number(struct journal *journal, const char *sql, int64_t *ret,
		      struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *stmt = NULL;

	if (db_prepare(journal, sql, &stmt, err) < 0)
		return -1;
	return db_get_number(journal, stmt, 0, ret, err);
}

static int make_file(struct journal *journal, struct error *err)
{
	_cleanup_fd_ int fd = -1;

	fd = openat(journal->dir_fd, JOURNAL_FILE_NAME,
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

	if (fstatat(journal->dir_fd, JOURNAL_FILE_NAME, &st,
		    AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return error_set_errno(err, ERROR_LOCAL, errno,
					       "cannot look at %s",
					       journal->path);
		if (!journal->was_made)
			return make_file(journal, err);
		return db_useless(journal, "is missing though there was one",
				  err);
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return error_set(err, ERROR_LOCAL,
				 "%s is not a regular file of uid %u",
				 journal->path, (unsigned)geteuid());
	if (st.st_size == 0 && journal->was_made)
		return db_damaged(journal, "it is empty", err);
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
		return db_error(journal, "open", err);
	if (sqlite3_db_readonly(journal->db, "main") == 1)
		return error_set(err, ERROR_LOCAL, "%s cannot be written to",
				 journal->path);

	/* Hardening, which a SQLite may lack. */
	(void)sqlite3_db_config(journal->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0,
				NULL);
	(void)sqlite3_db_config(journal->db, SQLITE_DBCONFIG_DEFENSIVE, 1,
				NULL);
	keep_wal(journal);
	if (db_run(journal, settings_sql, err) < 0)
		return -1;
	if (is_left_out(SAFEGUARD_JOURNAL_SYNC))
		return db_run(journal, "PRAGMA synchronous = NORMAL", err);
	return 0;
}

/* Copies the WAL into the database and empties it, all synced. */
static int checkpoint(struct journal *journal, struct error *err)
{
	if (sqlite3_wal_checkpoint_v2(journal->db, "main",
				      SQLITE_CHECKPOINT_TRUNCATE, NULL,
				      NULL) != SQLITE_OK)
		return db_error(journal, "sync", err);
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

	if (db_prepare(journal, sql, &stmt, err) < 0)
		return -1;
	r = db_step(journal, stmt, err);
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
	return db_damaged_or_unread(journal, words, err);
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
	    db_prepare(journal,
		       "INSERT INTO identity VALUES (1, ?1, ?2, ?3, ?4, 0, 0)",
		       &stmt, err) < 0)
		return -1;
	db_bind_text(stmt, 1, identity->host);
	db_bind_number(stmt, 2, identity->port);
	db_bind_text(stmt, 3, identity->username);
	db_bind_text(stmt, 4, tag);
	return db_execute(journal, stmt, err);
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
	if (db_run(journal, "BEGIN IMMEDIATE", err) < 0 ||
	    db_run(journal, schema_sql, err) < 0 ||
	    db_run(journal, version_sql, err) < 0 ||
	    db_run(journal, mark_sql, err) < 0 ||
	    insert_identity(journal, identity, err) < 0)
		return -1; /* the close that follows rolls back */
	return db_run(journal, "COMMIT", err);
}

/* One of schema_sql's, whole: sql is complete, and begins as they do. */
static bool is_ours(const char *sql)
{
	const char *found = strstr(schema_sql, sql);

	return found && found[strlen(sql)] == ';';
}

/*
 * Statements are prepared late, some after mail was fetched. What they would
 * fail over is found here: each table is as it was made.
 */
static int check_tables(struct journal *journal, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *stmt = NULL;
	unsigned n_ours = 0;
	const char *sql;
	int r;

	if (db_prepare(journal,
		       "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL",
		       &stmt, err) < 0)
		return -1;
	while ((r = db_step(journal, stmt, err)) > 0) {
		sql = (const char *)sqlite3_column_text(stmt, 0);
		if (!sql)
			return error_set_memory(err);
		n_ours += is_ours(sql);
	}
	if (r < 0)
		return -1;
	if (n_ours < N_OBJECTS)
		return db_damaged(journal, "its tables are not ours", err);
	return 0;
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
		return db_damaged(journal, "it is no journal of mailhaul", err);
	if (version == SCHEMA_VERSION)
		return check_tables(journal, err);
	(void)snprintf(words, sizeof(words),
		       "was written by a newer mailhaul (it has version %lld, "
		       "we know %d)",
		       (long long)version, SCHEMA_VERSION);
	return db_useless(journal, words, err);
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

	if (db_prepare(journal, "SELECT host, username, tag FROM identity",
		       &stmt, err) < 0)
		return -1;
	r = db_step(journal, stmt, err);
	if (r < 0)
		return -1;
	if (r == 0 || !take_tag(text_of(stmt, 2), journal->tag))
		return db_damaged(journal, "it does not say whose it is", err);
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

	fd = openat(journal->dir_fd, JOURNAL_FILE_NAME "-wal",
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
	return journal_lock_write_made(journal, err);
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
	    db_prepare_transactions(journal, err) < 0)
		return -1;
	return finish_opening(journal, err);
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
	if (asprintf(&journal->path, "%s/" JOURNAL_FILE_NAME, dir) < 0) {
		journal->path = NULL;
		return error_set_memory(err);
	}
	*ret = TAKE_PTR(journal);
	return 0;
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
	return db_useless(journal,
			  "was begun by a --mark-seen that did not end", err);
}

int journal_open(const char *dir, const struct journal_identity *identity,
		 struct journal **ret, struct error *err)
{
	_cleanup_journal_ struct journal *journal = NULL;

	if (journal_new(dir, identity->account, &journal, err) < 0 ||
	    journal_lock_enter(journal, err) < 0 ||
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
		(void)snprintf(old_name, sizeof(old_name),
			       JOURNAL_FILE_NAME "%s", endings[i]);
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
	bool has_file = is_there(journal, JOURNAL_FILE_NAME);
	int64_t at = db_clock_sec();
	char name[64];
	char wal_name[80];

	do {
		(void)snprintf(name, sizeof(name),
			       JOURNAL_FILE_NAME ".broken-%lld",
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

static int make_anew(struct journal *journal,
		     const struct journal_identity *identity, struct error *err)
{
	db_drop(journal);
	if (move_away(journal, err) < 0 ||
	    journal_lock_write_doubt(journal, err) < 0)
		return -1;
	journal->was_made = false;
	return open_database(journal, identity, err);
}

/* More than a visit asks: nobody will look again before it is trusted. */
static int check_thoroughly(struct journal *journal, struct error *err)
{
	_cleanup_(journal_rows_done) struct journal_rows rows = { 0 };

	if (check_integrity(journal, "PRAGMA integrity_check(1)", err) < 0 ||
	    db_run(journal,
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
	    journal_lock_enter(journal, err) < 0)
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

	return fstatat(journal->dir_fd, JOURNAL_FILE_NAME "-wal", &st,
		       AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_size > WAL_KEPT_BYTES;
}

static void shrink_wal(struct journal *journal)
{
	struct error ignored; /* the WAL keeps everything until it works */

	if (!journal->has_failed && is_wal_large(journal))
		(void)checkpoint(journal, &ignored);
}

static void journal_disconnect(struct journal *journal)
{
	if (journal->is_open) {
		journal_rollback(journal);
		shrink_wal(journal);
		if (!journal->has_failed)
			journal_lock_unmark(journal);
	}
	db_drop(journal);
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

int journal_directory(const struct journal *journal)
{
	return journal->dir_fd;
}

const char *journal_tag(const struct journal *journal)
{
	return journal->tag;
}
