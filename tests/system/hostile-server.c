/*
 * hostile-server.c - a POP3 server that tries to make its client grow or hang.
 *
 * usage: hostile-server KIND
 *
 * Says its port on standard output and serves one client after another, on
 * this machine alone. Accepts any login, deletes nothing and names its
 * messages anew for each client. "honest" is what a server should be.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"

#define FOREVER UINT64_MAX

struct kind {
	const char *name;
	uint64_t n_uids;  /* lines of UIDL; 0: there is no UIDL */
	uint64_t n_sizes; /* lines of LIST */
	uint64_t uid_len;
	uint64_t n_lines;    /* of a message; 0: it is refused */
	unsigned pause_msec; /* behind each line of a list */
	bool is_silent;
};

static const struct kind kinds[] = {
	{ "honest", 3, 3, 20, 3, 0, false },
	{ "uids-10000000", 10000000, 10000000, 20, 0, 0, false },
	{ "endless-uidl", FOREVER, FOREVER, 20, 0, 0, false },
	{ "endless-uidl-of-1-kib", FOREVER, FOREVER, 1000, 0, 0, false },
	{ "endless-list", 0, FOREVER, 20, 0, 0, false },
	{ "endless-line", 1, 1, FOREVER, 0, 0, false },
	{ "endless-message", 1, 1, 20, FOREVER, 0, false },
	{ "refusals-200000", 200000, 200000, 20, 0, 0, false },
	{ "messages-1000", 1000, 1000, 20, 1, 0, false },
	{ "drip", FOREVER, FOREVER, 20, 0, 300, false },
	{ "silence", 0, 0, 0, 0, 0, true },
};

struct client {
	const struct kind *kind;
	unsigned long number;
	FILE *in;
	FILE *out;
};

static bool is_gone(const struct client *client)
{
	return ferror(client->out) != 0;
}

static void fill(const struct client *client, uint64_t n)
{
	while (n-- > 0 && !is_gone(client))
		(void)putc('u', client->out);
}

static void end_line(const struct client *client)
{
	(void)fputs("\r\n", client->out);
	if (client->kind->pause_msec == 0)
		return;
	(void)fflush(client->out);
	(void)usleep(client->kind->pause_msec * 1000);
}

static void tell_uids(const struct client *client)
{
	const struct kind *kind = client->kind;

	(void)fputs("+OK\r\n", client->out);
	for (uint64_t i = 1; i <= kind->n_uids && !is_gone(client); i++) {
		(void)fprintf(client->out, "%ju %lu-%08ju-",
			      (uintmax_t)(i % 10000000 + 1), client->number,
			      (uintmax_t)i);
		fill(client, kind->uid_len);
		end_line(client);
	}
	(void)fputs(".\r\n", client->out);
}

static void tell_sizes(const struct client *client)
{
	const struct kind *kind = client->kind;

	(void)fputs("+OK\r\n", client->out);
	for (uint64_t i = 1; i <= kind->n_sizes && !is_gone(client); i++) {
		(void)fprintf(client->out, "%ju 60",
			      (uintmax_t)(i % 10000000 + 1));
		end_line(client);
	}
	(void)fputs(".\r\n", client->out);
}

static void tell_message(const struct client *client, const char *number)
{
	uint64_t n_lines = client->kind->n_lines;

	if (n_lines == 0) {
		(void)fputs("-ERR no\r\n", client->out);
		return;
	}
	(void)fprintf(client->out, "+OK\r\nSubject: %lu-%s\r\n\r\n",
		      client->number, number);
	for (uint64_t i = 0; i < n_lines && !is_gone(client); i++)
		(void)fputs("One line of a message, as there are many.\r\n",
			    client->out);
	(void)fputs(".\r\n", client->out);
}

static void answer(const struct client *client, char *line)
{
	const char *word = strtok(line, " \r\n");
	const char *number = strtok(NULL, " \r\n");

	if (word == NULL)
		(void)fputs("-ERR\r\n", client->out);
	else if (strcmp(word, "CAPA") == 0)
		(void)fputs("+OK\r\nUSER\r\nPIPELINING\r\n.\r\n", client->out);
	else if (strcmp(word, "UIDL") == 0 && client->kind->n_uids > 0)
		tell_uids(client);
	else if (strcmp(word, "LIST") == 0 && number == NULL)
		tell_sizes(client);
	else if (strcmp(word, "RETR") == 0 && number != NULL)
		tell_message(client, number);
	else if (strcmp(word, "UIDL") == 0 || strcmp(word, "LIST") == 0)
		(void)fputs("-ERR no\r\n", client->out);
	else
		(void)fputs("+OK\r\n", client->out);
}

/* Until the client goes. Answers leave when all that was asked is answered. */
static void serve(const struct client *client)
{
	char line[512];

	if (!client->kind->is_silent)
		(void)fputs("+OK ready\r\n", client->out);
	(void)fflush(client->out);
	while (fgets(line, sizeof(line), client->in) != NULL) {
		bool is_last = strncmp(line, "QUIT", 4) == 0;

		answer(client, line);
		(void)fflush(client->out);
		if (is_last || is_gone(client))
			return;
	}
}

static int listen_here(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 ||
	    listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	(void)printf("%u\n", ntohs(at.sin_port));
	return fflush(stdout) == 0 ? fd : -1;
}

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct client client = { .kind = argc == 2 ? find_kind(argv[1])
						   : NULL };
	int listener = client.kind == NULL ? -1 : listen_here();

	if (listener < 0) {
		(void)fprintf(stderr, "hostile-server: no such kind, or %s\n",
			      strerrordesc_np(errno));
		return 1;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return 1;
		client.number++;
		client.in = fdopen(fd, "r");
		client.out = fdopen(dup(fd), "w");
		if (client.in == NULL || client.out == NULL)
			return 1;
		serve(&client);
		(void)fclose(client.out);
		(void)fclose(client.in);
	}
}
