/*
 * test-delivery.c - the order of durable steps, and what holds when any of
 * them fails or is the last.
 *
 * This program has its own fsync, fdatasync and renameat2: they write down
 * what is made durable in which order, and can fail or end the process at any
 * one of them. SQLite uses the same.
 */
#include "delivery.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "recover.h"
#include "scratch.h"

#define CRASH_STATUS 77

static struct {
	bool is_on;
	char text[4096]; /* "file file tmp journal rename new" */
	unsigned n_steps;
	unsigned fail_at;  /* 0: never */
	unsigned crash_at; /* just before it */
} steps;

static void steps_begin(void)
{
	memset(&steps, 0, sizeof(steps));
	steps.is_on = true;
}

/* Several syncs of the journal are one: how many is SQLite's business. */
static bool repeats(const char *word)
{
	size_t len = strlen(steps.text);

	return strcmp(word, "journal") == 0 && len >= 7 &&
	       strcmp(steps.text + len - 7, "journal") == 0;
}

/* False: this step is to fail. */
static bool take_step(const char *word)
{
	size_t len = strlen(steps.text);

	if (!steps.is_on)
		return true;
	steps.n_steps++;
	if (steps.n_steps == steps.crash_at)
		_exit(CRASH_STATUS);
	if (steps.n_steps == steps.fail_at) {
		errno = EIO;
		return false;
	}
	if (!repeats(word))
		(void)snprintf(steps.text + len, sizeof(steps.text) - len,
			       "%s%s", len > 0 ? " " : "", word);
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static const char *word_of(int fd)
{
	char link[64], path[512] = "";

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		return "unknown";
	if (strstr(path, "/state"))
		return "journal";
	if (ends_with(path, "/tmp"))
		return "tmp";
	if (ends_with(path, "/new"))
		return "new";
	return strstr(path, "/tmp/") ? "file" : "other";
}

int fsync(int fd)
{
	return take_step(word_of(fd)) ? (int)syscall(SYS_fsync, fd) : -1;
}

int fdatasync(int fd)
{
	return take_step(word_of(fd)) ? (int)syscall(SYS_fdatasync, fd) : -1;
}

int renameat2(int old_fd, const char *old_name, int new_fd,
	      const char *new_name, unsigned flags)
{
	if (!take_step("rename"))
		return -1;
	return (int)syscall(SYS_renameat2, old_fd, old_name, new_fd, new_name,
			    flags);
}

static struct delivery *open_delivery(struct store *store)
{
	const struct delivery_limits limits = {
		.batch_messages = 64,
		.batch_bytes = 8 << 20,
		.batch_time_usec = USEC_PER_HOUR,
	};
	struct delivery *delivery;
	struct error err = { 0 };

	ck_assert_int_eq(delivery_new(&store->maildir, store->journal, &limits,
				      &delivery, &err),
			 0);
	return delivery;
}

#define TEXT_MAX 64

static void make_text(char ret[TEXT_MAX], unsigned which)
{
	(void)snprintf(ret, TEXT_MAX, "Subject: %u\n\nbody\n", which);
}

/* Message which, whose UID is uid, as the item'th of the plan. */
static int add(struct delivery *delivery, unsigned which, const char *uid,
	       struct error *err)
{
	const struct delivery_message message = {
		.item = which,
		.uid = { uid, strlen(uid) },
		.list_size = 100 + (int64_t)which,
	};
	char text[TEXT_MAX];

	make_text(text, which % 100); /* 1 and 101 have the same contents */
	if (delivery_begin(delivery, err) < 0)
		return -1;
	if (delivery_write(delivery, text, strlen(text), err) < 0) {
		delivery_abandon(delivery);
		return -1;
	}
	return delivery_end(delivery, &message, err);
}

static void add_ok(struct delivery *delivery, unsigned which, const char *uid)
{
	struct error err = { 0 };

	ck_assert_msg(add(delivery, which, uid, &err) == 0, "%s", err.text);
}

static void close_ok(struct delivery *delivery)
{
	struct error err = { 0 };

	ck_assert_msg(delivery_close_batch(delivery, &err) == 0, "%s",
		      err.text);
}

static void finish_ok(struct delivery *delivery)
{
	struct error err = { 0 };

	ck_assert_msg(delivery_finish(delivery, &err) == 0, "%s", err.text);
}

/* "1 2 ": the items that may be deleted now. */
static const char *take_deletable(struct delivery *delivery)
{
	static char text[256];
	size_t item, len = 0;
	int64_t row_id;

	text[0] = '\0';
	while (delivery_next_deletable(delivery, &item, &row_id))
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%zu ",
					item);
	return text;
}

