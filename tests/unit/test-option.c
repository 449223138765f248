/*
 * test-option.c - what a value must look like, row by row of the table.
 *
 * Each value goes into a struct full of poison, so that a refused one is seen
 * to leave no trace.
 */
#include "option.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define POISON 0x5a

/* Large enough for the fields of both sections. */
union base {
	struct config config;
	struct account account;
};

static const struct option *find(const char *name)
{
	const struct option *option = option_find("accounts", name);

	if (!option)
		option = option_find("daemon", name);
	ck_assert_msg(option, "no setting '%s'", name);
	return option;
}

/* clang-format off */
static const struct {
	const char *name;
	const char *setting;
	struct value value;
	const char *text; /* of the error */
} refused_cases[] = {
	{ "a port is no string", "port", { .type = VALUE_STRING, .text = "1" },
	  "expected an integer, found a string" },
	{ "port 0", "port", { .type = VALUE_INTEGER, .integer = 0 },
	  "must be from 1 to 65535" },
	{ "a port above 16 bits", "port",
	  { .type = VALUE_INTEGER, .integer = 65536 },
	  "must be from 1 to 65535" },
	{ "a negative port", "port", { .type = VALUE_INTEGER, .integer = -1 },
	  "must be from 1 to 65535" },
	{ "a port that is right in its low bits", "port",
	  { .type = VALUE_INTEGER, .integer = (1LL << 32) + 995 },
	  "must be from 1 to 65535" },
	{ "no worker", "max_workers", { .type = VALUE_INTEGER, .integer = 0 },
	  "must be from 1 to 1000" },
	{ "too many workers", "max_workers",
	  { .type = VALUE_INTEGER, .integer = 1001 },
	  "must be from 1 to 1000" },
	{ "an integer is no boolean", "create",
	  { .type = VALUE_INTEGER, .integer = 1 },
	  "expected a boolean (true or false), found an integer" },
	{ "a string is no boolean", "create",
	  { .type = VALUE_STRING, .text = "true" },
	  "expected a boolean (true or false), found a string" },
	{ "a boolean is no word", "tls",
	  { .type = VALUE_BOOLEAN, .boolean = false },
	  "expected a string, found a boolean" },
	{ "an integer is no duration", "interval",
	  { .type = VALUE_INTEGER, .integer = 300 },
	  "expected a string such as \"5m\", found an integer" },
	{ "an integer is no size", "min_rate",
	  { .type = VALUE_INTEGER, .integer = 300 },
	  "expected a string such as \"64M\", found an integer" },
	{ "a fraction", "port", { .type = VALUE_FLOAT },
	  "expected an integer, found a floating-point number" },
	{ "a group", "host", { .type = VALUE_GROUP },
	  "expected a string, found a group" },
	{ "an array", "host", { .type = VALUE_ARRAY },
	  "expected a string, found an array" },
	{ "a list", "host", { .type = VALUE_LIST },
	  "expected a string, found a list" },

	{ "no duration", "interval", { .text = "soon" },
	  "'soon' is not a duration; "
	  "write one like \"90s\", \"5m\" or \"1h30m\"" },
	{ "just below the least interval", "interval", { .text = "9999ms" },
	  "must be from 10s to 365d" },
	{ "just above the longest interval", "interval", { .text = "365d1ms" },
	  "must be from 10s to 365d" },
	{ "limits in their largest units", "visit_timeout", { .text = "8d" },
	  "must be from 1s to 7d" },
	{ "limits in small units", "batch_time", { .text = "0" },
	  "must be from 1ms to 1h" },
	{ "no size", "min_rate", { .text = "1 K" },
	  "'1 K' is not a size; "
	  "write one like \"512\", \"64K\" or \"8M\"" },
	{ "a batch of nothing", "batch_bytes", { .text = "0" },
	  "must be from 1 to 1G" },
	{ "a byte too many", "batch_bytes", { .text = "1073741825" },
	  "must be from 1 to 1G" },
	{ "0 is a limit too", "min_rate", { .text = "2G" },
	  "must be from 0 to 1G" },

	{ "a word of another setting", "tls", { .text = "debug" },
	  "'debug' is not one of: implicit, starttls, none" },
	{ "a word in capitals", "tls", { .text = "NONE" },
	  "'NONE' is not one of: implicit, starttls, none" },
	{ "a mechanism that we have not", "auth", { .text = "LOGIN" },
	  "'LOGIN' is not one of: auto, APOP, PLAIN, USER" },
	{ "the begin of a word", "keep", { .text = "del" },
	  "'del' is not one of: delete, forever" },
	{ "a level of syslog that we have not", "log_level", { .text = "crit" },
	  "'crit' is not one of: error, warning, notice, info, debug" },

	{ "no host", "host", { .text = "" }, "must not be empty" },
	{ "an address in brackets", "host", { .text = "[::1]" },
	  "'[::1]' is not a host name or an address without brackets" },
	{ "a host with a blank", "host", { .text = "a b" },
	  "'a b' is not a host name or an address without brackets" },
	{ "no username", "username", { .text = "" }, "must not be empty" },
	{ "a username that is two commands", "username",
	  { .text = "alice\r\nDELE 1" }, "holds a line break" },
	{ "no user", "user", { .text = "" }, "must not be empty" },
	{ "a relative path", "maildir", { .text = "Maildir" },
	  "'Maildir' must be absolute or begin with \"~/\"" },
	{ "no path", "maildir", { .text = "" },
	  "'' must be absolute or begin with \"~/\"" },
	{ "another user's home", "maildir", { .text = "~bob/Maildir" },
	  "'~bob/Maildir' must be absolute or begin with \"~/\"" },
	{ "a home alone", "ca_file", { .text = "~" },
	  "'~' must be absolute or begin with \"~/\"" },
};
/* clang-format on */

