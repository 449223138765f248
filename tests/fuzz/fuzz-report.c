/*
 * fuzz-report.c - what comes up from a worker that was taken over.
 *
 * The first byte chooses how it ends and what it was for. The rest are
 * packets, each with its length in two bytes before it, which the supervisor
 * reads from a real socket and then puts into words. In place of log.c stands
 * what checks those.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fuzz.h"
#include "log.h"
#include "visit.h"

#define PACKETS_MAX 400
/* visit.c passes so many on, then says so; each end is a line more. */
#define LINES_MAX 203

static unsigned n_lines;

void log_account(int priority, const char *account, const char *fmt, ...)
{
	char text[4 * ERROR_TEXT_MAX];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	check(priority >= LOG_ERR && priority <= LOG_DEBUG);
	check(strcmp(account, "test") == 0);
	check(len >= 0 && (size_t)len < sizeof(text) && is_printable(text));
	check(++n_lines <= LINES_MAX);
}

/* What was taken means the same when it is sent on. */
static void check_message(const struct message *message)
{
	uint8_t first[REPORT_PACKET_MAX], second[REPORT_PACKET_MAX];
	size_t len = report_encode(message, first, sizeof(first));
	struct message again;
	struct error err;

	check(report_decode(first, len, &again, &err) == 0);
	check(report_encode(&again, second, sizeof(second)) == len);
	check(memcmp(first, second, len) == 0);
}

static void check_report(const struct report *report)
{
	check(report->kind <= ERROR_KIND_MAX && report->step <= STEP_MAX);
	check(report->retry_sec <= REPORT_RETRY_MAX_SEC);
	check(is_printable(report->text));
	check(strlen(step_name(report->step)) > 0);
}

/* From a block of its own size: the sanitizer sees one byte too many. */
static void decode(const uint8_t *data, size_t len)
{
	_cleanup_string_ char *copy = malloc(len + 1);
	struct message message;
	struct error err;

	if (copy == NULL)
		return;
	memcpy(copy + 1, data, len);
	if (report_decode((const uint8_t *)copy + 1, len, &message, &err) < 0) {
		check(err.kind == ERROR_LOCAL && strlen(err.text) > 0);
		return;
	}
	check_message(&message);
	if (message.type == MESSAGE_LOG)
		check(is_printable(message.log.text));
	if (message.type == MESSAGE_REPORT)
		check_report(&message.report);
}

static void send_packets(int fd, const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < PACKETS_MAX && size >= 2; i++) {
		size_t len = data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		len = MIN(len, size);
		decode(data, len);
		if (send(fd, data, len, MSG_DONTWAIT) < 0)
			return;
		data += len;
		size -= len;
	}
}

static void visit_end(struct visit *visit, uint8_t options)
{
	const struct visit_words words = {
		.duration_usec = options * USEC_PER_SEC,
		.next = "next visit in 5 min",
		.purpose = options & 4 ? PURPOSE_MARK_SEEN : PURPOSE_FETCH,
		.is_once = options & 8,
	};
	bool was_good = visit->has_report && !visit->is_bad;

	visit_take_exit(visit, options & 1 ? CLD_KILLED : CLD_EXITED, 0);
	check_report(&visit->report);
	check(was_good || visit->report.kind == ERROR_LOCAL);
	visit_log_end(visit, &words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "test", path[] = "/var/mail/test";
	struct config config = { .n_refs = 1 };
	struct account account = { .name = name, .maildir = path };
	struct roster_entry entry = { .account = &account };
	uint8_t options = take_byte(&data, &size);
	struct visit *visit = visit_new(&config, &entry);
	int fds[2];

	n_lines = 0;
	if (visit == NULL ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	visit->worker.fd = fds[0];
	send_packets(fds[1], data, size);
	fd_close(&fds[1]);

	while (visit_read(visit, 16) == VISIT_INPUT_MORE)
		;
	visit_end(visit, options);
	visit_free(&visit);
	check(config.n_refs == 1);
	return 0;
}
