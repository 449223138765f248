/*
 * drain.c - the limit of the wire:
 *
 *	drain --to ADDRESS:PORT --user NAME --password WORD [--ca FILE]
 *
 * One connection, with TLS when there is a CA to trust: AUTH PLAIN, UIDL and
 * LIST together, then every RETR and a QUIT together. What comes is thrown
 * away unread; nothing is deleted. No client that must know one listing before
 * it asks for mail can be faster. It says nothing but what went wrong, and
 * does not take less than LIST promised for a success.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "base.h"

#define BUFFER_LEN      (64 * 1024)
#define CREDENTIALS_MAX 256

struct drain {
	struct sockaddr_in to;
	const char *user;
	const char *password;
	const char *ca_file;
	int fd;
	SSL *ssl; /* NULL: a clear connection */
	char *commands;
	size_t commands_len;
	size_t sent;
	bool is_over; /* the server hung up */
	uint64_t received;
	char in[BUFFER_LEN];
	size_t in_len;
};

static _noreturn_ void fail(const char *what)
{
	const char *reason = ERR_peek_error() != 0
				     ? ERR_reason_error_string(ERR_peek_error())
				     : strerror(errno);

	(void)fprintf(stderr, "drain: %s: %s\n", what, reason);
	exit(1);
}

static void wait_for(const struct drain *drain, short events)
{
	struct pollfd fd = { .fd = drain->fd, .events = events };

	if (poll(&fd, 1, -1) < 0 && errno != EINTR)
		fail("poll");
}

static void connect_to(struct drain *drain)
{
	static const int on = 1;

	drain->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (drain->fd < 0 ||
	    connect(drain->fd, (const struct sockaddr *)&drain->to,
		    sizeof(drain->to)) < 0 ||
	    setsockopt(drain->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) <
		    0)
		fail("connect");
}

static void start_tls(struct drain *drain)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context == NULL ||
	    SSL_CTX_load_verify_locations(context, drain->ca_file, NULL) != 1)
		fail(drain->ca_file);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, BUFFER_LEN);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	drain->ssl = SSL_new(context);
	if (drain->ssl == NULL || SSL_set_fd(drain->ssl, drain->fd) != 1 ||
	    SSL_connect(drain->ssl) != 1)
		fail("TLS");
	SSL_CTX_free(context); /* the connection holds it */
}

/* Bytes moved; 0 when that would block, or at the end, which is then noted. */
static size_t tls_result(struct drain *drain, int n)
{
	int error = SSL_get_error(drain->ssl, n);

	if (n > 0)
		return (size_t)n;
	if (error == SSL_ERROR_ZERO_RETURN)
		drain->is_over = true;
	else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		fail("TLS");
	return 0;
}

static size_t clear_result(struct drain *drain, ssize_t n)
{
	if (n > 0)
		return (size_t)n;
	if (n == 0)
		drain->is_over = true;
	else if (errno != EAGAIN)
		fail("connection");
	return 0;
}

static void send_some(struct drain *drain)
{
	const char *data = drain->commands + drain->sent;
	size_t len = drain->commands_len - drain->sent;

	if (len == 0)
		return;
	if (drain->ssl != NULL)
		drain->sent += tls_result(
			drain, SSL_write(drain->ssl, data, (int)len));
	else
		drain->sent += clear_result(
			drain, send(drain->fd, data, len, MSG_NOSIGNAL));
}

/* Behind what is in the buffer already, as far as there is room. */
static size_t receive_some(struct drain *drain)
{
	char *data = drain->in + drain->in_len;
	size_t len = sizeof(drain->in) - drain->in_len;
	size_t got;

	if (drain->ssl != NULL)
		got = tls_result(drain, SSL_read(drain->ssl, data, (int)len));
	else
		got = clear_result(drain, recv(drain->fd, data, len, 0));
	drain->received += got;
	return got;
}

/* Neither waits for the other, or both sides could wait for ever. */
static size_t move_some(struct drain *drain)
{
	size_t got;

	send_some(drain);
	got = receive_some(drain);
	if (got == 0 && !drain->is_over)
		wait_for(drain, drain->sent < drain->commands_len
					? POLLIN | POLLOUT
					: POLLIN);
	return got;
}

/* The line, without its end, is gone with the next call. */
static const char *read_line(struct drain *drain)
{
	static char line[BUFFER_LEN];
	const char *end;
	size_t len;

	while ((end = memchr(drain->in, '\n', drain->in_len)) == NULL) {
		if (drain->is_over || drain->in_len == sizeof(drain->in))
			fail("the server's reply has no end");
		drain->in_len += move_some(drain);
	}
	len = (size_t)(end - drain->in);
	memcpy(line, drain->in, len);
	line[len] = '\0';
	drain->in_len -= len + 1;
	memmove(drain->in, end + 1, drain->in_len);
	return line;
}

