/*
 * worker.c - a child's life: hygiene, privileges, secret, visit, report.
 *
 * The parent's half makes the account's state directory, hands over the
 * password and forks. From then on the child trusts nothing that it inherited
 * but its job and the configuration: signals, descriptors, environment and
 * user are put in order before it opens the first file. It logs nothing: what
 * it has to say goes up through the job socket.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "journal.h"
#include "maildir.h"
#include "notes.h"
#include "privileges.h"
#include "report.h"
#include "sandbox.h"
#include "secret.h"
#include "session.h"
#include "state_dir.h"
#include "tls.h"
#include "trusts.h"
#include "uplink.h"

/* After stop_timeout a worker that is stuck is ended by its own alarm. */
#define STOP_GRACE_SEC 5

/* Descriptors beside those of the messages in the open batch. */
#define SPARE_DESCRIPTORS 256

struct worker_resources {
	struct trusts *trusts;
	struct sandbox *sandbox;
};

/*
 * Whoever is in which group is looked up by each worker. The modules that it
 * takes are loaded here: that costs as much as the rest of a visit's start.
 */
static void load_group_modules(void)
{
	gid_t group;
	int n = 1;

	/* What it finds is not wanted. */
	if (geteuid() == 0)
		(void)getgrouplist("root", 0, &group, &n);
}

int worker_resources_new(struct worker_resources **ret, struct error *err)
{
	struct worker_resources *resources = calloc(1, sizeof(*resources));

	if (!resources)
		return error_set_memory(err);
	load_group_modules();
	resources->trusts = trusts_new();
	if (!resources->trusts) {
		worker_resources_free(&resources);
		return error_set_memory(err);
	}
	if (sandbox_new(&resources->sandbox, err) < 0) {
		worker_resources_free(&resources);
		return -1;
	}
	*ret = resources;
	return 0;
}

void worker_resources_free(struct worker_resources **resources)
{
	if (!*resources)
		return;
	trusts_free(&(*resources)->trusts);
	sandbox_free(&(*resources)->sandbox);
	free(*resources);
	*resources = NULL;
}

const char *worker_sandbox(const struct worker_resources *resources,
			   bool *ret_is_complete)
{
	*ret_is_complete = sandbox_is_complete(resources->sandbox);
	return sandbox_description(resources->sandbox);
}

