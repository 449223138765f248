/*
 * config.c - where the configuration lies, which files it has, and its life.
 *
 * What one file says is loader.c's, how it is read source.c's. When any file
 * has an error, nothing is handed out. Accounts come from here alone: nobody
 * else knows that there are files.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>

#include "account.h"
#include "loader.h"
#include "option.h"
#include "secret.h"
#include "source.h"

#define PERTURB_BYTE 0x5a /* anything but 0, which means: leave it */

/* All that one load goes through; its parts borrow from one another. */
struct load {
	struct loader loader;
	char *dir; /* of the main file */
	struct config_errors *errors;
};

static void load_done(struct load *load)
{
	loader_done(&load->loader);
	string_free(&load->dir);
}

void config_paths_done(struct config_paths *paths)
{
	string_free(&paths->config_file);
	string_free(&paths->state_dir);
}

/*
 * The XDG Base Directory Specification: a relative value is to be ignored.
 * Output is NULL when there is no home to fall back to, or no memory.
 */
static char *xdg_path(const char *variable, const char *below_home,
		      const char *name)
{
	_cleanup_string_ char *base = NULL;
	const char *value = getenv(variable);
	const char *home = account_own_home();

	if (value != NULL && value[0] == '/')
		return account_join_path(value, name);
	if (home == NULL)
		return NULL;
	base = account_join_path(home, below_home);
	return base != NULL ? account_join_path(base, name) : NULL;
}

static char *make_absolute(const char *path)
{
	_cleanup_string_ char *cwd = NULL;

	if (path[0] == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	return cwd != NULL ? account_join_path(cwd, path) : NULL;
}

int config_paths_find(struct config_paths *ret, const char *override,
		      struct error *err)
{
	struct config_paths paths = { 0 };
	bool is_root = geteuid() == 0;

	if (override != NULL && override[0] == '\0')
		return error_set(err, ERROR_CONFIG,
				 "the name of the configuration file is empty");

	if (override != NULL)
		paths.config_file = make_absolute(override);
	else if (is_root)
		paths.config_file =
			strdup(SYSCONFDIR "/mailhaul/mailhaul.conf");
	else
		paths.config_file = xdg_path("XDG_CONFIG_HOME", ".config",
					     "mailhaul/mailhaul.conf");
	if (is_root)
		paths.state_dir = strdup(LOCALSTATEDIR "/lib/mailhaul");
	else
		paths.state_dir =
			xdg_path("XDG_STATE_HOME", ".local/state", "mailhaul");

	if (paths.config_file == NULL || paths.state_dir == NULL) {
		config_paths_done(&paths);
		return error_set(
			err, ERROR_CONFIG,
			"cannot tell where the "
			"configuration and the state lie: no home directory");
	}
	*ret = paths;
	return 0;
}

void config_errors_done(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->n_lines; i++)
		free(errors->lines[i]);
	free(errors->lines);
	*errors = (struct config_errors){ 0 };
}

/* is_parsed_only: nothing but its syntax is looked at. */
static int load_file(struct load *load, const char *path, bool is_main,
		     bool is_parsed_only)
{
	struct source source = {
		.path = path,
		.include_dir = load->dir,
		.errors = load->errors,
		.is_main = is_main,
	};

	if (source_open(&source) < 0)
		return -1;
	if (!is_parsed_only)
		loader_take(&load->loader, &source);
	source_close(&source);
	return 0;
}

/* Neither hidden files, nor what editors and dpkg leave behind (.conf~, .dpkg-*). */
static int is_drop_in(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot != NULL &&
	       strcmp(dot, ".conf") == 0;
}

/* By bytes: the order must not depend on anybody's locale. */
static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool has_drop_ins(struct load *load, const char *dir)
{
	struct stat st;

	if (stat(dir, &st) == 0)
		return source_is_trusted(load->errors, dir, &st);
	if (errno != ENOENT)
		source_complain(load->errors, dir, 0, "cannot open: %s",
				strerror(errno));
	return false;
}

