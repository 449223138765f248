/*
 * logdisk.c - disks that remember the order of all that was written to them:
 * logdisk MOUNTPOINT IMAGE...
 *
 * A FUSE file system for loop devices. IMAGE, of which there is one for each
 * disk, is only read; what is written stays in memory. It holds
 *
 *   a, b, ...  the disks. Each write, each range of zeroes and each flush is
 *              an entry of one log that all disks share.
 *   mark       what is written here becomes an entry of that log, too.
 *   log        the entries, one per line, from the first: "write a OFFSET
 *              LENGTH", "zero a OFFSET LENGTH", "flush a", "mark TEXT".
 *   control    "at N" ends the recording: the disks are now what they were
 *              when the log had N entries, as after a power cut. What is
 *              written from now on is forgotten at the next "at".
 *              "at N SEED": the same, but of what no flush of its disk had
 *              made durable each block of 4 KiB is there or is not, as the
 *              seed wants it. That is what a disk with a cache may do.
 *
 * One thread, so the order in the log is the order of the answers: who writes
 * a mark after an fsync has returned finds it behind that flush. Refuses
 * images that are not whole blocks, and marks once the recording has ended.
 * Without memory it aborts.
 */
#define FUSE_USE_VERSION 31

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base.h"

#define BLOCK     ((size_t)4096)
#define DISKS_MAX 8

enum kind {
	KIND_WRITE = 0,
	KIND_ZERO,
	KIND_FLUSH,
	KIND_MARK,
};

struct entry {
	enum kind kind;
	size_t disk;
	size_t offset;
	size_t len;
	char *data; /* of a write or a mark */
};

struct disk {
	char *image; /* private memory over the file */
	size_t size;
	size_t n_applied; /* so many entries of the log are in the image */
	char **scratch;   /* by block: what stands over the image, or NULL */
	size_t *touched;  /* the blocks that have scratch */
	size_t n_touched;
};

static struct disk disks[DISKS_MAX];
static size_t n_disks;
static struct entry *entries;
static size_t n_entries;
static size_t cap_entries;
static bool is_replay;

static const char mark_path[] = "/mark";
static const char log_path[] = "/log";
static const char control_path[] = "/control";

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- the log ---- */

static void add_entry(const struct entry *entry, const char *data)
{
	struct entry *added;

	if (n_entries == cap_entries) {
		cap_entries = MAX(cap_entries * 2, (size_t)1024);
		entries = must(
			reallocarray(entries, cap_entries, sizeof(*entries)));
	}
	added = &entries[n_entries++];
	*added = *entry;
	if (data)
		added->data =
			memcpy(must(malloc(entry->len + 1)), data, entry->len);
}

static char *print_log(void)
{
	char *text = NULL;
	size_t len;
	FILE *file = must(open_memstream(&text, &len));

	for (size_t i = 0; i < n_entries; i++) {
		const struct entry *entry = &entries[i];
		char disk = (char)('a' + entry->disk);

		if (entry->kind == KIND_MARK)
			(void)fprintf(file, "mark %.*s\n", (int)entry->len,
				      entry->data);
		else if (entry->kind == KIND_FLUSH)
			(void)fprintf(file, "flush %c\n", disk);
		else
			(void)fprintf(file, "%s %c %zu %zu\n",
				      entry->kind == KIND_ZERO ? "zero"
							       : "write",
				      disk, entry->offset, entry->len);
	}
	if (fclose(file) != 0)
		abort();
	return text;
}

/* ---- what a disk holds ---- */

static char *scratch_block(struct disk *disk, size_t block)
{
	if (!disk->scratch[block]) {
		disk->scratch[block] = memcpy(must(malloc(BLOCK)),
					      disk->image + block * BLOCK,
					      BLOCK);
		disk->touched[disk->n_touched++] = block;
	}
	return disk->scratch[block];
}

static void forget_scratch(struct disk *disk)
{
	for (size_t i = 0; i < disk->n_touched; i++) {
		free(disk->scratch[disk->touched[i]]);
		disk->scratch[disk->touched[i]] = NULL;
	}
	disk->n_touched = 0;
}

/* How many of the bytes from offset on lie in one block. */
static size_t bytes_in_block(size_t offset, size_t len)
{
	return MIN(BLOCK - offset % BLOCK, len);
}

/* data NULL: zeroes. */
static void put(char *to, const char *data, size_t len)
{
	if (data)
		memcpy(to, data, len);
	else
		memset(to, 0, len);
}

static void put_scratch(struct disk *disk, size_t offset, const char *data,
			size_t len)
{
	while (len > 0) {
		size_t n = bytes_in_block(offset, len);

		put(scratch_block(disk, offset / BLOCK) + offset % BLOCK, data,
		    n);
		data = data ? data + n : NULL;
		offset += n;
		len -= n;
	}
}

static void get(const struct disk *disk, size_t offset, char *to, size_t len)
{
	while (len > 0) {
		const char *scratch = disk->scratch[offset / BLOCK];
		size_t n = bytes_in_block(offset, len);

		memcpy(to,
		       scratch ? scratch + offset % BLOCK
			       : disk->image + offset,
		       n);
		to += n;
		offset += n;
		len -= n;
	}
}

