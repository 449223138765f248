/*
 * sandbox.c - Landlock by its system calls, seccomp through libseccomp.
 *
 * A stage is never left, and the second one is laid over the first: the kernel
 * applies the stricter. The filters are compiled once, in the supervisor, so
 * that a worker only hands them to the kernel. Landlock is asked for its ABI
 * at run time; what an older kernel does not know is left out of what is
 * handled, and the description says which ABI there is.
 *
 * Under a sanitizer there is no sandbox: its runtime needs what this forbids.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define N_STAGES        2
#define DESCRIPTION_MAX 128
#define COMPILE_SEC     10
#define ABI_REFER       2 /* the first that lets a file move between directories */

/* What a session may take beside what it has: a listing and a batch need 32 MB. */
#define SESSION_MEMORY ((rlim_t)256 * 1024 * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_SANITIZER true
#endif
#endif
#ifndef HAVE_SANITIZER
#define HAVE_SANITIZER false
#endif

/* --- Landlock: linux/landlock.h of Debian 12 ends at ABI 2 --------------- */

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,     /* ABI 2 */
	FS_TRUNCATE = 1 << 14,  /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
};

enum {
	NET_BIND_TCP = 1 << 0,
	NET_CONNECT_TCP = 1 << 1
}; /* ABI 4 */
enum {
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0,
	SCOPE_SIGNAL = 1 << 1
}; /* ABI 6 */

struct ruleset {
	uint64_t handled_fs;
	uint64_t handled_net;
	uint64_t scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

#define RULESET_GET_VERSION 1
#define RULE_PATH_BENEATH   1
#define FS_WRITING                                                       \
	(FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_CHAR | \
	 FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK | FS_MAKE_FIFO |       \
	 FS_MAKE_BLOCK | FS_MAKE_SYM | FS_REFER | FS_TRUNCATE)
#define FS_OURS                                                     \
	(FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_MAKE_REG | \
	 FS_REMOVE_FILE | FS_REFER | FS_TRUNCATE)

struct filter {
	struct sock_filter *code;
	size_t n_instructions;
};

struct sandbox {
	int landlock_abi; /* 0: none */
	bool has_seccomp;
	struct filter filters[N_STAGES];
	char description[DESCRIPTION_MAX];
};

static int landlock_version(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   RULESET_GET_VERSION);

	return abi < ABI_REFER ? 0 : (int)abi;
}

/* What this ABI knows of what we would handle. */
static struct ruleset ruleset_for(enum sandbox_stage stage, int abi)
{
	struct ruleset ruleset = {
		.handled_fs = FS_EXECUTE | FS_WRITING,
		.handled_net = NET_BIND_TCP,
		.scoped = SCOPE_SIGNAL,
	};

	if (stage == SANDBOX_SESSION) {
		ruleset.handled_fs |= FS_READ_FILE | FS_READ_DIR | FS_IOCTL_DEV;
		ruleset.handled_net |= NET_CONNECT_TCP;
		ruleset.scoped |= SCOPE_ABSTRACT_UNIX_SOCKET;
	}
	if (abi < 3)
		ruleset.handled_fs &= ~(uint64_t)FS_TRUNCATE;
	if (abi < 4)
		ruleset.handled_net = 0;
	if (abi < 5)
		ruleset.handled_fs &= ~(uint64_t)FS_IOCTL_DEV;
	if (abi < 6)
		ruleset.scoped = 0;
	return ruleset;
}

/* A kernel refuses fields that it does not know, unless they are left off. */
static size_t ruleset_size(int abi)
{
	if (abi < 4)
		return offsetof(struct ruleset, handled_net);
	return abi < 6 ? offsetof(struct ruleset, scoped)
		       : sizeof(struct ruleset);
}

static int landlock_allow(int ruleset_fd, uint64_t handled, int dir_fd)
{
	struct path_beneath rule = { .allowed = FS_OURS & handled,
				     .parent_fd = dir_fd };

	return (int)syscall(SYS_landlock_add_rule, ruleset_fd,
			    RULE_PATH_BENEATH, &rule, 0);
}

static int enter_landlock(const struct sandbox_scope *scope,
			  enum sandbox_stage stage)
{
	int abi = scope->sandbox->landlock_abi;
	struct ruleset ruleset = ruleset_for(stage, abi);
	_cleanup_fd_ int fd = (int)syscall(SYS_landlock_create_ruleset,
					   &ruleset, ruleset_size(abi), 0);

