/*
 * pop3.c - the commands, and the pipeline.
 *
 * Counts the replies that are due, so that it knows at any time whether the
 * conversation is in step. A reply that is no status line, or a body that
 * broke, puts it out of step for good: what follows can no longer be trusted
 * to be the answer to anything.
 */
#include "pop3.h"

#include <stdio.h>
#include <string.h>

#include "sasl.h"
#include "secret.h"

#define LINE_CAP 2048

/* RFC 5034 section 4: a line of AUTH has at most 255 octets, CRLF included. */
#define AUTH_LINE_MAX 255

struct pop3 {
	struct stream *stream;
	struct pop3_timeouts timeouts;
	char line[LINE_CAP];
	bool line_bare_lf;
	bool has_greeting;
	char greeting[LINE_CAP];
	char timestamp[POP3_TIMESTAMP_MAX];
	struct pop3_capa capa;
	bool awaits_capa;
	struct pop3_dot body;
	bool is_in_body;
	unsigned replies_due; /* QUIT's among them */
	bool has_queued_quit;
	bool is_out_of_step;

	/* What no message may repeat. */
	struct bytes secret; /* borrowed */
	char *response;      /* owned: AUTH PLAIN's, which holds the secret */
};

int pop3_new(struct stream *stream, const struct pop3_timeouts *timeouts,
	     struct pop3 **ret, struct error *err)
{
	_cleanup_stream_ struct stream *owned = stream;
	struct pop3 *pop3 = calloc(1, sizeof(*pop3));

	if (!pop3)
		return error_set_memory(err);

	pop3->stream = TAKE_PTR(owned);
	pop3->timeouts = *timeouts;
	*ret = pop3;
	return 0;
}

void pop3_free(struct pop3 **pop3)
{
	if (!*pop3)
		return;

	stream_free(&(*pop3)->stream);
	secret_wipe_string(&(*pop3)->response);
	free(*pop3);
	*pop3 = NULL;
}

struct stream *pop3_stream(struct pop3 *pop3)
{
	return pop3->stream;
}

const char *pop3_greeting(const struct pop3 *pop3)
{
	return pop3->greeting;
}

const char *pop3_timestamp(const struct pop3 *pop3)
{
	return pop3->timestamp;
}

const struct pop3_capa *pop3_capa(const struct pop3 *pop3)
{
	return &pop3->capa;
}

bool pop3_awaits_capa(const struct pop3 *pop3)
{
	return pop3->awaits_capa;
}

bool pop3_body_lacks_only_lf(const struct pop3 *pop3)
{
	return pop3->body.state == POP3_DOT_DOT_CR && !pop3->body.bare_lf &&
	       !stream_is_broken(pop3->stream);
}

uint64_t pop3_body_wire_bytes(const struct pop3 *pop3)
{
	return pop3->body.wire_bytes;
}

bool pop3_is_in_step(const struct pop3 *pop3)
{
	unsigned n_quit = pop3->has_queued_quit ? 1 : 0;

	return pop3->has_greeting && !pop3->is_out_of_step &&
	       !pop3->is_in_body && pop3->replies_due == n_quit &&
	       !stream_is_broken(pop3->stream);
}

static int read_line(struct pop3 *pop3, struct bytes *ret, struct error *err)
{
	size_t len;

	if (stream_read_line(pop3->stream, pop3->line, sizeof(pop3->line), &len,
			     &pop3->line_bare_lf, err) < 0) {
		pop3->is_out_of_step = true;
		return -1;
	}
	*ret = (struct bytes){ .data = pop3->line, .len = len };
	return 0;
}

static void mask(struct bytes line, char *text, struct bytes word)
{
	char *at = text;

	if (word.len == 0)
		return;
	while ((at = memmem(at, line.len - (size_t)(at - text), word.data,
			    word.len)) != NULL)
		memset(at, '*', word.len);
}

/* A server may repeat the command that it refuses, password and all. */
static void mask_secrets(struct pop3 *pop3, struct bytes line)
{
	const char *response = pop3->response ? pop3->response : "";

	mask(line, pop3->line, pop3->secret);
	mask(line, pop3->line,
	     (struct bytes){ .data = response, .len = strlen(response) });
}

/* Reads one status line; the reply's text lives in pop3->line. */
static int read_status(struct pop3 *pop3, struct pop3_reply *ret,
		       struct error *err)
{
	struct bytes line;

	if (read_line(pop3, &line, err) < 0)
		return -1;
	if (pop3->replies_due > 0)
		pop3->replies_due--;
	mask_secrets(pop3, line);
	if (pop3_parse_reply(line, ret, err) < 0) {
		pop3->is_out_of_step = true;
		return -1;
	}
	return 0;
}

