/*
 * peer.h - a scripted server at the other end of a connection.
 *
 * It plays its rows in a thread of its own: each waits for one line, if it
 * names one, and then sends its bytes in one write. What the client sends is
 * written down, line by line, also behind the last row, until the client
 * closes. A line other than the one awaited is written down with what was
 * due, and ends the play: the connection is closed.
 */
#pragma once

#include "base.h"

/* How NOOP and LIST are answered that ask whether we are in step. */
enum peer_proof {
	PEER_NO_PROOF = 0, /* an ordinary row */
	PEER_IN_STEP,	   /* +OK to NOOP, -ERR to LIST */
	PEER_SAYS_OK,
	PEER_SAYS_ERR,
};

struct peer_row {
	/* Without CRLF; a last '*' stands for anything. NULL: none is awaited. */
	const char *expect;
	const char *send;   /* NULL: nothing */
	size_t send_len;    /* 0: all of the string */
	bool closes;	    /* behind that the peer is gone */
	/* It sends once the client says more, or nothing for so long. */
	int patience_msec;
	enum peer_proof proof; /* as many as come; written down as "(proof)" */
};

/* The common row. */
#define PEER_ROW(expected, answer) { .expect = (expected), .send = (answer) }

struct peer;

/* Over a socket pair. Rows are borrowed until peer_finish; never NULL. */
struct peer *peer_new(const struct peer_row *rows, size_t n_rows, int *ret_fd);

/* Over TCP on 127.0.0.1, for the first that connects. */
struct peer *peer_new_listening(const struct peer_row *rows, size_t n_rows,
				uint16_t *ret_port);

/*
 * Over TCP between two addresses of this machine that are not loopback.
 * NULL: it has none, and we may not make one.
 */
struct peer *peer_new_far(const struct peer_row *rows, size_t n_rows,
			  int *ret_fd);

/* Writes a line of the test's own between those of the client. */
void peer_note(struct peer *peer, const char *line);

/*
 * What was written down: each line with a LF behind it. Waits for the client
 * to close. Borrowed from the peer.
 */
const char *peer_finish(struct peer *peer);

/* After peer_finish: answers sent while the next line was there already. */
unsigned peer_count_early(const struct peer *peer);
/* At any time. */
bool peer_has_played_all(const struct peer *peer);

void peer_free(struct peer **peer);
#define _cleanup_peer_ _cleanup_(peer_free)
