/*
 * scratch.c - directories of a test's own, and a Maildir with its journal.
 *
 * One directory for all tests of a program, removed by the program itself:
 * a test that fails ends in its own process and clears nothing up.
 */
#include "scratch.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char root[SCRATCH_PATH_MAX - 64];

void scratch_begin(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(root, sizeof(root), "%s/mailhaul-test-XXXXXX",
		       tmp && tmp[0] == '/' ? tmp : "/tmp");
	if (!mkdtemp(root)) {
		perror(root);
		exit(EXIT_FAILURE);
	}
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path); /* what stays is seen in TMPDIR */
	return 0;
}

void scratch_end(void)
{
	(void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_make(char ret[SCRATCH_PATH_MAX])
{
	(void)snprintf(ret, SCRATCH_PATH_MAX, "%s/XXXXXX", root);
	ck_assert_ptr_nonnull(mkdtemp(ret));
}

void scratch_write(const char *path, const char *data, size_t len)
{
	_cleanup_fd_ int fd = -1;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_msg(fd >= 0, "%s", path);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
}

char *scratch_read(const char *path, size_t *ret_len)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	char *data;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0 && fstat(fd, &st) == 0, "%s", path);
	data = calloc(1, (size_t)st.st_size + 1);
	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(read(fd, data, (size_t)st.st_size), st.st_size);
	*ret_len = (size_t)st.st_size;
	return data;
}

static int is_name(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 &&
	       strcmp(entry->d_name, "..") != 0;
}

char *scratch_names(const char *dir, const char *part)
{
	_cleanup_string_ char *path = NULL;
	struct dirent **entries;
	size_t size = 0;
	char *names;
	FILE *file;
	int n;

	ck_assert_int_ge(asprintf(&path, "%s/%s", dir, part), 0);
	n = scandir(path, &entries, is_name, alphasort);
	ck_assert_msg(n >= 0, "%s", path);
	file = open_memstream(&names, &size);
	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < n; i++) {
		(void)fprintf(file, "%s\n", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	ck_assert_int_eq(fclose(file), 0);
	return names;
}

size_t scratch_count(const char *dir, const char *part)
{
	_cleanup_string_ char *names = scratch_names(dir, part);
	size_t n = 0;

	for (const char *p = names; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

void store_reopen(struct store *store)
{
	const struct journal_identity identity = {
		.host = "pop.example.org",
		.port = 995,
		.username = "mrose",
	};
	struct maildir_options options = {
		.path = store->mail,
		.create = true,
	};
	struct error err = { 0 };

	ck_assert_msg(journal_open(store->state, &identity, &store->journal,
				   &err) == 0,
		      "%s", err.text);
	options.tag = journal_tag(store->journal);
	ck_assert_msg(maildir_open(&store->maildir, &options, &err) == 0, "%s",
		      err.text);
}

void store_make(struct store *ret)
{
	*ret = (struct store){ 0 };
	scratch_make(ret->dir);
	(void)snprintf(ret->mail, sizeof(ret->mail), "%s/mail", ret->dir);
	(void)snprintf(ret->state, sizeof(ret->state), "%s/state", ret->dir);
	ck_assert_int_eq(mkdir(ret->state, 0700), 0);
	store_reopen(ret);
}

static void forget_known(struct store *store)
{
	known_free(&store->known);
	journal_rows_done(&store->rows);
}

struct known *store_know(struct store *store, bool are_absent)
{
	struct error err = { 0 };

	forget_known(store);
	ck_assert_int_eq(known_new(&store->known, &err), 0);
	ck_assert_int_eq(journal_load(store->journal, &store->rows, &err), 0);
	for (size_t i = 0; i < store->rows.n_rows; i++) {
		const struct journal_row *row = &store->rows.rows[i];
		struct known_row known = {
			.id = row->id,
			.uid = row->uid,
			.has_own_uid_only = row->state == JOURNAL_DELETED,
			.is_absent = are_absent,
		};

		ck_assert_int_eq(journal_get_digest(store->journal, row->id,
						    known.digest, &err),
				 0);
		ck_assert_int_eq(known_add(store->known, &known, &err), 0);
	}
	return store->known;
}

void store_close(struct store *store)
{
	forget_known(store);
	maildir_done(&store->maildir);
	journal_close(&store->journal);
}
