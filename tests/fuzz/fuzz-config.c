/*
 * fuzz-config.c - the bytes of one configuration file, given to the loader.
 *
 * In a directory of its own, beside a file that can be included. What includes
 * a path is left out: a fuzzer reads no other files.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

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

static void write_file(const char *path, const void *data, size_t size)
{
	_cleanup_fd_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
}

static bool includes_path(const uint8_t *data, size_t size)
{
	return memmem(data, size, "@include", strlen("@include")) != NULL &&
	       memchr(data, '/', size) != NULL;
}

static void check_account(const struct account *account)
{
	check(account->name[0] != '\0' && account->port != 0);
	check(account->host != NULL && account->username != NULL);
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
	static const char more[] = "host = \"pop.example.org\";\n";
	struct config_paths paths = { .config_file = path, .state_dir = state };
	struct config_errors errors = { 0 };
	struct config *config = NULL;

	if (includes_path(data, size))
		return 0;
	if (path[0] == '\0') {
		place_path(path, "more.conf");
		write_file(path, more, strlen(more));
		place_path(path, "test.conf");
	}
	write_file(path, data, size);
	if (config_load(&paths, &config, &errors) == 0) {
		check(errors.n_lines == 0);
		check_config(config);
	} else {
		check_errors(&errors);
	}
	config_unref(&config);
	config_errors_done(&errors);
	return 0;
}
