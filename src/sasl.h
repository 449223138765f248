/*
 * sasl.h - the client's messages of each mechanism. Pure.
 */
#pragma once

#include "base.h"
#include "error.h"

#define SASL_APOP_DIGEST_SIZE 33 /* 32 hex digits and the terminator */

/* RFC 1939 section 7: MD5 of the timestamp, angle brackets included, and the secret. */
int sasl_apop_digest(const char *timestamp, struct bytes secret,
		     char ret[SASL_APOP_DIGEST_SIZE], struct error *err)
	_must_check_;

/*
 * RFC 4616: base64 of NUL user NUL secret. *ret is malloced; the caller wipes
 * it (it holds the secret) with secret_wipe_string or explicit_bzero.
 */
int sasl_plain(struct bytes username, struct bytes secret, char **ret,
	       struct error *err) _must_check_;
