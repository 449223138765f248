/*
 * dispatch.c - a visit from its timer to its line in the log.
 *
 * Callees stand above callers, so the end of a visit stands above its start.
 * Callbacks translate and delegate; none of them ever fails, since a failed
 * account must not stop the loop. A visit holds three things and gives each
 * back once: the account's lock and a slot of its host, both of roster.h, and
 * a reference to the configuration it was started with.
 */
#include "dispatch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <systemd/sd-event.h>

#include "log.h"
#include "report.h"
#include "schedule.h"
#include "text.h"
#include "visit.h"

/* One chatty worker must not keep the loop from the others. */
#define PACKETS_PER_WAKE 32
#define WAKES_PER_SEC    100

/* The socket of a dead worker may still be fed by what it left behind. */
#define PACKETS_AT_EXIT 4096

#define NEXT_SIZE       96

/*
 * When an account is due
 */

static int on_account_due(sd_event_source *source, uint64_t usec,
			  void *userdata)
{
	struct roster_entry *entry = userdata;
	struct dispatch *d = entry->dispatch;

	(void)source;
	(void)usec;
	roster_queue(&d->roster, entry);
	dispatch_fill(d);
	return 0;
}

/* Close to the time for short intervals, together with others for long ones. */
static uint64_t timer_accuracy(const struct account *account)
{
	return MIN(MAX(account->interval_usec / 20, USEC_PER_MSEC),
		   USEC_PER_SEC);
}

