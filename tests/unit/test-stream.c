/*
 * test-stream.c - lines and bytes in clear, and when a wait must end.
 *
 * The peer is the other end of a socket pair, written to before it is read
 * from, so that no test depends on who runs first. Minutes pass quickly here:
 * where a test says so, the clock runs 6000 times faster, and a timer that
 * interrupts poll makes the stream look at it.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "stream.h"

#define BYTES(literal)                         \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}
#define SPEED 6000

static uint64_t fast_since_usec; /* 0: the clock is the kernel's */

/* In place of the C library's, for the program as a whole. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ts);
	uint64_t usec = (uint64_t)ts->tv_sec * USEC_PER_SEC +
			(uint64_t)ts->tv_nsec / 1000;

	if (r < 0 || fast_since_usec == 0 || clock != CLOCK_MONOTONIC)
		return r;
	usec = fast_since_usec + (usec - fast_since_usec) * SPEED;
	ts->tv_sec = (time_t)(usec / USEC_PER_SEC);
	ts->tv_nsec = (long)(usec % USEC_PER_SEC) * 1000;
	return r;
}

static unsigned n_acknowledged;

/* Likewise. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == IPPROTO_TCP && name == TCP_QUICKACK)
		n_acknowledged++;
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

static void on_tick(int signal)
{
	(void)signal; /* poll was interrupted: that is all it is for */
}

static void let_time_fly(void)
{
	const struct sigaction action = { .sa_handler = on_tick };
	const struct itimerval tick = { .it_interval = { .tv_usec = 500 },
					.it_value = { .tv_usec = 500 } };

	fast_since_usec = now_usec(CLOCK_MONOTONIC);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &tick, NULL), 0);
}

struct pair {
	struct stream *stream;
	int peer;
	struct error err;
};

static void pair_done(struct pair *pair)
{
	stream_free(&pair->stream);
	fd_close(&pair->peer);
}

#define _cleanup_pair_ _cleanup_(pair_done)

static struct pair pair_with(const struct stream_options *options)
{
	struct pair pair = { .stream = NULL };
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pair.peer = fds[1];
	ck_assert_msg(stream_new(fds[0], options, &pair.stream, &pair.err) == 0,
		      "%s", pair.err.text);
	return pair;
}

static struct pair pair_new(void)
{
	const struct stream_options options = { .stop_fd = -1 };

	return pair_with(&options);
}

static void say(const struct pair *pair, const char *data, size_t len)
{
	ck_assert_int_eq(send(pair->peer, data, len, MSG_NOSIGNAL),
			 (ssize_t)len);
}

static void expect_line(struct pair *pair, const char *want)
{
	char line[512];
	size_t len = SIZE_MAX;

	ck_assert_msg(stream_read_line(pair->stream, line, sizeof(line), &len,
				       NULL, &pair->err) == 0,
		      "%s", pair->err.text);
	ck_assert_str_eq(line, want);
	ck_assert_uint_eq(len, strlen(want));
}

static const struct {
	const char *name;
	struct bytes wire;
	size_t cap;
	struct bytes line;
	bool bare_lf;
} line_cases[] = {
	{ "CRLF ends a line", BYTES("+OK\r\n"), 64, BYTES("+OK"), false },
	{ "LF alone ends a line too", BYTES("+OK\n"), 64, BYTES("+OK"), true },
	{ "an empty line", BYTES("\r\n"), 64, BYTES(""), false },
	{ "an empty line with LF alone", BYTES("\n"), 64, BYTES(""), true },
	{ "a CR inside stays", BYTES("a\rb\r\n"), 64, BYTES("a\rb"), false },
	{ "of two CRs one stays", BYTES("a\r\r\n"), 64, BYTES("a\r"), false },
	{ "a NUL stays", BYTES("a\0b\r\n"), 64, BYTES("a\0b"), false },
	{ "a line that just fits, its CR included", BYTES("abc\r\n"), 5,
	  BYTES("abc"), false },
	{ "a line that fits without its CR", BYTES("abcd\r\n"), 5,
	  BYTES("abcd"), false },
	{ "what does not fit is dropped", BYTES("abcdefgh\r\n"), 5,
	  BYTES("abcd"), false },
	{ "a CR at the cut belongs to the line", BYTES("abc\rdef\n"), 5,
	  BYTES("abc\r"), true },
	{ "no room at all", BYTES("abc\r\n"), 1, BYTES(""), false },
};

