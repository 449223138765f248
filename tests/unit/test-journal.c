/*
 * test-journal.c - what the journal keeps, refuses and flushes.
 *
 * fsync and fdatasync of the C library are replaced here, also for SQLite, so
 * that flushes can be counted and refused.
 */
#include "journal.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY UINT64_C(86400)

static const struct journal_identity joe = { .host = "pop.example.org",
					     .port = 995,
					     .username = "joe",
					     .account = "work" };

static char dir[4096];
static unsigned n_flushes;
static unsigned die_at_flush; /* 0: never */
static bool skip_flush;       /* where nothing depends on it: it takes time */
static unsigned n_wal_flushes;
static int refuse_flush; /* an errno value */

static int flush(int fd, long number)
{
	char link[64];
	char path[4200];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	n_flushes++;
	if (n_flushes == die_at_flush)
		_exit(7);
	if (len > 4 && memcmp(path + len - 4, "-wal", 4) == 0)
		n_wal_flushes++;
	if (refuse_flush != 0) {
		errno = refuse_flush;
		return -1;
	}
	return skip_flush ? 0 : (int)syscall(number, fd);
}

int fsync(int fd)
{
	return flush(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return flush(fd, SYS_fdatasync);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void set_up(void)
{
	const char *parent = getenv("TMPDIR");

	(void)snprintf(dir, sizeof(dir), "%s/test-journal-XXXXXX",
		       parent ? parent : P_tmpdir);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	n_flushes = 0;
	n_wal_flushes = 0;
	refuse_flush = 0;
}

static void tear_down(void)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *inside(const char *name)
{
	static char path[8192];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct journal *open_journal(void)
{
	struct journal *journal = NULL;
	struct error err = { 0 };

	ck_assert_msg(journal_open(dir, &joe, &journal, &err) == 0, "%s",
		      err.text);
	return journal;
}

static void check_refused_as(const struct journal_identity *identity,
			     enum error_kind kind, const char *words)
{
	struct journal *journal = (void *)dir; /* poison */
	struct error err = { 0 };

	ck_assert_int_eq(journal_open(dir, identity, &journal, &err), -1);
	ck_assert_msg(err.kind == kind, "%s: %s", error_kind_name(err.kind),
		      err.text);
	ck_assert_msg(strstr(err.text, words) != NULL, "'%s' lacks '%s'",
		      err.text, words);
	ck_assert_ptr_eq(journal, (void *)dir);
}

static void check_refused(enum error_kind kind, const char *words)
{
	check_refused_as(&joe, kind, words);
}

static struct bytes as_bytes(const char *text)
{
	return (struct bytes){ text, strlen(text) };
}

static void begin(struct journal *journal)
{
	struct error err = { 0 };

	ck_assert_msg(journal_begin(journal, &err) == 0, "%s", err.text);
}

static void commit(struct journal *journal)
{
	struct error err = { 0 };

	ck_assert_msg(journal_commit(journal, &err) == 0, "%s", err.text);
}

/* The digest is 32 times the given byte. */
static int64_t stage(struct journal *journal, struct bytes uid, uint8_t filling)
{
	static unsigned counter;
	uint8_t digest[DIGEST_SIZE];
	char base[64];
	const struct journal_entry entry = {
		.uid = uid,
		.list_size = 120,
		.base = base,
		.size_bytes = 117,
		.digest = digest,
	};
	struct error err = { 0 };
	int64_t id = 0;

	memset(digest, filling, sizeof(digest));
	(void)snprintf(base, sizeof(base), "base%u", ++counter);
	ck_assert_msg(journal_stage(journal, &entry, &id, &err) == 0, "%s",
		      err.text);
	ck_assert_int_ne(id, 0);
	return id;
}

static void set_state(struct journal *journal, int64_t id,
		      enum journal_state state)
{
	struct error err = { 0 };

	ck_assert_msg(journal_set_state(journal, id, state, &err) == 0, "%s",
		      err.text);
}

static int64_t stage_alone(struct journal *journal, const char *uid)
{
	int64_t id;

	begin(journal);
	id = stage(journal, as_bytes(uid), 1);
	commit(journal);
	return id;
}

static size_t count_rows(struct journal *journal)
{
	struct journal_rows rows;
	struct error err = { 0 };
	size_t n;

	memset(&rows, 0xa5, sizeof(rows));
	ck_assert_msg(journal_load(journal, &rows, &err) == 0, "%s", err.text);
	n = rows.n_rows;
	journal_rows_done(&rows);
	return n;
}

static struct journal_row load_only_row(struct journal *journal,
					struct journal_rows *rows)
{
	struct error err = { 0 };

	ck_assert_msg(journal_load(journal, rows, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(rows->n_rows, 1);
	return rows->rows[0];
}

/* ---- making and opening ---- */

START_TEST(a_new_journal_is_private_and_keeps_its_tag)
{
	static const char *const files[] = { "lock", "journal.sqlite",
					     "journal.sqlite-wal" };
	struct journal *journal = open_journal();
	char tag[MAILDIR_TAG_SIZE];
	struct stat st;

	ck_assert_uint_eq(strlen(journal_tag(journal)), 12);
	ck_assert_uint_eq(strspn(journal_tag(journal), "0123456789abcdef"), 12);
	(void)strcpy(tag, journal_tag(journal));
	journal_close(&journal);
	ck_assert_ptr_null(journal);

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ck_assert_int_eq(stat(inside(files[i]), &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, 0600);
	}
	ck_assert_msg(access(inside("journal.sqlite-shm"), F_OK) < 0,
		      "no shared memory is used");
	journal = open_journal();
	ck_assert_str_eq(journal_tag(journal), tag);
	journal_close(&journal);
}
END_TEST

static void make_old(const char *name)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

	ck_assert_int_eq(utimensat(AT_FDCWD, inside(name), times, 0), 0);
}

static bool is_old(const char *name)
{
	struct stat st;

	return stat(inside(name), &st) == 0 && st.st_mtim.tv_sec == 1;
}

START_TEST(a_visit_that_changes_nothing_writes_and_flushes_nothing)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };
	uint64_t now_sec = (uint64_t)time(NULL);
	int64_t id = stage_alone(journal, "a");

	begin(journal);
	set_state(journal, id, JOURNAL_DELIVERED);
	ck_assert_int_eq(journal_set_fact(journal, JOURNAL_REFUSED_AT, 7, &err),
			 0);
	ck_assert_int_eq(journal_count_listing(journal, now_sec, &err), 0);
	commit(journal);
	journal_close(&journal);
	make_old("lock");
	make_old("journal.sqlite");
	make_old("journal.sqlite-wal");
	n_flushes = 0;

	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 1);
	begin(journal);
	set_state(journal, id, JOURNAL_DELIVERED);
	ck_assert_int_eq(journal_confirm(journal, id, as_bytes("a"), 120, &err),
			 0);
	ck_assert_int_eq(journal_set_fact(journal, JOURNAL_REFUSED_AT, 7, &err),
			 0);
	ck_assert_int_eq(
		journal_set_fact(journal, JOURNAL_APOP_REFUSED, 0, &err), 0);
	ck_assert_int_eq(journal_clear_trouble(journal, as_bytes("a"), 1, &err),
			 0);
	ck_assert_int_eq(journal_count_listing(journal, now_sec + 9, &err), 0);
	commit(journal);
	journal_close(&journal);

	ck_assert_uint_eq(n_flushes, 0);
	ck_assert(is_old("lock") && is_old("journal.sqlite") &&
		  is_old("journal.sqlite-wal"));
}
END_TEST

START_TEST(every_commit_is_one_flush_of_the_wal)
{
	struct journal *journal = open_journal();
	int64_t last = 0;

	(void)stage_alone(journal, "the WAL has its header now");
	n_wal_flushes = 0;
	for (unsigned batch = 0; batch < 6; batch++) {
		begin(journal);
		if (last != 0)
			set_state(journal, last, JOURNAL_DELIVERED);
		if (batch < 5)
			last = stage(journal, as_bytes("x"), 1);
		commit(journal);
	}
	ck_assert_msg(n_wal_flushes == 6, "5 batches made %u flushes",
		      n_wal_flushes);
	n_flushes = 0;
	journal_close(&journal);
	ck_assert_msg(n_flushes == 0, "closing has nothing left to flush");
}
END_TEST

START_TEST(a_large_wal_is_put_away_at_the_end)
{
	struct journal *journal = open_journal();
	struct stat st;

	for (unsigned i = 0; i < 200; i++)
		(void)stage_alone(journal, "x");
	ck_assert_int_eq(stat(inside("journal.sqlite-wal"), &st), 0);
	ck_assert_int_gt(st.st_size, 1 << 20);
	journal_close(&journal);
	ck_assert_int_eq(stat(inside("journal.sqlite-wal"), &st), 0);
	ck_assert_int_eq(st.st_size, 0);

	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 200);
	journal_close(&journal);
}
END_TEST

