/*
 * calls.c - the system calls of the code under test, led to the model.
 *
 * Refuses nothing that the real ones allow and that maildir.c and journal.c
 * use; what they do not use is not here, and fails to link or does nothing.
 */
#include "calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "disk.h"
#include "mailstore.h"
#include "world.h"

#define FIRST_FD    100000
#define HANDLES_MAX 512

/* clang-format off */
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_fcntl(int fd, int cmd, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fstat(int fd, struct stat *ret);
int __wrap_fstatat(int dir_fd, const char *path, struct stat *ret, int flags);
int __wrap_fstatvfs(int fd, struct statvfs *ret);
int __wrap_faccessat(int dir_fd, const char *path, int mode, int flags);
int __wrap_fsync(int fd);
int __wrap_ftruncate(int fd, off_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);
int __wrap_sync_file_range(int fd, off_t offset, off_t len, unsigned flags);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_fchmodat(int dir_fd, const char *path, mode_t mode, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
DIR *__wrap_fdopendir(int fd);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_dirfd(DIR *dir);
int __wrap_gethostname(char *name, size_t len);
pid_t __wrap_getpid(void);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
long __wrap_syscall(long number, ...);
/* clang-format on */

struct handle {
	struct disk_node *node; /* NULL: closed */
	size_t offset;
};

static struct handle handles[HANDLES_MAX];
static bool is_rename_plain;

void calls_set_plain_rename(bool is_plain)
{
	is_rename_plain = is_plain;
}

unsigned calls_count_open(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HANDLES_MAX; i++)
		n += handles[i].node != NULL;
	return n;
}

void calls_close_all(void)
{
	memset(handles, 0, sizeof(handles));
}

static bool is_ours(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + HANDLES_MAX;
}

static struct handle *handle_of(int fd)
{
	return &handles[fd - FIRST_FD];
}

static struct disk_node *node_of(int fd)
{
	return is_ours(fd) ? handle_of(fd)->node : NULL;
}

/* Readers move mail while mailhaul works. */
static void let_readers_in(unsigned once_in)
{
	if (world.has_readers && !world.is_dead && dice_once_in(once_in))
		mailstore_read(false, false);
}

/* True when the call shall fail, with errno set. */
static bool step_fails(enum act act)
{
	int errnum = world_step(act);

	if (errnum == 0)
		return false;
	errno = errnum;
	return true;
}

static int fail(int errnum)
{
	errno = errnum;
	return -1;
}

/* "dir" and "name" of a path; the directory must exist. */
static struct disk_node *find_parent(struct disk_node *dir, const char *path,
				     char name[DISK_NAME_MAX])
{
	const char *slash = strrchr(path, '/');
	char parent[512];

	(void)snprintf(name, DISK_NAME_MAX, "%s", slash ? slash + 1 : path);
	if (!slash)
		return dir;
	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path),
		       path);
	return disk_find(dir, parent);
}

static int handle_open(struct disk_node *node)
{
	for (int i = 0; i < HANDLES_MAX; i++) {
		if (handles[i].node)
			continue;
		handles[i] = (struct handle){ .node = node };
		return FIRST_FD + i;
	}
	return fail(EMFILE);
}

static int open_in(struct disk_node *dir, const char *path, int flags)
{
	char name[DISK_NAME_MAX];
	struct disk_node *parent, *node;

	let_readers_in(8);
	parent = find_parent(dir, path, name);
	node = parent ? disk_find(dir, path) : NULL;
	if (!parent)
		return -1;
	if (node && (flags & O_CREAT) && (flags & O_EXCL))
		return step_fails(ACT_LOOK) ? -1 : fail(EEXIST);
	if (!node && !(flags & O_CREAT))
		return step_fails(ACT_LOOK) ? -1 : fail(ENOENT);
	if (step_fails(node ? ACT_LOOK : ACT_MAKE))
		return -1;
	if (!node) {
		trace("  disk: make %s", path);
		node = disk_make(parent, name, false);
	}
	if ((flags & O_DIRECTORY) && !node->is_dir)
		return fail(ENOTDIR);
	return handle_open(node);
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	if (strncmp(path, CALLS_ROOT, strlen(CALLS_ROOT)) == 0)
		return open_in(disk_root(), path, flags);
	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, int) : 0;
	va_end(args);
	return __real_open(path, flags, mode);
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
	struct disk_node *dir = node_of(dir_fd);

	return dir ? open_in(dir, path, flags) : fail(EBADF);
}

