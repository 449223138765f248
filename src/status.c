/*
 * status.c - STATUS= of sd_notify(3); goes nowhere without a service manager.
 */
#include "status.h"

#include <stdio.h>

#include <systemd/sd-daemon.h>

#define PAUSE_USEC USEC_PER_SEC

void status_done(struct status *status)
{
	status->timer = sd_event_source_disable_unref(status->timer);
}

static void format(const struct status *status, char *dst, size_t cap)
{
	const struct roster *roster = status->roster;
	size_t n_ok = 0;
	size_t n_failing = 0;

	for (size_t i = 0; i < roster->n_entries; i++) {
		const struct roster_entry *entry = roster->entries[i];

		if (!entry->has_result)
			continue;
		if (entry->schedule.last_kind == ERROR_NONE)
			n_ok++;
		else
			n_failing++;
	}
	(void)snprintf(
		dst, cap,
		"accounts: %zu, ok: %zu, failing: %zu; visits under way: %u%s",
		roster->n_entries, n_ok, n_failing, roster->n_running,
		status->is_reload_refused
			? "; the configuration file has errors"
			: "");
}

void status_send(struct status *status, const char *state)
{
	char text[192];

	format(status, text, sizeof(text));
	(void)sd_notifyf(0, "%sSTATUS=%s", state, text);
	status->sent_usec = now_usec(CLOCK_MONOTONIC);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	status_send(userdata, "");
	return 0;
}

void status_changed(struct status *status)
{
	uint64_t due = status->sent_usec + PAUSE_USEC;
	int enabled = SD_EVENT_OFF;

	if (status->event == NULL)
		return;
	if (status->timer == NULL) {
		(void)sd_event_add_time(status->event, &status->timer,
					CLOCK_MONOTONIC, due, 0, on_timer,
					status);
		return;
	}
	(void)sd_event_source_get_enabled(status->timer, &enabled);
	if (enabled != SD_EVENT_OFF)
		return; /* it is on its way */
	(void)sd_event_source_set_time(status->timer, due);
	(void)sd_event_source_set_enabled(status->timer, SD_EVENT_ONESHOT);
}
