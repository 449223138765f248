/*
 * supervisor.c - the loop: signals, reload, watchdog, start and end.
 *
 * What is done about accounts and their visits stands in dispatch.c. Here is
 * what the daemon as a whole answers to: the service manager and signals.
 */
#include "supervisor.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "dispatch.h"
#include "log.h"
#include "status.h"
#include "worker.h"

/* A job socket and a pidfd, and as many again to be on the safe side. */
#define FILES_PER_VISIT 4
#define FILES_OF_LOOP   64

struct supervisor {
	const struct supervisor_options *options; /* borrowed */
	sd_event *event;
	struct dispatch dispatch;
	struct status status;
};

/* Takes the reference to config, also on failure. */
static int adopt(struct supervisor *s, struct config *config, struct error *err)
{
	int log_level = config->log_level;

	if (dispatch_adopt(&s->dispatch, config, err) < 0)
		return -1;
	/* What the parser has freed: workers would copy it page by page. */
	(void)malloc_trim(0); /* 0: there was nothing to give back */
	/* Whatever went well is told at info and above. */
	log_set_max_level(s->options->quiet ? MIN(log_level, LOG_WARNING)
					    : log_level);
	return 0;
}

static int load_and_adopt(struct supervisor *s)
{
	struct config *config = NULL;
	struct config_errors errors = { 0 };
	struct error err = { 0 };
	int r = config_load(s->options->paths, &config, &errors);

	for (size_t i = 0; i < errors.n_lines; i++)
		log_line(LOG_ERR, "%s", errors.lines[i]);
	config_errors_done(&errors);
	if (r < 0)
		return -1;
	if (adopt(s, config, &err) < 0) {
		log_line(LOG_ERR, "%s", err.text);
		return -1;
	}
	return 0;
}

static void reload(struct supervisor *s)
{
	s->status.is_reload_refused = load_and_adopt(s) < 0;
	if (s->status.is_reload_refused) {
		log_line(LOG_ERR, "configuration not reloaded, the old one "
				  "stays in force");
		return;
	}
	dispatch_arm(&s->dispatch);
	log_line(LOG_INFO, "configuration reloaded, accounts: %zu",
		 s->dispatch.roster.n_entries);
	dispatch_fill(&s->dispatch); /* the bounds may have risen */
}

static int on_reload(sd_event_source *source,
		     const struct signalfd_siginfo *info, void *userdata)
{
	struct supervisor *s = userdata;

	(void)source;
	(void)info;
	if (s->dispatch.is_stopping)
		return 0;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)now_usec(CLOCK_MONOTONIC));
	reload(s);
	status_send(&s->status, "READY=1\n");
	return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info,
		   void *userdata)
{
	struct supervisor *s = userdata;
	uint64_t longest;

	(void)source;
	(void)info;
	if (s->dispatch.is_stopping)
		return 0;
	log_line(s->options->once ? LOG_DEBUG : LOG_INFO,
		 "stopping; visits under way: %u", s->dispatch.roster.n_running);
	longest = dispatch_stop(&s->dispatch);
	(void)sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
			 (unsigned long long)(longest + 10 * USEC_PER_SEC));
	return 0;
}

static int on_visit_all(sd_event_source *source,
			const struct signalfd_siginfo *info, void *userdata)
{
	struct supervisor *s = userdata;

	(void)source;
	(void)info;
	if (s->dispatch.is_stopping || s->options->once)
		return 0;
	log_line(LOG_INFO, "visiting all accounts now");
	dispatch_all_now(&s->dispatch, true);
	return 0;
}

/* A terminal that hangs up ends --once; to the daemon SIGHUP means reload. */
static int add_signals(struct supervisor *s)
{
	const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = {
		{ SIGTERM, on_stop },
		{ SIGINT, on_stop },
		{ SIGHUP, s->options->once ? on_stop : on_reload },
		{ SIGUSR1, on_visit_all },
	};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		int r = sd_event_add_signal(s->event, NULL, signals[i].number,
					    signals[i].handler, s);

		if (r < 0)
			return r;
	}
	return 0;
}

