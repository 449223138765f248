/*
 * loader.c - from libconfig's trees to plain structs, with every complaint.
 *
 * Goes on after an error to find the others. A faulty account stays in the
 * list, so that its name still counts as taken: nothing may use the list
 * unless there were no errors.
 */
#include "loader.h"

#include <limits.h>
#include <string.h>

#include "option.h"
#include "secret.h"
#include "text.h"

#define ACCOUNT_NAME_MAX 64
#define NAMES_MAX        64 /* settings in one section, and bits of a mask */

/* What the loading of one file needs to have at hand. */
struct place {
	struct loader *loader;
	struct source *source;
};

int loader_init(struct loader *loader, const struct config_paths *paths,
		struct error *err)
{
	struct option_target target = { 0 };

	*loader = (struct loader){ .paths = paths };
	loader->config = calloc(1, sizeof(*loader->config));
	if (loader->config == NULL)
		return error_set_memory(err);
	loader->config->n_refs = 1;
	loader->config->arena = secret_arena_new();
	if (loader->config->arena == NULL)
		return error_set(
			err, ERROR_LOCAL,
			"no memory for passwords: there "
			"is none, or the kernel is older than Linux 4.14");

	target.base = loader->config;
	if (option_set_defaults("daemon", &target, err) < 0)
		return -1;
	target.base = &loader->defaults;
	return option_set_defaults("accounts", &target, err);
}

void loader_done(struct loader *loader)
{
	option_clear_account(&loader->defaults);
	account_user_done(&loader->user);
	config_unref(&loader->config);
}

static struct value value_of(const config_setting_t *setting)
{
	static const enum value_type types[] = {
		[CONFIG_TYPE_GROUP] = VALUE_GROUP,
		[CONFIG_TYPE_INT] = VALUE_INTEGER,
		[CONFIG_TYPE_INT64] = VALUE_INTEGER,
		[CONFIG_TYPE_FLOAT] = VALUE_FLOAT,
		[CONFIG_TYPE_STRING] = VALUE_STRING,
		[CONFIG_TYPE_BOOL] = VALUE_BOOLEAN,
		[CONFIG_TYPE_ARRAY] = VALUE_ARRAY,
		[CONFIG_TYPE_LIST] = VALUE_LIST,
	};
	struct value value = { .type = types[config_setting_type(setting)] };

	if (value.type == VALUE_STRING)
		value.text = config_setting_get_string(setting);
	if (value.type == VALUE_STRING && value.text == NULL)
		value.text = "";
	if (value.type == VALUE_INTEGER)
		value.integer = config_setting_get_int64(setting);
	if (value.type == VALUE_BOOLEAN)
		value.boolean = config_setting_get_bool(setting) !=
				CONFIG_FALSE;
	return value;
}

static bool is_group(struct source *source, const config_setting_t *setting)
{
	if (config_setting_is_group(setting))
		return true;
	source_complain_at(source, setting, NULL, "expected a group, found %s",
			   value_type_name(value_of(setting).type));
	return false;
}

static const config_setting_t *member(const config_setting_t *group,
				      const char *name)
{
	return config_setting_get_member(group, name);
}

static const config_setting_t *element(const config_setting_t *group, int index)
{
	return config_setting_get_elem(group, (unsigned)index);
}

/* "pol_interval" is too far from "interval" for the edit distance, but holds it. */
static const char *nearest_name(const char *word, const char *const *names,
				size_t n_names)
{
	const char *nearest = text_nearest(word, names, n_names);

	for (size_t i = 0; nearest == NULL && i < n_names; i++)
		if (strcasestr(word, names[i]) != NULL)
			nearest = names[i];
	return nearest;
}

static void complain_unknown(struct source *source, const config_setting_t *at,
			     const char *kind, const char *nearest)
{
	const char *name = config_setting_name(at);

	if (nearest == NULL)
		source_complain_at(source, at, NULL, "unknown %s '%s'", kind,
				   name);
	else
		source_complain_at(source, at, NULL,
				   "unknown %s '%s'; did you mean '%s'?", kind,
				   name, nearest);
}