static void check_line(int i, struct pair *pair, size_t split)
{
	const char *name = line_cases[i].name;
	char line[64];
	size_t len = SIZE_MAX;
	bool bare_lf = !line_cases[i].bare_lf;

	memset(line, 'z', sizeof(line));
	ck_assert_msg(stream_read_line(pair->stream, line, line_cases[i].cap,
				       &len, &bare_lf, &pair->err) == 0,
		      "%s, split at %zu: %s", name, split, pair->err.text);
	ck_assert_msg(len == line_cases[i].line.len &&
			      memcmp(line, line_cases[i].line.data, len) == 0,
		      "%s, split at %zu: %zu bytes", name, split, len);
	ck_assert_msg(line[len] == '\0', "%s: not terminated", name);
	ck_assert_msg(bare_lf == line_cases[i].bare_lf, "%s, split at %zu: LF",
		      name, split);
}

/* stream_wait moves the first part into the buffer before the second comes. */
START_TEST(test_line)
{
	struct bytes wire = line_cases[_i].wire;

	for (size_t split = 0; split < wire.len; split++) {
		_cleanup_pair_ struct pair pair = pair_new();

		say(&pair, wire.data, split);
		ck_assert_int_eq(stream_wait(pair.stream, 0, &pair.err),
				 split > 0);
		say(&pair, wire.data + split, wire.len - split);
		say(&pair, "next\r\n", 6);
		check_line(_i, &pair, split);
		expect_line(&pair, "next");
	}
}
END_TEST

START_TEST(a_line_of_64_kib_is_read_and_a_longer_one_refused)
{
	_cleanup_pair_ struct pair pair = pair_new();
	static char text[STREAM_LINE_LIMIT + 1];
	char line[16];
	size_t len = 77;

	memset(text, 'x', sizeof(text));
	say(&pair, text, STREAM_LINE_LIMIT);
	say(&pair, "\n", 1);
	ck_assert_int_eq(stream_read_line(pair.stream, line, sizeof(line), &len,
					  NULL, &pair.err),
			 0);
	ck_assert_uint_eq(len, sizeof(line) - 1);

	len = 77;
	say(&pair, text, sizeof(text));
	ck_assert_int_lt(stream_read_line(pair.stream, line, sizeof(line), &len,
					  NULL, &pair.err),
			 0);
	ck_assert_int_eq(pair.err.kind, ERROR_PROTOCOL);
	ck_assert_uint_eq(len, 77);
}
END_TEST

START_TEST(the_end_before_a_whole_line_is_an_error)
{
	_cleanup_pair_ struct pair pair = pair_new();
	char line[16];
	size_t len;

	say(&pair, "+OK", 3);
	fd_close(&pair.peer);
	ck_assert(!stream_is_broken(pair.stream));
	ck_assert_int_lt(stream_read_line(pair.stream, line, sizeof(line), &len,
					  NULL, &pair.err),
			 0);
	ck_assert_int_eq(pair.err.kind, ERROR_NETWORK);
	ck_assert_str_eq(pair.err.text, "server closed the connection");
	ck_assert(stream_is_broken(pair.stream));
}
END_TEST

START_TEST(wait_tells_of_an_end_and_the_next_fill_says_so)
{
	_cleanup_pair_ struct pair pair = pair_new();

	fd_close(&pair.peer);
	ck_assert_int_eq(stream_wait(pair.stream, USEC_PER_DAY, &pair.err), 1);
	ck_assert_uint_eq(stream_peek(pair.stream).len, 0);
	ck_assert_int_lt(stream_fill(pair.stream, &pair.err), 0);
	ck_assert_str_eq(pair.err.text, "server closed the connection");
}
END_TEST

