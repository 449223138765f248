/*
 * test-account.c - users, homes, and the directory that a mailbox gets.
 */
#include "account.h"

#include <check.h>
#include <pwd.h>
#include <string.h>

#include "option.h"

/* A user who is not the one that the test runs as. */
static const char *somebody_else(void)
{
	return geteuid() == 0 ? "nobody" : "root";
}

START_TEST(without_a_name_it_is_ourselves)
{
	struct account_user user = { 0 };
	struct error err = { 0 };

	ck_assert_int_eq(account_user_find(&user, NULL, &err), 0);
	ck_assert_uint_eq(user.uid, geteuid());
	ck_assert_ptr_nonnull(user.name);
	account_user_done(&user);
	account_user_done(&user);
}
END_TEST

START_TEST(only_root_finds_others)
{
	const char *name = somebody_else();
	_cleanup_(account_user_done) struct account_user user = { 0 };
	struct error err = { 0 };

	if (geteuid() == 0) {
		ck_assert_int_eq(account_user_find(&user, name, &err), 0);
		ck_assert_str_eq(user.name, "nobody");
		ck_assert_uint_ne(user.uid, 0);
		return;
	}
	ck_assert_int_lt(account_user_find(&user, name, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "only root can deliver"));
}
END_TEST

START_TEST(a_failure_leaves_the_user_that_was_found_before)
{
	_cleanup_(account_user_done) struct account_user user = { 0 };
	struct error err = { 0 };
	_cleanup_string_ char *name = NULL;

	ck_assert_int_eq(account_user_find(&user, NULL, &err), 0);
	name = strdup(user.name);
	ck_assert_int_lt(account_user_find(&user, "no-such-user", &err), 0);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_str_eq(err.text,
			 "there is no user 'no-such-user' on this system");
	ck_assert_str_eq(user.name, name);
	ck_assert_uint_eq(user.uid, geteuid());
}
END_TEST

START_TEST(the_same_user_is_not_looked_up_twice)
{
	/* No database knows this one. */
	struct account_user user = { .name = strdup("kept"), .uid = 4711 };
	struct error err = { 0 };

	ck_assert_int_eq(account_user_find(&user, "kept", &err), 0);
	ck_assert_uint_eq(user.uid, 4711);
	account_user_done(&user);
}
END_TEST

START_TEST(our_own_home_is_an_absolute_one)
{
	const struct passwd *pw = getpwuid(geteuid());
	const char *known = pw && pw->pw_dir[0] == '/' ? pw->pw_dir : "(none)";
	const char *home;

	ck_assert_int_eq(setenv("HOME", "/home/of/mine", 1), 0);
	ck_assert_str_eq(account_own_home(), "/home/of/mine");
	ck_assert_int_eq(setenv("HOME", "relative", 1), 0);
	home = account_own_home();
	ck_assert_str_eq(home ? home : "(none)", known);
	ck_assert_int_eq(unsetenv("HOME"), 0);
	home = account_own_home();
	ck_assert_str_eq(home ? home : "(none)", known);
}
END_TEST

static const struct {
	const char *name;
	const char *path; /* NULL: there is none */
	const char *home;
	const char *expanded; /* NULL: refused */
} home_cases[] = {
	{ "a tilde is the home", "~/Maildir", "/home/a", "/home/a/Maildir" },
	{ "a tilde with nothing behind", "~/", "/home/a", "/home/a/" },
	{ "an absolute path stays", "/mail/~/x", "/home/a", "/mail/~/x" },
	{ "an absolute path needs no home", "/mail", NULL, "/mail" },
	{ "a tilde needs one", "~/Maildir", NULL, NULL },
	{ "and an absolute one", "~/Maildir", "", NULL },
	{ "no path needs nothing", NULL, NULL, "(none)" },
};

START_TEST(a_tilde_is_expanded_at_the_begin_alone)
{
	const char *name = home_cases[_i].name;
	_cleanup_string_ char *path = NULL;
	struct error err = { 0 };
	int r;

	if (home_cases[_i].path)
		path = strdup(home_cases[_i].path);
	r = account_expand_home(&path, home_cases[_i].home, &err);
	if (!home_cases[_i].expanded) {
		ck_assert_msg(r < 0 && err.kind == ERROR_CONFIG, "%s", name);
		ck_assert_str_eq(err.text, "'~/Maildir': "
					   "the user has no home directory");
		ck_assert_str_eq(path, home_cases[_i].path);
		return;
	}
	ck_assert_msg(r == 0, "%s: %s", name, err.text);
	ck_assert_str_eq(path ? path : "(none)", home_cases[_i].expanded);
}
END_TEST

