/*
 * login.c - which way to log in, what may be sent in clear, what was refused.
 */
#include "login.h"

#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "schedule.h"
#include "text.h"

enum way {
	WAY_NONE = 0,
	WAY_APOP,
	WAY_PLAIN,
	WAY_USER,
};

static const char *way_name(enum way way)
{
	static const char *const names[] = {
		[WAY_NONE] = "no way",
		[WAY_APOP] = "APOP",
		[WAY_PLAIN] = "AUTH PLAIN",
		[WAY_USER] = "USER and PASS",
	};

	return names[way];
}

/*
 * 31 bits that change when the text does. So few that the journal gives no
 * one a handle on the secret; enough to see that it is another one.
 */
static int fingerprint(const char *text, size_t len, int64_t *ret,
		       struct error *err)
{
	uint8_t digest[DIGEST_SIZE];

	if (digest_bytes((struct bytes){ text, len }, digest, err) < 0)
		return -1;
	*ret = ((int64_t)(digest[0] & 0x7f) << 24) | digest[1] << 16 |
	       digest[2] << 8 | digest[3];
	return 0;
}

static int fingerprint_of(const struct login *login, const char *more,
			  int64_t *ret, struct error *err)
{
	const struct account *account = login->account;
	const struct secret *secret = login->secret;
	_cleanup_string_ char *settings = NULL;
	_cleanup_string_ char *text = NULL;
	size_t len;
	int r;

	if (asprintf(&settings, "%s %s %u %d %d %d %s %s ",
		     journal_tag(login->journal), account->host, account->port,
		     account->tls, account->auth, account->allow_cleartext,
		     account->username, more) < 0) {
		settings = NULL;
		return error_set_memory(err);
	}
	len = strlen(settings);
	text = malloc(len + secret->len);
	if (text == NULL)
		return error_set_memory(err);

	/* Not by asprintf: it leaves behind what it outgrew. */
	memcpy(text, settings, len);
	memcpy(text + len, secret->text, secret->len);
	r = fingerprint(text, len + secret->len, ret, err);
	explicit_bzero(text, len + secret->len);
	return r;
}

