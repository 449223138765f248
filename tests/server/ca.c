/*
 * ca.c - a throwaway CA and the certificates, good and bad, that tests need.
 *
 * The CA's key is never written: nobody can sign anything with it later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "ca.h"

#define DAY_SEC  (24L * 60 * 60)
#define YEAR_SEC (365 * DAY_SEC)

static void key_free(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void certificate_free(X509 **certificate)
{
	X509_free(*certificate);
}

static void file_close(FILE **file)
{
	if (*file)
		(void)fclose(*file); /* only on the way out of a failure */
}

#define _cleanup_key_         _cleanup_(key_free)
#define _cleanup_certificate_ _cleanup_(certificate_free)
#define _cleanup_file_        _cleanup_(file_close)

/* Who signs: at first nobody. */
struct authority {
	EVP_PKEY *key;
	X509 *certificate;
};

struct leaf {
	const char *name;
	const char *hosts; /* subject alternative names; NULL: it is a CA */
	long from_sec;     /* relative to now */
	long until_sec;
	bool is_self_signed;
};

static const struct leaf ca_leaf = {
	.name = "ca",
	.from_sec = -2 * DAY_SEC,
	.until_sec = 10 * YEAR_SEC,
	.is_self_signed = true,
};

#define GOOD_HOSTS "DNS:localhost,DNS:pop.test,IP:127.0.0.1,IP:::1"

static const struct leaf leaves[] = {
	{ "good", GOOD_HOSTS, -DAY_SEC, 10 * YEAR_SEC, false },
	{ "wrong-name", "DNS:other.example", -DAY_SEC, 10 * YEAR_SEC, false },
	{ "expired", GOOD_HOSTS, -2 * DAY_SEC, -DAY_SEC, false },
	{ "selfsigned", GOOD_HOSTS, -DAY_SEC, 10 * YEAR_SEC, true },
};

static bool add_extension(X509 *certificate, X509 *issuer, int nid,
			  const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool is_added;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (!extension)
		return false;
	is_added = X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return is_added;
}

static bool add_extensions(X509 *certificate, X509 *issuer,
			   const struct leaf *leaf)
{
	const char *usage = leaf->hosts ? "critical,digitalSignature"
					: "critical,keyCertSign";

	return add_extension(certificate, issuer, NID_basic_constraints,
			     leaf->hosts ? "CA:FALSE" : "critical,CA:TRUE") &&
	       add_extension(certificate, issuer, NID_key_usage, usage) &&
	       add_extension(certificate, issuer, NID_subject_key_identifier,
			     "hash") &&
	       add_extension(certificate, issuer, NID_authority_key_identifier,
			     "keyid") &&
	       (!leaf->hosts ||
		add_extension(certificate, issuer, NID_subject_alt_name,
			      leaf->hosts));
}

static bool set_serial(X509 *certificate)
{
	uint64_t serial;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return false;
	serial >>= 1; /* positive, RFC 5280 section 4.1.2.2 */
	return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate),
				       serial) == 1;
}

static bool set_names(X509 *certificate, const X509 *issuer,
		      const struct leaf *leaf)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	char name[128];

	(void)snprintf(name, sizeof(name), "pop3-player %s", leaf->name);
	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
					  (const unsigned char *)name, -1, -1,
					  0) == 1 &&
	       X509_set_issuer_name(certificate,
				    X509_get_subject_name(issuer)) == 1;
}

static int certify(const struct leaf *leaf, EVP_PKEY *key,
		   const struct authority *authority, X509 **ret,
		   struct failure *failure)
{
	_cleanup_certificate_ X509 *certificate = X509_new();
	X509 *issuer = leaf->is_self_signed ? certificate
					    : authority->certificate;
	EVP_PKEY *signer = leaf->is_self_signed ? key : authority->key;

	if (!certificate ||
	    X509_set_version(certificate, X509_VERSION_3) != 1 ||
	    !set_serial(certificate) ||
	    !X509_gmtime_adj(X509_getm_notBefore(certificate),
			     leaf->from_sec) ||
	    !X509_gmtime_adj(X509_getm_notAfter(certificate),
			     leaf->until_sec) ||
	    X509_set_pubkey(certificate, key) != 1 ||
	    !set_names(certificate, issuer, leaf) ||
	    !add_extensions(certificate, issuer, leaf) ||
	    X509_sign(certificate, signer, EVP_sha256()) == 0)
		return fail_openssl(failure, leaf->name);
	*ret = TAKE_PTR(certificate);
	return 0;
}

static FILE *open_pem(const char *dir, const char *name, const char *suffix,
		      struct failure *failure)
{
	char path[4096];
	FILE *file;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s.%s", dir, name, suffix);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		  strcmp(suffix, "key") == 0 ? 0600 : 0644);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file)
		(void)fail_errno(failure, path);
	return file;
}

static int write_certificate(const char *dir, const char *name,
			     X509 *certificate, struct failure *failure)
{
	_cleanup_file_ FILE *file = open_pem(dir, name, "pem", failure);

	if (!file)
		return -1;
	if (PEM_write_X509(file, certificate) != 1)
		return fail_openssl(failure, name);
	if (fclose(TAKE_PTR(file)) != 0)
		return fail_errno(failure, name);
	return 0;
}

static int write_key(const char *dir, const char *name, EVP_PKEY *key,
		     struct failure *failure)
{
	_cleanup_file_ FILE *file = open_pem(dir, name, "key", failure);

	if (!file)
		return -1;
	if (PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1)
		return fail_openssl(failure, name);
	if (fclose(TAKE_PTR(file)) != 0)
		return fail_errno(failure, name);
	return 0;
}

static int make_leaf(const char *dir, const struct leaf *leaf,
		     const struct authority *authority, struct failure *failure)
{
	_cleanup_key_ EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_certificate_ X509 *certificate = NULL;

	if (!key)
		return fail_openssl(failure, "cannot make a key");
	if (certify(leaf, key, authority, &certificate, failure) < 0 ||
	    write_certificate(dir, leaf->name, certificate, failure) < 0)
		return -1;
	return write_key(dir, leaf->name, key, failure);
}

int ca_make(const char *dir, struct failure *failure)
{
	_cleanup_key_ EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_certificate_ X509 *certificate = NULL;
	struct authority authority;

	if (!key)
		return fail_openssl(failure, "cannot make a key");
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return fail_errno(failure, dir);
	if (certify(&ca_leaf, key, NULL, &certificate, failure) < 0 ||
	    write_certificate(dir, ca_leaf.name, certificate, failure) < 0)
		return -1;

	authority =
		(struct authority){ .key = key, .certificate = certificate };
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		if (make_leaf(dir, &leaves[i], &authority, failure) < 0)
			return -1;
	}
	return 0;
}
