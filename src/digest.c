/*
 * digest.c - SHA-256 of a message, less what servers write anew at each visit.
 *
 * Reads the header one line at a time, of which it keeps no more than a field
 * name of NAME_MAX_LEN bytes: a longer name is none of the volatile ones. The
 * header ends at the first empty line. From there on every byte counts.
 */
#include "digest.h"

#include <openssl/evp.h>
#include <string.h>

#define NAME_MAX_LEN 64

enum part {
	PART_LINE_START = 0,
	PART_NAME, /* of a field, up to its colon: held back in name */
	PART_LINE, /* the rest of a header line */
	PART_BODY,
};

struct digest {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
	enum part part;
	bool is_volatile; /* this field is left out, with its folded lines */
	bool has_failed;
	size_t name_len;
	char name[NAME_MAX_LEN];
};

/*
 * A name that ends in '-' stands for all that begin so. mailutils-pop3d 3.15
 * writes X-UIDL, X-IMAPbase, X-UID and Status into the mail that it keeps.
 */
static const char *const volatile_fields[] = {
	"X-UIDL",     "X-UID", "Status",         "X-Status", "X-Keywords",
	"X-Mozilla-", "Lines", "Content-Length", "X-IMAP",   "X-IMAPbase",
};

int digest_new(struct digest **ret, struct error *err)
{
	_cleanup_digest_ struct digest *digest = NULL;

	digest = calloc(1, sizeof(*digest));
	if (!digest)
		return error_set_memory(err);
	digest->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	digest->ctx = EVP_MD_CTX_new();
	if (!digest->md || !digest->ctx)
		return error_set(err, ERROR_LOCAL, "OpenSSL has no SHA-256");

	*ret = TAKE_PTR(digest);
	return 0;
}

void digest_free(struct digest **digest)
{
	if (!*digest)
		return;
	EVP_MD_CTX_free((*digest)->ctx);
	EVP_MD_free((*digest)->md);
	free(*digest);
	*digest = NULL;
}

void digest_begin(struct digest *digest)
{
	digest->part = PART_LINE_START;
	digest->is_volatile = false;
	digest->name_len = 0;
	digest->has_failed =
		EVP_DigestInit_ex2(digest->ctx, digest->md, NULL) != 1;
}

static void feed(struct digest *digest, const char *data, size_t len)
{
	/* OpenSSL 3.0 crashes in an update of what it could not begin. */
	if (digest->has_failed || EVP_DigestUpdate(digest->ctx, data, len) != 1)
		digest->has_failed = true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_volatile_name(const char *name, size_t len)
{
	/* RFC 5322 section 4.5: old mail may have blanks before the colon. */
	while (len > 0 && is_blank(name[len - 1]))
		len--;

	for (size_t i = 0; i < ARRAY_SIZE(volatile_fields); i++) {
		const char *field = volatile_fields[i];
		size_t field_len = strlen(field);
		bool is_prefix = field[field_len - 1] == '-';

		if ((len == field_len || (is_prefix && len > field_len)) &&
		    strncasecmp(name, field, field_len) == 0)
			return true;
	}
	return false;
}

/* Each of the following takes bytes off the front and returns how many. */
static size_t take_line_start(struct digest *digest, char c)
{
	if (c == '\n') {
		feed(digest, &c, 1);
		digest->part = PART_BODY;
		return 1;
	}
	if (is_blank(c)) {
		digest->part = PART_LINE; /* folded: as the line before it */
		return 0;
	}
	digest->name_len = 0;
	digest->part = PART_NAME;
	return 0;
}

static size_t take_name(struct digest *digest, char c)
{
	if (c != ':' && c != '\n' && digest->name_len < sizeof(digest->name)) {
		digest->name[digest->name_len++] = c;
		return 1;
	}

	digest->is_volatile = c == ':' &&
			      is_volatile_name(digest->name, digest->name_len);
	if (!digest->is_volatile)
		feed(digest, digest->name, digest->name_len);
	digest->part = PART_LINE;
	return 0;
}

static size_t take_line(struct digest *digest, const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);

	if (end) {
		len = (size_t)(end - data) + 1;
		digest->part = PART_LINE_START;
	}
	if (!digest->is_volatile)
		feed(digest, data, len);
	return len;
}

static size_t take(struct digest *digest, const char *data, size_t len)
{
	switch (digest->part) {
	case PART_LINE_START:
		return take_line_start(digest, *data);
	case PART_NAME:
		return take_name(digest, *data);
	case PART_LINE:
		return take_line(digest, data, len);
	case PART_BODY:
		break;
	}
	feed(digest, data, len);
	return len;
}

void digest_add(struct digest *digest, const char *data, size_t len)
{
	size_t taken;

	while (len > 0) {
		taken = take(digest, data, len);
		data += taken;
		len -= taken;
	}
}

int digest_end(struct digest *digest, uint8_t ret[DIGEST_SIZE],
	       struct error *err)
{
	uint8_t value[DIGEST_SIZE];

	if (digest->part == PART_NAME) /* the message ends in a name */
		feed(digest, digest->name, digest->name_len);
	if (digest->has_failed ||
	    EVP_DigestFinal_ex(digest->ctx, value, NULL) != 1)
		return error_set(err, ERROR_LOCAL,
				 "OpenSSL cannot compute SHA-256");

	memcpy(ret, value, sizeof(value));
	return 0;
}

int digest_bytes(struct bytes bytes, uint8_t ret[DIGEST_SIZE],
		 struct error *err)
{
	uint8_t value[DIGEST_SIZE];

	if (EVP_Digest(bytes.data, bytes.len, value, NULL, EVP_sha256(),
		       NULL) != 1)
		return error_set(err, ERROR_LOCAL,
				 "OpenSSL cannot compute SHA-256");
	memcpy(ret, value, sizeof(value));
	return 0;
}
