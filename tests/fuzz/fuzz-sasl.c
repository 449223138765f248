/*
 * fuzz-sasl.c - from the server's greeting to what is sent for a login.
 *
 * Three lines: the greeting, whose timestamp APOP digests, the user's name and
 * the secret. Mechanisms whose server sends a challenge are not there yet.
 */
#include <openssl/evp.h>
#include <string.h>

#include "fuzz.h"
#include "pop3_parse.h"
#include "sasl.h"

/* In a block of its own size. The caller frees ret->data. */
static struct bytes take_line(const uint8_t **data, size_t *size)
{
	const uint8_t *lf = *size > 0 ? memchr(*data, '\n', *size) : NULL;
	size_t len = lf != NULL ? (size_t)(lf - *data) : *size;
	char *copy = malloc(len + 1);

	if (copy == NULL)
		abort();
	copy[len] = '\0';
	if (len > 0)
		memcpy(copy, *data, len);
	*data += len + (lf != NULL);
	*size -= len + (lf != NULL);
	return (struct bytes){ .data = copy, .len = len };
}

static void try_apop(struct bytes greeting, struct bytes secret)
{
	char timestamp[POP3_TIMESTAMP_MAX];
	char digest[SASL_APOP_DIGEST_SIZE];
	struct error err;

	if (!pop3_parse_timestamp(greeting, timestamp, sizeof(timestamp)))
		return;
	check(is_printable(timestamp));
	check(memmem(greeting.data, greeting.len, timestamp,
		     strlen(timestamp)) != NULL);
	check(sasl_apop_digest(timestamp, secret, digest, &err) == 0);
	check(strlen(digest) == 32 && strspn(digest, "0123456789abcdef") == 32);
}

/* What the server will read of it. */
static void check_plain(const char *encoded, struct bytes username,
			struct bytes secret)
{
	size_t len = strlen(encoded), wanted = username.len + secret.len + 2;
	_cleanup_string_ char *message = malloc(len / 4 * 3 + 1);
	int n;

	if (message == NULL)
		abort();
	n = EVP_DecodeBlock((uint8_t *)message, (const uint8_t *)encoded,
			    (int)len);
	check(n >= 0 && (size_t)n == (wanted + 2) / 3 * 3);
	check(message[0] == '\0' && message[1 + username.len] == '\0');
	check(memcmp(message + 1, username.data, username.len) == 0);
	check(memcmp(message + 2 + username.len, secret.data, secret.len) == 0);
}

static void try_plain(struct bytes username, struct bytes secret)
{
	_cleanup_string_ char *encoded = NULL;
	struct error err;

	if (sasl_plain(username, secret, &encoded, &err) == 0)
		check_plain(encoded, username, secret);
	else
		check(strlen(username.data) < username.len ||
		      strlen(secret.data) < secret.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes greeting = take_line(&data, &size);
	struct bytes username = take_line(&data, &size);
	struct bytes secret = take_line(&data, &size);

	try_apop(greeting, secret);
	try_plain(username, secret);
	free((char *)(uintptr_t)greeting.data);
	free((char *)(uintptr_t)username.data);
	free((char *)(uintptr_t)secret.data);
	return 0;
}
