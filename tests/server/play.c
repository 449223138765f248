/*
 * play.c - plays a script to a client.
 *
 * The steps of a connection are played in their order; "serve" hands over to
 * the plain server of pop3d.c, with the connection's rules before it. The
 * mailbox outlives the connections. The first thing that the client says and
 * the script does not expect ends the play.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "play.h"
#include "pop3d.h"
#include "script.h"

/* Twenty seconds. */
#define TERM_PAUSE_MSEC 5
#define TERM_PAUSES     4000

struct play {
	const struct play_options *options;
	struct script script;
	struct transcript transcript;
	struct listener listener;
	struct box box;
	size_t n_written; /* messages in messages_dir */
	struct pop3d_options server_options;
	struct pop3d server;
	struct wire *wire;
	size_t first_step; /* of this connection */
	size_t end_step;
	char line[WIRE_LINE_MAX]; /* the client's last one */
	struct failure *failure;
};

static int unexpected(struct play *play, const struct step *step,
		      const char *expected, const char *line)
{
	char came[256];

	(void)escape(came, sizeof(came), line, strlen(line));
	return fail(play->failure, "%s:%u: expected %s, came '%s'",
		    play->script.path, step->line, expected, came);
}

/* 1 a line, 0 the client is gone, -1 what no client should send. */
static int hear(struct play *play, const struct step *step)
{
	struct failure why = { .text = "" };
	size_t len;
	int r;

	r = wire_read_line(play->wire, play->line, &len, &why);
	if (r < 0)
		return unexpected(play, step, "a command", why.text);
	return r;
}

static int hear_line(struct play *play, const struct step *step)
{
	char expected[256];
	int r;

	(void)snprintf(expected, sizeof(expected),
		       step->heard.is_regex ? "/%s/" : "'%s'",
		       step->heard.text);
	r = hear(play, step);
	if (r < 0)
		return -1;
	if (r == 0)
		return unexpected(play, step, expected, "(closed)");
	if (!pattern_is_line(&step->heard, play->line))
		return unexpected(play, step, expected, play->line);
	return 0;
}

/* No further command: neither now, nor was QUIT the last while it served. */
static int hear_close(struct play *play, const struct step *step)
{
	int r;

	if (play->wire->is_over)
		return strcmp(play->line, "QUIT") == 0
			       ? unexpected(play, step, "a close", play->line)
			       : 0;
	r = hear(play, step);
	return r > 0 ? unexpected(play, step, "a close", play->line) : r;
}

static int hear_nothing(struct play *play, const struct step *step)
{
	if (wire_is_quiet(play->wire, step->number))
		return 0;
	return unexpected(play, step, "nothing", "more input");
}

static void say(struct play *play, const struct text *text)
{
	const char *end = memmem(text->data, text->len, "\r\n", 2);
	size_t len = end ? (size_t)(end - text->data) : text->len;
	char note[48];

	transcript_say(&play->transcript, "S:", text->data, len);
	if (end && len + 2 < text->len) {
		len = (size_t)snprintf(note, sizeof(note), "<%zu bytes>",
				       text->len - len - 2);
		transcript_say(&play->transcript, "S:", note, len);
	}
	wire_queue(play->wire, text->data, text->len);
}

/* What has no end ends with the client. */
static void repeat(struct play *play, const struct step *step)
{
	for (uint64_t i = 0; i < step->number && !play->wire->is_mute; i++)
		wire_queue(play->wire, step->text.data, step->text.len);
}

static void pause_for(struct play *play, uint64_t msec)
{
	const struct timespec pause = {
		.tv_sec = (time_t)(msec / 1000),
		.tv_nsec = (long)(msec % 1000) * 1000000,
	};

	wire_flush(play->wire);
	(void)nanosleep(&pause, NULL);
}

/* The file is there for one visit, and goes. */
static int await_term(struct play *play, const struct step *step)
{
	const char *path = play->options->term_file;

	for (unsigned i = 0; path && i < TERM_PAUSES; i++) {
		if (unlink(path) == 0)
			return 0;
		pause_for(play, TERM_PAUSE_MSEC);
	}
	return fail(play->failure, "%s:%u: nobody sent SIGTERM",
		    play->script.path, step->line);
}

static void add_messages(struct play *play, uint64_t count, uint64_t size_bytes)
{
	for (uint64_t i = 0; i < count; i++) {
		struct text wire = { 0 };
		char line[80];
		int len;

		len = snprintf(line, sizeof(line),
			       "Subject: message %zu\r\n\r\n",
			       play->box.n_mails + 1);
		text_append(&wire, line, (size_t)len);
		while (wire.len + 80 < size_bytes) {
			len = snprintf(line, sizeof(line), "%060zu.\r\n",
				       wire.len * (play->box.n_mails + 1));
			text_append(&wire, line, (size_t)len);
		}
		while (wire.len + 2 < size_bytes)
			text_append(&wire, "=", 1);
		text_append(&wire, "\r\n", 2);
		(void)box_add(&play->box, &wire);
	}
}

