/*
 * stuff.h - sends a message as a multi-line reply: CRLF and stuffed dots.
 */
#pragma once

#include "box.h"
#include "wire.h"

#define STUFF_WHOLE SIZE_MAX

/*
 * Sends the header and so many lines of the body, and the terminator. A file
 * has its LFs made CRLF; a script's message is sent as it is written, so that
 * a bare CR or LF in it stays bare.
 */
void stuff_mail(struct wire *wire, const struct mail *mail, size_t body_lines);
