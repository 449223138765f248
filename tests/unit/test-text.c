/*
 * test-text.c - escaping, durations, sizes and the nearest word.
 */
#include <check.h>
#include <string.h>

#include "text.h"

#define POISON         0x5a

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct {
	const char *name;
	const char *src;
	size_t len;
	size_t cap;
	const char *escaped;
	const char *clean;
} escape_cases[] = {
	{ "plain text stays", BYTES("+OK ready"), 64, "+OK ready",
	  "+OK ready" },
	{ "nothing gives nothing", BYTES(""), 64, "", "" },
	{ "tab, CR and LF have names", BYTES("a\tb\r\n"), 64, "a\\tb\\r\\n",
	  "a\\tb\\r\\n" },
	{ "a NUL does not end it", BYTES("a\0b"), 64, "a\\x00b", "a\\x00b" },
	{ "a terminal's escape is harmless", BYTES("\x1b[2J"), 64, "\\x1b[2J",
	  "\\x1b[2J" },
	{ "8-bit and DEL are escaped", BYTES("\xff\x7f\x80"), 64,
	  "\\xff\\x7f\\x80", "\\xff\\x7f\\x80" },
	{ "a backslash is doubled in meaning", BYTES("\\x41"), 64, "\\x5cx41",
	  "\\x41" },
	{ "it fits to the last byte", BYTES("1234567"), 8, "1234567",
	  "1234567" },
	{ "one byte too many is cut", BYTES("12345678"), 8, "1234...",
	  "1234..." },
	{ "an escape is never cut in two", BYTES("123\x01\x01"), 10, "123...",
	  "123..." },
	{ "an escape that just fits stays", BYTES("123\x01"), 8, "123\\x01",
	  "123\\x01" },
	{ "the first of many may have no room", BYTES("\x01\x01\x01"), 8,
	  "\\x01...", "\\x01..." },
};

START_TEST(test_escape)
{
	char dst[64];

	memset(dst, POISON, sizeof(dst));
	ck_assert_ptr_eq(text_escape(dst, escape_cases[_i].cap,
				     escape_cases[_i].src,
				     escape_cases[_i].len),
			 dst);
	ck_assert_msg(strcmp(dst, escape_cases[_i].escaped) == 0,
		      "%s: escaped to '%s'", escape_cases[_i].name, dst);

	memset(dst, POISON, sizeof(dst));
	ck_assert_ptr_eq(text_clean(dst, escape_cases[_i].cap,
				    escape_cases[_i].src, escape_cases[_i].len),
			 dst);
	ck_assert_msg(strcmp(dst, escape_cases[_i].clean) == 0,
		      "%s: cleaned to '%s'", escape_cases[_i].name, dst);
}
END_TEST

START_TEST(test_escape_never_leaves_its_room)
{
	char src[300];
	char dst[320];

	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (char)i;
	for (size_t cap = 8; cap < 300; cap++) {
		memset(dst, POISON, sizeof(dst));
		(void)text_escape(dst, cap, src, sizeof(src));
		ck_assert_uint_lt(strnlen(dst, sizeof(dst)), cap);
		ck_assert_int_eq(dst[cap], POISON);
		ck_assert_ptr_nonnull(strstr(dst, "..."));
	}
}
END_TEST

START_TEST(test_clean_changes_nothing_the_second_time)
{
	char once[64];
	char twice[64];

	(void)text_clean(once, sizeof(once), BYTES("a\\b\n\x01z"));
	(void)text_clean(twice, sizeof(twice), once, strlen(once));
	ck_assert_str_eq(once, twice);
}
END_TEST

#define MSEC(n) ((n)*USEC_PER_MSEC)
#define SEC(n)  ((n)*USEC_PER_SEC)

