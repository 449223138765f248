/*
 * supervisor.h - the loop: timers, signals, reload, watchdog, workers.
 *
 * Never reads a byte from the network and never opens mail.
 */
#pragma once

#include "base.h"
#include "config.h"
#include "report.h"

struct supervisor_options {
	const struct config_paths *paths; /* borrowed */
	bool once;	    /* every account due now, no next time */
	bool quiet;	    /* no line for a visit that went well */
	enum purpose purpose; /* other than PURPOSE_FETCH with once and only */
	char **only;	    /* account names, asked for by a person */
	size_t n_only;	    /* 0: all */
};

/*
 * Runs until all is done (once) or until SIGTERM. Takes over the loaded
 * configuration. Returns the exit status: 0, or the worst visit's.
 */
int supervisor_run(const struct supervisor_options *options,
		   struct config *config);
