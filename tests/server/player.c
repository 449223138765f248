/*
 * player.c - pop3-player: a POP3 server for tests.
 *
 * It plays a scripted dialogue, or serves a Maildir as a plain POP3 server,
 * or makes the certificates for both. Never to be used with real mail.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ca.h"
#include "play.h"
#include "serve.h"

static const char usage[] =
	"usage: pop3-player ca DIR\n"
	"       pop3-player script FILE [--tls-dir DIR] [--address A]\n"
	"           [--port-file F] [--messages-dir DIR] [--transcript F]\n"
	"           [--term-file F]\n"
	"       pop3-player serve --maildir DIR --user U --password P\n"
	"           [--tls implicit|starttls|none] [--tls-dir DIR]\n"
	"           [--certificate good|expired|wrong-name|selfsigned]\n"
	"           [--no-apop] [--no-pipelining] [--no-uidl] [--no-capa]\n"
	"           [--dele-at-once] [--cut-at-quit]\n"
	"           [--cut-after MESSAGES] [--hang-after MESSAGES]\n"
	"           [--cut-in UID]\n"
	"           [--address A] [--port N] [--port-file F]\n"
	"           [--transcript F] [--mark F] [--connections N]\n"
	"           [--cut-after-sent BYTES] [--cut-after-received BYTES]\n"
	"           [--cut-by-reset]\n";

static int parse_script_options(int argc, char **argv, struct play_options *ret)
{
	static const struct option options[] = {
		{ "tls-dir", required_argument, NULL, 'd' },
		{ "address", required_argument, NULL, 'a' },
		{ "port-file", required_argument, NULL, 'f' },
		{ "messages-dir", required_argument, NULL, 'm' },
		{ "transcript", required_argument, NULL, 't' },
		{ "term-file", required_argument, NULL, 's' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			ret->tls_dir = optarg;
		else if (c == 'a')
			ret->address = optarg;
		else if (c == 'f')
			ret->port_file = optarg;
		else if (c == 'm')
			ret->messages_dir = optarg;
		else if (c == 't')
			ret->transcript = optarg;
		else if (c == 's')
			ret->term_file = optarg;
		else
			return -1;
	}
	ret->script = argv[optind];
	return argc - optind == 1 ? 0 : -1;
}

static int run_script(int argc, char **argv, struct failure *failure)
{
	struct play_options options = { .address = "127.0.0.1" };

	if (parse_script_options(argc, argv, &options) < 0)
		return fail(failure, "wrong usage\n%s", usage);
	return play_run(&options, failure);
}

static int parse_tls(const char *mode, struct serve_options *ret)
{
	ret->is_tls_implicit = strcmp(mode, "implicit") == 0;
	ret->has_stls = strcmp(mode, "starttls") == 0;
	return ret->is_tls_implicit || ret->has_stls ||
			       strcmp(mode, "none") == 0
		       ? 0
		       : -1;
}

static int parse_count(const char *text, unsigned long max, unsigned *ret)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || count > max)
		return -1;
	*ret = (unsigned)count;
	return 0;
}

static int parse_bytes(const char *text, uint64_t *ret)
{
	unsigned count;

	if (parse_count(text, 1000000000, &count) < 0)
		return -1;
	*ret = count;
	return 0;
}

static int take_serve_option(int c, const char *value,
			     struct serve_options *ret)
{
	unsigned count = 0;
	int r = 0;

	switch (c) {
	case 'm':
		ret->maildir = value;
		break;
	case 'u':
		ret->username = value;
		break;
	case 'p':
		ret->password = value;
		break;
	case 'd':
		ret->tls_dir = value;
		break;
	case 'c':
		ret->certificate = value;
		break;
	case 'a':
		ret->address = value;
		break;
	case 'f':
		ret->port_file = value;
		break;
	case 't':
		ret->transcript = value;
		break;
	case 'M':
		ret->mark = value;
		break;
	case 's':
		return parse_tls(value, ret);
	case 'P':
		r = parse_count(value, UINT16_MAX, &count);
		ret->port = (uint16_t)count;
		return r;
	case 'n':
		return parse_count(value, 1000000, &ret->connections);
	case 'A':
		return parse_count(value, 1000000, &ret->cut_after);
	case 'H':
		return parse_count(value, 1000000, &ret->hang_after);
	case 'I':
		ret->cut_in = value;
		break;
	case 'S':
		return parse_bytes(value, &ret->limits.sent_bytes);
	case 'R':
		return parse_bytes(value, &ret->limits.received_bytes);
	default:
		return -1;
	}
	return 0;
}

static int parse_serve_options(int argc, char **argv, struct serve_options *ret)
{
	int no_apop = 0, no_pipelining = 0, no_uidl = 0, no_capa = 0;
	int dele_at_once = 0, cut_at_quit = 0, cut_by_reset = 0;
	const struct option options[] = {
		{ "maildir", required_argument, NULL, 'm' },
		{ "user", required_argument, NULL, 'u' },
		{ "password", required_argument, NULL, 'p' },
		{ "tls", required_argument, NULL, 's' },
		{ "tls-dir", required_argument, NULL, 'd' },
		{ "certificate", required_argument, NULL, 'c' },
		{ "address", required_argument, NULL, 'a' },
		{ "port", required_argument, NULL, 'P' },
		{ "port-file", required_argument, NULL, 'f' },
		{ "transcript", required_argument, NULL, 't' },
		{ "mark", required_argument, NULL, 'M' },
		{ "connections", required_argument, NULL, 'n' },
		{ "cut-after", required_argument, NULL, 'A' },
		{ "hang-after", required_argument, NULL, 'H' },
		{ "cut-in", required_argument, NULL, 'I' },
		{ "cut-after-sent", required_argument, NULL, 'S' },
		{ "cut-after-received", required_argument, NULL, 'R' },
		{ "cut-by-reset", no_argument, &cut_by_reset, 1 },
		{ "no-apop", no_argument, &no_apop, 1 },
		{ "no-pipelining", no_argument, &no_pipelining, 1 },
		{ "no-uidl", no_argument, &no_uidl, 1 },
		{ "no-capa", no_argument, &no_capa, 1 },
		{ "dele-at-once", no_argument, &dele_at_once, 1 },
		{ "cut-at-quit", no_argument, &cut_at_quit, 1 },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 0 && take_serve_option(c, optarg, ret) < 0)
			return -1;
	}
	ret->limits.is_reset = cut_by_reset != 0;
	ret->no_apop = no_apop != 0;
	ret->no_pipelining = no_pipelining != 0;
	ret->no_uidl = no_uidl != 0;
	ret->no_capa = no_capa != 0;
	ret->deletes_at_once = dele_at_once != 0;
	ret->cut_at_quit = cut_at_quit != 0;
	return argc == optind && ret->maildir && ret->username && ret->password
		       ? 0
		       : -1;
}

static int run_serve(int argc, char **argv, struct failure *failure)
{
	struct serve_options options = {
		.address = "127.0.0.1",
		.certificate = "good",
		.limits = { WIRE_NO_LIMIT, WIRE_NO_LIMIT, false },
	};

	if (parse_serve_options(argc, argv, &options) < 0)
		return fail(failure, "wrong usage\n%s", usage);
	return serve_run(&options, failure);
}

static int run(int argc, char **argv, struct failure *failure)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "ca") == 0 && argc == 3)
		return ca_make(argv[2], failure);
	if (strcmp(verb, "script") == 0)
		return run_script(argc - 1, argv + 1, failure);
	if (strcmp(verb, "serve") == 0)
		return run_serve(argc - 1, argv + 1, failure);
	return fail(failure, "wrong usage\n%s", usage);
}

int main(int argc, char **argv)
{
	struct failure failure = { .text = "" };

	/* A client that is gone is no reason to go as well. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (run(argc, argv, &failure) == 0)
		return 0;
	(void)fprintf(stderr, "pop3-player: %s\n", failure.text);
	return 1;
}
