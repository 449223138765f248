/*
 * place.h - the directory in which a fuzz target makes its files.
 */
#pragma once

#include "base.h"

#define PLACE_PATH_MAX 256

/* The path of a name in it: in $TMPDIR, or else in memory, and gone at the end. */
void place_path(char ret[PLACE_PATH_MAX], const char *name);
