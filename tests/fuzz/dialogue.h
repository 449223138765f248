/*
 * dialogue.h - what was said in a visit, command by command with its reply.
 *
 * Knows the order alone: each line of the client takes the next reply.
 */
#pragma once

#include "base.h"

struct exchange {
	struct bytes command; /* without its end */
	bool is_ok;
	bool is_bare_lf;   /* the status line ended so */
	struct bytes body; /* behind "+OK" to what has one; with its end */
	bool is_whole;     /* its end has come */
};

struct dialogue {
	struct bytes says;  /* the server, from its greeting on */
	struct bytes heard; /* what the client said */
};

/* Takes the greeting away, which answers nothing. */
void dialogue_skip_greeting(struct dialogue *dialogue);

/* False: the client said no more. */
bool dialogue_next(struct dialogue *dialogue, struct exchange *ret);

/* True when the command is this word, alone or with an argument. */
bool exchange_is(const struct exchange *exchange, const char *word);

/* Its argument as a number; 0: none. */
uint32_t exchange_number(const struct exchange *exchange);
