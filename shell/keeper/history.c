/* SPDX-License-Identifier: MIT */
/*
 * The row History: an agent's own records. A process of its own reads them (shell/creel-history.c), as looking through the record may
 * take long; one at a time. A uid comes back after its agent was removed, and so may a name: what was recorded before this agent
 * was made is not shown to it.
 */
#include "shell/audit/kinds.h"
#include "shell/keeper/keeper.h"
#include "shell/bus/bus.h"
#include "shell/policy/agents.h"

#include <string.h>
#include <sys/stat.h>

#define PROGRAM CREEL_LIBEXECDIR "/creel-history"

/* When the agent was made; 0: nobody remembers. */
static uint64_t made_usec(const Keeper *keeper)
{
	char path[96];
	struct stat st;

	(void)snprintf(path, sizeof(path), POLICY_MARK_DIR "/%u", (unsigned int)keeper->uid);
	return stat(path, &st) == 0 ? (uint64_t)st.st_mtim.tv_sec * 1000000U : 0;
}

/* Letters and digits, or empty. */
static bool is_id(const char *text)
{
	return strlen(text) <= 32 && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789")];
}

int method_history(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_close_ int read_fd = -EBADF;
	char uid[16], from[24], most[24], kinds[RECORD_KINDS_SIZE];
	Keeper *keeper = userdata;
	const char *kind = "", *session = "";
	uint64_t since = 0, count = 0, made;
	int json = 0, r;

	r = sd_bus_message_read(message, "bttss", &json, &since, &count, &kind, &session);
	if (r < 0)
		return r;
	if (*kind && !record_kind_known(kind))
		return sd_bus_error_setf(
			error, SD_BUS_ERROR_INVALID_ARGS, "no kind of record: there are %s", record_kinds(kinds));
	if (!is_id(session))
		return sd_bus_error_set(
			error, SD_BUS_ERROR_INVALID_ARGS, "no id of a session: creel history --kind login has them");
	if (!answer_is_free(&keeper->history_answer) || !rate_take(&keeper->looks, NULL))
		return sd_bus_error_set(error, KEEPER_ERROR_FULL,
			"the record is being read already, or its answer waits to be read: try again in a moment");
	made = made_usec(keeper);
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned int)keeper->uid);
	(void)snprintf(from, sizeof(from), "%llu", (unsigned long long)(since > made ? since : made));
	(void)snprintf(most, sizeof(most), "%llu", (unsigned long long)count);
	r = answer_start(keeper->event, &keeper->history_answer,
		(char *const[]){ (char *)PROGRAM, uid, keeper->identity->name, from, most,
			(char *)(json ? "json" : "lines"), (char *)(*kind ? kind : "-"),
			(char *)(*session ? session : "-"), NULL },
		-EBADF, 0, &read_fd);
	if (r < 0)
		return sd_bus_error_setf(error, KEEPER_ERROR_FAILED, PROGRAM ": %s", strerror(-r));
	return sd_bus_reply_method_return(message, "h", read_fd);
}
