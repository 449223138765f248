/*
 * faults.c - a fault at the Nth call: preloaded into mailhaul by the sweeps.
 *
 * All calls that can change something outside the process, or that can fail
 * for want of something, go through here and are counted by one counter, in
 * the worker or in the supervisor. A call is a point of a sweep only where the
 * fault can come from it: a process can be killed anywhere, but ends the same
 * unless something changed since; a full disk does not make a read fail.
 *
 * In the environment:
 *   FAULTS        a file, not there yet, for what is known afterwards
 *   FAULTS_IN     worker or supervisor
 *   FAULTS_AT     N; 0 only counts
 *   FAULTS_DO     kill (before the call), kill-after, orphan (the supervisor
 *                 dies before the worker's call), EIO, ENOSPC, EDQUOT, EMFILE,
 *                 or ENOMEM, which makes the Nth allocation fail
 *   FAULTS_LASTS  not empty: all such calls from the Nth on
 *
 * The file holds one line: how many points there were, how often the fault
 * struck, how often a failed fsync was tried again on the same descriptor, how
 * many leaks a sanitizer saw in the worker, the worker's pid, the call struck.
 *
 * What glibc does inside itself, as in getaddrinfo, is not seen.
 */
#undef _FORTIFY_SOURCE /* its headers define some of what is defined here */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 4096

/* What a call can do, or suffer. */
enum {
	CHANGES = 1 << 0,
	IO = 1 << 1,
	SPACE = 1 << 2,
	QUOTA = 1 << 3,
	FILES = 1 << 4,
	MEMORY = 1 << 5,
	DISK = CHANGES | IO | SPACE | QUOTA,
};

struct fault {
	const char *name;
	int effect;
	int errnum; /* 0: a death */
};

static const struct fault faults[] = {
	{ "kill", CHANGES, 0 },      { "kill-after", CHANGES, 0 },
	{ "orphan", CHANGES, 0 },    { "EIO", IO, EIO },
	{ "ENOSPC", SPACE, ENOSPC }, { "EDQUOT", QUOTA, EDQUOT },
	{ "EMFILE", FILES, EMFILE }, { "ENOMEM", MEMORY, ENOMEM },
};

/* In the file, so that it outlives whoever is killed. */
struct shared {
	char line[256];
	pid_t supervisor;
	pid_t worker;
	unsigned long n_points;
	unsigned long n_struck;
	unsigned long n_retried;
	unsigned long n_leaks;
	char struck[32];
};

static struct shared *shared;
static const struct fault *fault;
static unsigned long fault_at;
static bool fault_lasts;
static bool is_ours; /* this process is the one to count */
static bool is_worker;
static bool is_struck;            /* the call under way */
static bool is_failed[FILES_MAX]; /* by descriptor: an fsync failed */

#define NEXT(name)                                                         \
	({                                                                 \
		static __typeof__(&name) next;                             \
		if (!next)                                                 \
			next = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
		next;                                                      \
	})

static void tell(void)
{
	(void)snprintf(shared->line, sizeof(shared->line),
		       "%lu %lu %lu %lu %d %s\n", shared->n_points,
		       shared->n_struck, shared->n_retried, shared->n_leaks,
		       (int)shared->worker,
		       shared->n_struck > 0 ? shared->struck : "-");
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

static const struct fault *find_fault(const char *name)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	return NULL;
}

/* Of OpenSSL, which mailhaul is linked with and this is not. */
extern void *EVP_MD_fetch(void *context, const char *name, const char *query)
	__attribute__((weak));
extern void EVP_MD_free(void *md) __attribute__((weak));

/* OpenSSL 3.0 crashes when memory is short while it sets itself up. */
static void set_up_openssl(void)
{
	if (EVP_MD_fetch && EVP_MD_free)
		EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
}

/* A program that mailhaul runs finds the file there, and leaves it alone. */
static __attribute__((constructor)) void begin(void)
{
	int fd = open(variable("FAULTS"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		      0600);
	void *map;

	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof(struct shared)) < 0)
		abort();
	map = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	(void)close(fd);
	fault = find_fault(variable("FAULTS_DO"));
	if (map == MAP_FAILED || !fault)
		abort();
	if (fault->effect == MEMORY)
		set_up_openssl();
	fault_at = strtoul(variable("FAULTS_AT"), NULL, 10);
	fault_lasts = variable("FAULTS_LASTS")[0] != '\0';
	is_ours = strcmp(variable("FAULTS_IN"), "supervisor") == 0 &&
		  fault->effect != MEMORY;
	shared = map;
	shared->supervisor = getpid();
	tell();
}

