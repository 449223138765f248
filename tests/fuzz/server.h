/*
 * server.h - a server that says what it has to say, whatever it is told.
 */
#pragma once

#include "base.h"

/* More than this is cut off: what a socket takes at once. */
#define SERVER_SAYS_MAX 65536

/*
 * Returns the client's end of a connection on which all of says has arrived,
 * and then its end, or, where the server hangs, nothing more. One at a time.
 */
int server_begin(struct bytes says, bool hangs);

/*
 * Hangs up. All that the client said, terminated, or "" when it never came.
 * Good until the next call.
 */
const char *server_end(void);
