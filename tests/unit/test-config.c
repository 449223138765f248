/*
 * test-config.c - what a configuration means, and what is said about a bad one.
 *
 * In texts "$USER" stands for a user that may be delivered to, and in expected
 * lines "@" for the directory of the configuration.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "config.h"
#include "secret.h"

#define TEXT_MAX          65536
#define N_MANY            2000
#define OTHER_UID         65534 /* not root's */
#define POISON_POINTER    ((void *)(uintptr_t)0x5a5a5a5a)

#define LOGIN             "host = \"pop.example.org\"; username = \"alice\"; "
#define PASSWORD          "password_file = \"/secret\"; "
#define MAILDIR           "maildir = \"/mail\"; user = \"$USER\"; "
#define COMPLETE          LOGIN PASSWORD MAILDIR
#define ACCOUNT(settings) "accounts: { a: {\n" settings "\n}; };\n"
#define DIR_TEMPLATE      "/tmp/mailhaul-test-config-XXXXXX"

static char dir[] = DIR_TEMPLATE;
static char user_name[64];
static char user_home[256];
static struct config_paths paths;

/* Joins directory and name; the caller frees. */
static char *in_dir(const char *name)
{
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s/%s", dir, name), 0);
	return path;
}

/* Root needs a user who exists; others can name only themselves. */
static void find_test_user(void)
{
	const struct passwd *pw = geteuid() == 0 ? getpwnam("nobody")
						 : getpwuid(geteuid());
	const char *home = getenv("HOME");

	ck_assert_ptr_nonnull(pw);
	if (geteuid() == 0 || home == NULL || home[0] != '/')
		home = pw->pw_dir;
	(void)snprintf(user_name, sizeof(user_name), "%s", pw->pw_name);
	(void)snprintf(user_home, sizeof(user_home), "%s", home);
}

static void setup(void)
{
	_cleanup_string_ char *conf_d = NULL;

	find_test_user();
	memcpy(dir, DIR_TEMPLATE, sizeof(dir));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	conf_d = in_dir("conf.d");
	ck_assert_int_eq(mkdir(conf_d, 0700), 0);
	paths.config_file = in_dir("mailhaul.conf");
	paths.state_dir = strdup("/state");
	ck_assert_ptr_nonnull(paths.state_dir);
}

static void teardown(void)
{
	_cleanup_string_ char *command = NULL;

	ck_assert_int_gt(asprintf(&command, "rm -rf '%s'", dir), 0);
	ck_assert_int_eq(system(command), 0);
	config_paths_done(&paths);
}

/* dst gets src with each "from" replaced by "to". */
static void replace(char *dst, const char *src, const char *from,
		    const char *to)
{
	size_t len = 0;

	while (*src != '\0') {
		bool is_hit = strncmp(src, from, strlen(from)) == 0;

		ck_assert_uint_lt(len + strlen(to) + 1, TEXT_MAX);
		if (is_hit)
			len += (size_t)sprintf(dst + len, "%s", to);
		else
			dst[len++] = *src;
		src += is_hit ? strlen(from) : 1;
	}
	dst[len] = '\0';
}

static void write_mode(const char *name, const char *text, mode_t mode)
{
	_cleanup_string_ char *path = in_dir(name);
	char whole[TEXT_MAX];
	int fd;

	replace(whole, text, "$USER", user_name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, whole, strlen(whole)),
			 (ssize_t)strlen(whole));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	fd_close(&fd);
}

static void write_conf(const char *name, const char *text)
{
	write_mode(name, text, 0600);
}

/* All lines, each with its newline, the directory as "@". */
static void join_lines(char *dst, const struct config_errors *errors)
{
	char raw[TEXT_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < errors->n_lines; i++) {
		ck_assert_uint_lt(len + CONFIG_LINE_MAX + 1, sizeof(raw));
		len += (size_t)sprintf(raw + len, "%s\n", errors->lines[i]);
	}
	replace(dst, raw, dir, "@");
}

static struct config *load_good(const char *name)
{
	struct config *config = POISON_POINTER;
	struct config_errors errors = { 0 };
	char lines[TEXT_MAX];
	int r = config_load(&paths, &config, &errors);

	join_lines(lines, &errors);
	ck_assert_msg(r == 0, "%s: refused:\n%s", name, lines);
	ck_assert_msg(errors.n_lines == 0, "%s: lines:\n%s", name, lines);
	config_errors_done(&errors);
	return config;
}

static void expect_lines(const char *name, const char *expected)
{
	struct config *config = POISON_POINTER;
	struct config_errors errors = { 0 };
	char lines[TEXT_MAX];
	int r = config_load(&paths, &config, &errors);

	ck_assert_msg(r < 0, "%s: was accepted", name);
	ck_assert_msg(config == POISON_POINTER, "%s: output was written", name);
	join_lines(lines, &errors);
	ck_assert_msg(strcmp(lines, expected) == 0,
		      "%s:\nexpected:\n%sgot:\n%s", name, expected, lines);
	config_errors_done(&errors);
	ck_assert_ptr_null(errors.lines);
}

static const struct account *load_one(struct config **ret, const char *name,
				      const char *text)
{
	write_conf("mailhaul.conf", text);
	*ret = load_good(name);
	ck_assert_msg((*ret)->n_accounts == 1, "%s: accounts", name);
	return &(*ret)->accounts[0];
}

