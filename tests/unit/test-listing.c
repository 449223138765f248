/*
 * test-listing.c - what is made of a server's UIDL and LIST.
 */
#include "listing.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "peer.h"

/* Names the messages with their sizes; "!" in front: incomplete. */
static const struct {
	const char *name;
	const char *uidl; /* the whole reply */
	const char *list;
	const char *expected; /* NULL: refused, and the next column says how */
	enum error_kind kind;
	const char *capa; /* NULL: "UIDL" */
} listing_cases[] = {
	{ .name = "an empty mailbox",
	  .uidl = "+OK\r\n.\r\n",
	  .list = "+OK\r\n.\r\n",
	  .expected = "" },
	{ .name = "two messages",
	  .uidl = "+OK\r\n1 A\r\n2 B\r\n.\r\n",
	  .list = "+OK 2 messages\r\n1 10\r\n2 20\r\n.\r\n",
	  .expected = "1 A 10, 2 B 20" },
	{ .name = "lines in any order",
	  .uidl = "+OK\r\n3 C\r\n1 A\r\n2 B\r\n.\r\n",
	  .list = "+OK\r\n2 20\r\n3 30\r\n1 10\r\n.\r\n",
	  .expected = "1 A 10, 2 B 20, 3 C 30" },
	{ .name = "numbers with holes",
	  .uidl = "+OK\r\n2 B\r\n9 I\r\n.\r\n",
	  .list = "+OK\r\n2 20\r\n9 90\r\n.\r\n",
	  .expected = "2 B 20, 9 I 90" },
	{ .name = "what LIST does not name has no size",
	  .uidl = "+OK\r\n1 A\r\n2 B\r\n3 C\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n3 30\r\n.\r\n",
	  .expected = "1 A 10, 2 B -1, 3 C 30" },
	{ .name = "what UIDL does not name is left for later, and missed",
	  .uidl = "+OK\r\n1 A\r\n3 C\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 20\r\n3 30\r\n.\r\n",
	  .expected = "!1 A 10, 3 C 30" },
	{ .name = "a message without a UID is listed without",
	  .uidl = "+OK\r\n1\r\n2 \r\n3 C\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 20\r\n3 30\r\n.\r\n",
	  .expected = "1  10, 2  20, 3 C 30" },
	{ .name = "one UID of two messages is kept as it is",
	  .uidl = "+OK\r\n1 A\r\n2 A\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 20\r\n.\r\n",
	  .expected = "1 A 10, 2 A 20" },
	{ .name = "blanks and 8-bit belong to a UID",
	  .uidl = "+OK\r\n1 a b  c\r\n2 \xe4\xff\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 20\r\n.\r\n",
	  .expected = "1 a b  c 10, 2 \xe4\xff 20" },
	{ .name = "a UID may begin with a dot",
	  .uidl = "+OK\r\n1 .\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .expected = "1 . 10" },
	{ .name = "words behind a size are the server's business",
	  .uidl = "+OK\r\n1 A\r\n.\r\n",
	  .list = "+OK\r\n1 10 octets\r\n.\r\n",
	  .expected = "1 A 10" },
	{ .name = "lines that end in LF alone",
	  .uidl = "+OK\n1 A\n2 B\n.\n",
	  .list = "+OK\n1 10\n2 20\n.\n",
	  .expected = "1 A 10, 2 B 20" },
	{ .name = "a number that comes twice counts once and makes it incomplete",
	  .uidl = "+OK\r\n1 A\r\n2 B\r\n1 A\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 20\r\n.\r\n",
	  .expected = "!1 A 10, 2 B 20" },
	{ .name = "a number with two UIDs could mean either message: none",
	  .uidl = "+OK\r\n1 A\r\n2 B\r\n1 C\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 20\r\n.\r\n",
	  .expected = "!2 B 20" },
	{ .name = "a UIDL line that is none makes it incomplete",
	  .uidl = "+OK\r\n1 A\r\nx y\r\n2 B\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 20\r\n.\r\n",
	  .expected = "!1 A 10, 2 B 20" },
	{ .name = "a LIST line that is none makes it incomplete",
	  .uidl = "+OK\r\n1 A\r\n2 B\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n2 -5\r\n.\r\n",
	  .expected = "!1 A 10, 2 B -1" },
	{ .name = "an empty line is no line",
	  .uidl = "+OK\r\n\r\n1 A\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .expected = "!1 A 10" },
	{ .name = "a number beyond any mailbox makes it incomplete",
	  .uidl = "+OK\r\n1 A\r\n4294967297 B\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .expected = "!1 A 10" },
	{ .name = "message 0 makes it incomplete",
	  .uidl = "+OK\r\n0 Z\r\n1 A\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .expected = "!1 A 10" },
	{ .name = "a size that no file can have is unknown and makes it incomplete",
	  .uidl = "+OK\r\n1 A\r\n.\r\n",
	  .list = "+OK\r\n1 18446744073709551615\r\n.\r\n",
	  .expected = "!1 A -1" },
	{ .name = "a server without UIDL is known by numbers and sizes",
	  .uidl = "-ERR unknown command\r\n",
	  .list = "+OK\r\n2 20\r\n1 10\r\n.\r\n",
	  .expected = "(no UIDL) 1  10, 2  20", .capa = "USER" },
	{ .name = "UIDL that CAPA does not name is used all the same",
	  .uidl = "+OK\r\n1 A\r\n.\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .expected = "1 A 10", .capa = "USER" },
	{ .name = "UIDL refused by a server that has it ends the visit",
	  .uidl = "-ERR not now\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .kind = ERROR_PROTOCOL },
	{ .name = "UIDL refused for a while ends the visit as busy",
	  .uidl = "-ERR [SYS/TEMP] again\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .kind = ERROR_BUSY },
	{ .name = "the same without UIDL in CAPA",
	  .uidl = "-ERR [SYS/TEMP] again\r\n",
	  .list = "+OK\r\n1 10\r\n.\r\n",
	  .kind = ERROR_BUSY, .capa = "USER" },
	{ .name = "LIST refused ends the visit",
	  .uidl = "+OK\r\n1 A\r\n.\r\n",
	  .list = "-ERR no\r\n",
	  .kind = ERROR_PROTOCOL },
	{ .name = "UIDL and LIST refused end the visit",
	  .uidl = "-ERR no\r\n",
	  .list = "-ERR no\r\n",
	  .kind = ERROR_PROTOCOL, .capa = "USER" },
};

static void open_greeted(int fd, struct pop3 **ret)
{
	const struct stream_options options = { .stop_fd = -1 };
	const struct pop3_timeouts timeouts = { .reply_usec = USEC_PER_MINUTE,
						.login_usec = USEC_PER_MINUTE };
	struct stream *stream;
	struct error err = { 0 };

	ck_assert_int_eq(stream_new(fd, &options, &stream, &err), 0);
	ck_assert_int_eq(pop3_new(stream, &timeouts, ret, &err), 0);
	ck_assert_int_eq(pop3_read_greeting(*ret, &err), 0);
}

static void open_pop3(int fd, struct pop3 **ret)
{
	struct error err = { 0 };

	open_greeted(fd, ret);
	ck_assert_msg(pop3_ask_capa(*ret, &err) == 0, "%s", err.text);
}

/* Greeting, CAPA, the two lists and QUIT. */
static struct peer *start_server(const char *capa, struct bytes uidl,
				 const char *list, bool is_pipelined,
				 struct pop3 **ret)
{
	static char reply[64];
	static char both[1 << 12];
	static struct peer_row rows[5];
	struct peer *peer;
	int fd;

	(void)snprintf(reply, sizeof(reply), "+OK\r\n%s\r\n%s.\r\n",
		       capa ? capa : "UIDL",
		       is_pipelined ? "PIPELINING\r\n" : "");
	rows[0] = (struct peer_row){ .send = "+OK ready\r\n" };
	rows[1] = (struct peer_row)PEER_ROW("CAPA", reply);
	rows[2] = (struct peer_row){ .expect = "UIDL",
				     .send = uidl.data,
				     .send_len = uidl.len };
	rows[3] = (struct peer_row)PEER_ROW("LIST", list);
	rows[4] = (struct peer_row)PEER_ROW("QUIT", "+OK bye\r\n");
	if (is_pipelined && uidl.len + strlen(list) < sizeof(both)) {
		(void)snprintf(both, sizeof(both), "%.*s%s", (int)uidl.len,
			       uidl.data, list);
		rows[2] = (struct peer_row){ .expect = "UIDL" };
		rows[3] = (struct peer_row)PEER_ROW("LIST", both);
	}
	peer = peer_new(rows, ARRAY_SIZE(rows), &fd);
	open_pop3(fd, ret);
	return peer;
}

static char *describe(const struct listing *listing)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(file);
	(void)fprintf(file, "%s%s", listing->has_uids ? "" : "(no UIDL) ",
		      listing->is_complete ? "" : "!");
	for (size_t i = 0; i < listing->n_items; i++)
		(void)fprintf(file, "%s%u %.*s %d", i > 0 ? ", " : "",
			      listing->items[i].number,
			      (int)listing->items[i].uid.len,
			      listing->items[i].uid.data,
			      (int)listing->items[i].list_size);
	ck_assert_int_eq(fclose(file), 0);
	return text;
}

/* Whatever the lists were, the conversation goes on. */
static void check_quit(struct pop3 **pop3, struct peer *peer, const char *name)
{
	struct error err = { 0 };

	ck_assert_msg(pop3_is_in_step(*pop3), "%s: out of step", name);
	ck_assert_msg(pop3_quit(*pop3, &err) == 0, "%s: %s", name, err.text);
	pop3_free(pop3);
	ck_assert_msg(strcmp(peer_finish(peer),
			     "CAPA\nUIDL\nLIST\nQUIT\n") == 0,
		      "%s: %s", name, peer_finish(peer));
}

static void run_case(size_t i, bool is_pipelined)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	_cleanup_(listing_done) struct listing listing = { 0 };
	_cleanup_string_ char *got = NULL;
	const char *name = listing_cases[i].name;
	const char *uidl = listing_cases[i].uidl;
	struct error err = { 0 };
	int r;

	peer = start_server(listing_cases[i].capa,
			    (struct bytes){ uidl, strlen(uidl) },
			    listing_cases[i].list, is_pipelined, &pop3);
	r = listing_read(pop3, &listing, &err);
	check_quit(&pop3, peer, name);
	if (!is_pipelined)
		ck_assert_msg(peer_count_early(peer) == 0,
			      "%s: sent two commands at once", name);
	if (!listing_cases[i].expected) {
		ck_assert_msg(r < 0, "%s: was taken", name);
		ck_assert_msg(err.kind == listing_cases[i].kind, "%s: %s", name,
			      err.text);
		ck_assert_msg(!listing.items, "%s: output written", name);
		return;
	}

	ck_assert_msg(r == 0, "%s: %s", name, err.text);
	got = describe(&listing);
	ck_assert_msg(strcmp(got, listing_cases[i].expected) == 0,
		      "%s: got '%s', not '%s'", name, got,
		      listing_cases[i].expected);
}

START_TEST(reads_one_list_after_the_other)
{
	run_case((size_t)_i, false);
}
END_TEST

START_TEST(reads_both_lists_at_once)
{
	run_case((size_t)_i, true);
}
END_TEST

/* Two that differ behind the bound must not become one. */
START_TEST(uids_beyond_the_bound_go_by_their_digest)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	_cleanup_(listing_done) struct listing listing = { 0 };
	static char uid[1024 + 100];
	static char uidl[3 * sizeof(uid)];
	uint8_t digest[DIGEST_SIZE];
	struct error err = { 0 };
	int len;

	memset(uid, 'u', sizeof(uid) - 1);
	len = snprintf(uidl, sizeof(uidl), "+OK\r\n1 %sx\r\n2 %sy\r\n.\r\n",
		       uid, uid);
	peer = start_server(NULL, (struct bytes){ uidl, (size_t)len },
			    "+OK\r\n1 10\r\n2 20\r\n.\r\n", false, &pop3);
	ck_assert_int_eq(listing_read(pop3, &listing, &err), 0);
	check_quit(&pop3, peer, "long UIDs");

	ck_assert(listing.is_complete);
	ck_assert_uint_eq(listing.n_items, 2);
	uid[sizeof(uid) - 1] = 'x';
	ck_assert_int_eq(digest_bytes((struct bytes){ uid, sizeof(uid) },
				      digest, &err),
			 0);
	ck_assert_uint_eq(listing.items[0].uid.len, DIGEST_SIZE);
	ck_assert_mem_eq(listing.items[0].uid.data, digest, DIGEST_SIZE);
	ck_assert_mem_ne(listing.items[1].uid.data, digest, DIGEST_SIZE);
}
END_TEST

/* "+OK", n lines with UIDs of 1000 bytes that end in their number, ".". */
static char *make_uidl(unsigned n, size_t *ret_len)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, ret_len);

	ck_assert_ptr_nonnull(file);
	(void)fprintf(file, "+OK\r\n");
	for (unsigned i = 1; i <= n; i++)
		(void)fprintf(file, "%u %01000u\r\n", i, i);
	(void)fprintf(file, ".\r\n");
	ck_assert_int_eq(fclose(file), 0);
	return text;
}

START_TEST(what_is_beyond_the_bound_is_read_and_dropped)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	_cleanup_(listing_done) struct listing listing = { 0 };
	_cleanup_string_ char *uidl = NULL;
	const unsigned n = 2 * LISTING_MAX_BYTES / 1000;
	struct error err = { 0 };
	size_t len;

	uidl = make_uidl(n, &len);
	peer = start_server(NULL, (struct bytes){ uidl, len },
			    "+OK\r\n1 10\r\n.\r\n", false, &pop3);
	ck_assert_int_eq(listing_read(pop3, &listing, &err), 0);
	check_quit(&pop3, peer, "too many");

	ck_assert(!listing.is_complete);
	ck_assert_uint_gt(listing.n_items, n / 4);
	ck_assert_uint_lt(listing.n_items, n);
	ck_assert_uint_lt(listing.n_items * 1000, LISTING_MAX_BYTES + 2000);
	ck_assert_int_eq(listing.items[0].list_size, 10);
	for (size_t i = 0; i < listing.n_items; i++)
		ck_assert_uint_eq(listing.items[i].number, i + 1);
}
END_TEST

static const struct {
	const char *name;
	const char *uidl;
} broken_cases[] = {
	{ "a reply that is none", "1 A\r\n.\r\n" },
	{ "a connection that is cut before the reply", "" },
	{ "a connection that is cut in a line", "+OK\r\n1 A" },
	{ "a connection that is cut between lines", "+OK\r\n1 A\r\n" },
	{ "a challenge", "+ \r\n" },
};

START_TEST(a_broken_list_is_none)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		PEER_ROW("CAPA", "-ERR\r\n"),
		{ "UIDL", broken_cases[_i].uidl, .closes = true },
	};
	struct listing listing = { 0 };
	struct error err = { 0 };
	int fd;

	peer = peer_new(rows, ARRAY_SIZE(rows), &fd);
	open_pop3(fd, &pop3);
	ck_assert_msg(listing_read(pop3, &listing, &err) < 0, "%s: was taken",
		      broken_cases[_i].name);
	ck_assert_msg(!pop3_is_in_step(pop3), "%s: still in step",
		      broken_cases[_i].name);
	ck_assert(err.kind == ERROR_PROTOCOL || err.kind == ERROR_NETWORK);
	ck_assert_ptr_null(listing.items);
	pop3_free(&pop3);
}
END_TEST

