/*
 * test-roster.c - which account starts next, and what a reload does to whom.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "roster.h"

#define ACCOUNTS_MAX 8

/* A configuration of as many accounts as are named, each "name host dir". */
struct fixture {
	struct config config;
	struct account accounts[ACCOUNTS_MAX];
	char words[ACCOUNTS_MAX][3][16];
};

static void fixture_init(struct fixture *fixture, const char *const *lines)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->config.accounts = fixture->accounts;
	fixture->config.max_workers = 3;
	fixture->config.max_per_host = 2;
	for (size_t i = 0; lines[i] != NULL; i++) {
		struct account *account = &fixture->accounts[i];

		ck_assert_int_eq(
			sscanf(lines[i], "%15s %15s %15s", fixture->words[i][0],
			       fixture->words[i][1], fixture->words[i][2]),
			3);
		account->name = fixture->words[i][0];
		account->host = fixture->words[i][1];
		account->state_dir = fixture->words[i][2];
		account->username = account->user = account->maildir =
			account->password_file = fixture->words[i][2];
		fixture->config.n_accounts++;
	}
}

static struct roster_removed update(struct roster *roster,
				    const struct fixture *fixture)
{
	const struct roster_source source = { .config = &fixture->config };
	struct roster_removed removed;
	struct error err = { 0 };

	ck_assert_int_eq(roster_update(roster, &source, &removed, &err), 0);
	return removed;
}

static void update_without_loss(struct roster *roster,
				const struct fixture *fixture)
{
	struct roster_removed removed = update(roster, fixture);

	ck_assert_uint_eq(removed.n_entries, 0);
	free(removed.entries);
}

static struct roster_entry *find(const struct roster *roster, const char *name)
{
	for (size_t i = 0; i < roster->n_entries; i++) {
		if (strcmp(roster->entries[i]->account->name, name) == 0)
			return roster->entries[i];
	}
	ck_abort_msg("no entry '%s'", name);
}

static void queue_all(struct roster *roster)
{
	for (size_t i = 0; i < roster->n_entries; i++)
		roster_queue(roster, roster->entries[i]);
}

static void assert_pick(struct roster *roster, const char *name)
{
	const struct roster_entry *entry = roster_pick(roster);

	if (name == NULL) {
		ck_assert_ptr_null(entry);
		return;
	}
	ck_assert_ptr_nonnull(entry);
	ck_assert_str_eq(entry->account->name, name);
	ck_assert_int_eq(entry->state, ROSTER_RUNNING);
}

static void end(struct roster *roster, const char *name)
{
	struct roster_entry *entry = find(roster, name);

	roster_release(roster, entry->host);
	roster_unlock(entry);
}

START_TEST(test_hosts_take_turns_under_both_bounds)
{
	static const char *const lines[] = { "a1 a.org 1", "a2 A.ORG 2",
					     "a3 a.org 3", "b1 b.org 4",
					     "c1 c.org 5", NULL };
	struct fixture fixture;
	struct roster roster;

	fixture_init(&fixture, lines);
	roster_init(&roster);
	update_without_loss(&roster, &fixture);
	queue_all(&roster);
	assert_pick(&roster, "a1");
	assert_pick(&roster, "b1");
	assert_pick(&roster, "c1");
	assert_pick(&roster, NULL); /* three workers */

	end(&roster, "c1");
	assert_pick(&roster, "a2");
	end(&roster, "b1");
	assert_pick(&roster, NULL); /* two to a.org, however it is spelt */
	end(&roster, "a1");
	assert_pick(&roster, "a3");
	ck_assert_uint_eq(roster.n_queued, 0);
	ck_assert_uint_eq(roster.n_running, 2);
	end(&roster, "a2");
	end(&roster, "a3");
	ck_assert_uint_eq(roster.n_running, 0);
	roster_done(&roster);
}
END_TEST

START_TEST(test_queueing_twice_is_queueing_once)
{
	static const char *const lines[] = { "a a.org 1", NULL };
	struct fixture fixture;
	struct roster roster;

	fixture_init(&fixture, lines);
	roster_init(&roster);
	update_without_loss(&roster, &fixture);
	queue_all(&roster);
	queue_all(&roster);
	assert_pick(&roster, "a");
	queue_all(&roster); /* it is locked */
	assert_pick(&roster, NULL);
	end(&roster, "a");
	roster_done(&roster);
}
END_TEST

START_TEST(test_selection)
{
	static const char *const lines[] = { "a a.org 1", "b a.org 2",
					     "c a.org 3", NULL };
	char only_c[] = "c";
	char only_a[] = "a";
	char *const only[] = { only_c, only_a };
	struct roster_removed removed;
	struct error err = { 0 };
	struct fixture fixture;
	struct roster roster;
	struct roster_source source = { .config = &fixture.config,
					.only = only,
					.n_only = 2 };

	fixture_init(&fixture, lines);
	roster_init(&roster);
	ck_assert_int_eq(roster_update(&roster, &source, &removed, &err), 0);
	free(removed.entries);
	ck_assert_uint_eq(roster.n_entries, 2);
	ck_assert_str_eq(roster.entries[0]->account->name, "a");
	ck_assert_str_eq(roster.entries[1]->account->name, "c");
	roster_done(&roster);
}
END_TEST

