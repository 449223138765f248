/*
 * script.c - a scripted dialogue, read from a file into steps.
 *
 * One line is one step, and one row of keywords[] says what it may hold. A
 * line that is not understood is an error: a typo must not pass for a test.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "script.h"

enum argument {
	ARGUMENT_NONE = 0,
	ARGUMENT_WORDS, /* as they stand */
	ARGUMENT_BYTES, /* escaped */
	ARGUMENT_LINES, /* escaped, and CRLF behind unless it ends in \c */
	ARGUMENT_NUMBER,
	ARGUMENT_NUMBER_WORDS,
	ARGUMENT_NUMBER_BYTES,
	ARGUMENT_PATTERN,
};

static const struct keyword {
	const char *name;
	enum step_op op;
	enum argument argument;
} keywords[] = {
	{ "S", STEP_SAY, ARGUMENT_LINES },
	{ "repeat", STEP_REPEAT, ARGUMENT_NUMBER_BYTES },
	{ "C", STEP_HEAR, ARGUMENT_PATTERN },
	{ "quiet", STEP_QUIET, ARGUMENT_NUMBER },
	{ "serve", STEP_SERVE, ARGUMENT_NONE },
	{ "split", STEP_SPLIT, ARGUMENT_NUMBER },
	{ "delay", STEP_DELAY, ARGUMENT_NUMBER },
	{ "term-sent", STEP_TERM_SENT, ARGUMENT_NONE },
	{ "lf-only", STEP_LF_ONLY, ARGUMENT_NONE },
	{ "tls", STEP_TLS, ARGUMENT_WORDS },
	{ "hang", STEP_HANG, ARGUMENT_NONE },
	{ "close", STEP_CLOSE, ARGUMENT_NONE },
	{ "cut", STEP_CUT, ARGUMENT_NONE },
	{ "reset", STEP_RESET, ARGUMENT_NONE },
	{ "default", STEP_DEFAULT, ARGUMENT_NONE },
	{ "update", STEP_UPDATE, ARGUMENT_NONE },
	{ "message", STEP_MESSAGE, ARGUMENT_LINES },
	{ "messages", STEP_MESSAGES, ARGUMENT_NUMBER_WORDS },
	{ "more", STEP_MORE, ARGUMENT_LINES },
	{ "pad", STEP_PAD, ARGUMENT_NUMBER_BYTES },
	{ "uid", STEP_UID, ARGUMENT_BYTES },
	{ "size", STEP_SIZE, ARGUMENT_NUMBER },
	{ "greeting", STEP_GREETING, ARGUMENT_WORDS },
	{ "capa", STEP_CAPA, ARGUMENT_WORDS },
	{ "tls-capa", STEP_TLS_CAPA, ARGUMENT_WORDS },
	{ "certificate", STEP_CERTIFICATE, ARGUMENT_WORDS },
	{ "offline", STEP_OFFLINE, ARGUMENT_NONE },
	{ "visit", STEP_VISIT, ARGUMENT_NONE },
	{ "reconnect", STEP_RECONNECT, ARGUMENT_NONE },
	{ "config", STEP_NONE, ARGUMENT_WORDS },
	{ "term", STEP_NONE, ARGUMENT_WORDS },
	{ "todo", STEP_NONE, ARGUMENT_WORDS },
	{ "expect", STEP_NONE, ARGUMENT_WORDS },
};

/* Where a line of a script is read from, for messages. */
struct place {
	const char *path;
	unsigned line;
	struct failure *failure;
};

static int complain(const struct place *place, const char *what)
{
	return fail(place->failure, "%s:%u: %s", place->path, place->line,
		    what);
}

static void pattern_done(struct pattern *pattern)
{
	if (pattern->is_regex)
		regfree(&pattern->regex);
	free(pattern->text);
	*pattern = (struct pattern){ 0 };
}

bool pattern_is_line(const struct pattern *pattern, const char *line)
{
	if (pattern->is_regex)
		return regexec(&pattern->regex, line, 0, NULL, 0) == 0;
	return strcmp(pattern->text, line) == 0;
}

bool pattern_is_command(const struct pattern *pattern, const char *line)
{
	size_t len;

	if (pattern->is_regex)
		return pattern_is_line(pattern, line);
	len = strlen(pattern->text);
	return strncasecmp(pattern->text, line, len) == 0 &&
	       (line[len] == '\0' || line[len] == ' ');
}

/* /regex/, or the text itself. */
static int parse_pattern(struct pattern *pattern, char *text,
			 const struct place *place)
{
	size_t len = strlen(text);

	pattern->is_regex = len >= 2 && text[0] == '/' && text[len - 1] == '/';
	if (pattern->is_regex) {
		text[len - 1] = '\0';
		text++;
	}
	if (pattern->is_regex &&
	    regcomp(&pattern->regex, text, REG_EXTENDED | REG_NOSUB) != 0) {
		pattern->is_regex = false;
		return complain(place, "bad regular expression");
	}
	pattern->text = must_strdup(text);
	return 0;
}

