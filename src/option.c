/*
 * option.c - the table of settings: types, bounds, defaults, words.
 *
 * A setting is added here, in config.h's struct, in the man page and in the
 * sample, and nowhere else. Refuses every value of another type than the
 * row's: nothing is converted, so that a mistake cannot hide. No message
 * quotes a secret.
 */
#include "option.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "text.h"

#define DAEMON(field)  .offset = offsetof(struct config, field)
#define ACCOUNT(field) .offset = offsetof(struct account, field)
#define LIMIT_TEXT_MAX 32
#define WORD_LIST_MAX  80

#define KIB            UINT64_C(1024)
#define MIB            (KIB * 1024)
#define GIB            (MIB * 1024)

/* clang-format off */
static const struct option options[] = {
	{ { "max_workers", "daemon", "10", "visits at the same time" },
	  OPTION_COUNT, DAEMON(max_workers), .min = 1, .max = 1000 },
	{ { "max_per_host", "daemon", "4", "visits at the same time to one host" },
	  OPTION_COUNT, DAEMON(max_per_host), .min = 1, .max = 1000 },
	{ { "log_level", "daemon", "info",
	    "error, warning, notice, info or debug" },
	  OPTION_LOG_LEVEL, DAEMON(log_level) },
	{ { "sandbox", "daemon", "best-effort",
	    "what a worker must be locked in: required, best-effort or off" },
	  OPTION_SANDBOX, DAEMON(sandbox) },

	{ { "host", "accounts", NULL, "the POP3 server's name or address" },
	  OPTION_HOST, ACCOUNT(host), .is_required = true },
	{ { "port", "accounts", NULL, "995 with implicit TLS, otherwise 110" },
	  OPTION_PORT, ACCOUNT(port), .min = 1, .max = UINT16_MAX },
	{ { "tls", "accounts", "implicit", "implicit, starttls or none" },
	  OPTION_TLS, ACCOUNT(tls) },
	{ { "ca_file", "accounts", NULL,
	    "PEM file of the CAs to trust, in place of the system's" },
	  OPTION_PATH, ACCOUNT(ca_file) },
	{ { "username", "accounts", NULL, "the login name" },
	  OPTION_USERNAME, ACCOUNT(username), .is_required = true },
	{ { "password", "accounts", NULL, "the password itself" },
	  OPTION_SECRET, ACCOUNT(password) },
	{ { "password_file", "accounts", NULL,
	    "file that holds the password, readable by the user alone" },
	  OPTION_PATH, ACCOUNT(password_file) },
	{ { "auth", "accounts", "auto", "auto, APOP, PLAIN or USER" },
	  OPTION_AUTH, ACCOUNT(auth) },
	{ { "allow_cleartext", "accounts", "false",
	    "send the password without TLS" },
	  OPTION_BOOL, ACCOUNT(allow_cleartext) },
	{ { "interval", "accounts", "5m", "time between two visits" },
	  OPTION_DURATION, ACCOUNT(interval_usec),
	  .min = 10 * USEC_PER_SEC, .max = 365 * USEC_PER_DAY },

	{ { "maildir", "accounts", NULL, "the Maildir to deliver into" },
	  OPTION_PATH, ACCOUNT(maildir), .is_required = true },
	{ { "user", "accounts", NULL, "the user whose Maildir it is" },
	  OPTION_USER, ACCOUNT(user) },
	{ { "create", "accounts", "false",
	    "make the Maildir when it is missing, but never its parents" },
	  OPTION_BOOL, ACCOUNT(create) },
	{ { "keep", "accounts", "delete",
	    "on the server: delete what was delivered, or keep it forever" },
	  OPTION_KEEP, ACCOUNT(keep) },

	{ { "connect_timeout", "accounts", "30s",
	    "time to connect, all addresses together" },
	  OPTION_DURATION, ACCOUNT(connect_timeout_usec),
	  .min = USEC_PER_SEC, .max = USEC_PER_HOUR },
	{ { "reply_timeout", "accounts", "60s", "time to wait for a reply" },
	  OPTION_DURATION, ACCOUNT(reply_timeout_usec),
	  .min = USEC_PER_SEC, .max = USEC_PER_HOUR },
	{ { "login_timeout", "accounts", "5m",
	    "time for everything up to the login" },
	  OPTION_DURATION, ACCOUNT(login_timeout_usec),
	  .min = USEC_PER_SEC, .max = USEC_PER_HOUR },
	{ { "visit_timeout", "accounts", "30m",
	    "time for a visit, looked at between messages" },
	  OPTION_DURATION, ACCOUNT(visit_timeout_usec),
	  .min = USEC_PER_SEC, .max = 7 * USEC_PER_DAY },
	{ { "stop_timeout", "accounts", "20s",
	    "time to end a visit that is told to stop" },
	  OPTION_DURATION, ACCOUNT(stop_timeout_usec),
	  .min = USEC_PER_SEC, .max = USEC_PER_HOUR },
	{ { "min_rate", "accounts", "1K",
	    "bytes per minute that a reply must bring" },
	  OPTION_SIZE, ACCOUNT(min_rate_bytes), .min = 0, .max = GIB },

	{ { "batch_messages", "accounts", "128",
	    "messages that are made durable together" },
	  OPTION_COUNT, ACCOUNT(batch_messages), .min = 1, .max = 1000 },
	{ { "batch_bytes", "accounts", "8M", "bytes that close a batch" },
	  OPTION_SIZE, ACCOUNT(batch_bytes), .min = 1, .max = GIB },
	{ { "batch_time", "accounts", "1s",
	    "time after its first message that closes a batch" },
	  OPTION_DURATION, ACCOUNT(batch_time_usec),
	  .min = USEC_PER_MSEC, .max = USEC_PER_HOUR },
	{ { "batch_pause", "accounts", "200ms",
	    "silence of the server that closes a batch" },
	  OPTION_DURATION, ACCOUNT(batch_pause_usec),
	  .min = USEC_PER_MSEC, .max = USEC_PER_HOUR },
};
/* clang-format on */