static const struct {
	const char *name;
	const char *text;
	uint64_t usec;
	bool is_refused;
} duration_cases[] = {
	{ "a bare number is seconds", "90", SEC(90), false },
	{ "nothing at all is a duration of zero", "0", 0, false },
	{ "seconds", "90s", SEC(90), false },
	{ "minutes", "5m", SEC(300), false },
	{ "hours", "2h", SEC(7200), false },
	{ "days", "1d", SEC(86400), false },
	{ "milliseconds are not minutes", "250ms", MSEC(250), false },
	{ "a sum", "1h30m", SEC(5400), false },
	{ "a sum with milliseconds", "1s5ms", MSEC(1005), false },
	{ "ten years are the most", "3650d", SEC(3650 * 86400), false },
	{ "more than ten years", "3651d", 0, true },
	{ "a sum over ten years", "3650d1ms", 0, true },
	{ "a number that overflows", "99999999999999999999s", 0, true },
	{ "a product that overflows", "300000000000000d", 0, true },
	{ "an empty text", "", 0, true },
	{ "a unit without a number", "m", 0, true },
	{ "a number without its unit in a sum", "1h30", 0, true },
	{ "a sign", "-5m", 0, true },
	{ "a blank before", " 5m", 0, true },
	{ "a blank between", "5 m", 0, true },
	{ "a blank behind", "5m ", 0, true },
	{ "an unknown unit", "5w", 0, true },
	{ "a capital unit", "5M", 0, true },
	{ "a fraction", "1.5h", 0, true },
	{ "a word for a unit", "5min", 0, true },
	{ "hexadecimal", "0x10", 0, true },
};

START_TEST(test_parse_duration)
{
	uint64_t usec = POISON;
	bool is_taken = text_parse_duration(duration_cases[_i].text, &usec);

	ck_assert_msg(is_taken == !duration_cases[_i].is_refused, "%s: '%s'",
		      duration_cases[_i].name, duration_cases[_i].text);
	ck_assert_msg(usec == (is_taken ? duration_cases[_i].usec : POISON),
		      "%s: '%s' gave %llu", duration_cases[_i].name,
		      duration_cases[_i].text, (unsigned long long)usec);
}
END_TEST

static const struct {
	const char *name;
	const char *text;
	uint64_t bytes;
	bool is_refused;
} size_cases[] = {
	{ "bytes", "512", 512, false },
	{ "zero", "0", 0, false },
	{ "K is 1024", "64K", 65536, false },
	{ "M", "8M", 8 << 20, false },
	{ "G", "2G", UINT64_C(2) << 30, false },
	{ "the largest", "9223372036854775807", INT64_MAX, false },
	{ "one more than the largest", "9223372036854775808", 0, true },
	{ "the largest in G", "8589934591G", UINT64_C(8589934591) << 30,
	  false },
	{ "a product that overflows", "8589934592G", 0, true },
	{ "an empty text", "", 0, true },
	{ "a unit without a number", "K", 0, true },
	{ "a small unit", "64k", 0, true },
	{ "a unit too long", "64KB", 0, true },
	{ "a sign", "-1", 0, true },
	{ "a blank", "64 K", 0, true },
	{ "a fraction", "1.5M", 0, true },
};

START_TEST(test_parse_size)
{
	uint64_t bytes = POISON;
	bool is_taken = text_parse_size(size_cases[_i].text, &bytes);

	ck_assert_msg(is_taken == !size_cases[_i].is_refused, "%s: '%s'",
		      size_cases[_i].name, size_cases[_i].text);
	ck_assert_msg(bytes == (is_taken ? size_cases[_i].bytes : POISON),
		      "%s: '%s' gave %llu", size_cases[_i].name,
		      size_cases[_i].text, (unsigned long long)bytes);
}
END_TEST

static const struct {
	uint64_t usec;
	const char *text;
} format_duration_cases[] = {
	{ 0, "0 s" },
	{ 999, "0 s" },
	{ MSEC(250), "250 ms" },
	{ SEC(45), "45 s" },
	{ SEC(45) + MSEC(20), "45 s 20 ms" },
	{ SEC(300), "5 min" },
	{ SEC(5400), "1 h 30 min" },
	{ SEC(3605), "1 h" },
	{ SEC(86400 * 3 + 7200 + 59), "3 d 2 h" },
	{ UINT64_MAX, "213503982 d 8 h" },
};

START_TEST(test_format_duration)
{
	char text[32];

	memset(text, POISON, sizeof(text));
	ck_assert_str_eq(text_format_duration(text, sizeof(text),
					      format_duration_cases[_i].usec),
			 format_duration_cases[_i].text);
}
END_TEST

static const struct {
	uint64_t bytes;
	const char *text;
} format_size_cases[] = {
	{ 0, "0 B" },
	{ 999, "999 B" },
	{ 1000, "1.0 kB" },
	{ 12345, "12.3 kB" },
	{ 999949, "999.9 kB" },
	{ 999950, "1.0 MB" },
	{ 1400000, "1.4 MB" },
	{ UINT64_C(2000000000), "2.0 GB" },
	{ UINT64_MAX, "18.4 EB" },
};

