/*
 * main.c - arguments, and the choice: daemon, --once or --check-config.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base.h"
#include "config.h"
#include "error.h"
#include "log.h"
#include "privileges.h"
#include "supervisor.h"
#include "text.h"

static const char help_text[] =
	"Usage: mailhaul [OPTION]...\n"
	"Fetches mail over POP3 into Maildirs. Without options it runs as a daemon in\n"
	"the foreground and visits every account at its interval.\n"
	"\n"
	"  --once           visit every account now, then exit\n"
	"  --account NAME   with --once: only this account; may be given several times\n"
	"  --mark-seen NAME take what is on this account's server as known, fetch none\n"
	"                   of it, then exit; may be given several times\n"
	"  --refetch NAME   forget what is known of this account and fetch all that is\n"
	"                   on its server, then exit; may be given several times\n"
	"  --check-config   say what is configured, or list every error, and exit\n"
	"  --config FILE    read FILE, and conf.d/*.conf beside it\n"
	"  --quiet          no line for what went well\n"
	"  --version        print the version and exit\n"
	"  --help           print this text and exit\n"
	"\n"
	"When it is no daemon its exit status is 0 if all went well, mail or none; 75 if\n"
	"an account was busy, 69 for a network failure, 76 for a broken server, 77 for a\n"
	"refused login, 74 for a local failure such as a full disk, and 78 for an error\n"
	"in the configuration. Several failed accounts: the worst one counts.\n"
	"\n"
	"See mailhaul(8) and mailhaul.conf(5).\n";

struct arguments {
	bool once;
	bool account;
	bool mark_seen;
	bool refetch;
	bool check_config;
	bool quiet;
	bool version;
	bool help;
	const char *config;
	char **accounts; /* borrowed from argv, as config */
	size_t n_accounts;
};

enum choice {
	CHOICE_ONCE = 1,
	CHOICE_ACCOUNT,
	CHOICE_MARK_SEEN,
	CHOICE_REFETCH,
	CHOICE_CHECK_CONFIG,
	CHOICE_CONFIG,
	CHOICE_QUIET,
	CHOICE_VERSION,
	CHOICE_HELP,
};

static const struct option long_options[] = {
	{ "once", no_argument, NULL, CHOICE_ONCE },
	{ "account", required_argument, NULL, CHOICE_ACCOUNT },
	{ "mark-seen", required_argument, NULL, CHOICE_MARK_SEEN },
	{ "refetch", required_argument, NULL, CHOICE_REFETCH },
	{ "check-config", no_argument, NULL, CHOICE_CHECK_CONFIG },
	{ "config", required_argument, NULL, CHOICE_CONFIG },
	{ "quiet", no_argument, NULL, CHOICE_QUIET },
	{ "version", no_argument, NULL, CHOICE_VERSION },
	{ "help", no_argument, NULL, CHOICE_HELP },
	{ NULL, 0, NULL, 0 },
};

static int usage_error(const char *problem, const char *argument)
{
	char clean[256];

	(void)text_escape(clean, sizeof(clean), argument, strlen(argument));
	log_line(LOG_ERR, "mailhaul: %s '%s'; see mailhaul --help", problem,
		 clean);
	return -1;
}

static void add_account(struct arguments *arguments, bool *option)
{
	*option = true;
	arguments->accounts[arguments->n_accounts++] = optarg;
}

/* false: not one of our options, or without the argument it needs. */
static bool take_option(struct arguments *ret, int choice)
{
	switch (choice) {
	case CHOICE_ONCE:
		ret->once = true;
		return true;
	case CHOICE_ACCOUNT:
		add_account(ret, &ret->account);
		return true;
	case CHOICE_MARK_SEEN:
		add_account(ret, &ret->mark_seen);
		return true;
	case CHOICE_REFETCH:
		add_account(ret, &ret->refetch);
		return true;
	case CHOICE_CHECK_CONFIG:
		ret->check_config = true;
		return true;
	case CHOICE_CONFIG:
		ret->config = optarg;
		return true;
	case CHOICE_QUIET:
		ret->quiet = true;
		return true;
	case CHOICE_VERSION:
		ret->version = true;
		return true;
	case CHOICE_HELP:
		ret->help = true;
		return true;
	default:
		return false;
	}
}

/* Each does one thing, so that no account is meant by accident. */
static int check_arguments(const struct arguments *arguments)
{
	const struct {
		bool is_given;
		const char *name;
	} deeds[] = {
		{ arguments->once, "--once" },
		{ arguments->mark_seen, "--mark-seen" },
		{ arguments->refetch, "--refetch" },
		{ arguments->check_config, "--check-config" },
	};
	const char *first = NULL;
	char problem[64];

	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
		if (!deeds[i].is_given)
			continue;
		if (first == NULL) {
			first = deeds[i].name;
			continue;
		}
		(void)snprintf(problem, sizeof(problem), "not together with %s",
			       first);
		return usage_error(problem, deeds[i].name);
	}
	if (arguments->account && !arguments->once)
		return usage_error("only with --once can one use", "--account");
	return 0;
}