/* clang-format off */
static const struct {
	const char *name;
	const char *text;
	const char *lines;
} error_cases[] = {
	{ "no account at all", "daemon: { max_workers = 3; };",
	  "@/mailhaul.conf: no accounts are defined; "
	  "add one to accounts here, or in conf.d/NAME.conf\n" },
	{ "an empty file", "",
	  "@/mailhaul.conf: no accounts are defined; "
	  "add one to accounts here, or in conf.d/NAME.conf\n" },
	{ "text without quotes", "accounts: {\n  a: { host = pop; };\n};",
	  "@/mailhaul.conf:2: syntax error, here or just above: "
	  "a missing quote, ';' or brace, or text without quotes?\n" },
	{ "one name twice in one file",
	  "accounts: {\n a: { };\n b: { };\n a: { };\n};",
	  "@/mailhaul.conf:4: a name is used for the second time in its group\n" },
	{ "a file to include is missing", "@include \"none.conf\"\n",
	  "@/mailhaul.conf:1: cannot open the included file; "
	  "its name counts from the main file's directory\n" },

	{ "a directory to include", "\n\t@include\t\".\"\n",
	  "@/mailhaul.conf:2: includes @/., which is not a regular file\n" },
	{ "no name to include", "@include \"\"",
	  "@/mailhaul.conf:1: includes @/, which is not a regular file\n" },
	{ "a directory in a name with a backslash", "@include \"\\.\"\n",
	  "@/mailhaul.conf:1: includes @/., which is not a regular file\n" },

	{ "an unknown group", "acounts: { };\naccounts: { };",
	  "@/mailhaul.conf:1: acounts: unknown group 'acounts'; "
	  "did you mean 'accounts'?\n" },
	{ "an unknown group like nothing else", "zzz: { };",
	  "@/mailhaul.conf:1: zzz: unknown group 'zzz'\n" },
	{ "a setting of accounts at the top", "interval = \"5m\";",
	  "@/mailhaul.conf:1: interval: "
	  "belongs in defaults or an account, not here\n" },
	{ "a setting of the daemon at the top", "max_workers = 1;",
	  "@/mailhaul.conf:1: max_workers: belongs in daemon, not here\n" },
	{ "accounts as a list", "accounts = ( );",
	  "@/mailhaul.conf:1: accounts: expected a group, found a list\n" },
	{ "an account that is none", "accounts: { a = \"b\"; };",
	  "@/mailhaul.conf:1: accounts.a: expected a group, found a string\n" },
	{ "daemon as a boolean", "daemon = true;",
	  "@/mailhaul.conf:1: daemon: expected a group, found a boolean\n" },
	{ "defaults as an array", "defaults = [ 1 ];",
	  "@/mailhaul.conf:1: defaults: expected a group, found an array\n" },
	{ "a name that is too long",
	  "accounts: { a123456789012345678901234567890123456789012345678901234567890"
	  "1234: { }; };",
	  "@/mailhaul.conf:1: accounts.a12345678901234567890123456789012345678901"
	  "23456789012345678901234: the name is longer than 64 characters\n" },

	{ "a setting with a typo", ACCOUNT(COMPLETE "\npol_interval = \"5m\";"),
	  "@/mailhaul.conf:3: accounts.a.pol_interval: "
	  "unknown setting 'pol_interval'; did you mean 'interval'?\n" },
	{ "two letters swapped", ACCOUNT(COMPLETE "tsl = \"none\";"),
	  "@/mailhaul.conf:2: accounts.a.tsl: "
	  "unknown setting 'tsl'; did you mean 'tls'?\n" },
	{ "a setting like nothing else", ACCOUNT(COMPLETE "zzzzzz = 1;"),
	  "@/mailhaul.conf:2: accounts.a.zzzzzz: unknown setting 'zzzzzz'\n" },
	{ "a typo in daemon", "daemon: {\n max_worker = 1; };",
	  "@/mailhaul.conf:2: daemon.max_worker: "
	  "unknown setting 'max_worker'; did you mean 'max_workers'?\n" },
	{ "a setting of accounts in daemon", "daemon: { interval = \"1m\"; };",
	  "@/mailhaul.conf:1: daemon.interval: "
	  "belongs in defaults or an account, not here\n" },
	{ "a setting of the daemon in an account",
	  ACCOUNT(COMPLETE "log_level = \"info\";"),
	  "@/mailhaul.conf:2: accounts.a.log_level: belongs in daemon, not here\n" },
	{ "a typo in defaults", "defaults: { intervall = \"1m\"; };",
	  "@/mailhaul.conf:1: defaults.intervall: "
	  "unknown setting 'intervall'; did you mean 'interval'?\n" },

	{ "a port as a string", ACCOUNT(COMPLETE "port = \"995\";"),
	  "@/mailhaul.conf:2: accounts.a.port: "
	  "expected an integer, found a string\n" },
	{ "a host as an integer",
	  ACCOUNT("host = 5; username = \"u\"; " PASSWORD MAILDIR),
	  "@/mailhaul.conf:2: accounts.a.host: "
	  "expected a string, found an integer\n" },
	{ "a duration as an integer", ACCOUNT(COMPLETE "interval = 300;"),
	  "@/mailhaul.conf:2: accounts.a.interval: "
	  "expected a string such as \"5m\", found an integer\n" },
	{ "a size as an integer", ACCOUNT(COMPLETE "batch_bytes = 300;"),
	  "@/mailhaul.conf:2: accounts.a.batch_bytes: "
	  "expected a string such as \"64M\", found an integer\n" },
	{ "a boolean as a string", ACCOUNT(COMPLETE "create = \"yes\";"),
	  "@/mailhaul.conf:2: accounts.a.create: "
	  "expected a boolean (true or false), found a string\n" },
	{ "a word as a boolean", ACCOUNT(COMPLETE "tls = false;"),
	  "@/mailhaul.conf:2: accounts.a.tls: "
	  "expected a string, found a boolean\n" },
	{ "a number with a fraction", ACCOUNT(COMPLETE "port = 1.5;"),
	  "@/mailhaul.conf:2: accounts.a.port: "
	  "expected an integer, found a floating-point number\n" },
	{ "a password as an integer is not quoted",
	  ACCOUNT(LOGIN MAILDIR "password = 12345;"),
	  "@/mailhaul.conf:2: accounts.a.password: "
	  "expected a string, found an integer\n" },
	{ "a group for a setting", ACCOUNT(COMPLETE "tls: { };"),
	  "@/mailhaul.conf:2: accounts.a.tls: "
	  "expected a string, found a group\n" },

	{ "port 0", ACCOUNT(COMPLETE "port = 0;"),
	  "@/mailhaul.conf:2: accounts.a.port: must be from 1 to 65535\n" },
	{ "a port that is too high", ACCOUNT(COMPLETE "port = 65536;"),
	  "@/mailhaul.conf:2: accounts.a.port: must be from 1 to 65535\n" },
	{ "an integer that libconfig 1.5 makes negative",
	  ACCOUNT(COMPLETE "port = 3000000000;"),
	  "@/mailhaul.conf:2: accounts.a.port: must be from 1 to 65535\n" },
	{ "no workers", "daemon: { max_workers = 0; max_per_host = 1001; };",
	  "@/mailhaul.conf:1: daemon.max_workers: must be from 1 to 1000\n"
	  "@/mailhaul.conf:1: daemon.max_per_host: must be from 1 to 1000\n" },
	{ "an interval that is too short", ACCOUNT(COMPLETE "interval = \"9s\";"),
	  "@/mailhaul.conf:2: accounts.a.interval: must be from 10s to 365d\n" },
	{ "a batch pause of nothing", ACCOUNT(COMPLETE "batch_pause = \"0\";"),
	  "@/mailhaul.conf:2: accounts.a.batch_pause: must be from 1ms to 1h\n" },
	{ "a batch of too many bytes", ACCOUNT(COMPLETE "batch_bytes = \"2G\";"),
	  "@/mailhaul.conf:2: accounts.a.batch_bytes: must be from 1 to 1G\n" },
	{ "not a duration", ACCOUNT(COMPLETE "interval = \"5 min\";"),
	  "@/mailhaul.conf:2: accounts.a.interval: '5 min' is not a duration; "
	  "write one like \"90s\", \"5m\" or \"1h30m\"\n" },
	{ "not a size", ACCOUNT(COMPLETE "min_rate = \"1KB\";"),
	  "@/mailhaul.conf:2: accounts.a.min_rate: '1KB' is not a size; "
	  "write one like \"512\", \"64K\" or \"8M\"\n" },
	{ "a word that is none", ACCOUNT(COMPLETE "tls = \"ssl\";"),
	  "@/mailhaul.conf:2: accounts.a.tls: "
	  "'ssl' is not one of: implicit, starttls, none\n" },
	{ "an unknown mechanism", ACCOUNT(COMPLETE "auth = \"LOGIN\";"),
	  "@/mailhaul.conf:2: accounts.a.auth: "
	  "'LOGIN' is not one of: auto, APOP, PLAIN, USER\n" },
	{ "an unknown way to keep", ACCOUNT(COMPLETE "keep = \"14d\";"),
	  "@/mailhaul.conf:2: accounts.a.keep: "
	  "'14d' is not one of: delete, forever\n" },
	{ "an unknown log level", "daemon: { log_level = \"verbose\"; };",
	  "@/mailhaul.conf:1: daemon.log_level: "
	  "'verbose' is not one of: error, warning, notice, info, debug\n" },

	{ "an empty host", ACCOUNT("host = \"\"; username = \"u\"; " PASSWORD MAILDIR),
	  "@/mailhaul.conf:2: accounts.a.host: must not be empty\n" },
	{ "a host with a path",
	  ACCOUNT("host = \"a/../b\"; username = \"u\"; " PASSWORD MAILDIR),
	  "@/mailhaul.conf:2: accounts.a.host: "
	  "'a/../b' is not a host name or an address without brackets\n" },
	{ "an empty username",
	  ACCOUNT("host = \"h\"; username = \"\"; " PASSWORD MAILDIR),
	  "@/mailhaul.conf:2: accounts.a.username: must not be empty\n" },
	{ "a username with a line break",
	  ACCOUNT("host = \"h\"; username = \"u\\r\\nQUIT\"; " PASSWORD MAILDIR),
	  "@/mailhaul.conf:2: accounts.a.username: holds a line break\n" },
	{ "an empty password", ACCOUNT(LOGIN MAILDIR "password = \"\";"),
	  "@/mailhaul.conf:2: accounts.a.password: the secret is empty\n" },
	{ "a password with a line break",
	  ACCOUNT(LOGIN MAILDIR "password = \"a\\nb\";"),
	  "@/mailhaul.conf:2: accounts.a.password: the secret holds a line break\n" },
	{ "a relative Maildir",
	  ACCOUNT(LOGIN PASSWORD "user = \"$USER\"; maildir = \"Mail\";"),
	  "@/mailhaul.conf:2: accounts.a.maildir: "
	  "'Mail' must be absolute or begin with \"~/\"\n" },
	{ "another user's home",
	  ACCOUNT(LOGIN PASSWORD "user = \"$USER\"; maildir = \"~bob/Mail\";"),
	  "@/mailhaul.conf:2: accounts.a.maildir: "
	  "'~bob/Mail' must be absolute or begin with \"~/\"\n" },
	{ "a relative ca_file", ACCOUNT(COMPLETE "ca_file = \"ca.pem\";"),
	  "@/mailhaul.conf:2: accounts.a.ca_file: "
	  "'ca.pem' must be absolute or begin with \"~/\"\n" },
	{ "a relative password_file",
	  ACCOUNT(LOGIN MAILDIR "password_file = \"secret\";"),
	  "@/mailhaul.conf:2: accounts.a.password_file: "
	  "'secret' must be absolute or begin with \"~/\"\n" },
	{ "control bytes in a value are escaped",
	  ACCOUNT(COMPLETE "tls = \"\\x1b[2J\";"),
	  "@/mailhaul.conf:2: accounts.a.tls: "
	  "'\\x1b[2J' is not one of: implicit, starttls, none\n" },

	{ "everything that is required is missing",
	  "accounts: {\n\n a: { user = \"$USER\"; };\n};",
	  "@/mailhaul.conf:3: accounts.a.host: is missing, here and in defaults\n"
	  "@/mailhaul.conf:3: accounts.a.username: "
	  "is missing, here and in defaults\n"
	  "@/mailhaul.conf:3: accounts.a.maildir: "
	  "is missing, here and in defaults\n"
	  "@/mailhaul.conf:3: accounts.a.password_file: "
	  "is missing, here and in defaults, and so is password\n" },
	{ "both kinds of password",
	  ACCOUNT(COMPLETE "password = \"pw\";"),
	  "@/mailhaul.conf:2: accounts.a.password_file: "
	  "password is set too: choose one\n" },
	{ "both kinds of password in defaults are told once",
	  "defaults: { password = \"pw\";\npassword_file = \"/f\"; };\naccounts: { a: { "
	  LOGIN MAILDIR " }; };",
	  "@/mailhaul.conf:2: defaults.password_file: "
	  "password is set too: choose one\n" },
	{ "a fault in defaults is told once, and nothing called missing",
	  "defaults: { host = 1; maildir = \"m\"; };\naccounts: {\n"
	  " a: { username = \"a\"; user = \"$USER\"; " PASSWORD "};\n"
	  " b: { username = \"b\"; user = \"$USER\"; " PASSWORD "};\n};",
	  "@/mailhaul.conf:1: defaults.host: expected a string, found an integer\n"
	  "@/mailhaul.conf:1: defaults.maildir: "
	  "'m' must be absolute or begin with \"~/\"\n" },
	{ "a user who does not exist",
	  ACCOUNT(LOGIN PASSWORD "maildir = \"~/M\"; user = \"no-such-user\";"),
	  "@/mailhaul.conf:2: accounts.a.user: "
	  "there is no user 'no-such-user' on this system\n" },
	{ "two accounts for one mailbox",
	  "accounts: {\n a: { " COMPLETE " };\n b: { host = \"POP.example.ORG\"; "
	  "port = 110; username = \"alice\"; " PASSWORD MAILDIR " };\n};",
	  "@/mailhaul.conf:3: accounts.b: has the host and username of account "
	  "'a' at @/mailhaul.conf:2; a mailbox can have only one account\n" },
};
/* clang-format on */