/* In one write with the lists, and read before them. */
START_TEST(capabilities_that_were_assumed_are_checked_on_the_way)
{
	static const struct {
		const char *reply; /* to CAPA */
		bool is_assumed;
		bool pipelining;
		bool uidl;
	} cases[] = {
		{ "+OK\r\nUIDL\r\nPIPELINING\r\nTOP\r\n.\r\n", false, true,
		  true },
		{ "+OK\r\nUIDL\r\n.\r\n", true, false, true },
		{ "+OK\r\nPIPELINING\r\n.\r\n", true, true, false },
		{ "-ERR not here\r\n", true, true, true },
	};
	const struct pop3_capa capa = { .known = true,
					.uidl = true,
					.pipelining = true,
					.sasl_plain = true };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct peer_row rows[] = {
			{ .send = "+OK ready\r\n" },
			PEER_ROW("CAPA", NULL),
			PEER_ROW("UIDL", NULL),
			PEER_ROW("LIST", cases[i].reply),
			{ .send = "+OK\r\n1 A\r\n.\r\n+OK\r\n1 10\r\n.\r\n" },
			PEER_ROW("QUIT", "+OK bye\r\n"),
		};
		_cleanup_peer_ struct peer *peer = NULL;
		_cleanup_pop3_ struct pop3 *pop3 = NULL;
		_cleanup_(listing_done) struct listing listing = { 0 };
		struct error err = { 0 };
		int fd;

		peer = peer_new(rows, ARRAY_SIZE(rows), &fd);
		open_greeted(fd, &pop3);
		pop3_assume_capa(pop3, &capa);
		ck_assert_msg(listing_read(pop3, &listing, &err) == 0, "%s",
			      err.text);
		ck_assert_uint_eq(listing.n_items, 1);
		ck_assert_int_eq(err.kind, ERROR_NONE);
		ck_assert(pop3_capa(pop3)->is_assumed == cases[i].is_assumed);
		ck_assert(pop3_capa(pop3)->pipelining == cases[i].pipelining);
		ck_assert(pop3_capa(pop3)->uidl == cases[i].uidl);
		ck_assert(pop3_capa(pop3)->sasl_plain);
		check_quit(&pop3, peer, "assumed");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listing");
	TCase *tcase = tcase_create("listing");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, reads_one_list_after_the_other, 0,
			    (int)ARRAY_SIZE(listing_cases));
	tcase_add_loop_test(tcase, reads_both_lists_at_once, 0,
			    (int)ARRAY_SIZE(listing_cases));
	tcase_add_test(tcase,
		       capabilities_that_were_assumed_are_checked_on_the_way);
	tcase_add_test(tcase, uids_beyond_the_bound_go_by_their_digest);
	tcase_add_test(tcase, what_is_beyond_the_bound_is_read_and_dropped);
	tcase_add_loop_test(tcase, a_broken_list_is_none, 0,
			    (int)ARRAY_SIZE(broken_cases));
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