/* ret->accounts has room for as many as there are arguments. */
static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
	const char *word = argv[MIN(optind, argc)]; /* NULL past the end */
	int choice;

	opterr = 0;
	/* "+": nothing is reordered, so that word is what getopt is at. */
	while ((choice = getopt_long(argc, argv, "+:", long_options, NULL)) !=
	       -1) {
		if (choice == ':')
			return usage_error("a value is missing after", word);
		if (!take_option(ret, choice))
			return usage_error("unknown option", word);
		word = argv[MIN(optind, argc)];
	}
	if (optind < argc)
		return usage_error("unexpected argument", argv[optind]);
	return check_arguments(ret);
}

static int load(const struct config_paths *paths, struct config **ret)
{
	struct config_errors errors = { 0 };
	int r = config_load(paths, ret, &errors);

	for (size_t i = 0; i < errors.n_lines; i++)
		log_line(LOG_ERR, "%s", errors.lines[i]);
	config_errors_done(&errors);
	return r;
}

static const char *nearest_account(const struct config *config,
				   const char *name)
{
	const char **names = calloc(config->n_accounts + 1, sizeof(*names));
	const char *nearest;

	if (names == NULL)
		return NULL;
	for (size_t i = 0; i < config->n_accounts; i++)
		names[i] = config->accounts[i].name;
	nearest = text_nearest(name, names, config->n_accounts);
	free(names);
	return nearest;
}

static int check_accounts(const struct arguments *arguments,
			  const struct config *config)
{
	for (size_t i = 0; i < arguments->n_accounts; i++) {
		const char *name = arguments->accounts[i];
		const char *nearest;
		char clean[256];

		if (config_find(config, name) != NULL)
			continue;
		(void)text_escape(clean, sizeof(clean), name, strlen(name));
		nearest = nearest_account(config, name);
		if (nearest == NULL)
			log_line(LOG_ERR, "mailhaul: there is no account '%s'",
				 clean);
		else
			log_line(
				LOG_ERR,
				"mailhaul: there is no account '%s'; did you mean '%s'?",
				clean, nearest);
		return -1;
	}
	return 0;
}

static void print_config(const struct config_paths *paths,
			 const struct config *config)
{
	printf("configuration: %s\n", paths->config_file);
	printf("state:         %s\n", paths->state_dir);
	printf("accounts:      %zu\n", config->n_accounts);
}

static enum purpose purpose_of(const struct arguments *arguments)
{
	if (arguments->mark_seen)
		return PURPOSE_MARK_SEEN;
	return arguments->refetch ? PURPOSE_REFETCH : PURPOSE_FETCH;
}

/* The configuration is loaded; supervisor_run takes it over. */
static int act(const struct arguments *arguments,
	       const struct config_paths *paths, struct config *config)
{
	enum purpose purpose = purpose_of(arguments);
	const struct supervisor_options options = {
		.paths = paths,
		.once = arguments->once || purpose != PURPOSE_FETCH,
		.purpose = purpose,
		.quiet = arguments->quiet,
		.only = arguments->accounts,
		.n_only = arguments->n_accounts,
	};

	if (check_accounts(arguments, config) < 0) {
		config_unref(&config);
		return EX_USAGE;
	}
	if (!arguments->check_config)
		return supervisor_run(&options, config);

	if (!arguments->quiet)
		print_config(paths, config);
	config_unref(&config);
	return EX_OK;
}

static int run(const struct arguments *arguments)
{
	_cleanup_(config_paths_done) struct config_paths paths = { 0 };
	struct config *config = NULL;
	struct error err;

	if (privileges_keep_needed(&err) < 0 ||
	    config_paths_find(&paths, arguments->config, &err) < 0) {
		log_line(LOG_ERR, "mailhaul: %s", err.text);
		return error_exit_status(err.kind);
	}
	if (load(&paths, &config) < 0)
		return EX_CONFIG;
	return act(arguments, &paths, config);
}

int main(int argc, char **argv)
{
	struct arguments arguments = { 0 };
	int status;

	log_init(LOG_INFO);
	arguments.accounts = calloc((size_t)argc + 1, sizeof(char *));
	if (arguments.accounts == NULL) {
		log_line(LOG_ERR, "mailhaul: out of memory");
		return EX_OSERR;
	}

	if (parse_arguments(argc, argv, &arguments) < 0) {
		status = EX_USAGE;
	} else if (arguments.help || arguments.version) {
		printf("%s", arguments.help ? help_text
					    : "mailhaul " PACKAGE_VERSION "\n");
		status = EX_OK;
	} else {
		status = run(&arguments);
	}
	free(arguments.accounts);
	return status;
}