START_TEST(test_error)
{
	write_conf("mailhaul.conf", error_cases[_i].text);
	expect_lines(error_cases[_i].name, error_cases[_i].lines);
}
END_TEST

START_TEST(test_root_needs_users)
{
	write_conf("mailhaul.conf",
		   ACCOUNT(LOGIN PASSWORD "maildir = \"~/Maildir\";"));
	if (geteuid() == 0) {
		expect_lines(
			"root",
			"@/mailhaul.conf:1: accounts.a.user: is missing, "
			"here and in defaults: root must know whose Maildir "
			"it is\n");
	} else {
		struct config *config = load_good("not root");

		ck_assert_str_eq(config->accounts[0].user, user_name);
		ck_assert_uint_eq(config->accounts[0].uid, geteuid());
		config_unref(&config);
	}
}
END_TEST

START_TEST(test_others_deliver_to_themselves)
{
	_cleanup_string_ char *expected = NULL;

	write_conf("mailhaul.conf", ACCOUNT(LOGIN PASSWORD "maildir = \"/m\"; "
							   "user = \"root\";"));
	if (getuid() == 0) {
		_cleanup_string_ char *conf_d = in_dir("conf.d");

		ck_assert_int_eq(chown(dir, OTHER_UID, OTHER_UID), 0);
		ck_assert_int_eq(chown(conf_d, OTHER_UID, OTHER_UID), 0);
		ck_assert_int_eq(chown(paths.config_file, OTHER_UID, OTHER_UID),
				 0);
		ck_assert_int_eq(seteuid(OTHER_UID), 0);
	}
	ck_assert_int_gt(
		asprintf(&expected,
			 "@/mailhaul.conf:2: accounts.a.user: "
			 "must be the user that runs mailhaul (uid %u): "
			 "only root can deliver to others\n",
			 geteuid()),
		0);
	expect_lines("not root", expected);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(test_defaults)
{
	struct config *config;
	const struct account *a =
		load_one(&config, "defaults", ACCOUNT(COMPLETE));

	ck_assert_uint_eq(config->n_refs, 1);
	ck_assert_int_eq(config->log_level, LOG_INFO);
	ck_assert_uint_eq(config->max_workers, 10);
	ck_assert_uint_eq(config->max_per_host, 4);
	ck_assert_str_eq(a->name, "a");
	ck_assert_str_eq(a->file, paths.config_file);
	ck_assert_uint_eq(a->line, 1);
	ck_assert_str_eq(a->host, "pop.example.org");
	ck_assert_uint_eq(a->port, 995);
	ck_assert_int_eq(a->tls, TLS_IMPLICIT);
	ck_assert_ptr_null(a->ca_file);
	ck_assert_str_eq(a->username, "alice");
	ck_assert_ptr_null(a->password);
	ck_assert_str_eq(a->password_file, "/secret");
	ck_assert_int_eq(a->auth, AUTH_AUTO);
	ck_assert(!a->allow_cleartext);
	ck_assert_str_eq(a->maildir, "/mail");
	ck_assert_str_eq(a->user, user_name);
	ck_assert_uint_eq(a->uid, getpwnam(user_name)->pw_uid);
	ck_assert_uint_eq(a->gid, getpwnam(user_name)->pw_gid);
	ck_assert(!a->create);
	ck_assert_int_eq(a->keep, KEEP_DELETE);
	ck_assert_str_eq(a->state_dir, "/state/alice@pop.example.org");
	ck_assert_uint_eq(a->interval_usec, 5 * USEC_PER_MINUTE);
	ck_assert_uint_eq(a->connect_timeout_usec, 30 * USEC_PER_SEC);
	ck_assert_uint_eq(a->reply_timeout_usec, 60 * USEC_PER_SEC);
	ck_assert_uint_eq(a->login_timeout_usec, 5 * USEC_PER_MINUTE);
	ck_assert_uint_eq(a->visit_timeout_usec, 30 * USEC_PER_MINUTE);
	ck_assert_uint_eq(a->stop_timeout_usec, 20 * USEC_PER_SEC);
	ck_assert_uint_eq(a->min_rate_bytes, 1024);
	ck_assert_uint_eq(a->batch_messages, 128);
	ck_assert_uint_eq(a->batch_bytes, 8 * 1024 * 1024);
	ck_assert_uint_eq(a->batch_time_usec, USEC_PER_SEC);
	ck_assert_uint_eq(a->batch_pause_usec, 200 * USEC_PER_MSEC);
	config_unref(&config);
	ck_assert_ptr_null(config);
	config_unref(&config);
}
END_TEST

START_TEST(test_every_setting)
{
	struct config *config;
	const struct account *a = load_one(
		&config, "every setting",
		"daemon: { max_workers = 1000; max_per_host = 1; "
		"log_level = \"debug\"; };\n" ACCOUNT(
			LOGIN MAILDIR
			"port = 1110; tls = \"starttls\"; ca_file = \"/ca.pem\"; "
			"password = \"p\xc3\xa4ss \\\"word\\\"\"; auth = \"apop\"; "
			"allow_cleartext = true; interval = \"1h30m\"; create = true; "
			"keep = \"forever\"; connect_timeout = \"1s\"; "
			"reply_timeout = \"2s\"; login_timeout = \"3s\"; "
			"visit_timeout = \"4s\"; stop_timeout = \"5s\"; "
			"min_rate = \"0\"; batch_messages = 1; batch_bytes = \"1\"; "
			"batch_time = \"6s\"; batch_pause = \"7ms\";"));

	ck_assert_int_eq(config->log_level, LOG_DEBUG);
	ck_assert_uint_eq(config->max_workers, 1000);
	ck_assert_uint_eq(config->max_per_host, 1);
	ck_assert_uint_eq(a->port, 1110);
	ck_assert_int_eq(a->tls, TLS_STARTTLS);
	ck_assert_str_eq(a->ca_file, "/ca.pem");
	ck_assert_str_eq(a->password, "p\xc3\xa4ss \"word\"");
	ck_assert_ptr_null(a->password_file);
	ck_assert_int_eq(a->auth, AUTH_APOP);
	ck_assert(a->allow_cleartext);
	ck_assert_uint_eq(a->interval_usec, 90 * USEC_PER_MINUTE);
	ck_assert(a->create);
	ck_assert_int_eq(a->keep, KEEP_FOREVER);
	ck_assert_uint_eq(a->connect_timeout_usec, 1 * USEC_PER_SEC);
	ck_assert_uint_eq(a->reply_timeout_usec, 2 * USEC_PER_SEC);
	ck_assert_uint_eq(a->login_timeout_usec, 3 * USEC_PER_SEC);
	ck_assert_uint_eq(a->visit_timeout_usec, 4 * USEC_PER_SEC);
	ck_assert_uint_eq(a->stop_timeout_usec, 5 * USEC_PER_SEC);
	ck_assert_uint_eq(a->min_rate_bytes, 0);
	ck_assert_uint_eq(a->batch_messages, 1);
	ck_assert_uint_eq(a->batch_bytes, 1);
	ck_assert_uint_eq(a->batch_time_usec, 6 * USEC_PER_SEC);
	ck_assert_uint_eq(a->batch_pause_usec, 7 * USEC_PER_MSEC);
	config_unref(&config);
}
END_TEST

/* clang-format off */
static const struct {
	const char *tls;
	uint16_t port;
} port_cases[] = {
	{ "implicit", 995 }, { "starttls", 110 }, { "none", 110 },
};
/* clang-format on */

START_TEST(test_port_follows_tls)
{
	char text[TEXT_MAX];
	struct config *config;
	const struct account *a;

	(void)snprintf(text, sizeof(text), ACCOUNT(COMPLETE "tls = \"%s\";"),
		       port_cases[_i].tls);
	a = load_one(&config, port_cases[_i].tls, text);
	ck_assert_uint_eq(a->port, port_cases[_i].port);
	config_unref(&config);
}
END_TEST

START_TEST(test_accounts_win_over_defaults)
{
	struct config *config;
	const struct account *a;

	write_conf(
		"mailhaul.conf",
		"accounts: {\n"
		" b: { username = \"b\"; interval = \"20m\"; password = \"own\"; };\n"
		" a: { username = \"a\"; password_file = \"/own\"; };\n"
		" c: { username = \"c\"; };\n"
		"};\n"
		"defaults: { host = \"h\"; " MAILDIR "password = \"shared\"; "
		"interval = \"10m\"; keep = \"forever\"; };");
	config = load_good("defaults behind accounts");
	ck_assert_uint_eq(config->n_accounts, 3);

	a = config_find(config, "a");
	ck_assert_ptr_eq(a, &config->accounts[0]);
	ck_assert_ptr_null(a->password);
	ck_assert_str_eq(a->password_file, "/own");
	ck_assert_uint_eq(a->interval_usec, 10 * USEC_PER_MINUTE);
	ck_assert_int_eq(a->keep, KEEP_FOREVER);
	a = config_find(config, "b");
	ck_assert_str_eq(a->password, "own");
	ck_assert_uint_eq(a->interval_usec, 20 * USEC_PER_MINUTE);
	a = config_find(config, "c");
	ck_assert_str_eq(a->password, "shared");
	ck_assert_ptr_null(config_find(config, "d"));
	config_unref(&config);
}
END_TEST

START_TEST(test_tilde_is_the_users_home)
{
	_cleanup_string_ char *expected = NULL;
	struct config *config;
	const struct account *a = load_one(
		&config, "tilde",
		ACCOUNT(LOGIN
			"user = \"$USER\"; maildir = \"~/Mail/.in\"; "
			"password_file = \"~/.secret\"; ca_file = \"/~/ca\";"));

	ck_assert_int_gt(asprintf(&expected, "%s/Mail/.in", user_home), 0);
	ck_assert_str_eq(a->maildir, expected);
	string_free(&expected);
	ck_assert_int_gt(asprintf(&expected, "%s/.secret", user_home), 0);
	ck_assert_str_eq(a->password_file, expected);
	ck_assert_str_eq(a->ca_file, "/~/ca");
	config_unref(&config);
}
END_TEST

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* clang-format off */
static const struct {
	const char *name;
	const char *username;
	const char *host;
	const char *state_dir;
} state_cases[] = {
	{ "a mail address as it is", "alice@example.org", "pop.example.org",
	  "/state/alice@example.org@pop.example.org" },
	{ "the host in lower case, the user as he is", "Alice", "POP.Example.ORG",
	  "/state/Alice@pop.example.org" },
	{ "a slash never gets into a path", "../../etc/x", "h",
	  "/state/%2E.%2F..%2Fetc%2Fx@h" },
	{ "a leading dot", ".hidden", "h", "/state/%2Ehidden@h" },
	{ "blanks, percent signs and 8-bit bytes", "a b%\xc3\xa4", "h",
	  "/state/a%20b%25%C3%A4@h" },
	{ "an IPv6 address", "a+b_c-d", "2001:DB8::1",
	  "/state/a+b_c-d@2001%3Adb8%3A%3A1" },
	{ "200 bytes are kept", X50 X50 X50 "0123456789012345678901234567890123456789"
	  "01234567", "h",
	  "/state/" X50 X50 X50 "0123456789012345678901234567890123456789"
	  "01234567@h" },
	{ "more are cut, with a hash of the whole", X50 X50 X50
	  "0123456789012345678901234567890123456789012345678", "h",
	  "/state/" X50 X50 X50 "~19c9dfeb2c26b637" },
};
/* clang-format on */

START_TEST(test_state_dir)
{
	char text[TEXT_MAX];
	struct config *config;
	const struct account *a;

	(void)snprintf(
		text, sizeof(text),
		ACCOUNT("host = \"%s\"; username = \"%s\"; " PASSWORD MAILDIR),
		state_cases[_i].host, state_cases[_i].username);
	a = load_one(&config, state_cases[_i].name, text);
	ck_assert_msg(strcmp(a->state_dir, state_cases[_i].state_dir) == 0,
		      "%s: '%s'", state_cases[_i].name, a->state_dir);
	config_unref(&config);
}
END_TEST

START_TEST(test_longest_username)
{
	char text[TEXT_MAX];
	char username[257];
	struct config *config;

	/* Each byte becomes three in the directory's name. */
	memset(username, ' ', sizeof(username));
	username[255] = '\0';
	(void)snprintf(
		text, sizeof(text),
		ACCOUNT("host = \"h\"; username = \"%s\"; " PASSWORD MAILDIR),
		username);
	ck_assert_uint_eq(
		strlen(load_one(&config, "255 bytes", text)->state_dir),
		strlen("/state/") + 150 + 1 + 16);
	config_unref(&config);

	username[255] = ' ';
	username[256] = '\0';
	(void)snprintf(
		text, sizeof(text),
		ACCOUNT("host = \"h\"; username = \"%s\"; " PASSWORD MAILDIR),
		username);
	write_conf("mailhaul.conf", text);
	expect_lines("256 bytes", "@/mailhaul.conf:2: accounts.a.username: "
				  "is longer than 255 bytes\n");
}
END_TEST

START_TEST(test_drop_ins)
{
	struct config *config;

	write_conf("mailhaul.conf",
		   "defaults: { host = \"h\"; " MAILDIR PASSWORD "};");
	write_conf("conf.d/20.conf",
		   "accounts: { b: { username = \"b\"; }; };");
	write_conf("conf.d/10.conf",
		   "accounts: { c: { username = \"c\"; }; };");
	write_conf("conf.d/.hidden.conf", "not read");
	write_conf("conf.d/10.conf~", "not read");
	write_conf("conf.d/10.conf.dpkg-old", "not read");
	write_conf("conf.d/README", "not read");
	write_conf("conf.d/.conf", "not read");
	config = load_good("drop-ins");
	ck_assert_uint_eq(config->n_accounts, 2);
	ck_assert_str_eq(config->accounts[0].name, "b");
	ck_assert_ptr_nonnull(
		strstr(config->accounts[0].file, "/conf.d/20.conf"));
	config_unref(&config);
}
END_TEST

START_TEST(test_drop_in_errors)
{
	write_conf("mailhaul.conf", ACCOUNT(COMPLETE));
	write_conf("conf.d/10.conf",
		   "daemon: { };\n\ndefaults: { port = 1; };\n"
		   "accounts: { b: { host = \"x\"; username = \"b\"; " PASSWORD
			   MAILDIR "}; };\n");
	write_conf("conf.d/20.conf", "accounts: {\n");
	write_conf(
		"conf.d/30.conf",
		"\naccounts: { a: { host = \"y\"; username = \"y\"; " PASSWORD
			MAILDIR
		"};\n b: { host = \"X\"; username = \"c\"; " PASSWORD MAILDIR
		"}; };\n");
	expect_lines(
		"drop-ins",
		"@/conf.d/10.conf:1: daemon: belongs in @/mailhaul.conf; "
		"a file in conf.d can hold accounts only\n"
		"@/conf.d/10.conf:3: defaults: belongs in @/mailhaul.conf; "
		"a file in conf.d can hold accounts only\n"
		"@/conf.d/20.conf:2: syntax error, here or just above: "
		"a missing quote, ';' or brace, or text without quotes?\n"
		"@/conf.d/30.conf:2: accounts.a: is defined already at "
		"@/mailhaul.conf:1\n"
		"@/conf.d/30.conf:3: accounts.b: is defined already at "
		"@/conf.d/10.conf:4\n");
}
END_TEST

START_TEST(test_all_errors)
{
	write_conf(
		"mailhaul.conf",
		"daemon: { max_workers = 0; };\naccounts: {\n a: { " COMPLETE
		"\n  port = 0;\n  tls = 1;\n };\n b: { user = \"$USER\"; " PASSWORD
		"};\n};");
	expect_lines(
		"all errors",
		"@/mailhaul.conf:1: daemon.max_workers: must be from 1 to 1000\n"
		"@/mailhaul.conf:4: accounts.a.port: must be from 1 to 65535\n"
		"@/mailhaul.conf:5: accounts.a.tls: "
		"expected a string, found an integer\n"
		"@/mailhaul.conf:7: accounts.b.host: "
		"is missing, here and in defaults\n"
		"@/mailhaul.conf:7: accounts.b.username: "
		"is missing, here and in defaults\n"
		"@/mailhaul.conf:7: accounts.b.maildir: "
		"is missing, here and in defaults\n");
}
END_TEST

START_TEST(test_a_bad_main_file_is_not_blamed_on_others)
{
	write_conf("mailhaul.conf", "defaults: {");
	write_conf("conf.d/10.conf", "accounts: { a: { }; };");
	write_conf("conf.d/20.conf", "accounts {");
	expect_lines(
		"bad main file",
		"@/mailhaul.conf:1: syntax error, here or just above: "
		"a missing quote, ';' or brace, or text without quotes?\n"
		"@/conf.d/20.conf:1: syntax error, here or just above: "
		"a missing quote, ';' or brace, or text without quotes?\n");
}
END_TEST

START_TEST(test_included_file)
{
	struct config *config;
	const struct account *a;

	write_conf("more.conf", "\n a: { " COMPLETE "};\n");
	a = load_one(&config, "include",
		     "accounts: {\n@include \"more.conf\"\n};");
	ck_assert_str_eq(a->file + strlen(dir), "/more.conf");
	ck_assert_uint_eq(a->line, 2);
	config_unref(&config);

	write_mode("more.conf",
		   " a: { " LOGIN MAILDIR "password = \"pw\"; };\n", 0640);
	expect_lines(
		"an included file that others can read",
		"@/more.conf:1: accounts.a.password: @/more.conf holds a password "
		"and has mode 0640: others could use it; "
		"run: chmod 600 @/more.conf\n");
}
END_TEST

/* libconfig would end the process, or wait for ever. */
START_TEST(test_what_cannot_be_included)
{
	_cleanup_string_ char *fifo = in_dir("fifo");

	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	write_conf("mailhaul.conf", "@include \"more.conf\"\n");
	write_conf("more.conf", "# more\n @include \"fifo\"\n");
	expect_lines("a FIFO in an included file",
		     "@/more.conf:2: includes @/fifo, "
		     "which is not a regular file\n");

	write_conf("more.conf", "@include \"more.conf\"\n");
	expect_lines("a file in itself",
		     "@/more.conf:1: include file nesting too deep\n");

	write_mode("more.conf", "", 0602);
	expect_lines("a file that anybody can write",
		     "@/more.conf: has mode 0602: anybody can write it; "
		     "run: chmod o-w @/more.conf\n");
}
END_TEST

START_TEST(test_exposed_password)
{
	write_mode("mailhaul.conf",
		   "defaults: { password = \"sesame\"; };\n" ACCOUNT(
			   LOGIN MAILDIR "password = \"other\";"),
		   0644);
	expect_lines(
		"said once a file",
		"@/mailhaul.conf:1: defaults.password: @/mailhaul.conf holds a "
		"password and has mode 0644: others could use it; "
		"run: chmod 600 @/mailhaul.conf\n");

	write_mode("mailhaul.conf", ACCOUNT(COMPLETE), 0644);
	config_unref(&(struct config *){ load_good("no password in it") });
}
END_TEST

START_TEST(test_untrusted_files)
{
	expect_lines(
		"missing",
		"@/mailhaul.conf: cannot open: No such file or directory\n");

	write_mode("mailhaul.conf", ACCOUNT(COMPLETE), 0602);
	expect_lines("anybody can write it",
		     "@/mailhaul.conf: has mode 0602: anybody can write it; "
		     "run: chmod o-w @/mailhaul.conf\n");

	ck_assert_int_eq(unlink(paths.config_file), 0);
	ck_assert_int_eq(mkfifo(paths.config_file, 0600), 0);
	expect_lines("a FIFO", "@/mailhaul.conf: is not a regular file\n");

	ck_assert_int_eq(unlink(paths.config_file), 0);
	write_conf("mailhaul.conf", ACCOUNT(COMPLETE));
	ck_assert_int_eq(truncate(paths.config_file, 16 * 1024 * 1024 + 1), 0);
	expect_lines("too large", "@/mailhaul.conf: is larger than 16 MiB\n");
}
END_TEST

START_TEST(test_foreign_file)
{
	_cleanup_string_ char *conf_d = in_dir("conf.d");

	if (geteuid() != 0)
		return; /* only root can give a file away */
	write_conf("mailhaul.conf", ACCOUNT(COMPLETE));
	ck_assert_int_eq(chown(paths.config_file, OTHER_UID, 0), 0);
	ck_assert_int_eq(chown(conf_d, OTHER_UID, 0), 0);
	expect_lines(
		"foreign",
		"@/mailhaul.conf: belongs to user 65534, "
		"must belong to user 0 or root\n"
		"@/conf.d: belongs to user 65534, must belong to user 0 or root\n");
}
END_TEST

START_TEST(test_many_accounts)
{
	_cleanup_string_ char *text = malloc(N_MANY * 64 + 256);
	struct config *config;
	char name[32];
	int fd;
	int len;

	ck_assert_ptr_nonnull(text);
	len = sprintf(text,
		      "defaults: { host = \"h\"; user = \"%s\"; "
		      "maildir = \"/m\"; password = \"pw\"; };\naccounts: {\n",
		      user_name);
	for (int i = 0; i < N_MANY; i++)
		len += sprintf(text + len, "n%d: { username = \"u%d\"; };\n", i,
			       i);
	len += sprintf(text + len, "};\n");
	fd = open(paths.config_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, text, (size_t)len), len);
	fd_close(&fd);

	config = load_good("many");
	ck_assert_uint_eq(config->n_accounts, N_MANY);
	for (int i = 0; i < N_MANY; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		ck_assert_ptr_nonnull(config_find(config, name));
	}
	ck_assert_ptr_eq(config->accounts[0].password,
			 config->accounts[1].password);
	config_unref(&config);
}
END_TEST

