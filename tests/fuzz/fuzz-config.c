/*
 * fuzz-config.c - the bytes of one configuration file, given to the loader.
 *
 * In a directory of its own, beside a file that can be included. What includes
 * a path is left out: a fuzzer reads no other files. The first byte chooses the
 * file's mode, and whether it is the main file or one of conf.d.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "fuzz.h"
#include "place.h"

/*
 * libconfig 1.5 loses what it has of a string when the file ends within it, and
 * to look for leaks behind each such input takes ten times as long as to load it.
 */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

/* Never root, whose accounts need a user of this system. */
uid_t geteuid(void)
{
	const uid_t nobody = 65534;
	uid_t uid = getuid();

	return uid == 0 ? nobody : uid;
}

enum option {
	OPTION_IS_READABLE = 1 << 0, /* by all */
	OPTION_IS_WRITABLE = 1 << 1,
	OPTION_IS_DROP_IN = 1 << 2,
};

static const char main_text[] =
	"defaults = { tls = \"none\"; };\n"
	"accounts = { ann = { host = \"pop.example.org\"; username = \"ann\";\n"
	"	password_file = \"~/secret\"; maildir = \"~/Maildir\"; }; };\n";
static const char included_text[] = "host = \"pop.example.org\";\n";

static void write_file(const char *name, const void *data, size_t size,
		       mode_t mode)
{
	char path[PLACE_PATH_MAX];
	_cleanup_fd_ int fd = -1;

	place_path(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	check(fchmod(fd, mode) == 0);
}

static mode_t mode_of(uint8_t options)
{
	return 0600 | (options & OPTION_IS_READABLE ? 0044 : 0) |
	       (options & OPTION_IS_WRITABLE ? 0022 : 0);
}

/* Once. */
static void make_place(void)
{
	char path[PLACE_PATH_MAX];

	place_path(path, "conf.d");
	check(mkdir(path, 0700) == 0);
	write_file("more.conf", included_text, strlen(included_text), 0600);
	(void)setenv("HOME", "/home/test", 1); /* it can: two words */
}

static void write_input(const uint8_t *data, size_t size, uint8_t options)
{
	if (options & OPTION_IS_DROP_IN) {
		write_file("test.conf", main_text, strlen(main_text), 0600);
		write_file("conf.d/test.conf", data, size, mode_of(options));
	} else {
		write_file("test.conf", data, size, mode_of(options));
		write_file("conf.d/test.conf", "", 0, 0600);
	}
}

static bool includes_path(const uint8_t *data, size_t size)
{
	return memmem(data, size, "@include", strlen("@include")) != NULL &&
	       memchr(data, '/', size) != NULL;
}

static void check_account(const struct account *account)
{
	check(account->name[0] != '\0' && account->port != 0);
	check(account->host[0] != '\0' && account->username[0] != '\0');
	check(strpbrk(account->username, "\r\n") == NULL);
	check(account->maildir[0] == '/' && account->state_dir[0] == '/');
	check(account->user != NULL);
	check((account->password != NULL) != (account->password_file != NULL));
	if (account->password != NULL)
		check(strpbrk(account->password, "\r\n") == NULL);
	check(account->batch_messages > 0 && account->interval_usec > 0);
}

static void check_config(const struct config *config)
{
	check(config->n_accounts > 0 && config->max_workers > 0);
	for (size_t i = 0; i < config->n_accounts; i++) {
		const struct account *account = &config->accounts[i];

		check_account(account);
		check(config_find(config, account->name) == account);
		check(!account_differs(account, account));
	}
}

static void check_errors(const struct config_errors *errors)
{
	check(errors->n_lines > 0 && !errors->is_incomplete);
	for (size_t i = 0; i < errors->n_lines; i++)
		check(errors->lines[i][0] == '/' &&
		      is_printable(errors->lines[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[PLACE_PATH_MAX], state[] = "/var/lib/mailhaul";
	struct config_paths paths = { .config_file = path, .state_dir = state };
	struct config_errors errors = { 0 };
	struct config *config = NULL;
	uint8_t options = take_byte(&data, &size);

	if (includes_path(data, size))
		return 0;
	if (path[0] == '\0') {
		make_place();
		place_path(path, "test.conf");
	}
	write_input(data, size, options);
	if (config_load(&paths, &config, &errors) == 0) {
		check(errors.n_lines == 0 && !(options & OPTION_IS_WRITABLE));
		check_config(config);
	} else {
		check_errors(&errors);
	}
	config_unref(&config);
	config_errors_done(&errors);
	return 0;
}
