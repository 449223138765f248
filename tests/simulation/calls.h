/*
 * calls.h - the system calls of the code under test, led to the model.
 *
 * The linker replaces them (-Wl,--wrap, see tests/local.mk). What is below
 * CALLS_ROOT, and the descriptors that come of it, is on the model's disk; all
 * else goes to the real kernel. Time, chance and names of the machine come
 * from the world.
 */
#pragma once

#include "base.h"

#define CALLS_ROOT "/sim/"

/* Descriptors of the model that are open: none, after a visit. */
unsigned calls_count_open(void);
void calls_close_all(void);

/* This disk has no renameat2 that refuses to overwrite. */
void calls_set_plain_rename(bool is_plain);
