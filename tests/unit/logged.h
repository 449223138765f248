/*
 * logged.h - what log.c writes, caught for the test.
 */
#pragma once

#include <syslog.h>

#include "base.h"

/* From here on standard error is ours. */
void logged_begin(int max_level);

/* Whatever was logged since it was last asked for. Borrowed until then. */
const char *logged_take(void);