int __wrap_close(int fd)
{
	if (!is_ours(fd))
		return __real_close(fd);
	if (!handle_of(fd)->node)
		return fail(EBADF);
	handle_of(fd)->node = NULL; /* gone, whatever close says */
	return step_fails(ACT_CLOSE) ? -1 : 0;
}

int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (!is_ours(fd))
		return __real_fcntl(fd, cmd, arg);
	return step_fails(ACT_LOOK) ? -1 : 0; /* the lock is free */
}

static void fill_stat(const struct disk_node *node, struct stat *ret)
{
	*ret = (struct stat){
		.st_dev = 1,
		.st_ino = node->serial,
		.st_mode = (node->is_dir ? S_IFDIR : S_IFREG) | node->mode_now,
		.st_nlink = 1,
		.st_uid = geteuid(),
		.st_size = (off_t)node->now.len,
	};
}

int __wrap_fstat(int fd, struct stat *ret)
{
	if (!node_of(fd))
		return fail(EBADF);
	if (step_fails(ACT_LOOK))
		return -1;
	fill_stat(node_of(fd), ret);
	return 0;
}

int __wrap_fstatat(int dir_fd, const char *path, struct stat *ret, int flags)
{
	const struct disk_node *node;

	(void)flags; /* there are no links to follow */
	if (step_fails(ACT_LOOK))
		return -1;
	node = disk_find(node_of(dir_fd), path);
	if (!node)
		return -1;
	fill_stat(node, ret);
	return 0;
}

int __wrap_fstatvfs(int fd, struct statvfs *ret)
{
	if (!node_of(fd))
		return fail(EBADF);
	if (step_fails(ACT_LOOK))
		return -1;
	*ret = (struct statvfs){ .f_frsize = 1, .f_bavail = world.free_bytes };
	return 0;
}

int __wrap_faccessat(int dir_fd, const char *path, int mode, int flags)
{
	(void)mode; /* all is ours */
	(void)flags;
	if (step_fails(ACT_LOOK))
		return -1;
	return disk_find(node_of(dir_fd), path) ? 0 : -1;
}

int __wrap_fsync(int fd)
{
	struct disk_node *node = node_of(fd);

	if (!node)
		return fail(EBADF);
	let_readers_in(8);
	if (step_fails(ACT_SYNC)) {
		if (!world.is_dead)
			disk_sync_fails(node);
		return -1;
	}
	trace("  disk: fsync #%u", node->serial);
	disk_sync(node);
	return 0;
}

/* ---- syncs that the kernel does together ---- */

/* Those taken and not yet waited for; one context is enough. */
static struct io_event events[HANDLES_MAX];
static size_t n_events;

/* In any order: whoever dies in between has synced any of them. */
static long submit_syncs(struct iocb **list, size_t n)
{
	size_t n_taken = dice_once_in(8) ? dice_below((unsigned)n + 1) : n;

	for (size_t i = 0; i < n_taken; i++)
		events[n_events + i] = (struct io_event){
			.obj = (uintptr_t)list[i],
			.data = list[i]->aio_fildes,
		};
	for (size_t i = n_taken; i > 1; i--) {
		size_t other = dice_below((unsigned)i);
		struct io_event event = events[n_events + i - 1];

		events[n_events + i - 1] = events[n_events + other];
		events[n_events + other] = event;
	}
	n_events += n_taken;
	return n_taken > 0 ? (long)n_taken : fail(EAGAIN);
}