/* All of them before the loop exists: none may be lost while it is made. */
static int block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set); /* these fail for bad numbers only */
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	return 0;
}

/* The soft limit is 1024 for the sake of select(2), which we do not use. */
static void raise_file_limit(const struct config *config)
{
	rlim_t wanted =
		(rlim_t)config->max_workers * FILES_PER_VISIT + FILES_OF_LOOP;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = MIN(wanted, limit.rlim_max);
	(void)setrlimit(RLIMIT_NOFILE,
			&limit); /* a visit too many says so itself */
}

static int make_loop(struct supervisor *s)
{
	int r;

	r = block_signals();
	if (r < 0)
		return r;
	r = sd_event_new(&s->event);
	if (r < 0)
		return r;
	r = add_signals(s);
	if (r < 0)
		return r;
	return sd_event_set_watchdog(s->event, true);
}

/* Takes the reference to config, also on failure. */
static int prepare(struct supervisor *s, struct config *config,
		   struct error *err)
{
	const struct dispatch_options options = {
		.state_root = s->options->paths->state_dir,
		.once = s->options->once,
		.purpose = s->options->purpose,
		.only = s->options->only,
		.n_only = s->options->n_only,
	};
	int r = make_loop(s);

	if (r < 0) {
		config_unref(&config);
		return error_set_errno(err, ERROR_LOCAL, -r,
				       "cannot make the event loop");
	}
	raise_file_limit(config);
	if (dispatch_init(&s->dispatch, &options, s->event, &s->status, err) <
	    0) {
		config_unref(&config);
		return -1;
	}
	s->status.roster = &s->dispatch.roster;
	s->status.event = s->options->once ? NULL : s->event;
	return adopt(s, config, err);
}

/* At the daemon's start, and aloud where something is missing. */
static void tell_sandbox(const struct supervisor *s)
{
	bool is_complete;
	const char *what = worker_sandbox(s->dispatch.resources, &is_complete);
	int level = LOG_INFO;

	if (s->dispatch.config->sandbox == SANDBOX_OFF)
		what = "off, workers may do all that their user may";
	else if (!is_complete)
		level = LOG_WARNING;
	log_line(s->options->once ? LOG_DEBUG : level,
		 "sandbox of the workers: %s", what);
}

static int run(struct supervisor *s, struct error *err)
{
	int r;

	log_line(s->options->once ? LOG_DEBUG : LOG_INFO,
		 "mailhaul %s: configuration %s, state in %s, accounts: %zu",
		 PACKAGE_VERSION, s->options->paths->config_file,
		 s->options->paths->state_dir, s->dispatch.roster.n_entries);
	tell_sandbox(s);
	if (s->options->once) {
		dispatch_all_now(&s->dispatch, s->options->n_only > 0);
	} else {
		dispatch_arm(&s->dispatch);
		status_send(&s->status, "READY=1\n");
	}

	r = sd_event_loop(s->event);
	if (r < 0)
		return error_set_errno(err, ERROR_LOCAL, -r, "event loop");
	return 0;
}

static void supervisor_done(struct supervisor *s)
{
	dispatch_done(&s->dispatch);
	status_done(&s->status);
	(void)sd_event_unref(s->event);
}

int supervisor_run(const struct supervisor_options *options,
		   struct config *config)
{
	struct supervisor s = { .options = options };
	struct error err = { 0 };
	int status = EX_OK;

	if (prepare(&s, config, &err) < 0 || run(&s, &err) < 0) {
		log_line(LOG_ERR, "%s", err.text);
		status = EX_OSERR;
	} else if (options->once) {
		status = error_exit_status(s.dispatch.worst);
	}
	supervisor_done(&s);
	return status;
}
