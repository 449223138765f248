/*
 * test-maildir.c - what may stand in a Maildir after a crash, and around us.
 *
 * fsync and renameat2 of the C library are replaced here, so that a flush can
 * be counted and refused, and an old file system played.
 */
#include "maildir.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAG       "0123456789ab"
#define OTHER_TAG "ba9876543210"
#define BASE      "1700000000.M000001P4242Q1R" TAG ".host"
#define BASE_TWO  "1700000000.M000001P4242Q2R" TAG ".host"

static char root[4096];
static char maildir_path[4200];

#define KILL_STEPS 7 /* mkdir of four, two fsyncs, chmod */

static unsigned n_flushes;
static int n_steps;
static int die_at_step; /* of those that make the Maildir; 0: never */
static bool has_synced_maildir;
static bool has_synced_parent;
static int refuse_fsync;      /* an errno value */
static int refuse_noreplace;  /* an errno value */
static const char *move_from; /* by a reader, during the next fsync */
static const char *move_to;

static const char *inside(const char *name)
{
	static char path[8192];

	(void)snprintf(path, sizeof(path), "%s/%s", maildir_path, name);
	return path;
}

static void move(const char *from, const char *to)
{
	char old[8192];

	(void)strcpy(old, inside(from));
	ck_assert_int_eq(rename(old, inside(to)), 0);
}

static void take_step(void)
{
	if (++n_steps == die_at_step)
		_exit(7);
}