static long await_syncs(struct io_event *ret)
{
	size_t n = n_events;

	for (size_t i = 0; i < n; i++) {
		int r = __wrap_fsync((int)events[i].data);

		events[i].res = r < 0 ? -errno : 0;
		ret[i] = events[i];
	}
	n_events = 0;
	return (long)n;
}

static long call_aio(long number, va_list args)
{
	unsigned long *context;
	long n;

	if (number == SYS_io_destroy)
		return 0;
	if (number == SYS_io_setup) {
		(void)va_arg(args, int); /* how many at a time */
		context = va_arg(args, unsigned long *);
		*context = 1;
		n_events = 0;
		return dice_once_in(8) ? fail(EAGAIN) : 0;
	}
	(void)va_arg(args, unsigned long); /* the context */
	n = va_arg(args, long);
	if (number == SYS_io_submit)
		return submit_syncs(va_arg(args, struct iocb **), (size_t)n);
	(void)va_arg(args, long); /* as many as it waits for */
	return await_syncs(va_arg(args, struct io_event *));
}

long __wrap_syscall(long number, ...)
{
	va_list args;
	long r;

	va_start(args, number);
	r = call_aio(number, args);
	va_end(args);
	return r;
}

int __wrap_ftruncate(int fd, off_t len)
{
	if (step_fails(ACT_WRITE))
		return -1;
	trace("  disk: truncate #%u to %lld", node_of(fd)->serial,
	      (long long)len);
	disk_truncate(node_of(fd), (size_t)len);
	return 0;
}

/* At the end, and when the disk fills up, a part may have been written. */
static ssize_t write_at(struct disk_node *file, const void *data, size_t len,
			size_t offset)
{
	bool was_dead = world.is_dead;

	if (step_fails(ACT_WRITE)) {
		if (!was_dead && len > 0 && dice_percent(50))
			disk_write(file, offset, data,
				   dice_below((unsigned)len));
		return -1;
	}
	if (len > 1 && !world.is_calm && dice_once_in(64))
		len = 1 + dice_below((unsigned)len - 1);
	disk_write(file, offset, data, len);
	return (ssize_t)len;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	struct handle *handle;
	ssize_t n;

	if (!is_ours(fd))
		return __real_write(fd, data, len);
	handle = handle_of(fd);
	n = write_at(handle->node, data, len, handle->offset);
	if (n > 0)
		handle->offset += (size_t)n;
	return n;
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
	const struct disk_image *image = &node_of(fd)->now;
	size_t at = (size_t)offset;

	if (step_fails(ACT_LOOK))
		return -1;
	if (at >= image->len)
		return 0;
	len = MIN(len, image->len - at);
	memcpy(buf, image->bytes + at, len);
	return (ssize_t)len;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return write_at(node_of(fd), data, len, (size_t)offset);
}

int __wrap_sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
	(void)fd; /* a hint, and the model owes it nothing */
	(void)offset;
	(void)len;
	(void)flags;
	return 0;
}

static int make_dir(struct disk_node *dir, const char *path, mode_t mode)
{
	struct disk_node *node;
	char name[DISK_NAME_MAX];
	struct disk_node *parent = find_parent(dir, path, name);

	if (!parent)
		return -1;
	if (step_fails(ACT_MAKE))
		return -1;
	if (disk_child(parent, name))
		return fail(EEXIST);
	trace("  disk: mkdir %s", path);
	node = disk_make(parent, name, true);
	node->mode_now = mode;
	node->mode_kept = mode;
	return 0;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	return make_dir(disk_root(), path, mode);
}

int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	return make_dir(node_of(dir_fd), path, mode);
}