/* "A:2:100 B:1:101 ": UID, state and LIST's size of each row. */
static const char *describe_rows(struct journal *journal)
{
	_cleanup_(journal_rows_done) struct journal_rows rows = { 0 };
	static char text[1024];
	struct error err = { 0 };
	size_t len = 0;

	text[0] = '\0';
	ck_assert_int_eq(journal_load(journal, &rows, &err), 0);
	for (size_t i = 0; i < rows.n_rows; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "%.*s:%d:%d ",
			(int)rows.rows[i].uid.len, rows.rows[i].uid.data,
			(int)rows.rows[i].state, (int)rows.rows[i].list_size);
	return text;
}

static void check_mail(const struct store *store, size_t in_tmp, size_t in_new)
{
	ck_assert_uint_eq(scratch_count(store->mail, "tmp"), in_tmp);
	ck_assert_uint_eq(scratch_count(store->mail, "new"), in_new);
}

START_TEST(a_batch_is_made_durable_step_by_step)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	delivery = open_delivery(&store);
	steps_begin();
	add_ok(delivery, 1, "A");
	add_ok(delivery, 2, "B");
	ck_assert_uint_eq(delivery_open_count(delivery), 2);
	ck_assert_str_eq(steps.text, "");
	check_mail(&store, 2, 0);
	ck_assert_str_eq(describe_rows(store.journal), "");

	close_ok(delivery);
	ck_assert_str_eq(steps.text, "file file tmp journal rename rename");
	check_mail(&store, 0, 2);
	ck_assert_str_eq(describe_rows(store.journal), "A:1:101 B:1:102 ");
	ck_assert_str_eq(take_deletable(delivery), "");
	ck_assert_uint_eq(delivery_count(delivery), 2);

	steps_begin();
	finish_ok(delivery);
	ck_assert_str_eq(steps.text, "new journal");
	ck_assert_str_eq(describe_rows(store.journal), "A:2:101 B:2:102 ");
	ck_assert_str_eq(take_deletable(delivery), "1 2 ");
	ck_assert_str_eq(take_deletable(delivery), "");
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

START_TEST(one_commit_stages_a_batch_and_records_the_one_before)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	close_ok(delivery);
	add_ok(delivery, 2, "B");
	ck_assert_str_eq(take_deletable(delivery), "");
	steps_begin();
	close_ok(delivery);
	ck_assert_str_eq(steps.text, "file tmp new journal rename");
	ck_assert_str_eq(describe_rows(store.journal), "A:2:101 B:1:102 ");
	ck_assert_str_eq(take_deletable(delivery), "1 ");

	add_ok(delivery, 3, "C");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "2 3 ");
	delivery_free(&delivery);
	check_mail(&store, 0, 3);
	store_close(&store);
}
END_TEST

START_TEST(nothing_delivered_flushes_nothing)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	delivery = open_delivery(&store);
	steps_begin();
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(steps.text, "");
	delivery_free(&delivery);
	store_close(&store);
	ck_assert_str_eq(steps.text, "");
}
END_TEST

START_TEST(what_was_not_closed_is_unlinked)
{
	struct store store;
	struct delivery *delivery;
	struct error err = { 0 };

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	ck_assert_int_eq(delivery_begin(delivery, &err), 0);
	ck_assert_int_eq(delivery_write(delivery, "half", 4, &err), 0);
	check_mail(&store, 2, 0);
	delivery_free(&delivery);
	check_mail(&store, 0, 0);
	ck_assert_str_eq(describe_rows(store.journal), "");
	store_close(&store);
}
END_TEST

START_TEST(an_abandoned_message_leaves_the_batch_alone)
{
	struct store store;
	struct delivery *delivery;
	struct error err = { 0 };

	store_make(&store);
	delivery = open_delivery(&store);
	delivery_abandon(delivery);
	add_ok(delivery, 1, "A");
	ck_assert_int_eq(delivery_begin(delivery, &err), 0);
	ck_assert_int_eq(delivery_write(delivery, "half", 4, &err), 0);
	close_ok(delivery); /* beside the one that arrives */
	check_mail(&store, 1, 1);
	delivery_abandon(delivery);
	check_mail(&store, 0, 1);
	add_ok(delivery, 2, "B");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "1 2 ");
	delivery_free(&delivery);
	check_mail(&store, 0, 2);
	store_close(&store);
}
END_TEST

