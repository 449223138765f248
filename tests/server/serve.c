/*
 * serve.c - serves a Maildir as a plain, correct POP3 server.
 *
 * A process per connection; they end with the first one. The lock on the
 * Maildir is the session's, so it ends with its process, however that ends.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "pop3d.h"
#include "serve.h"

/* Nothing needs undoing, and the children end with us. */
static _noreturn_ void on_term(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

static void make_greeting(const struct serve_options *options, char *greeting,
			  size_t cap)
{
	if (options->no_apop)
		(void)snprintf(greeting, cap, "+OK pop3-player");
	else
		(void)snprintf(greeting, cap,
			       "+OK pop3-player <%d.%llu@pop.test>",
			       (int)getpid(),
			       (unsigned long long)now_usec(CLOCK_REALTIME));
}

static void make_capa(const struct serve_options *options, char *capa,
		      size_t cap)
{
	(void)snprintf(capa, cap, "USER, TOP, RESP-CODES, SASL PLAIN%s%s%s",
		       options->no_uidl ? "" : ", UIDL",
		       options->no_pipelining ? "" : ", PIPELINING",
		       options->has_stls ? ", STLS" : "");
}

/* How a line breaks: what is on its way to the client still arrives. */
enum end {
	END_NONE = 0,
	END_CUT,
	END_HANG,
};

static enum end end_at_retr(const struct serve_options *options,
			    struct pop3d *server, size_t number)
{
	static const char half[] = "Subject: half of it\r\n\r\nand no";
	const struct mail *mail = box_mail(server->box, number);

	server->n_retrieved++;
	if (server->n_retrieved == options->cut_after + 1 &&
	    options->cut_after > 0)
		return END_CUT;
	if (server->n_retrieved == options->hang_after + 1 &&
	    options->hang_after > 0)
		return END_HANG;
	if (!mail || !options->cut_in ||
	    strcmp(mail->uid.data, options->cut_in) != 0)
		return END_NONE;
	pop3d_reply(server, "+OK half of it follows");
	wire_queue(server->wire, half, strlen(half));
	return END_CUT;
}

static enum end end_at(const struct serve_options *options,
		       struct pop3d *server, const char *line)
{
	if (strcasecmp(line, "QUIT") == 0 && options->cut_at_quit)
		return END_CUT;
	if (strncasecmp(line, "RETR ", 5) != 0)
		return END_NONE;
	return end_at_retr(options, server, strtoul(line + 5, NULL, 10));
}

static int converse(const struct serve_options *options, struct pop3d *server,
		    struct failure *failure)
{
	char line[WIRE_LINE_MAX];
	enum end end;
	size_t len;
	int r;

	if (server->wire->is_over)
		return 0; /* the client did not like the certificate */
	pop3d_greet(server);
	while (!server->is_over) {
		r = wire_read_line(server->wire, line, &len, failure);
		if (r <= 0)
			return r;
		end = end_at(options, server, line);
		if (end == END_HANG) {
			wire_flush(server->wire);
			wire_drain(server->wire);
			return 0;
		}
		if (end == END_CUT) {
			wire_cut(server->wire);
			return 0;
		}
		if (pop3d_answer(server, line, failure) < 0)
			return -1;
	}
	wire_close(server->wire);
	return 0;
}

static int serve_connection(const struct serve_options *options,
			    struct wire *wire, int mark_fd,
			    struct failure *failure)
{
	char greeting[128], capa[128];
	const struct pop3d_options server_options = {
		.username = options->username,
		.password = options->password,
		.greeting = greeting,
		.capa = options->no_capa ? NULL : capa,
		.tls_dir = options->tls_dir,
		.certificate = options->certificate,
		.mark_fd = mark_fd,
		.has_stls = options->has_stls,
		.no_uidl = options->no_uidl,
		.deletes_at_once = options->deletes_at_once,
	};
	struct pop3d server;
	struct box box;
	int r = 0;

	make_greeting(options, greeting, sizeof(greeting));
	make_capa(options, capa, sizeof(capa));
	box_init(&box, options->maildir);
	pop3d_init(&server, &server_options, wire, &box);
	if (options->is_tls_implicit)
		r = wire_start_tls(wire, options->tls_dir, options->certificate,
				   failure);
	if (r == 0)
		r = converse(options, &server, failure);
	pop3d_done(&server);
	box_done(&box);
	transcript_note(wire->transcript, "over"); /* the lock is free */
	return r;
}

static int open_mark(const struct serve_options *options, int *ret,
		     struct failure *failure)
{
	if (!options->mark)
		return 0;
	*ret = open(options->mark, O_WRONLY | O_APPEND | O_CLOEXEC);
	return *ret < 0 ? fail_errno(failure, options->mark) : 0;
}

/* The child's whole life; returns its exit status. */
static int child_run(const struct serve_options *options, struct wire *wire,
		     pid_t parent)
{
	struct failure failure = { .text = "" };
	_cleanup_fd_ int mark_fd = -1;

	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return 1;
	if (open_mark(options, &mark_fd, &failure) == 0 &&
	    serve_connection(options, wire, mark_fd, &failure) == 0)
		return 0;
	transcript_note(wire->transcript, "%s", failure.text);
	(void)fprintf(stderr, "pop3-player: %s\n", failure.text);
	return 1;
}

static int start_child(const struct serve_options *options, struct wire *wire,
		       struct failure *failure)
{
	pid_t parent = getpid();
	pid_t child = fork();
	int status;

	if (child < 0)
		return fail_errno(failure, "fork");
	if (child > 0)
		return 0;
	status = child_run(options, wire, parent);
	wire_free(&wire);
	_exit(status);
}

static void reap(bool wait_for_all)
{
	while (waitpid(-1, NULL, wait_for_all ? 0 : WNOHANG) > 0)
		;
}

static int serve_connections(const struct serve_options *options,
			     const struct listener *listener,
			     const struct transcript *transcript,
			     struct failure *failure)
{
	struct wire *wire = NULL;
	int r;

	for (unsigned n = 0;
	     options->connections == 0 || n < options->connections; n++) {
		reap(false);
		if (wire_accept(listener, transcript, &wire, failure) < 0)
			return -1;
		if (n == 0)
			wire->left = options->limits;
		r = start_child(options, wire, failure);
		wire_free(&wire);
		if (r < 0)
			return -1;
	}
	reap(true);
	return 0;
}

int serve_run(const struct serve_options *options, struct failure *failure)
{
	struct listener listener = { .fd = -1 };
	struct transcript transcript = { .fd = -1 };
	int r;

	(void)signal(SIGTERM, on_term);
	(void)signal(SIGINT, on_term);
	r = transcript_open(&transcript, options->transcript, failure);
	if (r == 0)
		r = wire_listen(&listener, options->address, options->port,
				failure);
	if (r == 0)
		r = wire_tell_port(&listener, options->port_file, failure);
	if (r == 0)
		r = serve_connections(options, &listener, &transcript, failure);
	fd_close(&listener.fd);
	fd_close(&transcript.fd);
	return r;
}
