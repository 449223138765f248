/*
 * wire.h - one connection seen from the server: lines in, bytes out, its end.
 *
 * Blocking, with OpenSSL when asked for. Output is collected and leaves when
 * the input has run dry, as servers do that take pipelined commands. Nothing
 * that the client does is an error here: it closes, it resets, it refuses the
 * certificate; is_over says that it did, and the transcript how.
 */
#pragma once

#include <openssl/ssl.h>

#include "note.h"

#define WIRE_LINE_MAX 65536
#define WIRE_NO_LIMIT UINT64_MAX

/* After so many bytes, inside TLS, the connection is cut. */
struct wire_limits {
	uint64_t sent_bytes;
	uint64_t received_bytes;
	bool is_reset; /* by a TCP reset */
};

struct wire {
	int fd;
	SSL *ssl;                            /* NULL: in clear */
	const struct transcript *transcript; /* borrowed */
	char in[16384];
	size_t in_start;
	size_t in_end;
	char out[65536];
	size_t out_len;
	struct wire_limits left;
	size_t split;    /* bytes in one write; 0: all of them */
	bool lf_only;    /* CRLF leaves as LF */
	bool has_spoken; /* something was sent: no greeting is due */
	bool is_over;    /* nothing more can be read */
	bool is_mute;    /* nothing more can be sent */
};

struct listener {
	int fd;
	uint16_t port;
};

/* port 0: any free one. */
int wire_listen(struct listener *ret, const char *address, uint16_t port,
		struct failure *failure);

/* Writes the port into the file, which appears whole or not at all. */
int wire_tell_port(const struct listener *listener, const char *path,
		   struct failure *failure);

/*
 * Waits for a client. The wire is large: allocated, freed by wire_free. It has
 * no limits yet.
 */
int wire_accept(const struct listener *listener,
		const struct transcript *transcript, struct wire **ret,
		struct failure *failure);
void wire_free(struct wire **wire);

/*
 * One line without its CRLF: 1 and its length, 0 at the end of the
 * connection, -1 when it is too long or ends in LF alone. Flushes before it
 * waits.
 */
int wire_read_line(struct wire *wire, char line[WIRE_LINE_MAX], size_t *ret_len,
		   struct failure *failure);

/* True when the client says nothing for so long. */
bool wire_is_quiet(struct wire *wire, uint64_t msec);

void wire_queue(struct wire *wire, const char *data, size_t len);
void wire_flush(struct wire *wire);

/*
 * TLS from here on, as the server, with DIR/CERTIFICATE.pem and .key. A client
 * that refuses only ends the connection; -1 when the files are no good or
 * when the client sent something before its turn.
 */
int wire_start_tls(struct wire *wire, const char *dir, const char *certificate,
		   struct failure *failure);

/* Reads until the client is gone. */
void wire_drain(struct wire *wire);

/* The end: politely, without TLS's goodbye, or with a TCP reset. */
void wire_close(struct wire *wire);
void wire_cut(struct wire *wire);
void wire_reset(struct wire *wire);
