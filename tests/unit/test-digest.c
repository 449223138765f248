/*
 * test-digest.c - which bytes of a message count, however they are split.
 */
#include "digest.h"

#include <check.h>
#include <string.h>

#define LONG_64 \
	"X-Mozilla-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_LINE                                                                \
	"0123456789012345678901234567890123456789012345678901234567890123456789" \
	"0123456789012345678901234567890123456789012345678901234567890123456789"

/* The digest of message must be the plain SHA-256 of counted. */
/* clang-format off */
static const struct {
	const char *name;
	const char *message;
	const char *counted;
} digest_cases[] = {
	{ "an ordinary message counts in full", "From: a@b\nSubject: c\n\nbody\n",
	  "From: a@b\nSubject: c\n\nbody\n" },
	{ "an empty message", "", "" },
	{ "each volatile field is left out",
	  "A: 1\nX-UIDL: x\nStatus: RO\nX-Status: A\nX-Keywords: k\nLines: 3\n"
	  "Content-Length: 12\nX-IMAP: 1\nX-IMAPbase: 2\nX-UID: 3\nB: 2\n\nbody\n",
	  "A: 1\nB: 2\n\nbody\n" },
	{ "X-Mozilla-anything is volatile", "X-Mozilla-Status2: 1\nX-Mozilla-Keys: \n\nb\n",
	  "\nb\n" },
	{ "X-Mozilla alone is not", "X-Mozilla: 1\n\nb\n", "X-Mozilla: 1\n\nb\n" },
	{ "case of the name does not matter", "x-uidl: 1\nSTATUS: RO\n\nb\n", "\nb\n" },
	{ "blanks before the colon do not matter", "Status \t: RO\n\nb\n", "\nb\n" },
	{ "a folded line goes with its field", "Status: R\n O\n\tX\nA: 1\n 2\n\nb\n",
	  "A: 1\n 2\n\nb\n" },
	{ "a line of blanks is folded, not the end", "Status: R\n \nX-UIDL: 1\n\nb\n", "\nb\n" },
	{ "a longer name is another field", "Statuses: 1\nX-UIDs: 2\n\nb\n",
	  "Statuses: 1\nX-UIDs: 2\n\nb\n" },
	{ "a shorter name is another field", "Statu: 1\n\nb\n", "Statu: 1\n\nb\n" },
	{ "a volatile name in the body counts", "A: 1\n\nStatus: RO\n", "A: 1\n\nStatus: RO\n" },
	{ "a body without header", "\nStatus: RO\n", "\nStatus: RO\n" },
	{ "a volatile name without colon counts", "Status\nA: 1\n\nb\n", "Status\nA: 1\n\nb\n" },
	{ "a message that ends in a name", "A: 1\nStatus", "A: 1\nStatus" },
	{ "a message that ends in a volatile field", "A: 1\nStatus: R", "A: 1\n" },
	{ "an mbox line", "From a@b Mon Jan  1 10:00:00 2024\nStatus: R\n\nb\n",
	  "From a@b Mon Jan  1 10:00:00 2024\n\nb\n" },
	{ "a folded line before any field counts", " x\nStatus: R\n\nb\n", " x\n\nb\n" },
	{ "a name of 64 bytes may be volatile", LONG_64 ": 1\n\nb\n", "\nb\n" },
	{ "a name of 65 bytes is not", LONG_64 "a: 1\n\nb\n", LONG_64 "a: 1\n\nb\n" },
	{ "a long line without colon counts", LONG_LINE "\nStatus: R\n\nb\n",
	  LONG_LINE "\n\nb\n" },
	{ "a long volatile line is left out", "Status: " LONG_LINE "\n\nb\n", "\nb\n" },
};
/* clang-format on */

static struct bytes as_bytes(const char *text)
{
	return (struct bytes){ text, strlen(text) };
}

static void run_digest(struct digest *digest, const char *message, size_t piece,
		       uint8_t ret[DIGEST_SIZE])
{
	struct error err = { 0 };
	size_t len = strlen(message);

	memset(ret, 0xa5, DIGEST_SIZE);
	digest_begin(digest);
	for (size_t at = 0; at < len; at += piece)
		digest_add(digest, message + at, MIN(piece, len - at));
	ck_assert_int_eq(digest_end(digest, ret, &err), 0);
}

START_TEST(counts_the_right_bytes_in_any_pieces)
{
	_cleanup_digest_ struct digest *digest = NULL;
	const char *message = digest_cases[_i].message;
	uint8_t expected[DIGEST_SIZE];
	uint8_t got[DIGEST_SIZE];
	struct error err = { 0 };

	ck_assert_int_eq(digest_new(&digest, &err), 0);
	ck_assert_int_eq(digest_bytes(as_bytes(digest_cases[_i].counted),
				      expected, &err),
			 0);
	for (size_t piece = 1; piece <= strlen(message) + 1; piece++) {
		run_digest(digest, message, piece, got);
		ck_assert_msg(memcmp(got, expected, DIGEST_SIZE) == 0,
			      "%s, in pieces of %zu", digest_cases[_i].name,
			      piece);
	}
}
END_TEST

START_TEST(plain_bytes_give_the_sha256_of_fips_180)
{
	static const uint8_t expected[DIGEST_SIZE] = {
		0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
		0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
		0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
		0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
	};
	uint8_t got[DIGEST_SIZE] = { 0 };
	struct error err = { 0 };

	ck_assert_int_eq(digest_bytes(as_bytes("abc"), got, &err), 0);
	ck_assert_mem_eq(got, expected, DIGEST_SIZE);
}
END_TEST

START_TEST(a_nul_byte_counts)
{
	_cleanup_digest_ struct digest *digest = NULL;
	static const char message[] = "A: \0b\n\nc\0d";
	const struct bytes whole = { message, sizeof(message) - 1 };
	uint8_t expected[DIGEST_SIZE];
	uint8_t got[DIGEST_SIZE] = { 0 };
	struct error err = { 0 };

	ck_assert_int_eq(digest_new(&digest, &err), 0);
	ck_assert_int_eq(digest_bytes(whole, expected, &err), 0);
	digest_begin(digest);
	digest_add(digest, whole.data, whole.len);
	ck_assert_int_eq(digest_end(digest, got, &err), 0);
	ck_assert_mem_eq(got, expected, DIGEST_SIZE);
}
END_TEST

START_TEST(a_message_cut_short_leaves_nothing_for_the_next)
{
	_cleanup_digest_ struct digest *digest = NULL;
	uint8_t expected[DIGEST_SIZE];
	uint8_t got[DIGEST_SIZE];
	struct error err = { 0 };

	ck_assert_int_eq(digest_new(&digest, &err), 0);
	ck_assert_int_eq(digest_bytes(as_bytes("A: 1\n\nb\n"), expected, &err),
			 0);
	digest_begin(digest);
	digest_add(digest, "Status: R\n Sta", 14);
	run_digest(digest, "A: 1\n\nb\n", 100, got);
	ck_assert_mem_eq(got, expected, DIGEST_SIZE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("digest");
	TCase *tcase = tcase_create("digest");
	SRunner *runner;
	int n_failed;

	tcase_add_loop_test(tcase, counts_the_right_bytes_in_any_pieces, 0,
			    (int)ARRAY_SIZE(digest_cases));
	tcase_add_test(tcase, plain_bytes_give_the_sha256_of_fips_180);
	tcase_add_test(tcase, a_nul_byte_counts);
	tcase_add_test(tcase, a_message_cut_short_leaves_nothing_for_the_next);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