/* Holds the journal until the pipe is closed at our end. */
static pid_t fork_holder(int *ret_fd)
{
	int ready[2];
	int done[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(done), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct journal *journal = open_journal();

		(void)close(done[1]);
		(void)!write(ready[1], "x", 1);
		(void)!read(done[0], &byte, 1);
		journal_close(&journal);
		_exit(0);
	}
	(void)close(ready[1]);
	(void)close(done[0]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	*ret_fd = done[1];
	return pid;
}

START_TEST(a_second_process_is_told_the_pid_of_the_first)
{
	int done_fd;
	pid_t pid = fork_holder(&done_fd);
	struct journal *journal;
	char words[64];
	int status;

	(void)snprintf(words, sizeof(words),
		       "another mailhaul (pid %d) is visiting this account",
		       (int)pid);
	check_refused(ERROR_BUSY, words);

	(void)close(done_fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	journal = open_journal();
	journal_close(&journal);
}
END_TEST

START_TEST(without_its_lock_file_a_journal_still_has_one_user)
{
	int done_fd;
	pid_t pid = fork_holder(&done_fd);

	ck_assert_int_eq(unlink(inside("lock")), 0);
	check_refused(ERROR_BUSY, "another program has");
	(void)close(done_fd);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	struct journal_identity identity;
	bool is_same;
} identity_cases[] = {
	{ "the same", { "pop.example.org", 995, "joe", NULL }, true },
	{ "the host in capitals", { "POP.Example.Org", 995, "joe", NULL }, true },
	{ "the same mailbox by another port", { "pop.example.org", 110, "joe", NULL }, true },
	{ "another host", { "pop.example.com", 995, "joe", NULL }, false },
	{ "another user", { "pop.example.org", 995, "jim", NULL }, false },
	{ "another spelling of the user", { "pop.example.org", 995, "Joe", NULL }, false },
};
/* clang-format on */

START_TEST(a_journal_of_another_mailbox_is_refused)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };

	journal_close(&journal);
	if (!identity_cases[_i].is_same) {
		check_refused_as(&identity_cases[_i].identity, ERROR_CONFIG,
				 "joe at pop.example.org");
		return;
	}
	ck_assert_msg(journal_open(dir, &identity_cases[_i].identity, &journal,
				   &err) == 0,
		      "%s: %s", identity_cases[_i].name, err.text);
	journal_close(&journal);
}
END_TEST

START_TEST(a_journal_that_went_missing_is_not_made_anew)
{
	struct journal *journal = open_journal();
	char tag[MAILDIR_TAG_SIZE];

	(void)strcpy(tag, journal_tag(journal));
	(void)stage_alone(journal, "a");
	journal_close(&journal);
	ck_assert_int_eq(unlink(inside("journal.sqlite")), 0);
	check_refused(ERROR_CONFIG, "is missing though there was one");
	check_refused(ERROR_CONFIG, inside("journal.sqlite"));
	ck_assert_int_lt(access(inside("journal.sqlite"), F_OK), 0);

	ck_assert_int_eq(unlink(inside("lock")), 0);
	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 0);
	ck_assert_str_ne(journal_tag(journal), tag);
	journal_close(&journal);
}
END_TEST

START_TEST(a_making_that_was_cut_short_is_done_over)
{
	struct journal *journal;

	ck_assert_int_eq(close(creat(inside("lock"), 0600)), 0);
	ck_assert_int_eq(close(creat(inside("journal.sqlite"), 0600)), 0);
	journal = open_journal();
	journal_close(&journal);
	ck_assert_int_eq(access(inside("journal.sqlite"), F_OK), 0);
}
END_TEST

START_TEST(a_whole_journal_without_its_line_is_kept)
{
	struct journal *journal = open_journal();
	char tag[MAILDIR_TAG_SIZE];

	(void)strcpy(tag, journal_tag(journal));
	(void)stage_alone(journal, "a");
	journal_close(&journal);
	ck_assert_int_eq(truncate(inside("lock"), 0), 0);

	journal = open_journal();
	ck_assert_str_eq(journal_tag(journal), tag);
	ck_assert_uint_eq(count_rows(journal), 1);
	journal_close(&journal);
	ck_assert_int_eq(unlink(inside("journal.sqlite")), 0);
	check_refused(ERROR_CONFIG, "is missing");
}
END_TEST

