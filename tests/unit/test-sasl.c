/*
 * test-sasl.c - what the client says to log in.
 */
#include <check.h>
#include <openssl/evp.h>
#include <string.h>

#include "sasl.h"

#define BYTES(literal) ((struct bytes){ (literal), sizeof(literal) - 1 })

static const struct {
	const char *name;
	const char *timestamp;
	const char *secret;
	const char *digest;
} apop_cases[] = {
	{ "the example of RFC 1939", "<1896.697170952@dbc.mtview.ca.us>",
	  "tanstaaf", "c4c9334bac560ecc979e58001b3e22fb" },
	{ "8-bit bytes in the secret", "<a@b>", "p\xc3\xa4ss",
	  "f882c56c2fa8cec3135240735d70e004" },
	{ "leading zeros of the digest are kept", "<a@b>", "zero186",
	  "003835ead3e2f8c134a8bb387112180c" },
};

START_TEST(test_apop)
{
	const char *secret = apop_cases[_i].secret;
	const char *name = apop_cases[_i].name;
	char digest[SASL_APOP_DIGEST_SIZE];
	struct error err = { 0 };

	memset(digest, 'z', sizeof(digest));
	ck_assert_msg(sasl_apop_digest(apop_cases[_i].timestamp,
				       (struct bytes){ secret, strlen(secret) },
				       digest, &err) == 0,
		      "%s: %s", name, err.text);
	ck_assert_msg(strcmp(digest, apop_cases[_i].digest) == 0, "%s: %s",
		      name, digest);
}
END_TEST

START_TEST(without_md5_apop_is_a_matter_of_configuration)
{
	char digest[SASL_APOP_DIGEST_SIZE] = "poison";
	struct error err = { 0 };

	ck_assert_int_eq(EVP_set_default_properties(NULL, "fips=yes"), 1);
	ck_assert_int_lt(sasl_apop_digest("<a@b>", BYTES("x"), digest, &err),
			 0);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "MD5"));
	ck_assert_str_eq(digest, "poison");
}
END_TEST

static const struct {
	const char *name;
	struct bytes username;
	struct bytes secret;
	const char *encoded; /* NULL: it must be refused */
} plain_cases[] = {
	{ "the example of RFC 4616",
	  { "tim", 3 },
	  { "tanstaaftanstaaf", 16 },
	  "AHRpbQB0YW5zdGFhZnRhbnN0YWFm" },
	{ "one byte of padding", { "tim", 3 }, { "abc", 3 }, "AHRpbQBhYmM=" },
	{ "two bytes of padding", { "tim", 3 }, { "ab", 2 }, "AHRpbQBhYg==" },
	{ "8-bit bytes", { "\xff", 1 }, { "\xfe\xfd", 2 }, "AP8A/v0=" },
	{ "a NUL in the user name would split it",
	  { "t\0m", 3 },
	  { "x", 1 },
	  NULL },
	{ "a NUL in the secret would end it",
	  { "tim", 3 },
	  { "x\0", 2 },
	  NULL },
};

START_TEST(test_plain)
{
	const char *want = plain_cases[_i].encoded;
	const char *name = plain_cases[_i].name;
	char poison[] = "poison";
	char *encoded = poison;
	struct error err = { 0 };
	int r = sasl_plain(plain_cases[_i].username, plain_cases[_i].secret,
			   &encoded, &err);

	if (want == NULL) {
		ck_assert_msg(r < 0, "%s: was taken", name);
		ck_assert_msg(err.kind == ERROR_CONFIG, "%s: kind", name);
		ck_assert_msg(encoded == poison, "%s: output written", name);
		return;
	}

	ck_assert_msg(r == 0, "%s: %s", name, err.text);
	ck_assert_msg(strcmp(encoded, want) == 0, "%s: %s", name, encoded);
	free(encoded);
}
END_TEST

START_TEST(a_long_token_fits_on_one_line)
{
	static char token[65536];
	_cleanup_string_ char *encoded = NULL;
	struct error err = { 0 };

	memset(token, 'x', sizeof(token));
	ck_assert_int_eq(sasl_plain(BYTES("joe"),
				    (struct bytes){ token, sizeof(token) },
				    &encoded, &err),
			 0);
	ck_assert_uint_eq(strlen(encoded), (sizeof(token) + 5 + 2) / 3 * 4);
	ck_assert_ptr_null(strchr(encoded, '\n'));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("sasl");
	TCase *tcase = tcase_create("messages");

	tcase_add_loop_test(tcase, test_apop, 0, ARRAY_SIZE(apop_cases));
	tcase_add_test(tcase, without_md5_apop_is_a_matter_of_configuration);
	tcase_add_loop_test(tcase, test_plain, 0, ARRAY_SIZE(plain_cases));
	tcase_add_test(tcase, a_long_token_fits_on_one_line);
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