/* Else a server that sends small pieces stops for 40 ms at each. */
START_TEST(what_came_is_acknowledged_before_a_wait_for_the_rest)
{
	_cleanup_pair_ struct pair pair = pair_new();

	n_acknowledged = 0;
	ck_assert_int_eq(stream_wait(pair.stream, 1, &pair.err), 0);
	ck_assert_uint_eq(n_acknowledged, 0);
	say(&pair, "+OK", 3);
	ck_assert_int_eq(stream_fill(pair.stream, &pair.err), 0);
	ck_assert_uint_eq(n_acknowledged, 0);
	stream_consume(pair.stream, 3);
	ck_assert_int_eq(stream_wait(pair.stream, 1, &pair.err), 0);
	ck_assert_uint_eq(n_acknowledged, 1);
}
END_TEST

START_TEST(wait_without_input_is_no_failure)
{
	_cleanup_pair_ struct pair pair = pair_new();

	ck_assert_int_eq(stream_wait(pair.stream, 1000, &pair.err), 0);
	ck_assert_int_eq(stream_wait(pair.stream, 0, &pair.err), 0);
	say(&pair, "x", 1);
	ck_assert_int_eq(stream_wait(pair.stream, USEC_PER_DAY, &pair.err), 1);
	ck_assert_uint_eq(stream_peek(pair.stream).len, 1);
	ck_assert(!stream_is_broken(pair.stream));
}
END_TEST

static char pattern(size_t at)
{
	return (char)(at % 251);
}

/* Consumes two thirds each time, so that the rest must move or stay. */
static size_t consume_some(struct stream *stream, size_t at)
{
	struct bytes bytes = stream_peek(stream);
	size_t len = (bytes.len * 2 + 2) / 3;
	size_t n_wrong = 0;

	for (size_t i = 0; i < len; i++)
		n_wrong += bytes.data[i] != pattern(at + i);
	ck_assert_uint_eq(n_wrong, 0);
	stream_consume(stream, len);
	return len;
}

START_TEST(bytes_come_out_in_order_however_they_are_consumed)
{
	_cleanup_pair_ struct pair pair = pair_new();
	static char data[150000];
	size_t at = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern(i);
	say(&pair, data, sizeof(data));
	fd_close(&pair.peer);
	while (stream_fill(pair.stream, &pair.err) == 0)
		at += consume_some(pair.stream, at);
	while (stream_peek(pair.stream).len > 0)
		at += consume_some(pair.stream, at);
	ck_assert_uint_eq(at, sizeof(data));
}
END_TEST

START_TEST(a_full_buffer_is_never_overrun)
{
	_cleanup_pair_ struct pair pair = pair_new();
	static char data[100000];

	say(&pair, data, sizeof(data));
	while (stream_fill(pair.stream, &pair.err) == 0)
		continue;
	ck_assert_int_eq(pair.err.kind, ERROR_LOCAL);
	ck_assert_uint_eq(stream_peek(pair.stream).len, 65536);
	ck_assert(!stream_is_broken(pair.stream));
}
END_TEST

START_TEST(silence_ends_with_the_timeout)
{
	_cleanup_pair_ struct pair pair = pair_new();

	stream_set_timeout(pair.stream, 5 * USEC_PER_MSEC);
	ck_assert_int_lt(stream_fill(pair.stream, &pair.err), 0);
	ck_assert_int_eq(pair.err.kind, ERROR_NETWORK);
	ck_assert_str_eq(pair.err.text, "no answer within 5 ms");
	ck_assert(!stream_is_broken(pair.stream));
}
END_TEST

START_TEST(the_deadline_ends_the_stream_even_while_input_flows)
{
	_cleanup_pair_ struct pair pair = pair_new();

	say(&pair, "x", 1);
	stream_set_deadline(pair.stream, USEC_PER_DAY);
	ck_assert_int_eq(stream_fill(pair.stream, &pair.err), 0);
	say(&pair, "x", 1);
	stream_set_deadline(pair.stream, 0);
	ck_assert_int_lt(stream_fill(pair.stream, &pair.err), 0);
	ck_assert_int_eq(pair.err.kind, ERROR_NETWORK);
	ck_assert_str_eq(pair.err.text, "the time for this connection is over");
}
END_TEST