	if (fd < 0)
		return -1;
	for (size_t i = 0; i < SANDBOX_DIRECTORIES; i++)
		if (landlock_allow(fd, ruleset.handled_fs, scope->dir_fds[i]) <
		    0)
			return -1;
	return (int)syscall(SYS_landlock_restrict_self, fd, 0);
}

/* --- seccomp ------------------------------------------------------------- */

#define IN_CONNECT (1U << SANDBOX_CONNECT)
#define IN_SESSION (1U << SANDBOX_SESSION)
#define IN_BOTH    (IN_CONNECT | IN_SESSION)

struct call {
	int number;
	unsigned stages; /* where it is allowed; elsewhere it gets EPERM */
};

/* clang-format off */
static const struct call calls[] = {
	/* Memory, time, threads' locks, signals, the end. */
	{ SCMP_SYS(brk), IN_BOTH },
	{ SCMP_SYS(munmap), IN_BOTH },
	{ SCMP_SYS(mremap), IN_BOTH },
	{ SCMP_SYS(madvise), IN_BOTH },
	{ SCMP_SYS(futex), IN_BOTH },
	{ SCMP_SYS(clock_gettime), IN_BOTH },
	{ SCMP_SYS(clock_nanosleep), IN_BOTH },
	{ SCMP_SYS(gettimeofday), IN_BOTH },
	{ SCMP_SYS(time), IN_BOTH },
	{ SCMP_SYS(getrandom), IN_BOTH },
	{ SCMP_SYS(alarm), IN_BOTH },
	{ SCMP_SYS(rt_sigaction), IN_BOTH },
	{ SCMP_SYS(rt_sigprocmask), IN_BOTH },
	{ SCMP_SYS(rt_sigreturn), IN_BOTH },
	{ SCMP_SYS(sigreturn), IN_BOTH },
	{ SCMP_SYS(restart_syscall), IN_BOTH },
	{ SCMP_SYS(exit), IN_BOTH },
	{ SCMP_SYS(exit_group), IN_BOTH },

	/* Who we are. */
	{ SCMP_SYS(getpid), IN_BOTH },
	{ SCMP_SYS(gettid), IN_BOTH },
	{ SCMP_SYS(getppid), IN_BOTH },
	{ SCMP_SYS(getuid), IN_BOTH },
	{ SCMP_SYS(geteuid), IN_BOTH },
	{ SCMP_SYS(getgid), IN_BOTH },
	{ SCMP_SYS(getegid), IN_BOTH },
	{ SCMP_SYS(uname), IN_BOTH },

	/* Files: which ones is Landlock's business. */
	{ SCMP_SYS(open), IN_BOTH },
	{ SCMP_SYS(openat), IN_BOTH },
	{ SCMP_SYS(close), IN_BOTH },
	{ SCMP_SYS(read), IN_BOTH },
	{ SCMP_SYS(readv), IN_BOTH },
	{ SCMP_SYS(pread64), IN_BOTH },
	{ SCMP_SYS(write), IN_BOTH },
	{ SCMP_SYS(writev), IN_BOTH },
	{ SCMP_SYS(pwrite64), IN_BOTH },
	{ SCMP_SYS(lseek), IN_BOTH },
	{ SCMP_SYS(fcntl), IN_BOTH },
	{ SCMP_SYS(stat), IN_BOTH },
	{ SCMP_SYS(lstat), IN_BOTH },
	{ SCMP_SYS(fstat), IN_BOTH },
	{ SCMP_SYS(newfstatat), IN_BOTH },
	{ SCMP_SYS(statx), IN_BOTH },
	{ SCMP_SYS(statfs), IN_BOTH },
	{ SCMP_SYS(fstatfs), IN_BOTH },
	{ SCMP_SYS(access), IN_BOTH },
	{ SCMP_SYS(faccessat), IN_BOTH },
	{ SCMP_SYS(faccessat2), IN_BOTH },
	{ SCMP_SYS(readlink), IN_BOTH },
	{ SCMP_SYS(readlinkat), IN_BOTH },
	{ SCMP_SYS(getcwd), IN_BOTH },
	{ SCMP_SYS(getdents64), IN_BOTH },
	{ SCMP_SYS(fsync), IN_BOTH },
	{ SCMP_SYS(fdatasync), IN_BOTH },
	{ SCMP_SYS(sync_file_range), IN_BOTH },
	{ SCMP_SYS(io_setup), IN_BOTH }, /* flush.c: Linux AIO, no io_uring */
	{ SCMP_SYS(io_submit), IN_BOTH },
	{ SCMP_SYS(io_getevents), IN_BOTH },
	{ SCMP_SYS(io_destroy), IN_BOTH },
	{ SCMP_SYS(ftruncate), IN_BOTH },
	{ SCMP_SYS(fallocate), IN_BOTH },
	{ SCMP_SYS(fchmod), IN_BOTH },
	{ SCMP_SYS(fchown), IN_BOTH },
	{ SCMP_SYS(renameat2), IN_BOTH },
	{ SCMP_SYS(linkat), IN_BOTH },
	{ SCMP_SYS(unlink), IN_BOTH },
	{ SCMP_SYS(unlinkat), IN_BOTH },

	/* Sockets that are open: the server's and the supervisor's. */
	{ SCMP_SYS(poll), IN_BOTH },
	{ SCMP_SYS(ppoll), IN_BOTH },
	{ SCMP_SYS(recvfrom), IN_BOTH },
	{ SCMP_SYS(recvmsg), IN_BOTH },
	{ SCMP_SYS(sendto), IN_BOTH },
	{ SCMP_SYS(sendmsg), IN_BOTH },
	{ SCMP_SYS(shutdown), IN_BOTH },
	{ SCMP_SYS(getsockopt), IN_BOTH },
	{ SCMP_SYS(setsockopt), IN_BOTH },
	{ SCMP_SYS(getpeername), IN_BOTH },

	/* To resolve a name, through whatever module, and to connect. */
	{ SCMP_SYS(connect), IN_CONNECT },
	{ SCMP_SYS(bind), IN_CONNECT },
	{ SCMP_SYS(getsockname), IN_CONNECT },
	{ SCMP_SYS(sendmmsg), IN_CONNECT },
	{ SCMP_SYS(recvmmsg), IN_CONNECT },
	{ SCMP_SYS(socketpair), IN_CONNECT },
	{ SCMP_SYS(pipe2), IN_CONNECT },
	{ SCMP_SYS(eventfd2), IN_CONNECT },
	{ SCMP_SYS(epoll_create1), IN_CONNECT },
	{ SCMP_SYS(epoll_ctl), IN_CONNECT },
	{ SCMP_SYS(epoll_wait), IN_CONNECT },
	{ SCMP_SYS(dup), IN_CONNECT },
	{ SCMP_SYS(dup2), IN_CONNECT },
	{ SCMP_SYS(dup3), IN_CONNECT },
	{ SCMP_SYS(ioctl), IN_CONNECT },
	{ SCMP_SYS(select), IN_CONNECT },
	{ SCMP_SYS(pselect6), IN_CONNECT },
	{ SCMP_SYS(nanosleep), IN_CONNECT },
	{ SCMP_SYS(sched_yield), IN_CONNECT },
	{ SCMP_SYS(sched_getaffinity), IN_CONNECT },
	{ SCMP_SYS(set_robust_list), IN_CONNECT },
	{ SCMP_SYS(rseq), IN_CONNECT },
	{ SCMP_SYS(sysinfo), IN_CONNECT },
	{ SCMP_SYS(prctl), IN_CONNECT },
	{ SCMP_SYS(seccomp), IN_CONNECT }, /* the second stage's own */
	{ SCMP_SYS(landlock_create_ruleset), IN_CONNECT },
	{ SCMP_SYS(landlock_add_rule), IN_CONNECT },
	{ SCMP_SYS(landlock_restrict_self), IN_CONNECT },
	{ SCMP_SYS(prlimit64), IN_CONNECT },

	/* Never; named here so that they get EPERM, not ENOSYS. */
	{ SCMP_SYS(execve), 0 },
	{ SCMP_SYS(execveat), 0 },
	{ SCMP_SYS(fork), 0 },
	{ SCMP_SYS(vfork), 0 },
	{ SCMP_SYS(kill), 0 },
	{ SCMP_SYS(tkill), 0 },
	{ SCMP_SYS(ptrace), 0 },
	{ SCMP_SYS(process_vm_readv), 0 },
	{ SCMP_SYS(process_vm_writev), 0 },
	{ SCMP_SYS(pidfd_getfd), 0 },
	{ SCMP_SYS(io_uring_setup), 0 },
	{ SCMP_SYS(bpf), 0 },
	{ SCMP_SYS(mount), 0 },
	{ SCMP_SYS(setuid), 0 },
	{ SCMP_SYS(setresuid), 0 },
	{ SCMP_SYS(setgid), 0 },
	{ SCMP_SYS(setresgid), 0 },
	{ SCMP_SYS(setgroups), 0 },
	{ SCMP_SYS(chmod), 0 },
	{ SCMP_SYS(fchmodat), 0 },
	{ SCMP_SYS(chown), 0 },
	{ SCMP_SYS(fchownat), 0 },
	{ SCMP_SYS(symlinkat), 0 },
	{ SCMP_SYS(mkdirat), 0 },
};
/* clang-format on */

