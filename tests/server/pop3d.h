/*
 * pop3d.h - a plain, correct POP3 server's side of one session (RFC 1939,
 * 2449, 2595, 5034), command by command.
 *
 * Used as a server of its own (serve.c) and as what a script falls back on
 * where it says nothing else (play.c).
 */
#pragma once

#include "box.h"
#include "wire.h"

struct pop3d_options {
	const char *username;
	const char *password;
	const char *greeting;    /* its <...>, if any, is the APOP timestamp */
	const char *capa;        /* "USER, UIDL, ..."; NULL: -ERR */
	const char *tls_capa;    /* the same under TLS; NULL: capa less STLS */
	const char *tls_dir;     /* NULL: no TLS */
	const char *certificate; /* "good" */
	int mark_fd;             /* -1: none */
	bool has_stls;
	bool no_uidl;
	bool deletes_at_once; /* at DELE, as no server should */
};

struct pop3d {
	const struct pop3d_options *options; /* borrowed, as the next two */
	struct wire *wire;
	struct box *box;
	char user[256]; /* what USER said */
	size_t n_retrieved; /* counted by who wants to break the line */
	bool is_logged_in;
	bool is_open; /* the box is ours to close */
	bool is_over; /* QUIT was answered */
};

void pop3d_init(struct pop3d *server, const struct pop3d_options *options,
		struct wire *wire, struct box *box);
void pop3d_done(struct pop3d *server);

/* One status line, with CRLF behind it and a line in the transcript. */
void pop3d_reply(struct pop3d *server, const char *fmt, ...) _printf_(2, 3);
void pop3d_greet(struct pop3d *server);

/* Answers one command. -1: the session cannot go on; the failure says why. */
int pop3d_answer(struct pop3d *server, const char *line,
		 struct failure *failure);
