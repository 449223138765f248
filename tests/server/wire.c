/*
 * wire.c - one connection seen from the server.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "wire.h"

/* Between the pieces of a split write: the client may see them apart. */
#define SPLIT_PAUSE_NSEC 100000

/* A client that was cut off must go in this time. */
#define DRAIN_TIMEOUT_SEC 30

static int listen_at(const struct addrinfo *at, struct failure *failure)
{
	_cleanup_fd_ int fd = -1;
	int on = 1;

	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_errno(failure, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, at->ai_addr, at->ai_addrlen) < 0)
		return fail_errno(failure, "bind");
	if (listen(fd, SOMAXCONN) < 0)
		return fail_errno(failure, "listen");
	return TAKE_FD(fd);
}

static int port_of(int fd, uint16_t *ret)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	if (at.ss_family == AF_INET6)
		*ret = ntohs(((struct sockaddr_in6 *)&at)->sin6_port);
	else
		*ret = ntohs(((struct sockaddr_in *)&at)->sin_port);
	return 0;
}

int wire_listen(struct listener *ret, const char *address, uint16_t port,
		struct failure *failure)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *at;
	char service[8];
	int fd;

	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	if (getaddrinfo(address, service, &hints, &at) != 0)
		return fail(failure, "'%s' is not an address", address);
	fd = listen_at(at, failure);
	freeaddrinfo(at);
	if (fd < 0)
		return -1;
	ret->fd = fd;
	return port_of(fd, &ret->port) < 0 ? fail_errno(failure, "getsockname")
					   : 0;
}

int wire_tell_port(const struct listener *listener, const char *path,
		   struct failure *failure)
{
	char temporary[4096];
	FILE *file;
	bool is_written;

	if (!path)
		return 0;
	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	file = fopen(temporary, "we");
	if (!file)
		return fail_errno(failure, temporary);
	is_written = fprintf(file, "%u\n", (unsigned)listener->port) > 0;
	if (fclose(file) != 0 || !is_written || rename(temporary, path) < 0)
		return fail_errno(failure, path);
	return 0;
}

int wire_accept(const struct listener *listener,
		const struct transcript *transcript, struct wire **ret,
		struct failure *failure)
{
	struct wire *wire;
	int on = 1;
	int fd;

	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return fail_errno(failure, "accept");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

	wire = must_realloc(NULL, sizeof(*wire));
	memset(wire, 0, sizeof(*wire));
	wire->fd = fd;
	wire->transcript = transcript;
	wire->left =
		(struct wire_limits){ WIRE_NO_LIMIT, WIRE_NO_LIMIT, false };
	transcript_note(transcript, "connect");
	*ret = wire;
	return 0;
}

void wire_free(struct wire **wire)
{
	if (!*wire)
		return;
	SSL_free((*wire)->ssl);
	fd_close(&(*wire)->fd);
	free(*wire);
	*wire = NULL;
}

static void note_end(struct wire *wire, bool is_reset)
{
	if (!wire->is_over)
		transcript_note(wire->transcript, is_reset ? "reset" : "eof");
	wire->is_over = true;
}

/* SSL_read's 0 is close_notify; an end without it comes as an error. */
static ssize_t receive_tls(struct wire *wire, char *buf, int cap)
{
	int n = SSL_read(wire->ssl, buf, cap);

	if (n > 0)
		return n;
	n = SSL_get_error(wire->ssl, n) == SSL_ERROR_SYSCALL ? -1 : 0;
	ERR_clear_error();
	return n;
}

static void end_and_drain(struct wire *wire);

static void take_off(uint64_t *left, size_t len)
{
	if (*left != WIRE_NO_LIMIT)
		*left -= len;
}

/* A limit is reached; what still comes, if it can, is for the transcript. */
static void cut_at_limit(struct wire *wire)
{
	transcript_note(wire->transcript, "cut");
	wire->left.sent_bytes = wire->left.received_bytes = WIRE_NO_LIMIT;
	if (wire->left.is_reset)
		wire_reset(wire);
	else
		end_and_drain(wire);
}

