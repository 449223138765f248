/*
 * login.h - which way to log in, what may be sent in clear, what was refused.
 *
 * DESIGN section 4: the strongest way that both sides have; when it is
 * refused PLAIN or USER/PASS in the same session; never more than two
 * credential attempts in a visit; nothing that gives the password away on a
 * clear link beyond loopback unless allow_cleartext says so.
 */
#pragma once

#include "base.h"
#include "config.h"
#include "error.h"
#include "journal.h"
#include "pop3.h"
#include "secret.h"

struct login {
	const struct account *account; /* all borrowed */
	const struct secret *secret;
	struct journal *journal;
	bool is_asked_for; /* by a person: a remembered refusal does not count */
};

/*
 * Before anything is sent: ERROR_AUTH while a refusal of the same secret and
 * settings is remembered and its time is not over. *ret_retry_sec (set only
 * then) is how long that lasts.
 */
int login_check_refusal(const struct login *login, uint32_t *ret_retry_sec,
			struct error *err) _must_check_;

/*
 * Where the server's capabilities are assumed and the login is refused, they
 * are asked for before that is believed.
 *
 * Logs in, and remembers a refusal by the server or forgets the last one.
 * A refusal sets *ret_retry_sec, and so does ERROR_BUSY when the server named
 * a delay. ERROR_AUTH too when no way is allowed; nothing was sent then, nor
 * with a secret that was wiped, which is ERROR_LOCAL.
 */
int login_run(const struct login *login, struct pop3 *pop3,
	      uint32_t *ret_retry_sec, struct error *err) _must_check_;