START_TEST(a_making_that_cannot_be_synced_leaves_no_line)
{
	struct stat st;

	refuse_flush = EIO;
	check_refused(ERROR_LOCAL, "journal.sqlite");
	ck_assert_int_eq(stat(inside("lock"), &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

static void overwrite(const char *name, off_t offset, const char *data,
		      size_t len)
{
	int fd = open(inside(name), O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, data, len, offset), (ssize_t)len);
	ck_assert_int_eq(close(fd), 0);
}

/* clang-format off */
static const struct {
	const char *name;
	off_t offset;
	const char *data;
	size_t len;
	off_t cut_to; /* -1: not cut */
	const char *words;
} damage_cases[] = {
	{ "garbage for a header", 0, "garbage garbage!", 16, -1, "is damaged" },
	{ "another program's database", 68, "\0\0\0\1", 4, -1, "no journal of mailhaul" },
	{ "no version", 60, "\0\0\0\0", 4, -1, "no journal of mailhaul" },
	{ "a newer version", 60, "\0\0\0\2", 4, -1, "newer mailhaul" },
	{ "cut to nothing", 0, "", 0, 0, "it is empty" },
	{ "cut to one page", 0, "", 0, 4096, "is damaged" },
	{ "a schema page of garbage", 100, "\xff\xff\xff\xff\xff\xff", 6, -1, "is damaged" },
};
/* clang-format on */

START_TEST(a_damaged_journal_stops_the_account)
{
	struct journal *journal = open_journal();

	journal_close(&journal);
	/* What was just made stands in the database alone: the WAL adds nothing. */
	overwrite("journal.sqlite", damage_cases[_i].offset,
		  damage_cases[_i].data, damage_cases[_i].len);
	if (damage_cases[_i].cut_to >= 0)
		ck_assert_int_eq(truncate(inside("journal.sqlite"),
					  damage_cases[_i].cut_to),
				 0);
	ck_assert_int_eq(truncate(inside("journal.sqlite-wal"), 0), 0);
	check_refused(ERROR_CONFIG, damage_cases[_i].words);
	check_refused(ERROR_CONFIG, inside("journal.sqlite"));

	ck_assert_int_eq(unlink(inside("journal.sqlite")), 0);
	ck_assert_int_eq(unlink(inside("lock")), 0);
	journal = open_journal();
	journal_close(&journal);
}
END_TEST

/* The statement that would miss a column is not prepared by every visit. */
START_TEST(a_table_that_is_not_as_it_was_made_is_found_at_once)
{
	static const char column[] = "noted_at INTEGER";
	struct journal *journal = open_journal();
	char page[4096];
	char *found;
	int fd;

	journal_close(&journal);
	fd = open(inside("journal.sqlite"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, page, sizeof(page), 0), sizeof(page));
	ck_assert_int_eq(close(fd), 0);
	found = memmem(page, sizeof(page), column, strlen(column));
	ck_assert_ptr_nonnull(found);
	overwrite("journal.sqlite", found - page, "noted_by", 8);
	ck_assert_int_eq(truncate(inside("journal.sqlite-wal"), 0), 0);
	check_refused(ERROR_CONFIG, "is damaged (its tables are not ours)");
}
END_TEST

START_TEST(damage_that_shows_late_is_a_config_error_too)
{
	static char garbage[4096];
	struct journal *journal = open_journal();
	struct journal_rows rows = { 0 };
	struct journal_row row;
	struct error err = { 0 };
	struct stat st;
	unsigned n = 0;
	int r;

	for (unsigned i = 0; i < 400; i++)
		(void)stage_alone(journal,
				  "a uid that takes some room in the file");
	journal_close(&journal);
	memset(garbage, 0xee, sizeof(garbage));
	ck_assert_int_eq(stat(inside("journal.sqlite"), &st), 0);
	for (off_t at = 12 * 4096; at < st.st_size; at += 4096)
		overwrite("journal.sqlite", at, garbage, sizeof(garbage));
	ck_assert_int_eq(truncate(inside("journal.sqlite-wal"), 0), 0);

	journal = open_journal();
	ck_assert_int_eq(journal_load(journal, &rows, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, inside("journal.sqlite")));
	ck_assert_ptr_null(rows.rows);

	journal_begin_walk(journal);
	while ((r = journal_walk(journal, &row, &err)) > 0)
		n++;
	ck_assert_int_eq(r, -1);
	ck_assert_uint_lt(n, 400);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	journal_close(&journal);
}
END_TEST

enum oddity {
	ODD_DIR_SHARED = 0,
	ODD_DIR_MISSING,
	ODD_DIR_LINK,
	ODD_LOCK_FIFO,
	ODD_LOCK_LINK,
	ODD_FILE_LINK,
	ODD_FILE_FIFO,
};

/* clang-format off */
static const struct {
	const char *name;
	enum oddity oddity;
	const char *words;
} odd_cases[] = {
	{ "others may write to the directory", ODD_DIR_SHARED, "must belong to" },
	{ "there is no directory", ODD_DIR_MISSING, "state directory" },
	{ "a link for the directory", ODD_DIR_LINK, "state directory" },
	{ "a FIFO for the lock", ODD_LOCK_FIFO, "regular file" },
	{ "a link for the lock", ODD_LOCK_LINK, "lock" },
	{ "a link for the journal", ODD_FILE_LINK, "regular file" },
	{ "a FIFO for the journal", ODD_FILE_FIFO, "regular file" },
};
/* clang-format on */

static void make_oddity(enum oddity oddity)
{
	char path[4200];

	switch (oddity) {
	case ODD_DIR_SHARED:
		ck_assert_int_eq(chmod(dir, 0770), 0);
		break;
	case ODD_DIR_MISSING:
		ck_assert_int_eq(rmdir(dir), 0);
		break;
	case ODD_DIR_LINK:
		(void)snprintf(path, sizeof(path), "%s/link", dir);
		ck_assert_int_eq(symlink(dir, path), 0);
		(void)strcpy(dir, path);
		break;
	case ODD_LOCK_FIFO:
		ck_assert_int_eq(mkfifo(inside("lock"), 0600), 0);
		break;
	case ODD_LOCK_LINK:
		ck_assert_int_eq(symlink("elsewhere", inside("lock")), 0);
		break;
	case ODD_FILE_LINK:
		ck_assert_int_eq(symlink("elsewhere", inside("journal.sqlite")),
				 0);
		break;
	case ODD_FILE_FIFO:
		ck_assert_int_eq(mkfifo(inside("journal.sqlite"), 0600), 0);
		break;
	}
}

START_TEST(what_is_not_as_we_make_it_is_refused)
{
	char first_dir[4096];

	(void)strcpy(first_dir, dir);
	make_oddity(odd_cases[_i].oddity);
	check_refused(ERROR_LOCAL, odd_cases[_i].words);
	(void)strcpy(dir, first_dir);
	ck_assert_int_lt(access(inside("elsewhere"), F_OK), 0);
}
END_TEST

/* ---- rows ---- */

START_TEST(a_row_comes_back_as_it_went_in)
{
	static const char uid[] = "a\0b\xff";
	struct journal *journal = open_journal();
	struct journal_rows rows;
	struct journal_row row;
	struct error err = { 0 };
	uint8_t digest[DIGEST_SIZE] = { 1, 2, 3 };
	const struct journal_entry entry = {
		.uid = { uid, sizeof(uid) - 1 },
		.list_size = -1,
		.base = "1.M2P3Q4Rtag.host",
		.size_bytes = UINT64_C(5) << 32,
		.digest = digest,
	};
	int64_t id;

	begin(journal);
	ck_assert_int_eq(journal_stage(journal, &entry, &id, &err), 0);
	commit(journal);
	journal_close(&journal);

	journal = open_journal();
	row = load_only_row(journal, &rows);
	ck_assert_int_eq(row.id, id);
	ck_assert_uint_eq(row.uid.len, 4);
	ck_assert_mem_eq(row.uid.data, uid, 4);
	ck_assert_uint_eq(row.occurrence, 1);
	ck_assert_int_eq(row.state, JOURNAL_STAGED);
	ck_assert_int_eq(row.list_size, -1);
	ck_assert_str_eq(row.base, entry.base);
	ck_assert_uint_eq(row.size_bytes, entry.size_bytes);
	journal_rows_done(&rows);
	journal_close(&journal);
}
END_TEST

/* The same rows in the same order, less what a plan does not need. */
static void check_walk(struct journal *journal, const struct journal_rows *rows)
{
	struct journal_row row;
	struct error err = { 0 };

	journal_begin_walk(journal);
	for (size_t i = 0; i < rows->n_rows; i++) {
		const struct journal_row *expected = &rows->rows[i];

		memset(&row, 0xa5, sizeof(row));
		ck_assert_int_eq(journal_walk(journal, &row, &err), 1);
		ck_assert_int_eq(row.id, expected->id);
		ck_assert_uint_eq(row.uid.len, expected->uid.len);
		ck_assert(row.uid.len == 0 ||
			  memcmp(row.uid.data, expected->uid.data,
				 row.uid.len) == 0);
		ck_assert_uint_eq(row.occurrence, expected->occurrence);
		ck_assert_int_eq(row.state, expected->state);
		ck_assert_int_eq(row.list_size, expected->list_size);
		ck_assert_ptr_null(row.base);
	}
	ck_assert_int_eq(journal_walk(journal, &row, &err), 0);
}

START_TEST(rows_come_in_the_order_of_uid_bytes_and_occurrence)
{
	static const char *const uids[] = { "b", "",     "a", "ab", "",
					    "b", "\xff", "B", "b" };
	static const char *const order[] = { "",  "",  "B", "a",   "ab",
					     "b", "b", "b", "\xff" };
	static const uint32_t occurrences[] = { 1, 2, 1, 1, 1, 1, 2, 3, 1 };
	struct journal *journal = open_journal();
	struct journal_rows rows;
	struct error err = { 0 };

	begin(journal);
	for (size_t i = 0; i < ARRAY_SIZE(uids); i++)
		(void)stage(journal, as_bytes(uids[i]), (uint8_t)i);
	commit(journal);
	ck_assert_int_eq(journal_load(journal, &rows, &err), 0);
	ck_assert_uint_eq(rows.n_rows, ARRAY_SIZE(order));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		ck_assert_uint_eq(rows.rows[i].uid.len, strlen(order[i]));
		ck_assert_mem_eq(rows.rows[i].uid.data, order[i],
				 strlen(order[i]));
		ck_assert_uint_eq(rows.rows[i].occurrence, occurrences[i]);
	}
	check_walk(journal, &rows);
	check_walk(journal, &rows); /* and once more from the start */
	journal_rows_done(&rows);
	journal_close(&journal);
}
END_TEST

START_TEST(one_row_with_a_uid_is_enough_to_have_had_uids)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };
	bool has_uids = true;

	ck_assert_int_eq(journal_has_uids(journal, &has_uids, &err), 0);
	ck_assert(!has_uids);
	(void)stage_alone(journal, "");
	ck_assert_int_eq(journal_has_uids(journal, &has_uids, &err), 0);
	ck_assert(!has_uids);
	(void)stage_alone(journal, "\x01");
	ck_assert_int_eq(journal_has_uids(journal, &has_uids, &err), 0);
	ck_assert(has_uids);
	journal_close(&journal);
}
END_TEST

