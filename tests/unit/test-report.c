/*
 * test-report.c - what is encoded comes back, and nothing else is let in.
 */
#include <check.h>
#include <string.h>
#include <syslog.h>

#include "report.h"

#define POISON     0x5a

#define HEADER_LEN 6 /* magic, version, type */
#define TYPE_AT    5

static const struct {
	const char *name;
	struct report report;
} report_cases[] = {
	{ "an empty visit", { .kind = ERROR_NONE, .step = STEP_QUIT } },
	{ "a good visit",
	  { .kind = ERROR_NONE,
	    .step = STEP_QUIT,
	    .fetched = 3,
	    .deleted = 2,
	    .kept = 5,
	    .marked = 6,
	    .refused = 1,
	    .bytes = 12345 } },
	{ "the largest numbers",
	  { .kind = ERROR_CONFIG,
	    .step = STEP_MAX,
	    .fetched = UINT32_MAX,
	    .deleted = UINT32_MAX,
	    .kept = UINT32_MAX,
	    .marked = UINT32_MAX,
	    .refused = UINT32_MAX,
	    .bytes = INT64_MAX,
	    .retry_sec = REPORT_RETRY_MAX_SEC,
	    .again = true,
	    .stopped = true,
	    .text = "text" } },
	{ "a failure without words", { .kind = ERROR_LOCAL } },
	{ "escaped bytes are not escaped twice",
	  { .kind = ERROR_AUTH, .step = STEP_LOGIN, .text = "-ERR \\x1b" } },
};

static size_t encode_report(const struct report *report,
			    uint8_t packet[REPORT_PACKET_MAX])
{
	struct message message = { .type = MESSAGE_REPORT };

	message.report = *report;
	memset(packet, POISON, REPORT_PACKET_MAX);
	return report_encode(&message, packet, REPORT_PACKET_MAX);
}

static int decode(const uint8_t *packet, size_t len, struct message *ret)
{
	struct error err = { 0 };
	int r;

	memset(ret, POISON, sizeof(*ret));
	r = report_decode(packet, len, ret, &err);
	ck_assert_int_eq(err.kind, r < 0 ? ERROR_LOCAL : ERROR_NONE);
	return r;
}

static void assert_same_report(const char *name, const struct report *a,
			       const struct report *b)
{
	ck_assert_msg(a->kind == b->kind && a->step == b->step, "%s", name);
	ck_assert_msg(a->fetched == b->fetched && a->deleted == b->deleted &&
			      a->kept == b->kept && a->marked == b->marked &&
			      a->refused == b->refused && a->bytes == b->bytes,
		      "%s", name);
	ck_assert_msg(a->retry_sec == b->retry_sec && a->again == b->again &&
			      a->stopped == b->stopped,
		      "%s", name);
	ck_assert_msg(strcmp(a->text, b->text) == 0, "%s: '%s'", name, b->text);
}

START_TEST(test_report_comes_back)
{
	const struct report *report = &report_cases[_i].report;
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len = encode_report(report, packet);

	ck_assert_int_eq(decode(packet, len, &message), 0);
	ck_assert_int_eq(message.type, MESSAGE_REPORT);
	assert_same_report(report_cases[_i].name, report, &message.report);
}
END_TEST

START_TEST(test_every_shortened_report_is_refused)
{
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len = encode_report(&report_cases[_i].report, packet);

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_msg(decode(packet, cut, &message) < 0,
			      "%s, cut after %zu", report_cases[_i].name, cut);
}
END_TEST

START_TEST(test_a_byte_behind_the_report_is_refused)
{
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len = encode_report(&report_cases[_i].report, packet);

	packet[len] = 0;
	ck_assert_int_lt(decode(packet, len + 1, &message), 0);
}
END_TEST

/* One byte changed: what still decodes must be valid. */
START_TEST(test_no_changed_byte_gets_a_bad_value_through)
{
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len = encode_report(&report_cases[2].report, packet);

	for (size_t at = 0; at < len; at++) {
		uint8_t saved = packet[at];

		packet[at] = (uint8_t)_i;
		if (decode(packet, len, &message) == 0 &&
		    message.type == MESSAGE_REPORT) {
			ck_assert_int_le((int)message.report.kind,
					 (int)ERROR_KIND_MAX);
			ck_assert_int_le((int)message.report.step,
					 (int)STEP_MAX);
			ck_assert_uint_le(message.report.retry_sec,
					  REPORT_RETRY_MAX_SEC);
			ck_assert_uint_le(message.report.bytes, INT64_MAX);
			ck_assert_uint_lt(
				strnlen(message.report.text, ERROR_TEXT_MAX),
				ERROR_TEXT_MAX);
		}
		packet[at] = saved;
	}
}
END_TEST

static const struct {
	const char *name;
	size_t at;
	uint8_t value;
} bad_byte_cases[] = {
	{ "another magic", 0, 0 },
	{ "another version", 4, 2 },
	{ "no type", TYPE_AT, 0 },
	{ "an unknown type", TYPE_AT, MESSAGE_REPORT + 1 },
	{ "an unknown kind", HEADER_LEN, ERROR_KIND_MAX + 1 },
	{ "an unknown step", HEADER_LEN + 1, STEP_MAX + 1 },
	{ "a negative size", HEADER_LEN + 2 + 5 * 4 + 7, 0x80 },
	{ "a pause of years", HEADER_LEN + 2 + 5 * 4 + 8 + 3, 1 },
	{ "again is neither yes nor no", HEADER_LEN + 2 + 5 * 4 + 8 + 4, 2 },
	{ "stopped is neither yes nor no", HEADER_LEN + 2 + 5 * 4 + 8 + 5, 2 },
	{ "a text longer than the packet", HEADER_LEN + 2 + 5 * 4 + 8 + 6, 9 },
	{ "a text longer than any", HEADER_LEN + 2 + 5 * 4 + 8 + 7, 0xff },
	{ "words of a good visit", HEADER_LEN, ERROR_NONE },
};

