/*
 * test-capa-memory.c - what is remembered of a server, and for how long.
 */
#include "capa_memory.h"

#include <check.h>

#include "scratch.h"

static const struct account some_account = { .port = 995, .tls = TLS_IMPLICIT };
static const struct capa_memory nothing = { .state = CAPA_FORGOTTEN };

static void update(struct store *store, const struct capa_memory *old,
		   const struct capa_memory *memory)
{
	struct error err = { 0 };

	ck_assert_msg(capa_memory_update(store->journal, &some_account, old,
					 memory, &err) == 0,
		      "%s", err.text);
}

static struct capa_memory load(struct store *store,
			       const struct account *account)
{
	struct capa_memory memory = { .state = (enum capa_memory_state)99 };
	struct error err = { 0 };

	ck_assert_int_eq(
		capa_memory_load(store->journal, account, &memory, &err), 0);
	return memory;
}

static int64_t fact(struct store *store, enum journal_fact which)
{
	int64_t value = -1;
	struct error err = { 0 };

	ck_assert_int_eq(journal_get_fact(store->journal, which, &value, &err),
			 0);
	return value;
}

static void set_fact(struct store *store, enum journal_fact which,
		     int64_t value)
{
	struct error err = { 0 };

	ck_assert_int_eq(
		journal_record_facts(store->journal, &which, &value, 1, &err),
		0);
}

/* Each flag alone, so that none takes another's place. */
static const struct pop3_capa capas[] = {
	{ .known = false },
	{ .known = true },
	{ .known = true, .stls = true },
	{ .known = true, .user = true },
	{ .known = true, .uidl = true },
	{ .known = true, .pipelining = true },
	{ .known = true, .sasl_plain = true },
	{ .known = true, .resp_codes = true },
	{ .known = true, .login_delay_sec = 86400 },
	{ true, true, true, true, true, true, true, UINT32_MAX, false },
};

START_TEST(what_a_server_said_comes_back_in_the_next_visit)
{
	const struct pop3_capa *capa = &capas[_i];
	struct capa_memory memory = { CAPA_REMEMBERED, *capa }, got;
	struct store store;

	store_make(&store);
	update(&store, &nothing, &memory);
	store_close(&store);
	store_reopen(&store);
	got = load(&store, &some_account);
	ck_assert_int_eq(got.state, CAPA_REMEMBERED);
	ck_assert(capa_memory_is_usable(&got));
	ck_assert(got.capa.known == capa->known &&
		  got.capa.stls == capa->stls && got.capa.user == capa->user &&
		  got.capa.uidl == capa->uidl &&
		  got.capa.pipelining == capa->pipelining &&
		  got.capa.sasl_plain == capa->sasl_plain &&
		  got.capa.resp_codes == capa->resp_codes &&
		  got.capa.login_delay_sec == capa->login_delay_sec);
	store_close(&store);
}
END_TEST

START_TEST(nothing_is_known_of_a_server_never_met)
{
	struct store store;
	struct capa_memory got;

	store_make(&store);
	got = load(&store, &some_account);
	ck_assert_int_eq(got.state, CAPA_FORGOTTEN);
	ck_assert(!capa_memory_is_usable(&got));
	store_close(&store);
}
END_TEST

/* What was said in clear counts nothing inside TLS, nor the other way round. */
START_TEST(another_port_or_kind_of_tls_is_another_server)
{
	static const struct account others[] = {
		{ .port = 110, .tls = TLS_IMPLICIT },
		{ .port = 995, .tls = TLS_STARTTLS },
		{ .port = 995, .tls = TLS_NONE },
	};
	const struct capa_memory memory = { CAPA_REMEMBERED, capas[5] };
	struct store store;

	store_make(&store);
	update(&store, &nothing, &memory);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		ck_assert_int_eq(load(&store, &others[i]).state,
				 CAPA_FORGOTTEN);
	ck_assert_int_eq(load(&store, &some_account).state, CAPA_REMEMBERED);
	store_close(&store);
}
END_TEST

static const struct {
	const char *name;
	enum capa_memory_state state;
	int64_t ago_sec;
	enum capa_memory_state want;
} age_cases[] = {
	{ "an answer of yesterday", CAPA_REMEMBERED, 86400, CAPA_REMEMBERED },
	{ "an answer of almost a week ago", CAPA_REMEMBERED, 7 * 86400 - 60,
	  CAPA_REMEMBERED },
	{ "an answer of a week ago", CAPA_REMEMBERED, 7 * 86400,
	  CAPA_FORGOTTEN },
	{ "an answer of tomorrow", CAPA_REMEMBERED, -86400, CAPA_FORGOTTEN },
	{ "not to ask, for almost a day", CAPA_UNASKED, 86400 - 60,
	  CAPA_UNASKED },
	{ "not to ask, for a day", CAPA_UNASKED, 86400, CAPA_FORGOTTEN },
};

START_TEST(a_memory_has_its_time)
{
	const struct capa_memory memory = { age_cases[_i].state, capas[5] };
	struct store store;

	store_make(&store);
	update(&store, &nothing, &memory);
	set_fact(&store, JOURNAL_CAPA_AT,
		 fact(&store, JOURNAL_CAPA_AT) - age_cases[_i].ago_sec);
	ck_assert_msg(load(&store, &some_account).state == age_cases[_i].want,
		      "%s", age_cases[_i].name);
	store_close(&store);
}
END_TEST

START_TEST(the_same_again_is_not_written)
{
	const struct capa_memory memory = { CAPA_REMEMBERED, capas[5] };
	const struct capa_memory other = { CAPA_REMEMBERED, capas[6] };
	struct store store;

	store_make(&store);
	update(&store, &nothing, &memory);
	set_fact(&store, JOURNAL_CAPA_AT, 1);
	update(&store, &memory, &memory);
	ck_assert_int_eq(fact(&store, JOURNAL_CAPA_AT), 1);
	update(&store, &memory, &other);
	ck_assert_int_gt(fact(&store, JOURNAL_CAPA_AT), 1);
	ck_assert(load(&store, &some_account).capa.sasl_plain);
	store_close(&store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("capa-memory");
	TCase *tcase = tcase_create("capa-memory");
	SRunner *runner;
	int n_failed;

	scratch_begin();
	tcase_add_loop_test(tcase,
			    what_a_server_said_comes_back_in_the_next_visit, 0,
			    (int)ARRAY_SIZE(capas));
	tcase_add_test(tcase, nothing_is_known_of_a_server_never_met);
	tcase_add_test(tcase, another_port_or_kind_of_tls_is_another_server);
	tcase_add_loop_test(tcase, a_memory_has_its_time, 0,
			    (int)ARRAY_SIZE(age_cases));
	tcase_add_test(tcase, the_same_again_is_not_written);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed != 0;
}
