/*
 * delay-line.c - a long line on one machine:
 *
 *	delay-line --port PORT --to ADDRESS:PORT --rtt-ms N
 *
 * Listens on loopback (port 0: any), prints its port, and relays each
 * connection; every byte, end and reset arrives N/2 ms later on the other
 * side. Bandwidth and buffers are without bound, so that nothing but distance
 * is added. The connection itself is made at once: what is measured begins
 * behind it.
 *
 * Says on stderr, at the end of each connection and at SIGUSR1 for all that have
 * ended, how many bytes went each way and how many round trips it took. A round trip
 * is counted as causes have it: what a client sends is one trip further than
 * the bytes that it had then received, and an answer as far as what it follows.
 * So a row of commands sent together counts one, and answers to a pipeline that
 * never runs dry as many as the line allows in that time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "base.h"

#define EVENTS_MAX   64
#define READ_MAX     (256 * 1024)
#define RTT_MSEC_MAX 60000

enum side {
	CLIENT,
	SERVER,
	SIDES
};

/* What is on its way: bytes, or an end, which has none. */
enum chunk_kind {
	CHUNK_BYTES,
	CHUNK_END,
	CHUNK_RESET
};

struct chunk {
	TAILQ_ENTRY(chunk) next;
	enum chunk_kind kind;
	struct end *to;
	uint64_t due_usec;
	unsigned trip;
	size_t len;
	size_t done;
	char data[];
};

TAILQ_HEAD(chunks, chunk);

/* One socket of a connection. It closes once both its directions are done. */
struct end {
	struct connection *connection;
	enum side side;
	int fd;
	bool is_read;          /* nothing more comes from it */
	bool is_written;       /* nothing more goes to it */
	bool is_blocked;       /* its socket takes nothing at the moment */
	unsigned coming;       /* chunks to it that are still on the line */
	unsigned trip;         /* of the bytes that it was given last */
	uint64_t sent;         /* bytes that came from it */
	struct chunks arrived; /* at its side of the line, to be written */
};

struct connection {
	struct line *line;
	struct end ends[SIDES];
	unsigned trips; /* of the answers that the client waited for */
};

struct line {
	struct sockaddr_in to;
	uint64_t delay_usec; /* one way */
	int epoll_fd;
	int listen_fd;
	int timer_fd;
	int signal_fd;
	/* All have the same way to go, so the first is due first. */
	struct chunks on_the_way;
	uint64_t connections;
	uint64_t sent[SIDES];
	uint64_t trips;
};

static char read_buffer[READ_MAX];

static struct end *other_end(struct end *end)
{
	return &end->connection->ends[end->side == CLIENT ? SERVER : CLIENT];
}

