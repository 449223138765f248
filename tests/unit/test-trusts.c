/*
 * test-trusts.c - which CA files are loaded, when, and whose are refused.
 *
 * Loading itself is played here: what it takes is tested in test-tls.c.
 */
#include "trusts.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "scratch.h"

/* Root's, with all that stands above it. */
#define ROOTS_FILE "/etc/passwd"

struct tls_trust {
	bool is_stale;
};

static unsigned n_loads;
static bool is_unloadable;

void tls_prepare(void)
{
}

int tls_trust_load(const char *ca_file, struct tls_trust **ret,
		   struct error *err)
{
	(void)ca_file;
	n_loads++;
	if (is_unloadable)
		return error_set(err, ERROR_CONFIG, "no");
	*ret = calloc(1, sizeof(**ret));
	ck_assert_ptr_nonnull(*ret);
	return 0;
}

void tls_trust_free(struct tls_trust **trust)
{
	free(*trust);
	*trust = NULL;
}

bool tls_trust_is_stale(const struct tls_trust *trust)
{
	return trust->is_stale;
}

static struct trusts *begin(void)
{
	struct trusts *trusts = trusts_new();

	ck_assert_ptr_nonnull(trusts);
	n_loads = 0;
	is_unloadable = false;
	return trusts;
}

static void make_stale(const struct tls_trust *trust)
{
	((struct tls_trust *)(uintptr_t)trust)->is_stale = true;
}

START_TEST(one_file_is_loaded_once_for_all)
{
	struct trusts *trusts = begin();
	const struct tls_trust *ours = trusts_get(trusts, ROOTS_FILE);
	const struct tls_trust *systems = trusts_get(trusts, NULL);
	char same[] = ROOTS_FILE; /* another account's string */

	ck_assert_ptr_nonnull(ours);
	ck_assert_ptr_nonnull(systems);
	ck_assert_ptr_ne(ours, systems);
	ck_assert_ptr_eq(trusts_get(trusts, same), ours);
	ck_assert_ptr_eq(trusts_get(trusts, NULL), systems);
	ck_assert_uint_eq(n_loads, 2);
	trusts_free(&trusts);
	ck_assert_ptr_null(trusts);
}
END_TEST

START_TEST(what_has_changed_is_loaded_again)
{
	struct trusts *trusts = begin();

	make_stale(trusts_get(trusts, ROOTS_FILE));
	ck_assert(!trusts_get(trusts, ROOTS_FILE)->is_stale);
	ck_assert_uint_eq(n_loads, 2);
	trusts_free(&trusts);
}
END_TEST

START_TEST(what_does_not_load_leaves_the_old_in_force_and_is_left_alone)
{
	struct trusts *trusts = begin();
	const struct tls_trust *old = trusts_get(trusts, ROOTS_FILE);

	make_stale(old);
	is_unloadable = true;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_ptr_eq(trusts_get(trusts, ROOTS_FILE), old);
	ck_assert_uint_eq(n_loads, 2);
	trusts_free(&trusts);
}
END_TEST

START_TEST(what_never_loaded_is_left_to_the_workers)
{
	struct trusts *trusts = begin();

	is_unloadable = true;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_ptr_null(trusts_get(trusts, NULL));
	ck_assert_uint_eq(n_loads, 1);
	trusts_free(&trusts);
}
END_TEST

START_TEST(files_without_number_do_not_fill_the_memory)
{
	struct trusts *trusts = begin();
	char path[64] = ROOTS_FILE;

	for (unsigned i = 0; i < 40; i++) {
		(void)trusts_get(trusts, path);
		/* The same file by another name. */
		(void)snprintf(path, sizeof(path), "/%*s", (int)i + 11,
			       ROOTS_FILE);
		for (char *p = path; *p == '/' || *p == ' '; p++)
			*p = '/';
	}
	ck_assert_uint_eq(n_loads, 16);
	/* Those that have a place keep it. */
	ck_assert_ptr_nonnull(trusts_get(trusts, ROOTS_FILE));
	ck_assert_uint_eq(n_loads, 16);
	trusts_free(&trusts);
}
END_TEST

START_TEST(root_opens_nothing_that_others_could_have_put_there)
{
	struct trusts *trusts = begin();
	char dir[SCRATCH_PATH_MAX];
	char path[SCRATCH_PATH_MAX + 8];
	bool is_root = geteuid() == 0;

	scratch_make(dir); /* below a directory that all may write */
	(void)snprintf(path, sizeof(path), "%s/ca", dir);
	scratch_write(path, "x", 1);
	ck_assert(is_root == (trusts_get(trusts, path) == NULL));
	ck_assert_uint_eq(n_loads, is_root ? 0 : 1);
	trusts_free(&trusts);
}
END_TEST

static Suite *trusts_suite(void)
{
	Suite *suite = suite_create("trusts");
	TCase *tcase = tcase_create("trusts");

	tcase_add_test(tcase, one_file_is_loaded_once_for_all);
	tcase_add_test(tcase, what_has_changed_is_loaded_again);
	tcase_add_test(
		tcase,
		what_does_not_load_leaves_the_old_in_force_and_is_left_alone);
	tcase_add_test(tcase, what_never_loaded_is_left_to_the_workers);
	tcase_add_test(tcase, files_without_number_do_not_fill_the_memory);
	tcase_add_test(tcase,
		       root_opens_nothing_that_others_could_have_put_there);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(trusts_suite());
	int n_failed;

	scratch_begin();
	srunner_run_all(runner, CK_ENV);
	scratch_end();
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
