/*
 * tls.c - OpenSSL: trust, handshake, names.
 *
 * There is no way to switch a check off: the chain is always verified, and
 * the host is compared with the subject alternative names alone (RFC 6125
 * section 6.4; a name in the subject's CN counts for nothing). Trust is read
 * into memory once and no file is opened later, since the worker that uses it
 * is sandboxed by then.
 *
 * OpenSSL's error queue is per thread and outlives a call, so it is cleared
 * before each one: what is found there afterwards belongs to that call.
 */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAMES_SHOWN_MAX 3   /* of a certificate for another host */
#define SUBJECT_TEXT    81  /* bytes of a distinguished name in an error */
#define HOST_TEXT       254 /* a DNS name and its end: RFC 1035 section 2.3.4 */

struct tls_trust {
	SSL_CTX *context;
	char *path;
	struct stat stat;
};

struct tls {
	SSL *ssl;
	char host[HOST_TEXT];
	bool is_failed; /* nothing may be sent any more, not even the goodbye */
};

static const char *find_bundle(void)
{
	static const char *const places[] = {
#ifdef CA_BUNDLE
		CA_BUNDLE,
#endif
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/cert.pem",
	};
	const char *chosen = secure_getenv("SSL_CERT_FILE");

	if (chosen != NULL && chosen[0] != '\0')
		return chosen;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return NULL;
}

static const char *openssl_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		reason = strerrordesc_np(ERR_GET_REASON(code));
	return reason != NULL ? reason : "unknown error";
}

static int set_openssl_error(struct error *err, const char *what)
{
	return error_set(err, ERROR_LOCAL, "%s: %s", what, openssl_reason());
}

static bool is_shortage(unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	if (!ERR_SYSTEM_ERROR(code))
		return reason == ERR_R_MALLOC_FAILURE;
	return reason == ENOMEM || reason == EMFILE || reason == ENFILE ||
	       reason == EIO;
}

/* What is short now may be there at the next visit: nothing to configure. */
static int load_error(const struct tls_trust *trust, struct error *err)
{
	enum error_kind kind = ERROR_CONFIG;
	const char *reason = openssl_reason();
	unsigned long code;

	while ((code = ERR_get_error()) != 0)
		if (is_shortage(code))
			kind = ERROR_LOCAL;
	return error_set(err, kind, "cannot load CA certificates from %s: %s",
			 trust->path, reason);
}

/* A file of revocation lists alone loads well and trusts nobody. */
static bool has_certificate(SSL_CTX *context)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
		if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) ==
		    X509_LU_X509)
			return true;
	return false;
}

/*
 * SSL_MODE_AUTO_RETRY stays on, as OpenSSL 1.1.1 made it: without it a read
 * may say "want read" while a whole record waits in the read-ahead buffer,
 * and poll would never tell.
 */
