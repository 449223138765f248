/*
 * stream.c - lines and bytes with a deadline, over a socket or TLS.
 *
 * It knows nothing of POP3, never logs, and never waits without an end: every
 * wait is bounded by the timeout of the reply at hand, by the deadline of the
 * whole stream, and by the stop's. A descriptor that is readable tells of the
 * stop, so no signal has to arrive at the right moment.
 *
 * Silence is the timeout's business, dripping the least rate's. The rate is
 * measured in windows of one minute of waiting for input. A window opens with
 * the first byte that comes after a flush: a server may think about a command
 * for as long as its timeout allows, and then must send at a decent rate, be
 * it one long message or many short ones. Time spent elsewhere (our own disk)
 * does not count.
 *
 * Invariants: input is read only to hand it out, never past a buffer of 64
 * KiB; after EOF or a failed read or write the stream is broken for good;
 * output, which may hold a password, is wiped as soon as it was sent.
 */
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "text.h"
#include "tls.h"

#define INPUT_SIZE           65536
#define OUTPUT_SIZE_MIN      4096
#define TIMEOUT_DEFAULT_USEC USEC_PER_MINUTE
#define STOP_LOOK_USEC       (10 * USEC_PER_MSEC)
#define NEVER                UINT64_MAX

struct input {
	char *data; /* INPUT_SIZE bytes */
	size_t start;
	size_t len;
};

struct output {
	char *data;
	size_t start; /* what is before it was sent */
	size_t len;
	size_t cap;
};

struct rate {
	bool is_open;
	uint64_t waited_usec;
	uint64_t bytes;
};

struct stream {
	int fd;
	struct stream_options options;
	struct tls *tls; /* NULL: in clear */
	char tls_description[96];
	bool has_heard; /* the server has said something, in clear or not */
	bool is_eof;
	bool is_broken;
	bool is_loopback;
	uint64_t timeout_usec;
	uint64_t deadline;      /* CLOCK_MONOTONIC, or NEVER */
	uint64_t stop_deadline; /* NEVER until we were told to stop */
	uint64_t next_look;     /* at the stop, while input never runs out */
	struct rate rate;
	struct input input;
	struct output output;
};

static uint64_t now(void)
{
	return now_usec(CLOCK_MONOTONIC);
}

static uint64_t add_usec(uint64_t time, uint64_t usec)
{
	return usec > NEVER - time ? NEVER : time + usec;
}

static bool is_loopback_peer(int fd)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
	socklen_t len = sizeof(peer);

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return false;
	if (peer.ss_family == AF_INET) {
		memcpy(&ipv4, &peer, sizeof(ipv4));
		return ntohl(ipv4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	if (peer.ss_family != AF_INET6)
		return peer.ss_family == AF_UNIX;

	memcpy(&ipv6, &peer, sizeof(ipv6));
	if (IN6_IS_ADDR_V4MAPPED(&ipv6.sin6_addr))
		return ipv6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr);
}

/* All that follows relies on it, OpenSSL above all. */
static int set_nonblocking(int fd, struct error *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot make the socket non-blocking");
	return 0;
}

int stream_new(int fd, const struct stream_options *options,
	       struct stream **ret, struct error *err)
{
	_cleanup_fd_ int owned_fd = fd;
	_cleanup_stream_ struct stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL)
		return error_set_memory(err);
	stream->fd = TAKE_FD(owned_fd);
	stream->options = *options;
	stream->timeout_usec = TIMEOUT_DEFAULT_USEC;
	stream->deadline = NEVER;
	stream->stop_deadline = NEVER;
	/* Asked now: the sandbox may forbid the question later. */
	stream->is_loopback = is_loopback_peer(fd);

	stream->input.data = malloc(INPUT_SIZE);
	if (stream->input.data == NULL)
		return error_set_memory(err);
	if (set_nonblocking(fd, err) < 0)
		return -1;

	*ret = TAKE_PTR(stream);
	return 0;
}

static void wipe_output(struct output *output)
{
	if (output->data != NULL)
		explicit_bzero(output->data, output->cap);
	output->start = 0;
	output->len = 0;
}