static void set_timer(struct line *line)
{
	const struct chunk *first = TAILQ_FIRST(&line->on_the_way);
	struct itimerspec at = { 0 };

	if (first != NULL) {
		at.it_value.tv_sec = (time_t)(first->due_usec / USEC_PER_SEC);
		at.it_value.tv_nsec =
			(long)(first->due_usec % USEC_PER_SEC * 1000);
	}
	(void)timerfd_settime(line->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void watch(struct end *end, int operation)
{
	struct epoll_event event = { .data.ptr = end };

	if (!end->is_read)
		event.events |= EPOLLIN;
	if (end->is_blocked)
		event.events |= EPOLLOUT;
	(void)epoll_ctl(end->connection->line->epoll_fd, operation, end->fd,
			&event);
}

/* Puts what was read from FROM on the way to the other end. */
static void send_off(struct end *from, enum chunk_kind kind, size_t len)
{
	struct line *line = from->connection->line;
	bool was_empty = TAILQ_EMPTY(&line->on_the_way);
	struct chunk *chunk = malloc(sizeof(*chunk) + len);

	if (chunk == NULL) {
		(void)fputs("delay-line: out of memory\n", stderr);
		exit(1);
	}
	*chunk = (struct chunk){
		.kind = kind,
		.to = other_end(from),
		.due_usec = now_usec(CLOCK_MONOTONIC) + line->delay_usec,
		.trip = from->side == CLIENT ? from->trip + 1 : from->trip,
		.len = len,
	};
	memcpy(chunk->data, read_buffer, len);
	chunk->to->coming++;
	from->sent += len;
	TAILQ_INSERT_TAIL(&line->on_the_way, chunk, next);
	if (was_empty)
		set_timer(line);
}

static void drop_arrived(struct end *end)
{
	struct chunk *chunk;

	while ((chunk = TAILQ_FIRST(&end->arrived)) != NULL) {
		TAILQ_REMOVE(&end->arrived, chunk, next);
		free(chunk);
	}
}

static void report(const struct connection *connection)
{
	(void)fprintf(stderr,
		      "connection client_bytes=%" PRIu64
		      " server_bytes=%" PRIu64 " round_trips=%u\n",
		      connection->ends[CLIENT].sent,
		      connection->ends[SERVER].sent, connection->trips);
}

static void report_all(const struct line *line)
{
	(void)fprintf(stderr,
		      "all connections=%" PRIu64 " client_bytes=%" PRIu64
		      " server_bytes=%" PRIu64 " round_trips=%" PRIu64 "\n",
		      line->connections, line->sent[CLIENT], line->sent[SERVER],
		      line->trips);
}

static void close_end(struct end *end)
{
	end->is_read = true;
	end->is_written = true;
	drop_arrived(end);
	fd_close(&end->fd);
}

/* Frees the connection when neither end has anything left to come. */
static void settle(struct connection *connection)
{
	struct line *line = connection->line;
	bool is_over = true;
	int side;

	for (side = 0; side < SIDES; side++) {
		struct end *end = &connection->ends[side];

		if (end->fd >= 0 && end->is_read && end->is_written)
			close_end(end);
		is_over = is_over && end->fd < 0 && end->coming == 0;
	}
	if (!is_over)
		return;

	report(connection);
	line->sent[CLIENT] += connection->ends[CLIENT].sent;
	line->sent[SERVER] += connection->ends[SERVER].sent;
	line->trips += connection->trips;
	free(connection);
}

static void reset_end(struct end *end)
{
	static const struct linger at_once = { .l_onoff = 1 };

	if (end->fd < 0)
		return;
	(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once,
			 sizeof(at_once));
	close_end(end);
}

/* The end is lost: whoever is on the other side learns it in due time. */
static void lose(struct end *end)
{
	if (end->fd < 0)
		return;
	close_end(end);
	send_off(end, CHUNK_RESET, 0);
}

static void note_arrival(struct end *end, const struct chunk *chunk)
{
	struct connection *connection = end->connection;

	end->trip = MAX(end->trip, chunk->trip);
	/* What comes after it hung up, nobody waited for. */
	if (end->side == CLIENT && !end->is_read)
		connection->trips = MAX(connection->trips, chunk->trip);
}

/* False when the socket takes no more, or is gone. */
static bool write_chunk(struct end *end, struct chunk *chunk)
{
	ssize_t n;

	if (chunk->kind == CHUNK_RESET) {
		reset_end(end);
		return false;
	}
	if (chunk->kind == CHUNK_END) {
		(void)shutdown(end->fd, SHUT_WR);
		end->is_written = true;
		return true;
	}
	while (chunk->done < chunk->len) {
		n = send(end->fd, chunk->data + chunk->done,
			 chunk->len - chunk->done, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			lose(end);
			return false;
		}
		chunk->done += (size_t)n;
	}
	note_arrival(end, chunk);
	return true;
}

static void write_arrived(struct end *end)
{
	struct chunk *chunk;
	bool was_blocked = end->is_blocked;

	while ((chunk = TAILQ_FIRST(&end->arrived)) != NULL &&
	       write_chunk(end, chunk)) {
		TAILQ_REMOVE(&end->arrived, chunk, next);
		free(chunk);
	}
	end->is_blocked = !TAILQ_EMPTY(&end->arrived);
	if (end->fd >= 0 && end->is_blocked != was_blocked)
		watch(end, EPOLL_CTL_MOD);
}

/* Once per wake-up, so that a fast end cannot keep the others waiting. */
static void read_end(struct end *end)
{
	ssize_t n = recv(end->fd, read_buffer, sizeof(read_buffer), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		lose(end);
		return;
	}
	if (n > 0) {
		send_off(end, CHUNK_BYTES, (size_t)n);
		return;
	}
	end->is_read = true;
	watch(end, EPOLL_CTL_MOD);
	send_off(end, CHUNK_END, 0);
}

static void on_end(struct end *end, uint32_t events)
{
	struct connection *connection = end->connection;

	if (end->fd < 0)
		return; /* closed by an earlier event of the same wake-up */
	if (!end->is_read)
		read_end(end);
	else if (events & (EPOLLERR | EPOLLHUP))
		lose(end);
	if (end->fd >= 0 && (events & EPOLLOUT))
		write_arrived(end);
	settle(connection);
}

static void deliver(struct chunk *chunk)
{
	struct end *end = chunk->to;

	end->coming--;
	if (end->fd < 0) {
		free(chunk);
	} else {
		TAILQ_INSERT_TAIL(&end->arrived, chunk, next);
		if (!end->is_blocked)
			write_arrived(end);
	}
	settle(end->connection);
}

static void on_timer(struct line *line)
{
	uint64_t now = now_usec(CLOCK_MONOTONIC);
	struct chunk *chunk;
	uint64_t count;

	(void)!read(line->timer_fd, &count,
		    sizeof(count)); /* only to quiet it */
	while ((chunk = TAILQ_FIRST(&line->on_the_way)) != NULL &&
	       chunk->due_usec <= now) {
		TAILQ_REMOVE(&line->on_the_way, chunk, next);
		deliver(chunk);
	}
	set_timer(line);
}

static void begin_end(struct connection *connection, enum side side, int fd)
{
	static const int on = 1;
	struct end *end = &connection->ends[side];

	*end = (struct end){ .connection = connection, .side = side, .fd = fd };
	TAILQ_INIT(&end->arrived);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	watch(end, EPOLL_CTL_ADD);
}

static void on_client(struct line *line)
{
	_cleanup_fd_ int client_fd = -1;
	_cleanup_fd_ int server_fd = -1;
	struct connection *connection;

	client_fd = accept4(line->listen_fd, NULL, NULL,
			    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (client_fd < 0)
		return;
	server_fd =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server_fd < 0 ||
	    (connect(server_fd, (const struct sockaddr *)&line->to,
		     sizeof(line->to)) < 0 &&
	     errno != EINPROGRESS)) {
		(void)fprintf(stderr, "delay-line: server: %s\n",
			      strerror(errno));
		return;
	}
	connection = calloc(1, sizeof(*connection));
	if (connection == NULL)
		return;

	line->connections++;
	connection->line = line;
	begin_end(connection, CLIENT, TAKE_FD(client_fd));
	begin_end(connection, SERVER, TAKE_FD(server_fd));
}

static bool is_end(const struct line *line, const void *data)
{
	return data != line && data != &line->timer_fd &&
	       data != &line->signal_fd;
}

/*
 * Ends go first: a timer may free a connection whose events still stand in the
 * row, and so may the one end the other's, but that only when both are closed,
 * which takes an event of each or the line's delay.
 */
static bool on_events(struct line *line, struct epoll_event *events, int count)
{
	struct signalfd_siginfo signal;
	bool is_due = false;
	int i;

	for (i = 0; i < count; i++) {
		void *data = events[i].data.ptr;

		if (is_end(line, data))
			on_end(data, events[i].events);
		else if (data == line)
			on_client(line);
		else if (data == &line->timer_fd)
			is_due = true;
		else if (read(line->signal_fd, &signal, sizeof(signal)) < 0 ||
			 signal.ssi_signo != SIGUSR1)
			return false;
		else
			report_all(line);
	}
	if (is_due)
		on_timer(line);
	return true;
}

static int watch_own(const struct line *line, int fd, const void *data)
{
	struct epoll_event event = { .events = EPOLLIN,
				     .data.ptr = (void *)(uintptr_t)data };

	return epoll_ctl(line->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Binds, and says which port it became. */
static int listen_on(uint16_t port)
{
	static const int on = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	_cleanup_fd_ int fd =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return -1;
	(void)printf("%u\n", (unsigned)ntohs(address.sin_port));
	(void)fflush(stdout);
	return TAKE_FD(fd);
}

static int begin(struct line *line, uint16_t port)
{
	struct rlimit files;
	sigset_t signals;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE,
				&files); /* the more the better */
	}
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGUSR1);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -1;

	TAILQ_INIT(&line->on_the_way);
	line->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	line->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	line->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	line->listen_fd = listen_on(port);
	if (line->epoll_fd < 0 || line->timer_fd < 0 || line->signal_fd < 0 ||
	    line->listen_fd < 0)
		return -1;
	if (watch_own(line, line->timer_fd, &line->timer_fd) < 0 ||
	    watch_own(line, line->signal_fd, &line->signal_fd) < 0)
		return -1;
	return watch_own(line, line->listen_fd, line);
}

static bool parse_number(const char *text, unsigned max, unsigned *ret)
{
	char *rest;
	unsigned long number = strtoul(text, &rest, 10);

	if (*text < '0' || *text > '9' || *rest != '\0' || number > max)
		return false;
	*ret = (unsigned)number;
	return true;
}

/* ADDRESS:PORT */
static bool parse_to(char *text, struct sockaddr_in *ret)
{
	char *colon = strrchr(text, ':');
	unsigned port;

	if (colon == NULL || !parse_number(colon + 1, UINT16_MAX, &port))
		return false;
	*colon = '\0';
	ret->sin_family = AF_INET;
	ret->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, text, &ret->sin_addr) == 1;
}