/* All else of the job is inherited by the fork; its arena is wiped there. */
static int send_secret(int fd, const char *password, struct error *err)
{
	if (send(fd, password, strlen(password), MSG_NOSIGNAL) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot hand over the password");
	return 0;
}

/*
 * In a piece of its own length: one for the longest secret would make malloc go
 * through what the supervisor has freed, and copy it.
 */
static int receive_secret(int fd, struct secret *secret, struct error *err)
{
	_cleanup_string_ char *packet = NULL;
	ssize_t len = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
	int r;

	if (len >= 0)
		packet = malloc((size_t)len + 1);
	if (len >= 0 && !packet)
		return error_set_memory(err);
	if (len < 0 || recv(fd, packet, (size_t)len, 0) != len)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot receive the password");
	r = secret_set(secret, packet, (size_t)len, err);
	explicit_bzero(packet, (size_t)len);
	return r;
}

/* Read by the handler; written once, before the handler is set. */
static volatile sig_atomic_t stop_event_fd = -1;
static volatile sig_atomic_t stop_alarm_sec;

static void on_stop(int signum)
{
	const uint64_t one = 1;
	int saved_errno = errno;

	(void)signum;
	(void)!write(stop_event_fd, &one, sizeof(one)); /* cannot be full */
	(void)alarm((unsigned)stop_alarm_sec);
	errno = saved_errno;
}

static void set_handler(int signum, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(signum, &action, NULL); /* fails for no valid signal */
}

/*
 * SIGTERM means stop. What a terminal or an admin sends to the whole process
 * group is for the supervisor, which then tells us.
 */
static int set_signals(int stop_fd, uint64_t stop_timeout_usec)
{
	static const int ignored[] = { SIGINT,  SIGHUP,  SIGUSR1, SIGUSR2,
				       SIGPIPE, SIGXFSZ, SIGQUIT };
	sigset_t none;

	for (int signum = 1; signum < NSIG; signum++)
		if (signum != SIGKILL && signum != SIGSTOP)
			set_handler(signum, SIG_DFL);
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		set_handler(ignored[i], SIG_IGN);

	stop_event_fd = stop_fd;
	stop_alarm_sec =
		(int)(stop_timeout_usec / USEC_PER_SEC) + 1 + STOP_GRACE_SEC;
	set_handler(SIGTERM, on_stop);
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Keeps 0, 1, 2 (they lead to /dev/null then) and the job socket, moved to 3.
 * *fd tells where that is, whatever fails.
 */
static int keep_descriptor(int *fd)
{
	int null;

	if (*fd != 3 && dup3(*fd, 3, O_CLOEXEC) < 0)
		return -1;
	*fd = 3;
	if (close_range(4, ~0U, 0) < 0)
		return -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -1;
	for (int i = 0; i <= 2; i++)
		if (dup2(null, i) < 0)
			return -1;
	return null > 2 ? close(null) : 0;
}

static void clear_environment(void)
{
	static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_PID",
					     "WATCHDOG_USEC", "JOURNAL_STREAM",
					     "LISTEN_PID",    "LISTEN_FDS",
					     "LISTEN_FDNAMES" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unsetenv(names[i]); /* fails for no valid name */
}

static int set_limits(const struct account *account)
{
	const struct rlimit none = { 0, 0 };
	rlim_t needed = account->batch_messages + SPARE_DESCRIPTORS;
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &none) < 0 ||
	    getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	files.rlim_cur = MIN(files.rlim_max, MAX(files.rlim_cur, needed));
	return setrlimit(RLIMIT_NOFILE, &files);
}

/* For good: verified, and not to be regained. */
static int become_user(const struct account *account)
{
	uid_t real, effective, saved;

	if (geteuid() != 0)
		return 0;
	if (initgroups(account->user, account->gid) < 0 ||
	    setresgid(account->gid, account->gid, account->gid) < 0 ||
	    setresuid(account->uid, account->uid, account->uid) < 0 ||
	    getresuid(&real, &effective, &saved) < 0)
		return -1;
	if (real != account->uid || effective != account->uid ||
	    saved != account->uid ||
	    (account->uid != 0 && setresuid(0, 0, 0) == 0)) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

/* A change of user clears it, so it comes behind that. */
static int follow_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -1;
	if (getppid() != parent) {
		errno = ESRCH;
		return -1;
	}
	return 0;
}

struct worker_self {
	const struct worker_job *job;
	const struct tls_trust *trust; /* the supervisor's, or NULL */
	struct uplink uplink;
	struct notes notes;
	struct report report;
	int stop_fd;
};

/* Everything inherited is put in order, before the first file is opened. */
static int put_in_order(struct worker_self *self, pid_t parent,
			struct error *err)
{
	const struct account *account = self->job->account;

	if (keep_descriptor(&self->uplink.fd) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "descriptors");
	self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->stop_fd < 0 ||
	    set_signals(self->stop_fd, account->stop_timeout_usec) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "signals");

	clear_environment();
	(void)umask(077);
	if (set_limits(account) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "limits");
	/* The change of user clears capabilities, unless that is root again. */
	if (become_user(account) < 0 || privileges_drop() < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot become user %s", account->user);
	if (follow_parent(parent) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "the supervisor is gone");
	if (prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "prctl");
	return 0;
}

static int get_secret(struct worker_self *self, struct secret *secret,
		      struct error *err)
{
	const struct account *account = self->job->account;

	if (account->password)
		return receive_secret(self->uplink.fd, secret, err);
	return secret_read_file(secret, account->password_file, err);
}

/* What the supervisor could not load, or must not, is loaded here. */
static int get_trust(const struct worker_self *self, struct tls_trust **own,
		     const struct tls_trust **ret, struct error *err)
{
	const struct account *account = self->job->account;

	*ret = self->trust;
	if (account->tls == TLS_NONE || *ret)
		return 0;
	if (tls_trust_load(account->ca_file, own, err) < 0)
		return -1;
	*ret = *own;
	return 0;
}

/* A person who says what shall be known needs no journal that can be used. */
static int open_journal(struct worker_self *self, struct journal **journal,
			struct error *err)
{
	const struct account *account = self->job->account;
	const struct journal_identity identity = {
		.host = account->host,
		.port = account->port,
		.username = account->username,
		.account = account->name,
	};
	bool is_to_mark = self->job->purpose == PURPOSE_MARK_SEEN;

	if (self->job->purpose == PURPOSE_FETCH)
		return journal_open(account->state_dir, &identity, journal,
				    err);
	if (journal_open_anyway(account->state_dir, &identity, is_to_mark,
				journal, err) < 0)
		return -1;
	if (journal_moved_to(*journal))
		notes_add(&self->notes, LOG_WARNING,
			  "the journal could not be used: it is made anew, and "
			  "the old one is now %s",
			  journal_moved_to(*journal));
	return 0;
}

static int open_store(struct worker_self *self, struct journal **journal,
		      struct maildir *maildir, struct error *err)
{
	const struct account *account = self->job->account;
	struct maildir_options options = {
		.path = account->maildir,
		.create = account->create,
	};

	if (open_journal(self, journal, err) < 0)
		return -1;
	options.tag = journal_tag(*journal);
	return maildir_open(maildir, &options, err);
}

/* NULL when the configuration wants none. */
static int get_sandbox(const struct worker_self *self,
		       const struct sandbox **ret, struct error *err)
{
	const struct sandbox *sandbox = self->job->resources->sandbox;

	*ret = NULL;
	if (self->job->sandbox == SANDBOX_OFF)
		return 0;
	if (self->job->sandbox == SANDBOX_REQUIRED &&
	    !sandbox_is_complete(sandbox))
		return error_set(err, ERROR_CONFIG,
				 "sandbox = \"required\", but there is %s",
				 sandbox_description(sandbox));
	*ret = sandbox;
	return 0;
}

static int make_visit(struct worker_self *self, struct error *err)
{
	_cleanup_secret_ struct secret secret = { 0 };
	_cleanup_journal_ struct journal *journal = NULL;
	_cleanup_(tls_trust_free) struct tls_trust *own = NULL;
	_cleanup_(maildir_done) struct maildir maildir = {
		.dir_fd = -1, .tmp_fd = -1, .new_fd = -1, .cur_fd = -1
	};
	const struct tls_trust *trust;
	const struct sandbox *sandbox;

	if (get_sandbox(self, &sandbox, err) < 0 ||
	    get_secret(self, &secret, err) < 0 ||
	    get_trust(self, &own, &trust, err) < 0 ||
	    open_store(self, &journal, &maildir, err) < 0)
		return -1;

	const struct session_job job = {
		.account = self->job->account,
		.secret = &secret,
		.trust = trust,
		.maildir = &maildir,
		.journal = journal,
		.uplink = &self->uplink,
		.notes = &self->notes,
		.scope.sandbox = sandbox,
		.scope.dir_fds = { maildir.tmp_fd, maildir.new_fd,
				   journal_directory(journal) },
		.stop_fd = self->stop_fd,
		.purpose = self->job->purpose,
		.is_asked_for = self->job->is_asked_for,
		.is_again = self->job->is_again,
	};
	/* All that needs other files is open. */
	if (sandbox_enter(&job.scope, SANDBOX_CONNECT, err) < 0)
		return -1;
	return session_run(&job, &self->report, err);
}

static void tell_notes(struct worker_self *self)
{
	const struct notes *notes = &self->notes;

	for (unsigned i = 0; i < notes->n_notes; i++)
		uplink_log(&self->uplink, notes->notes[i].priority,
			   notes->notes[i].text);
	if (notes->n_dropped > 0)
		uplink_log(&self->uplink, LOG_WARNING,
			   "and more of the kind in this visit");
}

/* What the server or the line did is told with the server's name. */
static void name_server(const struct worker_self *self, struct error *err)
{
	if (self->report.step >= STEP_CONNECT && err->kind != ERROR_LOCAL)
		(void)error_prefix(err, "%s", self->job->account->host);
}

_noreturn_ static void worker_main(struct worker_self *self, pid_t parent)
{
	struct error err = { 0 };

	if (put_in_order(self, parent, &err) < 0 ||
	    make_visit(self, &err) < 0) {
		name_server(self, &err);
		self->report.kind = err.kind;
		memcpy(self->report.text, err.text, sizeof(err.text));
	}
	tell_notes(self);
	uplink_report(&self->uplink, &self->report);
	_exit(0);
}

static pid_t fork_worker(struct worker_self *self)
{
	pid_t parent = getpid();
	sigset_t all, before;
	pid_t pid;

	/* No handler of the parent's may run in the child. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid == 0)
		worker_main(self, parent);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static const struct tls_trust *shared_trust(const struct worker_job *job)
{
	if (job->account->tls == TLS_NONE)
		return NULL;
	return trusts_get(job->resources->trusts, job->account->ca_file);
}

int worker_start(const struct worker_job *job, struct worker *ret,
		 struct error *err)
{
	struct worker_self self = { .job = job };
	_cleanup_fd_ int ours = -1;
	_cleanup_fd_ int theirs = -1;
	int pair[2];
	pid_t pid;

	if (state_dir_make(job->state_root, job->account, err) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "fcntl");

	/* Before the fork: behind it nothing is left that could fail. */
	self.trust = shared_trust(job);
	self.uplink.fd = theirs;
	if (job->account->password &&
	    send_secret(ours, job->account->password, err) < 0)
		return -1;
	pid = fork_worker(&self);
	if (pid < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "fork");

	*ret = (struct worker){ .pid = pid, .fd = TAKE_FD(ours) };
	return 0;
}
