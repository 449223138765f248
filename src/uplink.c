/*
 * uplink.c - the worker's end of the job socket.
 */
#include "uplink.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

static void uplink_send(struct uplink *uplink, const struct message *message,
			int flags)
{
	uint8_t packet[REPORT_PACKET_MAX];
	size_t len = report_encode(message, packet, sizeof(packet));

	while (send(uplink->fd, packet, len, flags | MSG_NOSIGNAL) < 0 &&
	       errno == EINTR)
		;
}

void uplink_log(struct uplink *uplink, int priority, const char *text)
{
	struct message message = { .type = MESSAGE_LOG,
				   .log.priority = priority };

	(void)snprintf(message.log.text, sizeof(message.log.text), "%s", text);
	uplink_send(uplink, &message, 0);
}

void uplink_progress(struct uplink *uplink, uint32_t messages_done,
		     uint32_t messages_planned, uint64_t bytes_done)
{
	const struct message message = {
		.type = MESSAGE_PROGRESS,
		.progress.messages_done = messages_done,
		.progress.messages_planned = messages_planned,
		.progress.bytes_done = bytes_done,
	};
	uint64_t now = now_usec(CLOCK_MONOTONIC);

	if (now < uplink->last_progress_usec + USEC_PER_SEC)
		return;
	uplink->last_progress_usec = now;
	uplink_send(uplink, &message, MSG_DONTWAIT);
}

void uplink_report(struct uplink *uplink, const struct report *report)
{
	const struct message message = { .type = MESSAGE_REPORT,
					 .report = *report };

	uplink_send(uplink, &message, 0);
}