START_TEST(an_occurrence_is_not_given_twice)
{
	struct journal *journal = open_journal();
	struct journal_rows rows;
	struct error err = { 0 };
	int64_t first;

	begin(journal);
	first = stage(journal, as_bytes("a"), 1);
	(void)stage(journal, as_bytes("a"), 2);
	ck_assert_int_eq(journal_forget(journal, first, &err), 0);
	(void)stage(journal, as_bytes("a"), 3);
	commit(journal);
	ck_assert_int_eq(journal_load(journal, &rows, &err), 0);
	ck_assert_uint_eq(rows.n_rows, 2);
	ck_assert_uint_eq(rows.rows[0].occurrence, 2);
	ck_assert_uint_eq(rows.rows[1].occurrence, 3);
	journal_rows_done(&rows);
	journal_close(&journal);
}
END_TEST

START_TEST(only_staged_rows_are_left_to_recovery)
{
	struct journal *journal = open_journal();
	struct journal_rows rows;
	struct error err = { 0 };
	int64_t ids[3];

	begin(journal);
	for (size_t i = 0; i < 3; i++)
		ids[i] = stage(journal, as_bytes("a"), 1);
	set_state(journal, ids[0], JOURNAL_DELIVERED);
	set_state(journal, ids[2], JOURNAL_GONE);
	commit(journal);
	ck_assert_int_eq(journal_load_staged(journal, &rows, &err), 0);
	ck_assert_uint_eq(rows.n_rows, 1);
	ck_assert_int_eq(rows.rows[0].id, ids[1]);
	ck_assert_uint_eq(count_rows(journal), 3);
	journal_rows_done(&rows);
	journal_close(&journal);
}
END_TEST

START_TEST(a_row_can_be_confirmed_renamed_and_forgotten)
{
	struct journal *journal = open_journal();
	struct journal_rows rows;
	struct journal_row row;
	struct error err = { 0 };
	bool has_base = true;
	int64_t id;
	int64_t found_id = 99;
	uint64_t size_bytes = 99;

	begin(journal);
	id = stage(journal, as_bytes("a"), 1);
	set_state(journal, id, JOURNAL_GONE);
	ck_assert_int_eq(
		journal_confirm(journal, id, as_bytes("b"), 4711, &err), 0);
	ck_assert_int_eq(journal_set_base(journal, id, "another", &err), 0);
	commit(journal);
	row = load_only_row(journal, &rows);
	ck_assert_int_eq(row.state, JOURNAL_DELIVERED);
	ck_assert_int_eq(row.list_size, 4711);
	ck_assert(row.uid.len == 1 && row.uid.data[0] == 'b');
	ck_assert_str_eq(row.base, "another");
	journal_rows_done(&rows);

	ck_assert_int_eq(journal_has_base(journal, "another", &has_base,
					  &found_id, &size_bytes, &err),
			 0);
	ck_assert(has_base && found_id == id && size_bytes == 117);
	ck_assert_int_eq(journal_has_base(journal, "base1", &has_base,
					  &found_id, &size_bytes, &err),
			 0);
	ck_assert(!has_base && found_id == 0 && size_bytes == 0);

	begin(journal);
	ck_assert_int_eq(journal_forget(journal, id, &err), 0);
	commit(journal);
	ck_assert_uint_eq(count_rows(journal), 0);
	begin(journal);
	ck_assert_int_eq(
		journal_set_state(journal, id, JOURNAL_DELIVERED, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "has no row"));
	journal_close(&journal);
}
END_TEST

START_TEST(a_row_tells_its_digest)
{
	struct journal *journal = open_journal();
	uint8_t expected[DIGEST_SIZE], digest[DIGEST_SIZE];
	struct error err = { 0 };
	int64_t id;

	begin(journal);
	(void)stage(journal, as_bytes("a"), 6);
	id = stage(journal, as_bytes("b"), 7);
	commit(journal);
	memset(expected, 7, sizeof(expected));
	ck_assert_int_eq(journal_get_digest(journal, id, digest, &err), 0);
	ck_assert_mem_eq(digest, expected, DIGEST_SIZE);
	ck_assert_int_eq(journal_get_digest(journal, id + 1, digest, &err), -1);
	journal_close(&journal);
}
END_TEST

START_TEST(a_row_confirmed_under_another_uid_is_one_more_of_that_uid)
{
	struct journal *journal = open_journal();
	struct journal_rows rows = { 0 };
	struct error err = { 0 };
	int64_t id;

	begin(journal);
	id = stage(journal, as_bytes("a"), 1);
	(void)stage(journal, as_bytes("b"), 2);
	ck_assert_int_eq(journal_confirm(journal, id, as_bytes("b"), 9, &err),
			 0);
	commit(journal);
	ck_assert_int_eq(journal_load(journal, &rows, &err), 0);
	ck_assert_uint_eq(rows.n_rows, 2);
	ck_assert_uint_eq(rows.rows[1].occurrence, 2);
	ck_assert_int_eq(rows.rows[1].id, id);
	journal_rows_done(&rows);
	journal_close(&journal);
}
END_TEST

static enum journal_state state_of_only_row(struct journal *journal)
{
	struct journal_rows rows;
	struct journal_row row = load_only_row(journal, &rows);

	journal_rows_done(&rows);
	return row.state;
}

/* n_flushes counts those of the whole process. */
START_TEST(what_the_server_deleted_is_recorded_without_a_flush)
{
	struct journal *journal = open_journal();
	int64_t id = stage_alone(journal, "a");
	struct error err = { 0 };

	n_flushes = 0;
	ck_assert_msg(journal_record_deleted(journal, &id, 1, &err) == 0, "%s",
		      err.text);
	ck_assert_uint_eq(n_flushes, 0);
	ck_assert_int_eq(state_of_only_row(journal), JOURNAL_DELETED);

	begin(journal);
	set_state(journal, id, JOURNAL_GONE);
	commit(journal);
	ck_assert_msg(n_flushes > 0, "later commits are flushed again");
	journal_close(&journal);
}
END_TEST