START_TEST(a_stop_leaves_stop_timeout_for_what_is_due)
{
	_cleanup_fd_ int stop_fd = eventfd(0, EFD_CLOEXEC);
	const struct stream_options options = {
		.stop_fd = stop_fd, .stop_timeout_usec = USEC_PER_DAY
	};
	_cleanup_pair_ struct pair pair = pair_with(&options);

	ck_assert(!stream_is_stopping(pair.stream));
	ck_assert_int_eq(eventfd_write(stop_fd, 1), 0);
	ck_assert(stream_is_stopping(pair.stream));
	say(&pair, "+OK\r\n", 5);
	expect_line(&pair, "+OK");
}
END_TEST

START_TEST(a_stop_during_a_wait_ends_it_after_stop_timeout)
{
	_cleanup_fd_ int stop_fd = eventfd(1, EFD_CLOEXEC);
	const struct stream_options options = {
		.stop_fd = stop_fd, .stop_timeout_usec = 5 * USEC_PER_MSEC
	};
	_cleanup_pair_ struct pair pair = pair_with(&options);

	stream_set_timeout(pair.stream, USEC_PER_DAY);
	ck_assert_int_lt(stream_fill(pair.stream, &pair.err), 0);
	ck_assert_int_eq(pair.err.kind, ERROR_NETWORK);
	ck_assert_str_eq(pair.err.text, "stopped while waiting");
	ck_assert(stream_is_stopping(pair.stream));
}
END_TEST

START_TEST(a_stop_ends_even_a_stream_that_never_runs_dry)
{
	_cleanup_fd_ int stop_fd = eventfd(1, EFD_CLOEXEC);
	const struct stream_options options = { .stop_fd = stop_fd };
	_cleanup_pair_ struct pair pair = pair_with(&options);

	say(&pair, "x", 1);
	ck_assert_int_lt(stream_fill(pair.stream, &pair.err), 0);
	ck_assert_str_eq(pair.err.text, "stopped while waiting");
}
END_TEST

static struct pair fast_pair(void)
{
	const struct stream_options options = { .stop_fd = -1,
						.min_rate_bytes = 1000 };
	struct pair pair = pair_with(&options);

	let_time_fly();
	return pair;
}

/* Reads what was sent, then waits for more, which does not come. */
static void wait_in_vain(struct pair *pair, uint64_t timeout_usec)
{
	if (stream_wait(pair->stream, 0, &pair->err) == 1)
		stream_consume(pair->stream, stream_peek(pair->stream).len);
	stream_set_timeout(pair->stream, timeout_usec);
	ck_assert_int_lt(stream_fill(pair->stream, &pair->err), 0);
	ck_assert_int_eq(pair->err.kind, ERROR_NETWORK);
}

START_TEST(a_server_that_drips_is_given_up)
{
	_cleanup_pair_ struct pair pair = fast_pair();

	say(&pair, "+OK\r\n", 5);
	wait_in_vain(&pair, USEC_PER_DAY);
	ck_assert_str_eq(pair.err.text, "server sent only 5 bytes in a minute");
}
END_TEST

START_TEST(many_short_waits_make_a_minute_too)
{
	_cleanup_pair_ struct pair pair = fast_pair();

	say(&pair, "ab", 2);
	while (stream_wait(pair.stream, 15 * USEC_PER_SEC, &pair.err) >= 0) {
		stream_consume(pair.stream, stream_peek(pair.stream).len);
		stream_set_timeout(pair.stream, USEC_PER_DAY);
	}
	ck_assert_str_eq(pair.err.text, "server sent only 2 bytes in a minute");
}
END_TEST

