/*
 * test-recover.c - what is made of what a dead visit left behind.
 *
 * Each case is a journal and a Maildir made by hand, as they are when a
 * process dies or the power goes. Whatever they were, a second recovery must
 * find nothing to do.
 */
#include "recover.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "scratch.h"

#define TEXT	  "Subject: x\n\nbody\n"
#define TEXT_SIZE (sizeof(TEXT) - 1)

enum place {
	NOWHERE = 0,
	IN_NEW,
	IN_CUR,
	IN_SUB_CUR, /* .Sub/cur */
	IN_SUB_NEW,
};

static const char *const place_paths[] = {
	[IN_NEW] = "new",
	[IN_CUR] = "cur",
	[IN_SUB_CUR] = ".Sub/cur",
	[IN_SUB_NEW] = ".Sub/new",
};

static const struct {
	const char *name;
	enum journal_state state; /* 0: no row */
	bool is_in_tmp;
	bool is_torn; /* the file in tmp/ is shorter than the row says */
	enum place place;
	const char *suffix; /* of the name there, behind the base */

	enum journal_state after; /* 0: no row */
	size_t in_tmp;
	size_t elsewhere;
	struct recovered result;
} recover_cases[] = {
	{ .name = "a staged file is finished", .state = JOURNAL_STAGED,
	  .is_in_tmp = true, .after = JOURNAL_DELIVERED, .elsewhere = 1,
	  .result.finished = 1 },
	{ .name = "a staged file that was renamed is recorded",
	  .state = JOURNAL_STAGED, .place = IN_NEW, .suffix = ",S=17",
	  .after = JOURNAL_DELIVERED, .elsewhere = 1, .result.finished = 1 },
	{ .name = "a reader has moved it to cur/", .state = JOURNAL_STAGED,
	  .place = IN_CUR, .suffix = ",S=17:2,S", .after = JOURNAL_DELIVERED,
	  .elsewhere = 1, .result.finished = 1 },
	{ .name = "a reader has dropped the size from the name",
	  .state = JOURNAL_STAGED, .place = IN_CUR, .suffix = ":2,RS",
	  .after = JOURNAL_DELIVERED, .elsewhere = 1, .result.finished = 1 },
	{ .name = "a reader has moved it to a subfolder",
	  .state = JOURNAL_STAGED, .place = IN_SUB_CUR, .suffix = ",S=17:2,",
	  .after = JOURNAL_DELIVERED, .elsewhere = 1, .result.finished = 1 },
	{ .name = "a filter has moved it to new/ of a subfolder",
	  .state = JOURNAL_STAGED, .place = IN_SUB_NEW, .suffix = ",S=17",
	  .after = JOURNAL_DELIVERED, .elsewhere = 1, .result.finished = 1 },
	{ .name = "a name that only begins with the base is another's",
	  .state = JOURNAL_STAGED, .place = IN_NEW, .suffix = "x,S=17",
	  .elsewhere = 1, .result.forgotten = 1 },
	{ .name = "a twin in tmp/ goes", .state = JOURNAL_STAGED,
	  .is_in_tmp = true, .place = IN_NEW, .suffix = ",S=17",
	  .after = JOURNAL_DELIVERED, .elsewhere = 1, .result.finished = 1 },
	{ .name = "a staged file that is nowhere is fetched again",
	  .state = JOURNAL_STAGED, .result.forgotten = 1 },
	{ .name = "a torn file of a staged row is fetched again",
	  .state = JOURNAL_STAGED, .is_in_tmp = true, .is_torn = true,
	  .result.forgotten = 1 },
	{ .name = "a file without a row is a stray", .is_in_tmp = true,
	  .result.strays = 1 },
	{ .name = "a delivered file that still is in tmp/ is promoted",
	  .state = JOURNAL_DELIVERED, .is_in_tmp = true,
	  .after = JOURNAL_DELIVERED, .elsewhere = 1, .result.finished = 1 },
	{ .name = "so is that of a message gone from the server",
	  .state = JOURNAL_GONE, .is_in_tmp = true, .after = JOURNAL_GONE,
	  .elsewhere = 1, .result.finished = 1 },
	{ .name = "a delivered file's twin in tmp/ goes",
	  .state = JOURNAL_DELIVERED, .is_in_tmp = true, .place = IN_CUR,
	  .suffix = ",S=17:2,S", .after = JOURNAL_DELIVERED, .elsewhere = 1 },
	{ .name = "a torn file of a delivered row is not thrown away",
	  .state = JOURNAL_DELIVERED, .is_in_tmp = true, .is_torn = true,
	  .after = JOURNAL_DELIVERED, .in_tmp = 1 },
	{ .name = "a delivered message that the reader has deleted stays so",
	  .state = JOURNAL_DELIVERED, .after = JOURNAL_DELIVERED },
	{ .name = "a gone message too", .state = JOURNAL_GONE,
	  .after = JOURNAL_GONE },
	{ .name = "nothing at all" },
};