START_TEST(test_bad_byte_is_refused)
{
	static const struct report report = { .kind = ERROR_AUTH,
					      .step = STEP_LOGIN,
					      .text = "-ERR no" };
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len = encode_report(&report, packet);

	packet[bad_byte_cases[_i].at] = bad_byte_cases[_i].value;
	ck_assert_msg(decode(packet, len, &message) < 0, "%s",
		      bad_byte_cases[_i].name);
	ck_assert_msg(((uint8_t *)&message)[0] == POISON, "%s: written",
		      bad_byte_cases[_i].name);
}
END_TEST

START_TEST(test_hostile_text_is_made_printable)
{
	static const struct report report = { .kind = ERROR_AUTH,
					      .text = "1234" };
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len = encode_report(&report, packet);

	memcpy(packet + len - 4, "\x1b\n\0%", 4);
	ck_assert_int_eq(decode(packet, len, &message), 0);
	ck_assert_str_eq(message.report.text, "\\x1b\\n\\x00%");
}
END_TEST

START_TEST(test_longest_text_fits)
{
	struct report report = { .kind = ERROR_LOCAL };
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len;

	memset(report.text, 'x', sizeof(report.text) - 1);
	len = encode_report(&report, packet);
	ck_assert_int_eq(decode(packet, len, &message), 0);
	ck_assert_str_eq(message.report.text, report.text);

	/* All of it unprintable: four times as long, and cut. */
	memset(packet + len - (ERROR_TEXT_MAX - 1), '\x01', ERROR_TEXT_MAX - 1);
	ck_assert_int_eq(decode(packet, len, &message), 0);
	ck_assert_uint_lt(strlen(message.report.text), ERROR_TEXT_MAX);
	ck_assert_ptr_nonnull(strstr(message.report.text, "\\x01..."));
}
END_TEST

START_TEST(test_encode_keeps_to_the_rules_of_decode)
{
	const struct report report = { .kind = ERROR_NONE,
				       .retry_sec = UINT32_MAX,
				       .text = "left over" };
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len = encode_report(&report, packet);

	ck_assert_int_eq(decode(packet, len, &message), 0);
	ck_assert_uint_eq(message.report.retry_sec, REPORT_RETRY_MAX_SEC);
	ck_assert_str_eq(message.report.text, "");
}
END_TEST

START_TEST(test_progress_comes_back)
{
	struct message progress = { .type = MESSAGE_PROGRESS };
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len;

	progress.progress.messages_done = 1;
	progress.progress.messages_planned = 2000;
	progress.progress.bytes_done = UINT64_C(1) << 40;
	len = report_encode(&progress, packet, sizeof(packet));
	ck_assert_int_eq(decode(packet, len, &message), 0);
	ck_assert_int_eq(message.type, MESSAGE_PROGRESS);
	ck_assert_uint_eq(message.progress.messages_done, 1);
	ck_assert_uint_eq(message.progress.messages_planned, 2000);
	ck_assert_uint_eq(message.progress.bytes_done, UINT64_C(1) << 40);
	ck_assert_int_lt(decode(packet, len - 1, &message), 0);
	ck_assert_int_lt(decode(packet, len + 1, &message), 0);
}
END_TEST

/* syslog.h: LOG_EMERG is 0 and LOG_DEBUG 7; a worker may use 3 to 7. */
START_TEST(test_log_priorities)
{
	struct message line = { .type = MESSAGE_LOG };
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	size_t len;

	line.log.priority = LOG_INFO;
	strcpy(line.log.text, "hello");
	len = report_encode(&line, packet, sizeof(packet));
	packet[HEADER_LEN] = (uint8_t)_i;
	if (_i < LOG_ERR || _i > LOG_DEBUG) {
		ck_assert_int_lt(decode(packet, len, &message), 0);
		return;
	}
	ck_assert_int_eq(decode(packet, len, &message), 0);
	ck_assert_int_eq(message.log.priority, _i);
	ck_assert_str_eq(message.log.text, "hello");
}
END_TEST

START_TEST(test_every_step_has_a_name)
{
	for (int a = STEP_START; a <= STEP_MAX; a++) {
		ck_assert_str_ne(step_name((enum step)a), "");
		for (int b = STEP_START; b < a; b++)
			ck_assert_str_ne(step_name((enum step)a),
					 step_name((enum step)b));
	}
}
END_TEST

static Suite *report_suite(void)
{
	Suite *suite = suite_create("report");
	TCase *tcase = tcase_create("report");

	tcase_add_loop_test(tcase, test_report_comes_back, 0,
			    ARRAY_SIZE(report_cases));
	tcase_add_loop_test(tcase, test_every_shortened_report_is_refused, 0,
			    ARRAY_SIZE(report_cases));
	tcase_add_loop_test(tcase, test_a_byte_behind_the_report_is_refused, 0,
			    ARRAY_SIZE(report_cases));
	tcase_add_loop_test(
		tcase, test_no_changed_byte_gets_a_bad_value_through, 0, 256);
	tcase_add_loop_test(tcase, test_bad_byte_is_refused, 0,
			    ARRAY_SIZE(bad_byte_cases));
	tcase_add_test(tcase, test_hostile_text_is_made_printable);
	tcase_add_test(tcase, test_longest_text_fits);
	tcase_add_test(tcase, test_encode_keeps_to_the_rules_of_decode);
	tcase_add_test(tcase, test_progress_comes_back);
	tcase_add_loop_test(tcase, test_log_priorities, 0, 9);
	tcase_add_test(tcase, test_every_step_has_a_name);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(report_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
