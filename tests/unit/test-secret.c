/*
 * test-secret.c - what is taken as a secret, from which file, and who sees it.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "secret.h"
#include "text.h"

#define TEXT(literal) (literal), sizeof(literal) - 1
#define POISON        ((struct secret){ .text = (char *)poison, .len = 77 })

static const char poison[] = "untouched";

/* clang-format off */
static const struct {
	const char *name;
	const char *text;
	size_t len;
	const char *error; /* NULL: it is taken */
} set_cases[] = {
	{ "an ordinary password", TEXT("correct horse"), NULL },
	{ "8-bit bytes are taken as they are", TEXT("p\xc3\xa4ss\xff"), NULL },
	{ "blanks and tabs belong to the password", TEXT(" \t "), NULL },
	{ "an empty secret is refused", TEXT(""), "the secret is empty" },
	{ "a wiped secret is refused", TEXT("\0\0\0"),
	  "the secret holds nothing but NUL bytes" },
	{ "a NUL inside is refused", TEXT("a\0b"), "the secret holds a NUL byte" },
	{ "a CR is refused", TEXT("a\rQUIT"), "the secret holds a line break" },
	{ "an LF is refused", TEXT("a\nQUIT"), "the secret holds a line break" },
	{ "an LF at the end is refused", TEXT("a\n"),
	  "the secret holds a line break" },
};
/* clang-format on */

START_TEST(test_set)
{
	const char *name = set_cases[_i].name;
	struct secret secret = POISON;
	struct error err = { 0 };
	int r = secret_set(&secret, set_cases[_i].text, set_cases[_i].len,
			   &err);

	if (set_cases[_i].error != NULL) {
		ck_assert_msg(r < 0, "%s: was taken", name);
		ck_assert_msg(secret.text == poison && secret.len == 77,
			      "%s: the output was written", name);
		ck_assert_msg(err.kind == ERROR_CONFIG, "%s: kind", name);
		ck_assert_msg(strcmp(err.text, set_cases[_i].error) == 0,
			      "%s: '%s'", name, err.text);
		return;
	}

	ck_assert_msg(r == 0, "%s: %s", name, err.text);
	ck_assert_msg(secret.len == set_cases[_i].len &&
			      memcmp(secret.text, set_cases[_i].text,
				     secret.len) == 0 &&
			      secret.text[secret.len] == '\0',
		      "%s: other bytes", name);
	secret_done(&secret);
	ck_assert_ptr_null(secret.text);
}
END_TEST

START_TEST(test_length_bound)
{
	_cleanup_secret_ struct secret secret = { 0 };
	_cleanup_string_ char *text = malloc(SECRET_MAX + 1);
	struct error err = { 0 };

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', SECRET_MAX + 1);
	ck_assert_int_lt(secret_set(&secret, text, SECRET_MAX + 1, &err), 0);
	ck_assert_str_eq(err.text, "the secret is longer than 65536 bytes");
	ck_assert_int_eq(secret_set(&secret, text, SECRET_MAX, &err), 0);
}
END_TEST

START_TEST(test_wipe_accepts_nothing)
{
	struct secret secret = { 0 };
	char *string = NULL;

	secret_done(&secret);
	secret_wipe_string(&string);
	string = strdup("secret");
	secret_wipe_string(&string);
	ck_assert_ptr_null(string);
}
END_TEST

#define DIR_TEMPLATE "/tmp/mailhaul-test-secret-XXXXXX"

static char dir[] = DIR_TEMPLATE;
static char path[sizeof(dir) + 8];

static void setup_dir(void)
{
	memcpy(dir, DIR_TEMPLATE, sizeof(dir));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/file", dir);
}

static void teardown_dir(void)
{
	(void)remove(path); /* a test may have made none */
	ck_assert_int_eq(rmdir(dir), 0);
}

static void write_file(const char *data, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	fd_close(&fd);
}

/* clang-format off */
static const struct {
	const char *name;
	const char *data;
	size_t len;
	mode_t mode;
	const char *secret; /* NULL: refused */
	const char *error;  /* the text behind the file's name */
} file_cases[] = {
	{ "a line without an end", TEXT("pw"), 0600, "pw", NULL },
	{ "one LF is removed", TEXT("pw\n"), 0600, "pw", NULL },
	{ "one CRLF is removed", TEXT("pw\r\n"), 0400, "pw", NULL },
	{ "blanks are kept", TEXT(" pw \n"), 0600, " pw ", NULL },
	{ "only one newline is removed", TEXT("pw\n\n"), 0600, NULL,
	  ": the secret holds a line break" },
	{ "a CR alone is no line end", TEXT("pw\r"), 0600, NULL,
	  ": the secret holds a line break" },
	{ "a second line is refused", TEXT("pw\nmore\n"), 0600, NULL,
	  ": the secret holds a line break" },
	{ "a NUL is refused", TEXT("p\0w\n"), 0600, NULL,
	  ": the secret holds a NUL byte" },
	{ "an empty file is refused", TEXT(""), 0600, NULL,
	  ": the secret is empty" },
	{ "a file with only a newline is refused", TEXT("\n"), 0600, NULL,
	  ": the secret is empty" },
	{ "a file that the group can read is refused", TEXT("pw\n"), 0640, NULL,
	  " has mode 0640: others could use the secret in it; run: chmod 600 " },
	{ "a file that others can read is refused", TEXT("pw\n"), 0604, NULL,
	  " has mode 0604: others could use the secret in it; run: chmod 600 " },
	{ "a file that the group can write is refused", TEXT("pw\n"), 0620, NULL,
	  " has mode 0620: others could use the secret in it; run: chmod 600 " },
};
/* clang-format on */