static int parse_bytes(struct step *step, const char *text, bool is_lines,
		       const struct place *place)
{
	bool is_open;

	if (!text_unescape(&step->text, text, &is_open))
		return complain(place, "unknown escape");
	if (is_lines && !is_open)
		text_append(&step->text, "\r\n", 2);
	return 0;
}

static int parse_number(struct step *step, char **text,
			const struct place *place)
{
	char *end;

	errno = 0;
	step->number = strtoull(*text, &end, 10);
	if (errno != 0 || end == *text || (*end != ' ' && *end != '\0'))
		return complain(place, "a number is needed here");
	*text = end + strspn(end, " ");
	return 0;
}

static int parse_argument(struct step *step, enum argument argument, char *text,
			  const struct place *place)
{
	switch (argument) {
	case ARGUMENT_NONE:
		return *text == '\0' ? 0 : complain(place, "too many words");
	case ARGUMENT_NUMBER_WORDS:
		if (parse_number(step, &text, place) < 0)
			return -1;
		text_append(&step->text, text, strlen(text));
		return 0;
	case ARGUMENT_WORDS:
		text_append(&step->text, text, strlen(text));
		return 0;
	case ARGUMENT_NUMBER:
		return parse_number(step, &text, place);
	case ARGUMENT_NUMBER_BYTES:
		if (parse_number(step, &text, place) < 0)
			return -1;
		return parse_bytes(step, text, false, place);
	case ARGUMENT_BYTES:
	case ARGUMENT_LINES:
		return parse_bytes(step, text, argument == ARGUMENT_LINES,
				   place);
	case ARGUMENT_PATTERN:
		return parse_pattern(&step->heard, text, place);
	}
	return -1;
}

/* Cuts off the first word; returns what follows its blank. */
static char *take_word(char *text)
{
	char *end = text + strcspn(text, " ");

	if (*end == '\0')
		return end;
	*end = '\0';
	return end + 1;
}

static int parse_action(struct step *step, char *text,
			const struct place *place)
{
	char *argument = take_word(text);

	if (strcmp(text, "expect") == 0 && strcmp(argument, "close") == 0) {
		step->op = STEP_HEAR_CLOSE;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++) {
		if (strcmp(keywords[i].name, text) != 0)
			continue;
		step->op = keywords[i].op;
		return parse_argument(step, keywords[i].argument, argument,
				      place);
	}
	return complain(place, "unknown keyword");
}

/* "on PATTERN: ACTION" or "once PATTERN: ACTION", else an action. */
static int parse_step(struct step *step, char *text, const struct place *place)
{
	char *action;

	step->is_once = strncmp(text, "once ", 5) == 0;
	if (!step->is_once && strncmp(text, "on ", 3) != 0)
		return parse_action(step, text, place);
	action = strstr(text, ": ");
	if (!action)
		return complain(place, "on PATTERN: ACTION");
	*action = '\0';
	if (parse_pattern(&step->rule, take_word(text), place) < 0)
		return -1;
	return parse_action(step, action + 2, place);
}

/* Takes off the line's end, a comment behind two blanks, and blanks. */
static void trim(char *line)
{
	char *comment = strstr(line, "  #");
	size_t len;

	if (comment)
		*comment = '\0';
	len = strlen(line);
	while (len > 0 && strchr(" \t\r\n", line[len - 1]))
		line[--len] = '\0';
}

static int add_step(struct script *script, char *line,
		    const struct place *place)
{
	struct step *step;

	trim(line);
	if (place->line == 1 && strncmp(line, "# ", 2) != 0)
		return complain(place,
				"the first line must be '# A sentence.'");
	if (line[0] == '\0' || line[0] == '#')
		return 0;
	script->steps = must_realloc(script->steps,
				     (script->n_steps + 1) * sizeof(*step));
	step = &script->steps[script->n_steps++];
	*step = (struct step){ .line = place->line };
	return parse_step(step, line, place);
}

int script_load(struct script *ret, const char *path, struct failure *failure)
{
	struct place place = { .path = path, .failure = failure };
	_cleanup_string_ char *line = NULL;
	size_t cap = 0;
	FILE *file;
	int r = 0;

	*ret = (struct script){ .path = must_strdup(path) };
	file = fopen(path, "re");
	if (!file)
		return fail_errno(failure, path);
	while (r == 0 && getline(&line, &cap, file) >= 0) {
		place.line++;
		r = add_step(ret, line, &place);
	}
	(void)fclose(file);
	return r;
}

void script_done(struct script *script)
{
	for (size_t i = 0; i < script->n_steps; i++) {
		text_done(&script->steps[i].text);
		pattern_done(&script->steps[i].heard);
		pattern_done(&script->steps[i].rule);
	}
	free(script->steps);
	free(script->path);
	*script = (struct script){ 0 };
}
