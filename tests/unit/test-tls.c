/*
 * test-tls.c - which certificates are refused, and TLS beneath a stream.
 *
 * Every test makes its own CA and certificates, which live as long as it
 * does. The server is a child on the other end of a socket pair.
 */
#include <check.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "stream.h"
#include "tls.h"

#define DAY_SEC 86400
#define BULK    300000

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

struct cert_spec {
	const char *cn;
	const char *san;      /* as openssl.cnf has it; NULL: none */
	struct bytes raw_dns; /* a dNSName that openssl.cnf cannot say */
	int begin_day;
	int end_day;
	bool is_ca;
};

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ck_assert_ptr_nonnull(extension);
	ck_assert_int_eq(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void add_raw_dns(X509 *cert, struct bytes dns)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *string = ASN1_IA5STRING_new();

	ck_assert_int_eq(ASN1_STRING_set(string, dns.data, (int)dns.len), 1);
	GENERAL_NAME_set0_value(name, GEN_DNS, string);
	ck_assert_int_gt(sk_GENERAL_NAME_push(names, name), 0);
	ck_assert_int_eq(
		X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
}

static void set_times(X509 *cert, const struct cert_spec *spec)
{
	int end_day = spec->end_day != 0 ? spec->end_day : 2;
	int begin_day = spec->begin_day != 0 ? spec->begin_day : -2;

	ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notBefore(cert),
					      begin_day * DAY_SEC));
	ck_assert_ptr_nonnull(
		X509_gmtime_adj(X509_getm_notAfter(cert), end_day * DAY_SEC));
}

static void set_subject(X509 *cert, const char *cn)
{
	X509_NAME *name = X509_get_subject_name(cert);

	ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
						    (const unsigned char *)cn,
						    -1, -1, 0),
			 1);
}

/* Signed by issuer; by itself with NULL. */
static struct identity make_identity(const struct cert_spec *spec,
				     const struct identity *issuer)
{
	static long serial;
	struct identity id = { .cert = X509_new(), .key = EVP_EC_gen("P-256") };
	const struct identity *signer = issuer != NULL ? issuer : &id;

	ck_assert(id.cert != NULL && id.key != NULL);
	ck_assert_int_eq(X509_set_version(id.cert, X509_VERSION_3), 1);
	ck_assert_int_eq(
		ASN1_INTEGER_set(X509_get_serialNumber(id.cert), ++serial), 1);
	set_times(id.cert, spec);
	set_subject(id.cert, spec->cn);
	ck_assert_int_eq(X509_set_issuer_name(
				 id.cert, X509_get_subject_name(signer->cert)),
			 1);
	ck_assert_int_eq(X509_set_pubkey(id.cert, id.key), 1);
	if (spec->is_ca)
		add_extension(id.cert, NID_basic_constraints,
			      "critical,CA:TRUE");
	if (spec->san != NULL)
		add_extension(id.cert, NID_subject_alt_name, spec->san);
	if (spec->raw_dns.len > 0)
		add_raw_dns(id.cert, spec->raw_dns);
	ck_assert_int_gt(X509_sign(id.cert, signer->key, EVP_sha256()), 0);
	return id;
}

static void identity_done(struct identity *id)
{
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
}

#define _cleanup_identity_ _cleanup_(identity_done)

static struct identity make_ca(const char *cn)
{
	const struct cert_spec spec = { .cn = cn, .is_ca = true };

	return make_identity(&spec, NULL);
}

/* A file without a place, so that nothing is left behind: PATH names it. */
struct memory_file {
	int fd;
	char path[64];
};

static struct memory_file memory_file_new(const char *text)
{
	struct memory_file file = { .fd = memfd_create("test-tls",
						       MFD_CLOEXEC) };
	size_t len = strlen(text);

	ck_assert_int_ge(file.fd, 0);
	ck_assert_int_eq(write(file.fd, text, len), (ssize_t)len);
	(void)snprintf(file.path, sizeof(file.path), "/proc/self/fd/%d",
		       file.fd);
	return file;
}

static void memory_file_done(struct memory_file *file)
{
	fd_close(&file->fd);
}

#define _cleanup_memory_file_ _cleanup_(memory_file_done)

static char *to_pem(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *copy;
	long len;

	ck_assert_int_eq(PEM_write_bio_X509(bio, cert), 1);
	len = BIO_get_mem_data(bio, &data);
	copy = strndup(data, (size_t)len);
	BIO_free(bio);
	ck_assert_ptr_nonnull(copy);
	return copy;
}

