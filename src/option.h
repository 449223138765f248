/*
 * option.h - the table of settings, and what a value of each must look like.
 *
 * Knows nothing of files or of libconfig: config.c hands it plain values.
 * Errors are ERROR_CONFIG and name neither file nor setting; config.c puts
 * both before them.
 */
#pragma once

#include "base.h"
#include "config.h"
#include "error.h"
#include "secret.h"

#define OPTION_HOST_MAX	    253 /* RFC 1035 section 2.3.4, written with dots */
#define OPTION_USERNAME_MAX 255 /* RFC 2449 section 4 bounds the whole command */

enum option_type {
	OPTION_HOST = 0, /* a name or an address */
	OPTION_USERNAME, /* goes into a POP3 command */
	OPTION_USER,	 /* of this system; config.c looks it up */
	OPTION_SECRET,	 /* as a username, and lives in the arena */
	OPTION_PATH,	 /* absolute, or below "~/" */
	OPTION_PORT,	 /* uint16_t */
	OPTION_COUNT,	 /* unsigned */
	OPTION_BOOL,
	OPTION_DURATION, /* uint64_t, microseconds */
	OPTION_SIZE,	 /* uint64_t, bytes */
	OPTION_TLS,	 /* from here on: one word of a few, an enum or int */
	OPTION_AUTH,
	OPTION_KEEP,
	OPTION_SANDBOX,
	OPTION_LOG_LEVEL,
};

struct option {
	struct option_info info;
	enum option_type type;
	size_t offset;	  /* in struct config (daemon) or struct account */
	uint64_t min;	  /* of numbers, durations and sizes */
	uint64_t max;
	bool is_required; /* every account needs one, its own or from defaults */
};

/* Mirrors the types that a libconfig setting can have. */
enum value_type {
	VALUE_STRING = 0,
	VALUE_INTEGER,
	VALUE_BOOLEAN,
	VALUE_FLOAT,
	VALUE_GROUP,
	VALUE_ARRAY,
	VALUE_LIST,
};

struct value {
	enum value_type type;
	const char *text;  /* of a string; borrowed */
	long long integer; /* of an integer */
	bool boolean;	   /* of a boolean */
};

/* Where a value goes. */
struct option_target {
	void *base; /* the struct that offset counts from */
	struct secret_arena *arena;
};

/* "a string", "an integer", ... */
const char *value_type_name(enum value_type type);

/* NULL past the end. */
const struct option *option_at(size_t index);

/* NULL when the section has no such setting. */
const struct option *option_find(const char *section, const char *name);

/* Gives every setting of the section its default; those without one stay. */
int option_set_defaults(const char *section, const struct option_target *target,
			struct error *err) _must_check_;

/* Checks the value and stores it, in place of what was there. */
int option_set(const struct option *option, const struct value *value,
	       const struct option_target *target, struct error *err)
	_must_check_;

/*
 * A copy of the settings; name, file and state_dir are left NULL. Secrets are
 * shared, strings are not. ret needs clearing after a failure too.
 */
int option_copy_account(struct account *ret, const struct account *from,
			struct error *err) _must_check_;

/* Frees all that the account owns. */
void option_clear_account(struct account *account);

/* Compares the settings alone. */
bool option_account_equals(const struct account *a, const struct account *b);

/* The string that a row of a string type holds; or NULL. */
char **option_string(const struct option *option, struct account *account);
