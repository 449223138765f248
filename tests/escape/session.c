/*
 * session.c - in the place of src/session.c: a worker that was taken over.
 *
 * Enters the last stage of the sandbox as a visit does, and then tries what an
 * attacker would. Each attempt is told in one line, "refused: NAME: why" or
 * "POSSIBLE: NAME". What a visit needs is tried too and must be possible.
 *
 * In the environment: ESCAPE_SECRET, a file of the same user elsewhere, and
 * ESCAPE_OTHER, a directory of the same user that is another account's.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* Each: 0 when it could, -1 with errno when not. */
typedef int attempt_fn(const struct session_job *job);

static int open_and_close(const char *path, int flags)
{
	_cleanup_fd_ int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? -1 : 0;
}

static int open_passwd(const struct session_job *job)
{
	(void)job;
	return open_and_close("/etc/passwd", O_RDONLY);
}

static int open_secret(const struct session_job *job)
{
	(void)job;
	return open_and_close(getenv("ESCAPE_SECRET"), O_RDONLY);
}

static int write_secret(const struct session_job *job)
{
	(void)job;
	return open_and_close(getenv("ESCAPE_SECRET"), O_WRONLY);
}

static int list_other(const struct session_job *job)
{
	(void)job;
	return open_and_close(getenv("ESCAPE_OTHER"), O_RDONLY | O_DIRECTORY);
}

static int make_in_other(const struct session_job *job)
{
	char path[4096];

	(void)job;
	(void)snprintf(path, sizeof(path), "%s/planted",
		       getenv("ESCAPE_OTHER"));
	return open_and_close(path, O_WRONLY | O_CREAT);
}

static int read_own_cur(const struct session_job *job)
{
	_cleanup_fd_ int fd = openat(job->maildir->dir_fd, "cur",
				     O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : 0;
}

static int read_memory_file(const struct session_job *job)
{
	(void)job;
	return open_and_close("/proc/self/mem", O_RDONLY);
}

static int read_parents_memory(const struct session_job *job)
{
	char byte;
	struct iovec local = { &byte, 1 };
	struct iovec remote = { (void *)job, 1 };

	return (int)process_vm_readv(getppid(), &local, 1, &remote, 1, 0);
}

static int link_symbolically(const struct session_job *job)
{
	return symlinkat("/etc/passwd", job->maildir->tmp_fd, "link");
}

static int make_directory(const struct session_job *job)
{
	return mkdirat(job->maildir->tmp_fd, "directory", 0700);
}

static int make_fifo(const struct session_job *job)
{
	return mkfifoat(job->maildir->tmp_fd, "fifo", 0600);
}

static int make_socket(int family)
{
	_cleanup_fd_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : 0;
}

static int make_tcp_socket(const struct session_job *job)
{
	(void)job;
	return make_socket(AF_INET);
}

static int make_unix_socket(const struct session_job *job)
{
	(void)job;
	return make_socket(AF_UNIX);
}

static int connect_anew(const struct session_job *job)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(25),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return connect(job->uplink->fd, (const struct sockaddr *)&address,
		       sizeof(address));
}

static int execute(const struct session_job *job)
{
	char *const arguments[] = { (char *)"true", NULL };

	(void)job;
	return execve("/bin/true", arguments, arguments + 1);
}

static int end_child(pid_t pid)
{
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : (int)waitpid(pid, NULL, 0);
}

static int fork_child(const struct session_job *job)
{
	(void)job;
	return end_child(fork());
}

static int fork_by_clone(const struct session_job *job)
{
	(void)job;
	return end_child((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

/* PTRACE_ATTACH would leave it stopped when this process has ended. */
static int trace_parent(const struct session_job *job)
{
	(void)job;
	return (int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static int signal_parent(const struct session_job *job)
{
	(void)job;
	return kill(getppid(), 0);
}

static int become_root(const struct session_job *job)
{
	(void)job;
	return setuid(0);
}

static int become_another(const struct session_job *job)
{
	(void)job;
	return setresuid(1, 1, 1);
}

static int set_up_ring(const struct session_job *job)
{
	char parameters[256] = { 0 };

	(void)job;
	return (int)syscall(SYS_io_uring_setup, 1, parameters);
}

static int map_code(const struct session_job *job)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)job;
	return at == MAP_FAILED ? -1 : munmap(at, 4096);
}

static int take_memory(const struct session_job *job)
{
	const size_t size = (size_t)512 * 1024 * 1024;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)job;
	return at == MAP_FAILED ? -1 : munmap(at, size);
}

static int make_dumpable(const struct session_job *job)
{
	(void)job;
	return prctl(PR_SET_DUMPABLE, 1);
}

static int deliver(const struct session_job *job)
{
	struct maildir_file file;
	struct maildir_file *files[] = { &file };
	struct error err;

	maildir_file_init(&file);
	if (maildir_file_begin(job->maildir, &file, &err) < 0 ||
	    maildir_file_write(&file, "x", 1, &err) < 0 ||
	    maildir_sync(job->maildir, files, 1, &err) < 0 ||
	    maildir_publish(job->maildir, file.base, file.base, 1, &err) < 0 ||
	    maildir_sync(job->maildir, NULL, 0, &err) < 0)
		return -1;
	return 0;
}

static int write_journal(const struct session_job *job)
{
	struct error err;

	if (journal_begin(job->journal, &err) < 0 ||
	    journal_mark_seen(job->journal, (struct bytes){ "a", 1 }, 1, &err) <
		    0)
		return -1;
	return journal_commit(job->journal, &err);
}

static const struct {
	const char *name;
	attempt_fn *run;
} attempts[] = {
	{ "deliver into its own Maildir", deliver },
	{ "write its own journal", write_journal },
	{ "open /etc/passwd", open_passwd },
	{ "read a file of its user", open_secret },
	{ "write a file of its user", write_secret },
	{ "list another Maildir of its user", list_other },
	{ "make a file in another Maildir", make_in_other },
	{ "read its own Maildir's cur/", read_own_cur },
	{ "open /proc/self/mem", read_memory_file },
	{ "read the supervisor's memory", read_parents_memory },
	{ "make a symbolic link", link_symbolically },
	{ "make a directory", make_directory },
	{ "make a FIFO", make_fifo },
	{ "make a TCP socket", make_tcp_socket },
	{ "make a Unix socket", make_unix_socket },
	{ "connect", connect_anew },
	{ "fork", fork_child },
	{ "fork by clone", fork_by_clone },
	{ "trace the supervisor", trace_parent },
	{ "signal the supervisor", signal_parent },
	{ "become root", become_root },
	{ "become another user", become_another },
	{ "set up io_uring", set_up_ring },
	{ "map executable memory", map_code },
	{ "take 512 MB of memory", take_memory },
	{ "make itself dumpable", make_dumpable },
	{ "execute a program", execute },
};

int session_run(const struct session_job *job, struct report *report,
		struct error *err)
{
	char line[ERROR_TEXT_MAX];

	report->step = STEP_LIST;
	if (sandbox_enter(&job->scope, SANDBOX_SESSION, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (attempts[i].run(job) >= 0)
			(void)snprintf(line, sizeof(line), "POSSIBLE: %s",
				       attempts[i].name);
		else
			(void)snprintf(line, sizeof(line), "refused: %s: %s",
				       attempts[i].name, strerror(errno));
		uplink_log(job->uplink, LOG_NOTICE, line);
	}
	return 0;
}