START_TEST(test_references)
{
	struct config *config;
	struct config *other;

	(void)load_one(&config, "references", ACCOUNT(COMPLETE));
	other = config_ref(config);
	config_unref(&config);
	ck_assert_ptr_null(config);
	ck_assert_str_eq(other->accounts[0].name, "a");
	config_unref(&other);
}
END_TEST

/* clang-format off */
static const struct {
	const char *change;
	bool differs;
} differ_cases[] = {
	{ "", false },
	{ "\n\n", false },
	{ "interval = \"300s\";", false },
	{ "port = 110;", true },
	{ "tls = \"none\"; port = 995;", true },
	{ "ca_file = \"/ca\";", true },
	{ "auth = \"USER\";", true },
	{ "allow_cleartext = true;", true },
	{ "interval = \"6m\";", true },
	{ "create = true;", true },
	{ "keep = \"forever\";", true },
	{ "connect_timeout = \"9s\";", true },
	{ "reply_timeout = \"9s\";", true },
	{ "login_timeout = \"9s\";", true },
	{ "visit_timeout = \"9s\";", true },
	{ "stop_timeout = \"9s\";", true },
	{ "min_rate = \"9\";", true },
	{ "batch_messages = 9;", true },
	{ "batch_bytes = \"9\";", true },
	{ "batch_time = \"9s\";", true },
	{ "batch_pause = \"9s\";", true },
};
/* clang-format on */