START_TEST(test_format_size)
{
	char text[32];

	memset(text, POISON, sizeof(text));
	ck_assert_str_eq(text_format_size(text, sizeof(text),
					  format_size_cases[_i].bytes),
			 format_size_cases[_i].text);
}
END_TEST

static const struct {
	const char *name;
	const char *a;
	const char *b;
	unsigned distance;
} distance_cases[] = {
	{ "the same", "host", "host", 0 },
	{ "the same in capitals", "host", "HOST", 0 },
	{ "one letter more", "host", "hosts", 1 },
	{ "one letter less", "host", "hst", 1 },
	{ "two replaced", "port", "past", 2 },
	{ "neighbours swapped count once", "username", "usrename", 1 },
	{ "swapped at the start", "host", "ohst", 1 },
	{ "against nothing", "host", "", 4 },
	{ "nothing against something", "", "host", 4 },
	{ "nothing in common", "abc", "xyz", 3 },
};

START_TEST(test_distance)
{
	unsigned distance =
		text_distance(distance_cases[_i].a, distance_cases[_i].b);

	ck_assert_msg(distance == distance_cases[_i].distance, "%s: %u",
		      distance_cases[_i].name, distance);
}
END_TEST

START_TEST(test_distance_of_words_beyond_its_room)
{
	char a[1000];
	char b[1000];

	memset(a, 'a', sizeof(a) - 1);
	memset(b, 'A', sizeof(b) - 1);
	a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
	ck_assert_uint_eq(text_distance(a, b), 0);
	b[0] = 'x';
	ck_assert_uint_eq(text_distance(a, b), 999);
	ck_assert_uint_eq(text_distance("", b), 999);
}
END_TEST

static const struct {
	const char *name;
	const char *word;
	const char *nearest;
} nearest_cases[] = {
	{ "a slip of the finger", "inteval", "interval" },
	{ "one edit is allowed in a short word", "tsl", "tls" },
	{ "two are not", "tol", NULL },
	{ "the nearest wins, not the first", "passwrd_file", "password_file" },
	{ "three edits at the most", "pasword_fil_", "password_file" },
	{ "far from all", "colour", NULL },
	{ "an empty word", "", NULL },
};

START_TEST(test_nearest)
{
	static const char *const words[] = { "interval", "tls", "password",
					     "password_file" };
	const char *nearest =
		text_nearest(nearest_cases[_i].word, words, ARRAY_SIZE(words));
	const char *expected = nearest_cases[_i].nearest;

	ck_assert_msg((nearest == NULL) == (expected == NULL), "%s: '%s'",
		      nearest_cases[_i].name,
		      nearest == NULL ? "none" : nearest);
	if (expected != NULL)
		ck_assert_str_eq(nearest, expected);
}
END_TEST

START_TEST(test_nearest_of_none)
{
	ck_assert_ptr_null(text_nearest("host", NULL, 0));
}
END_TEST

static Suite *text_suite(void)
{
	Suite *suite = suite_create("text");
	TCase *tcase = tcase_create("text");

	tcase_add_loop_test(tcase, test_escape, 0, ARRAY_SIZE(escape_cases));
	tcase_add_test(tcase, test_escape_never_leaves_its_room);
	tcase_add_test(tcase, test_clean_changes_nothing_the_second_time);
	tcase_add_loop_test(tcase, test_parse_duration, 0,
			    ARRAY_SIZE(duration_cases));
	tcase_add_loop_test(tcase, test_parse_size, 0, ARRAY_SIZE(size_cases));
	tcase_add_loop_test(tcase, test_format_duration, 0,
			    ARRAY_SIZE(format_duration_cases));
	tcase_add_loop_test(tcase, test_format_size, 0,
			    ARRAY_SIZE(format_size_cases));
	tcase_add_loop_test(tcase, test_distance, 0,
			    ARRAY_SIZE(distance_cases));
	tcase_add_test(tcase, test_distance_of_words_beyond_its_room);
	tcase_add_loop_test(tcase, test_nearest, 0, ARRAY_SIZE(nearest_cases));
	tcase_add_test(tcase, test_nearest_of_none);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(text_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
