/*
 * world.c - chance, time, steps and faults.
 */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct world world;

void world_begin(uint64_t seed, bool is_traced)
{
	world = (struct world){
		.dice = seed,
		.is_traced = is_traced,
		.pid = 1000,
	};
	/* Neighbouring seeds shall not begin alike. */
	(void)dice();
	world.dice ^= dice();
	world.realtime_usec =
		UINT64_C(1790000000) * USEC_PER_SEC + dice_below(1000000000);
	world.monotonic_usec = dice_below(1000000000);
}

/* splitmix64 */
uint64_t dice(void)
{
	uint64_t z = world.dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned dice_below(unsigned n)
{
	return (unsigned)((dice() >> 32) * n >> 32);
}

unsigned dice_between(unsigned from, unsigned to)
{
	return from + dice_below(to - from + 1);
}

bool dice_percent(unsigned percent)
{
	return dice_below(100) < percent;
}

bool dice_once_in(unsigned n)
{
	return dice_below(n) == 0;
}

void world_wait(uint64_t usec)
{
	world.realtime_usec += usec;
	world.monotonic_usec += usec;
}

static bool is_hit(const struct fault *fault, enum act act)
{
	return fault->at_step != 0 && world.n_steps >= fault->at_step &&
	       fault->act == act;
}

static int find_fault(enum act act)
{
	for (unsigned i = 0; i < FAULTS_MAX; i++) {
		struct fault *fault = &world.faults[i];

		if (!is_hit(fault, act))
			continue;
		if (!fault->lasts)
			fault->at_step = 0;
		world.has_failed = true;
		trace("  ! the disk fails: %s", strerror(fault->errnum));
		return fault->errnum;
	}
	return 0;
}

int world_step(enum act act)
{
	if (world.is_dead)
		return EIO;

	world.n_steps++;
	world_wait(1 + dice_below(200));
	if (world.n_steps == world.dies_at_step) {
		world.is_dead = true;
		trace("  *** the end, at step %llu",
		      (unsigned long long)world.n_steps);
		return EIO;
	}
	return find_fault(act);
}

void trace(const char *fmt, ...)
{
	va_list args;

	if (!world.is_traced)
		return;
	va_start(args, fmt);
	(void)vprintf(fmt, args);
	va_end(args);
	(void)putchar('\n');
}

void violation(const char *fmt, ...)
{
	va_list args;

	if (world.has_violation)
		return;
	world.has_violation = true;
	va_start(args, fmt);
	(void)vsnprintf(world.violation, sizeof(world.violation), fmt, args);
	va_end(args);
	if (world.is_traced)
		(void)printf("VIOLATION: %s\n", world.violation);
}
