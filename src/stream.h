/*
 * stream.h - lines and bytes with a deadline, over a socket or TLS.
 *
 * The socket is non-blocking and every wait is bounded: by the timeout that
 * was set for the reply at hand, by the least rate, and, once the worker has
 * been told to stop, by stop_timeout. Errors are ERROR_NETWORK unless said.
 *
 * The least rate is judged once a minute of waiting for input is full, and
 * counted from the first byte behind a flush: until then the server may think
 * for as long as its timeout allows.
 */
#pragma once

#include "base.h"
#include "error.h"

struct stream;
struct tls_trust;

/* A status line longer than this is refused, not stored: ERROR_PROTOCOL. */
#define STREAM_LINE_LIMIT 65536

struct stream_options {
	int stop_fd; /* readable once told to stop; borrowed; -1: none */
	uint64_t stop_timeout_usec; /* what may still happen after that */
	uint64_t min_rate_bytes;    /* per minute of waiting; 0: none */
};

/* Takes the connected socket, also on failure. */
int stream_new(int fd, const struct stream_options *options,
	       struct stream **ret, struct error *err) _must_check_;
void stream_free(struct stream **stream); /* closes the socket */
#define _cleanup_stream_ _cleanup_(stream_free)

/* From now on a wait for one piece of input or output may last so long. */
void stream_set_timeout(struct stream *stream, uint64_t timeout_usec);

/* The rest of this stream's life may last so long, or less if that was said before. */
void stream_set_deadline(struct stream *stream, uint64_t from_now_usec);

/*
 * TLS from here on, verified for host (a name or an address). ERROR_AUTH when
 * the certificate or its name is refused. ERROR_PROTOCOL when plaintext is
 * buffered already: it would be taken for text inside TLS (STLS injection).
 */
int stream_start_tls(struct stream *stream, const struct tls_trust *trust,
		     const char *host, struct error *err) _must_check_;
bool stream_is_tls(const struct stream *stream);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" without TLS. Borrowed. */
const char *stream_tls_description(const struct stream *stream);

/*
 * Reads one line, ended by LF or CRLF, neither of which is stored. At most
 * cap - 1 bytes are kept and the rest of the line is read and dropped; the
 * line may hold NUL, so *ret_len counts, but it is terminated as well.
 * *ret_bare_lf (may be NULL): the line ended in LF without CR.
 */
int stream_read_line(struct stream *stream, char *line, size_t cap,
		     size_t *ret_len, bool *ret_bare_lf, struct error *err)
	_must_check_;

/* What is buffered (decrypted) right now; may be empty. Valid until the next call. */
struct bytes stream_peek(const struct stream *stream);
void stream_consume(struct stream *stream, size_t len);

/* Waits for and reads at least one more byte into a buffer that peek then shows. */
int stream_fill(struct stream *stream, struct error *err) _must_check_;

/*
 * Waits at most so long for input: 1 there is some (or the peer closed, which
 * the next fill tells), 0 there is none. Does not count as a timeout.
 */
int stream_wait(struct stream *stream, uint64_t timeout_usec, struct error *err)
	_must_check_;

/* Queues bytes; they leave with the next flush. ERROR_LOCAL when out of memory. */
int stream_queue(struct stream *stream, const char *data, size_t len,
		 struct error *err) _must_check_;

/* Sends all that is queued. The queue is wiped after it was sent: it may have held a secret. */
int stream_flush(struct stream *stream, struct error *err) _must_check_;

/* Ends both directions at once, so that the server sees it. */
void stream_shutdown(struct stream *stream);

/* True once the worker was told to stop. Asks the descriptor, does not wait. */
bool stream_is_stopping(struct stream *stream);

/* True once a read or write failed or the peer closed: nothing more can be said. */
bool stream_is_broken(const struct stream *stream);

/* True when the peer is on this machine (127.0.0.0/8, ::1, a Unix socket). */
bool stream_is_loopback(const struct stream *stream);