static struct tls_trust *trust_in(X509 *cert)
{
	_cleanup_string_ char *pem = to_pem(cert);
	_cleanup_memory_file_ struct memory_file file = memory_file_new(pem);
	struct tls_trust *trust = NULL;
	struct error err;

	ck_assert_msg(tls_trust_load(file.path, &trust, &err) == 0, "%s",
		      err.text);
	return trust;
}

enum manner {
	GREET_AND_ECHO = 0, /* "+OK tls", then every byte back, until the end */
	GREET_AND_CUT,      /* "+OK tls", then gone without close_notify */
	GREET_AND_CLOSE,    /* the same with close_notify */
	SEND_BULK,          /* BULK bytes, then close_notify */
	COUNT_BULK,         /* reads BULK bytes, then says "+OK counted" */
	OLD_TLS,            /* TLS 1.1 at most */
	STAY_CLEAR,         /* "+OK ready" in clear, and no TLS at all */
	STAY_SILENT,        /* takes the hello and says nothing */
	HANG_UP,            /* closes at once */
};

struct server {
	const struct identity *id;
	X509 *chain; /* sent along; NULL: none */
	enum manner manner;
};

static void serve_echo(SSL *ssl)
{
	char buf[512];
	int len;

	while ((len = SSL_read(ssl, buf, sizeof(buf))) > 0)
		if (SSL_write(ssl, buf, len) != len)
			return;
}

static char pattern(size_t at)
{
	return (char)(at % 251);
}

static void serve_bulk(SSL *ssl)
{
	static char data[BULK];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern(i);
	(void)SSL_write(ssl, data, sizeof(data)); /* the client will tell */
	(void)SSL_shutdown(ssl);                  /* one half of it is enough */
}

static void count_bulk(SSL *ssl)
{
	char buf[4096];
	size_t at = 0;

	while (at < BULK) {
		int len = SSL_read(ssl, buf, sizeof(buf));

		if (len <= 0)
			return;
		for (int i = 0; i < len; i++)
			if (buf[i] != pattern(at++))
				return;
	}
	(void)SSL_write(ssl, "+OK counted\r\n", 13); /* the client will tell */
	serve_echo(ssl);
}

static void serve_tls(const struct server *server, SSL *ssl)
{
	if (SSL_accept(ssl) != 1)
		return;
	if (server->manner == SEND_BULK) {
		serve_bulk(ssl);
		return;
	}
	if (server->manner == COUNT_BULK) {
		count_bulk(ssl);
		return;
	}

	(void)SSL_write(ssl, "+OK tls\r\n", 9); /* the client will tell */
	if (server->manner == GREET_AND_CLOSE)
		(void)SSL_shutdown(ssl); /* one half of it is enough */
	if (server->manner == GREET_AND_ECHO)
		serve_echo(ssl);
}

static SSL *make_server_ssl(const struct server *server, int fd)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	if (server->manner == OLD_TLS) {
		(void)SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
		(void)SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
		(void)SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
	}
	ssl = SSL_new(context);
	if (ssl == NULL || SSL_use_certificate(ssl, server->id->cert) != 1 ||
	    SSL_use_PrivateKey(ssl, server->id->key) != 1 ||
	    SSL_set_fd(ssl, fd) != 1)
		_exit(EXIT_FAILURE);
	if (server->chain != NULL)
		(void)SSL_add1_chain_cert(ssl, server->chain);
	return ssl;
}

_noreturn_ static void serve(const struct server *server, int fd)
{
	char byte;

	(void)signal(SIGPIPE, SIG_IGN);
	if (server->manner == HANG_UP)
		_exit(EXIT_SUCCESS);
	if (server->manner == STAY_CLEAR)
		(void)send(fd, "+OK ready\r\n", 11, 0);
	if (server->manner == STAY_CLEAR || server->manner == STAY_SILENT) {
		while (recv(fd, &byte, 1, 0) > 0)
			continue;
		_exit(EXIT_SUCCESS);
	}
	serve_tls(server, make_server_ssl(server, fd));
	_exit(EXIT_SUCCESS);
}

struct visit {
	struct stream *stream;
	pid_t pid;
	struct error err;
};

static void visit_done(struct visit *visit)
{
	stream_free(&visit->stream);
	(void)waitpid(visit->pid, NULL, 0); /* it ends when its peer is gone */
}

