/*
 * peer.c - a scripted server at the other end of a connection.
 *
 * Check is called from the test's thread alone: what goes wrong here is
 * written into the transcript, which the test compares.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define INPUT_SIZE	65536
#define TRANSCRIPT_SIZE (1u << 20)

struct peer {
	struct peer_row *rows;
	size_t n_rows;
	int listen_fd; /* -1: fd is connected already */
	int fd;
	pthread_t thread;
	pthread_barrier_t begun;
	bool is_running;

	char input[INPUT_SIZE];
	size_t input_len;

	pthread_mutex_t lock; /* of the transcript */
	char transcript[TRANSCRIPT_SIZE];
	size_t transcript_len;
	unsigned n_early;
	_Atomic bool has_played_all; /* asked for while the thread runs */
};

static void write_down(struct peer *peer, const char *line, size_t len)
{
	(void)pthread_mutex_lock(&peer->lock);
	if (len + 2 < TRANSCRIPT_SIZE - peer->transcript_len) {
		memcpy(peer->transcript + peer->transcript_len, line, len);
		peer->transcript_len += len;
		peer->transcript[peer->transcript_len++] = '\n';
		peer->transcript[peer->transcript_len] = '\0';
	}
	(void)pthread_mutex_unlock(&peer->lock);
}

void peer_note(struct peer *peer, const char *line)
{
	write_down(peer, line, strlen(line));
}

/* Where the next line ends; NULL: the client closed. */
static char *await_end(struct peer *peer)
{
	char *end;
	ssize_t n;

	while (!(end = memchr(peer->input, '\n', peer->input_len))) {
		if (peer->input_len == INPUT_SIZE)
			return NULL;
		n = recv(peer->fd, peer->input + peer->input_len,
			 INPUT_SIZE - peer->input_len, 0);
		if (n <= 0)
			return NULL;
		peer->input_len += (size_t)n;
	}
	return end;
}

/* The next line, without its end, into line. */
static bool read_line(struct peer *peer, char line[INPUT_SIZE])
{
	const char *end = await_end(peer);
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - peer->input);
	memcpy(line, peer->input, len);
	line[len] = '\0';
	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	peer->input_len -= len + 1;
	memmove(peer->input, end + 1, peer->input_len);
	return true;
}

static bool matches(const char *line, const char *expect)
{
	size_t len = strlen(expect);

	if (len > 0 && expect[len - 1] == '*')
		return strncmp(line, expect, len - 1) == 0;
	return strcmp(line, expect) == 0;
}

static bool await_line(struct peer *peer, const char *expect)
{
	char line[INPUT_SIZE];

	if (!read_line(peer, line)) {
		peer_note(peer, "(closed; what was due:)");
		peer_note(peer, expect);
		return false;
	}
	peer_note(peer, line);
	if (matches(line, expect))
		return true;
	peer_note(peer, "(what was due:)");
	peer_note(peer, expect);
	return false;
}

