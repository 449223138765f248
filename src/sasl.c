/*
 * sasl.c - the client's messages of each mechanism.
 *
 * Pure: no I/O, and no opinion on what may be sent in clear. What it makes on
 * the way is wiped, since it holds the secret; the result is the caller's to
 * wipe.
 */
#include "sasl.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#define MD5_SIZE 16

static void digest_free(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context); /* wipes, and accepts NULL */
	*context = NULL;
}

static void format_hex(char *dst, const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		dst[2 * i] = digits[data[i] >> 4];
		dst[2 * i + 1] = digits[data[i] & 15];
	}
	dst[2 * len] = '\0';
}

/* Memory that is short now says nothing of the configuration. */
static int md5_error(struct error *err)
{
	bool has_no_memory = false;
	unsigned long code;

	while ((code = ERR_get_error()) != 0)
		has_no_memory |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
	if (has_no_memory)
		return error_set_memory(err);
	return error_set(err, ERROR_CONFIG,
			 "APOP needs MD5, which OpenSSL refuses here "
			 "(FIPS mode?); choose another auth");
}

int sasl_apop_digest(const char *timestamp, struct bytes secret,
		     char ret[SASL_APOP_DIGEST_SIZE], struct error *err)
{
	_cleanup_(digest_free) EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t digest[MD5_SIZE];

	if (context == NULL)
		return error_set_memory(err);
	if (EVP_DigestInit_ex(context, EVP_md5(), NULL) != 1)
		return md5_error(err);
	if (EVP_DigestUpdate(context, timestamp, strlen(timestamp)) != 1 ||
	    EVP_DigestUpdate(context, secret.data, secret.len) != 1 ||
	    EVP_DigestFinal_ex(context, digest, NULL) != 1)
		return error_set(err, ERROR_LOCAL, "MD5 failed");

	format_hex(ret, digest, sizeof(digest));
	return 0;
}

static bool has_nul(struct bytes bytes)
{
	return bytes.len > 0 && memchr(bytes.data, '\0', bytes.len) != NULL;
}

/* RFC 4616 section 2: [authzid] NUL authcid NUL passwd. */
static void plain_join(uint8_t *dst, struct bytes username, struct bytes secret)
{
	*dst++ = '\0';
	memcpy(dst, username.data, username.len);
	dst += username.len;
	*dst++ = '\0';
	memcpy(dst, secret.data, secret.len);
}

int sasl_plain(struct bytes username, struct bytes secret, char **ret,
	       struct error *err)
{
	_cleanup_string_ char *message = NULL;
	_cleanup_string_ char *encoded = NULL;
	size_t len;

	if (has_nul(username) || has_nul(secret))
		return error_set(err, ERROR_CONFIG,
				 "user name or password holds a NUL byte");
	if (username.len > INT_MAX / 4 || secret.len > INT_MAX / 4)
		return error_set(err, ERROR_CONFIG,
				 "user name or password is too long");

	len = username.len + secret.len + 2;
	message = malloc(len);
	encoded = malloc((len + 2) / 3 * 4 + 1);
	if (message == NULL || encoded == NULL)
		return error_set_memory(err);

	plain_join((uint8_t *)message, username, secret);
	(void)EVP_EncodeBlock((uint8_t *)encoded, (uint8_t *)message, (int)len);
	explicit_bzero(message, len);

	*ret = TAKE_PTR(encoded);
	return 0;
}