START_TEST(a_bad_value_is_refused_and_leaves_no_trace)
{
	const char *name = refused_cases[_i].name;
	struct error err = { 0 };
	union base base, untouched;
	const struct option_target target = { .base = &base };

	memset(&base, POISON, sizeof(base));
	memset(&untouched, POISON, sizeof(untouched));
	ck_assert_msg(option_set(find(refused_cases[_i].setting),
				 &refused_cases[_i].value, &target, &err) < 0,
		      "%s: was taken", name);
	ck_assert_msg(err.kind == ERROR_CONFIG, "%s: %s", name,
		      error_kind_name(err.kind));
	ck_assert_str_eq(err.text, refused_cases[_i].text);
	ck_assert_msg(memcmp(&base, &untouched, sizeof(base)) == 0,
		      "%s: left a trace", name);
}
END_TEST

static const struct {
	const char *setting;
	struct value value;
	uint64_t number; /* what the field holds then */
} number_cases[] = {
	{ "port", { .type = VALUE_INTEGER, .integer = 1 }, 1 },
	{ "port", { .type = VALUE_INTEGER, .integer = 65535 }, 65535 },
	{ "max_workers", { .type = VALUE_INTEGER, .integer = 1000 }, 1000 },
	{ "batch_messages", { .type = VALUE_INTEGER, .integer = 1 }, 1 },
	{ "create", { .type = VALUE_BOOLEAN, .boolean = true }, 1 },
	{ "create", { .type = VALUE_BOOLEAN, .boolean = false }, 0 },
	{ "interval", { .text = "10" }, 10 * USEC_PER_SEC },
	{ "interval", { .text = "365d" }, 365 * USEC_PER_DAY },
	{ "interval", { .text = "1h30m" }, 90 * USEC_PER_MINUTE },
	{ "batch_pause", { .text = "1ms" }, USEC_PER_MSEC },
	{ "min_rate", { .text = "0" }, 0 },
	{ "min_rate", { .text = "1K" }, 1024 },
	{ "batch_bytes", { .text = "1G" }, UINT64_C(1) << 30 },
	{ "tls", { .text = "implicit" }, TLS_IMPLICIT },
	{ "tls", { .text = "starttls" }, TLS_STARTTLS },
	{ "tls", { .text = "none" }, TLS_NONE },
	{ "auth", { .text = "auto" }, AUTH_AUTO },
	{ "auth", { .text = "apop" }, AUTH_APOP },
	{ "auth", { .text = "PLAIN" }, AUTH_PLAIN },
	{ "auth", { .text = "User" }, AUTH_USER },
	{ "keep", { .text = "delete" }, KEEP_DELETE },
	{ "keep", { .text = "forever" }, KEEP_FOREVER },
	{ "log_level", { .text = "error" }, LOG_ERR },
	{ "log_level", { .text = "warning" }, LOG_WARNING },
	{ "log_level", { .text = "notice" }, LOG_NOTICE },
	{ "log_level", { .text = "info" }, LOG_INFO },
	{ "log_level", { .text = "debug" }, LOG_DEBUG },
};

static void put_number(void *field, enum option_type type, uint64_t number)
{
	if (type == OPTION_BOOL)
		*(bool *)field = number != 0;
	else if (type == OPTION_PORT)
		*(uint16_t *)field = (uint16_t)number;
	else if (type == OPTION_DURATION || type == OPTION_SIZE)
		*(uint64_t *)field = number;
	else
		*(int *)field = (int)number;
}

