/*
 * fuzz-visit.c - whole visits, to a server that says what a fuzzer makes up.
 *
 * An input is up to three visits, with a 0x1c between them, to an account of
 * which nothing is known yet: its journal and its Maildir are real. The first byte of each
 * visit chooses settings and purpose, the rest is what the server says. No
 * network (dial_connect is here), no worker, no sandbox; and no chance, so
 * that an input does the same each time.
 *
 * Behind each visit the dialogue is read again, by other code, for what was
 * promised: a DELE only for what came whole in this visit and is in new/, or
 * what the journal vouches for; no file of a name or a size that is not ours;
 * nothing in tmp/ without a row; QUIT at the end. That it ends in time, the
 * fuzzer sees.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "dial.h"
#include "dialogue.h"
#include "digest.h"
#include "fuzz.h"
#include "place.h"
#include "pop3_parse.h"
#include "server.h"
#include "session.h"
#include "simple_dot.h"

#define VISITS_MAX    3
#define VISITS_END    0x1c
#define EXCHANGES_MAX 8192
#define FILES_MAX     4096
#define FILE_SIZE_MAX (2 * SERVER_SAYS_MAX)
#define UID_KEPT_MAX  1024 /* a longer one goes by its digest */

enum option {
	OPTION_HANGS = 1 << 0,
	OPTION_KEEPS = 1 << 1,
	OPTION_AUTH = 3 << 2,
	OPTION_PURPOSE = 3 << 4,
	OPTION_IS_AGAIN = 1 << 6,
	OPTION_ONE_BY_ONE = 1 << 7,
};

struct scene {
	struct account account;
	struct journal *journal;
	struct maildir maildir;
	uint8_t options;
	struct bytes says;
	const char *heard;
	struct report report;
	struct notes notes;
	struct error err;
	int result;
	struct journal_rows before;
	struct exchange exchanges[EXCHANGES_MAX];
	size_t n_exchanges;
	uint8_t files[FILES_MAX][DIGEST_SIZE]; /* what is in new/ */
	size_t n_files;
};

static struct scene scene;

/* The challenge behind a wrong size is the same each time. */
ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
	(void)flags;
	memset(buffer, 0x5a, length);
	return (ssize_t)length;
}

int dial_connect(const struct dial_target *target, int *ret_fd,
		 struct error *err)
{
	(void)target;
	(void)err;
	*ret_fd = server_begin(scene.says, scene.options & OPTION_HANGS);
	return 0;
}

/* Once: that takes ten times as long as a visit. */
static void open_scene(void)
{
	const struct journal_identity identity = {
		.host = "pop.example.org",
		.port = 110,
		.username = "mrose",
	};
	char mail[PLACE_PATH_MAX], state[PLACE_PATH_MAX];
	struct maildir_options options = { .path = mail, .create = true };
	struct error err;

	place_path(mail, "mail");
	place_path(state, "state");
	check(mkdir(state, 0700) == 0);
	check(journal_open(state, &identity, &scene.journal, &err) == 0);
	options.tag = journal_tag(scene.journal);
	check(maildir_open(&scene.maildir, &options, &err) == 0);
}

static void look_into(int dir_fd, void (*look_at)(int dir_fd, const char *name))
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;

	check(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			look_at(fd, entry->d_name);
	(void)closedir(dir); /* only read */
}

static void remove_file(int dir_fd, const char *name)
{
	check(unlinkat(dir_fd, name, 0) == 0);
}

/* Nothing is known and nothing delivered. */
static void reset_scene(void)
{
	struct error err;
	uint32_t n;

	look_into(scene.maildir.new_fd, remove_file);
	look_into(scene.maildir.tmp_fd, remove_file);
	check(journal_begin(scene.journal, &err) == 0);
	check(journal_forget_all(scene.journal, &n, &err) == 0);
	for (enum journal_fact fact = JOURNAL_REFUSED_AT;
	     fact <= JOURNAL_LOGIN_DELAY; fact++)
		check(journal_set_fact(scene.journal, fact, 0, &err) == 0);
	check(journal_commit(scene.journal, &err) == 0);
}

