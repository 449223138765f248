/*
 * fuzz.h - what all fuzz targets share.
 */
#pragma once

#include <stdio.h>

#include "base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline _noreturn_ void fuzz_fail(const char *file, int line,
					const char *what)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* What must hold whatever the input is: the fuzzer keeps the one that breaks it. */
#define check(holds) ((holds) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #holds))

/* The next option of an input, which stands before what is parsed; 0 at its end. */
static inline uint8_t take_byte(const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	(*size)--;
	return *(*data)++;
}

/* One line, terminated, that a terminal shows as it is. */
static inline bool is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}