/* A call that nothing here has heard of: on another architecture, say. */
static bool is_missing(int number)
{
	return number == __NR_SCMP_ERROR || number < 0;
}

static int add_call(scmp_filter_ctx context, const struct call *call,
		    enum sandbox_stage stage)
{
	bool is_allowed = (call->stages & (1U << stage)) != 0;

	if (is_missing(call->number))
		return 0;
	return seccomp_rule_add(
		context, is_allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
		call->number, 0);
}

/* With the bits of mask as in wanted; otherwise it is an unknown call. */
static int allow_if(scmp_filter_ctx context, int number, unsigned argument,
		    uint64_t mask, uint64_t wanted)
{
	const struct scmp_arg_cmp is_so =
		SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, wanted);

	return seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 1, is_so);
}

static int add_connect_calls(scmp_filter_ctx context)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6,
					AF_NETLINK };
	int r = 0;

	/* Modules of the resolver are loaded, and some run a thread. */
	if (seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0) < 0 ||
	    seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 0) <
		    0 ||
	    allow_if(context, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD) <
		    0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++)
		r = allow_if(context, SCMP_SYS(socket), 0, UINT32_MAX,
			     (uint64_t)families[i]);
	return r;
}

static int add_session_calls(scmp_filter_ctx context)
{
	static const int refused[] = { SCMP_SYS(socket), SCMP_SYS(clone) };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(refused) && r == 0; i++)
		r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), refused[i],
				     0);
	if (r < 0 || allow_if(context, SCMP_SYS(mmap), 2, PROT_EXEC, 0) < 0)
		return -1;
	return allow_if(context, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
}