/* is_parsed_only: without the main file's defaults no account can be judged. */
static void load_drop_ins(struct load *load, bool is_parsed_only)
{
	_cleanup_string_ char *dir = account_join_path(load->dir, "conf.d");
	struct dirent **entries;
	int n;

	if (dir == NULL) {
		source_complain(load->errors, load->dir, 0, "out of memory");
		return;
	}
	if (!has_drop_ins(load, dir))
		return;
	n = scandir(dir, &entries, is_drop_in, compare_entries);
	if (n < 0) {
		source_complain(load->errors, dir, 0, "cannot read: %s",
				strerror(errno));
		return;
	}

	for (int i = 0; i < n; i++) {
		_cleanup_string_ char *path =
			account_join_path(dir, entries[i]->d_name);

		if (path == NULL)
			source_complain(load->errors, dir, 0, "out of memory");
		else /* what failed is among the errors */
			(void)load_file(load, path, false, is_parsed_only);
		free(entries[i]);
	}
	free(entries);
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash > path ? strndup(path, (size_t)(slash - path))
			    : strdup("/");
}

static bool has_failed(const struct load *load)
{
	return load->errors->n_lines > 0 || load->errors->is_incomplete;
}

static void load_all(struct load *load, const struct config_paths *paths)
{
	const char *path = paths->config_file;
	struct error err = { 0 };
	int r;

	load->dir = directory_of(path);
	if (load->dir == NULL)
		(void)error_set_memory(&err);
	if (loader_init(&load->loader, paths, &err) < 0 || load->dir == NULL) {
		source_complain(load->errors, path, 0, "%s", err.text);
		return;
	}

	r = load_file(load, path, true, false);
	load_drop_ins(load, r < 0);
	loader_check_duplicates(&load->loader, load->errors);
	if (!has_failed(load) && load->loader.config->n_accounts == 0)
		source_complain(
			load->errors, path, 0,
			"no accounts are defined; "
			"add one to accounts here, or in conf.d/NAME.conf");
}

static int compare_accounts(const void *a, const void *b)
{
	const struct account *account_a = a;
	const struct account *account_b = b;

	return strcmp(account_a->name, account_b->name);
}

int config_load(const struct config_paths *paths, struct config **ret,
		struct config_errors *errors)
{
	_cleanup_(load_done) struct load load = { .errors = errors };
	struct config *config;

	/* Freed memory is overwritten meanwhile: some of it held passwords. */
	(void)mallopt(M_PERTURB, PERTURB_BYTE); /* cannot fail */
	load_all(&load, paths);
	(void)mallopt(M_PERTURB, 0);
	if (has_failed(&load))
		return -1;

	config = TAKE_PTR(load.loader.config);
	qsort(config->accounts, config->n_accounts, sizeof(*config->accounts),
	      compare_accounts);
	*ret = config;
	return 0;
}

struct config *config_ref(struct config *config)
{
	config->n_refs++;
	return config;
}

void config_unref(struct config **config)
{
	struct config *c = TAKE_PTR(*config);

	if (c == NULL || --c->n_refs > 0)
		return;
	for (size_t i = 0; i < c->n_accounts; i++)
		option_clear_account(&c->accounts[i]);
	free(c->accounts);
	secret_arena_free(&c->arena);
	free(c);
}

const struct account *config_find(const struct config *config, const char *name)
{
	const struct account wanted = { .name = (char *)(uintptr_t)name };

	return bsearch(&wanted, config->accounts, config->n_accounts,
		       sizeof(wanted), compare_accounts);
}

bool account_differs(const struct account *a, const struct account *b)
{
	return strcmp(a->name, b->name) != 0 || a->uid != b->uid ||
	       a->gid != b->gid || strcmp(a->state_dir, b->state_dir) != 0 ||
	       !option_account_equals(a, b);
}
