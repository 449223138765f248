/*
 * test-uplink.c - what goes up the job socket, and that it never does harm.
 */
#include "uplink.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>

static void make_pair(int pair[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				    pair),
			 0);
	ck_assert_int_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
}

/* The next message; false: there is none. */
static bool receive(int fd, struct message *ret)
{
	uint8_t packet[REPORT_PACKET_MAX];
	ssize_t len = recv(fd, packet, sizeof(packet), 0);
	struct error err = { 0 };

	if (len <= 0)
		return false;
	ck_assert_msg(report_decode(packet, (size_t)len, ret, &err) == 0, "%s",
		      err.text);
	return true;
}

START_TEST(a_log_line_arrives)
{
	static char text[2 * ERROR_TEXT_MAX];
	struct uplink uplink = { 0 };
	struct message message;
	int pair[2];

	make_pair(pair);
	uplink.fd = pair[0];
	uplink_log(&uplink, LOG_WARNING, "DELE 1 refused");
	ck_assert(receive(pair[1], &message));
	ck_assert_int_eq(message.type, MESSAGE_LOG);
	ck_assert_int_eq(message.log.priority, LOG_WARNING);
	ck_assert_str_eq(message.log.text, "DELE 1 refused");

	memset(text, 'x', sizeof(text) - 1);
	uplink_log(&uplink, LOG_INFO, text);
	ck_assert(receive(pair[1], &message));
	ck_assert_uint_eq(strlen(message.log.text), ERROR_TEXT_MAX - 1);
}
END_TEST

START_TEST(a_report_arrives_whole)
{
	const struct report report = {
		.kind = ERROR_NETWORK,
		.step = STEP_FETCH,
		.fetched = 1,
		.deleted = 2,
		.kept = 3,
		.refused = 4,
		.bytes = UINT64_C(5) << 32,
		.retry_sec = 6,
		.stopped = true,
		.text = "cut",
	};
	struct uplink uplink = { 0 };
	struct message message;
	int pair[2];

	make_pair(pair);
	uplink.fd = pair[0];
	uplink_report(&uplink, &report);
	ck_assert(receive(pair[1], &message));
	ck_assert_int_eq(message.type, MESSAGE_REPORT);
	ck_assert_int_eq(message.report.kind, ERROR_NETWORK);
	ck_assert_int_eq(message.report.step, STEP_FETCH);
	ck_assert_uint_eq(message.report.refused, 4);
	ck_assert_uint_eq(message.report.bytes, report.bytes);
	ck_assert(message.report.stopped && !message.report.again);
	ck_assert_str_eq(message.report.text, "cut");
}
END_TEST

START_TEST(progress_is_told_at_once_and_then_at_most_every_second)
{
	struct uplink uplink = { 0 };
	struct message message;
	int pair[2];

	make_pair(pair);
	uplink.fd = pair[0];
	uplink_progress(&uplink, 1, 9, 100);
	uplink.last_progress_usec += USEC_PER_HOUR; /* not due for that long */
	for (unsigned i = 2; i < 1000; i++)
		uplink_progress(&uplink, i, 9, 100);
	ck_assert(receive(pair[1], &message));
	ck_assert_int_eq(message.type, MESSAGE_PROGRESS);
	ck_assert_uint_eq(message.progress.messages_done, 1);
	ck_assert_uint_eq(message.progress.messages_planned, 9);
	ck_assert_uint_eq(message.progress.bytes_done, 100);
	ck_assert(!receive(pair[1], &message));

	uplink.last_progress_usec = now_usec(CLOCK_MONOTONIC) - USEC_PER_SEC;
	uplink_progress(&uplink, 5, 9, 100);
	ck_assert(receive(pair[1], &message));
	ck_assert_uint_eq(message.progress.messages_done, 5);
}
END_TEST

/* A supervisor that does not read holds no visit up. */
START_TEST(progress_never_waits)
{
	struct uplink uplink = { 0 };
	int pair[2];

	make_pair(pair);
	uplink.fd = pair[0];
	for (unsigned i = 0; i < 100000; i++) {
		uplink.last_progress_usec = 0;
		uplink_progress(&uplink, i, i, i);
	}
}
END_TEST

/* SIGPIPE would end the worker in the middle of a batch. */
START_TEST(a_supervisor_that_is_gone_does_no_harm)
{
	const struct report report = { 0 };
	struct uplink uplink = { 0 };
	int pair[2];

	make_pair(pair);
	ck_assert_int_eq(close(pair[1]), 0);
	uplink.fd = pair[0];
	uplink_log(&uplink, LOG_INFO, "hello?");
	uplink_progress(&uplink, 1, 2, 3);
	uplink_report(&uplink, &report);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uplink");
	TCase *tcase = tcase_create("uplink");
	SRunner *runner;
	int n_failed;

	tcase_add_test(tcase, a_log_line_arrives);
	tcase_add_test(tcase, a_report_arrives_whole);
	tcase_add_test(tcase,
		       progress_is_told_at_once_and_then_at_most_every_second);
	tcase_add_test(tcase, progress_never_waits);
	tcase_add_test(tcase, a_supervisor_that_is_gone_does_no_harm);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
