/*
 * capa_memory.c - what a server can do, remembered from visit to visit.
 *
 * Three small facts of the journal. One number holds state, flags, kind of TLS
 * and port, so that it says of itself what it belongs to.
 */
#include "capa_memory.h"

#define REMEMBERED_USEC (7 * USEC_PER_DAY)
/* Without CAPA all goes slowly. */
#define UNASKED_USEC USEC_PER_DAY

enum flag {
	FLAG_KNOWN = 1 << 0,
	FLAG_STLS = 1 << 1,
	FLAG_USER = 1 << 2,
	FLAG_UIDL = 1 << 3,
	FLAG_PIPELINING = 1 << 4,
	FLAG_SASL_PLAIN = 1 << 5,
	FLAG_RESP_CODES = 1 << 6,
};

/* Where the parts of the number begin; the state is its lowest bits. */
#define STATE_MASK 7
enum shift {
	SHIFT_FLAGS = 8,
	SHIFT_TLS = 16,
	SHIFT_PORT = 24,
};

static int64_t flags_of(const struct pop3_capa *capa)
{
	return (capa->known ? FLAG_KNOWN : 0) | (capa->stls ? FLAG_STLS : 0) |
	       (capa->user ? FLAG_USER : 0) | (capa->uidl ? FLAG_UIDL : 0) |
	       (capa->pipelining ? FLAG_PIPELINING : 0) |
	       (capa->sasl_plain ? FLAG_SASL_PLAIN : 0) |
	       (capa->resp_codes ? FLAG_RESP_CODES : 0);
}

static struct pop3_capa capa_of(int64_t number, int64_t login_delay_sec)
{
	int64_t flags = number >> SHIFT_FLAGS;

	return (struct pop3_capa){
		.known = flags & FLAG_KNOWN,
		.stls = flags & FLAG_STLS,
		.user = flags & FLAG_USER,
		.uidl = flags & FLAG_UIDL,
		.pipelining = flags & FLAG_PIPELINING,
		.sasl_plain = flags & FLAG_SASL_PLAIN,
		.resp_codes = flags & FLAG_RESP_CODES,
		.login_delay_sec = (uint32_t)login_delay_sec,
	};
}

/* Port and kind of TLS: what was learnt in clear says nothing behind TLS. */
static int64_t link_of(const struct account *account)
{
	return (int64_t)account->port << SHIFT_PORT | (int64_t)account->tls
							      << SHIFT_TLS;
}

static int64_t number_of(const struct account *account,
			 const struct capa_memory *memory)
{
	return link_of(account) | flags_of(&memory->capa) << SHIFT_FLAGS |
	       (int64_t)memory->state;
}

static bool is_of_link(int64_t number, const struct account *account)
{
	return number >> SHIFT_TLS == link_of(account) >> SHIFT_TLS;
}

static uint64_t lifetime_usec(enum capa_memory_state state)
{
	return state == CAPA_REMEMBERED ? REMEMBERED_USEC : UNASKED_USEC;
}

/* A time in the future means that the clock was set back. */
static bool is_too_old(enum capa_memory_state state, int64_t at_sec)
{
	int64_t now_sec = (int64_t)(now_usec(CLOCK_REALTIME) / USEC_PER_SEC);
	int64_t lifetime_sec = (int64_t)(lifetime_usec(state) / USEC_PER_SEC);

	return at_sec > now_sec || now_sec - at_sec >= lifetime_sec;
}

int capa_memory_load(struct journal *journal, const struct account *account,
		     struct capa_memory *ret, struct error *err)
{
	enum capa_memory_state state;
	int64_t number, at_sec, delay_sec;

	if (journal_get_fact(journal, JOURNAL_CAPA, &number, err) < 0 ||
	    journal_get_fact(journal, JOURNAL_CAPA_AT, &at_sec, err) < 0 ||
	    journal_get_fact(journal, JOURNAL_LOGIN_DELAY, &delay_sec, err) < 0)
		return -1;

	state = number & STATE_MASK;
	*ret = (struct capa_memory){ .state = CAPA_FORGOTTEN };
	if (state > CAPA_UNASKED || !is_of_link(number, account) ||
	    is_too_old(state, at_sec))
		return 0;
	ret->state = state;
	ret->capa = capa_of(number, delay_sec);
	return 0;
}

int capa_memory_update(struct journal *journal, const struct account *account,
		       const struct capa_memory *old,
		       const struct capa_memory *memory, struct error *err)
{
	static const enum journal_fact facts[] = {
		JOURNAL_CAPA,
		JOURNAL_CAPA_AT,
		JOURNAL_LOGIN_DELAY,
	};
	const int64_t values[] = {
		number_of(account, memory),
		(int64_t)(now_usec(CLOCK_REALTIME) / USEC_PER_SEC),
		memory->capa.login_delay_sec,
	};

	if (number_of(account, old) == values[0] &&
	    old->capa.login_delay_sec == memory->capa.login_delay_sec)
		return 0;
	return journal_record_facts(journal, facts, values, ARRAY_SIZE(facts),
				    err);
}

bool capa_memory_is_usable(const struct capa_memory *memory)
{
	return memory->state == CAPA_REMEMBERED ||
	       memory->state == CAPA_UNASKED;
}