static bool wire_fill(struct wire *wire)
{
	size_t cap;
	ssize_t n;

	if (wire->is_over)
		return false;
	wire_flush(wire);
	if (!wire->is_over && wire->left.received_bytes == 0)
		cut_at_limit(wire);
	if (wire->is_over)
		return false;
	cap = MIN(sizeof(wire->in), wire->left.received_bytes);
	do {
		errno = 0;
		n = wire->ssl ? receive_tls(wire, wire->in, (int)cap)
			      : recv(wire->fd, wire->in, cap, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		note_end(wire, n < 0 && errno == ECONNRESET);
		return false;
	}
	take_off(&wire->left.received_bytes, (size_t)n);
	wire->in_start = 0;
	wire->in_end = (size_t)n;
	return true;
}

static bool take_byte(struct wire *wire, char *ret)
{
	if (wire->in_start == wire->in_end && !wire_fill(wire))
		return false;
	*ret = wire->in[wire->in_start++];
	return true;
}

int wire_read_line(struct wire *wire, char line[WIRE_LINE_MAX], size_t *ret_len,
		   struct failure *failure)
{
	size_t len = 0;
	char byte;

	while (take_byte(wire, &byte)) {
		if (len == WIRE_LINE_MAX - 1)
			return fail(failure, "a line of over %zu bytes", len);
		line[len++] = byte;
		if (byte != '\n')
			continue;
		if (len < 2 || line[len - 2] != '\r')
			return fail(failure, "a line that ends in LF alone");
		line[len - 2] = '\0';
		*ret_len = len - 2;
		transcript_say(wire->transcript, "C:", line, len - 2);
		return 1;
	}
	if (len > 0)
		transcript_say(wire->transcript, "C: (no CRLF)", line, len);
	return 0;
}

bool wire_is_quiet(struct wire *wire, uint64_t msec)
{
	struct pollfd in = { .fd = wire->fd, .events = POLLIN };

	wire_flush(wire);
	return wire->in_start == wire->in_end &&
	       (!wire->ssl || SSL_pending(wire->ssl) == 0) &&
	       poll(&in, 1, (int)msec) == 0;
}

static bool send_piece(struct wire *wire, const char *data, size_t len)
{
	ssize_t n;

	if (wire->ssl) {
		size_t written;

		if (SSL_write_ex(wire->ssl, data, len, &written) == 1)
			return true;
		ERR_clear_error();
		return false;
	}
	for (size_t done = 0; done < len; done += (size_t)n) {
		n = send(wire->fd, data + done, len - done, MSG_NOSIGNAL);
		if (n < 0)
			return false;
	}
	return true;
}

/* A client that is gone shows up when it is read from: here we fall silent. */
static void send_all(struct wire *wire, const char *data, size_t len)
{
	const struct timespec pause = { .tv_nsec = SPLIT_PAUSE_NSEC };
	size_t step = wire->split > 0 ? wire->split : len;

	for (size_t done = 0; done < len && !wire->is_mute; done += step) {
		if (done > 0)
			(void)nanosleep(&pause, NULL);
		wire->is_mute =
			!send_piece(wire, data + done, MIN(step, len - done));
	}
}

/* Up to the limit; there the connection is cut. */
static void send_within_limit(struct wire *wire, const char *data, size_t len)
{
	size_t may_send = MIN(len, wire->left.sent_bytes);

	send_all(wire, data, may_send);
	take_off(&wire->left.sent_bytes, may_send);
	if (wire->left.sent_bytes == 0)
		cut_at_limit(wire);
}

void wire_flush(struct wire *wire)
{
	size_t len = wire->out_len;

	wire->out_len = 0;
	if (len > 0)
		send_within_limit(wire, wire->out, len);
}

static void queue_plain(struct wire *wire, const char *data, size_t len)
{
	wire->has_spoken = true;
	if (wire->out_len + len > sizeof(wire->out))
		wire_flush(wire);
	if (len > sizeof(wire->out)) {
		send_within_limit(wire, data, len);
		return;
	}
	if (len > 0)
		memcpy(wire->out + wire->out_len, data, len);
	wire->out_len += len;
}

void wire_queue(struct wire *wire, const char *data, size_t len)
{
	const char *end = data + len;
	const char *crlf;

	while (wire->lf_only &&
	       (crlf = memmem(data, (size_t)(end - data), "\r\n", 2))) {
		queue_plain(wire, data, (size_t)(crlf - data));
		data = crlf + 1;
		queue_plain(wire, data++, 1);
	}
	queue_plain(wire, data, (size_t)(end - data));
}

static SSL_CTX *context_new(const char *dir, const char *certificate,
			    struct failure *failure)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	char pem[4096], key[4096];

	if (!context)
		abort();
	(void)snprintf(pem, sizeof(pem), "%s/%s.pem", dir, certificate);
	(void)snprintf(key, sizeof(key), "%s/%s.key", dir, certificate);
	if (SSL_CTX_use_certificate_chain_file(context, pem) == 1 &&
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)
		return context;
	(void)fail_openssl(failure, pem);
	SSL_CTX_free(context);
	return NULL;
}