static int set_facts(struct journal *journal, const enum journal_fact *facts,
		     const int64_t *values, size_t n, struct error *err)
{
	if (journal_begin(journal, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (journal_set_fact(journal, facts[i], values[i], err) < 0) {
			journal_rollback(journal);
			return -1;
		}
	}
	return journal_commit(journal, err);
}

struct refusal {
	int64_t at_sec; /* CLOCK_REALTIME */
	int64_t times;
	int64_t fingerprint;
};

static int refusal_load(struct journal *journal, struct refusal *ret,
			struct error *err)
{
	if (journal_get_fact(journal, JOURNAL_REFUSED_AT, &ret->at_sec, err) <
		    0 ||
	    journal_get_fact(journal, JOURNAL_REFUSED_TIMES, &ret->times, err) <
		    0)
		return -1;
	return journal_get_fact(journal, JOURNAL_REFUSED_FINGERPRINT,
				&ret->fingerprint, err);
}

static int refusal_store(struct journal *journal, const struct refusal *refusal,
			 struct error *err)
{
	static const enum journal_fact facts[] = {
		JOURNAL_REFUSED_AT,
		JOURNAL_REFUSED_TIMES,
		JOURNAL_REFUSED_FINGERPRINT,
	};
	const int64_t values[] = { refusal->at_sec, refusal->times,
				   refusal->fingerprint };

	return set_facts(journal, facts, values, ARRAY_SIZE(facts), err);
}

static uint32_t refusal_delay_sec(int64_t times)
{
	return (uint32_t)(schedule_refusal_usec((unsigned)MIN(times, 100)) /
			  USEC_PER_SEC);
}

static char *format_sec(char *dst, size_t cap, int64_t sec)
{
	return text_format_duration(dst, cap, (uint64_t)sec * USEC_PER_SEC);
}

int login_check_refusal(const struct login *login, uint32_t *ret_retry_sec,
			struct error *err)
{
	int64_t now = (int64_t)(now_usec(CLOCK_REALTIME) / USEC_PER_SEC);
	struct refusal refusal;
	int64_t print, left;
	char ago[64], wait[64];

	if (refusal_load(login->journal, &refusal, err) < 0)
		return -1;
	if (login->is_asked_for || refusal.times == 0)
		return 0;
	if (fingerprint_of(login, "", &print, err) < 0)
		return -1;

	/* A time in the future means that the clock was set back. */
	left = refusal.at_sec + refusal_delay_sec(refusal.times) - now;
	if (print != refusal.fingerprint || left <= 0 || refusal.at_sec > now)
		return 0;

	*ret_retry_sec = (uint32_t)left;
	return error_set(err, ERROR_AUTH,
			 "the server refused this login %s ago; not sent again "
			 "for %s unless the password or settings change, or "
			 "--account asks for it",
			 format_sec(ago, sizeof(ago), now - refusal.at_sec),
			 format_sec(wait, sizeof(wait), left));
}

/* The server said no to the credentials: remembered, so that none hammers. */
static int remember_refusal(const struct login *login, uint32_t *ret_retry_sec,
			    struct error *err)
{
	struct refusal refusal, old;

	if (refusal_load(login->journal, &old, err) < 0 ||
	    fingerprint_of(login, "", &refusal.fingerprint, err) < 0)
		return -1;
	refusal.at_sec = (int64_t)(now_usec(CLOCK_REALTIME) / USEC_PER_SEC);
	refusal.times = 1;
	if (old.times > 0 && old.fingerprint == refusal.fingerprint)
		refusal.times = MIN(old.times + 1, 1000);
	*ret_retry_sec = refusal_delay_sec(refusal.times);
	return refusal_store(login->journal, &refusal, err);
}

static int forget_refusal(const struct login *login, struct error *err)
{
	const struct refusal none = { 0 };
	struct refusal old;

	if (refusal_load(login->journal, &old, err) < 0)
		return -1;
	return old.times == 0 ? 0 : refusal_store(login->journal, &none, err);
}

/* What an APOP refusal depends on: greeting, capabilities and secret. */
static int apop_fingerprint(const struct login *login, struct pop3 *pop3,
			    int64_t *ret, struct error *err)
{
	const struct pop3_capa *capa = pop3_capa(pop3);
	_cleanup_string_ char *more = NULL;

	if (asprintf(&more, "%d%d%d%d %s", capa->known, capa->user,
		     capa->sasl_plain, capa->pipelining,
		     pop3_greeting(pop3)) < 0) {
		more = NULL;
		return error_set_memory(err);
	}
	return fingerprint_of(login, more, ret, err);
}

static int apop_was_refused(const struct login *login, struct pop3 *pop3,
			    bool *ret, struct error *err)
{
	int64_t refused, print;

	if (journal_get_fact(login->journal, JOURNAL_APOP_REFUSED, &refused,
			     err) < 0)
		return -1;
	if (refused == 0) {
		*ret = false;
		return 0;
	}
	if (apop_fingerprint(login, pop3, &print, err) < 0)
		return -1;
	*ret = print == refused;
	return 0;
}

static int remember_apop(const struct login *login, struct pop3 *pop3,
			 struct error *err)
{
	const enum journal_fact fact = JOURNAL_APOP_REFUSED;
	int64_t print;

	if (apop_fingerprint(login, pop3, &print, err) < 0)
		return -1;
	return set_facts(login->journal, &fact, &print, 1, err);
}

/* The password itself may be sent: nobody on the way can read it, or we may not care. */
static bool link_is_private(const struct login *login, struct pop3 *pop3)
{
	return stream_is_tls(pop3_stream(pop3)) ||
	       stream_is_loopback(pop3_stream(pop3)) ||
	       login->account->allow_cleartext;
}

static int check_link(const struct login *login, struct pop3 *pop3,
		      enum way way, struct error *err)
{
	if (way == WAY_APOP || link_is_private(login, pop3))
		return 0;
	return error_set(err, ERROR_AUTH,
			 "%s would send the password in clear to another "
			 "machine: set tls, or allow_cleartext = true",
			 way_name(way));
}

static enum way way_of_choice(const struct login *login, struct pop3 *pop3)
{
	switch (login->account->auth) {
	case AUTH_APOP:
		return WAY_APOP;
	case AUTH_PLAIN:
		return WAY_PLAIN;
	case AUTH_USER:
		return WAY_USER;
	case AUTH_AUTO:
		break;
	}
	return pop3_capa(pop3)->sasl_plain ? WAY_PLAIN : WAY_USER;
}

static int choose_first_way(const struct login *login, struct pop3 *pop3,
			    enum way *ret, struct error *err)
{
	bool has_timestamp = pop3_timestamp(pop3)[0] != '\0';
	enum way way = way_of_choice(login, pop3);
	bool was_refused = false;

	if (way == WAY_APOP && !has_timestamp)
		return error_set(err, ERROR_AUTH,
				 "server's greeting offers no APOP, and "
				 "auth = \"APOP\" allows nothing else");
	if (login->account->auth == AUTH_AUTO && has_timestamp) {
		if (apop_was_refused(login, pop3, &was_refused, err) < 0)
			return -1;
		/* Remembered is only what the other way made good. */
		if (!was_refused)
			way = WAY_APOP;
	}
	*ret = way;
	return 0;
}

static int attempt(const struct login *login, struct pop3 *pop3, enum way way,
		   struct error *err)
{
	const struct bytes username = { login->account->username,
					strlen(login->account->username) };
	const struct bytes secret = { login->secret->text, login->secret->len };

	switch (way) {
	case WAY_APOP:
		return pop3_login_apop(pop3, username, secret, err);
	case WAY_PLAIN:
		return pop3_login_plain(pop3, username, secret, err);
	case WAY_USER:
		return pop3_login_user(pop3, username, secret, err);
	case WAY_NONE:
		break;
	}
	return error_set(err, ERROR_AUTH, "no way to log in");
}

/* The first way was refused with *err: the other one, if the link allows it. */
static int fall_back(const struct login *login, struct pop3 *pop3,
		     enum way refused, enum way way, struct error *err)
{
	struct error refusal = *err;
	int r;

	if (check_link(login, pop3, way, err) < 0) {
		(void)error_prefix(err, "%s refused (%.120s)",
				   way_name(refused), refusal.text);
		return 1;
	}
	r = attempt(login, pop3, way, err);
	if (r > 0)
		(void)error_prefix(err, "%s, then %s refused",
				   way_name(refused), way_name(way));
	if (refused != WAY_APOP)
		return r;
	if (r == 0)
		return remember_apop(login, pop3, err);
	if (r < 0 && err->kind == ERROR_NETWORK) {
		/* It hangs up after a refusal: APOP would be all it ever gets. */
		if (remember_apop(login, pop3, err) < 0)
			return -1;
		*err = refusal;
		(void)error_prefix(err, "APOP refused, and no second attempt");
		return 1;
	}
	return r;
}

/*
 * Way was refused with *err. What was assumed of the server is asked for now:
 * it may have been the way that was wrong, and not the password. Where CAPA
 * never had an answer, or may not have, its end says nothing: that is a refusal.
 */
static int choose_other_way(const struct login *login, struct pop3 *pop3,
			    enum way way, enum way *ret, struct error *err)
{
	const struct pop3_capa *capa = pop3_capa(pop3);
	struct error lost = { 0 };

	*ret = WAY_NONE;
	if (capa->is_assumed && pop3_ask_capa(pop3, &lost) < 0) {
		if (!capa->known)
			return 0;
		*err = lost;
		return error_prefix(err, "CAPA, after %s was refused",
				    way_name(way));
	}
	if (way_of_choice(login, pop3) != way)
		*ret = way_of_choice(login, pop3);
	return 0;
}

/* At most two ways. 0 logged in, 1 refused, -1 failed. */
static int try_ways(const struct login *login, struct pop3 *pop3,
		    struct error *err)
{
	enum way way = WAY_NONE, other = WAY_NONE;
	int r;

	if (choose_first_way(login, pop3, &way, err) < 0 ||
	    check_link(login, pop3, way, err) < 0)
		return -1;
	r = attempt(login, pop3, way, err);
	if (r <= 0)
		return r;
	/* Busy is no refusal, and another attempt would not help. */
	if (err->kind != ERROR_AUTH ||
	    choose_other_way(login, pop3, way, &other, err) < 0)
		return -1;
	if (other != WAY_NONE)
		return fall_back(login, pop3, way, other, err);
	(void)error_prefix(err, "%s refused", way_name(way));
	return 1;
}

/* Whatever may have wiped it: an empty password is none to be tried. */
static int check_secret(const struct login *login, struct error *err)
{
	if (login->secret->len > 0 && login->secret->text[0] != '\0')
		return 0;
	return error_set(err, ERROR_LOCAL,
			 "the secret was wiped before the login");
}

int login_run(const struct login *login, struct pop3 *pop3,
	      uint32_t *ret_retry_sec, struct error *err)
{
	struct error local = { 0 };
	int r;

	if (check_secret(login, err) < 0)
		return -1;
	r = try_ways(login, pop3, err);
	if (r == 0)
		return forget_refusal(login, err);

	if (err->kind == ERROR_BUSY)
		*ret_retry_sec = pop3_capa(pop3)->login_delay_sec;
	/* That it cannot be remembered must not hide the refusal. */
	if (r > 0 && err->kind == ERROR_AUTH)
		(void)remember_refusal(login, ret_retry_sec, &local);
	return -1;
}