/* What a silent server costs is a millisecond: nothing else ever waits. */
static void set_account(void)
{
	static char host[] = "pop.example.org", username[] = "mrose";
	uint8_t options = scene.options;

	scene.account = (struct account){
		.host = host,
		.port = 110,
		.tls = TLS_NONE,
		.username = username,
		.auth = (enum auth_choice)((options & OPTION_AUTH) >> 2),
		.keep = options & OPTION_KEEPS ? KEEP_FOREVER : KEEP_DELETE,
		.connect_timeout_usec = USEC_PER_SEC,
		.reply_timeout_usec = USEC_PER_MSEC,
		.login_timeout_usec = USEC_PER_MSEC,
		.visit_timeout_usec = USEC_PER_HOUR,
		.stop_timeout_usec = USEC_PER_SEC,
		.batch_messages = options & OPTION_ONE_BY_ONE ? 1 : 4,
		.batch_bytes = 8 << 20,
		.batch_time_usec = USEC_PER_HOUR,
		.batch_pause_usec = USEC_PER_MSEC,
	};
}

static enum purpose purpose_of(uint8_t options)
{
	static const enum purpose purposes[] = {
		PURPOSE_FETCH,
		PURPOSE_FETCH, /* with a long password */
		PURPOSE_MARK_SEEN,
		PURPOSE_REFETCH,
	};

	return purposes[(options & OPTION_PURPOSE) >> 4];
}

/* AUTH PLAIN asks for a challenge before it. */
static bool has_long_password(void)
{
	return (scene.options & OPTION_PURPOSE) >> 4 == 1;
}

static void visit(void)
{
	char password[201] = "tanstaaf"; /* wiped by the visit */
	struct secret secret = { .text = password };
	struct uplink uplink = { .fd = -1 };
	const struct session_job job = {
		.account = &scene.account,
		.secret = &secret,
		.maildir = &scene.maildir,
		.journal = scene.journal,
		.uplink = &uplink,
		.notes = &scene.notes,
		.stop_fd = -1,
		.purpose = purpose_of(scene.options),
		.is_asked_for = true,
		.is_again = scene.options & OPTION_IS_AGAIN,
	};

	if (has_long_password())
		memset(password, 'x', sizeof(password) - 1);
	secret.len = strlen(password);
	scene.report = (struct report){ 0 };
	scene.notes = (struct notes){ 0 };
	scene.err = (struct error){ 0 };
	scene.result = session_run(&job, &scene.report, &scene.err);
	scene.heard = server_end();
}

static void read_dialogue(void)
{
	struct dialogue dialogue = {
		.says = scene.says,
		.heard = { scene.heard, strlen(scene.heard) },
	};

	dialogue_skip_greeting(&dialogue);
	scene.n_exchanges = 0;
	while (scene.n_exchanges < EXCHANGES_MAX &&
	       dialogue_next(&dialogue, &scene.exchanges[scene.n_exchanges]))
		scene.n_exchanges++;
}

static void digest_message(struct bytes message, uint8_t ret[DIGEST_SIZE])
{
	static struct digest *digest;
	struct error err;

	if (digest == NULL)
		check(digest_new(&digest, &err) == 0);
	digest_begin(digest);
	digest_add(digest, message.data, message.len);
	check(digest_end(digest, ret, &err) == 0);
}

/* sec.MusecPpidQnRtag.host,S=size, made anew it is the same. */
static void check_name(const char *name, off_t size)
{
	char pattern[MAILDIR_NAME_MAX], tag[MAILDIR_TAG_SIZE];
	unsigned long long sec, usec, bytes;
	unsigned pid, n;
	int end = 0;

	check(sscanf(name, "%llu.M%lluP%uQ%uR%12[0-9a-f].%*[^,],S=%llu%n", &sec,
		     &usec, &pid, &n, tag, &bytes, &end) == 6);
	check(name[end] == '\0' && bytes == (unsigned long long)size);
	check(strcmp(tag, journal_tag(scene.journal)) == 0);
	(void)snprintf(pattern, sizeof(pattern),
		       "%llu.M%06lluP%uQ%uR%s.%s,S=%llu", sec, usec, pid, n,
		       tag, scene.maildir.host, bytes);
	check(strcmp(name, pattern) == 0);
}

static void take_file(int dir_fd, const char *name)
{
	static char data[FILE_SIZE_MAX];
	_cleanup_fd_ int fd =
		openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	check(fd >= 0 && fstat(fd, &st) == 0);
	check(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0600);
	check(st.st_size <= FILE_SIZE_MAX && scene.n_files < FILES_MAX);
	check_name(name, st.st_size);
	check(read(fd, data, (size_t)st.st_size) == st.st_size);
	digest_message((struct bytes){ data, (size_t)st.st_size },
		       scene.files[scene.n_files++]);
}

/* A file that broke off, or whose recovery is due, has a row. */
static void check_stray(int dir_fd, const char *name)
{
	struct error err;
	uint64_t size_bytes;
	bool is_known;
	int64_t id;

	(void)dir_fd;
	check(journal_has_base(scene.journal, name, &is_known, &id, &size_bytes,
			       &err) == 0);
	check(is_known);
}

