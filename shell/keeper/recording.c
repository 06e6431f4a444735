/* SPDX-License-Identifier: MIT */
/* One function a kind of entry, so that the fields of a kind are seen in one place. */
#include "shell/keeper/entry.h"
#include "shell/audit/redact.h"
#include "shell/keeper/executions.h"
#include "shell/base/log.h"
#include "shell/base/str.h"

#include <signal.h>
#include <string.h>

/* Longer commands are cut in the MESSAGE; CREEL_COMMAND has the whole. */
#define MESSAGE_COMMAND_MAX 120

/* What an agent makes as many of as it likes; the others say who came, and what became different. */
static bool is_important(const char *kind)
{
	static const char *const many[] = { "command-start", "command", "exec", "run-start", "run", "forward",
		"job-start", "job", "service-start", "service", "cron-start", "cron", "secret" };

	for (size_t i = 0; i < ELEMENTSOF(many); i++)
		if (strcmp(kind, many[i]) == 0)
			return false;
	return true;
}

/* Whoever has no policy cannot log in; what still runs is recorded. */
bool keeper_records(const Keeper *keeper)
{
	return !keeper->policy || keeper->policy->audit;
}

void keeper_entry_begin(const Keeper *keeper, RecordEntry *entry, const char *kind, int priority)
{
	/* whoever knocks at a door must not use up what the agent's own acts are written with */
	if (strcmp(kind, "refusal") == 0)
		record_begin_of_strangers(entry);
	else
		record_begin(keeper->record, entry, is_important(kind));
	entry_number(entry, "PRIORITY", (uint64_t)priority);
	entry_text(entry, "CREEL_KIND", kind);
	entry_text(entry, "CREEL_AGENT", keeper->identity->name);
	entry_number(entry, "CREEL_UID", keeper->uid);
}

void keeper_entry_session(const Session *session, RecordEntry *entry)
{
	entry_text(entry, "CREEL_SESSION", session->id);
	entry_text(entry, "CREEL_DOOR", session->door ? session->door : "ssh");
	entry_text(entry, "CREEL_PEER", session->peer);
	entry_text(entry, "CREEL_KEY", session->door ? NULL : session->key);
}

void keeper_entry_caller(const Keeper *keeper, const char *place, RecordEntry *entry)
{
	const char *id = strstr(place, "/session-");
	const Session *session = id ? session_find((Keeper *)keeper, id + strlen("/session-")) : NULL;

	if (session)
		keeper_entry_session(session, entry);
	entry_text(entry, "CREEL_CALLER", place);
}

static int on_flush(sd_event_source *source, uint64_t usec, void *userdata)
{
	Keeper *keeper = userdata;

	keeper->record_timer = sd_event_source_disable_unref(keeper->record_timer);
	record_flush(keeper->record);
	executions_flush(keeper);
	keeper_flush_later(keeper);
	return 0;
}

/* At a time when the journal may take more; nothing waits for it. */
void keeper_flush_later(Keeper *keeper)
{
	uint64_t again;

	if (keeper->record_timer || (!record_waits(keeper->record) && !executions_wait(keeper)))
		return;
	again = executions_again_usec(keeper);
	if (record_waits(keeper->record) && record_again_usec(keeper->record) < again)
		again = record_again_usec(keeper->record);
	if (sd_event_add_time_relative(
		    keeper->event, &keeper->record_timer, CLOCK_MONOTONIC, again, 1, on_flush, keeper) < 0)
		log_error("records wait for the next one: out of memory");
}

void keeper_entry_send(Keeper *keeper, RecordEntry *entry)
{
	int r;

	/* who came and what changed is recorded always */
	if (!entry->important && !keeper_records(keeper)) {
		entry_done(entry);
		return;
	}
	r = record_send(keeper->record, entry);
	/* of what is beyond its bound the record itself tells */
	if (r < 0 && r != -EDQUOT && rate_take(&keeper->record_failures, NULL))
		log_warning("cannot write to the record: %s", strerror(-r));
	keeper_flush_later(keeper);
}

