/*
 * visit.c - a worker heard, told to stop, and its end put into words.
 */
#include "visit.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <systemd/sd-event.h>

#include "log.h"
#include "text.h"

/* What one worker may write into the log in one visit. */
#define LINES_MAX 200

#define LINE_SIZE (2 * ERROR_TEXT_MAX)

struct visit *visit_new(struct config *config, struct roster_entry *entry)
{
	struct visit *visit = calloc(1, sizeof(*visit));

	if (visit == NULL)
		return NULL;
	visit->config = config_ref(config);
	visit->account = entry->account;
	visit->entry = entry;
	visit->host = entry->host;
	visit->worker = (struct worker){ .pid = -1, .fd = -1 };
	visit->started_usec = now_usec(CLOCK_MONOTONIC);
	visit->last_sign_usec = visit->started_usec;
	return visit;
}

void visit_free(struct visit **visit)
{
	if (*visit == NULL)
		return;
	(void)sd_event_source_disable_unref((*visit)->input);
	(void)sd_event_source_disable_unref((*visit)->exit);
	(void)sd_event_source_disable_unref((*visit)->deadline);
	fd_close(&(*visit)->worker.fd);
	config_unref(&(*visit)->config);
	free(*visit);
	*visit = NULL;
}

static void pass_line_on(struct visit *visit, int priority, const char *text)
{
	visit->n_lines++;
	if (visit->n_lines <= LINES_MAX)
		log_account(priority, visit->account->name, "%s", text);
	else if (visit->n_lines == LINES_MAX + 1)
		log_account(LOG_WARNING, visit->account->name,
			    "further lines of this visit are dropped");
}

static void take_message(struct visit *visit, const struct message *message)
{
	if (visit->has_report)
		return; /* the report is the last that counts */
	visit->last_sign_usec = now_usec(CLOCK_MONOTONIC);
	if (message->type == MESSAGE_LOG)
		pass_line_on(visit, message->log.priority, message->log.text);
	if (message->type == MESSAGE_REPORT) {
		visit->report = message->report;
		visit->has_report = true;
	}
}

static enum visit_input refuse_packet(struct visit *visit,
				      const struct error *err)
{
	log_account(LOG_ERR, visit->account->name,
		    "worker %d: %s; nothing more of it is read",
		    (int)visit->worker.pid, err->text);
	visit->is_bad = true;
	return VISIT_INPUT_BAD;
}

static enum visit_input read_packet(struct visit *visit)
{
	uint8_t packet[REPORT_PACKET_MAX];
	struct message message;
	struct error err;
	ssize_t len = recv(visit->worker.fd, packet, sizeof(packet),
			   MSG_DONTWAIT | MSG_TRUNC);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return VISIT_INPUT_LATER;
	if (len <= 0)
		return VISIT_INPUT_CLOSED;

	if ((size_t)len > sizeof(packet)) {
		(void)error_set(&err, ERROR_LOCAL, "message of %zd bytes", len);
		return refuse_packet(visit, &err);
	}
	if (report_decode(packet, (size_t)len, &message, &err) < 0)
		return refuse_packet(visit, &err);
	take_message(visit, &message);
	return VISIT_INPUT_MORE;
}

enum visit_input visit_read(struct visit *visit, unsigned max_packets)
{
	enum visit_input input = VISIT_INPUT_MORE;

	if (visit->is_bad)
		return VISIT_INPUT_CLOSED;
	for (unsigned i = 0; i < max_packets && input == VISIT_INPUT_MORE; i++)
		input = read_packet(visit);
	return input;
}

void visit_fail(struct visit *visit, const struct error *err)
{
	struct report *report = &visit->report;

	report->kind = err->kind;
	report->retry_sec = 0;
	report->again = false;
	(void)text_clean(report->text, sizeof(report->text), err->text,
			 strlen(err->text));
}

/* By us, or by its own alarm, which SIGTERM has set. */
static bool was_ended_late(const struct visit *visit, int code, int status)
{
	if (code == CLD_EXITED)
		return false;
	return (visit->stage >= VISIT_KILLED && status == SIGKILL) ||
	       (visit->stage >= VISIT_TOLD && status == SIGALRM);
}

void visit_take_exit(struct visit *visit, int code, int status)
{
	struct error err = { 0 };

	if (was_ended_late(visit, code, status))
		(void)error_set(&err, ERROR_LOCAL,
				"worker did not stop in time and was killed");
	else if (code != CLD_EXITED)
		(void)error_set(&err, ERROR_LOCAL, "worker killed by signal %d",
				status);
	else if (visit->is_bad)
		(void)error_set(&err, ERROR_LOCAL,
				"worker sent what no worker sends");
	else if (!visit->has_report)
		(void)error_set(&err, ERROR_LOCAL,
				"worker exited with status %d and no report",
				status);
	if (err.kind != ERROR_NONE)
		visit_fail(visit, &err);
}

static void set_deadline(struct visit *visit, uint64_t due)
{
	(void)sd_event_source_set_time(visit->deadline, due);
	(void)sd_event_source_set_enabled(visit->deadline, SD_EVENT_ONESHOT);
}

/* By pidfd: never some other process that got the number meanwhile. */
static void send_signal(struct visit *visit, int signal)
{
	int r = sd_event_source_send_child_signal(visit->exit, signal, NULL, 0);

	if (r < 0 && r != -ESRCH)
		log_account(LOG_ERR, visit->account->name,
			    "cannot signal worker %d: %s",
			    (int)visit->worker.pid, strerrordesc_np(-r));
}