static bool is_same_file(int fd, const char *path)
{
	struct stat one, two;

	return fstat(fd, &one) == 0 && stat(path, &two) == 0 &&
	       one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

int mkdir(const char *path, mode_t mode)
{
	take_step();
	return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	take_step();
	return (int)syscall(SYS_mkdirat, fd, path, mode);
}

int fchmodat(int fd, const char *path, mode_t mode, int flags)
{
	(void)flags; /* none are used */
	take_step();
	return (int)syscall(SYS_fchmodat, fd, path, mode);
}

int fsync(int fd)
{
	take_step();
	n_flushes++;
	has_synced_maildir = has_synced_maildir ||
			     is_same_file(fd, maildir_path);
	has_synced_parent = has_synced_parent || is_same_file(fd, root);
	if (move_from) {
		move(move_from, move_to);
		move_from = NULL;
	}
	if (refuse_fsync != 0) {
		errno = refuse_fsync;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int renameat2(int old_fd, const char *old, int new_fd, const char *new,
	      unsigned flags)
{
	if (refuse_noreplace != 0) {
		errno = refuse_noreplace;
		return -1;
	}
	return (int)syscall(SYS_renameat2, old_fd, old, new_fd, new, flags);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void set_up(void)
{
	const char *parent = getenv("TMPDIR");

	(void)snprintf(root, sizeof(root), "%s/test-maildir-XXXXXX",
		       parent ? parent : P_tmpdir);
	ck_assert_ptr_nonnull(mkdtemp(root));
	(void)snprintf(maildir_path, sizeof(maildir_path), "%s/Maildir", root);
	n_flushes = 0;
	n_steps = 0;
	die_at_step = 0;
	has_synced_maildir = false;
	has_synced_parent = false;
	refuse_fsync = 0;
	refuse_noreplace = 0;
	move_from = NULL;
}

static void tear_down(void)
{
	(void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(inside(name), &st) == 0;
}

/* Makes the directories on the way. */
static void put(const char *name, const char *text)
{
	char path[8192];
	FILE *file;

	(void)strcpy(path, inside(name));
	for (char *p = path + strlen(maildir_path) + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(path, 0700);
		*p = '/';
	}
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void open_maildir(struct maildir *maildir)
{
	const struct maildir_options options = {
		.path = maildir_path,
		.tag = TAG,
		.create = true,
	};
	struct error err = { 0 };

	ck_assert_msg(maildir_open(maildir, &options, &err) == 0, "%s",
		      err.text);
	n_flushes = 0;
}

static void check_open_fails(bool create, const char *words)
{
	const struct maildir_options options = {
		.path = maildir_path,
		.tag = TAG,
		.create = create,
	};
	struct maildir maildir;
	struct maildir poisoned;
	struct error err = { 0 };

	memset(&poisoned, 0xa5, sizeof(poisoned));
	maildir = poisoned;
	ck_assert_int_eq(maildir_open(&maildir, &options, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_msg(strstr(err.text, words) != NULL, "'%s' lacks '%s'",
		      err.text, words);
	ck_assert_mem_eq(&maildir, &poisoned, sizeof(maildir));
}

START_TEST(a_missing_maildir_is_made_only_when_asked_for)
{
	struct maildir maildir;
	struct stat st;

	check_open_fails(false,
			 "does not exist: create it, or set create = true");
	ck_assert(!exists(""));

	open_maildir(&maildir);
	maildir_done(&maildir);
	ck_assert_int_eq(stat(inside("new"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert(exists("tmp") && exists("cur"));
}
END_TEST

START_TEST(the_parent_is_never_made)
{
	(void)strcat(maildir_path, "/deeper");
	check_open_fails(true, "parent directory does not exist");
	ck_assert_int_eq(access(maildir_path, F_OK), -1);
}
END_TEST

START_TEST(what_was_made_is_synced_with_its_parents_once)
{
	const struct maildir_options options = {
		.path = maildir_path,
		.tag = TAG,
		.create = true,
	};
	struct maildir maildir;
	struct error err = { 0 };
	struct stat st;

	refuse_fsync = EIO;
	check_open_fails(true, "sync");
	ck_assert_int_eq(stat(inside("new"), &st), 0);
	ck_assert_msg((st.st_mode & 07777) == 0, "it gets its mode last");
	refuse_fsync = 0;
	n_flushes = 0;
	ck_assert_int_eq(maildir_open(&maildir, &options, &err), 0);
	maildir_done(&maildir);
	ck_assert_uint_eq(n_flushes, 2);

	n_flushes = 0;
	ck_assert_int_eq(maildir_open(&maildir, &options, &err), 0);
	maildir_done(&maildir);
	ck_assert_uint_eq(n_flushes, 0);
}
END_TEST

static void try_to_open(void)
{
	const struct maildir_options options = {
		.path = maildir_path,
		.tag = TAG,
		.create = true,
	};
	struct maildir maildir;
	struct error err = { 0 };

	if (maildir_open(&maildir, &options, &err) == 0)
		maildir_done(&maildir);
}

/*
 * The child dies just before a step; what it made is there, in memory. Then
 * whoever opens the Maildir must sync it and its parent, or a power cut could
 * take the mail that is put into it.
 */
START_TEST(a_making_that_was_killed_is_synced_by_the_next_one)
{
	struct maildir maildir;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		die_at_step = _i + 1;
		try_to_open();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 7,
		      "it takes fewer steps");

	open_maildir(&maildir);
	maildir_done(&maildir);
	ck_assert_msg(has_synced_maildir, "died before step %d", _i + 1);
	ck_assert_msg(has_synced_parent, "died before step %d", _i + 1);
}
END_TEST

/* One more step there is not: else the test above tries too few. */
START_TEST(a_making_takes_seven_steps)
{
	struct maildir maildir;

	die_at_step = KILL_STEPS + 1;
	open_maildir(&maildir);
	maildir_done(&maildir);
	ck_assert_int_eq(n_steps, KILL_STEPS);
}
END_TEST

START_TEST(a_part_made_again_is_synced_too)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	struct maildir maildir;

	open_maildir(&maildir);
	maildir_done(&maildir);
	ck_assert_int_eq(rmdir(inside(parts[_i])), 0);
	has_synced_maildir = false;
	open_maildir(&maildir);
	maildir_done(&maildir);
	ck_assert(has_synced_maildir);
}
END_TEST

START_TEST(an_incomplete_maildir_is_told_what_it_lacks)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	struct maildir maildir;
	char words[64];

	open_maildir(&maildir);
	maildir_done(&maildir);
	ck_assert_int_eq(rmdir(inside(parts[_i])), 0);
	(void)snprintf(words, sizeof(words), "it has no %s/", parts[_i]);
	check_open_fails(false, words);
}
END_TEST

enum decoy {
	DECOY_FIFO = 0,
	DECOY_LINK,
	DECOY_FILE,
};

static void put_decoy(enum decoy decoy, const char *path)
{
	char target[4200];

	(void)snprintf(target, sizeof(target), "%s/elsewhere", root);
	if (decoy == DECOY_FIFO)
		ck_assert_int_eq(mkfifo(path, 0600), 0);
	if (decoy == DECOY_LINK) {
		(void)mkdir(target, 0700);
		ck_assert_int_eq(symlink(target, path), 0);
	}
	if (decoy == DECOY_FILE)
		ck_assert_int_eq(close(creat(path, 0600)), 0);
}

/* clang-format off */
static const struct {
	const char *name;
	const char *part; /* "": the Maildir itself */
	enum decoy decoy;
} decoy_cases[] = {
	{ "a FIFO for tmp", "tmp", DECOY_FIFO },
	{ "a link for tmp", "tmp", DECOY_LINK },
	{ "a file for tmp", "tmp", DECOY_FILE },
	{ "a FIFO for new", "new", DECOY_FIFO },
	{ "a link for new", "new", DECOY_LINK },
	{ "a link for cur", "cur", DECOY_LINK },
	{ "a link for the Maildir", "", DECOY_LINK },
	{ "a FIFO for the Maildir", "", DECOY_FIFO },
};
/* clang-format on */

START_TEST(what_is_no_directory_is_refused_without_waiting)
{
	struct maildir maildir;

	if (decoy_cases[_i].part[0] != '\0') {
		open_maildir(&maildir);
		maildir_done(&maildir);
		ck_assert_int_eq(rmdir(inside(decoy_cases[_i].part)), 0);
		put_decoy(decoy_cases[_i].decoy, inside(decoy_cases[_i].part));
	} else {
		put_decoy(decoy_cases[_i].decoy, maildir_path);
	}
	check_open_fails(false, "not a directory");
	check_open_fails(true, "not a directory");

	(void)strcat(maildir_path, "//");
	check_open_fails(false, "not a directory");
}
END_TEST

START_TEST(a_maildir_that_was_never_opened_can_be_done)
{
	struct maildir maildir = { 0 };
	int spare = dup(0);

	maildir_done(&maildir);
	ck_assert_int_ge(fcntl(0, F_GETFD), 0);
	(void)close(spare);
}
END_TEST

static void deliver(struct maildir *maildir, struct maildir_file *file,
		    const char *text)
{
	struct error err = { 0 };

	maildir_file_init(file);
	ck_assert_int_eq(maildir_file_begin(maildir, file, &err), 0);
	ck_assert_int_eq(maildir_file_write(file, text, strlen(text), &err), 0);
	ck_assert_int_eq(maildir_sync(maildir, &file, 1, &err), 0);
	ck_assert_int_eq(file->fd, -1);
}

START_TEST(a_message_goes_from_tmp_to_new_with_one_fsync_each)
{
	struct maildir maildir;
	struct maildir_file file;
	struct error err = { 0 };
	char name[512];
	struct stat st;

	open_maildir(&maildir);
	deliver(&maildir, &file, "mail\n");
	ck_assert_uint_eq(file.size_bytes, 5);
	ck_assert_msg(n_flushes == 2, "its file and tmp/");

	ck_assert_int_eq(maildir_sync(&maildir, NULL, 0, &err), 0);
	ck_assert_msg(n_flushes == 2, "what is clean is not synced again");
	ck_assert_int_eq(maildir_publish(&maildir, file.base, file.base,
					 file.size_bytes, &err),
			 0);
	ck_assert_int_eq(maildir_sync(&maildir, NULL, 0, &err), 0);
	ck_assert_uint_eq(n_flushes, 3);

	(void)snprintf(name, sizeof(name), "new/%s,S=5", file.base);
	ck_assert_int_eq(stat(inside(name), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, 5);
	maildir_done(&maildir);
}
END_TEST

START_TEST(names_differ_and_are_known_as_ours)
{
	struct maildir maildir;
	struct maildir_file one;
	struct maildir_file two;
	struct error err = { 0 };
	char **names = NULL;
	size_t n = 0;

	open_maildir(&maildir);
	(void)strcpy(maildir.host, "a.host-name_1");
	deliver(&maildir, &one, "1");
	deliver(&maildir, &two, "2");
	ck_assert_str_ne(one.base, two.base);
	ck_assert_int_eq(maildir_list_tmp(&maildir, &names, &n, &err), 0);
	ck_assert_uint_eq(n, 2);
	maildir_names_free(names, n);
	maildir_done(&maildir);
}
END_TEST

START_TEST(the_host_in_a_name_is_harmless)
{
	struct maildir maildir;

	open_maildir(&maildir);
	ck_assert_uint_gt(strlen(maildir.host), 0);
	ck_assert_ptr_null(strpbrk(maildir.host, "/:,\\ \n"));
	maildir_done(&maildir);
}
END_TEST

static const struct {
	const char *name;
	int refused_with; /* 0: renameat2 works */
} publish_cases[] = {
	{ "by renameat2", 0 },
	{ "by link, RENAME_NOREPLACE unknown", EINVAL },
	{ "by link, the call unknown", ENOSYS },
	{ "by link, not supported", EOPNOTSUPP },
};

START_TEST(publishing_never_overwrites)
{
	struct maildir maildir;
	struct error err = { 0 };
	struct stat st;

	open_maildir(&maildir);
	refuse_noreplace = publish_cases[_i].refused_with;
	put("tmp/" BASE, "mine");
	put("new/" BASE ",S=4", "of another");

	ck_assert_msg(maildir_publish(&maildir, BASE, BASE, 4, &err) == 1, "%s",
		      publish_cases[_i].name);
	ck_assert_int_eq(stat(inside("new/" BASE ",S=4"), &st), 0);
	ck_assert_int_eq(st.st_size, 10);
	ck_assert(exists("tmp/" BASE));

	ck_assert_int_eq(maildir_publish(&maildir, BASE, BASE_TWO, 4, &err), 0);
	ck_assert(exists("new/" BASE_TWO ",S=4") && !exists("tmp/" BASE));
	maildir_done(&maildir);
}
END_TEST

START_TEST(a_link_that_was_made_already_is_a_success)
{
	struct maildir maildir;
	struct error err = { 0 };
	char old[8192];

	open_maildir(&maildir);
	refuse_noreplace = EINVAL;
	put("tmp/" BASE, "mine");
	(void)strcpy(old, inside("tmp/" BASE));
	ck_assert_int_eq(link(old, inside("new/" BASE ",S=4")), 0);
	ck_assert_int_eq(maildir_publish(&maildir, BASE, BASE, 4, &err), 0);
	ck_assert(exists("new/" BASE ",S=4") && !exists("tmp/" BASE));
	maildir_done(&maildir);
}
END_TEST

START_TEST(publishing_what_is_not_there_is_an_error)
{
	struct maildir maildir;
	struct error err = { 0 };

	open_maildir(&maildir);
	ck_assert_int_eq(maildir_publish(&maildir, BASE, BASE, 4, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	refuse_noreplace = EINVAL;
	ck_assert_int_eq(maildir_publish(&maildir, BASE, BASE, 4, &err), -1);
	maildir_done(&maildir);
}
END_TEST

START_TEST(a_failed_fsync_is_told_and_the_file_can_be_discarded)
{
	struct maildir maildir;
	struct maildir_file file;
	struct maildir_file *const files[] = { &file };
	struct error err = { 0 };
	char name[512];

	open_maildir(&maildir);
	maildir_file_init(&file);
	ck_assert_int_eq(maildir_file_begin(&maildir, &file, &err), 0);
	refuse_fsync = EIO;
	ck_assert_int_eq(maildir_sync(&maildir, files, 1, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_ptr_nonnull(strstr(err.text, maildir_path));
	ck_assert_int_eq(file.fd, -1);
	ck_assert_msg(n_flushes == 2, "file and tmp/, neither is tried again");

	(void)snprintf(name, sizeof(name), "tmp/%s", file.base);
	ck_assert(exists(name));
	maildir_file_discard(&maildir, &file);
	ck_assert(!exists(name));
	maildir_file_discard(&maildir, &file);
	maildir_done(&maildir);
}
END_TEST

START_TEST(directories_that_cannot_be_synced_are_told)
{
	struct maildir maildir;
	struct maildir_file file;
	struct error err = { 0 };

	open_maildir(&maildir);
	deliver(&maildir, &file, "mail");
	ck_assert_int_eq(maildir_publish(&maildir, file.base, file.base,
					 file.size_bytes, &err),
			 0);
	refuse_fsync = EIO;
	ck_assert_int_eq(maildir_sync(&maildir, NULL, 0, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, maildir_path));
	maildir_done(&maildir);
}
END_TEST

START_TEST(a_full_disk_is_told_by_the_path_of_the_maildir)
{
	struct maildir maildir;
	struct maildir_file file;
	struct maildir_file *const files[] = { &file };
	struct error err = { 0 };
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	open_maildir(&maildir);
	maildir_file_init(&file);
	ck_assert_int_eq(maildir_file_begin(&maildir, &file, &err), 0);
	ck_assert_int_ge(dup2(full, file.fd), 0);
	ck_assert_int_eq(maildir_file_write(&file, "x", 1, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_ptr_nonnull(strstr(err.text, "no space left"));
	ck_assert_ptr_nonnull(strstr(err.text, maildir_path));

	refuse_fsync = EDQUOT;
	ck_assert_int_eq(maildir_sync(&maildir, files, 1, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "quota"));
	maildir_file_discard(&maildir, &file);
	maildir_done(&maildir);
	(void)close(full);
}
END_TEST

/* The crash states of DESIGN section 3, as the next visit finds them. */
/* clang-format off */
static const struct {
	const char *name;
	const char *files[3];
	enum maildir_place place;
	bool has_twin_in_tmp;
	uint64_t tmp_size_bytes;
	unsigned n_flushes; /* what was found, and its directory */
} find_cases[] = {
	{ "before the rename: in tmp", { "tmp/" BASE }, MAILDIR_IN_TMP, false, 4, 0 },
	{ "after the rename: in new", { "new/" BASE ",S=4" }, MAILDIR_IN_NEW, false, 0, 2 },
	{ "opened by a reader: in cur", { "cur/" BASE ",S=4:2," }, MAILDIR_IN_NEW, false, 0, 2 },
	{ "read: in cur with flags", { "cur/" BASE ",S=4:2,RS" }, MAILDIR_IN_NEW, false, 0, 2 },
	{ "the size hint was taken away", { "cur/" BASE ":2,S" }, MAILDIR_IN_NEW, false, 0, 2 },
	{ "the bare name, in new", { "new/" BASE }, MAILDIR_IN_NEW, false, 0, 2 },
	{ "filed, in a subfolder's cur", { ".Box/cur/" BASE ",S=4:2,S", ".Box/new/x" },
	  MAILDIR_IN_NEW, false, 0, 2 },
	{ "filed, in a subfolder's new", { ".Box.Deep/new/" BASE ",S=4", ".Box.Deep/cur/x" },
	  MAILDIR_IN_NEW, false, 0, 2 },
	{ "filed, in a subfolder without new", { ".Box/cur/" BASE ",S=4" },
	  MAILDIR_IN_NEW, false, 0, 2 },
	{ "a twin in tmp and new", { "tmp/" BASE, "new/" BASE ",S=4" },
	  MAILDIR_IN_NEW, true, 4, 2 },
	{ "a twin in tmp and cur", { "tmp/" BASE, "cur/" BASE ",S=4:2,S" },
	  MAILDIR_IN_NEW, true, 4, 2 },
	{ "nowhere", { NULL }, MAILDIR_NOWHERE, false, 0, 0 },
	{ "a longer name is another's", { "new/" BASE "x,S=4", "tmp/" BASE "x" },
	  MAILDIR_NOWHERE, false, 0, 0 },
	{ "a size behind it in tmp is another's", { "tmp/" BASE ",S=4" },
	  MAILDIR_NOWHERE, false, 0, 0 },
	{ "a file that begins with a dot is no folder",
	  { ".mailboxlist", "new/" BASE ",S=4" }, MAILDIR_IN_NEW, false, 0, 2 },
	{ "a folder without a dot is no subfolder", { "Box/cur/" BASE ",S=4" },
	  MAILDIR_NOWHERE, false, 0, 0 },
};
/* clang-format on */

START_TEST(a_name_is_found_wherever_a_reader_put_it)
{
	struct maildir maildir;
	struct maildir_wanted wanted = { .base = BASE };
	struct error err = { 0 };

	memset(&wanted.place, 0x5a, sizeof(wanted.place));
	wanted.has_twin_in_tmp = true;
	wanted.tmp_size_bytes = 99;
	open_maildir(&maildir);
	for (size_t i = 0; i < 3 && find_cases[_i].files[i]; i++)
		put(find_cases[_i].files[i], "mail");

	ck_assert_msg(maildir_find(&maildir, &wanted, 1, &err) == 0, "%s: %s",
		      find_cases[_i].name, err.text);
	ck_assert_msg(wanted.place == find_cases[_i].place &&
			      wanted.has_twin_in_tmp ==
				      find_cases[_i].has_twin_in_tmp &&
			      wanted.tmp_size_bytes ==
				      find_cases[_i].tmp_size_bytes,
		      "%s: place %d, twin %d, size %llu", find_cases[_i].name,
		      wanted.place, wanted.has_twin_in_tmp,
		      (unsigned long long)wanted.tmp_size_bytes);
	ck_assert_msg(n_flushes == find_cases[_i].n_flushes, "%s: %u flushes",
		      find_cases[_i].name, n_flushes);
	maildir_done(&maildir);
}
END_TEST

START_TEST(many_names_are_told_apart)
{
	struct maildir maildir;
	struct maildir_wanted wanted[] = {
		{ .base = BASE_TWO },
		{ .base = BASE },
		{ .base = BASE "x" },
		{ .base = "1" },
	};
	struct error err = { 0 };

	open_maildir(&maildir);
	put("tmp/" BASE, "mail");
	put("cur/" BASE "x,S=4:2,S", "mail");
	put("new/" BASE_TWO ",S=4", "mail");
	ck_assert_int_eq(
		maildir_find(&maildir, wanted, ARRAY_SIZE(wanted), &err), 0);
	ck_assert_int_eq(wanted[0].place, MAILDIR_IN_NEW);
	ck_assert_int_eq(wanted[1].place, MAILDIR_IN_TMP);
	ck_assert_int_eq(wanted[2].place, MAILDIR_IN_NEW);
	ck_assert_int_eq(wanted[3].place, MAILDIR_NOWHERE);
	maildir_done(&maildir);
}
END_TEST

START_TEST(a_reader_that_moves_mail_meanwhile_is_followed)
{
	static const char *const places[] = {
		"cur/" BASE ",S=4:2,S", ".Box/cur/" BASE ",S=4:2,S",
		"new/" BASE
		",S=4:2,S", /* behind us: only a second look finds it */
	};
	struct maildir maildir;
	struct maildir_wanted wanted[] = {
		{ .base = BASE },
		{ .base = BASE_TWO },
	};
	struct error err = { 0 };

	open_maildir(&maildir);
	put(".Box/cur/x", "mail");
	put("new/" BASE_TWO ",S=4", "mail");
	put("cur/" BASE ",S=4", "mail");
	move_from = "cur/" BASE ",S=4";
	move_to = places[_i];
	ck_assert_msg(maildir_find(&maildir, wanted, 2, &err) == 0, "%s",
		      err.text);
	ck_assert_msg(wanted[0].place == MAILDIR_IN_NEW, "moved to %s",
		      places[_i]);
	ck_assert_int_eq(wanted[1].place, MAILDIR_IN_NEW);
	maildir_done(&maildir);
}
END_TEST

START_TEST(a_folder_that_cannot_be_read_is_no_absence)
{
	struct maildir maildir;
	struct maildir_wanted wanted = { .base = BASE };
	struct error err = { 0 };

	open_maildir(&maildir);
	put(".Box/new", "a file where a folder should be");
	ck_assert_int_eq(maildir_find(&maildir, &wanted, 1, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	maildir_done(&maildir);
}
END_TEST

START_TEST(delivered_mail_that_cannot_be_synced_is_an_error)
{
	struct maildir maildir;
	struct maildir_wanted wanted = { .base = BASE };
	struct error err = { 0 };

	open_maildir(&maildir);
	put("cur/" BASE ",S=4:2,S", "mail");
	refuse_fsync = EIO;
	ck_assert_int_eq(maildir_find(&maildir, &wanted, 1, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	maildir_done(&maildir);
}
END_TEST

START_TEST(a_link_with_our_name_is_not_our_mail)
{
	struct maildir maildir;
	struct maildir_wanted wanted = { .base = BASE };
	struct error err = { 0 };

	open_maildir(&maildir);
	ck_assert_int_eq(symlink("elsewhere", inside("new/" BASE ",S=4")), 0);
	ck_assert_int_eq(mkfifo(inside("tmp/" BASE), 0600), 0);
	ck_assert_int_eq(mkfifo(inside("cur/" BASE ",S=4"), 0600), 0);
	ck_assert_int_eq(maildir_find(&maildir, &wanted, 1, &err), 0);
	ck_assert_int_eq(wanted.place, MAILDIR_NOWHERE);
	maildir_done(&maildir);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	const char *file;
	bool is_ours;
} stray_cases[] = {
	{ "a name of ours", BASE, true },
	{ "another process's, with our tag", "1.M2P3Q4R" TAG ".other.host", true },
	{ "another account's tag", "1.M2P3Q4R" OTHER_TAG ".host", false },
	{ "a tag that only begins so", "1.M2P3Q4R" TAG "c.host", false },
	{ "Dovecot's form", "1700000000.M1P2.host", false },
	{ "no digits", ".M1P2Q3R" TAG ".host", false },
	{ "no host", "1.M2P3Q4R" TAG ".", false },
	{ "nothing behind the tag", "1.M2P3Q4R" TAG, false },
	{ "letters among the digits", "1.M2aP3Q4R" TAG ".host", false },
	{ "the tag elsewhere", "1.M2P3Q4Rx.host." TAG, false },
	{ "any other file", "notes", false },
};
/* clang-format on */

START_TEST(only_our_tag_makes_a_stray)
{
	struct maildir maildir;
	struct error err = { 0 };
	char **names = NULL;
	size_t n = 99;
	char path[512];

	open_maildir(&maildir);
	(void)snprintf(path, sizeof(path), "tmp/%s", stray_cases[_i].file);
	put(path, "");
	ck_assert_int_eq(maildir_list_tmp(&maildir, &names, &n, &err), 0);
	ck_assert_msg(n == stray_cases[_i].is_ours, "%s", stray_cases[_i].name);
	if (n == 1)
		ck_assert_str_eq(names[0], stray_cases[_i].file);
	ck_assert(exists(path));
	maildir_names_free(names, n);
	maildir_done(&maildir);
}
END_TEST

START_TEST(hundreds_of_strays_are_all_listed)
{
	struct maildir maildir;
	struct error err = { 0 };
	char **names = NULL;
	size_t n = 0;
	char path[512];

	open_maildir(&maildir);
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(path, sizeof(path), "tmp/1.M2P3Q%uR" TAG ".h",
			       i);
		put(path, "");
	}
	ck_assert_int_eq(maildir_list_tmp(&maildir, &names, &n, &err), 0);
	ck_assert_uint_eq(n, 300);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(maildir_unlink_tmp(&maildir, names[i], &err),
				 0);
	ck_assert_int_eq(maildir_unlink_tmp(&maildir, names[0], &err), 0);
	maildir_names_free(names, n);

	ck_assert_int_eq(maildir_list_tmp(&maildir, &names, &n, &err), 0);
	ck_assert_uint_eq(n, 0);
	maildir_names_free(names, n);
	maildir_done(&maildir);
}
END_TEST

static void add_open_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_missing_maildir_is_made_only_when_asked_for);
	tcase_add_test(tcase, the_parent_is_never_made);
	tcase_add_test(tcase, what_was_made_is_synced_with_its_parents_once);
	tcase_add_loop_test(tcase,
			    a_making_that_was_killed_is_synced_by_the_next_one,
			    0, KILL_STEPS);
	tcase_add_test(tcase, a_making_takes_seven_steps);
	tcase_add_loop_test(tcase, a_part_made_again_is_synced_too, 0, 3);
	tcase_add_loop_test(tcase, an_incomplete_maildir_is_told_what_it_lacks,
			    0, 3);
	tcase_add_loop_test(tcase,
			    what_is_no_directory_is_refused_without_waiting, 0,
			    (int)ARRAY_SIZE(decoy_cases));
	tcase_add_test(tcase, a_maildir_that_was_never_opened_can_be_done);
}

static void add_delivery_tests(TCase *tcase)
{
	tcase_add_test(tcase,
		       a_message_goes_from_tmp_to_new_with_one_fsync_each);
	tcase_add_test(tcase, names_differ_and_are_known_as_ours);
	tcase_add_test(tcase, the_host_in_a_name_is_harmless);
	tcase_add_loop_test(tcase, publishing_never_overwrites, 0,
			    (int)ARRAY_SIZE(publish_cases));
	tcase_add_test(tcase, a_link_that_was_made_already_is_a_success);
	tcase_add_test(tcase, publishing_what_is_not_there_is_an_error);
	tcase_add_test(tcase,
		       a_failed_fsync_is_told_and_the_file_can_be_discarded);
	tcase_add_test(tcase, directories_that_cannot_be_synced_are_told);
	tcase_add_test(tcase, a_full_disk_is_told_by_the_path_of_the_maildir);
}

static void add_recovery_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_name_is_found_wherever_a_reader_put_it, 0,
			    (int)ARRAY_SIZE(find_cases));
	tcase_add_test(tcase, many_names_are_told_apart);
	tcase_add_loop_test(
		tcase, a_reader_that_moves_mail_meanwhile_is_followed, 0, 3);
	tcase_add_test(tcase, a_folder_that_cannot_be_read_is_no_absence);
	tcase_add_test(tcase, delivered_mail_that_cannot_be_synced_is_an_error);
	tcase_add_test(tcase, a_link_with_our_name_is_not_our_mail);
	tcase_add_loop_test(tcase, only_our_tag_makes_a_stray, 0,
			    (int)ARRAY_SIZE(stray_cases));
	tcase_add_test(tcase, hundreds_of_strays_are_all_listed);
}

int main(void)
{
	Suite *suite = suite_create("maildir");
	TCase *tcase = tcase_create("maildir");
	SRunner *runner;
	int n_failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	add_open_tests(tcase);
	add_delivery_tests(tcase);
	add_recovery_tests(tcase);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