struct word {
	enum option_type type;
	const char *text;
	int number;
};

static const struct word words[] = {
	{ OPTION_TLS, "implicit", TLS_IMPLICIT },
	{ OPTION_TLS, "starttls", TLS_STARTTLS },
	{ OPTION_TLS, "none", TLS_NONE },
	{ OPTION_AUTH, "auto", AUTH_AUTO },
	{ OPTION_AUTH, "APOP", AUTH_APOP },
	{ OPTION_AUTH, "PLAIN", AUTH_PLAIN },
	{ OPTION_AUTH, "USER", AUTH_USER },
	{ OPTION_KEEP, "delete", KEEP_DELETE },
	{ OPTION_KEEP, "forever", KEEP_FOREVER },
	{ OPTION_SANDBOX, "required", SANDBOX_REQUIRED },
	{ OPTION_SANDBOX, "best-effort", SANDBOX_BEST_EFFORT },
	{ OPTION_SANDBOX, "off", SANDBOX_OFF },
	{ OPTION_LOG_LEVEL, "error", LOG_ERR },
	{ OPTION_LOG_LEVEL, "warning", LOG_WARNING },
	{ OPTION_LOG_LEVEL, "notice", LOG_NOTICE },
	{ OPTION_LOG_LEVEL, "info", LOG_INFO },
	{ OPTION_LOG_LEVEL, "debug", LOG_DEBUG },
};
_Static_assert(sizeof(enum tls_mode) == sizeof(int) &&
		       sizeof(enum auth_choice) == sizeof(int) &&
		       sizeof(enum keep_mode) == sizeof(int) &&
		       sizeof(enum sandbox_mode) == sizeof(int),
	       "words are stored through int");

const char *value_type_name(enum value_type type)
{
	static const char *const names[] = {
		[VALUE_STRING] = "a string",
		[VALUE_INTEGER] = "an integer",
		[VALUE_BOOLEAN] = "a boolean",
		[VALUE_FLOAT] = "a floating-point number",
		[VALUE_GROUP] = "a group",
		[VALUE_ARRAY] = "an array",
		[VALUE_LIST] = "a list",
	};

	return names[type];
}