START_TEST(silence_before_the_first_byte_is_the_timeouts_business)
{
	_cleanup_pair_ struct pair pair = fast_pair();

	wait_in_vain(&pair, 5 * USEC_PER_MINUTE);
	ck_assert_str_eq(pair.err.text, "no answer within 5 min");
}
END_TEST

START_TEST(a_server_may_think_about_every_command)
{
	_cleanup_pair_ struct pair pair = fast_pair();

	say(&pair, "+OK\r\n", 5);
	expect_line(&pair, "+OK");
	ck_assert_int_eq(stream_queue(pair.stream, "PASS x\r\n", 8, &pair.err),
			 0);
	ck_assert_int_eq(stream_flush(pair.stream, &pair.err), 0);
	wait_in_vain(&pair, 5 * USEC_PER_MINUTE);
	ck_assert_str_eq(pair.err.text, "no answer within 5 min");
}
END_TEST

START_TEST(a_decent_rate_opens_the_next_window)
{
	_cleanup_pair_ struct pair pair = fast_pair();
	char data[500] = "";

	say(&pair, data, sizeof(data));
	ck_assert_int_eq(stream_wait(pair.stream, 0, &pair.err), 1);
	stream_consume(pair.stream, sizeof(data));
	say(&pair, data, sizeof(data));
	wait_in_vain(&pair, 90 * USEC_PER_SEC);
	ck_assert_str_eq(pair.err.text, "no answer within 1 min 30 s");
}
END_TEST

START_TEST(the_second_window_counts_for_itself)
{
	_cleanup_pair_ struct pair pair = fast_pair();
	char data[1000] = "";

	say(&pair, data, sizeof(data));
	wait_in_vain(&pair, USEC_PER_DAY);
	ck_assert_str_eq(pair.err.text, "server sent only 0 bytes in a minute");
}
END_TEST

static void expect_sent(struct pair *pair, const char *data, size_t len)
{
	static char got[200000];
	size_t n = 0;

	ck_assert_uint_lt(len, sizeof(got));
	while (n < len) {
		ssize_t r = recv(pair->peer, got + n, sizeof(got) - n, 0);

		ck_assert_int_gt(r, 0);
		n += (size_t)r;
	}
	ck_assert_uint_eq(n, len);
	ck_assert_int_eq(memcmp(got, data, len), 0);
}