#define _cleanup_visit_ _cleanup_(visit_done)

static struct visit visit_to(const struct server *server)
{
	const struct stream_options options = { .stop_fd = -1 };
	struct visit visit = { .pid = -1 };
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	visit.pid = fork();
	ck_assert_int_ge(visit.pid, 0);
	if (visit.pid == 0) {
		(void)close(fds[0]);
		serve(server, fds[1]);
	}
	(void)close(fds[1]); /* the server's */
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(
		stream_new(fds[0], &options, &visit.stream, &visit.err), 0);
	return visit;
}

static void expect_line(struct visit *visit, const char *want)
{
	char line[128];
	size_t len;

	ck_assert_msg(stream_read_line(visit->stream, line, sizeof(line), &len,
				       NULL, &visit->err) == 0,
		      "%s", visit->err.text);
	ck_assert_str_eq(line, want);
}

enum issuer {
	BY_THE_CA = 0,
	BY_ANOTHER_CA, /* of the same name */
	BY_ITSELF,
	BY_AN_INTERMEDIATE, /* which is sent along */
	BY_A_MISSING_INTERMEDIATE,
	BY_AN_EXPIRED_INTERMEDIATE,
};

static const struct {
	const char *name;
	const char *host;
	struct cert_spec spec;
	enum issuer issuer;
	const char *error; /* part of it; NULL: all is well */
} cert_cases[] = {
	{ "a good one",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:pop.example.org" },
	  BY_THE_CA,
	  NULL },
	{ "names are case-blind",
	  "POP.example.org",
	  { .cn = "x", .san = "DNS:pop.EXAMPLE.org" },
	  BY_THE_CA,
	  NULL },
	{ "a rooted name",
	  "pop.example.org.",
	  { .cn = "x", .san = "DNS:pop.example.org" },
	  BY_THE_CA,
	  NULL },
	{ "one of several names",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:a.org,DNS:pop.example.org,IP:192.0.2.1" },
	  BY_THE_CA,
	  NULL },
	{ "a whole-label wildcard",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:*.example.org" },
	  BY_THE_CA,
	  NULL },
	{ "an IPv4 address",
	  "192.0.2.1",
	  { .cn = "x", .san = "IP:192.0.2.1" },
	  BY_THE_CA,
	  NULL },
	{ "an IPv6 address in another spelling",
	  "2001:db8:0:0::1",
	  { .cn = "x", .san = "IP:2001:db8::1" },
	  BY_THE_CA,
	  NULL },
	{ "through an intermediate",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:pop.example.org" },
	  BY_AN_INTERMEDIATE,
	  NULL },
	{ "another name",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:other.example" },
	  BY_THE_CA,
	  "certificate is for other.example, not pop.example.org" },
	{ "more names than are shown",
	  "p.org",
	  { .cn = "x", .san = "DNS:a,IP:192.0.2.1,email:a@b,DNS:c,DNS:d" },
	  BY_THE_CA,
	  "certificate is for a, 192.0.2.1, c, ..., not p.org" },
	{ "a partial wildcard",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:p*.example.org" },
	  BY_THE_CA,
	  "certificate is for p*.example.org, not pop.example.org" },
	{ "a wildcard for two labels",
	  "a.pop.example.org",
	  { .cn = "x", .san = "DNS:*.example.org" },
	  BY_THE_CA,
	  "certificate is for *.example.org, not a.pop.example.org" },
	{ "the CN alone",
	  "pop.example.org",
	  { .cn = "pop.example.org" },
	  BY_THE_CA,
	  "certificate has no subject alternative name" },
	{ "a NUL in a name",
	  "localhost",
	  { .cn = "x", .raw_dns = { "localhost\0.evil.example", 23 } },
	  BY_THE_CA,
	  "certificate is for localhost?.evil.example, not" },
	{ "control bytes in a name",
	  "localhost",
	  { .cn = "x", .raw_dns = { "\033[2J\n", 5 } },
	  BY_THE_CA,
	  "certificate is for \\x1b[2J\\n, not localhost" },
	{ "an address where a name is",
	  "192.0.2.1",
	  { .cn = "x", .san = "DNS:192.0.2.1" },
	  BY_THE_CA,
	  "certificate is for 192.0.2.1, not 192.0.2.1" },
	{ "another address",
	  "192.0.2.1",
	  { .cn = "x", .san = "IP:2001:db8::1" },
	  BY_THE_CA,
	  "certificate is for 2001:db8::1, not 192.0.2.1" },
	{ "expired",
	  "pop.example.org",
	  { .cn = "the leaf",
	    .san = "DNS:pop.example.org",
	    .begin_day = -9,
	    .end_day = -1 },
	  BY_THE_CA,
	  "certificate refused: certificate has expired (subject CN=the leaf, "
	  "issuer CN=Test CA, valid 20" },
	{ "not valid yet",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:pop.example.org", .begin_day = 1 },
	  BY_THE_CA,
	  "certificate refused: certificate is not yet valid" },
	{ "self-signed",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:pop.example.org" },
	  BY_ITSELF,
	  "certificate refused: self-signed certificate (subject CN=x" },
	{ "by a CA that only bears the name",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:pop.example.org" },
	  BY_ANOTHER_CA,
	  "certificate refused: " },
	{ "a chain with a gap",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:pop.example.org" },
	  BY_A_MISSING_INTERMEDIATE,
	  "certificate refused: unable to get local issuer certificate" },
	{ "an expired intermediate is named",
	  "pop.example.org",
	  { .cn = "x", .san = "DNS:pop.example.org" },
	  BY_AN_EXPIRED_INTERMEDIATE,
	  "certificate has expired (subject CN=Intermediate, " },
	{ "control bytes in the subject",
	  "pop.example.org",
	  { .cn = "a\nb\033[2J", .san = "DNS:pop.example.org" },
	  BY_ITSELF,
	  "(subject CN=a\\0Ab\\1B[2J, " },
};