const struct option *option_at(size_t index)
{
	return index < ARRAY_SIZE(options) ? &options[index] : NULL;
}

const struct option_info *config_option(size_t index)
{
	return index < ARRAY_SIZE(options) ? &options[index].info : NULL;
}

const struct option *option_find(const char *section, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strcmp(options[i].info.name, name) == 0 &&
		    strcmp(options[i].info.section, section) == 0)
			return &options[i];
	return NULL;
}

static bool is_account_option(const struct option *option)
{
	return strcmp(option->info.section, "accounts") == 0;
}

static void *field_of(const struct option *option, void *base)
{
	return (char *)base + option->offset;
}

static bool is_string_type(enum option_type type)
{
	return type == OPTION_HOST || type == OPTION_USERNAME ||
	       type == OPTION_USER || type == OPTION_PATH;
}

char **option_string(const struct option *option, struct account *account)
{
	return is_string_type(option->type) ? field_of(option, account) : NULL;
}

static size_t size_of_type(enum option_type type)
{
	switch (type) {
	case OPTION_HOST:
	case OPTION_USERNAME:
	case OPTION_USER:
	case OPTION_SECRET:
	case OPTION_PATH:
		return sizeof(char *);
	case OPTION_PORT:
		return sizeof(uint16_t);
	case OPTION_COUNT:
		return sizeof(unsigned);
	case OPTION_BOOL:
		return sizeof(bool);
	case OPTION_DURATION:
	case OPTION_SIZE:
		return sizeof(uint64_t);
	case OPTION_TLS:
	case OPTION_AUTH:
	case OPTION_KEEP:
	case OPTION_SANDBOX:
	case OPTION_LOG_LEVEL:
		return sizeof(int);
	}
	abort(); /* no type is without a size */
}

/* What to write for a value of the row's type, and the libconfig type of it. */
static const char *wanted_name(enum option_type type, enum value_type *ret_type)
{
	if (type == OPTION_PORT || type == OPTION_COUNT) {
		*ret_type = VALUE_INTEGER;
		return "an integer";
	}
	if (type == OPTION_BOOL) {
		*ret_type = VALUE_BOOLEAN;
		return "a boolean (true or false)";
	}

	*ret_type = VALUE_STRING;
	if (type == OPTION_DURATION)
		return "a string such as \"5m\"";
	if (type == OPTION_SIZE)
		return "a string such as \"64M\"";
	return "a string";
}

/* In the largest unit that needs no fraction: as one would write the setting. */
static const char *limit_text(char dst[LIMIT_TEXT_MAX], enum option_type type,
			      uint64_t number)
{
	static const struct {
		enum option_type type;
		uint64_t factor;
		const char *name;
	} units[] = {
		{ OPTION_DURATION, USEC_PER_DAY, "d" },
		{ OPTION_DURATION, USEC_PER_HOUR, "h" },
		{ OPTION_DURATION, USEC_PER_MINUTE, "m" },
		{ OPTION_DURATION, USEC_PER_SEC, "s" },
		{ OPTION_DURATION, USEC_PER_MSEC, "ms" },
		{ OPTION_SIZE, GIB, "G" },
		{ OPTION_SIZE, MIB, "M" },
		{ OPTION_SIZE, KIB, "K" },
	};
	uint64_t factor = 1;
	const char *name = "";

	for (size_t i = 0; i < ARRAY_SIZE(units) && factor == 1; i++) {
		if (units[i].type != type || number == 0 ||
		    number % units[i].factor != 0)
			continue;
		factor = units[i].factor;
		name = units[i].name;
	}
	(void)snprintf(dst, LIMIT_TEXT_MAX, "%llu%s",
		       (unsigned long long)(number / factor), name);
	return dst;
}

static int set_number(const struct option *option, uint64_t number, void *field,
		      struct error *err)
{
	char min[LIMIT_TEXT_MAX];
	char max[LIMIT_TEXT_MAX];

