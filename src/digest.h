/*
 * digest.h - what makes two messages the same when their UIDs do not tell.
 *
 * SHA-256 over the message as stored (LF line ends), less the header fields
 * that servers write anew at each visit: X-UIDL, X-UID, Status, X-Status,
 * X-Keywords, X-Mozilla-*, Lines, Content-Length, X-IMAP, X-IMAPbase, with
 * their folded lines. Streaming: any split of the bytes gives the same result.
 */
#pragma once

#include "base.h"
#include "error.h"

#define DIGEST_SIZE 32

struct digest; /* opaque; made once, used for message after message */

int digest_new(struct digest **ret, struct error *err) _must_check_;
void digest_free(struct digest **digest);
#define _cleanup_digest_ _cleanup_(digest_free)

void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const char *data, size_t len);

/* OpenSSL failures on the way are kept and told here: ERROR_LOCAL. */
int digest_end(struct digest *digest, uint8_t ret[DIGEST_SIZE],
	       struct error *err) _must_check_;

/* SHA-256 of plain bytes, nothing left out. */
int digest_bytes(struct bytes bytes, uint8_t ret[DIGEST_SIZE],
		 struct error *err) _must_check_;