static bool text_has(struct bytes text, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= text.len; i++)
		if (strncasecmp(text.data + i, word, len) == 0)
			return true;
	return false;
}

/*
 * Servers without response codes say in words that another session holds the
 * mailbox, or that they cannot now. "account locked" is none of these: that is
 * a refusal.
 */
static bool means_busy(struct bytes text)
{
	static const char *const words[] = {
		"lock busy",         "already locked",      "in use",
		"mailbox is locked", "maildrop lock",       "mailbox lock",
		"few minutes",       "service unavailable",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (text_has(text, words[i]))
			return true;
	return false;
}

static enum error_kind refusal_kind(const struct pop3_reply *reply,
				    enum error_kind otherwise)
{
	switch (reply->code) {
	case POP3_CODE_IN_USE:
	case POP3_CODE_LOGIN_DELAY:
	case POP3_CODE_SYS_TEMP:
		return ERROR_BUSY;
	case POP3_CODE_AUTH:
		return ERROR_AUTH;
	case POP3_CODE_NONE:
		return means_busy(reply->text) ? ERROR_BUSY : otherwise;
	default:
		return otherwise;
	}
}

/* 0 for +OK, 1 for -ERR with the server's words in err. */
static int judge(struct pop3 *pop3, const struct pop3_reply *reply,
		 enum error_kind kind, struct error *err)
{
	if (reply->status == POP3_OK)
		return 0;
	if (reply->status == POP3_CONTINUE) {
		pop3->is_out_of_step = true;
		return error_set(err, ERROR_PROTOCOL,
				 "server sent a challenge where none was due");
	}
	(void)error_set(err, refusal_kind(reply, kind),
			"server said \"%.200s\"", pop3->line);
	return 1;
}

static int expect_reply(struct pop3 *pop3, enum error_kind kind,
			struct error *err)
{
	struct pop3_reply reply;

	if (read_status(pop3, &reply, err) < 0)
		return -1;
	return judge(pop3, &reply, kind, err);
}

static int queue_line(struct pop3 *pop3, const char *line, size_t len,
		      struct error *err)
{
	if (stream_queue(pop3->stream, line, len, err) < 0 ||
	    stream_queue(pop3->stream, "\r\n", 2, err) < 0)
		return -1;
	pop3->replies_due++;
	return 0;
}

static int flush(struct pop3 *pop3, struct error *err)
{
	if (stream_flush(pop3->stream, err) < 0) {
		pop3->is_out_of_step = true;
		return -1;
	}
	return 0;
}

/* With the timeout that was set for its reply. */
static int send_line(struct pop3 *pop3, const char *line, size_t len,
		     struct error *err)
{
	if (queue_line(pop3, line, len, err) < 0)
		return -1;
	return flush(pop3, err);
}

static int send_word(struct pop3 *pop3, const char *word, struct error *err)
{
	return send_line(pop3, word, strlen(word), err);
}

/* One line that ends in a secret. No copy of it is left behind here. */
static int send_argument(struct pop3 *pop3, const char *command,
			 struct bytes argument, struct error *err)
{
	if (stream_queue(pop3->stream, command, strlen(command), err) < 0 ||
	    stream_queue(pop3->stream, " ", 1, err) < 0)
		return -1;
	return send_line(pop3, argument.data, argument.len, err);
}

static void set_reply_timeout(struct pop3 *pop3)
{
	stream_set_timeout(pop3->stream, pop3->timeouts.reply_usec);
}

static void set_login_timeout(struct pop3 *pop3)
{
	stream_set_timeout(pop3->stream, pop3->timeouts.login_usec);
}

/* Keeps the greeting less its timestamp: that part is new at each visit. */
static void keep_greeting(struct pop3 *pop3, struct bytes line)
{
	char *from, *to;

	if (!pop3_parse_timestamp(line, pop3->timestamp,
				  sizeof(pop3->timestamp)))
		pop3->timestamp[0] = '\0';
	(void)snprintf(pop3->greeting, sizeof(pop3->greeting), "%s",
		       pop3->line); /* same size: nothing is cut */

	from = strchr(pop3->greeting, '<');
	to = from ? strchr(from, '>') : NULL;
	if (to)
		memmove(from, to + 1, strlen(to + 1) + 1);
}

int pop3_read_greeting(struct pop3 *pop3, struct error *err)
{
	struct pop3_reply reply;
	int r;

	set_login_timeout(pop3);
	if (read_status(pop3, &reply, err) < 0)
		return -1;

	pop3->has_greeting = true;
	r = judge(pop3, &reply, ERROR_NETWORK, err);
	if (r != 0)
		return -1;

	keep_greeting(pop3, (struct bytes){ .data = pop3->line,
					    .len = strlen(pop3->line) });
	return 0;
}

static int read_capa_lines(struct pop3 *pop3, struct pop3_capa *capa,
			   struct error *err)
{
	struct bytes line;
	unsigned n_lines = 0;

	for (;;) {
		if (read_line(pop3, &line, err) < 0)
			return -1;
		if (line.len == 1 && line.data[0] == '.')
			break;
		if (++n_lines > 256) {
			pop3->is_out_of_step = true;
			return error_set(err, ERROR_PROTOCOL,
					 "list of capabilities does not end");
		}
		pop3_parse_capability(line, capa);
	}
	capa->known = true;
	return 0;
}

/* RFC 2449 is optional: 0 too when the server knows no CAPA. */
static int read_capa(struct pop3 *pop3, struct pop3_capa *ret,
		     struct error *err)
{
	struct pop3_capa capa = { 0 };
	struct error refusal = { 0 };
	int r;

	set_reply_timeout(pop3);
	r = expect_reply(pop3, ERROR_PROTOCOL, &refusal);
	if (r < 0) {
		*err = refusal;
		return -1;
	}
	if (r == 0 && read_capa_lines(pop3, &capa, err) < 0)
		return -1;
	pop3->awaits_capa = false;
	*ret = capa;
	return 0;
}

int pop3_queue_capa(struct pop3 *pop3, struct error *err)
{
	pop3->awaits_capa = true;
	return queue_line(pop3, "CAPA", strlen("CAPA"), err);
}

int pop3_ask_capa(struct pop3 *pop3, struct error *err)
{
	set_reply_timeout(pop3);
	if (pop3_queue_capa(pop3, err) < 0 || flush(pop3, err) < 0)
		return -1;
	return read_capa(pop3, &pop3->capa, err);
}

void pop3_assume_capa(struct pop3 *pop3, const struct pop3_capa *capa)
{
	pop3->capa = *capa;
	pop3->capa.is_assumed = true;
}

/*
 * RFC 2449 sections 5 and 6: what the two states list may differ, and servers
 * leave out after the login what is of no use then (STLS, SASL, USER). What is
 * used then must be equal.
 */
int pop3_check_capa(struct pop3 *pop3, struct error *err)
{
	struct pop3_capa *capa = &pop3->capa;
	struct pop3_capa now;

	if (read_capa(pop3, &now, err) < 0)
		return -1;
	if (!now.known)
		return 0;
	if (capa->pipelining == now.pipelining && capa->uidl == now.uidl)
		capa->is_assumed = false;
	capa->pipelining = now.pipelining;
	capa->uidl = now.uidl;
	return 0;
}

int pop3_start_tls(struct pop3 *pop3, const struct tls_trust *trust,
		   const char *host, struct error *err)
{
	int r;

	set_login_timeout(pop3);
	if (send_word(pop3, "STLS", err) < 0)
		return -1;
	r = expect_reply(pop3, ERROR_PROTOCOL, err);
	if (r != 0)
		return -1;
	if (stream_start_tls(pop3->stream, trust, host, err) < 0) {
		pop3->is_out_of_step = true;
		return -1;
	}

	/* RFC 2595 section 4: nothing learnt in clear may be used. */
	pop3->timestamp[0] = '\0';
	pop3->greeting[0] = '\0';
	pop3->capa = (struct pop3_capa){ 0 };
	return 0;
}

int pop3_login_apop(struct pop3 *pop3, struct bytes username,
		    struct bytes secret, struct error *err)
{
	char digest[SASL_APOP_DIGEST_SIZE];

	pop3->secret = secret;
	if (sasl_apop_digest(pop3->timestamp, secret, digest, err) < 0)
		return -1;

	set_login_timeout(pop3);
	if (stream_queue(pop3->stream, "APOP ", 5, err) < 0 ||
	    stream_queue(pop3->stream, username.data, username.len, err) < 0 ||
	    stream_queue(pop3->stream, " ", 1, err) < 0 ||
	    send_word(pop3, digest, err) < 0)
		return -1;
	return expect_reply(pop3, ERROR_AUTH, err);
}

/* The form in two lines, for what RFC 5034 does not let into one. */
static int send_plain_apart(struct pop3 *pop3, const char *response,
			    struct error *err)
{
	struct pop3_reply reply;

	if (send_word(pop3, "AUTH PLAIN", err) < 0 ||
	    read_status(pop3, &reply, err) < 0)
		return -1;
	if (reply.status == POP3_ERR)
		return judge(pop3, &reply, ERROR_AUTH, err);
	if (reply.status != POP3_CONTINUE)
		return error_set(err, ERROR_PROTOCOL,
				 "server accepted AUTH PLAIN unasked");
	return send_word(pop3, response, err);
}

static int send_plain(struct pop3 *pop3, const char *response,
		      struct error *err)
{
	struct bytes argument = { .data = response, .len = strlen(response) };

	if (strlen("AUTH PLAIN ") + argument.len + 2 > AUTH_LINE_MAX)
		return send_plain_apart(pop3, response, err);
	return send_argument(pop3, "AUTH PLAIN", argument, err);
}

int pop3_login_plain(struct pop3 *pop3, struct bytes username,
		     struct bytes secret, struct error *err)
{
	int r;

	pop3->secret = secret;
	secret_wipe_string(&pop3->response);
	if (sasl_plain(username, secret, &pop3->response, err) < 0)
		return -1;

	set_login_timeout(pop3);
	r = send_plain(pop3, pop3->response, err);
	if (r != 0)
		return r;
	return expect_reply(pop3, ERROR_AUTH, err);
}

int pop3_login_user(struct pop3 *pop3, struct bytes username,
		    struct bytes secret, struct error *err)
{
	int r;

	pop3->secret = secret;
	set_login_timeout(pop3);
	if (send_argument(pop3, "USER", username, err) < 0)
		return -1;
	/* PASS waits for the reply: some servers drop what comes with USER. */
	r = expect_reply(pop3, ERROR_AUTH, err);
	if (r != 0)
		return r;

	if (send_argument(pop3, "PASS", secret, err) < 0)
		return -1;
	return expect_reply(pop3, ERROR_AUTH, err);
}

void pop3_forget_secret(struct pop3 *pop3)
{
	pop3->secret = (struct bytes){ 0 };
	secret_wipe_string(&pop3->response);
}

static int queue_number(struct pop3 *pop3, const char *command, uint32_t number,
			struct error *err)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%s %u", command, number);

	return queue_line(pop3, line, (size_t)len, err);
}

