/* SPDX-License-Identifier: MIT */
/*
 * A newer keeper was installed. This one is told so by SIGHUP (systemctl reload) and goes on until nothing would be lost with it: how a
 * process ends that it gave birth to, what a run wrote, interpreters that keep their state, a connection of the agent's. Then it ends,
 * and systemd starts the program that is there. Sessions and the processes in them live on, as after any end of a keeper (adopt.c).
 *
 * The agent decides how long that takes. Whoever cannot wait, for a flaw in the keeper, restarts the unit (creel-keeper(8)).
 */
#include "shell/keeper/executions.h"
#include "shell/keeper/keeper.h"
#include "shell/base/log.h"

#include <signal.h>
#include <string.h>

static bool session_is_busy(const Session *session)
{
	if (session->forwards)
		return true;
	for (const Channel *channel = session->channels; channel; channel = channel->next)
		/* how an adopted one ends no keeper will know */
		if (channel->state == CHANNEL_RUNNING && !channel->adopted)
			return true;
	return false;
}

/* Prepared interpreters are nobody's yet, and the next keeper's are as good. */
static bool keeper_is_busy(const Keeper *keeper)
{
	if (keeper->runs || keeper->repls || keeper->history_answer.writer || server_has_agent(keeper->server))
		return true;
	for (const Session *session = keeper->sessions; session; session = session->next)
		if (session_is_busy(session))
			return true;
	return false;
}

/* After each turn of the loop: whatever changes begins with an event. */
static int on_turn(sd_event_source *source, void *userdata)
{
	Keeper *keeper = userdata;

	if (keeper_is_busy(keeper))
		return 0;
	executions_flush(keeper);
	record_flush(keeper->record);
	log_info("ends for the keeper that is installed now");
	return sd_event_exit(keeper->event, 0);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	Keeper *keeper = userdata;
	int r;

	if (keeper->renewing)
		return 0;
	r = sd_event_add_post(keeper->event, NULL, on_turn, keeper);
	if (r < 0) {
		log_error("cannot wait for a moment to end in: %s", strerror(-r));
		return 0;
	}
	keeper->renewing = true;
	if (keeper_is_busy(keeper))
		log_info("another keeper is installed: this one goes on until nothing of the agent's depends on it");
	/* what was added just now is asked at the end of the next turn only */
	return on_turn(NULL, keeper);
}

int keeper_renew_on_reload(Keeper *keeper)
{
	return sd_event_add_signal(keeper->event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_reload, keeper);
}