START_TEST(test_differs)
{
	char text[TEXT_MAX];
	struct config *before;
	struct config *after;

	(void)load_one(&before, "before", ACCOUNT(COMPLETE));
	(void)snprintf(text, sizeof(text), "\n" ACCOUNT("%s" COMPLETE),
		       differ_cases[_i].change);
	(void)load_one(&after, differ_cases[_i].change, text);
	ck_assert_msg(
		account_differs(&before->accounts[0], &after->accounts[0]) ==
			differ_cases[_i].differs,
		"'%s'", differ_cases[_i].change);
	config_unref(&before);
	config_unref(&after);
}
END_TEST

START_TEST(test_password_differs)
{
	struct config *before;
	struct config *after;

	(void)load_one(&before, "before",
		       ACCOUNT(LOGIN MAILDIR "password = \"a\";"));
	(void)load_one(&after, "after",
		       ACCOUNT(LOGIN MAILDIR "password = \"a\";"));
	ck_assert(!account_differs(&before->accounts[0], &after->accounts[0]));
	config_unref(&after);
	(void)load_one(&after, "after",
		       ACCOUNT(LOGIN MAILDIR "password = \"b\";"));
	ck_assert(account_differs(&before->accounts[0], &after->accounts[0]));
	config_unref(&after);
	(void)load_one(&after, "after", ACCOUNT(COMPLETE));
	ck_assert(account_differs(&before->accounts[0], &after->accounts[0]));
	config_unref(&after);
	config_unref(&before);
}
END_TEST