static bool is_in_new(const struct exchange *retr)
{
	_cleanup_string_ char *data = malloc(retr->body.len + 1);
	struct simple_dot dot = { .data = data };
	uint8_t digest[DIGEST_SIZE];

	check(data != NULL);
	simple_dot_decode(retr->body, retr->is_bare_lf, &dot);
	digest_message((struct bytes){ data, dot.len }, digest);
	for (size_t i = 0; i < scene.n_files; i++)
		if (memcmp(scene.files[i], digest, DIGEST_SIZE) == 0)
			return true;
	return false;
}

/* Before it in this visit, whole, and in the Maildir now. */
static bool was_received(const struct exchange *dele)
{
	uint32_t number = exchange_number(dele);

	for (const struct exchange *e = scene.exchanges; e < dele; e++)
		if (exchange_is(e, "RETR") && exchange_number(e) == number &&
		    e->is_whole)
			return is_in_new(e);
	return false;
}

static bool has_row(struct bytes uid)
{
	uint8_t digest[DIGEST_SIZE];
	struct error err;

	if (uid.len > UID_KEPT_MAX) {
		check(digest_bytes(uid, digest, &err) == 0);
		uid = (struct bytes){ (const char *)digest, DIGEST_SIZE };
	}
	for (size_t i = 0; i < scene.before.n_rows; i++) {
		const struct journal_row *row = &scene.before.rows[i];

		if (row->uid.len == uid.len && uid.len > 0 &&
		    memcmp(row->uid.data, uid.data, uid.len) == 0 &&
		    (row->state == JOURNAL_STAGED ||
		     row->state == JOURNAL_DELIVERED))
			return true;
	}
	return false;
}

/* UIDL gave this number the UID of a row that was there before the visit. */
static bool is_vouched_for(const struct exchange *uidl, uint32_t number)
{
	const char *at = uidl->body.data;
	const char *end = at + uidl->body.len;

	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		struct bytes line = { at, (size_t)(lf - at) };
		struct pop3_unique unique;
		struct error err;

		if (line.len > 0 && lf[-1] == '\r')
			line.len--;
		if (pop3_parse_unique(line, &unique, &err) == 0 &&
		    unique.number == number && has_row(unique.uid))
			return true;
		at = lf + 1;
	}
	return false;
}

static bool may_be_deleted(const struct exchange *dele)
{
	if (was_received(dele))
		return true;
	for (const struct exchange *e = scene.exchanges; e < dele; e++)
		if (exchange_is(e, "UIDL") && e->is_whole)
			return is_vouched_for(e, exchange_number(dele));
	return false;
}

static void check_dialogue(void)
{
	const struct exchange *end = scene.exchanges + scene.n_exchanges;

	for (const struct exchange *e = scene.exchanges; e < end; e++) {
		if (exchange_is(e, "DELE"))
			check(purpose_of(scene.options) != PURPOSE_MARK_SEEN &&
			      !(scene.options & OPTION_KEEPS) &&
			      may_be_deleted(e));
		if (exchange_is(e, "QUIT"))
			check(e == end - 1);
	}
}

static void check_words(void)
{
	check(scene.result == 0 || scene.err.kind != ERROR_NONE);
	check(is_printable(scene.err.text));
	for (unsigned i = 0; i < scene.notes.n_notes; i++)
		check(is_printable(scene.notes.notes[i].text));
}

static void check_promises(void)
{
	read_dialogue();
	scene.n_files = 0;
	look_into(scene.maildir.new_fd, take_file);
	look_into(scene.maildir.tmp_fd, check_stray);
	check_dialogue();
	check_words();
}

static void make_visit(const uint8_t *data, size_t size)
{
	struct error err;

	scene.options = take_byte(&data, &size);
	scene.says = (struct bytes){ (const char *)data,
				     MIN(size, (size_t)SERVER_SAYS_MAX) };
	set_account();
	check(journal_load(scene.journal, &scene.before, &err) == 0);
	visit();
	check_promises();
	journal_rows_done(&scene.before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (scene.journal == NULL)
		open_scene();
	reset_scene();
	for (unsigned i = 0; i < VISITS_MAX && size > 0; i++) {
		const uint8_t *end = memchr(data, VISITS_END, size);
		size_t len = end != NULL ? (size_t)(end - data) : size;

		make_visit(data, len);
		len += end != NULL;
		data += len;
		size -= len;
	}
	return 0;
}