	if (number < option->min || number > option->max)
		return error_set(err, ERROR_CONFIG, "must be from %s to %s",
				 limit_text(min, option->type, option->min),
				 limit_text(max, option->type, option->max));

	if (option->type == OPTION_PORT)
		*(uint16_t *)field = (uint16_t)number;
	else if (option->type == OPTION_COUNT)
		*(unsigned *)field = (unsigned)number;
	else
		*(uint64_t *)field = number;
	return 0;
}

static int set_duration(const struct option *option, const char *text,
			void *field, struct error *err)
{
	uint64_t usec;

	if (!text_parse_duration(text, &usec))
		return error_set(err, ERROR_CONFIG,
				 "'%s' is not a duration; "
				 "write one like \"90s\", \"5m\" or \"1h30m\"",
				 text);
	return set_number(option, usec, field, err);
}

static int set_size(const struct option *option, const char *text, void *field,
		    struct error *err)
{
	uint64_t bytes;

	if (!text_parse_size(text, &bytes))
		return error_set(err, ERROR_CONFIG,
				 "'%s' is not a size; "
				 "write one like \"512\", \"64K\" or \"8M\"",
				 text);
	return set_number(option, bytes, field, err);
}

static const char *word_list(char dst[WORD_LIST_MAX], enum option_type type)
{
	size_t len = 0;

	dst[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words) && len < WORD_LIST_MAX; i++) {
		if (words[i].type != type)
			continue;
		len += (size_t)snprintf(dst + len, WORD_LIST_MAX - len, "%s%s",
					len > 0 ? ", " : "", words[i].text);
	}
	return dst;
}

static int set_word(const struct option *option, const char *text, void *field,
		    struct error *err)
{
	char list[WORD_LIST_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].type != option->type)
			continue;
		/* Mechanism names are case-blind: RFC 4422 section 3.1. */
		if (strcmp(words[i].text, text) != 0 &&
		    (option->type != OPTION_AUTH ||
		     strcasecmp(words[i].text, text) != 0))
			continue;
		*(int *)field = words[i].number;
		return 0;
	}

	return error_set(err, ERROR_CONFIG, "'%s' is not one of: %s", text,
			 word_list(list, option->type));
}

static int check_host(const char *text, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_:%";
	size_t len = strlen(text);

	if (len == 0)
		return error_set(err, ERROR_CONFIG, "must not be empty");
	if (len > OPTION_HOST_MAX || strspn(text, allowed) != len)
		return error_set(err, ERROR_CONFIG,
				 "'%s' is not a host name or "
				 "an address without brackets",
				 text);
	return 0;
}

static int check_username(const char *text, struct error *err)
{
	size_t len = strlen(text);

	if (len == 0)
		return error_set(err, ERROR_CONFIG, "must not be empty");
	if (len > OPTION_USERNAME_MAX)
		return error_set(err, ERROR_CONFIG, "is longer than %d bytes",
				 OPTION_USERNAME_MAX);
	if (strpbrk(text, "\r\n") != NULL)
		return error_set(err, ERROR_CONFIG, "holds a line break");
	return 0;
}

static int check_path(const char *text, struct error *err)
{
	if (text[0] == '/' || strncmp(text, "~/", 2) == 0)
		return 0;
	return error_set(err, ERROR_CONFIG,
			 "'%s' must be absolute or begin with \"~/\"", text);
}

static int check_string(enum option_type type, const char *text,
			struct error *err)
{
	if (type == OPTION_HOST)
		return check_host(text, err);
	if (type == OPTION_USERNAME)
		return check_username(text, err);
	if (type == OPTION_PATH)
		return check_path(text, err);
	if (text[0] == '\0')
		return error_set(err, ERROR_CONFIG, "must not be empty");
	return 0;
}

static int set_string(const struct option *option, const char *text,
		      char **field, struct error *err)
{
	char *copy;

	if (check_string(option->type, text, err) < 0)
		return -1;
	copy = strdup(text);
	if (copy == NULL)
		return error_set_memory(err);

	free(*field);
	*field = copy;
	return 0;
}