static void complain_unknown_setting(struct source *source,
				     const config_setting_t *setting,
				     const char *section)
{
	bool is_daemon = strcmp(section, "daemon") == 0;
	const char *name = config_setting_name(setting);
	const char *names[NAMES_MAX];
	const struct option *option;
	size_t n = 0;

	if (option_find(is_daemon ? "accounts" : "daemon", name) != NULL) {
		source_complain_at(
			source, setting, NULL, "belongs in %s, not here",
			is_daemon ? "defaults or an account" : "daemon");
		return;
	}
	for (size_t i = 0; (option = option_at(i)) != NULL && n < NAMES_MAX;
	     i++)
		if (strcmp(option->info.section, section) == 0)
			names[n++] = option->info.name;
	complain_unknown(source, setting, "setting",
			 nearest_name(name, names, n));
}

/* What the value alone does not tell. base is an account's for these types. */
static void check_setting(const struct place *place,
			  const config_setting_t *setting,
			  enum option_type type, void *base)
{
	struct account *account = base;
	struct error err = { 0 };

	if (type == OPTION_SECRET)
		source_check_exposure(place->source, setting);
	if (type != OPTION_USER)
		return;
	if (account_user_find(&place->loader->user, account->user, &err) < 0) {
		source_complain_at(place->source, setting, NULL, "%s",
				   err.text);
		string_free(&account->user);
	}
}

static void load_setting(const struct place *place,
			 const config_setting_t *setting, const char *section,
			 void *base)
{
	const struct option_target target = {
		.base = base,
		.arena = place->loader->config->arena,
	};
	struct value value = value_of(setting);
	const struct option *option;
	struct error err = { 0 };

	option = option_find(section, config_setting_name(setting));
	if (option == NULL) {
		complain_unknown_setting(place->source, setting, section);
		return;
	}
	if (option_set(option, &value, &target, &err) < 0) {
		source_complain_at(place->source, setting, NULL, "%s",
				   err.text);
		return;
	}
	check_setting(place, setting, option->type, base);
}

/* base: a struct config for "daemon", a struct account for "accounts". */
static void load_group(const struct place *place, const config_setting_t *group,
		       const char *section, void *base)
{
	int n = config_setting_length(group);

	for (int i = 0; i < n; i++)
		load_setting(place, element(group, i), section, base);
}

/* True when both are there, which is said. */
static bool has_two_passwords(struct source *source,
			      const config_setting_t *group)
{
	const config_setting_t *file = member(group, "password_file");

	if (file == NULL || member(group, "password") == NULL)
		return false;
	source_complain_at(source, file, NULL,
			   "password is set too: choose one");
	return true;
}

static void load_defaults(const struct place *place,
			  const config_setting_t *group)
{
	struct loader *loader = place->loader;
	const struct option *option;

	load_group(place, group, "accounts", &loader->defaults);
	(void)has_two_passwords(place->source, group); /* it is said */
	for (size_t i = 0; (option = option_at(i)) != NULL; i++)
		if (strcmp(option->info.section, "accounts") == 0 &&
		    member(group, option->info.name) != NULL)
			loader->given_in_defaults |= UINT64_C(1) << i;
}

/* Given, if not well: then that was said, and "is missing" would be wrong. */
static bool is_given(const struct loader *loader, const config_setting_t *group,
		     const char *name)
{
	const struct option *option = option_find("accounts", name);
	size_t row = (size_t)(option - option_at(0));

	return member(group, name) != NULL ||
	       (loader->given_in_defaults & UINT64_C(1) << row) != 0;
}

static void check_complete(const struct place *place,
			   const config_setting_t *group)
{
	const struct loader *loader = place->loader;
	const struct option *option;

	for (size_t i = 0; (option = option_at(i)) != NULL; i++)
		if (option->is_required &&
		    !is_given(loader, group, option->info.name))
			source_complain_at(place->source, group,
					   option->info.name,
					   "is missing, here and in defaults");
	if (!is_given(loader, group, "password") &&
	    !is_given(loader, group, "password_file"))
		source_complain_at(place->source, group, "password_file",
				   "is missing, here and in defaults, "
				   "and so is password");
	if (geteuid() == 0 && !is_given(loader, group, "user"))
		source_complain_at(place->source, group, "user",
				   "is missing, here and in defaults: "
				   "root must know whose Maildir it is");
}

static void expand_paths(const struct place *place,
			 const config_setting_t *group, struct account *account)
{
	const char *home = place->loader->user.home;
	const struct option *option;
	struct error err = { 0 };

	for (size_t i = 0; (option = option_at(i)) != NULL; i++)
		if (option->type == OPTION_PATH &&
		    account_expand_home(option_string(option, account), home,
					&err) < 0)
			source_complain_at(place->source, group,
					   option->info.name, "%s", err.text);
}