struct hierarchy {
	struct identity ca;
	struct identity other_ca;
	struct identity intermediate;
};

static struct hierarchy hierarchy_new(bool is_expired)
{
	struct cert_spec spec = { .cn = "Intermediate", .is_ca = true };
	struct hierarchy h = { .ca = make_ca("Test CA"),
			       .other_ca = make_ca("Test CA") };

	if (is_expired) {
		spec.begin_day = -9;
		spec.end_day = -1;
	}
	h.intermediate = make_identity(&spec, &h.ca);
	return h;
}

static void hierarchy_done(struct hierarchy *h)
{
	identity_done(&h->ca);
	identity_done(&h->other_ca);
	identity_done(&h->intermediate);
}

#define _cleanup_hierarchy_ _cleanup_(hierarchy_done)

static const struct identity *find_issuer(const struct hierarchy *h,
					  enum issuer issuer)
{
	if (issuer == BY_ITSELF)
		return NULL;
	if (issuer == BY_THE_CA)
		return &h->ca;
	return issuer == BY_ANOTHER_CA ? &h->other_ca : &h->intermediate;
}

static void check_outcome(int i, struct visit *visit, int r)
{
	const char *name = cert_cases[i].name;

	if (cert_cases[i].error == NULL) {
		ck_assert_msg(r == 0, "%s: %s", name, visit->err.text);
		expect_line(visit, "+OK tls");
		return;
	}
	ck_assert_msg(r < 0, "%s: was taken", name);
	ck_assert_msg(visit->err.kind == ERROR_AUTH, "%s: kind, '%s'", name,
		      visit->err.text);
	ck_assert_msg(strstr(visit->err.text, cert_cases[i].error) != NULL,
		      "%s: '%s'", name, visit->err.text);
	ck_assert_msg(stream_is_broken(visit->stream), "%s: not broken", name);
	ck_assert_msg(!stream_is_tls(visit->stream), "%s: is TLS", name);
}

START_TEST(test_certificate)
{
	enum issuer issuer = cert_cases[_i].issuer;
	_cleanup_hierarchy_ struct hierarchy h =
		hierarchy_new(issuer == BY_AN_EXPIRED_INTERMEDIATE);
	_cleanup_identity_ struct identity leaf =
		make_identity(&cert_cases[_i].spec, find_issuer(&h, issuer));
	_cleanup_tls_trust_ struct tls_trust *trust = trust_in(h.ca.cert);
	struct server server = { .id = &leaf };
	_cleanup_visit_ struct visit visit = { .pid = -1 };
	int r;

	if (issuer == BY_AN_INTERMEDIATE ||
	    issuer == BY_AN_EXPIRED_INTERMEDIATE)
		server.chain = h.intermediate.cert;
	visit = visit_to(&server);
	r = stream_start_tls(visit.stream, trust, cert_cases[_i].host,
			     &visit.err);
	check_outcome(_i, &visit, r);
}
END_TEST

