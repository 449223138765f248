/*
 * serve.h - serves a Maildir as a plain, correct POP3 server.
 */
#pragma once

#include "wire.h"

struct serve_options {
	const char *maildir;
	const char *username;
	const char *password;
	const char *tls_dir;     /* NULL: no TLS */
	const char *certificate; /* "good" */
	const char *address;
	const char *port_file;     /* NULL: none */
	const char *transcript;    /* NULL: none */
	const char *mark;          /* a file that takes marks; NULL: none */
	uint16_t port;             /* 0: any free one */
	unsigned connections;      /* then end; 0: never */
	unsigned cut_after;        /* messages of a session; 0: never */
	unsigned hang_after;       /* the same */
	const char *cut_in;        /* the middle of this UID; NULL: never */
	struct wire_limits limits; /* of the first connection */
	bool is_tls_implicit;
	bool has_stls;
	bool no_apop;
	bool no_pipelining;
	bool no_uidl;
	bool no_capa;
	bool deletes_at_once;
	bool cut_at_quit; /* which deletes nothing then */
};

/* Until SIGTERM, or until so many connections have come and gone. */
int serve_run(const struct serve_options *options, struct failure *failure);
