/*
 * tls.h - OpenSSL: trust, handshake, names. Nothing else includes its TLS part.
 *
 * Non-blocking: each call says what it waits for, and stream.c does the waiting.
 * TLS 1.2 is the least. Certificates and names are always checked (subject
 * alternative names only, no partial wildcards).
 */
#pragma once

#include <sys/types.h>

#include "base.h"
#include "error.h"

struct tls;
struct tls_trust;

/* What OpenSSL does once in a process, which children need not do then. */
void tls_prepare(void);

/*
 * Loads the certificates to trust: a PEM file, or with NULL the system's
 * (SSL_CERT_FILE, the build's bundle, the well-known places). ERROR_CONFIG
 * when the file cannot be read or holds none; the text names it.
 */
int tls_trust_load(const char *ca_file, struct tls_trust **ret,
		   struct error *err) _must_check_;
void tls_trust_free(struct tls_trust **trust);
#define _cleanup_tls_trust_ _cleanup_(tls_trust_free)

/* True when the file that was loaded has changed since (or is gone). */
bool tls_trust_is_stale(const struct tls_trust *trust);

enum tls_result {
	TLS_FAILED = -1, /* err says why */
	TLS_DONE = 0,
	TLS_WANT_READ,
	TLS_WANT_WRITE,
	TLS_CLOSED,  /* read only: the peer closed, with close_notify or not */
	TLS_NOT_TLS, /* handshake only: what came is not TLS; err is untouched */
};

/*
 * host: a DNS name (sent as SNI and checked) or an IP address (checked only).
 * ERROR_CONFIG when it is empty or too long. fd is borrowed.
 */
int tls_new(const struct tls_trust *trust, int fd, const char *host,
	    struct tls **ret, struct error *err) _must_check_;
void tls_free(struct tls **tls);
#define _cleanup_tls_ _cleanup_(tls_free)

/* ERROR_AUTH when the peer's certificate or name is refused, else ERROR_NETWORK. */
enum tls_result tls_handshake(struct tls *tls, struct error *err);
enum tls_result tls_read(struct tls *tls, char *buf, size_t cap,
			 size_t *ret_len, struct error *err);
enum tls_result tls_write(struct tls *tls, const char *data, size_t len,
			  size_t *ret_len, struct error *err);

void tls_describe(const struct tls *tls, char *dst, size_t cap);

/* Sends close_notify if that is possible without waiting. */
void tls_close(struct tls *tls);