int pop3_queue_retr(struct pop3 *pop3, uint32_t number, struct error *err)
{
	return queue_number(pop3, "RETR", number, err);
}

int pop3_queue_dele(struct pop3 *pop3, uint32_t number, struct error *err)
{
	return queue_number(pop3, "DELE", number, err);
}

int pop3_queue_scan(struct pop3 *pop3, uint32_t number, struct error *err)
{
	return queue_number(pop3, "LIST", number, err);
}

int pop3_queue_word(struct pop3 *pop3, const char *word, struct error *err)
{
	return queue_line(pop3, word, strlen(word), err);
}

int pop3_queue_quit(struct pop3 *pop3, struct error *err)
{
	if (pop3_queue_word(pop3, "QUIT", err) < 0)
		return -1;
	pop3->has_queued_quit = true;
	return 0;
}

int pop3_flush(struct pop3 *pop3, struct error *err)
{
	set_reply_timeout(pop3);
	return flush(pop3, err);
}

int pop3_read_reply(struct pop3 *pop3, struct error *err)
{
	int r;

	set_reply_timeout(pop3);
	r = expect_reply(pop3, ERROR_PROTOCOL, err);
	if (r == 0)
		pop3_dot_init(&pop3->body, pop3->line_bare_lf);
	return r;
}