static void die(pid_t pid)
{
	(void)kill(pid, SIGKILL);
}

/* Only when the supervisor is gone has the worker been told. */
static void orphan(void)
{
	die(shared->supervisor);
	while (getppid() == shared->supervisor)
		(void)usleep(100);
}

static void strike(const char *name)
{
	if (shared->n_struck++ == 0)
		(void)strncpy(shared->struck, name, sizeof(shared->struck) - 1);
	tell();
	if (strcmp(fault->name, "kill") == 0)
		die(getpid());
	if (strcmp(fault->name, "orphan") == 0)
		orphan();
}

/* Counts the call; true: it fails, and errno says how. */
static bool is_refused(const char *name, int effects)
{
	is_struck = false;
	if (!shared || !is_ours || (effects & fault->effect) == 0)
		return false;
	shared->n_points++;
	is_struck = fault_at > 0 &&
		    (shared->n_points == fault_at ||
		     (fault_lasts && shared->n_points > fault_at));
	if (is_struck)
		strike(name);
	else
		tell();
	if (!is_struck || fault->errnum == 0)
		return false;
	errno = fault->errnum;
	return true;
}

static void is_made(void)
{
	if (is_struck && strcmp(fault->name, "kill-after") == 0)
		die(getpid());
}

#define WRAP(type, name, effects, parameters, arguments) \
	type name parameters                             \
	{                                                \
		type r;                                  \
                                                         \
		if (is_refused(#name, effects))          \
			return -1;                       \
		r = NEXT(name) arguments;                \
		is_made();                               \
		return r;                                \
	}

/*
 * What writing to it touches: a disk, a peer, or nothing that lasts. Trouble is
 * told on a disk of its own.
 */
static int written(int fd)
{
	int saved_errno = errno;
	struct stat st;
	int r = fstat(fd, &st);

	errno = saved_errno;
	if (r < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		return fd == STDERR_FILENO ? CHANGES : DISK;
	return S_ISSOCK(st.st_mode) ? CHANGES : 0;
}

static int read_from(int fd)
{
	return written(fd) & IO;
}

/* ---- files ---- */

static int opened(int flags)
{
	return (flags & O_CREAT) != 0 ? DISK | FILES : IO | FILES;
}

#define WRAP_OPEN(name, parameters, arguments)              \
	int name parameters                                 \
	{                                                   \
		mode_t mode = 0;                            \
		va_list args;                               \
		int r;                                      \
                                                            \
		va_start(args, flags);                      \
		if ((flags & (O_CREAT | __O_TMPFILE)) != 0) \
			mode = va_arg(args, mode_t);        \
		va_end(args);                               \
		if (is_refused(#name, opened(flags)))       \
			return -1;                          \
		r = NEXT(name) arguments;                   \
		is_made();                                  \
		return r;                                   \
	}

WRAP_OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
WRAP_OPEN(openat, (int fd, const char *path, int flags, ...),
	  (fd, path, flags, mode))
WRAP_OPEN(openat64, (int fd, const char *path, int flags, ...),
	  (fd, path, flags, mode))

/* What a fortified caller says when it gives no mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int fd, const char *path, int flags);
int __openat64_2(int fd, const char *path, int flags);
WRAP(int, __open_2, opened(flags), (const char *path, int flags), (path, flags))
WRAP(int, __open64_2, opened(flags), (const char *path, int flags),
     (path, flags))
WRAP(int, __openat_2, opened(flags), (int fd, const char *path, int flags),
     (fd, path, flags))
WRAP(int, __openat64_2, opened(flags), (int fd, const char *path, int flags),
     (fd, path, flags))

WRAP(ssize_t, read, read_from(fd), (int fd, void *buf, size_t len),
     (fd, buf, len))
WRAP(ssize_t, pread, read_from(fd), (int fd, void *buf, size_t len, off_t at),
     (fd, buf, len, at))
WRAP(ssize_t, pread64, read_from(fd),
     (int fd, void *buf, size_t len, off64_t at), (fd, buf, len, at))

/* A disk that fills up takes a part of what it cannot take whole. */
static bool is_cut_short(int fd, size_t len)
{
	return len > 1 && fault_lasts && shared && is_ours && fault_at > 0 &&
	       (written(fd) & fault->effect) != 0 &&
	       shared->n_points + 1 == fault_at;
}

#define WRAP_WRITE(name, parameters, arguments)                 \
	ssize_t name parameters                                 \
	{                                                       \
		bool is_part = is_cut_short(fd, len);           \
		ssize_t r;                                      \
                                                                \
		if (is_refused(#name, written(fd)) && !is_part) \
			return -1;                              \
		len = is_part ? len / 2 : len;                  \
		r = NEXT(name) arguments;                       \
		is_made();                                      \
		return r;                                       \
	}

WRAP_WRITE(write, (int fd, const void *buf, size_t len), (fd, buf, len))
WRAP_WRITE(pwrite, (int fd, const void *buf, size_t len, off_t at),
	   (fd, buf, len, at))
WRAP_WRITE(pwrite64, (int fd, const void *buf, size_t len, off64_t at),
	   (fd, buf, len, at))
WRAP(ssize_t, writev, written(fd), (int fd, const struct iovec *parts, int n),
     (fd, parts, n))
WRAP(int, ftruncate, CHANGES | IO, (int fd, off_t size), (fd, size))
WRAP(int, ftruncate64, CHANGES | IO, (int fd, off64_t size), (fd, size))
WRAP(int, sync_file_range, CHANGES | IO | SPACE,
     (int fd, off64_t at, off64_t len, unsigned flags), (fd, at, len, flags))

/* The kernel says it once; who asks again hears that all is well. */
#define WRAP_SYNC(name)                                    \
	int name(int fd)                                   \
	{                                                  \
		bool is_known = fd >= 0 && fd < FILES_MAX; \
		int r;                                     \
                                                           \
		if (shared && is_known && is_failed[fd]) { \
			shared->n_retried++;               \
			tell();                            \
		}                                          \
		if (is_refused(#name, DISK)) {             \
			if (is_known)                      \
				is_failed[fd] = true;      \
			return -1;                         \
		}                                          \
		r = NEXT(name)(fd);                        \
		is_made();                                 \
		return r;                                  \
	}

WRAP_SYNC(fsync)
WRAP_SYNC(fdatasync)

/* It is closed whatever it says. */
int close(int fd)
{
	bool is_bad = is_refused("close", written(fd) | CHANGES);
	int errnum = errno;
	int r;

	if (fd >= 0 && fd < FILES_MAX)
		is_failed[fd] = false;
	r = NEXT(close)(fd);
	is_made();
	if (!is_bad)
		return r;
	errno = errnum;
	return -1;
}

struct dirent *readdir(DIR *dir)
{
	return is_refused("readdir", IO) ? NULL : NEXT(readdir)(dir);
}

/* ---- names ---- */

WRAP(int, rename, DISK, (const char *from, const char *to), (from, to))
WRAP(int, renameat, DISK,
     (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to))
WRAP(int, renameat2, DISK,
     (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags))
WRAP(int, link, DISK, (const char *from, const char *to), (from, to))
WRAP(int, linkat, DISK,
     (int from_fd, const char *from, int to_fd, const char *to, int flags),
     (from_fd, from, to_fd, to, flags))
WRAP(int, unlink, CHANGES | IO, (const char *path), (path))
WRAP(int, unlinkat, CHANGES | IO, (int fd, const char *path, int flags),
     (fd, path, flags))
WRAP(int, rmdir, CHANGES | IO, (const char *path), (path))
WRAP(int, mkdir, DISK, (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, DISK, (int fd, const char *path, mode_t mode),
     (fd, path, mode))
WRAP(int, chmod, CHANGES | IO, (const char *path, mode_t mode), (path, mode))
WRAP(int, fchmod, CHANGES | IO, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchmodat, CHANGES | IO,
     (int fd, const char *path, mode_t mode, int flags),
     (fd, path, mode, flags))
WRAP(int, fchown, CHANGES | IO, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, fchownat, CHANGES | IO,
     (int fd, const char *path, uid_t uid, gid_t gid, int flags),
     (fd, path, uid, gid, flags))

/* ---- locks and descriptors ---- */

WRAP(int, flock, CHANGES | IO, (int fd, int operation), (fd, operation))
WRAP(int, eventfd, FILES, (unsigned value, int flags), (value, flags))
WRAP(int, dup3, FILES, (int fd, int to, int flags), (fd, to, flags))

static int controlled(int command)
{
	switch (command) {
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return CHANGES | IO;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return FILES;
	default:
		return 0;
	}
}

#define WRAP_CONTROL(name)                                  \
	int name(int fd, int command, ...)                  \
	{                                                   \
		va_list args;                               \
		void *argument;                             \
		int r;                                      \
                                                            \
		va_start(args, command);                    \
		argument = va_arg(args, void *);            \
		va_end(args);                               \
		if (is_refused(#name, controlled(command))) \
			return -1;                          \
		r = NEXT(name)(fd, command, argument);      \
		is_made();                                  \
		return r;                                   \
	}

WRAP_CONTROL(fcntl)
WRAP_CONTROL(fcntl64)

/* ---- peers ---- */

WRAP(int, socket, FILES, (int family, int type, int protocol),
     (family, type, protocol))
WRAP(int, socketpair, FILES, (int family, int type, int protocol, int pair[2]),
     (family, type, protocol, pair))
WRAP(int, connect, CHANGES, (int fd, const struct sockaddr *to, socklen_t len),
     (fd, to, len))
WRAP(int, shutdown, CHANGES, (int fd, int how), (fd, how))
WRAP(ssize_t, send, CHANGES, (int fd, const void *buf, size_t len, int flags),
     (fd, buf, len, flags))
WRAP(ssize_t, sendto, CHANGES,
     (int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
      socklen_t to_len),
     (fd, buf, len, flags, to, to_len))
WRAP(ssize_t, sendmsg, CHANGES,
     (int fd, const struct msghdr *message, int flags), (fd, message, flags))

/* ---- memory ---- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	return is_refused("malloc", MEMORY) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return is_refused("calloc", MEMORY) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return is_refused("realloc", MEMORY) ? NULL : __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	return is_refused("memalign", MEMORY)
		       ? NULL
		       : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	*ret = memalign(alignment, size);
	return *ret ? 0 : ENOMEM;
}

/* ---- processes ---- */

/*
 * What reads the configuration, libconfig, does not check what malloc returns.
 * The supervisor's allocations count when it makes its event loop, behind that.
 */
int epoll_create1(int flags)
{
	if (shared && !is_worker && fault->effect == MEMORY)
		is_ours = strcmp(variable("FAULTS_IN"), "supervisor") == 0;
	return NEXT(epoll_create1)(flags);
}

/* A worker is forked with every signal blocked. What else is forked is spared. */
static bool is_forking_worker(void)
{
	sigset_t blocked;

	(void)sigprocmask(SIG_BLOCK, NULL, &blocked);
	return sigismember(&blocked, SIGALRM) == 1;
}

pid_t fork(void)
{
	bool forks_worker = is_forking_worker();
	pid_t pid = NEXT(fork)();

	if (!shared || pid != 0)
		return pid;
	is_ours = false;
	if (!forks_worker)
		return pid;
	/* The child tells: its parent may die before it has its turn. */
	is_worker = true;
	is_ours = strcmp(variable("FAULTS_IN"), "worker") == 0;
	shared->worker = getpid();
	tell();
	return pid;
}

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/*
 * A worker ends here, without what a sanitizer does at an exit. To look for
 * leaks it must trace the process, which is not dumpable.
 */
void _exit(int status)
{
	if (shared && is_worker && __lsan_do_recoverable_leak_check) {
		is_ours = false;
		(void)prctl(PR_SET_DUMPABLE, 1);
		if (__lsan_do_recoverable_leak_check() != 0)
			shared->n_leaks++;
		tell();
	}
	NEXT(_exit)(status);
	__builtin_unreachable();
}