START_TEST(an_open_batch_in_doubt_is_unlinked_and_leaves_the_one_before)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	close_ok(delivery);
	add_ok(delivery, 2, "B");
	delivery_void_batch(delivery);
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "1 ");
	check_mail(&store, 0, 1);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

static struct delivery *open_comparing(struct store *store)
{
	struct delivery *delivery = open_delivery(store);

	delivery_compare_with(delivery, store_know(store, false));
	return delivery;
}

/* A row DELIVERED with the contents of message 1, as of an earlier visit. */
static void deliver_before(struct store *store, const char *uid)
{
	struct delivery *delivery = open_delivery(store);

	add_ok(delivery, 1, uid);
	close_ok(delivery);
	finish_ok(delivery);
	delivery_free(&delivery);
}

START_TEST(the_same_contents_are_not_delivered_twice)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	deliver_before(&store, "A");
	delivery = open_comparing(&store);
	add_ok(delivery, 101, "A");
	ck_assert_uint_eq(delivery_open_count(delivery), 1);
	close_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "");
	finish_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "101 ");
	ck_assert_str_eq(describe_rows(store.journal), "A:2:201 ");
	ck_assert_uint_eq(delivery_count(delivery), 0);
	check_mail(&store, 0, 1);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

START_TEST(a_message_that_is_absent_is_gone_until_it_comes_back)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	deliver_before(&store, "A");
	delivery = open_delivery(&store);
	delivery_compare_with(delivery, store_know(&store, true));
	finish_ok(delivery);
	ck_assert_str_eq(describe_rows(store.journal), "A:3:101 ");
	delivery_free(&delivery);

	delivery = open_comparing(&store);
	add_ok(delivery, 101, "A");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(describe_rows(store.journal), "A:2:201 ");
	ck_assert_str_eq(take_deletable(delivery), "101 ");
	check_mail(&store, 0, 1);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

START_TEST(other_contents_under_a_known_uid_are_delivered)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	deliver_before(&store, "A");
	delivery = open_comparing(&store);
	add_ok(delivery, 2, "A");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(describe_rows(store.journal), "A:2:101 A:2:102 ");
	check_mail(&store, 0, 2);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

/* The server lost its UIDs and gave all messages new ones. */
START_TEST(the_same_contents_under_another_uid_are_the_same_message)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	deliver_before(&store, "A");
	delivery = open_delivery(&store);
	delivery_compare_with(delivery, store_know(&store, true));
	add_ok(delivery, 101, "B");
	add_ok(delivery, 201, "C"); /* one row is one message */
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(describe_rows(store.journal), "B:2:201 C:2:301 ");
	ck_assert_str_eq(take_deletable(delivery), "101 201 ");
	check_mail(&store, 0, 2);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

static void delete_as_told(struct delivery *delivery)
{
	struct error err = { 0 };
	int64_t row_id;
	size_t item;

	while (delivery_next_deletable(delivery, &item, &row_id))
		ck_assert_int_eq(delivery_note_deleted(delivery, row_id, &err),
				 0);
	ck_assert_msg(delivery_record_deleted(delivery, &err) == 0, "%s",
		      err.text);
}

START_TEST(what_the_server_deleted_is_another_message_under_another_uid)
{
	struct store store;
	struct delivery *delivery = NULL;

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	close_ok(delivery);
	finish_ok(delivery);
	delete_as_told(delivery);
	delivery_free(&delivery);
	ck_assert_str_eq(describe_rows(store.journal), "A:4:101 ");

	delivery = open_comparing(&store);
	add_ok(delivery, 101, "B");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(describe_rows(store.journal), "A:4:101 B:2:201 ");
	check_mail(&store, 0, 2);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

START_TEST(what_it_only_said_to_have_deleted_is_known_and_its_word_no_more)
{
	struct store store;
	struct delivery *delivery = NULL;

	store_make(&store);
	for (unsigned i = 0; i < 2; i++) {
		delivery = open_comparing(&store);
		add_ok(delivery, 1, "A");
		close_ok(delivery);
		finish_ok(delivery);
		delete_as_told(delivery);
		ck_assert_str_eq(describe_rows(store.journal),
				 i == 0 ? "A:4:101 " : "A:2:101 ");
		check_mail(&store, 0, 1);
		delivery_free(&delivery);
	}
	store_close(&store);
}
END_TEST

/* Three copies on the server, one of them known: two are new. */
START_TEST(each_row_stands_for_one_copy_in_one_batch)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	deliver_before(&store, "");
	delivery = open_comparing(&store);
	add_ok(delivery, 101, "");
	add_ok(delivery, 201, "");
	add_ok(delivery, 301, "");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "101 201 301 ");
	check_mail(&store, 0, 3);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