/* Neither less nor more than its own field is written. */
START_TEST(a_number_fills_its_field_and_no_other)
{
	const struct option *option = find(number_cases[_i].setting);
	struct error err = { 0 };
	union base base, expected;
	const struct option_target target = { .base = &base };

	memset(&base, POISON, sizeof(base));
	memset(&expected, POISON, sizeof(expected));
	put_number((char *)&expected + option->offset, option->type,
		   number_cases[_i].number);
	ck_assert_int_eq(
		option_set(option, &number_cases[_i].value, &target, &err), 0);
	ck_assert_msg(memcmp(&base, &expected, sizeof(base)) == 0,
		      "%s: case %d", number_cases[_i].setting, _i);
}
END_TEST

static int set_text(struct account *account, const char *name, const char *text,
		    struct error *err)
{
	const struct value value = { .type = VALUE_STRING, .text = text };
	const struct option_target target = { .base = account };

	return option_set(find(name), &value, &target, err);
}

static const struct {
	const char *setting;
	const char *text;
} string_cases[] = {
	{ "host", "pop.example.org" },
	{ "host", "2001:db8::1%eth0" },
	{ "username", "alice@example.org" },
	{ "username", " a b\t\xc3\xa4 " },
	{ "user", "mrose" },
	{ "maildir", "/" },
	{ "maildir", "~/" },
	{ "ca_file", "~/ca.pem" },
	{ "password_file", "/run/secret" },
};

START_TEST(a_string_is_copied_and_takes_the_place_of_the_old_one)
{
	const char *setting = string_cases[_i].setting;
	struct account account = { 0 };
	struct error err = { 0 };
	char text[64];

	(void)snprintf(text, sizeof(text), "%s", string_cases[_i].text);
	ck_assert_int_eq(set_text(&account, setting, text, &err), 0);
	memset(text, 'x', strlen(text));
	ck_assert_str_eq(*option_string(find(setting), &account),
			 string_cases[_i].text);
	ck_assert_int_eq(set_text(&account, setting, "/other", &err),
			 strcmp(setting, "host") == 0 ? -1 : 0);
	ck_assert_str_eq(*option_string(find(setting), &account),
			 strcmp(setting, "host") == 0 ? string_cases[_i].text
						      : "/other");
	option_clear_account(&account);
}
END_TEST

static const struct {
	const char *setting;
	size_t max;
} length_cases[] = {
	{ "host", OPTION_HOST_MAX },
	{ "username", OPTION_USERNAME_MAX },
};

START_TEST(names_have_their_longest_length_and_no_more)
{
	const char *setting = length_cases[_i].setting;
	size_t max = length_cases[_i].max;
	struct account account = { 0 };
	struct error err = { 0 };
	char text[512] = "";

	memset(text, 'a', max);
	ck_assert_msg(set_text(&account, setting, text, &err) == 0, "%s: %s",
		      setting, err.text);
	ck_assert_uint_eq(strlen(*option_string(find(setting), &account)), max);
	text[max] = 'a';
	ck_assert_msg(set_text(&account, setting, text, &err) < 0,
		      "%s: one byte too many", setting);
	option_clear_account(&account);
}
END_TEST

START_TEST(a_secret_lives_in_the_arena_and_is_never_quoted)
{
	struct secret_arena *arena = secret_arena_new();
	struct account account = { 0 };
	const struct option_target target = { .base = &account,
					      .arena = arena };
	struct value value = { .text = "tanstaaf" };
	struct error err = { 0 };

	ck_assert_ptr_nonnull(arena);
	ck_assert_int_eq(option_set(find("password"), &value, &target, &err),
			 0);
	ck_assert_str_eq(account.password, "tanstaaf");
	ck_assert_ptr_ne(account.password, value.text);
	ck_assert_ptr_null(option_string(find("password"), &account));

	value.text = "tanstaaf\r\nDELE 1";
	ck_assert_int_lt(option_set(find("password"), &value, &target, &err),
			 0);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_null(strstr(err.text, "tanstaaf"));
	ck_assert_str_eq(account.password, "tanstaaf");
	option_clear_account(&account);
	ck_assert_ptr_null(account.password);
	secret_arena_free(&arena);
}
END_TEST

START_TEST(every_setting_is_found_in_its_section_alone)
{
	const struct option *option;
	size_t n = 0;

	while ((option = option_at(n)) != NULL) {
		bool is_daemon = strcmp(option->info.section, "daemon") == 0;

		ck_assert_ptr_eq(
			option_find(option->info.section, option->info.name),
			option);
		ck_assert_ptr_null(option_find(
			is_daemon ? "accounts" : "daemon", option->info.name));
		ck_assert_ptr_eq(config_option(n), &option->info);
		ck_assert_msg(option->min <= option->max, "%s",
			      option->info.name);
		n++;
	}
	ck_assert_uint_gt(n, 20);
	/* config.c keeps a bit for each in 64. */
	ck_assert_uint_le(n, 64);
	ck_assert_ptr_null(config_option(n));
	ck_assert_ptr_null(option_find("accounts", "hos"));
	ck_assert_ptr_null(option_find("defaults", "host"));
}
END_TEST