/* A step about the last message, or a new one. */
static int change_box(struct play *play, struct step *step)
{
	struct mail *mail = play->box.n_mails > 0
				    ? &play->box.mails[play->box.n_mails - 1]
				    : NULL;
	struct text copy = { 0 };

	if (step->op == STEP_MESSAGE) {
		text_append(&copy, step->text.data, step->text.len);
		(void)box_add(&play->box, &copy);
		return 0;
	}
	if (!mail)
		return fail(play->failure, "%s:%u: there is no message yet",
			    play->script.path, step->line);
	if (step->op == STEP_UID) {
		mail->uid.len = 0;
		text_append(&mail->uid, step->text.data, step->text.len);
		return 0;
	}
	if (step->op == STEP_SIZE) {
		mail->size_bytes = step->number;
		return 0;
	}
	text_repeat(&mail->wire, &step->text,
		    step->op == STEP_PAD ? step->number : 1);
	mail->size_bytes = mail->wire.len;
	return 0;
}

static void change_server(struct play *play, const struct step *step)
{
	struct pop3d_options *options = &play->server_options;
	const char *text = step->text.data;

	switch (step->op) {
	case STEP_GREETING:
		options->greeting = text;
		return;
	case STEP_CERTIFICATE:
		options->certificate = text;
		return;
	case STEP_TLS_CAPA:
		options->tls_capa = text;
		return;
	default:
		options->capa = strcmp(text, "none") == 0 ? NULL : text;
	}
}

/* What the client should make of a message: CRLF becomes LF, no more. */
static int write_message(struct play *play, size_t index)
{
	const struct text *wire = &play->box.mails[index].wire;
	char path[4096];
	bool is_written;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%zu",
		       play->options->messages_dir, index + 1);
	file = fopen(path, "we");
	if (!file)
		return fail_errno(play->failure, path);
	for (size_t i = 0; i < wire->len; i++) {
		if (wire->data[i] != '\r' || wire->data[i + 1] != '\n')
			(void)putc_unlocked(wire->data[i], file);
	}
	is_written = !ferror(file);
	if (fclose(file) != 0 || !is_written)
		return fail_errno(play->failure, path);
	return 0;
}

static int write_messages(struct play *play)
{
	if (!play->options->messages_dir)
		return 0;
	for (; play->n_written < play->box.n_mails; play->n_written++) {
		if (write_message(play, play->n_written) < 0)
			return -1;
	}
	return 0;
}

/* A step that the rules and the connection itself have in common. */
static int do_step(struct play *play, struct step *step)
{
	switch (step->op) {
	case STEP_SAY:
		say(play, &step->text);
		return 0;
	case STEP_REPEAT:
		repeat(play, step);
		return 0;
	case STEP_HEAR:
		return hear_line(play, step);
	case STEP_QUIET:
		return hear_nothing(play, step);
	case STEP_SPLIT:
		wire_flush(play->wire);
		play->wire->split = step->number;
		return 0;
	case STEP_DELAY:
		pause_for(play, step->number);
		return 0;
	case STEP_TERM_SENT:
		return await_term(play, step);
	case STEP_TLS:
		return wire_start_tls(play->wire, play->options->tls_dir,
				      step->text.data, play->failure);
	case STEP_HANG:
		wire_drain(play->wire);
		return 0;
	case STEP_CLOSE:
		wire_close(play->wire);
		return 0;
	case STEP_CUT:
		wire_cut(play->wire);
		return 0;
	case STEP_RESET:
		wire_reset(play->wire);
		return 0;
	case STEP_UPDATE:
		box_update(&play->box);
		return 0;
	case STEP_DEFAULT:
		return pop3d_answer(&play->server, play->line, play->failure);
	default:
		return fail(play->failure, "%s:%u: not here", play->script.path,
			    step->line);
	}
}

/* The connection's first rule that is for this command; NULL: none. */
static const struct pattern *find_rule(const struct play *play)
{
	for (size_t i = play->first_step; i < play->end_step; i++) {
		const struct step *step = &play->script.steps[i];

		if (step->rule.text && !step->is_used &&
		    pattern_is_command(&step->rule, play->line))
			return &step->rule;
	}
	return NULL;
}

/* All steps with the rule's pattern, in their order. */
static int follow_rule(struct play *play, const struct pattern *rule)
{
	bool is_once = false;

	for (size_t i = play->first_step; i < play->end_step; i++) {
		struct step *step = &play->script.steps[i];

		if (!step->rule.text || step->is_used ||
		    strcmp(step->rule.text, rule->text) != 0)
			continue;
		/* "on" behind "once" is for the times after the first. */
		if (is_once && !step->is_once)
			break;
		is_once = step->is_once;
		step->is_used = step->is_once;
		if (do_step(play, step) < 0)
			return -1;
	}
	return 0;
}

