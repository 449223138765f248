/*
 * report.c - messages of the job socket as bytes. Pure.
 *
 * A packet is magic, version, type, then the fields of its type in the order
 * of the struct, little-endian; a text is two bytes of length and its bytes.
 * The writer cannot run over and the reader cannot run past: both go through
 * a cursor that turns bad once and stays bad.
 */
#include "report.h"

#include <string.h>
#include <syslog.h>

#include "text.h"

#define REPORT_MAGIC   UINT32_C(0x4c55484d) /* "MHUL" */
#define REPORT_VERSION 1

static const char *const step_names[] = {
	[STEP_START] = "start",       [STEP_RECOVER] = "recovery",
	[STEP_CONNECT] = "connect",   [STEP_TLS] = "tls",
	[STEP_GREETING] = "greeting", [STEP_CAPA] = "capa",
	[STEP_STARTTLS] = "starttls", [STEP_LOGIN] = "login",
	[STEP_LIST] = "list",         [STEP_FETCH] = "fetch",
	[STEP_DELIVER] = "delivery",  [STEP_DELETE] = "delete",
	[STEP_QUIT] = "quit",
};
_Static_assert(ARRAY_SIZE(step_names) == STEP_MAX + 1, "one name per step");

const char *step_name(enum step step)
{
	return step_names[step];
}

struct writer {
	uint8_t *data;
	size_t cap;
	size_t len;
};

static void put_number(struct writer *writer, uint64_t value, size_t n_bytes)
{
	if (n_bytes > writer->cap - writer->len)
		return;
	for (size_t i = 0; i < n_bytes; i++)
		writer->data[writer->len++] = (uint8_t)(value >> (8 * i));
}

static void put_text(struct writer *writer, const char *text)
{
	size_t len = strnlen(text, ERROR_TEXT_MAX - 1);

	if (len + 2 > writer->cap - writer->len)
		return;
	put_number(writer, len, 2);
	memcpy(writer->data + writer->len, text, len);
	writer->len += len;
}

static void put_report(struct writer *writer, const struct report *report)
{
	put_number(writer, report->kind, 1);
	put_number(writer, report->step, 1);
	put_number(writer, report->fetched, 4);
	put_number(writer, report->deleted, 4);
	put_number(writer, report->kept, 4);
	put_number(writer, report->marked, 4);
	put_number(writer, report->refused, 4);
	put_number(writer, report->bytes, 8);
	put_number(writer, MIN(report->retry_sec, REPORT_RETRY_MAX_SEC), 4);
	put_number(writer, report->again, 1);
	put_number(writer, report->stopped, 1);
	put_text(writer, report->kind == ERROR_NONE ? "" : report->text);
}

size_t report_encode(const struct message *message, uint8_t *packet, size_t cap)
{
	struct writer writer = { .data = packet, .cap = cap };

	put_number(&writer, REPORT_MAGIC, 4);
	put_number(&writer, REPORT_VERSION, 1);
	put_number(&writer, message->type, 1);
	switch (message->type) {
	case MESSAGE_LOG:
		put_number(&writer, (uint64_t)message->log.priority, 1);
		put_text(&writer, message->log.text);
		break;
	case MESSAGE_PROGRESS:
		put_number(&writer, message->progress.messages_done, 4);
		put_number(&writer, message->progress.messages_planned, 4);
		put_number(&writer, message->progress.bytes_done, 8);
		break;
	case MESSAGE_REPORT:
		put_report(&writer, &message->report);
		break;
	}
	return writer.len;
}

struct reader {
	const uint8_t *data;
	size_t len;
	bool is_bad;
};

/* The next number, which must not exceed max; 0 once the reader is bad. */
static uint64_t take_number(struct reader *reader, size_t n_bytes, uint64_t max)
{
	uint64_t value = 0;

	if (reader->is_bad || n_bytes > reader->len) {
		reader->is_bad = true;
		return 0;
	}
	for (size_t i = 0; i < n_bytes; i++)
		value |= (uint64_t)reader->data[i] << (8 * i);
	reader->data += n_bytes;
	reader->len -= n_bytes;
	if (value > max) {
		reader->is_bad = true;
		return 0;
	}
	return value;
}

static uint32_t take_count(struct reader *reader)
{
	return (uint32_t)take_number(reader, 4, UINT32_MAX);
}

static bool take_bool(struct reader *reader)
{
	return take_number(reader, 1, 1) != 0;
}

static void take_text(struct reader *reader, char ret[ERROR_TEXT_MAX])
{
	size_t len = (size_t)take_number(reader, 2, ERROR_TEXT_MAX - 1);

	if (reader->is_bad || len > reader->len) {
		reader->is_bad = true;
		return;
	}
	(void)text_clean(ret, ERROR_TEXT_MAX, (const char *)reader->data, len);
	reader->data += len;
	reader->len -= len;
}

static void take_log(struct reader *reader, struct message *ret)
{
	ret->log.priority = (int)take_number(reader, 1, LOG_DEBUG);
	if (ret->log.priority < LOG_ERR)
		reader->is_bad = true;
	take_text(reader, ret->log.text);
}

static void take_progress(struct reader *reader, struct message *ret)
{
	ret->progress.messages_done = take_count(reader);
	ret->progress.messages_planned = take_count(reader);
	ret->progress.bytes_done = take_number(reader, 8, INT64_MAX);
}

static void take_report(struct reader *reader, struct report *ret)
{
	ret->kind = (enum error_kind)take_number(reader, 1, ERROR_KIND_MAX);
	ret->step = (enum step)take_number(reader, 1, STEP_MAX);
	ret->fetched = take_count(reader);
	ret->deleted = take_count(reader);
	ret->kept = take_count(reader);
	ret->marked = take_count(reader);
	ret->refused = take_count(reader);
	ret->bytes = take_number(reader, 8, INT64_MAX);
	ret->retry_sec = (uint32_t)take_number(reader, 4, REPORT_RETRY_MAX_SEC);
	ret->again = take_bool(reader);
	ret->stopped = take_bool(reader);
	take_text(reader, ret->text);
	if (ret->kind == ERROR_NONE && ret->text[0] != '\0')
		reader->is_bad = true;
}

int report_decode(const uint8_t *packet, size_t len, struct message *ret,
		  struct error *err)
{
	struct reader reader = { .data = packet, .len = len };
	struct message message = { 0 };

	if (take_number(&reader, 4, UINT32_MAX) != REPORT_MAGIC ||
	    take_number(&reader, 1, UINT8_MAX) != REPORT_VERSION)
		return error_set(err, ERROR_LOCAL, "not a message of a worker");

	message.type =
		(enum message_type)take_number(&reader, 1, MESSAGE_REPORT);
	if (message.type == MESSAGE_LOG)
		take_log(&reader, &message);
	else if (message.type == MESSAGE_PROGRESS)
		take_progress(&reader, &message);
	else if (message.type == MESSAGE_REPORT)
		take_report(&reader, &message.report);
	else
		reader.is_bad = true;

	if (reader.is_bad || reader.len != 0)
		return error_set(err, ERROR_LOCAL,
				 "malformed message of a worker");
	*ret = message;
	return 0;
}