START_TEST(what_is_queued_leaves_with_the_flush_in_order)
{
	_cleanup_pair_ struct pair pair = pair_new();
	char byte;

	ck_assert_int_eq(stream_flush(pair.stream, &pair.err), 0);
	ck_assert_int_eq(stream_queue(pair.stream, "USER ", 5, &pair.err), 0);
	ck_assert_int_eq(stream_queue(pair.stream, "joe\r\n", 5, &pair.err), 0);
	ck_assert_int_eq(stream_queue(pair.stream, "", 0, &pair.err), 0);
	ck_assert_int_lt(recv(pair.peer, &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_int_eq(stream_flush(pair.stream, &pair.err), 0);
	ck_assert_int_eq(stream_queue(pair.stream, "QUIT\r\n", 6, &pair.err),
			 0);
	ck_assert_int_eq(stream_flush(pair.stream, &pair.err), 0);
	expect_sent(&pair, "USER joe\r\nQUIT\r\n", 16);
}
END_TEST

START_TEST(the_queue_grows_to_a_long_token)
{
	_cleanup_pair_ struct pair pair = pair_new();
	static char token[100000];

	for (size_t i = 0; i < sizeof(token); i++)
		token[i] = pattern(i);
	for (size_t i = 0; i < sizeof(token); i += 1000)
		ck_assert_int_eq(
			stream_queue(pair.stream, token + i, 1000, &pair.err),
			0);
	ck_assert_int_eq(stream_flush(pair.stream, &pair.err), 0);
	expect_sent(&pair, token, sizeof(token));
}
END_TEST

START_TEST(a_server_that_does_not_read_is_given_up)
{
	_cleanup_pair_ struct pair pair = pair_new();
	static char data[1 << 20];

	stream_set_timeout(pair.stream, 5 * USEC_PER_MSEC);
	ck_assert_int_eq(
		stream_queue(pair.stream, data, sizeof(data), &pair.err), 0);
	ck_assert_int_lt(stream_flush(pair.stream, &pair.err), 0);
	ck_assert_int_eq(pair.err.kind, ERROR_NETWORK);
	ck_assert_str_eq(pair.err.text,
			 "server does not take our commands within 5 ms");
}
END_TEST

START_TEST(a_closed_peer_is_an_error_and_no_signal)
{
	_cleanup_pair_ struct pair pair = pair_new();

	fd_close(&pair.peer);
	ck_assert_int_eq(stream_queue(pair.stream, "QUIT\r\n", 6, &pair.err),
			 0);
	ck_assert_int_lt(stream_flush(pair.stream, &pair.err), 0);
	ck_assert_int_eq(pair.err.kind, ERROR_NETWORK);
	ck_assert_str_eq(pair.err.text, "send: Broken pipe");
	ck_assert(stream_is_broken(pair.stream));
}
END_TEST

START_TEST(a_shutdown_is_seen_by_the_server_at_once)
{
	_cleanup_pair_ struct pair pair = pair_new();
	char byte;

	stream_shutdown(pair.stream);
	ck_assert_int_eq(recv(pair.peer, &byte, 1, 0), 0);
	ck_assert(stream_is_broken(pair.stream));
}
END_TEST

/* trust is not looked at: the refusal comes before any TLS. */
static void expect_injection(struct pair *pair)
{
	ck_assert_int_lt(
		stream_start_tls(pair->stream, NULL, "localhost", &pair->err),
		0);
	ck_assert_int_eq(pair->err.kind, ERROR_PROTOCOL);
	ck_assert_str_eq(pair->err.text,
			 "server sent text behind its answer to STLS");
	ck_assert(!stream_is_tls(pair->stream));
	ck_assert_str_eq(stream_tls_description(pair->stream), "");
	ck_assert(stream_is_broken(pair->stream));
}

START_TEST(text_buffered_behind_the_answer_to_stls_is_refused)
{
	static const char wire[] = "+OK go ahead\r\n+OK injected\r\n";

	/* Whatever comes in one piece with the answer, down to a byte of it. */
	for (size_t len = 15; len < sizeof(wire); len++) {
		_cleanup_pair_ struct pair pair = pair_new();

		say(&pair, wire, len);
		expect_line(&pair, "+OK go ahead");
		expect_injection(&pair);
	}
}
END_TEST

START_TEST(text_that_waits_in_the_socket_is_refused_as_well)
{
	_cleanup_pair_ struct pair pair = pair_new();

	say(&pair, "+OK go ahead\r\n", 14);
	expect_line(&pair, "+OK go ahead");
	say(&pair, "+", 1);
	expect_injection(&pair);
}
END_TEST

static int connected_to(int family, const void *address, socklen_t len,
			int *ret_listener)
{
	struct sockaddr_storage bound;
	socklen_t bound_len = sizeof(bound);
	int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_listener = listener;
	if (listener < 0 || fd < 0 || bind(listener, address, len) < 0 ||
	    listen(listener, 1) < 0)
		return -1; /* a machine without IPv6 */
	ck_assert_int_eq(
		getsockname(listener, (struct sockaddr *)&bound, &bound_len),
		0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&bound, bound_len), 0);
	return fd;
}

static void expect_loopback(int family, const void *address, socklen_t len)
{
	const struct stream_options options = { .stop_fd = -1 };
	_cleanup_stream_ struct stream *stream = NULL;
	_cleanup_fd_ int listener = -1;
	int fd = connected_to(family, address, len, &listener);
	struct error err;

	if (fd < 0)
		return;
	ck_assert_int_eq(stream_new(fd, &options, &stream, &err), 0);
	ck_assert(stream_is_loopback(stream));
}

START_TEST(this_machine_is_recognized)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6,
				     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	_cleanup_pair_ struct pair pair = pair_new();

	ck_assert(stream_is_loopback(pair.stream));
	ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	expect_loopback(AF_INET, &ipv4, sizeof(ipv4));
	ipv4.sin_addr.s_addr = htonl(0x7f010203);
	expect_loopback(AF_INET, &ipv4, sizeof(ipv4));
	expect_loopback(AF_INET6, &ipv6, sizeof(ipv6));
	ck_assert_int_eq(
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &ipv6.sin6_addr), 1);
	expect_loopback(AF_INET6, &ipv6, sizeof(ipv6));
}
END_TEST