/* What this visit staged belongs to the copy that it was staged for. */
START_TEST(each_row_stands_for_one_copy_across_batches)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	deliver_before(&store, "");
	delivery = open_comparing(&store);
	add_ok(delivery, 101, "");
	close_ok(delivery);
	add_ok(delivery, 201, "");
	close_ok(delivery);
	add_ok(delivery, 301, "");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "101 201 301 ");
	check_mail(&store, 0, 3);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

START_TEST(a_failed_write_voids_its_message_alone)
{
	static char large[1 << 20];
	const struct rlimit limit = { 1 << 19, RLIM_INFINITY };
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	struct store store;
	struct delivery *delivery;
	struct error err = { 0 };

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	memset(large, 'x', sizeof(large));
	ck_assert_int_eq(delivery_begin(delivery, &err), 0);
	ck_assert_int_eq(delivery_write(delivery, large, sizeof(large), &err),
			 -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	delivery_abandon(delivery);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);

	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_str_eq(take_deletable(delivery), "1 ");
	check_mail(&store, 0, 1);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

START_TEST(a_file_that_cannot_be_made_is_a_local_error)
{
	struct store store;
	struct delivery *delivery;
	struct error err = { 0 };
	char path[sizeof(store.mail) + 8];

	store_make(&store);
	delivery = open_delivery(&store);
	(void)snprintf(path, sizeof(path), "%s/tmp", store.mail);
	ck_assert_int_eq(rmdir(path), 0); /* root writes to a read-only one */
	ck_assert_int_eq(delivery_begin(delivery, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	delivery_abandon(delivery);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

/* Steps of a batch of two, behind a batch of one: see the order above. */
static const struct {
	const char *name;
	unsigned fail_at;
	size_t in_tmp;
	size_t in_new; /* with the one of the batch before */
	const char *rows;
	const char *deletable;
} failure_cases[] = {
	{ "the first file cannot be synced: void", 1, 0, 1, "A:2:101 ", "1 " },
	{ "the second file cannot be synced: void", 2, 0, 1, "A:2:101 ", "1 " },
	{ "tmp cannot be synced: void", 3, 0, 1, "A:2:101 ", "1 " },
	{ "new cannot be synced: void, the one before left to recovery", 4, 0,
	  1, "A:1:101 ", "" },
	{ "the commit fails: the files stay for recovery", 5, 2, 1, "A:1:101 ",
	  "" },
	{ "the first rename fails: left to recovery", 6, 2, 1,
	  "A:2:101 B:1:102 C:1:103 ", "1 " },
	{ "the second rename fails: left to recovery", 7, 1, 2,
	  "A:2:101 B:1:102 C:1:103 ", "1 " },
	{ "new cannot be synced at the end: left to recovery", 8, 0, 3,
	  "A:2:101 B:1:102 C:1:103 ", "1 " },
};

/* As a visit does that ends. Behind a failed commit it cannot, nor behind the last sync. */
static void end_failed(struct delivery *delivery, unsigned fail_at,
		       struct error *err)
{
	int closed = delivery_close_batch(delivery, err);

	ck_assert_int_eq(closed, fail_at == 8 ? 0 : -1);
	if (closed < 0)
		ck_assert_int_eq(err->kind, ERROR_LOCAL);
	if (delivery_finish(delivery, err) < 0)
		ck_assert(fail_at == 5 || fail_at == 8);
	ck_assert_int_eq(err->kind, ERROR_LOCAL);
}

START_TEST(a_failed_step_never_makes_its_batch_deletable)
{
	const char *name = failure_cases[_i].name;
	struct store store;
	struct delivery *delivery;
	struct error err = { 0 };

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	close_ok(delivery);
	add_ok(delivery, 2, "B");
	add_ok(delivery, 3, "C");
	steps_begin();
	steps.fail_at = failure_cases[_i].fail_at;
	end_failed(delivery, steps.fail_at, &err);

	ck_assert_msg(strcmp(take_deletable(delivery),
			     failure_cases[_i].deletable) == 0,
		      "%s: another may be deleted", name);
	ck_assert_msg(strcmp(describe_rows(store.journal),
			     failure_cases[_i].rows) == 0,
		      "%s: %s", name, describe_rows(store.journal));
	delivery_free(&delivery);
	ck_assert_msg(scratch_count(store.mail, "tmp") ==
			      failure_cases[_i].in_tmp,
		      "%s: tmp", name);
	ck_assert_msg(scratch_count(store.mail, "new") ==
			      failure_cases[_i].in_new,
		      "%s: new", name);
	ck_assert_uint_eq(failure_cases[_i].fail_at, (unsigned)_i + 1);
	store_close(&store);
}
END_TEST

START_TEST(a_last_commit_that_fails_makes_nothing_deletable)
{
	struct store store;
	struct delivery *delivery;
	struct error err = { 0 };

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	close_ok(delivery);
	steps_begin();
	steps.fail_at = 1;
	ck_assert_int_eq(delivery_finish(delivery, &err), -1);
	ck_assert_str_eq(take_deletable(delivery), "");
	ck_assert_str_eq(describe_rows(store.journal), "A:1:101 ");
	delivery_free(&delivery);
	check_mail(&store, 0, 1);
	store_close(&store);
}
END_TEST

START_TEST(a_name_that_exists_in_new_is_not_overwritten)
{
	_cleanup_(journal_rows_done) struct journal_rows rows = { 0 };
	struct store store;
	struct delivery *delivery;
	char *names, path[1024];
	struct error err = { 0 };

	store_make(&store);
	delivery = open_delivery(&store);
	add_ok(delivery, 1, "A");
	names = scratch_names(store.mail, "tmp");
	names[strlen(names) - 1] = '\0';
	(void)snprintf(path, sizeof(path), "%s/new/%s,S=17", store.mail, names);
	scratch_write(path, "somebody else's", 15);
	close_ok(delivery);
	finish_ok(delivery);
	check_mail(&store, 0, 2);

	/* The row names the file that is there, and was first to. */
	ck_assert_int_eq(journal_load(store.journal, &rows, &err), 0);
	ck_assert_str_ne(rows.rows[0].base, names);
	(void)snprintf(path, sizeof(path), "%s/new/%s,S=17", store.mail,
		       rows.rows[0].base);
	ck_assert_int_eq(access(path, F_OK), 0);
	free(names);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

START_TEST(a_batch_is_due_by_number_bytes_or_time)
{
	const uint64_t hour = USEC_PER_HOUR;
	const struct delivery_limits by_number = { 2, UINT64_MAX, hour };
	const struct delivery_limits by_bytes = { 100, 30, hour };
	const struct delivery_limits by_time = { 100, UINT64_MAX, hour };
	const struct delivery_limits *const limits[] = { &by_number, &by_bytes,
							 &by_time };
	struct store store;
	struct error err = { 0 };

	store_make(&store);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		uint64_t now = now_usec(CLOCK_MONOTONIC);
		struct delivery *delivery;

		ck_assert_int_eq(delivery_new(&store.maildir, store.journal,
					      limits[i], &delivery, &err),
				 0);
		ck_assert(!delivery_is_due(delivery, now + 2 * USEC_PER_HOUR));
		add_ok(delivery, 1, "A");
		ck_assert(!delivery_is_due(delivery, now));
		add_ok(delivery, 2, "B");
		ck_assert_int_eq(delivery_is_due(delivery, now),
				 limits[i] != &by_time);
		ck_assert(delivery_is_due(delivery, now + 2 * USEC_PER_HOUR));
		delivery_free(&delivery);
	}
	store_close(&store);
}
END_TEST

static uint32_t count_trouble(struct store *store, const char *uid,
			      int64_t list_size)
{
	struct journal_trouble trouble = { .times = 99 };
	struct error err = { 0 };

	ck_assert_int_eq(journal_get_trouble(store->journal,
					     (struct bytes){ uid, strlen(uid) },
					     list_size, &trouble, &err),
			 0);
	return trouble.times;
}

START_TEST(trouble_is_remembered_until_the_message_is_delivered)
{
	struct store store;
	struct delivery *delivery;

	store_make(&store);
	delivery = open_delivery(&store);
	delivery_note_trouble(delivery, (struct bytes){ "A", 1 }, 1);
	delivery_note_trouble(delivery, (struct bytes){ "", 0 }, 102);
	finish_ok(delivery);
	ck_assert_uint_eq(count_trouble(&store, "A", 101), 1);
	ck_assert_uint_eq(count_trouble(&store, "", 102), 1);
	ck_assert_uint_eq(count_trouble(&store, "", 103), 0);

	add_ok(delivery, 1, "A");
	add_ok(delivery, 2, "");
	close_ok(delivery);
	finish_ok(delivery);
	ck_assert_uint_eq(count_trouble(&store, "A", 101), 0);
	ck_assert_uint_eq(count_trouble(&store, "", 102), 0);
	delivery_free(&delivery);
	store_close(&store);
}
END_TEST

/*
 * The sweep: a visit of N_SWEPT messages in batches of two that ends at its
 * n-th step, in a process of its own. DELEs that may leave do leave: what the
 * server then still has, the next visit fetches.
 */
#define N_SWEPT 5

static const char *const swept_uids[N_SWEPT] = { "A", "B", "C", "D", "E" };
static bool *deleted; /* shared with the child: what the server deleted */

static void send_deletes(struct delivery *delivery)
{
	int64_t row_id;
	size_t item;

	while (delivery_next_deletable(delivery, &item, &row_id))
		deleted[item] = true;
}

/* As a visit does: the first failure ends the sending, never the recording. */
static int visit(struct store *store, struct error *err)
{
	struct delivery *delivery = open_comparing(store);
	struct error late = { 0 };
	int r = 0;

	for (unsigned i = 0; i < N_SWEPT && r == 0; i++) {
		if (deleted[i])
			continue;
		r = add(delivery, i, swept_uids[i], err);
		if (r == 0 && delivery_open_count(delivery) == 2)
			r = delivery_close_batch(delivery, err);
		if (r == 0)
			send_deletes(delivery);
	}
	if (r == 0)
		r = delivery_close_batch(delivery, err);
	if (delivery_finish(delivery, &late) == 0)
		send_deletes(delivery);
	else
		r = -1;
	delivery_free(&delivery);
	return r;
}

static int recover_and_visit(struct store *store)
{
	struct recovered recovered;
	struct error err = { 0 };

	ck_assert_msg(recover_run(&store->maildir, store->journal, &recovered,
				  &err) == 0,
		      "%s", err.text);
	return visit(store, &err);
}

/* How often message which is in new/. */
static unsigned count_copies(const struct store *store, unsigned which)
{
	_cleanup_string_ char *names = scratch_names(store->mail, "new");
	char path[1024], text[TEXT_MAX];
	unsigned n = 0;

	make_text(text, which);
	for (char *name = strtok(names, "\n"); name;
	     name = strtok(NULL, "\n")) {
		_cleanup_string_ char *found = NULL;
		size_t len;

		(void)snprintf(path, sizeof(path), "%s/new/%s", store->mail,
			       name);
		found = scratch_read(path, &len);
		n += strcmp(found, text) == 0;
	}
	return n;
}

static void check_swept(struct store *store, const char *what, unsigned at)
{
	for (unsigned i = 0; i < N_SWEPT; i++)
		ck_assert_msg(
			!deleted[i] || count_copies(store, i) == 1,
			"%s step %u: message %u is deleted and %u times there",
			what, at, i, count_copies(store, i));
	ck_assert_msg(recover_and_visit(store) == 0, "%s step %u", what, at);
	for (unsigned i = 0; i < N_SWEPT; i++)
		ck_assert_msg(deleted[i] && count_copies(store, i) == 1,
			      "%s step %u: message %u is %u times there", what,
			      at, i, count_copies(store, i));
	check_mail(store, 0, N_SWEPT);
	ck_assert_str_eq(describe_rows(store->journal),
			 "A:2:100 B:2:101 C:2:102 D:2:103 E:2:104 ");
}

static int run_child(struct store *store, unsigned crash_at)
{
	struct error err = { 0 };
	int status;
	pid_t pid;

	store_close(store); /* a lock is its process's own */
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		store_reopen(store);
		steps_begin();
		steps.crash_at = crash_at;
		_exit(visit(store, &err) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	store_reopen(store);
	return WEXITSTATUS(status);
}

static void forget_deleted(void)
{
	if (!deleted)
		deleted = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(deleted != MAP_FAILED);
	memset(deleted, 0, N_SWEPT * sizeof(bool));
}

START_TEST(a_death_at_any_step_loses_and_doubles_nothing)
{
	unsigned at = 0;
	int status;

	do {
		struct store store;

		store_make(&store);
		forget_deleted();
		status = run_child(&store, ++at);
		ck_assert(status == 0 || status == CRASH_STATUS);
		check_swept(&store, "death at", at);
		store_close(&store);
	} while (status != 0);
	ck_assert_uint_gt(at, 20);
}
END_TEST

START_TEST(a_failure_at_any_step_loses_and_doubles_nothing)
{
	unsigned at = 0;
	bool has_failed;

	do {
		struct store store;
		struct error err = { 0 };

		store_make(&store);
		forget_deleted();
		steps_begin();
		steps.fail_at = ++at;
		has_failed = visit(&store, &err) < 0;
		has_failed = steps.n_steps >= at || has_failed;
		steps.is_on = false;
		store_close(&store);
		store_reopen(&store);
		check_swept(&store, "failure of", at);
		store_close(&store);
	} while (has_failed);
	ck_assert_uint_gt(at, 20);
}
END_TEST

static void add_order(TCase *tcase)
{
	tcase_add_test(tcase, a_batch_is_made_durable_step_by_step);
	tcase_add_test(tcase,
		       one_commit_stages_a_batch_and_records_the_one_before);
	tcase_add_test(tcase, nothing_delivered_flushes_nothing);
	tcase_add_test(tcase, what_was_not_closed_is_unlinked);
	tcase_add_test(tcase, an_abandoned_message_leaves_the_batch_alone);
	tcase_add_test(
		tcase,
		an_open_batch_in_doubt_is_unlinked_and_leaves_the_one_before);
	tcase_add_test(tcase, a_batch_is_due_by_number_bytes_or_time);
	tcase_add_test(tcase,
		       trouble_is_remembered_until_the_message_is_delivered);
}

static void add_compared(TCase *tcase)
{
	tcase_add_test(tcase, the_same_contents_are_not_delivered_twice);
	tcase_add_test(tcase,
		       a_message_that_is_absent_is_gone_until_it_comes_back);
	tcase_add_test(tcase, other_contents_under_a_known_uid_are_delivered);
	tcase_add_test(
		tcase,
		the_same_contents_under_another_uid_are_the_same_message);
	tcase_add_test(
		tcase,
		what_the_server_deleted_is_another_message_under_another_uid);
	tcase_add_test(
		tcase,
		what_it_only_said_to_have_deleted_is_known_and_its_word_no_more);
	tcase_add_test(tcase, each_row_stands_for_one_copy_in_one_batch);
	tcase_add_test(tcase, each_row_stands_for_one_copy_across_batches);
}

static void add_failures(TCase *tcase)
{
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_failed_write_voids_its_message_alone);
	tcase_add_test(tcase, a_file_that_cannot_be_made_is_a_local_error);
	tcase_add_loop_test(tcase,
			    a_failed_step_never_makes_its_batch_deletable, 0,
			    (int)ARRAY_SIZE(failure_cases));
	tcase_add_test(tcase, a_last_commit_that_fails_makes_nothing_deletable);
	tcase_add_test(tcase, a_name_that_exists_in_new_is_not_overwritten);
	tcase_add_test(tcase, a_death_at_any_step_loses_and_doubles_nothing);
	tcase_add_test(tcase, a_failure_at_any_step_loses_and_doubles_nothing);
}

int main(void)
{
	Suite *suite = suite_create("delivery");
	TCase *order = tcase_create("order");
	TCase *compared = tcase_create("compared");
	TCase *failures = tcase_create("failures");
	SRunner *runner;
	int n_failed;

	add_order(order);
	add_compared(compared);
	add_failures(failures);
	suite_add_tcase(suite, order);
	suite_add_tcase(suite, compared);
	suite_add_tcase(suite, failures);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