/* Built where it is needed, so that the test itself holds no copy of it. */
#define HIDDEN_LEN 44

static char hidden_byte(unsigned i)
{
	return (char)('a' + (i * 7 + i / 5) % 26);
}

static void write_hidden_password(const char *end)
{
	FILE *file = fopen(paths.config_file, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(setvbuf(file, NULL, _IONBF, 0), 0);
	ck_assert_int_eq(fchmod(fileno(file), 0600), 0);
	(void)fprintf(file,
		      "accounts: { a: { host = \"h\"; username = \"u\"; "
		      "user = \"%s\"; maildir = \"/m\"; password = \"",
		      user_name);
	for (unsigned i = 0; i < HIDDEN_LEN; i++)
		(void)fputc(hidden_byte(i), file);
	(void)fputs(end, file);
	ck_assert_int_eq(fclose(file), 0);
}

/* Bytes 16 to the end: the allocator itself spoils what stands before them. */
static bool is_hidden_tail(const char *p)
{
	for (unsigned i = 16; i < HIDDEN_LEN; i++)
		if (p[i - 16] != hidden_byte(i))
			return false;
	return true;
}

static unsigned count_in_range(const char *from, const char *to)
{
	unsigned n = 0;

	for (const char *p = from; p + (HIDDEN_LEN - 16) <= to; p++)
		if (is_hidden_tail(p))
			n++;
	return n;
}

/* How often the password stands in memory that a forked worker would share. */
static unsigned count_hidden_in_memory(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from;
		unsigned long to;
		char mode[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 &&
		    strncmp(mode, "rw", 2) == 0)
			n += count_in_range((const char *)from,
					    (const char *)to);
	}
	(void)fclose(maps);
	return n;
}