static void expect_ok(struct drain *drain)
{
	if (strncmp(read_line(drain), "+OK", 3) != 0)
		fail("the server refused");
}

/* The text must live until it is sent. */
static void queue(struct drain *drain, char *commands, size_t len)
{
	drain->commands = commands;
	drain->commands_len = len;
	drain->sent = 0;
}

static void log_in(struct drain *drain)
{
	unsigned char plain[CREDENTIALS_MAX];
	char encoded[CREDENTIALS_MAX * 2];
	static char command[sizeof(encoded) + 16];
	int len;

	expect_ok(drain);
	len = snprintf((char *)plain, sizeof(plain), "%c%s%c%s", 0, drain->user,
		       0, drain->password);
	if (len < 0 || (size_t)len >= sizeof(plain))
		fail("credentials");
	(void)EVP_EncodeBlock((unsigned char *)encoded, plain, len);
	len = snprintf(command, sizeof(command), "AUTH PLAIN %s\r\n", encoded);
	queue(drain, command, (size_t)len);
	expect_ok(drain);
}

/* Returns how many messages there are, and adds up their sizes. */
static unsigned list(struct drain *drain, uint64_t *ret_bytes)
{
	static char commands[] = "UIDL\r\nLIST\r\n";
	const char *line;
	unsigned count = 0;
	uint64_t bytes = 0;
	uint64_t size;

	queue(drain, commands, sizeof(commands) - 1);
	expect_ok(drain);
	while (read_line(drain)[0] != '.')
		count++;
	expect_ok(drain);
	while (line = read_line(drain), line[0] != '.') {
		size = strtoull(line + strcspn(line, " "), NULL, 10);
		bytes += size;
	}
	*ret_bytes = bytes;
	return count;
}

/* The server hangs up behind the reply to QUIT: until there, all is mail. */
static void retrieve(struct drain *drain, unsigned count, uint64_t bytes)
{
	char *commands = malloc(count * sizeof("RETR 4294967295\r\n") + 8);
	uint64_t before = drain->received - drain->in_len;
	size_t len = 0;
	unsigned i;

	if (commands == NULL)
		fail("memory");
	for (i = 1; i <= count; i++)
		len += (size_t)sprintf(commands + len, "RETR %u\r\n", i);
	len += (size_t)sprintf(commands + len, "QUIT\r\n");
	queue(drain, commands, len);
	drain->in_len = 0;
	while (!drain->is_over)
		(void)move_some(drain);
	free(commands);
	if (drain->received - before < bytes)
		fail("the server sent less than it listed");
}

static bool parse_to(char *text, struct sockaddr_in *ret)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL)
		return false;
	*colon = '\0';
	ret->sin_family = AF_INET;
	ret->sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, text, &ret->sin_addr) == 1;
}

static bool parse_arguments(int argc, char **argv, struct drain *drain)
{
	static const struct option options[] = {
		{ "to", required_argument, NULL, 't' },
		{ "user", required_argument, NULL, 'u' },
		{ "password", required_argument, NULL, 'p' },
		{ "ca", required_argument, NULL, 'c' },
		{ 0 },
	};
	bool is_good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 't')
			is_good &= parse_to(optarg, &drain->to);
		else if (option == 'u')
			drain->user = optarg;
		else if (option == 'p')
			drain->password = optarg;
		else if (option == 'c')
			drain->ca_file = optarg;
		else
			is_good = false;
	}
	return is_good && optind == argc && drain->to.sin_port != 0 &&
	       drain->user != NULL && drain->password != NULL;
}

int main(int argc, char **argv)
{
	static struct drain drain;
	uint64_t bytes;
	unsigned count;

	if (!parse_arguments(argc, argv, &drain)) {
		(void)fputs("usage: drain --to ADDRESS:PORT --user NAME "
			    "--password WORD [--ca FILE]\n",
			    stderr);
		return 64;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	connect_to(&drain);
	if (drain.ca_file != NULL)
		start_tls(&drain);
	if (fcntl(drain.fd, F_SETFL, O_NONBLOCK) < 0)
		fail("fcntl");

	log_in(&drain);
	count = list(&drain, &bytes);
	retrieve(&drain, count, bytes);
	SSL_free(drain.ssl);
	fd_close(&drain.fd);
	return 0;
}