START_TEST(a_server_that_kept_what_it_said_it_deleted_is_not_believed)
{
	struct journal *journal = open_journal();
	int64_t id = stage_alone(journal, "a");
	struct error err = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(journal_record_deleted(journal, &id, 1, &err),
				 0);
		ck_assert_int_eq(state_of_only_row(journal),
				 i == 0 ? JOURNAL_DELETED : JOURNAL_DELIVERED);
		begin(journal);
		ck_assert_int_eq(
			journal_confirm(journal, id, as_bytes("a"), 1, &err),
			0);
		commit(journal);
	}
	journal_close(&journal);
}
END_TEST

/* ---- transactions ---- */

START_TEST(nothing_is_written_outside_a_transaction)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };
	int64_t id = stage_alone(journal, "a");
	const struct journal_entry entry = { .base = "x",
					     .digest = (const uint8_t *)dir };

	ck_assert_int_eq(journal_set_state(journal, id, JOURNAL_GONE, &err),
			 -1);
	ck_assert_int_eq(journal_stage(journal, &entry, &id, &err), -1);
	ck_assert_int_eq(journal_forget(journal, id, &err), -1);
	ck_assert_int_eq(journal_set_fact(journal, JOURNAL_REFUSED_AT, 1, &err),
			 -1);
	ck_assert_int_eq(journal_count_listing(journal, 1, &err), -1);
	ck_assert_int_eq(journal_note_trouble(journal, as_bytes("a"), 1, &err),
			 -1);
	ck_assert_int_eq(journal_commit(journal, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_uint_eq(count_rows(journal), 1);
	journal_close(&journal);
}
END_TEST

START_TEST(a_rollback_or_a_close_undoes_what_was_begun)
{
	struct journal *journal = open_journal();

	journal_rollback(journal);
	begin(journal);
	(void)stage(journal, as_bytes("a"), 1);
	journal_rollback(journal);
	journal_rollback(journal);
	ck_assert_uint_eq(count_rows(journal), 0);

	begin(journal);
	(void)stage(journal, as_bytes("a"), 1);
	journal_close(&journal);
	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 0);
	journal_close(&journal);
}
END_TEST

static void fail_to_commit(struct journal *journal, const char *uid)
{
	struct error err = { 0 };

	begin(journal);
	(void)stage(journal, as_bytes(uid), 1);
	refuse_flush = EIO;
	ck_assert_int_eq(journal_commit(journal, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_ptr_nonnull(strstr(err.text, inside("journal.sqlite")));
	refuse_flush = 0;
}

START_TEST(a_failed_commit_undoes_all_and_is_the_last_of_its_visit)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };

	fail_to_commit(journal, "failed");
	n_flushes = 0;
	ck_assert_uint_eq(count_rows(journal), 0);
	ck_assert_int_eq(journal_begin(journal, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	journal_close(&journal);
	ck_assert_uint_eq(n_flushes, 0);
}
END_TEST

/* Whether it was a commit, only the disk can say. */
START_TEST(after_a_failed_commit_the_next_visit_flushes_before_it_counts)
{
	struct journal *journal = open_journal();
	unsigned n_rows;

	(void)stage_alone(journal, "a");
	fail_to_commit(journal, "failed");
	journal_close(&journal);

	n_flushes = 0;
	journal = open_journal();
	ck_assert_uint_ge(n_flushes, 2);
	n_rows = (unsigned)count_rows(journal);
	ck_assert_uint_ge(n_rows, 1);
	(void)stage_alone(journal, "b");
	ck_assert_uint_eq(count_rows(journal), n_rows + 1);
	journal_close(&journal);
}
END_TEST

START_TEST(what_a_killed_visit_wrote_is_flushed_before_it_counts)
{
	struct journal *journal;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		journal = open_journal();
		(void)stage_alone(journal, "a");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);

	refuse_flush = EIO;
	check_refused(ERROR_LOCAL, "journal.sqlite");
	check_refused(ERROR_LOCAL, "journal.sqlite");
	refuse_flush = 0;
	n_flushes = 0;
	journal = open_journal();
	ck_assert_uint_ge(n_flushes, 2);
	ck_assert_uint_eq(count_rows(journal), 1);
	journal_close(&journal);

	n_flushes = 0;
	journal = open_journal();
	journal_close(&journal);
	ck_assert_uint_eq(n_flushes, 0);
}
END_TEST

START_TEST(a_killed_visit_makes_the_next_one_look_for_damage)
{
	static char garbage[4096];
	struct journal *journal = open_journal();
	struct stat st;

	for (unsigned i = 0; i < 400; i++)
		(void)stage_alone(journal,
				  "a uid that takes some room in the file");
	journal_close(&journal);
	memset(garbage, 0xee, sizeof(garbage));
	ck_assert_int_eq(stat(inside("journal.sqlite"), &st), 0);
	overwrite("journal.sqlite", st.st_size - 4096, garbage,
		  sizeof(garbage));
	ck_assert_int_eq(stat(inside("lock"), &st), 0);
	overwrite("lock", st.st_size, "x", 1);
	check_refused(ERROR_CONFIG, "is damaged");
	check_refused(ERROR_CONFIG, "is damaged");
}
END_TEST

/* ---- listings, troubles, facts ---- */

static void count_listing(struct journal *journal, uint64_t now_sec)
{
	struct error err = { 0 };

	begin(journal);
	ck_assert_int_eq(journal_count_listing(journal, now_sec, &err), 0);
	commit(journal);
}

/* clang-format off */
static const struct {
	const char *name;
	enum journal_state state;
	unsigned n_days;
	unsigned n_listings; /* the last of them on the last day */
	size_t n_left;
} gone_cases[] = {
	{ "31 days and 20 listings", JOURNAL_GONE, 31, 20, 0 },
	{ "31 days, but 19 listings: the clock jumped", JOURNAL_GONE, 31, 19, 1 },
	{ "29 days and 25 listings", JOURNAL_GONE, 29, 25, 1 },
	{ "a row DELIVERED stays for ever", JOURNAL_DELIVERED, 4000, 40, 1 },
	{ "a row STAGED stays for ever", JOURNAL_STAGED, 4000, 40, 1 },
};
/* clang-format on */

START_TEST(a_gone_row_is_dropped_after_both_days_and_listings)
{
	struct journal *journal = open_journal();
	uint64_t now_sec = (uint64_t)time(NULL);
	unsigned n = gone_cases[_i].n_listings;
	int64_t id;

	begin(journal);
	id = stage(journal, as_bytes("a"), 1);
	set_state(journal, id, gone_cases[_i].state);
	commit(journal);
	for (unsigned i = 0; i < n; i++)
		count_listing(
			journal,
			now_sec + (gone_cases[_i].n_days - n + 1 + i) * DAY +
				60);
	ck_assert_msg(count_rows(journal) == gone_cases[_i].n_left, "%s",
		      gone_cases[_i].name);
	journal_close(&journal);
}
END_TEST

START_TEST(an_idle_account_counts_one_listing_a_day)
{
	struct journal *journal = open_journal();
	uint64_t now_sec = (uint64_t)time(NULL);

	count_listing(journal, now_sec);
	n_flushes = 0;
	count_listing(journal, now_sec + 1);
	count_listing(journal, now_sec + DAY - 1);
	ck_assert_uint_eq(n_flushes, 0);
	count_listing(journal, now_sec + DAY);
	ck_assert_uint_eq(n_flushes, 1);
	count_listing(journal, now_sec);
	ck_assert_msg(n_flushes == 2, "a clock that was set back counts anew");
	count_listing(journal, now_sec + 1);
	ck_assert_uint_eq(n_flushes, 2);
	journal_close(&journal);
}
END_TEST

START_TEST(a_busy_account_counts_one_listing_a_day_too)
{
	struct journal *journal = open_journal();
	uint64_t now_sec = (uint64_t)time(NULL) + 31 * DAY;
	struct error err = { 0 };
	int64_t id = stage_alone(journal, "a");

	begin(journal);
	set_state(journal, id, JOURNAL_GONE);
	commit(journal);
	for (unsigned i = 0; i < 40; i++) {
		begin(journal);
		ck_assert_int_eq(journal_set_fact(journal,
						  JOURNAL_REFUSED_TIMES, i + 1,
						  &err),
				 0);
		ck_assert_int_eq(journal_count_listing(journal, now_sec, &err),
				 0);
		commit(journal);
	}
	ck_assert_msg(count_rows(journal) == 1,
		      "40 listings within a day are one");
	journal_close(&journal);
}
END_TEST

START_TEST(calling_a_gone_row_gone_again_does_not_renew_it)
{
	struct journal *journal = open_journal();
	uint64_t now_sec = (uint64_t)time(NULL);
	int64_t id = stage_alone(journal, "a");

	begin(journal);
	set_state(journal, id, JOURNAL_GONE);
	commit(journal);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_uint_eq(count_rows(journal), 1);
		begin(journal);
		set_state(journal, id, JOURNAL_GONE);
		commit(journal);
		count_listing(journal, now_sec + (12 + i) * DAY);
	}
	ck_assert_uint_eq(count_rows(journal), 0);
	journal_close(&journal);
}
END_TEST