static char *make_dir(const char *username, const char *host)
{
	char *user_copy = strdup(username), *host_copy = strdup(host);
	const struct account account = { .username = user_copy,
					 .host = host_copy };
	char *dir = account_make_state_dir("/state", &account);

	ck_assert_ptr_nonnull(dir);
	free(user_copy);
	free(host_copy);
	return dir;
}

static const struct {
	const char *username;
	const char *host;
	const char *dir;
} dir_cases[] = {
	{ "alice", "pop.example.org", "/state/alice@pop.example.org" },
	{ "Alice", "POP.Example.ORG", "/state/Alice@pop.example.org" },
	{ "alice@example.org", "h", "/state/alice@example.org@h" },
	{ "..", "h", "/state/%2E.@h" },
	{ "../../etc/passwd", "h", "/state/%2E.%2F..%2Fetc%2Fpasswd@h" },
	{ "a%2Fb", "h", "/state/a%252Fb@h" },
	{ "a\tb\x7f\xff~", "h", "/state/a%09b%7F%FF%7E@h" },
	{ "a", "2001:DB8::1%eth0", "/state/a@2001%3Adb8%3A%3A1%25eth0" },
};

START_TEST(what_is_no_plain_byte_is_escaped)
{
	_cleanup_string_ char *dir =
		make_dir(dir_cases[_i].username, dir_cases[_i].host);

	ck_assert_str_eq(dir, dir_cases[_i].dir);
}
END_TEST

/* NAME_MAX is 255, and the longest of all triples when it is escaped. */
START_TEST(the_longest_names_make_short_directories_that_differ)
{
	char a[OPTION_USERNAME_MAX + 1], b[OPTION_USERNAME_MAX + 1];
	char host[OPTION_HOST_MAX + 1];
	_cleanup_string_ char *dir_a = NULL, *dir_b = NULL, *same = NULL;

	memset(a, '\xff', sizeof(a));
	memset(b, '\xff', sizeof(b));
	memset(host, ':', sizeof(host));
	a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
	host[sizeof(host) - 1] = '\0';
	b[sizeof(b) - 2] = 'b'; /* far behind the cut */
	dir_a = make_dir(a, host);
	dir_b = make_dir(b, host);
	same = make_dir(a, host);
	ck_assert_uint_eq(strlen(dir_a), strlen("/state/") + 150 + 17);
	ck_assert_ptr_null(strchr(dir_a + strlen("/state/"), '/'));
	ck_assert_str_ne(dir_a, dir_b);
	ck_assert_str_eq(dir_a, same);
}
END_TEST

START_TEST(two_hundred_bytes_are_kept_and_one_more_is_not)
{
	char name[OPTION_USERNAME_MAX + 1] = "";
	_cleanup_string_ char *kept = NULL, *cut = NULL;

	memset(name, 'a', 198);
	kept = make_dir(name, "h");
	ck_assert_uint_eq(strlen(kept), strlen("/state/") + 200);
	ck_assert_ptr_null(strchr(kept, '~'));
	name[198] = 'a';
	cut = make_dir(name, "h");
	ck_assert_uint_eq(strlen(cut), strlen("/state/") + 167);
	/* No other name has a '~', which is escaped. */
	ck_assert_ptr_nonnull(strchr(cut, '~'));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("account");
	TCase *tcase = tcase_create("account");
	SRunner *runner;
	int n_failed;

	tcase_add_test(tcase, without_a_name_it_is_ourselves);
	tcase_add_test(tcase, only_root_finds_others);
	tcase_add_test(tcase, a_failure_leaves_the_user_that_was_found_before);
	tcase_add_test(tcase, the_same_user_is_not_looked_up_twice);
	tcase_add_test(tcase, our_own_home_is_an_absolute_one);
	tcase_add_loop_test(tcase, a_tilde_is_expanded_at_the_begin_alone, 0,
			    (int)ARRAY_SIZE(home_cases));
	tcase_add_loop_test(tcase, what_is_no_plain_byte_is_escaped, 0,
			    (int)ARRAY_SIZE(dir_cases));
	tcase_add_test(tcase,
		       the_longest_names_make_short_directories_that_differ);
	tcase_add_test(tcase, two_hundred_bytes_are_kept_and_one_more_is_not);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
