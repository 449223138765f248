/*
 * script.h - a scripted dialogue, read from a file into steps.
 *
 * The format is described in tests/scripts/README.md. What only the runner
 * of the scripts acts upon (config, most of expect) is checked and skipped.
 */
#pragma once

#include <regex.h>

#include "note.h"

enum step_op {
	STEP_NONE = 0, /* of the runner */

	/* The wire */
	STEP_SAY,
	STEP_REPEAT,
	STEP_HEAR,
	STEP_HEAR_CLOSE,
	STEP_QUIET,
	STEP_SERVE,
	STEP_SPLIT,
	STEP_DELAY,
	STEP_TERM_SENT,
	STEP_LF_ONLY,
	STEP_TLS,
	STEP_HANG,
	STEP_CLOSE,
	STEP_CUT,
	STEP_RESET,

	/* What a rule may do besides */
	STEP_DEFAULT,
	STEP_UPDATE,

	/* The mailbox and the server */
	STEP_MESSAGE,
	STEP_MESSAGES,
	STEP_MORE,
	STEP_PAD,
	STEP_UID,
	STEP_SIZE,
	STEP_GREETING,
	STEP_CAPA,
	STEP_TLS_CAPA,
	STEP_CERTIFICATE,

	/* The next connection */
	STEP_OFFLINE, /* there is none: the client must not come */
	STEP_VISIT,
	STEP_RECONNECT,
};

/* A line to hear, or the commands that a rule is for. */
struct pattern {
	char *text; /* NULL: none */
	regex_t regex;
	bool is_regex;
};

struct step {
	enum step_op op;
	unsigned line;
	struct text text; /* unescaped, or the word */
	uint64_t number;  /* of repeat, split, delay, messages, pad, size */
	struct pattern heard;
	struct pattern rule; /* with text: only when such a command comes */
	bool is_once;
	bool is_used;
};

struct script {
	char *path;
	struct step *steps;
	size_t n_steps;
};

int script_load(struct script *ret, const char *path, struct failure *failure);
void script_done(struct script *script);

/* The whole line, or the regex anywhere in it. */
bool pattern_is_line(const struct pattern *pattern, const char *line);

/* Case-blind the first words of the line, or the regex anywhere in it. */
bool pattern_is_command(const struct pattern *pattern, const char *line);