void stream_free(struct stream **stream)
{
	struct stream *s = *stream;

	if (s == NULL)
		return;
	if (s->tls != NULL && !s->is_broken)
		tls_close(s->tls);
	tls_free(&s->tls);
	fd_close(&s->fd);
	wipe_output(&s->output);
	free(s->output.data);
	free(s->input.data);
	free(s);
	*stream = NULL;
}

void stream_set_timeout(struct stream *stream, uint64_t timeout_usec)
{
	stream->timeout_usec = timeout_usec;
}

void stream_set_deadline(struct stream *stream, uint64_t from_now_usec)
{
	stream->deadline =
		MIN(stream->deadline, add_usec(now(), from_now_usec));
}

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0;
}

static void begin_stop(struct stream *s)
{
	s->stop_deadline = add_usec(now(), s->options.stop_timeout_usec);
}

bool stream_is_stopping(struct stream *stream)
{
	if (stream->stop_deadline == NEVER && stream->options.stop_fd >= 0 &&
	    is_readable(stream->options.stop_fd))
		begin_stop(stream);
	return stream->stop_deadline != NEVER;
}

/*
 * As stream_is_stopping, for each piece of input, and so not by a system call
 * each time: who waits learns of the stop at once in any case.
 */
static void look_at_stop(struct stream *s)
{
	uint64_t time = now();

	if (time < s->next_look)
		return;
	s->next_look = time + STOP_LOOK_USEC;
	(void)stream_is_stopping(s);
}

static int check_deadlines(const struct stream *s, struct error *err)
{
	uint64_t time = now();

	if (time >= s->stop_deadline)
		return error_set(err, ERROR_NETWORK, "stopped while waiting");
	if (time >= s->deadline)
		return error_set(err, ERROR_NETWORK,
				 "the time for this connection is over");
	return 0;
}

/* Rounded up, so that a wait never ends before its time and spins. */
static int poll_msec(uint64_t usec)
{
	uint64_t msec = usec / USEC_PER_MSEC + (usec % USEC_PER_MSEC != 0);

	return (int)MIN(msec, (uint64_t)INT_MAX);
}

/* 1: the socket is ready; 0: something else may have happened; -1. */
static int poll_once(struct stream *s, short events, uint64_t usec,
		     struct error *err)
{
	bool is_stopping = s->stop_deadline != NEVER;
	struct pollfd fds[] = {
		{ .fd = s->fd, .events = events },
		{ .fd = is_stopping ? -1 : s->options.stop_fd,
		  .events = POLLIN },
	};

	if (poll(fds, ARRAY_SIZE(fds), poll_msec(usec)) < 0)
		return errno == EINTR ? 0
				      : error_set_errno(err, ERROR_LOCAL, errno,
							"poll");
	if (fds[1].revents != 0)
		begin_stop(s);
	return fds[0].revents != 0;
}

/* 1: the socket is ready; 0: until has come; -1: one of the deadlines has. */
static int wait_socket(struct stream *s, short events, uint64_t until,
		       struct error *err)
{
	for (;;) {
		uint64_t end = MIN(until, MIN(s->deadline, s->stop_deadline));
		uint64_t time = now();
		int r;

		if (check_deadlines(s, err) < 0)
			return -1;
		if (time >= until)
			return 0;
		r = poll_once(s, events, end > time ? end - time : 0, err);
		if (r != 0)
			return r;
	}
}

static void note_input(struct stream *s, size_t len)
{
	if (!s->rate.is_open)
		s->rate = (struct rate){ .is_open = true };
	s->rate.bytes += len;
	s->input.len += len;
	s->has_heard = true;
}

/* The full window is judged and the next one opened. */
static int check_rate(struct stream *s, struct error *err)
{
	uint64_t bytes = s->rate.bytes;

	if (!s->rate.is_open || s->rate.waited_usec < USEC_PER_MINUTE)
		return 0;

	s->rate = (struct rate){ .is_open = true };
	if (bytes < s->options.min_rate_bytes)
		return error_set(err, ERROR_NETWORK,
				 "server sent only %llu bytes in a minute",
				 (unsigned long long)bytes);
	return 0;
}