static int add_calls(scmp_filter_ctx context, enum sandbox_stage stage)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (add_call(context, &calls[i], stage) < 0)
			return -1;
	return stage == SANDBOX_CONNECT ? add_connect_calls(context)
					: add_session_calls(context);
}

static int compile(enum sandbox_stage stage, int fd)
{
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));

	/* A binary tree: what comes last in the table costs no more. */
	if (!context ||
	    seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0 ||
	    add_calls(context, stage) < 0)
		return -1;
	return seccomp_export_bpf(context, fd);
}

/* libseccomp 2.5 crashes, or never ends, when it gets no memory. */
_noreturn_ static void compile_and_exit(enum sandbox_stage stage, int fd)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)alarm(COMPILE_SEC);
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO); /* glibc's last words */
	_exit(compile(stage, fd) < 0);
}

/* In a process of its own, which may die, and takes libseccomp's heap along. */
static int compile_apart(enum sandbox_stage stage, int fd)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -1;
	if (pid == 0)
		compile_and_exit(stage, fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (status == 0)
		return 0;
	errno = ENOMEM;
	return -1;
}

/* libseccomp writes its program to a file; a worker needs it in memory. */
static int read_program(int fd, struct filter *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	ret->code = malloc((size_t)st.st_size);
	if (!ret->code)
		return -1;
	ret->n_instructions = (size_t)st.st_size / sizeof(*ret->code);
	return pread(fd, ret->code, (size_t)st.st_size, 0) == st.st_size ? 0
									 : -1;
}

static int make_filter(enum sandbox_stage stage, struct filter *ret,
		       struct error *err)
{
	_cleanup_fd_ int fd = memfd_create("filter", MFD_CLOEXEC);