static bool is_change_of(const struct entry *entry, size_t disk)
{
	return entry->disk == disk &&
	       (entry->kind == KIND_WRITE || entry->kind == KIND_ZERO);
}

/* ---- power cuts ---- */

/* splitmix64: small, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* So many of the first n entries the disk can no longer forget. */
static size_t durable_entries(size_t disk, size_t n)
{
	while (n > 0 && !(entries[n - 1].kind == KIND_FLUSH &&
			  entries[n - 1].disk == disk))
		n--;
	return n;
}

static void apply_durable(size_t index, size_t n)
{
	struct disk *disk = &disks[index];

	if (disk->n_applied > n) {
		/* Private pages go, and the file's show again. */
		if (madvise(disk->image, disk->size, MADV_DONTNEED) < 0)
			abort();
		disk->n_applied = 0;
	}
	for (; disk->n_applied < n; disk->n_applied++) {
		const struct entry *entry = &entries[disk->n_applied];

		if (is_change_of(entry, index))
			put(disk->image + entry->offset, entry->data,
			    entry->len);
	}
}

/* Every block of the entry, or those that the coin chooses; of 8 sides. */
static void apply_doubtful(struct disk *disk, const struct entry *entry,
			   uint64_t sides, uint64_t *random)
{
	size_t n;

	for (size_t done = 0; done < entry->len; done += n) {
		n = bytes_in_block(entry->offset + done, entry->len - done);
		if (sides == 8 || next_random(random) % 8 < sides)
			put_scratch(disk, entry->offset + done,
				    entry->data ? entry->data + done : NULL, n);
	}
}

/* seed 0: all that was written is there. */
static void cut_power(size_t n, uint64_t seed)
{
	uint64_t random = seed;
	/* Few, half or most of the blocks. */
	uint64_t sides = seed == 0 ? 8 : 1 + 3 * (next_random(&random) % 3);

	for (size_t index = 0; index < n_disks; index++) {
		struct disk *disk = &disks[index];
		size_t n_durable = durable_entries(index, n);

		forget_scratch(disk);
		apply_durable(index, n_durable);
		for (size_t i = n_durable; i < n; i++)
			if (is_change_of(&entries[i], index))
				apply_doubtful(disk, &entries[i], sides,
					       &random);
	}
}

static int obey(const char *text)
{
	size_t n;
	uint64_t seed = 0;
	char *end;

	if (strncmp(text, "at ", 3) != 0)
		return -EINVAL;
	n = strtoul(text + 3, &end, 10);
	if (*end == ' ')
		seed = strtoull(end + 1, &end, 10);
	if ((*end != '\n' && *end != '\0') || n > n_entries)
		return -EINVAL;
	is_replay = true;
	cut_power(n, seed);
	return 0;
}

/* ---- the file system ---- */

static struct disk *disk_of(const char *path)
{
	size_t index = (size_t)(path[1] - 'a');

	if (index >= n_disks || path[2] != '\0')
		return NULL;
	return &disks[index];
}

static int on_getattr(const char *path, struct stat *st,
		      struct fuse_file_info *info)
{
	const struct disk *disk = disk_of(path);

	(void)info;
	*st = (struct stat){ .st_mode = S_IFREG | 0600, .st_nlink = 1 };
	if (strcmp(path, "/") == 0)
		st->st_mode = S_IFDIR | 0755;
	else if (disk)
		st->st_size = (off_t)disk->size;
	else if (strcmp(path, mark_path) == 0)
		st->st_mode = S_IFREG | 0666; /* a server may be nobody */
	else if (strcmp(path, log_path) != 0 && strcmp(path, control_path) != 0)
		return -ENOENT;
	return 0;
}

static int on_readdir(const char *path, void *buffer, fuse_fill_dir_t fill,
		      off_t offset, struct fuse_file_info *info,
		      enum fuse_readdir_flags flags)
{
	(void)path;
	(void)offset;
	(void)info;
	(void)flags;
	for (size_t i = 0; i < n_disks; i++)
		(void)fill(buffer, (char[]){ (char)('a' + i), '\0' }, NULL, 0,
			   0);
	(void)fill(buffer, mark_path + 1, NULL, 0, 0);
	(void)fill(buffer, log_path + 1, NULL, 0, 0);
	(void)fill(buffer, control_path + 1, NULL, 0, 0);
	return 0;
}

/* Direct: nothing may linger between a loop device and the log. */
static int on_open(const char *path, struct fuse_file_info *info)
{
	info->direct_io = 1;
	if (strcmp(path, log_path) == 0)
		info->fh = (uint64_t)(uintptr_t)print_log();
	return 0;
}

static int on_release(const char *path, struct fuse_file_info *info)
{
	if (strcmp(path, log_path) == 0)
		free((char *)(uintptr_t)info->fh);
	return 0;
}

