/*
 * fuzz-listing.c - whole answers to CAPA, UIDL and LIST, over a real stream.
 *
 * The first byte chooses what the server can do as far as we know.
 */
#include <string.h>

#include "fuzz.h"
#include "listing.h"
#include "server.h"

static bool holds(struct bytes whole, struct bytes part)
{
	return part.len == 0 ||
	       memmem(whole.data, whole.len, part.data, part.len) != NULL;
}

static void check_uid(struct bytes uid, struct bytes says)
{
	check(uid.len <= 1024);
	/* 32 bytes may be the digest of a longer one. */
	if (uid.len != 32)
		check(memchr(uid.data, '\0', uid.len) == NULL &&
		      holds(says, uid));
}

static void check_listing(const struct listing *listing, struct bytes says)
{
	uint32_t number = 0;

	for (size_t i = 0; i < listing->n_items; i++) {
		const struct plan_item *item = &listing->items[i];

		check(item->number > number);
		check(item->number <= POP3_NUMBER_MAX);
		check(item->list_size >= -1);
		check(listing->has_uids || item->list_size >= 0);
		check(listing->has_uids || item->uid.len == 0);
		check_uid(item->uid, says);
		number = item->number;
	}
}

static struct pop3 *begin(uint8_t options, struct bytes says)
{
	const struct stream_options stream_options = {
		.stop_fd = -1,
		.stop_timeout_usec = USEC_PER_SEC,
	};
	const struct pop3_timeouts timeouts = {
		.reply_usec = USEC_PER_SEC,
		.login_usec = USEC_PER_SEC,
	};
	const struct pop3_capa capa = {
		.known = true,
		.pipelining = options & 1,
		.uidl = options & 2,
	};
	struct stream *stream = NULL;
	struct pop3 *pop3 = NULL;
	struct error err;

	check(stream_new(server_begin(says, false), &stream_options, &stream,
			 &err) == 0);
	check(pop3_new(stream, &timeouts, &pop3, &err) == 0);
	if (options & 4)
		pop3_assume_capa(pop3, &capa);
	return pop3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t options = take_byte(&data, &size);
	const struct bytes says = {
		.data = (const char *)data,
		.len = MIN(size, (size_t)SERVER_SAYS_MAX),
	};
	_cleanup_pop3_ struct pop3 *pop3 = begin(options, says);
	struct listing listing = { 0 };
	struct error err = { 0 };

	if (listing_read(pop3, &listing, &err) == 0)
		check_listing(&listing, says);
	else
		check(err.kind != ERROR_NONE && err.text[0] != '\0' &&
		      is_printable(err.text));
	listing_done(&listing);
	check(strlen(server_end()) <= strlen("CAPA\r\nUIDL\r\nLIST\r\n"));
	return 0;
}