/* A server whose certificate is its own CA's, and good for localhost. */
static struct identity make_localhost(void)
{
	const struct cert_spec spec = { .cn = "x", .san = "DNS:localhost" };

	return make_identity(&spec, NULL);
}

static void visit_as(enum manner manner, struct visit *visit, int want)
{
	_cleanup_identity_ struct identity id = make_localhost();
	_cleanup_tls_trust_ struct tls_trust *trust = trust_in(id.cert);
	const struct server server = { .id = &id, .manner = manner };
	int r;

	*visit = visit_to(&server);
	if (manner == STAY_SILENT)
		stream_set_timeout(visit->stream, 20 * USEC_PER_MSEC);
	r = stream_start_tls(visit->stream, trust, "localhost", &visit->err);
	ck_assert_msg(r == want, "%s", visit->err.text);
}

/* So that it is our own limit that refuses TLS 1.1, not the system's. */
static void allow_all_that_openssl_can(void)
{
	static struct memory_file file; /* read when OpenSSL is first used */

	file = memory_file_new("openssl_conf = init\n"
			       "[init]\nssl_conf = ssl\n"
			       "[ssl]\nsystem_default = all\n"
			       "[all]\nMinProtocol = TLSv1\n"
			       "CipherString = ALL:@SECLEVEL=0\n");
	ck_assert_int_eq(setenv("OPENSSL_CONF", file.path, 1), 0);
}

static const struct {
	const char *name;
	enum manner manner;
	const char *error; /* part of it */
} handshake_cases[] = {
	{ "a server without TLS", STAY_CLEAR,
	  "server does not speak TLS on this port; "
	  "is tls = \"starttls\" meant?" },
	{ "a server that is silent", STAY_SILENT,
	  "no TLS handshake within 20 ms" },
	{ "a server with TLS 1.1", OLD_TLS,
	  "TLS handshake: tlsv1 alert protocol version" },
	{ "a server that closes", HANG_UP, "" },
};

START_TEST(test_handshake_failure)
{
	_cleanup_visit_ struct visit visit = { .pid = -1 };
	const char *name = handshake_cases[_i].name;

	allow_all_that_openssl_can();
	visit_as(handshake_cases[_i].manner, &visit, -1);
	ck_assert_msg(visit.err.kind == ERROR_NETWORK, "%s: kind", name);
	ck_assert_msg(strstr(visit.err.text, handshake_cases[_i].error) != NULL,
		      "%s: '%s'", name, visit.err.text);
	ck_assert_msg(stream_is_broken(visit.stream), "%s: not broken", name);
}
END_TEST

START_TEST(an_empty_host_would_match_all_and_is_refused)
{
	_cleanup_identity_ struct identity id = make_localhost();
	_cleanup_tls_trust_ struct tls_trust *trust = trust_in(id.cert);
	struct tls *tls = NULL;
	struct error err;

	ck_assert_int_lt(tls_new(trust, STDIN_FILENO, "", &tls, &err), 0);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_null(tls);
}
END_TEST

START_TEST(lines_go_both_ways_and_the_stream_says_how)
{
	_cleanup_visit_ struct visit visit = { .pid = -1 };

	visit_as(GREET_AND_ECHO, &visit, 0);
	ck_assert(stream_is_tls(visit.stream));
	ck_assert_ptr_eq(
		strstr(stream_tls_description(visit.stream), "TLSv1.3 TLS_"),
		stream_tls_description(visit.stream));
	expect_line(&visit, "+OK tls");
	ck_assert_int_eq(stream_queue(visit.stream, "NOOP\r\n", 6, &visit.err),
			 0);
	ck_assert_int_eq(stream_flush(visit.stream, &visit.err), 0);
	expect_line(&visit, "NOOP");
}
END_TEST

/* TLS 1.3 sends its session tickets unasked: they are no answer. */
START_TEST(what_only_openssl_has_to_read_is_no_input)
{
	_cleanup_visit_ struct visit visit = { .pid = -1 };

	visit_as(GREET_AND_ECHO, &visit, 0);
	expect_line(&visit, "+OK tls");
	ck_assert_int_eq(
		stream_wait(visit.stream, 5 * USEC_PER_MSEC, &visit.err), 0);
}
END_TEST