	if (fd < 0 || compile_apart(stage, fd) < 0 || read_program(fd, ret) < 0)
		return error_set_errno(
			err, ERROR_LOCAL, errno,
			"cannot make the sandbox of the workers");
	return 0;
}

static int enter_seccomp(const struct sandbox *sandbox,
			 enum sandbox_stage stage)
{
	const struct filter *filter = &sandbox->filters[stage];
	const struct sock_fprog program = {
		.len = (unsigned short)filter->n_instructions,
		.filter = filter->code,
	};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static bool has_seccomp(void)
{
	const uint32_t action = SECCOMP_RET_ERRNO;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* --- both ---------------------------------------------------------------- */

bool sandbox_is_complete(const struct sandbox *sandbox)
{
	return sandbox->landlock_abi > 0 && sandbox->has_seccomp;
}

static void describe(struct sandbox *sandbox)
{
	char landlock[48] = "no Landlock (not in this kernel)";

	if (HAVE_SANITIZER) {
		(void)strcpy(sandbox->description,
			     "none (built with a sanitizer)");
		return;
	}
	if (sandbox->landlock_abi > 0)
		(void)snprintf(landlock, sizeof(landlock), "Landlock (ABI %d)",
			       sandbox->landlock_abi);
	(void)snprintf(sandbox->description, sizeof(sandbox->description),
		       "%s, %s", landlock,
		       sandbox->has_seccomp
			       ? "seccomp"
			       : "no seccomp (not in this kernel)");
}

int sandbox_new(struct sandbox **ret, struct error *err)
{
	_cleanup_sandbox_ struct sandbox *sandbox = calloc(1, sizeof(*sandbox));

	if (!sandbox)
		return error_set_memory(err);
	sandbox->landlock_abi = HAVE_SANITIZER ? 0 : landlock_version();
	sandbox->has_seccomp = !HAVE_SANITIZER && has_seccomp();
	for (unsigned i = 0; i < N_STAGES && sandbox->has_seccomp; i++)
		if (make_filter((enum sandbox_stage)i, &sandbox->filters[i],
				err) < 0)
			return -1;
	describe(sandbox);

	*ret = TAKE_PTR(sandbox);
	return 0;
}

void sandbox_free(struct sandbox **sandbox)
{
	if (!*sandbox)
		return;
	for (unsigned i = 0; i < N_STAGES; i++)
		free((*sandbox)->filters[i].code);
	free(*sandbox);
	*sandbox = NULL;
}

const char *sandbox_description(const struct sandbox *sandbox)
{
	return sandbox->description;
}

/* Private memory that can be written, the supervisor's with it. -1 without /proc. */
static int data_size(rlim_t *ret)
{
	_cleanup_fd_ int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	unsigned long n_pages;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 ||
	    sscanf(text, "%*u %*u %*u %*u %*u %lu", &n_pages) != 1)
		return -1;
	*ret = (rlim_t)n_pages * (rlim_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* A sanitizer's memory has no bound. */
static int limit_memory(void)
{
	struct rlimit limit;
	rlim_t size;

	if (HAVE_SANITIZER || data_size(&size) < 0)
		return 0;
	if (getrlimit(RLIMIT_DATA, &limit) < 0)
		return -1;
	limit.rlim_max = MIN(limit.rlim_max, size + SESSION_MEMORY);
	limit.rlim_cur = MIN(limit.rlim_cur, limit.rlim_max);
	return setrlimit(RLIMIT_DATA, &limit);
}

/* Behind the filter they could not be set any more. */
static int set_limits(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_NPROC, &none) < 0)
		return -1;
	return limit_memory();
}

int sandbox_enter(const struct sandbox_scope *scope, enum sandbox_stage stage,
		  struct error *err)
{
	const struct sandbox *sandbox = scope->sandbox;

	if (!sandbox)
		return 0;
	if (stage == SANDBOX_SESSION && set_limits() < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot enter the sandbox: limits");
	if (sandbox->landlock_abi > 0 && enter_landlock(scope, stage) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot enter the sandbox: Landlock");
	if (sandbox->has_seccomp && enter_seccomp(sandbox, stage) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot enter the sandbox: seccomp");
	return 0;
}