static void set_context_options(SSL_CTX *context)
{
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION |
						   SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(context,
			       SSL_MODE_ENABLE_PARTIAL_WRITE |
				       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				       SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
}

static int load_context(struct tls_trust *trust, struct error *err)
{
	ERR_clear_error();
	trust->context = SSL_CTX_new(TLS_client_method());
	if (trust->context == NULL)
		return set_openssl_error(err, "cannot set up TLS");
	if (SSL_CTX_set_min_proto_version(trust->context, TLS1_2_VERSION) != 1)
		return set_openssl_error(err, "cannot require TLS 1.2");
	set_context_options(trust->context);

	if (SSL_CTX_load_verify_file(trust->context, trust->path) != 1)
		return load_error(trust, err);
	if (!has_certificate(trust->context))
		return error_set(err, ERROR_CONFIG, "%s holds no certificate",
				 trust->path);
	return 0;
}

void tls_prepare(void)
{
	/* When it fails, so will what comes next, and say so. */
	(void)OPENSSL_init_ssl(0, NULL);
	SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
	ERR_clear_error();
}

int tls_trust_load(const char *ca_file, struct tls_trust **ret,
		   struct error *err)
{
	_cleanup_tls_trust_ struct tls_trust *trust = calloc(1, sizeof(*trust));
	const char *path = ca_file != NULL ? ca_file : find_bundle();

	if (path == NULL)
		return error_set(err, ERROR_CONFIG,
				 "no CA certificates found on this system; "
				 "install ca-certificates or set ca_file");
	if (trust == NULL || (trust->path = strdup(path)) == NULL)
		return error_set_memory(err);

	/* Before loading: a change in between makes it stale, not unnoticed. */
	if (stat(path, &trust->stat) < 0)
		return error_set_errno(err, ERROR_CONFIG, errno,
				       "cannot load CA certificates from %s",
				       path);
	if (load_context(trust, err) < 0)
		return -1;

	*ret = TAKE_PTR(trust);
	return 0;
}

void tls_trust_free(struct tls_trust **trust)
{
	if (*trust == NULL)
		return;
	SSL_CTX_free((*trust)->context);
	free((*trust)->path);
	free(*trust);
	*trust = NULL;
}

bool tls_trust_is_stale(const struct tls_trust *trust)
{
	const struct stat *old = &trust->stat;
	struct stat new;

	return stat(trust->path, &new) < 0 || new.st_dev != old->st_dev ||
	       new.st_ino != old->st_ino || new.st_size != old->st_size ||
	       new.st_mtim.tv_sec != old->st_mtim.tv_sec ||
	       new.st_mtim.tv_nsec != old->st_mtim.tv_nsec;
}

static bool is_address(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 ||
	       inet_pton(AF_INET6, host, &address) == 1;
}

/* The dot of a rooted name is for the resolver: RFC 6066 section 3 has none. */
static int set_host(struct tls *tls, const char *host, struct error *err)
{
	size_t len = strlen(host);

	if (len > 1 && host[len - 1] == '.')
		len--;
	/* An empty name would switch OpenSSL's check off. */
	if (len == 0 || len >= sizeof(tls->host))
		return error_set(err, ERROR_CONFIG, "'%s' is no host name",
				 host);

	memcpy(tls->host, host, len);
	tls->host[len] = '\0';
	return 0;
}

static int expect_host(struct tls *tls, struct error *err)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);

	X509_VERIFY_PARAM_set_hostflags(
		param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (is_address(tls->host)) {
		if (X509_VERIFY_PARAM_set1_ip_asc(param, tls->host) != 1)
			return set_openssl_error(err,
						 "cannot check the address");
		return 0;
	}

	if (SSL_set1_host(tls->ssl, tls->host) != 1 ||
	    SSL_set_tlsext_host_name(tls->ssl, tls->host) != 1)
		return set_openssl_error(err, "cannot check the host name");
	return 0;
}

int tls_new(const struct tls_trust *trust, int fd, const char *host,
	    struct tls **ret, struct error *err)
{
	_cleanup_tls_ struct tls *tls = calloc(1, sizeof(*tls));

	if (tls == NULL)
		return error_set_memory(err);
	if (set_host(tls, host, err) < 0)
		return -1;

	ERR_clear_error();
	tls->ssl = SSL_new(trust->context);
	if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1)
		return set_openssl_error(err, "cannot set up TLS");
	if (expect_host(tls, err) < 0)
		return -1;
	SSL_set_connect_state(tls->ssl);

	*ret = TAKE_PTR(tls);
	return 0;
}

void tls_free(struct tls **tls)
{
	if (*tls == NULL)
		return;
	SSL_free((*tls)->ssl);
	free(*tls);
	*tls = NULL;
}

static void format_dn(char *dst, size_t cap, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = 0;

	if (bio != NULL &&
	    X509_NAME_print_ex(bio, name, 0,
			       XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN |
				       ASN1_STRFLGS_ESC_CTRL |
				       ASN1_STRFLGS_UTF8_CONVERT) >= 0)
		len = BIO_read(bio, dst, (int)cap - 1);
	dst[MAX(len, 0)] = '\0';
	BIO_free(bio);
}

static void format_day(char *dst, size_t cap, const ASN1_TIME *time)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1 ||
	    strftime(dst, cap, "%F", &tm) == 0)
		(void)snprintf(dst, cap, "?");
}

/* The one that the clock speaks against may be an intermediate. */
static X509 *find_culprit(STACK_OF(X509) * chain, long verdict)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		if (verdict == X509_V_ERR_CERT_HAS_EXPIRED &&
		    X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
			return cert;
		if (verdict == X509_V_ERR_CERT_NOT_YET_VALID &&
		    X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
			return cert;
	}
	return sk_X509_value(chain, 0);
}