void keeper_record_login(Keeper *keeper, const Session *session, const char *algorithm)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };

	keeper_entry_begin(keeper, &entry, "login", LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: login, session %s, from %s, key %s", keeper->identity->name, session->id,
		session->peer, session->key);
	keeper_entry_session(session, &entry);
	entry_text(&entry, "CREEL_ALGORITHM", algorithm);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_logout(Keeper *keeper, const Session *session)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	uint64_t now = clock_realtime_usec();
	LeafUsage usage;

	leaf_usage(session->dir_fd, &usage);
	keeper_entry_begin(keeper, &entry, "logout", LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: session %s ended", keeper->identity->name, session->id);
	keeper_entry_session(session, &entry);
	entry_number(&entry, "CREEL_DURATION_USEC", now > session->since_usec ? now - session->since_usec : 0);
	/* of all in it; nothing where logind's scope held it */
	if (usage.cpu_usec) {
		entry_number(&entry, "CREEL_CPU_USEC", usage.cpu_usec);
		entry_number(&entry, "CREEL_MEMORY_PEAK", usage.memory_peak);
	}
	keeper_entry_send(keeper, &entry);
}

void keeper_record_refusal(Keeper *keeper, const char *user, const char *peer, const char *key, const char *reason)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	uint64_t suppressed;

	if (!rate_take(&keeper->refusals, &suppressed))
		return;
	keeper_entry_begin(keeper, &entry, "refusal", LOG_WARNING);
	entry_format(&entry, "MESSAGE", "%s: login refused, from %s: %s", keeper->identity->name, peer, reason);
	entry_text(&entry, "CREEL_USER", user);
	entry_text(&entry, "CREEL_DOOR", "ssh");
	entry_text(&entry, "CREEL_PEER", peer);
	entry_text(&entry, "CREEL_KEY", key);
	entry_text(&entry, "CREEL_RESULT", "refused");
	entry_text(&entry, "CREEL_REASON", reason);
	if (suppressed)
		entry_number(&entry, "CREEL_SUPPRESSED", suppressed);
	keeper_entry_send(keeper, &entry);
}

static void entry_door(const DoorRequest *request, RecordEntry *entry)
{
	entry_text(entry, "CREEL_SERVICE", request->service);
	entry_text(entry, "CREEL_TTY", *request->terminal ? request->terminal : NULL);
	entry_text(entry, "CREEL_REMOTE_USER", *request->user ? request->user : NULL);
}

void keeper_record_door(Keeper *keeper, const Session *session, const DoorRequest *request)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	char peer[96];

	keeper_entry_begin(keeper, &entry, "login", LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: login by %s, session %s, from %s", keeper->identity->name, session->door,
		session->id, str_quote(session->peer, strlen(session->peer), peer, sizeof(peer)));
	keeper_entry_session(session, &entry);
	entry_door(request, &entry);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_door_refusal(Keeper *keeper, const DoorRequest *request, const char *reason)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	uint64_t suppressed;

	if (!rate_take(&keeper->refusals, &suppressed))
		return;
	keeper_entry_begin(keeper, &entry, "refusal", LOG_WARNING);
	entry_format(
		&entry, "MESSAGE", "%s: session of %s refused: %s", keeper->identity->name, request->service, reason);
	entry_text(&entry, "CREEL_DOOR", door_name(request->service));
	entry_text(&entry, "CREEL_PEER", *request->host ? request->host : NULL);
	entry_door(request, &entry);
	entry_text(&entry, "CREEL_RESULT", "refused");
	entry_text(&entry, "CREEL_REASON", reason);
	if (suppressed)
		entry_number(&entry, "CREEL_SUPPRESSED", suppressed);
	keeper_entry_send(keeper, &entry);
}

static const char *outcome(const char *result, int value, char *buffer, size_t size)
{
	if (strcmp(result, "exit") == 0)
		(void)snprintf(buffer, size, "exit %d", value);
	else if (value > 0)
		(void)snprintf(buffer, size, "%s SIG%s", result, sigabbrev_np(value) ? sigabbrev_np(value) : "?");
	else
		(void)snprintf(buffer, size, "%s", result);
	return buffer;
}

