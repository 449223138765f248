/*
 * liar.c - in the place of src/session.c: a worker that was taken over, and
 * lies to the supervisor through the job socket.
 *
 * Which lie it is says the account's name; ESCAPE_LINES in the environment how
 * often what is said again and again is said. "honest" does not lie.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>

#define DESCRIPTORS 100 /* in one packet */

typedef void lie_fn(const struct session_job *job, struct report *report);

static void say(const struct session_job *job, const void *packet, size_t len)
{
	(void)send(job->uplink->fd, packet, len, MSG_NOSIGNAL);
}

static unsigned long times(void)
{
	const char *text = getenv("ESCAPE_LINES");

	return text == NULL ? 1000 : strtoul(text, NULL, 10);
}

/* As it stands on the wire; what is no report's is put in by the caller. */
static size_t encode(const struct report *report, uint8_t *packet)
{
	const struct message message = { .type = MESSAGE_REPORT,
					 .report = *report };

	return report_encode(&message, packet, REPORT_PACKET_MAX);
}

static void be_honest(const struct session_job *job, struct report *report)
{
	(void)job;
	report->fetched = 1;
}

static void send_garbage(const struct session_job *job, struct report *report)
{
	(void)report;
	say(job, "\xff\x1b[2J\n%n%s no message of any worker", 40);
}

static void send_large(const struct session_job *job, struct report *report)
{
	static const char packet[100000];

	(void)report;
	say(job, packet, sizeof(packet));
}

static void send_nothing(const struct session_job *job, struct report *report)
{
	report->fetched = 2;
	say(job, "", 0);
}

static void send_lines(const struct session_job *job, struct report *report)
{
	report->fetched = 6;
	for (unsigned long n = times(); n > 0; n--)
		uplink_log(job->uplink, LOG_ERR, "one line of very many");
}

static void send_escapes(const struct session_job *job, struct report *report)
{
	static const char text[] = "\x1b[2J\x1b]0;owned\x07 %s%n\r\n"
				   "honest: forged\n\xe2\x80\xae\xff";

	uplink_log(job->uplink, LOG_ERR, text);
	report->kind = ERROR_NETWORK;
	(void)snprintf(report->text, sizeof(report->text), "%s", text);
	uplink_report(job->uplink, report);
}

static void send_largest(const struct session_job *job, struct report *report)
{
	(void)job;
	report->fetched = report->deleted = report->kept = UINT32_MAX;
	report->refused = report->marked = UINT32_MAX;
	report->bytes = INT64_MAX;
	report->retry_sec = UINT32_MAX;
	report->again = true;
}

static void send_negative(const struct session_job *job, struct report *report)
{
	report->bytes = UINT64_C(1) << 63;
	uplink_report(job->uplink, report);
}

static void send_wrong_kind(const struct session_job *job,
			    struct report *report)
{
	uint8_t packet[REPORT_PACKET_MAX];
	size_t len = encode(report, packet);

	packet[6] = 99; /* behind magic, version and type */
	say(job, packet, len);
}

static void send_two(const struct session_job *job, struct report *report)
{
	report->fetched = 3;
	uplink_report(job->uplink, report);
	report->fetched = 4444;
}

static void send_none(const struct session_job *job, struct report *report)
{
	(void)job;
	(void)report;
	_exit(0);
}

/* This and the next until SIGTERM, which they do not catch. */
static void stay_silent(const struct session_job *job, struct report *report)
{
	(void)signal(SIGTERM, SIG_DFL);
	uplink_report(job->uplink, report);
	for (;;)
		(void)pause();
}

static void flood(const struct session_job *job, struct report *report)
{
	const struct message progress = { .type = MESSAGE_PROGRESS };
	uint8_t packet[REPORT_PACKET_MAX];
	size_t len = report_encode(&progress, packet, sizeof(packet));

	(void)signal(SIGTERM, SIG_DFL);
	uplink_report(job->uplink, report);
	for (;;)
		say(job, packet, len);
}

static void send_descriptors(const struct session_job *job,
			     struct report *report)
{
	char control[CMSG_SPACE(DESCRIPTORS * sizeof(int))] = { 0 };
	uint8_t packet[REPORT_PACKET_MAX];
	const struct message progress = { .type = MESSAGE_PROGRESS };
	struct iovec data = { packet, report_encode(&progress, packet,
						    sizeof(packet)) };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fds[DESCRIPTORS];

	for (size_t i = 0; i < DESCRIPTORS; i++)
		fds[i] = job->uplink->fd;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	if (sendmsg(job->uplink->fd, &message, MSG_NOSIGNAL) < 0)
		return; /* then it reports no message */
	/* The kernel may allow no more on their way than a process may hold. */
	for (unsigned i = 1; i < 100; i++)
		if (sendmsg(job->uplink->fd, &message, MSG_NOSIGNAL) < 0)
			break;
	report->fetched = 5;
}

static const struct {
	const char *name;
	lie_fn *tell;
} lies[] = {
	{ "honest", be_honest },     { "garbage", send_garbage },
	{ "large", send_large },     { "nothing", send_nothing },
	{ "lines", send_lines },     { "escapes", send_escapes },
	{ "largest", send_largest }, { "negative", send_negative },
	{ "kind", send_wrong_kind }, { "two", send_two },
	{ "none", send_none },       { "silent", stay_silent },
	{ "flood", flood },          { "descriptors", send_descriptors },
};

int session_run(const struct session_job *job, struct report *report,
		struct error *err)
{
	report->step = STEP_LIST;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		if (strcmp(lies[i].name, job->account->name) != 0)
			continue;
		lies[i].tell(job, report);
		return 0;
	}
	return error_set(err, ERROR_CONFIG, "no such lie");
}