static void set_chain_error(STACK_OF(X509) * chain, long verdict,
			    struct error *err)
{
	X509 *cert = find_culprit(chain, verdict);
	char subject[SUBJECT_TEXT], issuer[SUBJECT_TEXT];
	char begin[16], end[16];

	format_dn(subject, sizeof(subject), X509_get_subject_name(cert));
	format_dn(issuer, sizeof(issuer), X509_get_issuer_name(cert));
	format_day(begin, sizeof(begin), X509_get0_notBefore(cert));
	format_day(end, sizeof(end), X509_get0_notAfter(cert));
	(void)error_set(err, ERROR_AUTH,
			"certificate refused: %s "
			"(subject %s, issuer %s, valid %s to %s)",
			X509_verify_cert_error_string(verdict), subject, issuer,
			begin, end);
}

/* A NUL in a name is an attack on readers of C strings (CVE-2009-2666). */
static void format_dns_name(char *dst, size_t cap, const ASN1_STRING *name)
{
	size_t len = MIN((size_t)ASN1_STRING_length(name), cap - 1);

	memcpy(dst, ASN1_STRING_get0_data(name), len);
	dst[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (dst[i] == '\0')
			dst[i] = '?';
}

/* False: not a kind of name that a host could have. */
static bool format_name(char *dst, size_t cap, const GENERAL_NAME *name)
{
	const ASN1_STRING *address = name->d.iPAddress;

	if (name->type == GEN_DNS) {
		format_dns_name(dst, cap, name->d.dNSName);
		return true;
	}
	if (name->type != GEN_IPADD)
		return false;
	if (ASN1_STRING_length(address) != 4 &&
	    ASN1_STRING_length(address) != 16)
		return false;
	return inet_ntop(ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6,
			 ASN1_STRING_get0_data(address), dst,
			 (socklen_t)cap) != NULL;
}

/* "a.example, b.example" into dst; empty when there is none. */
static void format_names(char *dst, size_t cap, const GENERAL_NAMES *names)
{
	size_t len = 0;
	unsigned shown = 0;

	dst[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		char name[64];

		if (!format_name(name, sizeof(name),
				 sk_GENERAL_NAME_value(names, i)))
			continue;
		if (shown++ == NAMES_SHOWN_MAX) {
			(void)snprintf(dst + len, cap - len, ", ...");
			return;
		}
		len += (size_t)snprintf(dst + len, cap - len, "%s%s",
					len > 0 ? ", " : "", name);
	}
}

static void set_name_error(const struct tls *tls, X509 *cert, struct error *err)
{
	GENERAL_NAMES *names =
		X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char text[NAMES_SHOWN_MAX * 66 + 8]; /* 63 bytes, ", " each, ", ..." */
	char subject[SUBJECT_TEXT];

	format_names(text, sizeof(text), names);
	GENERAL_NAMES_free(names);
	if (text[0] != '\0') {
		(void)error_set(err, ERROR_AUTH,
				"certificate is for %s, not %s", text,
				tls->host);
		return;
	}

	format_dn(subject, sizeof(subject), X509_get_subject_name(cert));
	(void)error_set(err, ERROR_AUTH,
			"certificate has no subject alternative name, "
			"so it is not for %s (subject %s)",
			tls->host, subject);
}

/* The chain is there after a refusal too, as far as it could be built. */
static void set_refusal(const struct tls *tls, struct error *err)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(tls->ssl);
	long verdict = SSL_get_verify_result(tls->ssl);

	if (sk_X509_num(chain) < 1)
		(void)error_set(err, ERROR_AUTH, "certificate refused: %s",
				X509_verify_cert_error_string(verdict));
	else if (verdict == X509_V_ERR_HOSTNAME_MISMATCH ||
		 verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
		set_name_error(tls, sk_X509_value(chain, 0), err);
	else
		set_chain_error(chain, verdict, err);
}

static bool is_not_tls(unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	return ERR_GET_LIB(code) == ERR_LIB_SSL &&
	       (reason == SSL_R_WRONG_VERSION_NUMBER ||
		reason == SSL_R_HTTP_REQUEST);
}

static bool is_eof(int error, int errnum)
{
	unsigned long code = ERR_peek_error();

	if (error == SSL_ERROR_ZERO_RETURN)
		return true;
	if (error == SSL_ERROR_SYSCALL)
		return code == 0 && errnum == 0;
	return error == SSL_ERROR_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL &&
	       ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

/*
 * What a call that did not return 1 means. A missing close_notify is an end
 * like another: every reply of POP3 has its own terminator, so a cut one is
 * seen as such (Gmail and others leave it out).
 */
static enum tls_result judge(struct tls *tls, int r, const char *what,
			     struct error *err)
{
	int errnum = errno;
	int error = SSL_get_error(tls->ssl, r);

	if (error == SSL_ERROR_WANT_READ)
		return TLS_WANT_READ;
	if (error == SSL_ERROR_WANT_WRITE)
		return TLS_WANT_WRITE;

	tls->is_failed = error != SSL_ERROR_ZERO_RETURN;
	if (is_eof(error, errnum))
		return TLS_CLOSED;
	if (error == SSL_ERROR_SYSCALL)
		(void)error_set_errno(err, ERROR_NETWORK, errnum, "%s", what);
	else
		(void)error_set(err, ERROR_NETWORK, "%s: %s", what,
				openssl_reason());
	return TLS_FAILED;
}

static void prepare(void)
{
	ERR_clear_error();
	errno = 0;
}

static enum tls_result judge_handshake(struct tls *tls, int r,
				       struct error *err)
{
	enum tls_result result;

	if (is_not_tls(ERR_peek_error())) {
		tls->is_failed = true;
		return TLS_NOT_TLS;
	}
	if (SSL_get_verify_result(tls->ssl) != X509_V_OK) {
		tls->is_failed = true;
		set_refusal(tls, err);
		return TLS_FAILED;
	}

	result = judge(tls, r, "TLS handshake", err);
	if (result != TLS_CLOSED)
		return result;
	(void)error_set(err, ERROR_NETWORK,
			"server closed the connection in the TLS handshake");
	return TLS_FAILED;
}

enum tls_result tls_handshake(struct tls *tls, struct error *err)
{
	int r;

	prepare();
	r = SSL_do_handshake(tls->ssl);
	if (r != 1)
		return judge_handshake(tls, r, err);

	/* No cipher that is allowed does without; never go on if one did. */
	if (SSL_get0_peer_certificate(tls->ssl) == NULL ||
	    SSL_get_verify_result(tls->ssl) != X509_V_OK) {
		tls->is_failed = true;
		(void)error_set(err, ERROR_AUTH, "server has no certificate");
		return TLS_FAILED;
	}
	return TLS_DONE;
}

enum tls_result tls_read(struct tls *tls, char *buf, size_t cap,
			 size_t *ret_len, struct error *err)
{
	size_t len;
	int r;

	prepare();
	r = SSL_read_ex(tls->ssl, buf, cap, &len);
	if (r != 1)
		return judge(tls, r, "TLS read", err);

	*ret_len = len;
	return TLS_DONE;
}

enum tls_result tls_write(struct tls *tls, const char *data, size_t len,
			  size_t *ret_len, struct error *err)
{
	enum tls_result result;
	size_t sent;
	int r;

	prepare();
	r = SSL_write_ex(tls->ssl, data, len, &sent);
	if (r == 1) {
		*ret_len = sent;
		return TLS_DONE;
	}

	result = judge(tls, r, "TLS write", err);
	if (result != TLS_CLOSED)
		return result;
	(void)error_set(err, ERROR_NETWORK, "server closed the connection");
	return TLS_FAILED;
}

void tls_describe(const struct tls *tls, char *dst, size_t cap)
{
	(void)snprintf(dst, cap, "%s %s", SSL_get_version(tls->ssl),
		       SSL_get_cipher_name(tls->ssl));
}

void tls_close(struct tls *tls)
{
	if (tls->is_failed || !SSL_is_init_finished(tls->ssl))
		return;
	prepare();
	(void)SSL_shutdown(tls->ssl); /* a peer that is gone needs no goodbye */
}
