/*
 * swapper.c - a user who races a delivery into a Maildir of his own.
 *
 * usage: swapper MAILDIR DECOYS SECONDS
 *
 * DECOYS is a directory beside MAILDIR that holds what leads elsewhere:
 * "directory", a symbolic link to a directory, "file", one to a file, "fifo",
 * and hard links "hard0", "hard1" and so on to a file of somebody else, which a
 * user cannot make. As fast as it can it puts the like of these in the place
 * of MAILDIR, of a directory in it, or of a file in tmp/, and back, each in
 * one step. Ends with the directories in their places and nothing but mail in
 * them, and prints how many swaps there were.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"

#define PATH_SIZE    4096
#define FILES_ONE_IN 256
#define TIDY_USEC    (200 * USEC_PER_MSEC)

struct swapper {
	const char *maildir;
	const char *decoys;
	char link_to_directory[PATH_SIZE]; /* where the symbolic links lead */
	char link_to_file[PATH_SIZE];
	unsigned n_hard; /* hard links used up: the next one's number */
	unsigned n_made; /* decoys made */
	unsigned long n_directories;
	unsigned long n_files;
};

static int exchange(const char *a, const char *b)
{
	return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

/* A decoy that need not come back. Hard links are used up in the end. */
static bool make_decoy(struct swapper *s, char path[PATH_SIZE])
{
	char hard[PATH_SIZE];
	long kind = random() % 4;

	(void)snprintf(path, PATH_SIZE, "%s/made%u", s->decoys, s->n_made++);
	if (kind == 0)
		return symlink(s->link_to_directory, path) == 0;
	if (kind == 1)
		return symlink(s->link_to_file, path) == 0;
	(void)snprintf(hard, sizeof(hard), "%s/hard%u", s->decoys, s->n_hard);
	if (kind == 2 && rename(hard, path) == 0) {
		s->n_hard++;
		return true;
	}
	return mkfifo(path, 0600) == 0;
}

/* Nobody else moves a directory of ours, so the way back is open. */
static void swap_directory(struct swapper *s, const char *name)
{
	static const char *const kinds[] = { "directory", "file", "fifo",
					     "hard0" };
	char path[PATH_SIZE], decoy[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s%s", s->maildir, name);
	(void)snprintf(decoy, sizeof(decoy), "%s/%s", s->decoys,
		       kinds[random() % 4]);
	if (exchange(path, decoy) < 0 || exchange(path, decoy) < 0) {
		perror("swapper: cannot swap a directory");
		exit(1);
	}
	s->n_directories++;
}

/*
 * A file may be gone to new/ before the way back, or what lies in its place
 * may be: then mail stays among the decoys.
 */
static void swap_file(struct swapper *s, const char *name)
{
	char path[PATH_SIZE], decoy[PATH_SIZE];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/tmp/%s", s->maildir, name);
	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != getuid() || !make_decoy(s, decoy))
		return;
	if (exchange(path, decoy) < 0) {
		(void)unlink(decoy);
		return;
	}
	s->n_files++;
	if (random() % 2 == 0 && exchange(path, decoy) == 0)
		(void)unlink(decoy);
}

/* What was left in the place of mail goes, or no visit would come further. */
static void tidy_up(const struct swapper *s, const char *name)
{
	char path[PATH_SIZE];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s%s", s->maildir, name);
	dir = opendir(path);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (fstatat(dirfd(dir), entry->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) == 0 &&
		    !S_ISDIR(st.st_mode) &&
		    (!S_ISREG(st.st_mode) || st.st_uid != getuid()))
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
}

static void swap_files(struct swapper *s)
{
	char path[PATH_SIZE];
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/tmp", s->maildir);
	dir = opendir(path);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			swap_file(s, entry->d_name);
	(void)closedir(dir);
}

static int read_link(struct swapper *s, const char *name, char ret[PATH_SIZE])
{
	char path[PATH_SIZE];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", s->decoys, name);
	len = readlink(path, ret, PATH_SIZE - 1);
	if (len < 0)
		return -1;
	ret[len] = '\0';
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const directories[] = { "", "/tmp", "/new", "/cur" };
	struct swapper s = { .n_hard = 1 };
	uint64_t time, end, tidy_at = 0;

	if (argc != 4)
		return 2;
	s.maildir = argv[1];
	s.decoys = argv[2];
	if (read_link(&s, "directory", s.link_to_directory) < 0 ||
	    read_link(&s, "file", s.link_to_file) < 0) {
		perror("swapper");
		return 1;
	}
	end = now_usec(CLOCK_MONOTONIC) +
	      strtoull(argv[3], NULL, 10) * USEC_PER_SEC;
	while ((time = now_usec(CLOCK_MONOTONIC)) < end) {
		swap_directory(&s, directories[random() % 4]);
		/* Now and then only: some mail shall get through. */
		if (random() % FILES_ONE_IN == 0)
			swap_files(&s);
		if (time < tidy_at)
			continue;
		tidy_at = time + TIDY_USEC;
		tidy_up(&s, "/tmp");
		tidy_up(&s, "/new");
	}
	tidy_up(&s, "/tmp");
	tidy_up(&s, "/new");
	(void)printf("%lu swaps of directories, %lu of files\n",
		     s.n_directories, s.n_files);
	return 0;
}
