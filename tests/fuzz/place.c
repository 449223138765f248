/*
 * place.c - the directory in which a fuzz target makes its files.
 *
 * A finding ends the process at once: its directory stays, to be looked at.
 */
#include "place.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static char root[PLACE_PATH_MAX - 64];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path); /* what stays is seen */
	return 0;
}

static void remove_root(void)
{
	(void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_root(void)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || tmp[0] != '/')
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(root, sizeof(root), "%s/mailhaul-fuzz-XXXXXX", tmp);
	if (!mkdtemp(root)) {
		perror(root);
		abort();
	}
	(void)atexit(remove_root);
}

void place_path(char ret[PLACE_PATH_MAX], const char *name)
{
	if (root[0] == '\0')
		make_root();
	(void)snprintf(ret, PLACE_PATH_MAX, "%s/%s", root, name);
}