void visit_tell_to_stop(struct visit *visit)
{
	if (visit->stage != VISIT_RUNNING)
		return;
	send_signal(visit, SIGTERM);
	visit->stage = VISIT_TOLD;
	set_deadline(visit, now_usec(CLOCK_MONOTONIC) +
				    visit->account->stop_timeout_usec +
				    VISIT_KILL_GRACE_USEC);
}

void visit_kill(struct visit *visit)
{
	send_signal(visit, SIGKILL);
	visit->stage = VISIT_KILLED;
	set_deadline(visit, now_usec(CLOCK_MONOTONIC) + VISIT_STUCK_USEC);
}

void visit_check_signs_of_life(struct visit *visit)
{
	uint64_t now = now_usec(CLOCK_MONOTONIC);
	uint64_t patience = visit->account->reply_timeout_usec +
			    visit->account->stop_timeout_usec;
	char silence[32];

	if (visit->last_sign_usec + patience > now) {
		set_deadline(visit, visit->last_sign_usec + patience);
		return;
	}
	log_account(LOG_WARNING, visit->account->name,
		    "past its deadline and silent for %s: told to stop",
		    text_format_duration(silence, sizeof(silence),
					 (now - visit->last_sign_usec) /
						 USEC_PER_SEC * USEC_PER_SEC));
	visit_tell_to_stop(visit);
}

struct line {
	char text[LINE_SIZE];
	size_t len;
};

static void add(struct line *line, const char *fmt, ...) _printf_(2, 3);

/* What does not fit is cut: log.c bounds the line anyway. */
static void add(struct line *line, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line->text + line->len, sizeof(line->text) - line->len,
			fmt, args);
	va_end(args);
	if (len > 0)
		line->len =
			MIN(line->len + (size_t)len, sizeof(line->text) - 1);
}

static void add_messages(struct line *line, uint32_t n)
{
	add(line, "%u %s", n, n == 1 ? "message" : "messages");
}

/* Most visits last less than a minute: there a tenth of a second counts. */
static void add_duration(struct line *line, uint64_t usec)
{
	char text[32];
	uint64_t tenths = (usec + USEC_PER_SEC / 20) / (USEC_PER_SEC / 10);

	if (usec < USEC_PER_MINUTE)
		add(line, "%u.%u s", (unsigned)(tenths / 10),
		    (unsigned)(tenths % 10));
	else
		add(line, "%s", text_format_duration(text, sizeof(text), usec));
}

static void add_counted(struct line *line, uint32_t n, const char *what)
{
	if (n > 0)
		add(line, ", %u %s", n, what);
}

static void log_marked(const struct visit *visit)
{
	const struct report *report = &visit->report;
	struct line line = { 0 };

	add_messages(&line, report->marked);
	add(&line, " on the server taken as known");
	add_counted(&line, report->kept, "known before");
	add(&line, ", nothing fetched");
	log_account(LOG_INFO, visit->account->name, "%s", line.text);
}

static void log_success(const struct visit *visit,
			const struct visit_words *words)
{
	const struct report *report = &visit->report;
	bool is_worth_a_line = report->fetched > 0 || report->deleted > 0 ||
			       report->refused > 0 || report->stopped;
	struct line line = { 0 };
	char size[32];

	if (report->fetched > 0) {
		add_messages(&line, report->fetched);
		add(&line, ", %s to %s in ",
		    text_format_size(size, sizeof(size), report->bytes),
		    visit->account->maildir);
		add_duration(&line, words->duration_usec);
	} else {
		add(&line, "no new mail");
	}
	add_counted(&line, report->deleted, "deleted");
	add_counted(&line, report->kept, "kept");
	add_counted(&line, report->refused, "refused");
	if (report->stopped)
		add(&line, ", stopped early");
	log_account(is_worth_a_line || words->is_once ? LOG_INFO : LOG_DEBUG,
		    visit->account->name, "%s", line.text);
}

static void log_failure(const struct visit *visit,
			const struct visit_words *words)
{
	const struct report *report = &visit->report;
	bool is_passing = report->kind == ERROR_BUSY ||
			  report->kind == ERROR_NETWORK;
	/* Without a report nobody knows how far a worker came. */
	bool is_step_known = visit->has_report || visit->worker.pid < 0;
	struct line line = { 0 };

	add(&line, "%s failed (%s): %s",
	    is_step_known ? step_name(report->step) : "visit",
	    error_kind_name(report->kind),
	    report->text[0] == '\0' ? "no reason was given" : report->text);
	if (report->fetched > 0) {
		add(&line, "; ");
		add_messages(&line, report->fetched);
		add(&line, " %s delivered before that",
		    report->fetched == 1 ? "was" : "were");
	}
	add(&line, "; %s", words->next);
	log_account(is_passing ? LOG_WARNING : LOG_ERR, visit->account->name,
		    "%s", line.text);
}

void visit_log_end(const struct visit *visit, const struct visit_words *words)
{
	if (visit->report.kind != ERROR_NONE)
		log_failure(visit, words);
	else if (words->purpose == PURPOSE_MARK_SEEN)
		log_marked(visit);
	else
		log_success(visit, words);
}