START_TEST(a_peer_that_is_not_known_is_not_this_machine)
{
	const struct stream_options options = { .stop_fd = -1 };
	_cleanup_stream_ struct stream *stream = NULL;
	struct error err;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(stream_new(fd, &options, &stream, &err), 0);
	ck_assert(!stream_is_loopback(stream));
}
END_TEST

static TCase *make_input_case(void)
{
	TCase *tcase = tcase_create("input");

	tcase_add_loop_test(tcase, test_line, 0, ARRAY_SIZE(line_cases));
	tcase_add_test(tcase,
		       a_line_of_64_kib_is_read_and_a_longer_one_refused);
	tcase_add_test(tcase, the_end_before_a_whole_line_is_an_error);
	tcase_add_test(tcase, wait_tells_of_an_end_and_the_next_fill_says_so);
	tcase_add_test(tcase, wait_without_input_is_no_failure);
	tcase_add_test(tcase,
		       what_came_is_acknowledged_before_a_wait_for_the_rest);
	tcase_add_test(tcase,
		       bytes_come_out_in_order_however_they_are_consumed);
	tcase_add_test(tcase, a_full_buffer_is_never_overrun);
	return tcase;
}

static TCase *make_time_case(void)
{
	TCase *tcase = tcase_create("time");

	tcase_add_test(tcase, silence_ends_with_the_timeout);
	tcase_add_test(tcase,
		       the_deadline_ends_the_stream_even_while_input_flows);
	tcase_add_test(tcase, a_stop_leaves_stop_timeout_for_what_is_due);
	tcase_add_test(tcase, a_stop_during_a_wait_ends_it_after_stop_timeout);
	tcase_add_test(tcase, a_stop_ends_even_a_stream_that_never_runs_dry);
	tcase_add_test(tcase, a_server_that_drips_is_given_up);
	tcase_add_test(tcase, many_short_waits_make_a_minute_too);
	tcase_add_test(tcase,
		       silence_before_the_first_byte_is_the_timeouts_business);
	tcase_add_test(tcase, a_server_may_think_about_every_command);
	tcase_add_test(tcase, a_decent_rate_opens_the_next_window);
	tcase_add_test(tcase, the_second_window_counts_for_itself);
	return tcase;
}

static TCase *make_output_case(void)
{
	TCase *tcase = tcase_create("output");

	tcase_add_test(tcase, what_is_queued_leaves_with_the_flush_in_order);
	tcase_add_test(tcase, the_queue_grows_to_a_long_token);
	tcase_add_test(tcase, a_server_that_does_not_read_is_given_up);
	tcase_add_test(tcase, a_closed_peer_is_an_error_and_no_signal);
	tcase_add_test(tcase, a_shutdown_is_seen_by_the_server_at_once);
	return tcase;
}

static TCase *make_trust_case(void)
{
	TCase *tcase = tcase_create("trust");

	tcase_add_test(tcase,
		       text_buffered_behind_the_answer_to_stls_is_refused);
	tcase_add_test(tcase, text_that_waits_in_the_socket_is_refused_as_well);
	tcase_add_test(tcase, this_machine_is_recognized);
	tcase_add_test(tcase, a_peer_that_is_not_known_is_not_this_machine);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("stream");
	SRunner *runner;
	int n_failed;

	suite_add_tcase(suite, make_input_case());
	suite_add_tcase(suite, make_time_case());
	suite_add_tcase(suite, make_output_case());
	suite_add_tcase(suite, make_trust_case());

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