static int set_secret(const char *text, const char **field,
		      struct secret_arena *arena, struct error *err)
{
	_cleanup_secret_ struct secret checked = { 0 };
	const char *kept;

	if (secret_set(&checked, text, strlen(text), err) < 0)
		return -1;
	kept = secret_arena_add(arena, checked.text, checked.len);
	if (kept == NULL)
		return error_set(err, ERROR_CONFIG,
				 "the passwords together are "
				 "too long; use password_file");
	*field = kept;
	return 0;
}

static int set_text(const struct option *option, const char *text,
		    const struct option_target *target, struct error *err)
{
	void *field = field_of(option, target->base);

	switch (option->type) {
	case OPTION_SECRET:
		return set_secret(text, field, target->arena, err);
	case OPTION_DURATION:
		return set_duration(option, text, field, err);
	case OPTION_SIZE:
		return set_size(option, text, field, err);
	case OPTION_TLS:
	case OPTION_AUTH:
	case OPTION_KEEP:
	case OPTION_SANDBOX:
	case OPTION_LOG_LEVEL:
		return set_word(option, text, field, err);
	default:
		return set_string(option, text, field, err);
	}
}

int option_set(const struct option *option, const struct value *value,
	       const struct option_target *target, struct error *err)
{
	void *field = field_of(option, target->base);
	enum value_type wanted;
	const char *name = wanted_name(option->type, &wanted);

	if (value->type != wanted)
		return error_set(err, ERROR_CONFIG, "expected %s, found %s",
				 name, value_type_name(value->type));

	if (wanted == VALUE_STRING)
		return set_text(option, value->text, target, err);
	if (wanted == VALUE_INTEGER) /* a negative one is above every max */
		return set_number(option, (uint64_t)value->integer, field, err);
	*(bool *)field = value->boolean;
	return 0;
}

static struct value default_value(const struct option *option)
{
	const char *text = option->info.default_value;
	struct value value = { .text = text };

	(void)wanted_name(option->type, &value.type);
	value.integer = strtoll(text, NULL, 10);
	value.boolean = strcmp(text, "true") == 0;
	return value;
}

int option_set_defaults(const char *section, const struct option_target *target,
			struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct value value;

		if (strcmp(options[i].info.section, section) != 0 ||
		    options[i].info.default_value == NULL)
			continue;
		value = default_value(&options[i]);
		if (option_set(&options[i], &value, target, err) < 0)
			return -1;
	}
	return 0;
}

int option_copy_account(struct account *ret, const struct account *from,
			struct error *err)
{
	bool is_complete = true;

	*ret = *from;
	ret->name = NULL;
	ret->file = NULL;
	ret->state_dir = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		char **string;

		if (!is_account_option(&options[i]))
			continue;
		string = option_string(&options[i], ret);
		if (string == NULL || *string == NULL)
			continue;
		*string = strdup(*string);
		is_complete = is_complete && *string != NULL;
	}
	return is_complete ? 0 : error_set_memory(err);
}

void option_clear_account(struct account *account)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (is_account_option(&options[i]) &&
		    is_string_type(options[i].type))
			string_free(option_string(&options[i], account));
	string_free(&account->name);
	string_free(&account->file);
	string_free(&account->state_dir);
	account->password = NULL; /* the arena's */
}

static bool is_same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

bool option_account_equals(const struct account *a, const struct account *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *in_a = (const char *)a + options[i].offset;
		const char *in_b = (const char *)b + options[i].offset;
		enum option_type type = options[i].type;
		bool is_same;

		if (!is_account_option(&options[i]))
			continue;
		if (is_string_type(type) || type == OPTION_SECRET)
			is_same = is_same_text(
				*(const char *const *)(const void *)in_a,
				*(const char *const *)(const void *)in_b);
		else
			is_same = memcmp(in_a, in_b, size_of_type(type)) == 0;
		if (!is_same)
			return false;
	}
	return true;
}
