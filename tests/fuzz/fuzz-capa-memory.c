/*
 * fuzz-capa-memory.c - what a journal says that a server can do.
 *
 * Three numbers of eight bytes and the account's port and kind of TLS. Three
 * numbers in memory stand in for the journal.
 */
#include <string.h>

#include "capa_memory.h"
#include "fuzz.h"

#define FACTS_MAX (JOURNAL_LOGIN_DELAY + 1)

static int64_t facts[FACTS_MAX];

int journal_get_fact(struct journal *journal, enum journal_fact fact,
		     int64_t *ret, struct error *err)
{
	(void)journal;
	(void)err;
	*ret = facts[fact];
	return 0;
}

int journal_record_facts(struct journal *journal,
			 const enum journal_fact *names, const int64_t *values,
			 size_t n, struct error *err)
{
	(void)journal;
	(void)err;
	for (size_t i = 0; i < n; i++)
		facts[names[i]] = values[i];
	return 0;
}

static struct capa_memory load(const struct account *account)
{
	struct capa_memory memory;
	struct error err;

	check(capa_memory_load(NULL, account, &memory, &err) == 0);
	check(memory.state <= CAPA_UNASKED);
	check(!memory.capa.is_assumed);
	return memory;
}

static bool is_same(const struct capa_memory *a, const struct capa_memory *b)
{
	return a->state == b->state && a->capa.known == b->capa.known &&
	       a->capa.stls == b->capa.stls && a->capa.user == b->capa.user &&
	       a->capa.uidl == b->capa.uidl &&
	       a->capa.pipelining == b->capa.pipelining &&
	       a->capa.sasl_plain == b->capa.sasl_plain &&
	       a->capa.resp_codes == b->capa.resp_codes &&
	       a->capa.login_delay_sec == b->capa.login_delay_sec;
}

/* What was read is what will be read again, but by no other port. */
static void check_round_trip(const struct account *account)
{
	const struct capa_memory none = { 0 };
	struct capa_memory first = load(account), second;
	struct account other = *account;
	struct error err;

	check(capa_memory_update(NULL, account, &none, &first, &err) == 0);
	if (first.state == CAPA_FORGOTTEN)
		return;
	second = load(account);
	check(is_same(&first, &second));
	check(capa_memory_is_usable(&first) == capa_memory_is_usable(&second));

	other.port ^= 1;
	second = load(&other);
	check(is_same(&second, &none));
}

static int64_t take_int64(const uint8_t **data, size_t *size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)take_byte(data, size) << (8 * i);
	return (int64_t)value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct account account = { 0 };

	account.tls = take_byte(&data, &size) % 3;
	account.port = (uint16_t)(take_byte(&data, &size) +
				  256 * take_byte(&data, &size));
	facts[JOURNAL_CAPA] = take_int64(&data, &size);
	facts[JOURNAL_LOGIN_DELAY] = take_int64(&data, &size);
	/* Counted from now, or few would be of the last week. */
	facts[JOURNAL_CAPA_AT] =
		(int64_t)(now_usec(CLOCK_REALTIME) / USEC_PER_SEC) -
		(int32_t)take_int64(&data, &size);
	check_round_trip(&account);
	return 0;
}