static int answer(struct play *play)
{
	const struct pattern *rule = find_rule(play);

	if (rule)
		return follow_rule(play, rule);
	return pop3d_answer(&play->server, play->line, play->failure);
}

static int serve(struct play *play, const struct step *step)
{
	int r;

	if (write_messages(play) < 0)
		return -1;
	if (!play->wire->has_spoken)
		pop3d_greet(&play->server);
	while (!play->server.is_over && !play->wire->is_over) {
		r = hear(play, step);
		if (r < 0 || (r > 0 && answer(play) < 0))
			return -1;
	}
	if (!play->wire->is_over)
		wire_close(play->wire);
	return 0;
}

static int play_step(struct play *play, struct step *step)
{
	if (step->rule.text)
		return 0; /* a rule has its turn while we serve */
	switch (step->op) {
	case STEP_NONE:
		return 0;
	case STEP_SERVE:
		return serve(play, step);
	case STEP_LF_ONLY:
		play->wire->lf_only = true;
		return 0;
	case STEP_HEAR_CLOSE:
		return hear_close(play, step);
	case STEP_MESSAGE:
	case STEP_MORE:
	case STEP_PAD:
	case STEP_UID:
	case STEP_SIZE:
		return change_box(play, step);
	case STEP_MESSAGES:
		add_messages(play, step->number,
			     strtoull(step->text.data, NULL, 10));
		return 0;
	case STEP_GREETING:
	case STEP_CAPA:
	case STEP_TLS_CAPA:
	case STEP_CERTIFICATE:
		change_server(play, step);
		return 0;
	default:
		if (do_step(play, step) < 0)
			return -1;
		/* Step by step, what one says is one write. */
		wire_flush(play->wire);
		return 0;
	}
}

static bool is_connection_end(const struct step *step)
{
	return step->op == STEP_VISIT || step->op == STEP_RECONNECT;
}

static int play_steps(struct play *play)
{
	struct step end = { .op = STEP_HEAR_CLOSE };

	for (size_t i = play->first_step; i < play->end_step; i++) {
		if (play_step(play, &play->script.steps[i]) < 0)
			return -1;
		end.line = play->script.steps[i].line;
	}
	if (write_messages(play) < 0)
		return -1;
	return play->wire->is_over ? 0 : hear_close(play, &end);
}

/* False: the client is not to come. */
static bool find_connection_end(struct play *play)
{
	bool is_offline = false;

	play->end_step = play->first_step;
	while (play->end_step < play->script.n_steps &&
	       !is_connection_end(&play->script.steps[play->end_step])) {
		is_offline |= play->script.steps[play->end_step].op ==
			      STEP_OFFLINE;
		play->end_step++;
	}
	return !is_offline;
}

static int converse(struct play *play)
{
	int r;

	if (wire_accept(&play->listener, &play->transcript, &play->wire,
			play->failure) < 0)
		return -1;
	play->line[0] = '\0';
	pop3d_init(&play->server, &play->server_options, play->wire,
		   &play->box);
	r = play_steps(play);
	pop3d_done(&play->server);
	wire_free(&play->wire);
	return r;
}

static int play_connection(struct play *play)
{
	if (find_connection_end(play) && converse(play) < 0)
		return -1;
	transcript_note(&play->transcript, "left %zu", box_count(&play->box));
	transcript_note(&play->transcript, "end");
	play->first_step = play->end_step + 1;
	return 0;
}

static int play_script(struct play *play)
{
	const struct play_options *options = play->options;

	if (transcript_open(&play->transcript, options->transcript,
			    play->failure) < 0 ||
	    wire_listen(&play->listener, options->address, 0, play->failure) <
		    0 ||
	    wire_tell_port(&play->listener, options->port_file, play->failure) <
		    0)
		return -1;
	while (play->first_step <= play->script.n_steps) {
		if (play_connection(play) < 0)
			return -1;
	}
	return 0;
}

int play_run(const struct play_options *options, struct failure *failure)
{
	struct play *play = must_realloc(NULL, sizeof(*play));
	int r;

	*play = (struct play) {
		.options = options,
		.failure = failure,
		.listener = { .fd = -1 },
		.transcript = { .fd = -1 },
		.server_options = {
			.username = "joe",
			.password = "open sesame",
			.greeting = "+OK ready",
			.capa = "USER, UIDL, PIPELINING, RESP-CODES",
			.tls_dir = options->tls_dir,
			.certificate = "good",
			.mark_fd = -1,
			.has_stls = options->tls_dir != NULL,
		},
	};
	box_init(&play->box, NULL);
	r = script_load(&play->script, options->script, failure);
	if (r == 0)
		r = play_script(play);
	box_done(&play->box);
	script_done(&play->script);
	fd_close(&play->listener.fd);
	fd_close(&play->transcript.fd);
	free(play);
	return r;
}