static bool parse_arguments(int argc, char **argv, struct line *line,
			    unsigned *ret_port)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "to", required_argument, NULL, 't' },
		{ "rtt-ms", required_argument, NULL, 'r' },
		{ 0 },
	};
	unsigned rtt_msec = 0;
	bool is_good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			is_good &= parse_number(optarg, UINT16_MAX, ret_port);
		else if (option == 't')
			is_good &= parse_to(optarg, &line->to);
		else if (option == 'r')
			is_good &=
				parse_number(optarg, RTT_MSEC_MAX, &rtt_msec);
		else
			is_good = false;
	}
	line->delay_usec = rtt_msec * USEC_PER_MSEC / 2;
	return is_good && optind == argc && line->to.sin_port != 0;
}

int main(int argc, char **argv)
{
	static struct line line;
	struct epoll_event events[EVENTS_MAX];
	unsigned port = 0;
	int count;

	if (!parse_arguments(argc, argv, &line, &port)) {
		(void)fputs("usage: delay-line --port PORT --to ADDRESS:PORT "
			    "--rtt-ms N\n",
			    stderr);
		return 64;
	}
	if (begin(&line, (uint16_t)port) < 0) {
		(void)fprintf(stderr, "delay-line: %s\n", strerror(errno));
		return 1;
	}
	do {
		count = epoll_wait(line.epoll_fd, events, EVENTS_MAX, -1);
	} while (on_events(&line, events, count));
	report_all(&line);
	return 0;
}
