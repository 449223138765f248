/*
 * stream.c - the model of the line: src/stream.h over the model's server.
 *
 * It stands in for stream.c, tls.c and dial.c. What is flushed arrives at
 * once, as far as the line holds; what the server says comes in pieces. A
 * server that says nothing lets time pass until the timeout.
 */
#include "stream.h"

#include <string.h>

#include "dial.h"
#include "server.h"
#include "world.h"

struct stream {
	uint64_t timeout_usec;
	size_t taken; /* of server.out: consumed */
	size_t shown; /* of server.out: visible */
	char *queue;
	size_t queue_len;
	size_t queue_cap;
	bool is_broken;
	bool was_shut;
	bool said_quit;
};

static int dead(struct error *err)
{
	return error_set(err, ERROR_NETWORK, "dead");
}

int dial_connect(const struct dial_target *target, int *ret_fd,
		 struct error *err)
{
	(void)target;
	if (world_step(ACT_LINE) != 0)
		return dead(err);
	*ret_fd = -1; /* nobody asks */
	return 0;
}

int stream_new(int fd, const struct stream_options *options,
	       struct stream **ret, struct error *err)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	(void)fd;
	(void)options;
	if (!stream)
		return error_set_memory(err);
	server_connect();
	*ret = stream;
	return 0;
}

/* Promise 3: what got a greeting ends with QUIT or with an end. */
static void check_goodbye(const struct stream *stream)
{
	if (world.is_dead || stream->said_quit || stream->was_shut ||
	    stream->is_broken || stream->taken == 0)
		return;
	violation("the visit left without QUIT");
}

void stream_free(struct stream **stream)
{
	struct stream *s = *stream;

	if (!s)
		return;
	check_goodbye(s);
	server_hang_up();
	free(s->queue);
	free(s);
	*stream = NULL;
}

void stream_set_timeout(struct stream *stream, uint64_t timeout_usec)
{
	stream->timeout_usec = timeout_usec;
}

void stream_set_deadline(struct stream *stream, uint64_t from_now_usec)
{
	(void)stream; /* the server answers at once or never */
	(void)from_now_usec;
}

int stream_start_tls(struct stream *stream, const struct tls_trust *trust,
		     const char *host, struct error *err)
{
	(void)stream;
	(void)trust;
	(void)host;
	return error_set(err, ERROR_CONFIG, "the model has no TLS");
}

bool stream_is_tls(const struct stream *stream)
{
	(void)stream;
	return false;
}

const char *stream_tls_description(const struct stream *stream)
{
	(void)stream;
	return "";
}

/* How many bytes of what the server said can still come. */
static size_t left_to_show(const struct stream *s)
{
	size_t end =
		(size_t)MIN((uint64_t)server.out_len, server.mood.cut_in_after);

	return end > s->shown ? end - s->shown : 0;
}

static bool is_cut(const struct stream *s)
{
	return !server.is_connected || s->shown >= server.mood.cut_in_after;
}

static void show_some(struct stream *s)
{
	size_t len = left_to_show(s);

	if (server.mood.is_choppy)
		len = 1 + dice_below((unsigned)MIN(len, (size_t)200));
	s->shown += MIN(len, left_to_show(s));
}

int stream_fill(struct stream *stream, struct error *err)
{
	if (world_step(ACT_LINE) != 0 || stream->was_shut) {
		stream->is_broken = true;
		return dead(err);
	}
	if (left_to_show(stream) > 0) {
		show_some(stream);
		return 0;
	}
	if (!is_cut(stream)) {
		world_wait(stream->timeout_usec);
		trace("  the server says nothing");
		return error_set(err, ERROR_NETWORK, "no answer");
	}
	trace("  the line is cut");
	stream->is_broken = true;
	return error_set(err, ERROR_NETWORK, "server closed the connection");
}

int stream_wait(struct stream *stream, uint64_t timeout_usec, struct error *err)
{
	(void)err;
	if (stream->shown > stream->taken)
		return 1;
	if (left_to_show(stream) == 0 && is_cut(stream))
		return 1;
	if (left_to_show(stream) == 0 || (!world.is_calm && dice_once_in(4))) {
		world_wait(timeout_usec);
		return 0;
	}
	show_some(stream);
	return 1;
}

struct bytes stream_peek(const struct stream *stream)
{
	return (struct bytes){ .data = server.out + stream->taken,
			       .len = stream->shown - stream->taken };
}

void stream_consume(struct stream *stream, size_t len)
{
	stream->taken += len;
}

/* Takes what is shown of a line. True: its end was among it. */
static bool take_line(struct stream *stream, char *line, size_t cap,
		      size_t *len)
{
	struct bytes piece = stream_peek(stream);
	const char *lf = piece.len > 0 ? memchr(piece.data, '\n', piece.len)
				       : NULL;
	size_t n = lf ? (size_t)(lf - piece.data) : piece.len;
	size_t kept = MIN(n, cap - 1 - *len);

	if (kept > 0)
		memcpy(line + *len, piece.data, kept);
	*len += kept;
	stream_consume(stream, n + (lf != NULL));
	return lf != NULL;
}

int stream_read_line(struct stream *stream, char *line, size_t cap,
		     size_t *ret_len, bool *ret_bare_lf, struct error *err)
{
	size_t len = 0;

	while (!take_line(stream, line, cap, &len))
		if (stream_fill(stream, err) < 0)
			return -1;
	if (ret_bare_lf)
		*ret_bare_lf = len == 0 || line[len - 1] != '\r';
	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	*ret_len = len;
	return 0;
}

int stream_queue(struct stream *stream, const char *data, size_t len,
		 struct error *err)
{
	if (stream->queue_len + len > stream->queue_cap) {
		size_t cap = MAX(stream->queue_cap * 2, len + 256);
		char *queue = realloc(stream->queue, cap);

		if (!queue)
			return error_set_memory(err);
		stream->queue = queue;
		stream->queue_cap = cap;
	}
	memcpy(stream->queue + stream->queue_len, data, len);
	stream->queue_len += len;
	stream->said_quit = stream->said_quit ||
			    (len == 4 && memcmp(data, "QUIT", 4) == 0);
	return 0;
}

int stream_flush(struct stream *stream, struct error *err)
{
	bool was_dead = world.is_dead;
	size_t len = stream->queue_len;

	stream->queue_len = 0;
	if (len == 0)
		return 0;
	if (world_step(ACT_LINE) != 0) {
		/* It died while it sent. */
		if (!was_dead)
			server_take(stream->queue,
				    dice_below((unsigned)len + 1));
		stream->is_broken = true;
		return dead(err);
	}
	if (stream->was_shut || stream->is_broken) {
		stream->is_broken = true;
		return error_set(err, ERROR_NETWORK, "send: broken pipe");
	}
	server_take(stream->queue, len);
	return 0;
}

void stream_shutdown(struct stream *stream)
{
	stream->is_broken = true;
	stream->was_shut = true;
	if (!world.is_dead)
		server_hang_up();
}

bool stream_is_stopping(struct stream *stream)
{
	(void)stream;
	return world.stops_at_step != 0 && world.n_steps >= world.stops_at_step;
}

bool stream_is_broken(const struct stream *stream)
{
	return stream->is_broken;
}

bool stream_is_loopback(const struct stream *stream)
{
	(void)stream;
	return true; /* the password may be sent */
}