/* The sanitizer's allocator keeps freed memory, and its shadow is vast. */
static bool can_scan_memory(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
	return false;
#endif
#endif
	return true;
}

START_TEST(test_password_is_in_the_arena_alone)
{
	struct config *config;

	if (!can_scan_memory())
		return;
	write_hidden_password("\"; }; };\n");
	config = load_good("hidden");
	ck_assert_uint_eq(count_hidden_in_memory(), 1);
	config_unref(&config);
	ck_assert_uint_eq(count_hidden_in_memory(), 0);
}
END_TEST

static const char *const broken_ends[] = {
	"\"; port = 0; }; };\n",
	"\"; }; }; }\n",
	"\" = ; }; };\n",
	"\nstill in the quotes",
};

START_TEST(test_refused_password_is_nowhere)
{
	struct config *config = POISON_POINTER;
	struct config_errors errors = { 0 };

	if (!can_scan_memory())
		return;
	write_hidden_password(broken_ends[_i]);
	ck_assert_int_lt(config_load(&paths, &config, &errors), 0);
	config_errors_done(&errors);
	ck_assert_msg(count_hidden_in_memory() == 0, "before: %s",
		      broken_ends[_i]);
}
END_TEST

START_TEST(test_override_is_made_absolute)
{
	struct config_paths found = { POISON_POINTER, POISON_POINTER };
	_cleanup_string_ char *cwd = getcwd(NULL, 0);
	struct error err = { 0 };

	ck_assert_ptr_nonnull(cwd);
	ck_assert_int_eq(config_paths_find(&found, "x/my.conf", &err), 0);
	ck_assert_str_eq(found.config_file + strlen(cwd), "/x/my.conf");
	config_paths_done(&found);
	ck_assert_int_eq(config_paths_find(&found, "/my.conf", &err), 0);
	ck_assert_str_eq(found.config_file, "/my.conf");
	config_paths_done(&found);
	config_paths_done(&found);

	found.config_file = POISON_POINTER;
	ck_assert_int_lt(config_paths_find(&found, "", &err), 0);
	ck_assert_ptr_eq(found.config_file, POISON_POINTER);
}
END_TEST

START_TEST(test_root_ignores_the_environment)
{
	struct config_paths found = { 0 };
	struct error err = { 0 };

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(setenv("XDG_CONFIG_HOME", "/xdg", 1), 0);
	ck_assert_int_eq(setenv("XDG_STATE_HOME", "/xdg", 1), 0);
	ck_assert_int_eq(config_paths_find(&found, NULL, &err), 0);
	ck_assert_str_eq(found.config_file,
			 SYSCONFDIR "/mailhaul/mailhaul.conf");
	ck_assert_str_eq(found.state_dir, LOCALSTATEDIR "/lib/mailhaul");
	config_paths_done(&found);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	const char *xdg; /* both variables; NULL: unset */
	const char *config_file;
	const char *state_dir;
} xdg_cases[] = {
	{ "without XDG variables", NULL, "/home/x/.config/mailhaul/mailhaul.conf",
	  "/home/x/.local/state/mailhaul" },
	{ "with both", "/xdg", "/xdg/mailhaul/mailhaul.conf", "/xdg/mailhaul" },
	{ "relative ones are ignored", "xdg",
	  "/home/x/.config/mailhaul/mailhaul.conf",
	  "/home/x/.local/state/mailhaul" },
	{ "empty ones are ignored", "", "/home/x/.config/mailhaul/mailhaul.conf",
	  "/home/x/.local/state/mailhaul" },
};
/* clang-format on */

START_TEST(test_xdg)
{
	const char *name = xdg_cases[_i].name;
	struct config_paths found = { 0 };
	struct error err = { 0 };

	ck_assert_int_eq(setenv("HOME", "/home/x", 1), 0);
	(void)unsetenv("XDG_CONFIG_HOME"); /* cannot fail for a plain name */
	(void)unsetenv("XDG_STATE_HOME");
	if (xdg_cases[_i].xdg != NULL) {
		ck_assert_int_eq(
			setenv("XDG_CONFIG_HOME", xdg_cases[_i].xdg, 1), 0);
		ck_assert_int_eq(setenv("XDG_STATE_HOME", xdg_cases[_i].xdg, 1),
				 0);
	}
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(OTHER_UID), 0);
	ck_assert_msg(config_paths_find(&found, NULL, &err) == 0, "%s: %s",
		      name, err.text);
	ck_assert_msg(strcmp(found.config_file, xdg_cases[_i].config_file) == 0,
		      "%s: '%s'", name, found.config_file);
	ck_assert_msg(strcmp(found.state_dir, xdg_cases[_i].state_dir) == 0,
		      "%s: '%s'", name, found.state_dir);
	config_paths_done(&found);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* A file of the source tree, whole; the caller frees. */
static char *read_source(const char *name)
{
	_cleanup_string_ char *path = NULL;
	const char *srcdir = getenv("srcdir");
	char *text = calloc(1, TEXT_MAX);
	FILE *file;
	size_t len;

	ck_assert_int_gt(
		asprintf(&path, "%s/%s", srcdir != NULL ? srcdir : ".", name),
		0);
	file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
	ck_assert_ptr_nonnull(text);
	len = fread(text, 1, TEXT_MAX, file);
	ck_assert_uint_lt(len, TEXT_MAX);
	(void)fclose(file);
	return text;
}

