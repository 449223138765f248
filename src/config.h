/*
 * config.h - the configuration, from libconfig's tree into plain structs.
 *
 * One table of options (option.c) drives parsing, defaults, error messages
 * and the test that holds the man page to it. Every error of all files is
 * reported at once, each as one line: file:line: accounts.NAME.SETTING: what.
 * A configuration is immutable once loaded, and reference-counted: visits
 * under way keep the one they were started with.
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "base.h"
#include "error.h"

#define CONFIG_LINE_MAX 512

enum tls_mode {
	TLS_IMPLICIT = 0, /* port 995: TLS from the first byte */
	TLS_STARTTLS,	  /* port 110: STLS, required */
	TLS_NONE,
};

enum auth_choice {
	AUTH_AUTO = 0, /* the strongest way that both sides have */
	AUTH_APOP,
	AUTH_PLAIN,
	AUTH_USER, /* USER and PASS */
};

enum sandbox_mode {
	SANDBOX_BEST_EFFORT = 0, /* what the kernel has; what it lacks is said */
	SANDBOX_REQUIRED,	 /* no visit without all of it */
	SANDBOX_OFF,
};

enum keep_mode {
	KEEP_DELETE = 0, /* delete on the server what is durably delivered */
	KEEP_FOREVER,	 /* leave it there, fetch only what is new */
};

struct account {
	char *name;
	char *file;	/* where it was defined, for messages */
	unsigned line;

	char *host;
	uint16_t port;	/* never 0 after loading: 995 or 110 by tls */
	enum tls_mode tls;
	char *ca_file;	/* NULL: the system's */
	char *username;
	const char *password; /* in the arena, borrowed from the config; or NULL */
	char *password_file;  /* or NULL; exactly one of the two is set */
	enum auth_choice auth;
	bool allow_cleartext;

	char *maildir;	/* absolute; "~/" already expanded */
	char *user;	/* delivery user's name; never NULL after loading */
	uid_t uid;
	gid_t gid;
	bool create;
	enum keep_mode keep;
	char *state_dir; /* absolute: the directory of this account's journal */

	uint64_t interval_usec;
	uint64_t connect_timeout_usec;
	uint64_t reply_timeout_usec;
	uint64_t login_timeout_usec;
	uint64_t visit_timeout_usec;
	uint64_t stop_timeout_usec;
	uint64_t min_rate_bytes; /* per minute, while a reply is due */
	unsigned batch_messages;
	uint64_t batch_bytes;
	uint64_t batch_time_usec;
	uint64_t batch_pause_usec;
};

struct config {
	unsigned n_refs;
	int log_level;		/* LOG_ERR..LOG_DEBUG */
	enum sandbox_mode sandbox;
	unsigned max_workers;
	unsigned max_per_host;
	struct account *accounts; /* sorted by name */
	size_t n_accounts;
	struct secret_arena *arena; /* the literal passwords */
};

/* Where things lie: by the user and the build alone, never by how we were started. */
struct config_paths {
	char *config_file; /* root: SYSCONFDIR/mailhaul/mailhaul.conf; others: XDG_CONFIG_HOME */
	char *state_dir;   /* root: LOCALSTATEDIR/lib/mailhaul; others: XDG_STATE_HOME */
};

void config_paths_done(struct config_paths *paths);

/*
 * Fills in both paths for the effective user; override, when not NULL, takes
 * the place of the configuration file (--config) and is made absolute.
 */
int config_paths_find(struct config_paths *ret, const char *override,
		      struct error *err) _must_check_;

/* All errors of one load, in order, each one printable line without newline. */
struct config_errors {
	char **lines;
	size_t n_lines;
	bool is_incomplete; /* memory ran out; there may be no line at all */
};

void config_errors_done(struct config_errors *errors);

/*
 * Loads the file and conf.d/NAME.conf beside it. On failure *ret is
 * untouched and errors, which was zeroed, holds at least one line. The caller
 * owns one reference.
 */
int config_load(const struct config_paths *paths, struct config **ret,
		struct config_errors *errors) _must_check_;

struct config *config_ref(struct config *config);
void config_unref(struct config **config); /* accepts NULL in it */

/* NULL when there is none of that name. Borrowed. */
const struct account *config_find(const struct config *config, const char *name);

/*
 * True when a visit would go differently: any setting differs, or the user
 * or the directories that follow from them. Where it is written does not count.
 */
bool account_differs(const struct account *a, const struct account *b);

/* One option of the table: for the man page test and for --help. */
struct option_info {
	const char *name;
	const char *section;	   /* "daemon" or "accounts" */
	const char *default_value; /* NULL: none, or as help says */
	const char *help;
};

/* The table's rows in order; NULL past the end. */
const struct option_info *config_option(size_t index);