static uint32_t trouble_count(struct journal *journal, const char *uid)
{
	struct error err = { 0 };
	struct journal_trouble trouble = { .times = 99 };

	ck_assert_int_eq(
		journal_get_trouble(journal, as_bytes(uid), 1, &trouble, &err),
		0);
	return trouble.times;
}

START_TEST(troubles_are_counted_by_uid)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };
	bool has_any = true;

	ck_assert_int_eq(journal_has_troubles(journal, &has_any, &err), 0);
	ck_assert(!has_any);

	begin(journal);
	ck_assert_int_eq(journal_note_trouble(journal, as_bytes("a"), 1, &err),
			 0);
	ck_assert_int_eq(journal_note_trouble(journal, as_bytes("a"), 1, &err),
			 0);
	ck_assert_int_eq(journal_note_trouble(journal, as_bytes(""), 1, &err),
			 0);
	commit(journal);
	journal_close(&journal);

	journal = open_journal();
	ck_assert_int_eq(journal_has_troubles(journal, &has_any, &err), 0);
	ck_assert(has_any);
	ck_assert_uint_eq(trouble_count(journal, "a"), 2);
	ck_assert_uint_eq(trouble_count(journal, ""), 1);
	ck_assert_uint_eq(trouble_count(journal, "b"), 0);
	begin(journal);
	ck_assert_int_eq(journal_clear_trouble(journal, as_bytes("a"), 1, &err),
			 0);
	commit(journal);
	ck_assert_uint_eq(trouble_count(journal, "a"), 0);
	count_listing(journal, (uint64_t)time(NULL) + 31 * DAY);
	ck_assert_msg(trouble_count(journal, "") == 0,
		      "old troubles are dropped");
	journal_close(&journal);
}
END_TEST

START_TEST(facts_outlive_a_visit)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };
	int64_t value = 99;

	ck_assert_int_eq(
		journal_get_fact(journal, JOURNAL_APOP_REFUSED, &value, &err),
		0);
	ck_assert_int_eq(value, 0);
	begin(journal);
	ck_assert_int_eq(journal_set_fact(journal, JOURNAL_APOP_REFUSED,
					  UINT32_MAX, &err),
			 0);
	commit(journal);
	journal_close(&journal);

	journal = open_journal();
	ck_assert_int_eq(
		journal_get_fact(journal, JOURNAL_APOP_REFUSED, &value, &err),
		0);
	ck_assert_int_eq(value, UINT32_MAX);
	begin(journal);
	ck_assert_int_eq(
		journal_set_fact(journal, JOURNAL_APOP_REFUSED, 0, &err), 0);
	commit(journal);
	ck_assert_int_eq(
		journal_get_fact(journal, JOURNAL_APOP_REFUSED, &value, &err),
		0);
	ck_assert_int_eq(value, 0);
	journal_close(&journal);
}
END_TEST

/* ---- made anew by a person's word ---- */

static struct journal *open_anyway(bool is_to_mark)
{
	struct journal *journal = NULL;
	struct error err = { 0 };

	ck_assert_msg(
		journal_open_anyway(dir, &joe, is_to_mark, &journal, &err) == 0,
		"%s", err.text);
	return journal;
}

static void damage(size_t i)
{
	overwrite("journal.sqlite", damage_cases[i].offset,
		  damage_cases[i].data, damage_cases[i].len);
	if (damage_cases[i].cut_to >= 0)
		ck_assert_int_eq(truncate(inside("journal.sqlite"),
					  damage_cases[i].cut_to),
				 0);
}

static void end_marking(struct journal *journal)
{
	struct error err = { 0 };

	begin(journal);
	ck_assert_msg(journal_end_marking(journal, &err) == 0, "%s", err.text);
	commit(journal);
}

START_TEST(the_words_name_the_account_and_both_ways_on)
{
	struct journal *journal = open_journal();

	journal_close(&journal);
	ck_assert_int_eq(unlink(inside("journal.sqlite")), 0);
	check_refused(ERROR_CONFIG, "mailhaul --mark-seen work ");
	check_refused(ERROR_CONFIG, "mailhaul --refetch work ");
}
END_TEST

/* The path is cut off, never the advice. */
START_TEST(a_long_path_does_not_crowd_out_the_advice)
{
	struct journal *journal;
	char name[256];

	memset(name, 'x', 250);
	name[250] = '\0';
	(void)strcpy(dir, inside(name));
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	journal = open_journal();
	journal_close(&journal);
	overwrite("journal.sqlite", 0, "garbage garbage!", 16);
	check_refused(ERROR_CONFIG, "is damaged (");
	check_refused(ERROR_CONFIG, "mailhaul --mark-seen work takes what");
	check_refused(ERROR_CONFIG, "mailhaul --refetch work fetches all");
	*strrchr(dir, '/') = '\0';
}
END_TEST

START_TEST(a_useless_journal_is_moved_away_whole_and_made_anew)
{
	struct journal *journal = open_journal();
	char tag[MAILDIR_TAG_SIZE];
	char wal[4300];

	(void)strcpy(tag, journal_tag(journal));
	(void)stage_alone(journal, "a");
	journal_close(&journal);
	damage((size_t)_i);

	journal = open_anyway(false);
	ck_assert_uint_eq(count_rows(journal), 0);
	ck_assert_str_ne(journal_tag(journal), tag);
	ck_assert_ptr_nonnull(journal_moved_to(journal));
	ck_assert_int_eq(access(journal_moved_to(journal), F_OK), 0);
	(void)snprintf(wal, sizeof(wal), "%s-wal", journal_moved_to(journal));
	ck_assert_int_eq(access(wal, F_OK), 0);
	(void)stage_alone(journal, "b");
	journal_close(&journal);

	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 1);
	journal_close(&journal);
}
END_TEST