static int read_log(const char *text, char *buffer, size_t len, size_t offset)
{
	size_t size = strlen(text);

	if (offset >= size)
		return 0;
	len = MIN(len, size - offset);
	memcpy(buffer, text + offset, len);
	return (int)len;
}

static int on_read(const char *path, char *buffer, size_t len, off_t offset,
		   struct fuse_file_info *info)
{
	const struct disk *disk = disk_of(path);
	size_t start = (size_t)offset;

	if (strcmp(path, log_path) == 0)
		return read_log((const char *)(uintptr_t)info->fh, buffer, len,
				start);
	if (!disk || start >= disk->size)
		return 0;
	len = MIN(len, disk->size - start);
	get(disk, start, buffer, len);
	return (int)len;
}

/* data NULL: zeroes. */
static int change(struct disk *disk, size_t offset, const char *data,
		  size_t len)
{
	const struct entry entry = {
		.kind = data ? KIND_WRITE : KIND_ZERO,
		.disk = (size_t)(disk - disks),
		.offset = offset,
		.len = len,
	};

	if (offset > disk->size || len > disk->size - offset)
		return -ENOSPC;
	if (is_replay) {
		put_scratch(disk, offset, data, len);
		return 0;
	}
	add_entry(&entry, data);
	put(disk->image + offset, data, len);
	disk->n_applied = n_entries;
	return 0;
}

static int add_mark(const char *text)
{
	const struct entry entry = {
		.kind = KIND_MARK,
		.disk = DISKS_MAX,
		.len = strcspn(text, "\n"),
	};

	if (is_replay)
		return -EROFS;
	add_entry(&entry, text);
	return 0;
}

static int take_text(const char *path, const char *buffer, size_t len)
{
	char text[4096];

	if (len >= sizeof(text))
		return -EFBIG;
	memcpy(text, buffer, len);
	text[len] = '\0';
	if (strcmp(path, mark_path) == 0)
		return add_mark(text);
	return strcmp(path, control_path) == 0 ? obey(text) : -EROFS;
}

static int on_write(const char *path, const char *buffer, size_t len,
		    off_t offset, struct fuse_file_info *info)
{
	struct disk *disk = disk_of(path);
	int r;

	(void)info;
	if (disk)
		r = change(disk, (size_t)offset, buffer, len);
	else
		r = take_text(path, buffer, len);
	return r < 0 ? r : (int)len;
}

static int on_fsync(const char *path, int datasync, struct fuse_file_info *info)
{
	const struct disk *disk = disk_of(path);
	const struct entry entry = {
		.kind = KIND_FLUSH,
		.disk = disk ? (size_t)(disk - disks) : 0,
	};

	(void)datasync;
	(void)info;
	if (disk && !is_replay)
		add_entry(&entry, NULL);
	return 0;
}

/* Discarded ranges and ranges of zeroes alike. */
static int on_fallocate(const char *path, int mode, off_t offset, off_t len,
			struct fuse_file_info *info)
{
	struct disk *disk = disk_of(path);

	(void)info;
	if (!disk ||
	    (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) == 0)
		return -EOPNOTSUPP;
	return change(disk, (size_t)offset, NULL, (size_t)len);
}

/* The shell's ">" truncates. */
static int on_truncate(const char *path, off_t size,
		       struct fuse_file_info *info)
{
	(void)size;
	(void)info;
	return disk_of(path) ? -EPERM : 0;
}

static const struct fuse_operations operations = {
	.getattr = on_getattr,
	.readdir = on_readdir,
	.open = on_open,
	.release = on_release,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
	.truncate = on_truncate,
};

static int add_disk(const char *path)
{
	struct disk *disk = &disks[n_disks];
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		(void)fprintf(stderr, "logdisk: %s: %s\n", path,
			      strerror(errno));
		return -1;
	}
	disk->size = (size_t)st.st_size;
	if (disk->size == 0 || disk->size % BLOCK != 0) {
		(void)fprintf(stderr, "logdisk: %s: not whole blocks\n", path);
		return -1;
	}
	disk->image = mmap(NULL, disk->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	if (disk->image == MAP_FAILED)
		abort();
	disk->scratch = must(calloc(disk->size / BLOCK, sizeof(char *)));
	disk->touched = must(calloc(disk->size / BLOCK, sizeof(size_t)));
	n_disks++;
	return 0;
}

int main(int argc, char **argv)
{
	/* In the foreground, in one thread. */
	char *arguments[] = { argv[0],
			      NULL,
			      (char[]){ "-f" },
			      (char[]){ "-s" },
			      (char[]){ "-oallow_other" },
			      NULL };

	if (argc < 3 || argc > 2 + DISKS_MAX) {
		(void)fputs("usage: logdisk MOUNTPOINT IMAGE...\n", stderr);
		return 64;
	}
	for (int i = 2; i < argc; i++)
		if (add_disk(argv[i]) < 0)
			return 1;
	arguments[1] = argv[1];
	return fuse_main(ARRAY_SIZE(arguments) - 1, arguments, &operations,
			 NULL);
}
