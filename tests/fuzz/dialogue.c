/*
 * dialogue.c - what was said in a visit, command by command with its reply.
 */
#include "dialogue.h"

#include <string.h>

#include "fuzz.h"
#include "simple_dot.h"

/* Without its end; *ret_end: how many bytes that has, 0: there is none. */
static struct bytes take_line(struct bytes *from, size_t *ret_end)
{
	const char *lf = from->len > 0 ? memchr(from->data, '\n', from->len)
				       : NULL;
	struct bytes line = *from;

	*ret_end = 0;
	if (lf != NULL) {
		line.len = (size_t)(lf - from->data);
		*ret_end = 1;
		if (line.len > 0 && lf[-1] == '\r') {
			line.len--;
			*ret_end = 2;
		}
	}
	from->data += line.len + *ret_end;
	from->len -= line.len + *ret_end;
	return line;
}

void dialogue_skip_greeting(struct dialogue *dialogue)
{
	size_t end;

	(void)take_line(&dialogue->says, &end);
}

/* Lines up to a lone dot, each ended in either way. */
static void take_list(struct bytes *says, struct exchange *exchange)
{
	struct bytes line;
	size_t end;

	exchange->body = *says;
	do {
		line = take_line(says, &end);
		exchange->is_whole = end > 0 && line.len == 1 &&
				     line.data[0] == '.';
	} while (end > 0 && !exchange->is_whole);
	exchange->body.len -= says->len;
}

static void take_message(struct bytes *says, struct exchange *exchange)
{
	_cleanup_string_ char *room = malloc(says->len + 1);
	struct simple_dot dot = { .data = room };

	if (room == NULL)
		abort();
	simple_dot_decode(*says, exchange->is_bare_lf, &dot);
	exchange->body = (struct bytes){ says->data, dot.consumed };
	exchange->is_whole = dot.ended;
	says->data += dot.consumed;
	says->len -= dot.consumed;
}

bool exchange_is(const struct exchange *exchange, const char *word)
{
	size_t len = strlen(word);

	return exchange->command.len >= len &&
	       memcmp(exchange->command.data, word, len) == 0 &&
	       (exchange->command.len == len ||
		exchange->command.data[len] == ' ');
}

uint32_t exchange_number(const struct exchange *exchange)
{
	struct bytes command = exchange->command;
	const char *blank = memchr(command.data, ' ', command.len);

	return blank != NULL ? (uint32_t)strtoul(blank + 1, NULL, 10) : 0;
}

static bool is_ok(struct bytes line)
{
	return line.len >= 3 && strncasecmp(line.data, "+OK", 3) == 0 &&
	       (line.len == 3 || line.data[3] == ' ' || line.data[3] == '\t');
}

bool dialogue_next(struct dialogue *dialogue, struct exchange *ret)
{
	struct bytes status;
	size_t end;

	if (dialogue->heard.len == 0)
		return false;
	*ret = (struct exchange){ 0 };
	ret->command = take_line(&dialogue->heard, &end);
	status = take_line(&dialogue->says, &end);
	ret->is_ok = end > 0 && is_ok(status);
	ret->is_bare_lf = end == 1;
	if (!ret->is_ok)
		return true;
	if (exchange_is(ret, "RETR"))
		take_message(&dialogue->says, ret);
	else if (exchange_is(ret, "CAPA") || exchange_is(ret, "UIDL") ||
		 (exchange_is(ret, "LIST") && exchange_number(ret) == 0))
		take_list(&dialogue->says, ret);
	return true;
}