static int settle_user(const struct place *place, const config_setting_t *group,
		       struct account *account, struct error *err)
{
	const struct account_user *user = &place->loader->user;

	if (account->user == NULL &&
	    (geteuid() == 0 || is_given(place->loader, group, "user")))
		return 0; /* missing or refused: said already */
	if (account_user_find(&place->loader->user, account->user, err) < 0)
		return -1;
	if (account->user == NULL)
		account->user = strdup(user->name);
	if (account->user == NULL)
		return error_set_memory(err);
	account->uid = user->uid;
	account->gid = user->gid;
	expand_paths(place, group, account);
	return 0;
}

/* What follows from the settings together. */
static int settle_account(const struct place *place,
			  const config_setting_t *group,
			  struct account *account, struct error *err)
{
	const char *root = place->loader->paths->state_dir;

	if (settle_user(place, group, account, err) < 0)
		return -1;
	if (account->port == 0)
		account->port = account->tls == TLS_IMPLICIT ? 995 : 110;
	if (account->host == NULL || account->username == NULL)
		return 0; /* the same */
	account->state_dir = account_make_state_dir(root, account);
	return account->state_dir != NULL ? 0 : error_set_memory(err);
}

/* An account that names one way to its password means that one alone. */
static void drop_default_password(const config_setting_t *group,
				  struct account *account)
{
	if (member(group, "password") == NULL &&
	    member(group, "password_file") == NULL)
		return;
	account->password = NULL;
	string_free(&account->password_file);
}

static int fill_account(const struct place *place,
			const config_setting_t *group, struct account *account,
			struct error *err)
{
	char path[PATH_MAX];

	if (option_copy_account(account, &place->loader->defaults, err) < 0)
		return -1;
	account->name = strdup(config_setting_name(group));
	account->file = strdup(
		source_file_of(place->source, group, path, sizeof(path)));
	account->line = config_setting_source_line(group);
	if (account->name == NULL || account->file == NULL)
		return error_set_memory(err);

	drop_default_password(group, account);
	load_group(place, group, "accounts", account);
	(void)has_two_passwords(place->source, group); /* it is said */
	check_complete(place, group);
	return settle_account(place, group, account, err);
}

/* The new account is zeroed. NULL when out of memory. */
static struct account *add_account(struct loader *loader)
{
	struct config *config = loader->config;

	if (config->n_accounts == loader->cap_accounts) {
		size_t cap = MAX(loader->cap_accounts * 2, (size_t)16);
		struct account *accounts =
			reallocarray(config->accounts, cap, sizeof(*accounts));

		if (accounts == NULL)
			return NULL;
		config->accounts = accounts;
		loader->cap_accounts = cap;
	}
	config->accounts[config->n_accounts] = (struct account){ 0 };
	return &config->accounts[config->n_accounts++];
}

static void load_account(const struct place *place,
			 const config_setting_t *group)
{
	struct account *account;
	struct error err = { 0 };

	if (!is_group(place->source, group))
		return;
	if (strlen(config_setting_name(group)) > ACCOUNT_NAME_MAX) {
		source_complain_at(place->source, group, NULL,
				   "the name is longer than %d characters",
				   ACCOUNT_NAME_MAX);
		return;
	}
	account = add_account(place->loader);
	if (account == NULL)
		(void)error_set_memory(&err);
	else
		(void)fill_account(place, group, account, &err);
	if (err.kind != ERROR_NONE)
		source_complain_at(place->source, group, NULL, "%s", err.text);
}

static void load_accounts(const struct place *place,
			  const config_setting_t *group)
{
	int n = config_setting_length(group);

	for (int i = 0; i < n; i++)
		load_account(place, element(group, i));
}

