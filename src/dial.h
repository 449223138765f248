/*
 * dial.h - resolve a name and connect to it, over IPv6 or IPv4.
 */
#pragma once

#include "base.h"
#include "error.h"

struct dial_target {
	const char *host; /* name or address, without brackets */
	uint16_t port;
	uint64_t timeout_usec; /* for all addresses together */
	int stop_fd;	       /* readable: give up at once; -1: none */
};

/*
 * Tries the addresses in the resolver's order, each for a fair share of the
 * time that is left. The socket is non-blocking, close-on-exec, TCP_NODELAY,
 * and has keep-alive on. ERROR_NETWORK: the text names every address tried
 * and why it failed, or what the resolver said.
 */
int dial_connect(const struct dial_target *target, int *ret_fd,
		 struct error *err) _must_check_;