static int note_eof(struct stream *s)
{
	s->is_eof = true;
	s->is_broken = true;
	return 1;
}

/* 1: there is more input, or its end; 0: wait for *ret_events first; -1. */
static int receive_clear(struct stream *s, char *dst, size_t cap,
			 short *ret_events, struct error *err)
{
	ssize_t len;

	do {
		len = recv(s->fd, dst, cap, 0);
	} while (len < 0 && errno == EINTR);

	if (len == 0)
		return note_eof(s);
	if (len < 0 && errno == EAGAIN) {
		*ret_events = POLLIN;
		return 0;
	}
	if (len < 0) {
		s->is_broken = true;
		return error_set_errno(err, ERROR_NETWORK, errno, "read");
	}

	note_input(s, (size_t)len);
	return 1;
}

/* For a call that got neither data nor an end: what OpenSSL waits for. */
static int want_events(struct stream *s, enum tls_result result,
		       short *ret_events)
{
	if (result == TLS_WANT_READ || result == TLS_WANT_WRITE) {
		*ret_events = result == TLS_WANT_READ ? POLLIN : POLLOUT;
		return 0;
	}

	s->is_broken = true;
	return -1;
}

static int receive_tls(struct stream *s, char *dst, size_t cap,
		       short *ret_events, struct error *err)
{
	size_t len;
	enum tls_result result = tls_read(s->tls, dst, cap, &len, err);

	if (result == TLS_CLOSED)
		return note_eof(s);
	if (result != TLS_DONE)
		return want_events(s, result, ret_events);

	note_input(s, len);
	return 1;
}

static int receive(struct stream *s, short *ret_events, struct error *err)
{
	struct input *input = &s->input;
	char *dst;
	size_t cap = INPUT_SIZE - input->len;

	if (s->is_eof)
		return 1;
	if (cap == 0)
		return error_set(err, ERROR_LOCAL, "input buffer is full");

	if (input->len == 0)
		input->start = 0;
	if (input->start > 0) {
		memmove(input->data, input->data + input->start, input->len);
		input->start = 0;
	}
	dst = input->data + input->len;
	return s->tls != NULL ? receive_tls(s, dst, cap, ret_events, err)
			      : receive_clear(s, dst, cap, ret_events, err);
}

/*
 * In the middle of an answer: a server that sends it in small pieces holds each
 * back until the one before is acknowledged (Nagle's rule), and the kernel puts
 * that off by 40 ms. popa3d does so with each message. Where the socket cannot
 * do this, it takes its time.
 */