static void arm(struct dispatch *d, struct roster_entry *entry, uint64_t due)
{
	uint64_t accuracy = timer_accuracy(entry->account);
	int r = 0;

	if (due == SCHEDULE_NEVER) {
		(void)sd_event_source_set_enabled(entry->timer, SD_EVENT_OFF);
		return;
	}

	entry->dispatch = d;
	if (entry->timer == NULL) {
		r = sd_event_add_time(d->event, &entry->timer, CLOCK_BOOTTIME,
				      due, accuracy, on_account_due, entry);
	} else {
		(void)sd_event_source_set_time_accuracy(entry->timer, accuracy);
		(void)sd_event_source_set_time(entry->timer, due);
		r = sd_event_source_set_enabled(entry->timer, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		log_account(LOG_ERR, entry->account->name,
			    "cannot set a timer: %s; no visit until SIGUSR1",
			    strerrordesc_np(-r));
}

/* Returns the delay. */
static uint64_t arm_first(struct dispatch *d, struct roster_entry *entry)
{
	uint64_t now = now_usec(CLOCK_BOOTTIME);
	uint64_t due = schedule_first(&entry->schedule,
				      entry->account->interval_usec,
				      d->roster.n_entries, now, arc4random());

	entry->has_result = false;
	arm(d, entry, due);
	return due - now;
}

static void queue_now(struct dispatch *d, struct roster_entry *entry,
		      bool is_asked_for)
{
	if (entry->state == ROSTER_RUNNING) {
		/* What came after that visit's listing needs one more. */
		entry->is_wanted |= is_asked_for;
		return;
	}
	entry->is_asked_for |= is_asked_for;
	schedule_hasten(&entry->schedule, now_usec(CLOCK_BOOTTIME));
	arm(d, entry, SCHEDULE_NEVER);
	roster_queue(&d->roster, entry);
}

/*
 * The end of a visit
 */

/* "14 min" says as much as "14 min 23 s". */
static void format_wait(char *dst, size_t cap, uint64_t usec)
{
	char text[32];
	uint64_t unit = usec < 10 * USEC_PER_MINUTE ? USEC_PER_SEC
						    : USEC_PER_MINUTE;
	uint64_t rounded = (usec + unit / 2) / unit * unit;

	(void)snprintf(dst, cap, "next visit in %s",
		       text_format_duration(text, sizeof(text), rounded));
}

/* What the old configuration led to says nothing of the new one. */
static bool is_outdated(const struct dispatch *d, const struct visit *visit)
{
	return visit->config != d->config &&
	       (visit->report.kind == ERROR_CONFIG ||
		account_differs(visit->account, visit->entry->account));
}

static void plan_by_schedule(struct dispatch *d, const struct visit *visit,
			     char *next, size_t cap)
{
	struct roster_entry *entry = visit->entry;
	const struct schedule_outcome outcome = {
		.kind = visit->report.kind,
		.retry_sec = visit->report.retry_sec,
		.interval_usec = entry->account->interval_usec,
	};
	uint64_t now = now_usec(CLOCK_BOOTTIME);
	uint64_t due;

	if (is_outdated(d, visit)) {
		format_wait(next, cap, arm_first(d, entry));
		return;
	}

	due = schedule_due(&entry->schedule, &outcome, now, arc4random());
	entry->has_result = true;
	arm(d, entry, due);
	if (due == SCHEDULE_NEVER)
		(void)snprintf(next, cap, "%s",
			       "next visit when the configuration is reloaded");
	else
		format_wait(next, cap, due - now);
}

static bool follows_at_once(const struct dispatch *d,
			    struct roster_entry *entry,
			    const struct report *report)
{
	if (entry->is_removed || d->is_stopping)
		return false;
	if (entry->is_wanted) {
		entry->is_wanted = false;
		entry->is_again = false;
		entry->is_asked_for = true;
		return true;
	}
	if (!report->again || entry->is_again)
		return false;
	entry->is_again = true;
	return true;
}

/* Says in next what happens next, and sees to it. */
static void plan_next(struct dispatch *d, const struct visit *visit, char *next,
		      size_t cap)
{
	struct roster_entry *entry = visit->entry;
	const struct report *report = &visit->report;

	if (follows_at_once(d, entry, report)) {
		roster_queue(&d->roster, entry);
		(void)snprintf(next, cap, "one more visit follows at once");
		return;
	}

	entry->is_again = false;
	entry->is_asked_for = false;
	if (error_is_worse(report->kind, d->worst))
		d->worst = report->kind;
	if (d->options.once)
		(void)snprintf(next, cap, "run mailhaul again to retry");
	else if (d->is_stopping)
		(void)snprintf(next, cap, "mailhaul is stopping");
	else if (entry->is_removed)
		(void)snprintf(next, cap, "the account is configured no more");
	else
		plan_by_schedule(d, visit, next, cap);
}

static void leave_if_done(struct dispatch *d)
{
	bool is_all_done = d->options.once && d->roster.n_queued == 0;

	/* Visits that are stuck hold no slot: nobody waits for those. */
	if (d->roster.n_running == 0 && (d->is_stopping || is_all_done))
		(void)sd_event_exit(d->event, 0);
}

static void give_slot_back(struct dispatch *d, struct visit *visit)
{
	if (visit->host != NULL)
		roster_release(&d->roster, visit->host);
	visit->host = NULL;
}

/* The report is filled in and the worker is gone, or never was. */
static void finish_visit(struct dispatch *d, struct visit *visit)
{
	struct roster_entry *entry = visit->entry;
	char next[NEXT_SIZE];
	struct visit_words words = {
		.duration_usec =
			now_usec(CLOCK_MONOTONIC) - visit->started_usec,
		.next = next,
		.purpose = d->options.purpose,
		.is_once = d->options.once,
	};

	give_slot_back(d, visit);
	roster_unlock(entry);
	plan_next(d, visit, next, sizeof(next));
	visit_log_end(visit, &words);

	TAILQ_REMOVE(&d->visits, visit, link);
	visit_free(&visit);
	if (entry->is_removed)
		roster_drop(&d->roster, entry);
	status_changed(d->status);
}

/*
 * A visit under way
 */

/* The account stays locked, since the worker may wake up; others go on. */
static void lend_slot(struct dispatch *d, struct visit *visit)
{
	visit->stage = VISIT_STUCK;
	log_account(LOG_ERR, visit->account->name,
		    "worker %d cannot be killed (hangs in the kernel); "
		    "no visit of this account until it ends",
		    (int)visit->worker.pid);
	if (error_is_worse(ERROR_LOCAL, d->worst))
		d->worst = ERROR_LOCAL;
	give_slot_back(d, visit);
	dispatch_fill(d);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct visit *visit = userdata;

	(void)source;
	(void)usec;
	switch (visit->stage) {
	case VISIT_RUNNING:
		visit_check_signs_of_life(visit);
		break;
	case VISIT_TOLD:
		visit_kill(visit);
		break;
	case VISIT_KILLED:
		lend_slot(visit->dispatch, visit);
		break;
	case VISIT_STUCK:
		break;
	}
	return 0;
}

static int on_worker_input(sd_event_source *source, int fd, uint32_t events,
			   void *userdata)
{
	struct visit *visit = userdata;
	enum visit_input input = visit_read(visit, PACKETS_PER_WAKE);

	(void)fd;
	(void)events;
	if (input == VISIT_INPUT_BAD)
		visit_tell_to_stop(visit);
	if (input == VISIT_INPUT_BAD || input == VISIT_INPUT_CLOSED)
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static int on_worker_exit(sd_event_source *source, const siginfo_t *info,
			  void *userdata)
{
	struct visit *visit = userdata;
	struct dispatch *d = visit->dispatch;

	(void)source;
	/* The report was queued before the exit, so it can be read now. */
	(void)visit_read(visit, PACKETS_AT_EXIT);
	visit_take_exit(visit, info->si_code, info->si_status);
	finish_visit(d, visit);
	dispatch_fill(d);
	return 0;
}

/*
 * The start of a visit
 */

static int watch(struct dispatch *d, struct visit *visit)
{
	uint64_t due = visit->started_usec +
		       visit->account->visit_timeout_usec +
		       visit->account->stop_timeout_usec;
	int r;

	r = sd_event_add_io(d->event, &visit->input, visit->worker.fd, EPOLLIN,
			    on_worker_input, visit);
	if (r < 0)
		return r;
	r = sd_event_source_set_ratelimit(visit->input, USEC_PER_SEC,
					  WAKES_PER_SEC);
	if (r < 0)
		return r;
	r = sd_event_add_time(d->event, &visit->deadline, CLOCK_MONOTONIC, due,
			      0, on_deadline, visit);
	if (r < 0)
		return r;
	return sd_event_add_child(d->event, &visit->exit, visit->worker.pid,
				  WEXITED, on_worker_exit, visit);
}

/* Not reaped yet, so the number is still its own. */
static void kill_unwatched(const struct visit *visit)
{
	(void)kill(visit->worker.pid, SIGKILL);
	(void)waitpid(visit->worker.pid, NULL, 0);
}

static int launch(struct dispatch *d, struct visit *visit, struct error *err)
{
	const struct worker_job job = {
		.account = visit->account,
		.resources = d->resources,
		.state_root = d->options.state_root,
		.sandbox = d->config->sandbox,
		.purpose = d->options.purpose,
		.is_asked_for = visit->entry->is_asked_for,
		.is_again = visit->entry->is_again,
	};
	int r;

	if (worker_start(&job, &visit->worker, err) < 0)
		return -1;
	r = watch(d, visit);
	if (r < 0) {
		kill_unwatched(visit);
		return error_set_errno(err, ERROR_LOCAL, -r,
				       "cannot watch the worker");
	}
	return 0;
}

static void start_visit(struct dispatch *d, struct roster_entry *entry)
{
	struct visit *visit = visit_new(d->config, entry);
	struct error err = { 0 };

	if (visit == NULL) {
		log_account(LOG_ERR, entry->account->name, "out of memory");
		if (error_is_worse(ERROR_LOCAL, d->worst))
			d->worst = ERROR_LOCAL;
		roster_release(&d->roster, entry->host);
		roster_unlock(entry);
		arm(d, entry, now_usec(CLOCK_BOOTTIME) + USEC_PER_MINUTE);
		return;
	}

	visit->dispatch = d;
	TAILQ_INSERT_TAIL(&d->visits, visit, link);
	if (launch(d, visit, &err) < 0) {
		visit_fail(visit, &err);
		finish_visit(d, visit);
	}
}

void dispatch_fill(struct dispatch *d)
{
	struct roster_entry *entry;

	while (!d->is_stopping && (entry = roster_pick(&d->roster)) != NULL)
		start_visit(d, entry);
	leave_if_done(d);
}

/*
 * All of them
 */

static struct visit *find_visit(const struct dispatch *d,
				const struct roster_entry *entry)
{
	struct visit *visit;

	TAILQ_FOREACH(visit, &d->visits, link) {
		if (visit->entry == entry)
			return visit;
	}
	return NULL;
}

/* Takes the entries over: a visit under way drops its own when it ends. */
static void dismiss(struct dispatch *d, const struct roster_removed *removed)
{
	for (size_t i = 0; i < removed->n_entries; i++) {
		struct roster_entry *entry = removed->entries[i];

		entry->timer = sd_event_source_disable_unref(entry->timer);
		/* Its account may be freed from here on; the visit's is good. */
		if (entry->state == ROSTER_RUNNING)
			visit_tell_to_stop(find_visit(d, entry));
		else
			roster_drop(&d->roster, entry);
	}
	free(removed->entries);
}

static bool needs_new_start(const struct roster_entry *entry)
{
	if (entry->state != ROSTER_IDLE)
		return false; /* its visit comes or ends first */
	return entry->change != ROSTER_SAME ||
	       entry->schedule.last_kind == ERROR_CONFIG;
}

int dispatch_adopt(struct dispatch *d, struct config *config, struct error *err)
{
	const struct roster_source source = {
		.config = config,
		.only = d->options.only,
		.n_only = d->options.n_only,
	};
	struct roster_removed removed;

	if (roster_update(&d->roster, &source, &removed, err) < 0) {
		config_unref(&config);
		return -1;
	}
	dismiss(d, &removed);
	config_unref(&d->config);
	d->config = config;
	return 0;
}

void dispatch_arm(struct dispatch *d)
{
	for (size_t i = 0; i < d->roster.n_entries; i++) {
		if (needs_new_start(d->roster.entries[i]))
			(void)arm_first(d, d->roster.entries[i]);
	}
}

void dispatch_all_now(struct dispatch *d, bool is_asked_for)
{
	for (size_t i = 0; i < d->roster.n_entries; i++)
		queue_now(d, d->roster.entries[i], is_asked_for);
	dispatch_fill(d);
}

/* What --once was asked for and will not do now. */
static void give_up_queue(struct dispatch *d)
{
	if (!d->options.once || d->roster.n_queued == 0)
		return;
	log_line(LOG_WARNING, "stopped; accounts not visited: %zu",
		 d->roster.n_queued);
	if (error_is_worse(ERROR_BUSY, d->worst))
		d->worst = ERROR_BUSY;
}

uint64_t dispatch_stop(struct dispatch *d)
{
	uint64_t longest = 0;
	struct visit *visit;

	d->is_stopping = true;
	give_up_queue(d);
	TAILQ_FOREACH(visit, &d->visits, link) {
		longest = MAX(longest, visit->account->stop_timeout_usec);
		visit_tell_to_stop(visit);
	}
	leave_if_done(d);
	return longest + VISIT_KILL_GRACE_USEC + VISIT_STUCK_USEC;
}

int dispatch_init(struct dispatch *d, const struct dispatch_options *options,
		  sd_event *event, struct status *status, struct error *err)
{
	*d = (struct dispatch){
		.options = *options,
		.event = event,
		.status = status,
	};
	TAILQ_INIT(&d->visits);
	roster_init(&d->roster);
	return worker_resources_new(&d->resources, err);
}

/* Visits still here are stuck, or the loop failed: they end as we do. */
void dispatch_done(struct dispatch *d)
{
	struct visit *visit;

	while ((visit = TAILQ_FIRST(&d->visits)) != NULL) {
		struct roster_entry *entry = visit->entry;

		TAILQ_REMOVE(&d->visits, visit, link);
		give_slot_back(d, visit);
		visit_free(&visit);
		if (entry->is_removed)
			roster_drop(&d->roster, entry);
	}
	for (size_t i = 0; i < d->roster.n_entries; i++)
		(void)sd_event_source_disable_unref(
			d->roster.entries[i]->timer);
	roster_done(&d->roster);
	config_unref(&d->config);
	worker_resources_free(&d->resources);
}