static const enum manner ends[] = { GREET_AND_CUT, GREET_AND_CLOSE };

START_TEST(an_end_is_an_end_with_close_notify_or_without)
{
	_cleanup_visit_ struct visit visit = { .pid = -1 };

	visit_as(ends[_i], &visit, 0);
	expect_line(&visit, "+OK tls");
	ck_assert_int_lt(stream_fill(visit.stream, &visit.err), 0);
	ck_assert_int_eq(visit.err.kind, ERROR_NETWORK);
	ck_assert_str_eq(visit.err.text, "server closed the connection");
	ck_assert(stream_is_broken(visit.stream));
}
END_TEST

START_TEST(many_records_arrive_whole_and_in_order)
{
	_cleanup_visit_ struct visit visit = { .pid = -1 };
	size_t n_wrong = 0;
	size_t at = 0;

	visit_as(SEND_BULK, &visit, 0);
	while (at < BULK) {
		struct bytes bytes;

		ck_assert_msg(stream_fill(visit.stream, &visit.err) == 0, "%s",
			      visit.err.text);
		bytes = stream_peek(visit.stream);
		for (size_t i = 0; i < bytes.len; i++)
			n_wrong += bytes.data[i] != pattern(at++);
		stream_consume(visit.stream, bytes.len);
	}
	ck_assert_uint_eq(at, BULK);
	ck_assert_uint_eq(n_wrong, 0);
}
END_TEST

START_TEST(a_queue_longer_than_the_socket_takes_leaves_whole)
{
	static char data[BULK];
	_cleanup_visit_ struct visit visit = { .pid = -1 };

	for (size_t i = 0; i < BULK; i++)
		data[i] = pattern(i);
	visit_as(COUNT_BULK, &visit, 0);
	ck_assert_int_eq(stream_queue(visit.stream, data, BULK, &visit.err), 0);
	ck_assert_msg(stream_flush(visit.stream, &visit.err) == 0, "%s",
		      visit.err.text);
	expect_line(&visit, "+OK counted");
}
END_TEST

START_TEST(a_server_that_stays_in_clear_after_stls_is_refused)
{
	_cleanup_identity_ struct identity id = make_localhost();
	_cleanup_tls_trust_ struct tls_trust *trust = trust_in(id.cert);
	const struct stream_options options = { .stop_fd = -1 };
	_cleanup_stream_ struct stream *stream = NULL;
	_cleanup_fd_ int peer = -1;
	struct error err;
	char line[64];
	size_t len;
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	peer = fds[1];
	ck_assert_int_eq(stream_new(fds[0], &options, &stream, &err), 0);
	ck_assert_int_eq(send(peer, "+OK go ahead\r\n", 14, 0), 14);
	ck_assert_int_eq(
		stream_read_line(stream, line, sizeof(line), &len, NULL, &err),
		0);
	/* The answer comes once the hello was seen, so no early check finds it. */
	if (fork() == 0) {
		if (recv(peer, line, 1, 0) == 1)
			(void)send(peer, "+OK injected\r\n", 14, 0);
		_exit(EXIT_SUCCESS);
	}
	ck_assert_int_lt(stream_start_tls(stream, trust, "localhost", &err), 0);
	ck_assert_int_eq(err.kind, ERROR_PROTOCOL);
	ck_assert_str_eq(err.text, "server goes on in clear after STLS");
	ck_assert(stream_is_broken(stream));
}
END_TEST

static const struct {
	const char *name;
	const char *path; /* NULL: a file with the text */
	const char *text;
} file_cases[] = {
	{ "a file that is not there", "/nonexistent/ca.pem", NULL },
	{ "a directory", "/", NULL },
	{ "an empty file", NULL, "" },
	{ "a file without a certificate", NULL, "joe:secret\n" },
	{ "a certificate that is cut", NULL,
	  "-----BEGIN CERTIFICATE-----\nMIIB\n" },
};

START_TEST(test_bad_ca_file)
{
	_cleanup_memory_file_ struct memory_file file = memory_file_new(
		file_cases[_i].text != NULL ? file_cases[_i].text : "");
	const char *path = file_cases[_i].path != NULL ? file_cases[_i].path
						       : file.path;
	const char *name = file_cases[_i].name;
	struct tls_trust *trust = NULL;
	struct error err = { 0 };

	ck_assert_msg(tls_trust_load(path, &trust, &err) < 0, "%s: was taken",
		      name);
	ck_assert_msg(err.kind == ERROR_CONFIG, "%s: kind", name);
	ck_assert_msg(strstr(err.text, path) != NULL, "%s: '%s'", name,
		      err.text);
	ck_assert_msg(trust == NULL, "%s: output written", name);
}
END_TEST