static void entry_command(const Channel *channel, RecordEntry *entry)
{
	keeper_entry_session(channel->session, entry);
	entry_number(entry, "CREEL_CHANNEL", channel->number);
	entry_text(entry, "CREEL_COMMAND_KIND", channel->kind);
	entry_text(entry, "CREEL_COMMAND", channel->command);
	if (channel->command_bytes)
		entry_number(entry, "CREEL_COMMAND_BYTES", channel->command_bytes);
	entry_text(entry, "CREEL_ORIGINAL_COMMAND", channel->original);
	entry_text(entry, "CREEL_TERMINAL", channel->terminal ? "yes" : "no");
	entry_text(entry, "CREEL_RECORDING", channel->recording);
	if (channel->rescue)
		entry_text(entry, "CREEL_RESCUE", "yes");
}

/* So that it is there whatever comes: also a machine that goes down with it. */
void keeper_record_command_start(const Channel *channel)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	Keeper *keeper = channel->session->keeper;
	char quoted[MESSAGE_COMMAND_MAX];

	keeper_entry_begin(keeper, &entry, "command-start", LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: %s \"%s\" begins", keeper->identity->name, channel->kind,
		redact_quote(channel->command, quoted, sizeof(quoted)));
	entry_command(channel, &entry);
	entry_number(&entry, "CREEL_PID", (uint64_t)channel->pid);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_command(
	const Channel *channel, const char *result, int value, const LeafUsage *usage, const char *note)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	const Session *session = channel->session;
	Keeper *keeper = session->keeper;
	uint64_t now = clock_realtime_usec();
	char quoted[MESSAGE_COMMAND_MAX], text[48];

	keeper_entry_begin(keeper, &entry, "command", LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: %s \"%s\": %s", keeper->identity->name, channel->kind,
		redact_quote(channel->command, quoted, sizeof(quoted)), outcome(result, value, text, sizeof(text)));
	entry_command(channel, &entry);
	entry_text(&entry, "CREEL_RESULT", result);
	if (strcmp(result, "exit") == 0)
		entry_number(&entry, "CREEL_EXIT", (uint64_t)value);
	else if (value > 0)
		entry_text(&entry, "CREEL_SIGNAL", sigabbrev_np(value));
	entry_text(&entry, "CREEL_REASON", note);
	entry_number(&entry, "CREEL_DURATION_USEC", now > channel->started_usec ? now - channel->started_usec : 0);
	entry_number(&entry, "CREEL_CPU_USEC", usage->cpu_usec);
	entry_number(&entry, "CREEL_MEMORY_PEAK", usage->memory_peak);
	if (usage->oom_kills)
		entry_number(&entry, "CREEL_OOM_KILLS", usage->oom_kills);
	if (usage->tasks_refused)
		entry_number(&entry, "CREEL_TASKS_REFUSED", usage->tasks_refused);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_forward(const Session *session, const char *host, uint32_t port, const char *failure)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	Keeper *keeper = session->keeper;
	uint64_t suppressed;
	char quoted[80];

	if (!rate_take(&keeper->forwards, &suppressed))
		return;
	str_quote(host, strlen(host), quoted, sizeof(quoted));
	keeper_entry_begin(keeper, &entry, "forward", failure ? LOG_NOTICE : LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: forwarding to %s port %u: %s", keeper->identity->name, quoted, port,
		failure ? failure : "connected");
	keeper_entry_session(session, &entry);
	entry_text(&entry, "CREEL_HOST", quoted);
	entry_number(&entry, "CREEL_PORT", port);
	entry_text(&entry, "CREEL_RESULT", failure ? "refused" : "connected");
	entry_text(&entry, "CREEL_REASON", failure);
	if (suppressed)
		entry_number(&entry, "CREEL_SUPPRESSED", suppressed);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_event(Keeper *keeper, const char *text)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };

	keeper_entry_begin(keeper, &entry, "keeper", LOG_NOTICE);
	entry_format(&entry, "MESSAGE", "%s: %s", keeper->identity->name, text);
	keeper_entry_send(keeper, &entry);
}
