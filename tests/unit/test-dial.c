/*
 * test-dial.c - connecting on loopback, and the words when it fails.
 *
 * The resolver is asked for addresses and localhost only; no test leaves
 * this machine.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "dial.h"

#define POISON (-77)

/* Bound, so that nobody else takes the port; until listen it is refused. */
static int bind_loopback(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static int listen_on_loopback(int backlog)
{
	int fd = bind_loopback();

	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static struct sockaddr_in address_of(int fd)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	return addr;
}

static struct dial_target target_of(const char *host, int fd)
{
	return (struct dial_target){ .host = host,
				     .port = ntohs(address_of(fd).sin_port),
				     .timeout_usec = USEC_PER_MINUTE,
				     .stop_fd = -1 };
}

static int option_of(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = POISON;

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static const char *const loopback_hosts[] = { "127.0.0.1", "localhost" };

START_TEST(test_connected_socket)
{
	_cleanup_fd_ int listener = listen_on_loopback(4);
	struct dial_target target = target_of(loopback_hosts[_i], listener);
	_cleanup_fd_ int fd = POISON;
	struct error err = { 0 };
	_cleanup_fd_ int peer = -1;

	ck_assert_msg(dial_connect(&target, &fd, &err) == 0, "%s: %s",
		      loopback_hosts[_i], err.text);
	peer = accept(listener, NULL, NULL);
	ck_assert_int_ge(peer, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
}
END_TEST

START_TEST(a_refused_port_names_the_address_and_the_reason)
{
	_cleanup_fd_ int unused = bind_loopback();
	struct dial_target target = target_of("127.0.0.1", unused);
	struct error err = { 0 };
	int fd = POISON;

	ck_assert_int_lt(dial_connect(&target, &fd, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_NETWORK);
	ck_assert_str_eq(err.text, "connect: 127.0.0.1: Connection refused");
	ck_assert_int_eq(fd, POISON);
}
END_TEST

START_TEST(every_address_of_a_name_is_tried_and_named)
{
	_cleanup_fd_ int unused = bind_loopback();
	struct dial_target target = target_of("localhost", unused);
	struct error err = { 0 };
	int fd = POISON;

	ck_assert_int_lt(dial_connect(&target, &fd, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_NETWORK);
	ck_assert_int_eq(strncmp(err.text, "connect: ", 9), 0);
	ck_assert_ptr_nonnull(
		strstr(err.text, "127.0.0.1: Connection refused"));
	if (strstr(err.text, "::1") != NULL)
		ck_assert_ptr_nonnull(strchr(err.text, ';'));
	ck_assert_int_eq(fd, POISON);
}
END_TEST

/* A label of 64 bytes fits in no question, so no name server hears of it. */
START_TEST(a_name_that_cannot_be_resolved_says_so)
{
	struct dial_target target = { .port = 110,
				      .timeout_usec = USEC_PER_MINUTE,
				      .stop_fd = -1 };
	char host[65] = "bad\n";
	struct error err = { 0 };
	int fd = POISON;

	memset(host + 4, 'x', sizeof(host) - 5);
	target.host = host;
	ck_assert_int_lt(dial_connect(&target, &fd, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_NETWORK);
	ck_assert_ptr_eq(strstr(err.text, "cannot resolve host 'bad\\nxxx"),
			 err.text);
	ck_assert_int_eq(fd, POISON);
}
END_TEST

/* Fills a listener's queue, so that the next connect waits for its SYN. */
static void fill_backlog(int listener)
{
	struct sockaddr_in addr = address_of(listener);

	for (int i = 0; i < 4; i++) {
		int fd = socket(AF_INET,
				SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		ck_assert_int_ge(fd, 0); /* stays open until the test ends */
		(void)connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	}
}

START_TEST(a_server_that_does_not_answer_is_given_up_in_time)
{
	_cleanup_fd_ int listener = listen_on_loopback(0);
	struct dial_target target = target_of("127.0.0.1", listener);
	struct error err = { 0 };
	int fd = POISON;

	target.timeout_usec = 50 * USEC_PER_MSEC;
	fill_backlog(listener);
	ck_assert_int_lt(dial_connect(&target, &fd, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_NETWORK);
	ck_assert_str_eq(err.text, "connect: 127.0.0.1: Connection timed out");
	ck_assert_int_eq(fd, POISON);
}
END_TEST

START_TEST(a_stop_ends_the_wait_at_once)
{
	_cleanup_fd_ int listener = listen_on_loopback(0);
	_cleanup_fd_ int stop_fd = eventfd(1, EFD_CLOEXEC);
	struct dial_target target = target_of("127.0.0.1", listener);
	struct error err = { 0 };
	int fd = POISON;

	target.stop_fd = stop_fd;
	target.timeout_usec = USEC_PER_DAY;
	fill_backlog(listener);
	ck_assert_int_lt(dial_connect(&target, &fd, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_NETWORK);
	ck_assert_str_eq(err.text, "stopped while connecting");
	ck_assert_int_eq(fd, POISON);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("dial");
	TCase *tcase = tcase_create("connect");

	tcase_add_loop_test(tcase, test_connected_socket, 0,
			    ARRAY_SIZE(loopback_hosts));
	tcase_add_test(tcase, a_refused_port_names_the_address_and_the_reason);
	tcase_add_test(tcase, every_address_of_a_name_is_tried_and_named);
	tcase_add_test(tcase, a_name_that_cannot_be_resolved_says_so);
	tcase_add_test(tcase,
		       a_server_that_does_not_answer_is_given_up_in_time);
	tcase_add_test(tcase, a_stop_ends_the_wait_at_once);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