int pop3_read_list_line(struct pop3 *pop3, char *line, size_t cap,
			size_t *ret_len, struct error *err)
{
	set_reply_timeout(pop3);
	if (stream_read_line(pop3->stream, line, cap, ret_len, NULL, err) < 0) {
		pop3->is_out_of_step = true;
		return -1;
	}
	return 0;
}

int pop3_read_body(struct pop3 *pop3, char *buf, size_t cap, size_t *ret_len,
		   struct error *err)
{
	size_t consumed, len = 0;

	pop3->is_in_body = true;
	while (len == 0 && pop3->body.state != POP3_DOT_END) {
		struct bytes in = stream_peek(pop3->stream);

		if (in.len == 0) {
			set_reply_timeout(pop3);
			if (stream_fill(pop3->stream, err) < 0) {
				pop3->is_out_of_step = true;
				return -1;
			}
			continue;
		}
		len = pop3_dot_decode(&pop3->body, in, &consumed, buf, cap);
		stream_consume(pop3->stream, consumed);
	}
	if (len == 0)
		pop3->is_in_body = false;
	*ret_len = len;
	return 0;
}

int pop3_quit(struct pop3 *pop3, struct error *err)
{
	set_reply_timeout(pop3);
	if ((!pop3->has_queued_quit && pop3_queue_quit(pop3, err) < 0) ||
	    flush(pop3, err) < 0)
		return -1;
	return expect_reply(pop3, ERROR_PROTOCOL, err);
}