START_TEST(test_file)
{
	const char *name = file_cases[_i].name;
	struct secret secret = POISON;
	struct error err = { 0 };
	int r;

	write_file(file_cases[_i].data, file_cases[_i].len,
		   file_cases[_i].mode);
	r = secret_read_file(&secret, path, &err);
	if (file_cases[_i].secret != NULL) {
		ck_assert_msg(r == 0, "%s: %s", name, err.text);
		ck_assert_msg(strcmp(secret.text, file_cases[_i].secret) == 0 &&
				      secret.len == strlen(secret.text),
			      "%s: '%s'", name, secret.text);
		secret_done(&secret);
		return;
	}

	ck_assert_msg(r < 0, "%s: was taken", name);
	ck_assert_msg(err.kind == ERROR_CONFIG, "%s: kind", name);
	ck_assert_msg(secret.text == poison, "%s: the output was written",
		      name);
	ck_assert_msg(strncmp(err.text, path, strlen(path)) == 0,
		      "%s: the file is not named: '%s'", name, err.text);
	ck_assert_msg(strncmp(err.text + strlen(path), file_cases[_i].error,
			      strlen(file_cases[_i].error)) == 0,
		      "%s: '%s'", name, err.text);
}
END_TEST

START_TEST(test_file_too_long)
{
	_cleanup_secret_ struct secret secret = { 0 };
	_cleanup_string_ char *text = malloc(SECRET_MAX + 100);
	struct error err = { 0 };

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', SECRET_MAX + 100);
	write_file(text, SECRET_MAX + 100, 0600);
	ck_assert_int_lt(secret_read_file(&secret, path, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "longer than 65536 bytes"));

	text[SECRET_MAX] = '\r';
	text[SECRET_MAX + 1] = '\n';
	write_file(text, SECRET_MAX + 2, 0600);
	ck_assert_int_eq(secret_read_file(&secret, path, &err), 0);
	ck_assert_uint_eq(secret.len, SECRET_MAX);
}
END_TEST

START_TEST(test_file_missing)
{
	struct secret secret = POISON;
	struct error err = { 0 };

	ck_assert_int_lt(secret_read_file(&secret, path, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
	ck_assert_ptr_eq(secret.text, poison);
}
END_TEST

START_TEST(test_fifo_does_not_hang)
{
	struct secret secret = POISON;
	struct error err = { 0 };

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_lt(secret_read_file(&secret, path, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "is not a regular file"));
}
END_TEST

START_TEST(test_foreign_owner)
{
	struct secret secret = POISON;
	struct error err = { 0 };

	if (geteuid() != 0)
		return; /* only root can give a file away */
	write_file("pw\n", 3, 0600);
	ck_assert_int_eq(chown(path, 65534, 65534), 0);
	ck_assert_int_lt(secret_read_file(&secret, path, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "belongs to user 65534"));
}
END_TEST

START_TEST(test_arena_keeps_texts)
{
	struct secret_arena *arena = secret_arena_new();
	const char *first;
	const char *second;

	ck_assert_ptr_nonnull(arena);
	first = secret_arena_add(arena, TEXT("first"));
	second = secret_arena_add(arena, TEXT("second"));
	ck_assert_str_eq(first, "first");
	ck_assert_str_eq(second, "second");
	secret_arena_free(&arena);
	ck_assert_ptr_null(arena);
	secret_arena_free(&arena);
}
END_TEST

START_TEST(test_arena_full)
{
	struct secret_arena *arena = secret_arena_new();
	char *text = calloc(1, SECRET_MAX);
	unsigned n = 0;

	ck_assert_ptr_nonnull(arena);
	ck_assert_ptr_nonnull(text);
	while (n < 2000 && secret_arena_add(arena, text, SECRET_MAX) != NULL)
		n++;
	ck_assert_uint_ge(n, 1000);
	ck_assert_uint_lt(n, 2000);
	free(text);
	secret_arena_free(&arena);
}
END_TEST

START_TEST(test_arena_is_zero_in_a_child)
{
	struct secret_arena *arena = secret_arena_new();
	const char *secret;
	pid_t pid;
	int status;

	ck_assert_ptr_nonnull(arena);
	secret = secret_arena_add(arena, TEXT("only the parent"));
	ck_assert_ptr_nonnull(secret);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		for (size_t i = 0; i < strlen("only the parent"); i++)
			if (secret[i] != '\0')
				_exit(1);
		_exit(0);
	}

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the child could read the parent's secret");
	ck_assert_str_eq(secret, "only the parent");
	secret_arena_free(&arena);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("secret");
	TCase *text = tcase_create("text");
	TCase *file = tcase_create("file");
	TCase *arena = tcase_create("arena");

	tcase_add_loop_test(text, test_set, 0, (int)ARRAY_SIZE(set_cases));
	tcase_add_test(text, test_length_bound);
	tcase_add_test(text, test_wipe_accepts_nothing);
	suite_add_tcase(suite, text);

	tcase_add_checked_fixture(file, setup_dir, teardown_dir);
	tcase_add_loop_test(file, test_file, 0, (int)ARRAY_SIZE(file_cases));
	tcase_add_test(file, test_file_too_long);
	tcase_add_test(file, test_file_missing);
	tcase_add_test(file, test_fifo_does_not_hang);
	tcase_add_test(file, test_foreign_owner);
	suite_add_tcase(suite, file);

	tcase_add_test(arena, test_arena_keeps_texts);
	tcase_add_test(arena, test_arena_full);
	tcase_add_test(arena, test_arena_is_zero_in_a_child);
	suite_add_tcase(suite, arena);
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