static void note_tls(const struct wire *wire)
{
	const char *name =
		SSL_get_servername(wire->ssl, TLSEXT_NAMETYPE_host_name);

	transcript_note(wire->transcript, "tls %s sni=%s",
			SSL_get_version(wire->ssl), name ? name : "");
}

int wire_start_tls(struct wire *wire, const char *dir, const char *certificate,
		   struct failure *failure)
{
	SSL_CTX *context;

	wire_flush(wire);
	if (wire->in_start < wire->in_end)
		return fail(failure, "the client spoke before TLS was there");
	if (!dir)
		return fail(failure, "TLS needs --tls-dir");
	context = context_new(dir, certificate, failure);
	if (!context)
		return -1;
	wire->ssl = SSL_new(context);
	SSL_CTX_free(context);
	if (!wire->ssl || SSL_set_fd(wire->ssl, wire->fd) != 1)
		abort();
	if (SSL_accept(wire->ssl) == 1) {
		note_tls(wire);
		return 0;
	}
	ERR_clear_error();
	transcript_note(wire->transcript, "tls failed");
	wire->is_mute = true;
	note_end(wire, false);
	return 0;
}

void wire_drain(struct wire *wire)
{
	struct failure ignored = { .text = "" };
	char *line = must_realloc(NULL, WIRE_LINE_MAX);
	size_t len;

	/* Whatever still comes is for the transcript alone. */
	while (!wire->is_over)
		(void)wire_read_line(wire, line, &len, &ignored);
	free(line);
}

/*
 * Only our side ends: with unread input a close would send a reset, and the
 * client might lose what it has not yet read.
 */
static void end_and_drain(struct wire *wire)
{
	const struct timeval limit = { .tv_sec = DRAIN_TIMEOUT_SEC };

	wire->is_mute = true;
	(void)shutdown(wire->fd, SHUT_WR);
	(void)setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
			 sizeof(limit));
	wire_drain(wire);
}

void wire_close(struct wire *wire)
{
	wire_flush(wire);
	if (wire->ssl && !wire->is_mute && !wire->is_over)
		(void)SSL_shutdown(wire->ssl); /* the client may be gone */
	ERR_clear_error();
	end_and_drain(wire);
}

void wire_cut(struct wire *wire)
{
	wire_flush(wire);
	end_and_drain(wire);
}

void wire_reset(struct wire *wire)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	wire_flush(wire);
	(void)setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	wire->is_mute = true;
	note_end(wire, false);
	fd_close(&wire->fd);
}