static void make_path(const struct store *store, const char *part,
		      const char *base, const char *suffix, char ret[1024])
{
	int len = snprintf(ret, 1024, "%s/%s/%s%s", store->mail, part, base,
			   suffix);

	ck_assert_int_lt(len, 1024);
}

static void make_folder(const struct store *store)
{
	static const char *const parts[] = { "", "/new", "/cur", "/tmp" };
	char path[1024];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		(void)snprintf(path, sizeof(path), "%s/.Sub%s", store->mail,
			       parts[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
}

static void make_row(struct store *store, const char *base,
		     enum journal_state state)
{
	const uint8_t digest[DIGEST_SIZE] = { 1 };
	const struct journal_entry entry = {
		.uid = { base, strlen(base) },
		.list_size = 20,
		.base = base,
		.size_bytes = TEXT_SIZE,
		.digest = digest,
	};
	struct error err = { 0 };
	int64_t id;

	ck_assert_int_eq(journal_begin(store->journal, &err), 0);
	ck_assert_int_eq(journal_stage(store->journal, &entry, &id, &err), 0);
	if (state != JOURNAL_STAGED)
		ck_assert_int_eq(journal_set_state(store->journal, id, state,
						   &err),
				 0);
	ck_assert_int_eq(journal_commit(store->journal, &err), 0);
}

static void make_case(struct store *store, int i, const char *base)
{
	size_t size = recover_cases[i].is_torn ? TEXT_SIZE - 1 : TEXT_SIZE;
	char path[1024];

	if (recover_cases[i].state != 0)
		make_row(store, base, recover_cases[i].state);
	if (recover_cases[i].is_in_tmp) {
		make_path(store, "tmp", base, "", path);
		scratch_write(path, TEXT, size);
	}
	if (recover_cases[i].place != NOWHERE) {
		make_path(store, place_paths[recover_cases[i].place], base,
			  recover_cases[i].suffix, path);
		scratch_write(path, TEXT, TEXT_SIZE);
	}
}

static size_t count_elsewhere(const struct store *store)
{
	size_t n = 0;

	for (size_t i = 1; i < ARRAY_SIZE(place_paths); i++)
		n += scratch_count(store->mail, place_paths[i]);
	return n;
}

static void check_after(struct store *store, int i)
{
	_cleanup_(journal_rows_done) struct journal_rows rows = { 0 };
	const char *name = recover_cases[i].name;
	enum journal_state state = 0;
	struct error err = { 0 };

	ck_assert_int_eq(journal_load(store->journal, &rows, &err), 0);
	ck_assert_uint_le(rows.n_rows, 1);
	if (rows.n_rows == 1)
		state = rows.rows[0].state;
	ck_assert_msg(state == recover_cases[i].after, "%s: state %d", name,
		      (int)state);
	ck_assert_msg(scratch_count(store->mail, "tmp") ==
			      recover_cases[i].in_tmp,
		      "%s: tmp", name);
	ck_assert_msg(count_elsewhere(store) == recover_cases[i].elsewhere,
		      "%s: %zu elsewhere", name, count_elsewhere(store));
}

static void check_result(const struct recovered *got,
			 const struct recovered *want, const char *name)
{
	ck_assert_msg(got->finished == want->finished &&
			      got->forgotten == want->forgotten &&
			      got->strays == want->strays,
		      "%s: finished %u, forgotten %u, strays %u", name,
		      got->finished, got->forgotten, got->strays);
}

START_TEST(recovers)
{
	const struct recovered nothing = { 0 };
	const char *name = recover_cases[_i].name;
	struct recovered got;
	struct store store;
	char base[MAILDIR_NAME_MAX];
	struct error err = { 0 };

	store_make(&store);
	make_folder(&store);
	maildir_make_base(&store.maildir, base);
	make_case(&store, _i, base);
	store_close(&store); /* the next visit is another process */
	store_reopen(&store);

	memset(&got, 0x5a, sizeof(got));
	ck_assert_msg(recover_run(&store.maildir, store.journal, &got,
				  &err) == 0,
		      "%s: %s", name, err.text);
	check_after(&store, _i);
	check_result(&got, &recover_cases[_i].result, name);

	memset(&got, 0x5a, sizeof(got));
	ck_assert_int_eq(recover_run(&store.maildir, store.journal, &got, &err),
			 0);
	check_after(&store, _i);
	check_result(&got, &nothing, name);
	store_close(&store);
}
END_TEST

START_TEST(what_is_not_ours_is_not_touched)
{
	static const char *const names[] = {
		"1700000000.M1P1Q1R000000000000.host", /* another tag */
		"1700000000.12345_1.host",
		".hidden",
		"notes.txt",
	};
	struct recovered got;
	struct store store;
	char path[1024], base[MAILDIR_NAME_MAX];
	struct error err = { 0 };

	store_make(&store);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		make_path(&store, "tmp", names[i], "", path);
		scratch_write(path, TEXT, TEXT_SIZE);
	}
	maildir_make_base(&store.maildir, base);
	make_path(&store, "tmp", base, "", path);
	ck_assert_int_eq(mkdir(path, 0700), 0); /* no file: no stray */

	ck_assert_int_eq(recover_run(&store.maildir, store.journal, &got, &err),
			 0);
	ck_assert_uint_eq(got.strays, 0);
	ck_assert_uint_eq(scratch_count(store.mail, "tmp"),
			  ARRAY_SIZE(names) + 1);
	store_close(&store);
}
END_TEST

START_TEST(many_rows_are_recovered_together)
{
	enum { N = 200 };
	static char bases[N][MAILDIR_NAME_MAX];
	struct recovered got;
	struct store store;
	char path[1024];
	struct error err = { 0 };

	store_make(&store);
	for (size_t i = 0; i < N; i++) {
		maildir_make_base(&store.maildir, bases[i]);
		make_row(&store, bases[i], JOURNAL_STAGED);
		make_path(&store, i % 2 == 0 ? "tmp" : "new", bases[i],
			  i % 2 == 0 ? "" : ",S=17", path);
		scratch_write(path, TEXT, TEXT_SIZE);
	}
	ck_assert_int_eq(recover_run(&store.maildir, store.journal, &got, &err),
			 0);
	ck_assert_uint_eq(got.finished, N);
	ck_assert_uint_eq(scratch_count(store.mail, "tmp"), 0);
	ck_assert_uint_eq(scratch_count(store.mail, "new"), N);
	store_close(&store);
}
END_TEST

START_TEST(the_contents_are_left_as_they_are)
{
	_cleanup_string_ char *text = NULL;
	struct recovered got;
	struct store store;
	char base[MAILDIR_NAME_MAX], path[1024];
	struct error err = { 0 };
	size_t len;

	store_make(&store);
	maildir_make_base(&store.maildir, base);
	make_row(&store, base, JOURNAL_STAGED);
	make_path(&store, "tmp", base, "", path);
	scratch_write(path, TEXT, TEXT_SIZE);
	ck_assert_int_eq(recover_run(&store.maildir, store.journal, &got, &err),
			 0);
	make_path(&store, "new", base, ",S=17", path);
	text = scratch_read(path, &len);
	ck_assert_uint_eq(len, TEXT_SIZE);
	ck_assert_str_eq(text, TEXT);
	store_close(&store);
}
END_TEST

/* A symbolic link to itself: root cannot read that either. */
static void check_unreadable(struct store *store, const char *part,
			     const char *aside)
{
	char path[1024], other[1024], base[MAILDIR_NAME_MAX];
	struct recovered got;
	struct error err = { 0 };

	maildir_make_base(&store->maildir, base);
	make_row(store, base, JOURNAL_STAGED);
	(void)snprintf(path, sizeof(path), "%s/%s", store->mail, part);
	(void)snprintf(other, sizeof(other), "%s/%s", store->mail, aside);
	ck_assert_int_eq(rename(path, other), 0);
	ck_assert_int_eq(symlink(path, path), 0);

	ck_assert_int_eq(recover_run(&store->maildir, store->journal, &got,
				     &err),
			 -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);

	/* Nothing was forgotten for it. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rename(other, path), 0);
	ck_assert_int_eq(recover_run(&store->maildir, store->journal, &got,
				     &err),
			 0);
	ck_assert_uint_eq(got.forgotten, 1);
}

START_TEST(a_folder_that_cannot_be_read_is_no_absence)
{
	struct store store;

	store_make(&store);
	make_folder(&store);
	check_unreadable(&store, ".Sub/cur", ".Sub/aside");
	store_close(&store);
}
END_TEST

/* For root no directory is unreadable: it becomes another. */
static void become_ordinary(const struct store *store)
{
	static const char *const parts[] = { "", "tmp", "new", "cur" };
	char path[1024];

	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		make_path(store, parts[i], "", "", path);
		ck_assert_int_eq(chown(path, 65534, 65534), 0);
	}
	ck_assert_int_eq(seteuid(65534), 0);
}

/* The leak checker looks at its own process, which a change of user forbids. */
static void become_root_again(void)
{
	if (getuid() != 0)
		return;
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

START_TEST(a_part_that_cannot_be_read_is_no_absence)
{
	static const char *const parts[] = { "new", "cur" };
	struct recovered got;
	struct store store;
	char base[MAILDIR_NAME_MAX], path[1024];
	struct error err = { 0 };

	store_make(&store);
	maildir_make_base(&store.maildir, base);
	make_row(&store, base, JOURNAL_STAGED);
	make_path(&store, parts[_i], "", "", path);
	ck_assert_int_eq(chmod(path, 0), 0);
	become_ordinary(&store);
	ck_assert_msg(recover_run(&store.maildir, store.journal, &got,
				  &err) < 0,
		      "%s: taken for empty", parts[_i]);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_msg(strstr(err.text, store.mail) != NULL, "%s", err.text);
	become_root_again();
	store_close(&store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recover");
	TCase *tcase = tcase_create("recover");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, recovers, 0, (int)ARRAY_SIZE(recover_cases));
	tcase_add_test(tcase, what_is_not_ours_is_not_touched);
	tcase_add_test(tcase, many_rows_are_recovered_together);
	tcase_add_test(tcase, the_contents_are_left_as_they_are);
	tcase_add_test(tcase, a_folder_that_cannot_be_read_is_no_absence);
	tcase_add_loop_test(tcase, a_part_that_cannot_be_read_is_no_absence, 0,
			    2);
	suite_add_tcase(suite, tcase);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