static bool send_all(struct peer *peer, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(peer->fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static void be_patient(const struct peer *peer, int msec)
{
	struct pollfd pollfd = { .fd = peer->fd, .events = POLLIN };

	if (msec > 0 && peer->input_len == 0)
		(void)poll(&pollfd, 1, msec);
}

static void prove(struct peer *peer, enum peer_proof proof)
{
	char line[INPUT_SIZE];
	bool is_noop, is_ok;

	peer_note(peer, "(proof)");
	while (await_end(peer) && (matches(peer->input, "NOOP*") ||
				   matches(peer->input, "LIST *"))) {
		is_noop = peer->input[0] == 'N';
		is_ok = proof == PEER_SAYS_OK ||
			(proof == PEER_IN_STEP && is_noop);
		if (!read_line(peer, line) ||
		    !send_all(peer, is_ok ? "+OK\r\n" : "-ERR\r\n",
			      is_ok ? 5 : 6))
			return;
	}
}

static bool play_row(struct peer *peer, const struct peer_row *row)
{
	size_t len = row->send_len;

	if (row->proof != PEER_NO_PROOF) {
		prove(peer, row->proof);
		return true;
	}
	be_patient(peer, row->patience_msec);
	if (row->expect && !await_line(peer, row->expect))
		return false;
	if (row->send && peer->input_len > 0)
		peer->n_early++;
	if (row->send && len == 0)
		len = strlen(row->send);
	/* A client that has gone is seen when a line of it is due. */
	if (row->send)
		(void)send_all(peer, row->send, len);
	return !row->closes;
}

static void play_rows(struct peer *peer)
{
	for (size_t i = 0; i < peer->n_rows; i++) {
		bool goes_on = play_row(peer, &peer->rows[i]);

		if (!goes_on && !peer->rows[i].closes)
			return;
		if (!goes_on)
			break;
	}
	peer->has_played_all = true;
}

static void *run(void *arg)
{
	struct peer *peer = arg;
	char line[INPUT_SIZE];
	bool is_cut;

	(void)pthread_barrier_wait(&peer->begun);
	if (peer->listen_fd >= 0)
		peer->fd = accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (peer->fd < 0)
		return NULL;
	play_rows(peer);
	is_cut = !peer->has_played_all ||
		 (peer->n_rows > 0 && peer->rows[peer->n_rows - 1].closes);
	if (is_cut)
		(void)shutdown(peer->fd, SHUT_WR);
	while (read_line(peer, line))
		peer_note(peer, line);
	(void)close(peer->fd);
	return NULL;
}

static struct peer *peer_start(const struct peer_row *rows, size_t n_rows,
			       int listen_fd, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	ck_assert_ptr_nonnull(peer);
	/* A copy: the thread may outlive the scope of the caller's. */
	peer->rows = calloc(n_rows + 1, sizeof(*rows));
	ck_assert_ptr_nonnull(peer->rows);
	if (n_rows > 0)
		memcpy(peer->rows, rows, n_rows * sizeof(*rows));
	peer->n_rows = n_rows;
	peer->listen_fd = listen_fd;
	peer->fd = fd;
	ck_assert_int_eq(pthread_mutex_init(&peer->lock, NULL), 0);
	ck_assert_int_eq(pthread_barrier_init(&peer->begun, NULL, 2), 0);
	ck_assert_int_eq(pthread_create(&peer->thread, NULL, run, peer), 0);
	/*
	 * A thread that begins takes memory. Whoever forks meanwhile would get
	 * AddressSanitizer's allocator locked, and by nobody.
	 */
	(void)pthread_barrier_wait(&peer->begun);
	peer->is_running = true;
	return peer;
}

struct peer *peer_new(const struct peer_row *rows, size_t n_rows, int *ret_fd)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    pair),
			 0);
	*ret_fd = pair[0];
	return peer_start(rows, n_rows, -1, pair[1]);
}

static int listen_at(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*address);

	ck_assert_int_ge(fd, 0);
	if (bind(fd, (struct sockaddr *)address, len) < 0 ||
	    listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)address, &len) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

struct peer *peer_new_listening(const struct peer_row *rows, size_t n_rows,
				uint16_t *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = listen_at(&address);

	ck_assert_int_ge(fd, 0);
	*ret_port = ntohs(address.sin_port);
	return peer_start(rows, n_rows, fd, -1);
}

static bool is_far(const struct ifaddrs *one)
{
	struct sockaddr_in address;

	if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET ||
	    !(one->ifa_flags & IFF_UP))
		return false;
	memcpy(&address, one->ifa_addr, sizeof(address));
	return ntohl(address.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET;
}

static bool find_far_address(struct sockaddr_in *ret)
{
	struct ifaddrs *all;
	bool has_found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *one = all; one && !has_found;
	     one = one->ifa_next) {
		has_found = is_far(one);
		if (has_found)
			memcpy(ret, one->ifa_addr, sizeof(*ret));
	}
	freeifaddrs(all);
	ret->sin_port = 0;
	return has_found;
}

/* In a network namespace of our own lo may have any address: one of RFC 5737. */
static bool make_far_address(void)
{
	_cleanup_fd_ int fd = -1;
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct ifreq request = { .ifr_name = "lo" };

	if (unshare(CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);
	memcpy(&request.ifr_addr, &address, sizeof(address));
	if (fd < 0 || ioctl(fd, SIOCSIFADDR, &request) < 0)
		return false;
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

struct peer *peer_new_far(const struct peer_row *rows, size_t n_rows,
			  int *ret_fd)
{
	struct sockaddr_in address = { 0 };
	int listen_fd, fd;

	if (!find_far_address(&address) &&
	    !(make_far_address() && find_far_address(&address)))
		return NULL;
	listen_fd = listen_at(&address);
	if (listen_fd < 0)
		return NULL;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address,
				 sizeof(address)),
			 0);
	*ret_fd = fd;
	return peer_start(rows, n_rows, listen_fd, -1);
}

const char *peer_finish(struct peer *peer)
{
	if (peer->is_running)
		ck_assert_int_eq(pthread_join(peer->thread, NULL), 0);
	peer->is_running = false;
	return peer->transcript;
}

unsigned peer_count_early(const struct peer *peer)
{
	return peer->n_early;
}

bool peer_has_played_all(const struct peer *peer)
{
	return peer->has_played_all;
}

void peer_free(struct peer **peer)
{
	if (!*peer)
		return;
	(void)peer_finish(*peer);
	fd_close(&(*peer)->listen_fd);
	(void)pthread_mutex_destroy(&(*peer)->lock);
	(void)pthread_barrier_destroy(&(*peer)->begun);
	free((*peer)->rows);
	free(*peer);
	*peer = NULL;
}