/* What was moved is what there was: whoever mends it finds all of it. */
START_TEST(what_was_moved_away_can_be_put_back)
{
	struct journal *journal = open_journal();
	char path[4300];

	(void)stage_alone(journal, "a");
	journal_close(&journal);
	overwrite("journal.sqlite", 60, "\0\0\0\7", 4);
	ck_assert_int_eq(truncate(inside("journal.sqlite-wal"), 0), 0);
	journal = open_anyway(false);
	(void)snprintf(path, sizeof(path), "%s", journal_moved_to(journal));
	journal_close(&journal);

	ck_assert_int_eq(unlink(inside("journal.sqlite-wal")), 0);
	ck_assert_int_eq(rename(path, inside("journal.sqlite")), 0);
	overwrite("journal.sqlite", 60, "\0\0\0\1", 4);
	journal = open_journal();
	journal_close(&journal);
}
END_TEST

START_TEST(a_missing_journal_is_made_anew_and_its_wal_is_not_believed)
{
	struct journal *journal = open_journal();

	(void)stage_alone(journal, "a");
	journal_close(&journal);
	ck_assert_int_eq(unlink(inside("journal.sqlite")), 0);
	journal = open_anyway(false);
	ck_assert_ptr_null(journal_moved_to(journal));
	ck_assert_uint_eq(count_rows(journal), 0);
	journal_close(&journal);
	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 0);
	journal_close(&journal);
}
END_TEST

START_TEST(a_journal_that_is_good_stays)
{
	struct journal *journal = open_journal();
	char tag[MAILDIR_TAG_SIZE];

	(void)strcpy(tag, journal_tag(journal));
	(void)stage_alone(journal, "a");
	journal_close(&journal);
	journal = open_anyway(_i == 1);
	ck_assert_ptr_null(journal_moved_to(journal));
	ck_assert_str_eq(journal_tag(journal), tag);
	ck_assert_uint_eq(count_rows(journal), 1);
	journal_close(&journal);
	journal = open_journal(); /* and awaits nothing */
	journal_close(&journal);
}
END_TEST

START_TEST(a_journal_of_another_mailbox_is_not_moved)
{
	const struct journal_identity jim = { "pop.example.org", 995, "jim",
					      "work" };
	struct journal *journal = open_journal();
	struct error err = { 0 };

	(void)stage_alone(journal, "a");
	journal_close(&journal);
	ck_assert_int_eq(journal_open_anyway(dir, &jim, true, &journal, &err),
			 -1);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 1);
	journal_close(&journal);
}
END_TEST

/* A full disk says nothing about the journal. */
START_TEST(a_journal_that_cannot_be_read_now_is_not_moved)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };

	journal_close(&journal);
	ck_assert_int_eq(unlink(inside("journal.sqlite")), 0);
	ck_assert_int_eq(mkdir(inside("journal.sqlite"), 0700), 0);
	ck_assert_int_eq(journal_open_anyway(dir, &joe, false, &journal, &err),
			 -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_int_eq(rmdir(inside("journal.sqlite")), 0);
}
END_TEST

START_TEST(damage_that_shows_late_is_found_before_it_is_believed)
{
	static char garbage[4096];
	struct journal *journal = open_journal();
	struct stat st;

	for (unsigned i = 0; i < 400; i++)
		(void)stage_alone(journal,
				  "a uid that takes some room in the file");
	journal_close(&journal);
	memset(garbage, 0xee, sizeof(garbage));
	ck_assert_int_eq(stat(inside("journal.sqlite"), &st), 0);
	for (off_t at = 12 * 4096; at < st.st_size; at += 4096)
		overwrite("journal.sqlite", at, garbage, sizeof(garbage));
	ck_assert_int_eq(truncate(inside("journal.sqlite-wal"), 0), 0);

	journal = open_anyway(false);
	ck_assert_ptr_nonnull(journal_moved_to(journal));
	ck_assert_uint_eq(count_rows(journal), 0);
	journal_close(&journal);
}
END_TEST

/* Each byte of SQLite's header in turn: no damage leaves a person stuck. */
START_TEST(no_damage_to_the_header_leaves_a_person_stuck)
{
	struct journal *journal = open_journal();
	char byte;
	int fd;

	skip_flush = true;
	journal_close(&journal);
	ck_assert_int_eq(truncate(inside("journal.sqlite-wal"), 0), 0);
	fd = open(inside("journal.sqlite"), O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, _i), 1);
	byte = (char)~byte;
	ck_assert_int_eq(pwrite(fd, &byte, 1, _i), 1);
	ck_assert_int_eq(close(fd), 0);

	journal = open_anyway(false);
	(void)stage_alone(journal, "a");
	journal_close(&journal);
	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 1);
	journal_close(&journal);
}
END_TEST

static void break_journal(void)
{
	if (access(inside("journal.sqlite"), F_OK) == 0)
		overwrite("journal.sqlite", 0, "garbage garbage!", 16);
}

START_TEST(two_within_a_second_are_both_kept)
{
	struct journal *journal = open_journal();
	char first[4300];

	journal_close(&journal);
	break_journal();
	journal = open_anyway(false);
	(void)snprintf(first, sizeof(first), "%s", journal_moved_to(journal));
	journal_close(&journal);
	break_journal();
	journal = open_anyway(false);
	ck_assert_str_ne(journal_moved_to(journal), first);
	ck_assert_int_eq(access(journal_moved_to(journal), F_OK), 0);
	ck_assert_int_eq(access(first, F_OK), 0);
	journal_close(&journal);
}
END_TEST

START_TEST(a_journal_made_to_be_marked_is_no_good_before)
{
	struct journal *journal;
	uint32_t n;
	struct error err = { 0 };

	if (_i > 0) { /* once there was one, and once there was none */
		journal = open_journal();
		journal_close(&journal);
		break_journal();
	}
	journal = open_anyway(true);
	journal_close(&journal);
	check_refused(ERROR_CONFIG, "--mark-seen that did not end");
	check_refused(ERROR_CONFIG, "mailhaul --refetch work ");

	journal = open_anyway(true);
	ck_assert_ptr_null(journal_moved_to(journal));
	begin(journal);
	if (_i == 2) /* a refetch ends it too */
		ck_assert_int_eq(journal_forget_all(journal, &n, &err), 0);
	else
		ck_assert_int_eq(journal_end_marking(journal, &err), 0);
	commit(journal);
	journal_close(&journal);
	journal = open_journal();
	journal_close(&journal);
}
END_TEST

static bool dies_at_flush(unsigned n, bool is_to_mark)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct journal *journal;

		n_flushes = 0;
		die_at_flush = n;
		journal = open_anyway(is_to_mark);
		end_marking(journal);
		journal_close(&journal);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 7;
}

/*
 * Death at every flush. An empty journal that passed for a good one would let
 * everything be fetched that was to be marked.
 */
START_TEST(a_kill_while_it_is_made_anew_leaves_it_marked_or_refused)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };
	unsigned n = 1;

	(void)stage_alone(journal, "a");
	journal_close(&journal);
	break_journal();
	while (dies_at_flush(n, true)) {
		ck_assert_msg(journal_open(dir, &joe, &journal, &err) == -1 ||
				      n > 8,
			      "died at flush %u", n);
		if (journal)
			journal_close(&journal);
		else
			ck_assert_msg(err.kind == ERROR_CONFIG, "%s", err.text);
		break_journal();
		n++;
	}
	ck_assert_uint_ge(n, 6);
	journal = open_journal();
	ck_assert_uint_eq(count_rows(journal), 0);
	journal_close(&journal);
}
END_TEST