/* An entry is ".It Ic NAME = TYPE", with the default behind it. */
START_TEST(test_man_page_has_every_option)
{
	_cleanup_string_ char *page = read_source("man/mailhaul.conf.5");
	const struct option_info *option;

	for (size_t i = 0; (option = config_option(i)) != NULL; i++) {
		_cleanup_string_ char *entry = NULL;
		const char *found;
		char line[512] = "";

		ck_assert_int_gt(
			asprintf(&entry, "\n.It Ic %s = ", option->name), 0);
		found = strstr(page, entry);
		ck_assert_msg(found != NULL, "the man page has no '%s'",
			      option->name);
		(void)sscanf(found + 1, "%511[^\n]", line);
		ck_assert_msg(option->default_value == NULL ||
				      strstr(line, option->default_value) !=
					      NULL,
			      "the man page has no default '%s' in: %s",
			      option->default_value, line);
	}
}
END_TEST

/* "#NAME = DEFAULT;"; without a default any value, also in prose. */
static bool has_sample_line(const char *sample,
			    const struct option_info *option)
{
	_cleanup_string_ char *bare = NULL;
	_cleanup_string_ char *quoted = NULL;
	const char *value = option->default_value;

	if (value == NULL) {
		ck_assert_int_gt(asprintf(&bare, "\t#%s = ", option->name), 0);
		ck_assert_int_gt(asprintf(&quoted, "\t# %s = ", option->name),
				 0);
	} else {
		ck_assert_int_gt(
			asprintf(&bare, "\t#%s = %s;", option->name, value), 0);
		ck_assert_int_gt(asprintf(&quoted, "\t#%s = \"%s\";",
					  option->name, value),
				 0);
	}
	return strstr(sample, bare) != NULL || strstr(sample, quoted) != NULL;
}

START_TEST(test_sample_has_every_option)
{
	_cleanup_string_ char *sample = read_source("etc/mailhaul.conf");
	const struct option_info *option;

	for (size_t i = 0; (option = config_option(i)) != NULL; i++)
		ck_assert_msg(has_sample_line(sample, option),
			      "the sample has no line for %s with its default",
			      option->name);
}
END_TEST

START_TEST(test_sample_has_no_account)
{
	_cleanup_string_ char *sample = read_source("etc/mailhaul.conf");

	write_conf("mailhaul.conf", sample);
	expect_lines("the sample",
		     "@/mailhaul.conf: no accounts are defined; "
		     "add one to accounts here, or in conf.d/NAME.conf\n");
}
END_TEST

/* Prose has a blank behind its '#', what can be switched on has none. */
static void uncomment(char *text)
{
	char *to = text;
	bool is_line_start = true;

	for (const char *from = text; *from != '\0'; from++) {
		bool is_switch = is_line_start && *from == '#' &&
				 strchr(" \t\n", from[1]) == NULL;

		is_line_start = *from == '\n' ||
				(is_line_start && *from == '\t');
		if (!is_switch)
			*to++ = *from;
	}
	*to = '\0';
}

START_TEST(test_sample_uncommented_is_the_defaults)
{
	_cleanup_string_ char *sample = read_source("etc/mailhaul.conf");
	char text[TEXT_MAX];
	struct config *config;
	struct config *plain;
	const struct account *a;

	uncomment(sample);
	replace(text, sample, "\tuser = \"alice\"", "\tuser = \"$USER\"");
	write_conf("mailhaul.conf", text);
	config = load_good("the sample, uncommented");
	ck_assert_uint_eq(config->n_accounts, 1);
	a = &config->accounts[0];

	(void)snprintf(
		text, sizeof(text),
		ACCOUNT("host = \"%s\"; username = \"%s\"; "
			"password_file = \"%s\"; maildir = \"%s\"; ca_file = \"%s\"; "
			"user = \"$USER\";"),
		a->host, a->username, a->password_file, a->maildir, a->ca_file);
	(void)load_one(&plain, "with defaults", text);
	string_free(&plain->accounts[0].name);
	plain->accounts[0].name = strdup(a->name);
	ck_assert(!account_differs(a, &plain->accounts[0]));
	ck_assert_uint_eq(config->max_workers, plain->max_workers);
	ck_assert_uint_eq(config->max_per_host, plain->max_per_host);
	ck_assert_int_eq(config->log_level, plain->log_level);
	config_unref(&config);
	config_unref(&plain);
}
END_TEST

static void add_meaning(TCase *tc)
{
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_every_setting);
	tcase_add_loop_test(tc, test_port_follows_tls, 0,
			    (int)ARRAY_SIZE(port_cases));
	tcase_add_test(tc, test_accounts_win_over_defaults);
	tcase_add_test(tc, test_tilde_is_the_users_home);
	tcase_add_loop_test(tc, test_state_dir, 0,
			    (int)ARRAY_SIZE(state_cases));
	tcase_add_test(tc, test_longest_username);
	tcase_add_test(tc, test_many_accounts);
	tcase_add_test(tc, test_references);
	tcase_add_loop_test(tc, test_differs, 0, (int)ARRAY_SIZE(differ_cases));
	tcase_add_test(tc, test_password_differs);
	tcase_add_test(tc, test_password_is_in_the_arena_alone);
	tcase_add_loop_test(tc, test_refused_password_is_nowhere, 0,
			    (int)ARRAY_SIZE(broken_ends));
}

static void add_files(TCase *tc)
{
	tcase_add_test(tc, test_drop_ins);
	tcase_add_test(tc, test_drop_in_errors);
	tcase_add_test(tc, test_a_bad_main_file_is_not_blamed_on_others);
	tcase_add_test(tc, test_included_file);
	tcase_add_test(tc, test_what_cannot_be_included);
	tcase_add_test(tc, test_exposed_password);
	tcase_add_test(tc, test_untrusted_files);
	tcase_add_test(tc, test_foreign_file);
	tcase_add_test(tc, test_override_is_made_absolute);
	tcase_add_test(tc, test_root_ignores_the_environment);
	tcase_add_loop_test(tc, test_xdg, 0, (int)ARRAY_SIZE(xdg_cases));
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *errors = tcase_create("errors");
	TCase *meaning = tcase_create("meaning");
	TCase *files = tcase_create("files");
	TCase *papers = tcase_create("papers");

	tcase_add_loop_test(errors, test_error, 0,
			    (int)ARRAY_SIZE(error_cases));
	tcase_add_test(errors, test_all_errors);
	tcase_add_test(errors, test_root_needs_users);
	tcase_add_test(errors, test_others_deliver_to_themselves);
	add_meaning(meaning);
	add_files(files);
	tcase_add_test(papers, test_man_page_has_every_option);
	tcase_add_test(papers, test_sample_has_every_option);
	tcase_add_test(papers, test_sample_has_no_account);
	tcase_add_test(papers, test_sample_uncommented_is_the_defaults);

	tcase_add_checked_fixture(errors, setup, teardown);
	tcase_add_checked_fixture(meaning, setup, teardown);
	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_checked_fixture(papers, setup, teardown);
	suite_add_tcase(suite, errors);
	suite_add_tcase(suite, meaning);
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, papers);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