static void acknowledge(struct stream *s)
{
	const int on = 1;

	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* As wait_socket, with the time counted; 1 also when a rate window is full. */
static int wait_input(struct stream *s, short events, uint64_t until,
		      struct error *err)
{
	uint64_t started = now();
	uint64_t window_end = NEVER;
	int r;

	if (s->rate.is_open) {
		window_end = started + USEC_PER_MINUTE - s->rate.waited_usec;
		acknowledge(s);
	}
	r = wait_socket(s, events, MIN(until, window_end), err);
	s->rate.waited_usec += now() - started;
	return r == 0 && window_end < until ? 1 : r;
}

/*
 * 1: there is more input, or its end; 0: until has come; -1. The deadlines are
 * looked at before reading too: a server that always has more to send never
 * makes us wait.
 */
static int await_input(struct stream *s, uint64_t until, struct error *err)
{
	for (;;) {
		short events = 0;
		int r;

		look_at_stop(s); /* check_deadlines knows then */
		if (check_deadlines(s, err) < 0)
			return -1;
		r = receive(s, &events, err);
		if (r < 0 || check_rate(s, err) < 0)
			return -1;
		if (r > 0)
			return 1;
		r = wait_input(s, events, until, err);
		if (r <= 0)
			return r;
	}
}

static int set_timeout_error(const struct stream *s, const char *what,
			     struct error *err)
{
	char duration[64];

	return error_set(err, ERROR_NETWORK, "%s within %s", what,
			 text_format_duration(duration, sizeof(duration),
					      s->timeout_usec));
}

int stream_fill(struct stream *stream, struct error *err)
{
	size_t len = stream->input.len;
	int r = await_input(stream, add_usec(now(), stream->timeout_usec), err);

	if (r < 0)
		return -1;
	if (r == 0)
		return set_timeout_error(stream, "no answer", err);
	if (stream->input.len == len)
		return error_set(err, ERROR_NETWORK,
				 "server closed the connection");
	return 0;
}

int stream_wait(struct stream *stream, uint64_t timeout_usec, struct error *err)
{
	if (stream->input.len > 0)
		return 1;
	return await_input(stream, add_usec(now(), timeout_usec), err);
}

struct bytes stream_peek(const struct stream *stream)
{
	const struct input *input = &stream->input;

	return (struct bytes){ .data = input->data + input->start,
			       .len = input->len };
}

void stream_consume(struct stream *stream, size_t len)
{
	stream->input.start += len;
	stream->input.len -= len;
}

struct line {
	char *data;
	size_t cap;
	size_t len;   /* kept */
	size_t total; /* with what was dropped */
	bool ends_in_cr;
};

static void line_add(struct line *line, struct bytes piece)
{
	size_t len = MIN(piece.len, line->cap - 1 - line->len);

	if (piece.len == 0)
		return;
	memcpy(line->data + line->len, piece.data, len);
	line->len += len;
	line->total += piece.len;
	line->ends_in_cr = piece.data[piece.len - 1] == '\r';
}

/* Takes what is buffered of the line. True: its LF was among it. */
static bool line_take(struct line *line, struct stream *stream)
{
	struct bytes piece = stream_peek(stream);
	const char *lf = piece.len > 0 ? memchr(piece.data, '\n', piece.len)
				       : NULL;

	if (lf != NULL)
		piece.len = (size_t)(lf - piece.data);
	line_add(line, piece);
	stream_consume(stream, piece.len + (lf != NULL));
	return lf != NULL;
}

int stream_read_line(struct stream *stream, char *line, size_t cap,
		     size_t *ret_len, bool *ret_bare_lf, struct error *err)
{
	struct line l = { .data = line, .cap = cap };

	while (!line_take(&l, stream)) {
		if (l.total > STREAM_LINE_LIMIT)
			break;
		if (stream_fill(stream, err) < 0)
			return -1;
	}
	if (l.total > STREAM_LINE_LIMIT)
		return error_set(err, ERROR_PROTOCOL,
				 "server sent a line of more than %d bytes",
				 STREAM_LINE_LIMIT);

	if (l.ends_in_cr && l.len == l.total)
		l.len--;
	line[l.len] = '\0';
	*ret_len = l.len;
	if (ret_bare_lf != NULL)
		*ret_bare_lf = !l.ends_in_cr;
	return 0;
}

/* A plain realloc would leave a copy behind of what may be a password. */
static int output_reserve(struct output *output, size_t len, struct error *err)
{
	size_t cap = MAX(output->cap, (size_t)OUTPUT_SIZE_MIN);
	char *data;

	if (len > SIZE_MAX / 4 - output->len)
		return error_set_memory(err);
	while (cap < output->len + len)
		cap *= 2;
	if (cap == output->cap)
		return 0;

	data = malloc(cap);
	if (data == NULL)
		return error_set_memory(err);
	if (output->data != NULL) {
		memcpy(data, output->data, output->len);
		explicit_bzero(output->data, output->cap);
		free(output->data);
	}
	output->data = data;
	output->cap = cap;
	return 0;
}

int stream_queue(struct stream *stream, const char *data, size_t len,
		 struct error *err)
{
	struct output *output = &stream->output;

	if (len == 0)
		return 0;
	if (output_reserve(output, len, err) < 0)
		return -1;

	memcpy(output->data + output->len, data, len);
	output->len += len;
	return 0;
}

/* 1: some was sent; 0: wait for *ret_events first; -1. */
static int send_clear(struct stream *s, short *ret_events, struct error *err)
{
	struct output *output = &s->output;
	ssize_t len;

	do {
		len = send(s->fd, output->data + output->start,
			   output->len - output->start, MSG_NOSIGNAL);
	} while (len < 0 && errno == EINTR);

	if (len < 0 && errno == EAGAIN) {
		*ret_events = POLLOUT;
		return 0;
	}
	if (len < 0) {
		s->is_broken = true;
		return error_set_errno(err, ERROR_NETWORK, errno, "send");
	}

	output->start += (size_t)len;
	return 1;
}

static int send_tls(struct stream *s, short *ret_events, struct error *err)
{
	struct output *output = &s->output;
	size_t len;
	enum tls_result result = tls_write(s->tls, output->data + output->start,
					   output->len - output->start, &len,
					   err);

	if (result != TLS_DONE)
		return want_events(s, result, ret_events);

	output->start += len;
	return 1;
}

static int send_some(struct stream *s, short *ret_events, struct error *err)
{
	return s->tls != NULL ? send_tls(s, ret_events, err)
			      : send_clear(s, ret_events, err);
}

int stream_flush(struct stream *stream, struct error *err)
{
	struct output *output = &stream->output;
	uint64_t until = add_usec(now(), stream->timeout_usec);

	while (output->start < output->len) {
		short events = 0;
		int r = send_some(stream, &events, err);

		if (r == 0)
			r = wait_socket(stream, events, until, err);
		if (r < 0)
			return -1;
		if (r == 0)
			return set_timeout_error(
				stream, "server does not take our commands",
				err);
	}

	if (output->len > 0)
		stream->rate.is_open = false;
	wipe_output(output);
	return 0;
}

/*
 * A TLS server never speaks first, so what a server sends behind its +OK to
 * STLS is an injection, whether we have read it or it waits in the socket.
 */
static bool has_clear_input(const struct stream *s)
{
	char byte;

	if (s->input.len > 0)
		return true;
	return s->has_heard && recv(s->fd, &byte, 1, MSG_PEEK) > 0;
}

static int set_not_tls(const struct stream *s, struct error *err)
{
	if (s->has_heard)
		return error_set(err, ERROR_PROTOCOL,
				 "server goes on in clear after STLS");
	return error_set(err, ERROR_NETWORK,
			 "server does not speak TLS on this port; "
			 "is tls = \"starttls\" meant?");
}

static int shake_hands(struct stream *s, struct tls *tls, struct error *err)
{
	uint64_t until = add_usec(now(), s->timeout_usec);

	for (;;) {
		enum tls_result result = tls_handshake(tls, err);
		short events;
		int r;

		if (result == TLS_DONE)
			return 0;
		if (result == TLS_NOT_TLS)
			return set_not_tls(s, err);
		if (want_events(s, result, &events) < 0)
			return -1;
		r = wait_socket(s, events, until, err);
		if (r < 0)
			return -1;
		if (r == 0)
			return set_timeout_error(s, "no TLS handshake", err);
	}
}

static int start_tls(struct stream *s, const struct tls_trust *trust,
		     const char *host, struct error *err)
{
	_cleanup_tls_ struct tls *tls = NULL;

	if (has_clear_input(s))
		return error_set(err, ERROR_PROTOCOL,
				 "server sent text behind its answer to STLS");
	if (tls_new(trust, s->fd, host, &tls, err) < 0 ||
	    shake_hands(s, tls, err) < 0)
		return -1;

	tls_describe(tls, s->tls_description, sizeof(s->tls_description));
	s->tls = TAKE_PTR(tls);
	return 0;
}

int stream_start_tls(struct stream *stream, const struct tls_trust *trust,
		     const char *host, struct error *err)
{
	if (start_tls(stream, trust, host, err) < 0) {
		/* Half a handshake was sent: no command can follow it. */
		stream->is_broken = true;
		return -1;
	}
	return 0;
}

bool stream_is_tls(const struct stream *stream)
{
	return stream->tls != NULL;
}

const char *stream_tls_description(const struct stream *stream)
{
	return stream->tls_description;
}

void stream_shutdown(struct stream *stream)
{
	stream->is_broken = true;
	(void)shutdown(stream->fd, SHUT_RDWR); /* it may be gone already */
}

bool stream_is_broken(const struct stream *stream)
{
	return stream->is_broken;
}

bool stream_is_loopback(const struct stream *stream)
{
	return stream->is_loopback;
}