START_TEST(defaults_leave_what_has_none)
{
	struct account account;
	const struct option_target target = { .base = &account };
	struct error err = { 0 };

	memset(&account, POISON, sizeof(account));
	ck_assert_int_eq(option_set_defaults("accounts", &target, &err), 0);
	ck_assert_int_eq(account.tls, TLS_IMPLICIT);
	ck_assert_int_eq(account.auth, AUTH_AUTO);
	ck_assert_int_eq(account.keep, KEEP_DELETE);
	ck_assert(!account.create && !account.allow_cleartext);
	ck_assert_uint_eq(account.interval_usec, 5 * USEC_PER_MINUTE);
	ck_assert_uint_eq(account.stop_timeout_usec, 20 * USEC_PER_SEC);
	ck_assert_uint_eq(account.batch_messages, 128);
	ck_assert_uint_eq(account.port, 0x5a5a);
	ck_assert_ptr_eq(account.host,
			 (void *)(uintptr_t)UINT64_C(0x5a5a5a5a5a5a5a5a));
}
END_TEST

/* An account with a string of its own in every row that may have one. */
static void fill(struct account *account)
{
	struct error err = { 0 };

	*account = (struct account){ .port = 995, .password = "shared" };
	for (size_t i = 0; option_at(i); i++) {
		const struct option *option = option_at(i);
		char **string = strcmp(option->info.section, "accounts") == 0
					? option_string(option, account)
					: NULL;

		if (string)
			ck_assert_int_ge(
				asprintf(string, "/%s", option->info.name), 0);
	}
	ck_assert_int_eq(set_text(account, "host", "pop.example.org", &err), 0);
	account->name = strdup("a");
	account->file = strdup("f");
	account->state_dir = strdup("s");
}

START_TEST(a_copy_owns_its_strings_and_has_no_name)
{
	char another_place[] = "shared";
	struct account account, copy;
	struct error err = { 0 };

	fill(&account);
	memset(&copy, POISON, sizeof(copy));
	ck_assert_int_eq(option_copy_account(&copy, &account, &err), 0);
	ck_assert(option_account_equals(&account, &copy));
	ck_assert_ptr_null(copy.name);
	ck_assert_ptr_null(copy.file);
	ck_assert_ptr_null(copy.state_dir);
	ck_assert_ptr_eq(copy.password, account.password);

	/* After a reload the same secret lies elsewhere. */
	copy.password = another_place;
	ck_assert(option_account_equals(&account, &copy));
	option_clear_account(&account);
	ck_assert_str_eq(copy.host, "pop.example.org");
	ck_assert_str_eq(copy.password_file, "/password_file");
	ck_assert_ptr_null(account.host);
	option_clear_account(&copy);
}
END_TEST

static void change(const struct option *option, struct account *account)
{
	char *field = (char *)account + option->offset;

	if (option_string(option, account))
		string_free(option_string(option, account));
	else if (option->type == OPTION_SECRET)
		account->password = "another";
	else
		field[0] = (char)(field[0] ^ 1);
}

START_TEST(a_change_of_any_setting_makes_a_difference)
{
	struct error err = { 0 };

	for (size_t i = 0; option_at(i); i++) {
		const struct option *option = option_at(i);
		struct account account, copy;

		if (strcmp(option->info.section, "accounts") != 0)
			continue;
		fill(&account);
		ck_assert_int_eq(option_copy_account(&copy, &account, &err), 0);
		change(option, &copy);
		ck_assert_msg(!option_account_equals(&account, &copy), "%s",
			      option->info.name);
		ck_assert_msg(!option_account_equals(&copy, &account), "%s",
			      option->info.name);
		option_clear_account(&account);
		option_clear_account(&copy);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("option");
	TCase *tcase = tcase_create("option");
	SRunner *runner;
	int n_failed;

	tcase_add_loop_test(tcase, a_bad_value_is_refused_and_leaves_no_trace,
			    0, (int)ARRAY_SIZE(refused_cases));
	tcase_add_loop_test(tcase, a_number_fills_its_field_and_no_other, 0,
			    (int)ARRAY_SIZE(number_cases));
	tcase_add_loop_test(
		tcase, a_string_is_copied_and_takes_the_place_of_the_old_one, 0,
		(int)ARRAY_SIZE(string_cases));
	tcase_add_loop_test(tcase, names_have_their_longest_length_and_no_more,
			    0, (int)ARRAY_SIZE(length_cases));
	tcase_add_test(tcase, a_secret_lives_in_the_arena_and_is_never_quoted);
	tcase_add_test(tcase, every_setting_is_found_in_its_section_alone);
	tcase_add_test(tcase, defaults_leave_what_has_none);
	tcase_add_test(tcase, a_copy_owns_its_strings_and_has_no_name);
	tcase_add_test(tcase, a_change_of_any_setting_makes_a_difference);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