START_TEST(a_marked_row_is_known_and_has_nothing_but_its_uid_and_size)
{
	struct journal *journal = open_journal();
	struct journal_rows rows = { 0 };
	struct error err = { 0 };
	struct journal_row row;
	int64_t id = stage_alone(journal, "other");

	begin(journal);
	ck_assert_int_eq(journal_forget(journal, id, &err), 0);
	ck_assert_int_eq(journal_mark_seen(journal, as_bytes("a"), 120, &err),
			 0);
	commit(journal);
	journal_close(&journal);
	journal = open_journal();
	row = load_only_row(journal, &rows);
	ck_assert_int_eq(row.state, JOURNAL_SEEN);
	ck_assert_int_eq(row.list_size, 120);
	ck_assert_uint_eq(row.occurrence, 1);
	ck_assert_uint_eq(row.size_bytes, 0);
	journal_rows_done(&rows);
	journal_close(&journal);
}
END_TEST

START_TEST(to_forget_all_takes_rows_and_troubles_and_leaves_the_login)
{
	struct journal *journal = open_journal();
	struct error err = { 0 };
	char tag[MAILDIR_TAG_SIZE];
	int64_t value;
	uint32_t n = 99;

	(void)strcpy(tag, journal_tag(journal));
	(void)stage_alone(journal, "a");
	(void)stage_alone(journal, "b");
	begin(journal);
	ck_assert_int_eq(journal_mark_seen(journal, as_bytes("c"), 1, &err), 0);
	ck_assert_int_eq(journal_note_trouble(journal, as_bytes("a"), 1, &err),
			 0);
	ck_assert_int_eq(
		journal_set_fact(journal, JOURNAL_REFUSED_TIMES, 3, &err), 0);
	commit(journal);

	begin(journal);
	ck_assert_int_eq(journal_forget_all(journal, &n, &err), 0);
	commit(journal);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(count_rows(journal), 0);
	ck_assert_uint_eq(trouble_count(journal, "a"), 0);
	ck_assert_int_eq(
		journal_get_fact(journal, JOURNAL_REFUSED_TIMES, &value, &err),
		0);
	ck_assert_int_eq(value, 3);
	ck_assert_str_eq(journal_tag(journal), tag);
	journal_close(&journal);
}
END_TEST

static void add_open_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_new_journal_is_private_and_keeps_its_tag);
	tcase_add_test(tcase,
		       a_visit_that_changes_nothing_writes_and_flushes_nothing);
	tcase_add_test(tcase, every_commit_is_one_flush_of_the_wal);
	tcase_add_test(tcase, a_large_wal_is_put_away_at_the_end);
	tcase_add_test(tcase, a_second_process_is_told_the_pid_of_the_first);
	tcase_add_test(tcase,
		       without_its_lock_file_a_journal_still_has_one_user);
	tcase_add_loop_test(tcase, a_journal_of_another_mailbox_is_refused, 0,
			    (int)ARRAY_SIZE(identity_cases));
	tcase_add_test(tcase, a_journal_that_went_missing_is_not_made_anew);
	tcase_add_test(tcase, a_making_that_was_cut_short_is_done_over);
	tcase_add_test(tcase, a_whole_journal_without_its_line_is_kept);
	tcase_add_test(tcase, a_making_that_cannot_be_synced_leaves_no_line);
	tcase_add_loop_test(tcase, a_damaged_journal_stops_the_account, 0,
			    (int)ARRAY_SIZE(damage_cases));
	tcase_add_test(tcase,
		       a_table_that_is_not_as_it_was_made_is_found_at_once);
	tcase_add_test(tcase, damage_that_shows_late_is_a_config_error_too);
	tcase_add_loop_test(tcase, what_is_not_as_we_make_it_is_refused, 0,
			    (int)ARRAY_SIZE(odd_cases));
}

static void add_anew_tests(TCase *tcase)
{
	tcase_add_test(tcase, the_words_name_the_account_and_both_ways_on);
	tcase_add_test(tcase, a_long_path_does_not_crowd_out_the_advice);
	tcase_add_loop_test(tcase,
			    a_useless_journal_is_moved_away_whole_and_made_anew,
			    0, (int)ARRAY_SIZE(damage_cases));
	tcase_add_test(tcase, what_was_moved_away_can_be_put_back);
	tcase_add_test(
		tcase,
		a_missing_journal_is_made_anew_and_its_wal_is_not_believed);
	tcase_add_loop_test(tcase, a_journal_that_is_good_stays, 0, 2);
	tcase_add_test(tcase, a_journal_of_another_mailbox_is_not_moved);
	tcase_add_test(tcase, a_journal_that_cannot_be_read_now_is_not_moved);
	tcase_add_test(tcase,
		       damage_that_shows_late_is_found_before_it_is_believed);
	tcase_add_loop_test(
		tcase, no_damage_to_the_header_leaves_a_person_stuck, 0, 100);
	tcase_add_test(tcase, two_within_a_second_are_both_kept);
	tcase_add_loop_test(
		tcase, a_journal_made_to_be_marked_is_no_good_before, 0, 3);
	tcase_add_test(
		tcase,
		a_kill_while_it_is_made_anew_leaves_it_marked_or_refused);
	tcase_add_test(
		tcase,
		a_marked_row_is_known_and_has_nothing_but_its_uid_and_size);
	tcase_add_test(
		tcase,
		to_forget_all_takes_rows_and_troubles_and_leaves_the_login);
}

static void add_row_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_row_comes_back_as_it_went_in);
	tcase_add_test(tcase,
		       rows_come_in_the_order_of_uid_bytes_and_occurrence);
	tcase_add_test(tcase, an_occurrence_is_not_given_twice);
	tcase_add_test(tcase, only_staged_rows_are_left_to_recovery);
	tcase_add_test(tcase, a_row_can_be_confirmed_renamed_and_forgotten);
	tcase_add_test(tcase, a_row_tells_its_digest);
	tcase_add_test(
		tcase,
		a_row_confirmed_under_another_uid_is_one_more_of_that_uid);
	tcase_add_test(tcase,
		       what_the_server_deleted_is_recorded_without_a_flush);
	tcase_add_test(
		tcase,
		a_server_that_kept_what_it_said_it_deleted_is_not_believed);
}

static void add_transaction_tests(TCase *tcase)
{
	tcase_add_test(tcase, nothing_is_written_outside_a_transaction);
	tcase_add_test(tcase, a_rollback_or_a_close_undoes_what_was_begun);
	tcase_add_test(tcase,
		       a_failed_commit_undoes_all_and_is_the_last_of_its_visit);
	tcase_add_test(
		tcase,
		after_a_failed_commit_the_next_visit_flushes_before_it_counts);
	tcase_add_test(tcase,
		       what_a_killed_visit_wrote_is_flushed_before_it_counts);
	tcase_add_test(tcase,
		       a_killed_visit_makes_the_next_one_look_for_damage);
}

static void add_memory_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase,
			    a_gone_row_is_dropped_after_both_days_and_listings,
			    0, (int)ARRAY_SIZE(gone_cases));
	tcase_add_test(tcase, an_idle_account_counts_one_listing_a_day);
	tcase_add_test(tcase, a_busy_account_counts_one_listing_a_day_too);
	tcase_add_test(tcase, calling_a_gone_row_gone_again_does_not_renew_it);
	tcase_add_test(tcase, one_row_with_a_uid_is_enough_to_have_had_uids);
	tcase_add_test(tcase, troubles_are_counted_by_uid);
	tcase_add_test(tcase, facts_outlive_a_visit);
}

int main(void)
{
	Suite *suite = suite_create("journal");
	TCase *tcase = tcase_create("journal");
	SRunner *runner;
	int n_failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	add_open_tests(tcase);
	add_anew_tests(tcase);
	add_row_tests(tcase);
	add_transaction_tests(tcase);
	add_memory_tests(tcase);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