/* Whatever stands at the top and is none of the three groups. */
static void check_sections(struct source *source, const config_setting_t *root)
{
	static const char *const sections[] = { "daemon", "defaults",
						"accounts" };
	int n = config_setting_length(root);

	for (int i = 0; i < n; i++) {
		const config_setting_t *setting = element(root, i);
		const char *name = config_setting_name(setting);
		const char *nearest =
			text_nearest(name, sections, ARRAY_SIZE(sections));

		if (nearest != NULL && strcmp(nearest, name) == 0)
			continue;
		if (option_find("accounts", name) != NULL)
			source_complain_at(source, setting, NULL,
					   "belongs in "
					   "defaults or an account, not here");
		else if (option_find("daemon", name) != NULL)
			source_complain_at(source, setting, NULL,
					   "belongs in daemon, not here");
		else
			complain_unknown(source, setting, "group", nearest);
	}
}

/* The group of that name, if this file may hold it and it is one. */
static const config_setting_t *find_section(const struct place *place,
					    const char *name)
{
	const config_setting_t *group =
		member(config_root_setting(&place->source->tree), name);

	if (group == NULL)
		return NULL;
	if (!place->source->is_main && strcmp(name, "accounts") != 0) {
		source_complain_at(place->source, group, NULL,
				   "belongs in %s; "
				   "a file in conf.d can hold accounts only",
				   place->loader->paths->config_file);
		return NULL;
	}
	return is_group(place->source, group) ? group : NULL;
}

void loader_take(struct loader *loader, struct source *source)
{
	const struct place place = { .loader = loader, .source = source };
	const config_setting_t *group;

	check_sections(source, config_root_setting(&source->tree));
	group = find_section(&place, "daemon");
	if (group != NULL)
		load_group(&place, group, "daemon", loader->config);
	/* Before the accounts, wherever in the file it stands. */
	group = find_section(&place, "defaults");
	if (group != NULL)
		load_defaults(&place, group);
	group = find_section(&place, "accounts");
	if (group != NULL)
		load_accounts(&place, group);
}

/* The pointers' own order is that of loading: the later account is to blame. */
static int compare_pointers(const struct account *a, const struct account *b)
{
	return (a > b) - (a < b);
}

static int compare_by_name(const void *a, const void *b)
{
	const struct account *const *account_a = a;
	const struct account *const *account_b = b;
	int r = strcmp((*account_a)->name, (*account_b)->name);

	return r != 0 ? r : compare_pointers(*account_a, *account_b);
}

static int compare_by_state_dir(const void *a, const void *b)
{
	const struct account *const *account_a = a;
	const struct account *const *account_b = b;
	int r = strcmp((*account_a)->state_dir, (*account_b)->state_dir);

	return r != 0 ? r : compare_pointers(*account_a, *account_b);
}

static void check_names(const struct account **by, size_t n,
			struct config_errors *errors)
{
	qsort(by, n, sizeof(*by), compare_by_name);
	for (size_t i = 1; i < n; i++)
		if (strcmp(by[i]->name, by[i - 1]->name) == 0)
			source_complain(
				errors, by[i]->file, by[i]->line,
				"accounts.%s: is defined already at %s:%u",
				by[i]->name, by[i - 1]->file, by[i - 1]->line);
}

/* One mailbox has one journal: two accounts would lock each other out. */
static void check_mailboxes(const struct account **by, size_t n,
			    struct config_errors *errors)
{
	qsort(by, n, sizeof(*by), compare_by_state_dir);
	for (size_t i = 1; i < n; i++)
		if (strcmp(by[i]->state_dir, by[i - 1]->state_dir) == 0 &&
		    strcmp(by[i]->name, by[i - 1]->name) != 0)
			source_complain(
				errors, by[i]->file, by[i]->line,
				"accounts.%s: has the host and username of "
				"account '%s' at %s:%u; a mailbox can have "
				"only one account",
				by[i]->name, by[i - 1]->name, by[i - 1]->file,
				by[i - 1]->line);
}

void loader_check_duplicates(const struct loader *loader,
			     struct config_errors *errors)
{
	const struct config *config = loader->config;
	const struct account **by = calloc(config->n_accounts + 1, sizeof(*by));
	size_t n = 0;

	if (by == NULL) {
		source_complain(errors, loader->paths->config_file, 0,
				"out of memory");
		return;
	}
	for (size_t i = 0; i < config->n_accounts; i++)
		if (config->accounts[i].name != NULL)
			by[n++] = &config->accounts[i];
	check_names(by, n, errors);

	n = 0;
	for (size_t i = 0; i < config->n_accounts; i++)
		if (config->accounts[i].state_dir != NULL)
			by[n++] = &config->accounts[i];
	check_mailboxes(by, n, errors);
	free(by);
}