int __wrap_fchmodat(int dir_fd, const char *path, mode_t mode, int flags)
{
	struct disk_node *node;

	(void)flags;
	if (step_fails(ACT_MAKE))
		return -1;
	node = disk_find(node_of(dir_fd), path);
	if (!node)
		return -1;
	trace("  disk: mode of %s is %o", path, (unsigned)mode);
	disk_set_mode(node, mode);
	return 0;
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to,
		  int flags)
{
	struct disk_node *node;

	(void)flags;
	if (step_fails(ACT_MOVE))
		return -1;
	node = disk_find(node_of(from_fd), from);
	if (!node)
		return -1;
	if (disk_child(node_of(to_fd), to))
		return fail(EEXIST);
	trace("  disk: link %s", to);
	disk_link(node_of(to_fd), to, node);
	return 0;
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
	(void)flags;
	if (step_fails(ACT_REMOVE))
		return -1;
	if (!disk_child(node_of(dir_fd), path))
		return fail(ENOENT);
	trace("  disk: unlink %s", path);
	disk_remove(node_of(dir_fd), path);
	return 0;
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned flags)
{
	if (flags != RENAME_NOREPLACE)
		abort();
	if (step_fails(ACT_MOVE))
		return -1;
	if (is_rename_plain)
		return fail(EINVAL);
	if (!disk_child(node_of(from_fd), from))
		return fail(ENOENT);
	if (disk_child(node_of(to_fd), to))
		return fail(EEXIST);
	trace("  disk: rename to %s", to);
	disk_move(node_of(from_fd), from, node_of(to_fd), to);
	return 0;
}

/* ---- directories that are read ---- */

struct walk {
	int fd;
	size_t next;
	size_t n;
	struct dirent entry;
	struct disk_name names[];
};

DIR *__wrap_fdopendir(int fd)
{
	const struct disk_names *names = &node_of(fd)->names_now;
	struct walk *walk;

	if (step_fails(ACT_LOOK))
		return NULL;
	walk = calloc(1, sizeof(*walk) + names->n * sizeof(*names->names));
	if (!walk)
		abort();
	walk->fd = fd;
	walk->n = names->n;
	if (names->n > 0)
		memcpy(walk->names, names->names,
		       names->n * sizeof(*names->names));
	return (DIR *)walk;
}

struct dirent *__wrap_readdir(DIR *dir)
{
	struct walk *walk = (struct walk *)dir;
	const struct disk_name *name;

	if (step_fails(ACT_LOOK))
		return NULL;
	if (walk->next == walk->n)
		return NULL;
	let_readers_in(8);
	name = &walk->names[walk->next++];
	walk->entry.d_type = name->node->is_dir ? DT_DIR : DT_REG;
	(void)snprintf(walk->entry.d_name, sizeof(walk->entry.d_name), "%s",
		       name->text);
	return &walk->entry;
}

int __wrap_closedir(DIR *dir)
{
	struct walk *walk = (struct walk *)dir;

	handle_of(walk->fd)->node = NULL;
	free(walk);
	return 0;
}

int __wrap_dirfd(DIR *dir)
{
	return ((struct walk *)dir)->fd;
}

/* ---- the machine ---- */

int __wrap_gethostname(char *name, size_t len)
{
	(void)snprintf(name, len, "host");
	return 0;
}

pid_t __wrap_getpid(void)
{
	return (pid_t)world.pid;
}

/*
 * Never all ones: a message cannot guess the questions that fetch.c asks, but
 * one in 65,536 would, and a history must not fail for luck.
 */
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
	unsigned char *bytes = buf;

	(void)flags;
	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)dice_below(255);
	return (ssize_t)len;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	uint64_t usec;

	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ret);
	usec = clock == CLOCK_REALTIME ? world.realtime_usec
				       : world.monotonic_usec;
	ret->tv_sec = (time_t)(usec / USEC_PER_SEC);
	ret->tv_nsec = (long)(usec % USEC_PER_SEC) * 1000;
	return 0;
}
