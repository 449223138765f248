/*
 * store.c - the limit of the disk: store FROM TO
 *
 * Writes each file of the directory FROM into the Maildir TO durably, without a
 * network, a journal or a look at the contents: batches of 128 into tmp/, with the
 * hint to write them back at once; all of
 * them synced together, then tmp/; the renames, and one fsync of new/.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base.h"
#include "flush.h"

#define BATCH_MAX   128
#define BATCH_BYTES (8 * 1024 * 1024)
#define NAME_LEN    32

struct store {
	int from_fd;
	int tmp_fd;
	int new_fd;
	unsigned stored; /* in finished batches */
	unsigned count;  /* in this one */
	uint64_t bytes;
	int fds[BATCH_MAX];
	struct flush flush;
};

static _noreturn_ void fail(const char *what)
{
	(void)fprintf(stderr, "store: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void name_of(char dst[NAME_LEN], const struct store *store, unsigned i)
{
	(void)snprintf(dst, NAME_LEN, "%u.store", store->stored + i);
}

static void finish_batch(struct store *store)
{
	int results[FLUSH_MAX];
	char name[NAME_LEN];
	unsigned i;

	errno = flush_files(&store->flush, store->fds, store->count, results);
	if (errno != 0)
		fail("fsync");
	for (i = 0; i < store->count; i++)
		fd_close(&store->fds[i]);
	if (fsync(store->tmp_fd) < 0)
		fail("fsync tmp/");
	for (i = 0; i < store->count; i++) {
		name_of(name, store, i);
		if (renameat(store->tmp_fd, name, store->new_fd, name) < 0)
			fail(name);
	}
	if (fsync(store->new_fd) < 0)
		fail("fsync new/");
	store->stored += store->count;
	store->count = 0;
	store->bytes = 0;
}

static void copy(struct store *store, int from, int to)
{
	static char data[128 * 1024];
	ssize_t n;

	while ((n = read(from, data, sizeof(data))) > 0) {
		if (write(to, data, (size_t)n) != n)
			fail("write");
		store->bytes += (uint64_t)n;
	}
	if (n < 0)
		fail("read");
	(void)sync_file_range(to, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint */
}

static void store_file(struct store *store, const char *from_name)
{
	_cleanup_fd_ int from =
		openat(store->from_fd, from_name, O_RDONLY | O_CLOEXEC);
	char name[NAME_LEN];
	int to;

	name_of(name, store, store->count);
	to = openat(store->tmp_fd, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		fail(from_name);
	copy(store, from, to);
	store->fds[store->count++] = to;
	if (store->count == BATCH_MAX || store->bytes >= BATCH_BYTES)
		finish_batch(store);
}

static int open_dir(const char *base, const char *name)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", base, name);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		fail(path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	return fd;
}

int main(int argc, char **argv)
{
	static struct store store;
	const struct dirent *entry;
	DIR *from;

	if (argc != 3) {
		(void)fputs("usage: store FROM TO\n", stderr);
		return 64;
	}
	from = opendir(argv[1]);
	if (from == NULL)
		fail(argv[1]);
	store.from_fd = dirfd(from);
	fd_close(&(int){ open_dir(argv[2], ".") });
	store.tmp_fd = open_dir(argv[2], "tmp");
	store.new_fd = open_dir(argv[2], "new");
	while ((entry = readdir(from)) != NULL)
		if (entry->d_type == DT_REG)
			store_file(&store, entry->d_name);
	if (store.count > 0)
		finish_batch(&store);
	flush_done(&store.flush);
	(void)closedir(from);
	return 0;
}