START_TEST(test_reload_knows_accounts_again)
{
	static const char *const before[] = { "same a.org 1", "old a.org 2",
					      "moved a.org 3", "gone a.org 4",
					      NULL };
	static const char *const after[] = { "fresh a.org 9", "moved b.org 8",
					     "new a.org 2", "same a.org 1",
					     NULL };
	struct fixture old;
	struct fixture new;
	struct roster roster;
	struct roster_entry *entries[3];
	struct roster_removed removed;

	fixture_init(&old, before);
	fixture_init(&new, after);
	roster_init(&roster);
	update_without_loss(&roster, &old);
	entries[0] = find(&roster, "same");
	entries[1] = find(&roster, "old");
	entries[2] = find(&roster, "moved");
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i]->schedule.failures = 5;

	removed = update(&roster, &new);
	ck_assert_uint_eq(removed.n_entries, 1);
	ck_assert_str_eq(removed.entries[0]->account->name, "gone");
	ck_assert(removed.entries[0]->is_removed);
	roster_drop(&roster, removed.entries[0]);
	free(removed.entries);

	ck_assert_uint_eq(roster.n_entries, 4);
	ck_assert_ptr_eq(find(&roster, "same"), entries[0]);
	ck_assert_int_eq(entries[0]->change, ROSTER_SAME);
	ck_assert_uint_eq(entries[0]->schedule.failures, 5);
	ck_assert_ptr_eq(find(&roster, "new"), entries[1]); /* renamed */
	ck_assert_ptr_eq(find(&roster, "moved"), entries[2]);
	ck_assert_int_eq(entries[2]->change, ROSTER_CHANGED);
	ck_assert_uint_eq(entries[2]->schedule.failures, 0);
	ck_assert_int_eq(find(&roster, "fresh")->change, ROSTER_NEW);
	roster_done(&roster);
}
END_TEST

START_TEST(test_names_that_are_swapped_keep_their_state)
{
	static const char *const before[] = { "a a.org 1", "b a.org 2", NULL };
	static const char *const after[] = { "a a.org 2", "b a.org 1", NULL };
	struct fixture old;
	struct fixture new;
	struct roster roster;
	struct roster_entry *first;

	fixture_init(&old, before);
	fixture_init(&new, after);
	roster_init(&roster);
	update_without_loss(&roster, &old);
	first = find(&roster, "a");
	update_without_loss(&roster, &new);
	ck_assert_ptr_eq(find(&roster, "b"), first);
	roster_done(&roster);
}
END_TEST

START_TEST(test_reload_of_what_waits_and_runs)
{
	static const char *const before[] = { "a a.org 1", "b a.org 2",
					      "c a.org 3", "d a.org 4", NULL };
	static const char *const after[] = { "a b.org 1", "c b.org 3", NULL };
	struct fixture old;
	struct fixture new;
	struct roster roster;
	struct roster_host *host;
	struct roster_removed removed;

	fixture_init(&old, before);
	fixture_init(&new, after);
	roster_init(&roster);
	update_without_loss(&roster, &old);
	queue_all(&roster);
	assert_pick(&roster, "a");
	assert_pick(&roster, "b");
	assert_pick(&roster, NULL); /* c and d wait */
	host = find(&roster, "a")->host;

	removed = update(&roster, &new);
	ck_assert_uint_eq(removed.n_entries, 2);
	ck_assert_uint_eq(roster.n_queued, 1);
	assert_pick(&roster, "c"); /* moved to a host that has room */
	for (size_t i = 0; i < removed.n_entries; i++)
		roster_drop(&roster, removed.entries[i]);
	free(removed.entries);

	/* The slots are those of the host they were taken from. */
	ck_assert_uint_eq(host->n_running, 2);
	roster_release(&roster, host);
	roster_release(&roster, host);
	roster_unlock(find(&roster, "a"));
	end(&roster, "c");
	ck_assert_uint_eq(roster.n_running, 0);
	roster_done(&roster);
}
END_TEST

START_TEST(test_raised_bound_lets_more_start)
{
	static const char *const lines[] = { "a a.org 1", "b a.org 2",
					     "c a.org 3", NULL };
	struct fixture fixture;
	struct roster roster;

	fixture_init(&fixture, lines);
	roster_init(&roster);
	update_without_loss(&roster, &fixture);
	queue_all(&roster);
	assert_pick(&roster, "a");
	assert_pick(&roster, "b");
	assert_pick(&roster, NULL);
	fixture.config.max_per_host = 3;
	update_without_loss(&roster, &fixture);
	assert_pick(&roster, "c");
	end(&roster, "a");
	end(&roster, "b");
	end(&roster, "c");
	roster_done(&roster);
}
END_TEST

static Suite *roster_suite(void)
{
	Suite *suite = suite_create("roster");
	TCase *tcase = tcase_create("roster");

	tcase_add_test(tcase, test_hosts_take_turns_under_both_bounds);
	tcase_add_test(tcase, test_queueing_twice_is_queueing_once);
	tcase_add_test(tcase, test_selection);
	tcase_add_test(tcase, test_reload_knows_accounts_again);
	tcase_add_test(tcase, test_names_that_are_swapped_keep_their_state);
	tcase_add_test(tcase, test_reload_of_what_waits_and_runs);
	tcase_add_test(tcase, test_raised_bound_lets_more_start);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(roster_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
