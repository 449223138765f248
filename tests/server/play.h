/*
 * play.h - plays a script to a client, connection after connection.
 */
#pragma once

#include "wire.h"

struct play_options {
	const char *script;
	const char *address;
	const char *tls_dir;   /* NULL: no TLS */
	const char *port_file; /* NULL: none */
	const char
		*messages_dir;  /* NULL: none; else message N goes to N in it */
	const char *transcript; /* NULL: none */
	const char *term_file;  /* appears when SIGTERM was sent; NULL: none */
};

/* 0 when the client said all that the script expects, and nothing else. */
int play_run(const struct play_options *options, struct failure *failure);