START_TEST(the_bundle_of_the_environment_is_used)
{
	_cleanup_identity_ struct identity id = make_localhost();
	_cleanup_string_ char *pem = to_pem(id.cert);
	_cleanup_memory_file_ struct memory_file file = memory_file_new(pem);
	_cleanup_tls_trust_ struct tls_trust *trust = NULL;
	struct error err;

	ck_assert_int_eq(setenv("SSL_CERT_FILE", file.path, 1), 0);
	ck_assert_msg(tls_trust_load(NULL, &trust, &err) == 0, "%s", err.text);
	ck_assert_int_eq(setenv("SSL_CERT_FILE", "/nonexistent/ca.pem", 1), 0);
	ck_assert_int_lt(tls_trust_load(NULL, &trust, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/ca.pem"));
}
END_TEST

START_TEST(a_changed_file_makes_the_trust_stale)
{
	_cleanup_identity_ struct identity id = make_localhost();
	_cleanup_string_ char *pem = to_pem(id.cert);
	_cleanup_memory_file_ struct memory_file file = memory_file_new(pem);
	_cleanup_tls_trust_ struct tls_trust *trust = NULL;
	const struct timespec times[2] = {
		{ .tv_sec = 1 }, { .tv_sec = 1, .tv_nsec = 1000000 }
	};
	struct error err;

	ck_assert_int_eq(futimens(file.fd, times), 0);
	ck_assert_int_eq(tls_trust_load(file.path, &trust, &err), 0);
	ck_assert(!tls_trust_is_stale(trust));
	ck_assert_int_eq(write(file.fd, "\n", 1), 1);
	ck_assert_int_eq(futimens(file.fd, times), 0);
	ck_assert_msg(tls_trust_is_stale(trust), "another size");
	tls_trust_free(&trust);

	ck_assert_int_eq(tls_trust_load(file.path, &trust, &err), 0);
	ck_assert(!tls_trust_is_stale(trust));
	ck_assert_int_eq(
		futimens(file.fd,
			 (struct timespec[]){
				 { .tv_sec = 1 },
				 { .tv_sec = 1, .tv_nsec = 2000000 } }),
		0);
	ck_assert_msg(tls_trust_is_stale(trust), "another time");
	tls_trust_free(&trust);

	ck_assert_int_eq(tls_trust_load(file.path, &trust, &err), 0);
	fd_close(&file.fd);
	ck_assert_msg(tls_trust_is_stale(trust), "gone");
}
END_TEST

static TCase *make_trust_case(void)
{
	TCase *tcase = tcase_create("trust");

	tcase_add_loop_test(tcase, test_certificate, 0, ARRAY_SIZE(cert_cases));
	tcase_add_test(tcase, an_empty_host_would_match_all_and_is_refused);
	tcase_add_loop_test(tcase, test_bad_ca_file, 0, ARRAY_SIZE(file_cases));
	tcase_add_test(tcase, the_bundle_of_the_environment_is_used);
	tcase_add_test(tcase, a_changed_file_makes_the_trust_stale);
	return tcase;
}

static TCase *make_stream_case(void)
{
	TCase *tcase = tcase_create("stream");

	tcase_add_loop_test(tcase, test_handshake_failure, 0,
			    ARRAY_SIZE(handshake_cases));
	tcase_add_test(tcase, lines_go_both_ways_and_the_stream_says_how);
	tcase_add_test(tcase, what_only_openssl_has_to_read_is_no_input);
	tcase_add_loop_test(tcase,
			    an_end_is_an_end_with_close_notify_or_without, 0,
			    ARRAY_SIZE(ends));
	tcase_add_test(tcase, many_records_arrive_whole_and_in_order);
	tcase_add_test(tcase,
		       a_queue_longer_than_the_socket_takes_leaves_whole);
	tcase_add_test(tcase,
		       a_server_that_stays_in_clear_after_stls_is_refused);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("tls");
	SRunner *runner;
	int n_failed;

	suite_add_tcase(suite, make_trust_case());
	suite_add_tcase(suite, make_stream_case());

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
