/*
 * pop3.h - the commands of RFC 1939, 2449, 2595 and 5034, and the pipeline.
 *
 * A command that the server may refuse returns 1 for "-ERR", with the
 * server's words in err, so that the caller decides what a refusal means; 0
 * is success and -1 is the end of the conversation. RETR, DELE and NOOP are
 * queued and answered apart, so that many can be on their way.
 */
#pragma once

#include "base.h"
#include "error.h"
#include "pop3_parse.h"
#include "stream.h"

struct pop3;

struct pop3_timeouts {
	uint64_t reply_usec;
	uint64_t login_usec; /* greeting, STLS and credentials: servers may take their time */
};

/* Takes the stream, also on failure. */
int pop3_new(struct stream *stream, const struct pop3_timeouts *timeouts,
	     struct pop3 **ret, struct error *err) _must_check_;
void pop3_free(struct pop3 **pop3);
#define _cleanup_pop3_ _cleanup_(pop3_free)

/* A server that greets with -ERR is ERROR_NETWORK, unless a response code says more. */
int pop3_read_greeting(struct pop3 *pop3, struct error *err) _must_check_;

/* The greeting without the APOP timestamp, and the timestamp or "". Borrowed. */
const char *pop3_greeting(const struct pop3 *pop3);
const char *pop3_timestamp(const struct pop3 *pop3);

/* A server without CAPA is no error: capa.known stays false. */
int pop3_ask_capa(struct pop3 *pop3, struct error *err) _must_check_;
/* In place of asking: what an earlier visit was told. */
void pop3_assume_capa(struct pop3 *pop3, const struct pop3_capa *capa);
const struct pop3_capa *pop3_capa(const struct pop3 *pop3);

/* True from CAPA on until its reply is there: some servers hang up on it. */
bool pop3_awaits_capa(const struct pop3 *pop3);

/*
 * The reply to a CAPA that was queued after the login. What counts then is
 * taken over; the capabilities are assumed no longer when it agrees with them.
 * A refusal says nothing: some servers know CAPA before the login alone.
 */
int pop3_check_capa(struct pop3 *pop3, struct error *err) _must_check_;

/* Greeting, timestamp and capabilities are forgotten: they came in clear. */
int pop3_start_tls(struct pop3 *pop3, const struct tls_trust *trust,
		   const char *host, struct error *err) _must_check_;

/*
 * One credential attempt each. 1: refused, err is ERROR_AUTH with the reply.
 * The secret is borrowed until pop3_forget_secret: what a server repeats of it
 * until then is masked in every error.
 */
int pop3_login_apop(struct pop3 *pop3, struct bytes username,
		    struct bytes secret, struct error *err) _must_check_;
int pop3_login_plain(struct pop3 *pop3, struct bytes username,
		     struct bytes secret, struct error *err) _must_check_;
int pop3_login_user(struct pop3 *pop3, struct bytes username,
		    struct bytes secret, struct error *err) _must_check_;
void pop3_forget_secret(struct pop3 *pop3); /* and wipes what was made of it */

/* The pipeline: queued, sent with the flush, answered in order. */
int pop3_queue_retr(struct pop3 *pop3, uint32_t number, struct error *err)
	_must_check_;
int pop3_queue_dele(struct pop3 *pop3, uint32_t number, struct error *err)
	_must_check_;
/* LIST of one message: one line, -ERR when there is none of that number. */
int pop3_queue_scan(struct pop3 *pop3, uint32_t number, struct error *err)
	_must_check_;
/* To be read by pop3_check_capa. */
int pop3_queue_capa(struct pop3 *pop3, struct error *err) _must_check_;
/* A command without an argument: NOOP, UIDL, LIST. */
int pop3_queue_word(struct pop3 *pop3, const char *word, struct error *err)
	_must_check_;
/* Behind the last DELEs: nothing may be queued after it. pop3_quit reads the reply. */
int pop3_queue_quit(struct pop3 *pop3, struct error *err) _must_check_;
int pop3_flush(struct pop3 *pop3, struct error *err) _must_check_;

/* The next status line: 0 for +OK; 1 for -ERR, err (ERROR_PROTOCOL or ERROR_BUSY) has the words. */
int pop3_read_reply(struct pop3 *pop3, struct error *err) _must_check_;

/* After the +OK to UIDL or LIST: one line, "." being the last. As stream_read_line. */
int pop3_read_list_line(struct pop3 *pop3, char *line, size_t cap,
			size_t *ret_len, struct error *err) _must_check_;

/* After the +OK to RETR: reads decoded bytes until *ret_len is 0, the end. */
int pop3_read_body(struct pop3 *pop3, char *buf, size_t cap, size_t *ret_len,
		   struct error *err) _must_check_;

/*
 * After pop3_read_body failed: a line that begins with a dot and a CR was the
 * last to come, no LF followed in time, and the peer is still there. Cyrus
 * 3.4.6 ends messages so at times.
 */
bool pop3_body_lacks_only_lf(const struct pop3 *pop3);

/* What LIST should have said of the body just read. */
uint64_t pop3_body_wire_bytes(const struct pop3 *pop3);

/*
 * True when QUIT would be understood as a command, or when it was sent and its
 * reply is the next: nothing else is due, nothing broke.
 */
bool pop3_is_in_step(const struct pop3 *pop3);

/* QUIT, unless it was queued before, and its reply. 1: "-ERR", some messages were not removed. */
int pop3_quit(struct pop3 *pop3, struct error *err) _must_check_;

/* Borrowed: for waiting, stopping and shutting down. */
struct stream *pop3_stream(struct pop3 *pop3);
