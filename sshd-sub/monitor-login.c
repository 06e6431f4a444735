/* SPDX-License-Identifier: MIT */
/*
 * Who may come in. Two questions come from a worker: may this key log in (no signature yet), and here is a signature.
 *
 * The second is answered in three steps: the signature is verified here, over the session id that this process signed
 * itself; the key must have been authorized for that user (asked now, if the client skipped the first question); and the
 * keeper opens the session. A worker can choose neither the session id nor a user other than the one that was signed.
 *
 * A user who is no agent has no keeper that could say no. The answer then waits as long as keepers usually take, so that
 * the time does not tell who exists.
 */
#include "shell/base/log.h"
#include "shell/base/str.h"
#include "sshd-sub/monitor.h"
#include "sshd-sub/userauth.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

static int login_answer(Connection *connection, bool yes)
{
	if (connection->state == STATE_ASKING)
		connection->state = STATE_KEYED;
	if (!yes)
		connection->denials++;
	return connection_tell(connection, WIRE_VERDICT, 0, yes, NULL, NULL, 0);
}

/* From a handler of an answer, where nobody above would end the connection. */
static void login_answer_or_end(Connection *connection, bool yes)
{
	if (login_answer(connection, yes) < 0)
		connection_end(connection, NULL);
}

int login_sign(Connection *connection, const uint8_t *hash, size_t n)
{
	uint8_t signature[64];
	WireWriter payload = { .data = signature, .room = sizeof(signature), .used = sizeof(signature) };
	int r;

	r = hostkey_sign(connection->monitor->hostkey, hash, n, signature);
	if (r < 0)
		return r;
	if (!connection->session_id_n) {
		memcpy(connection->session_id, hash, n);
		connection->session_id_n = n;
	}
	if (connection->state == STATE_FRESH)
		connection->state = STATE_KEYED;
	return connection_tell(connection, WIRE_SIGNED, 0, 0, &payload, NULL, 0);
}

static void login_forget_key(Connection *connection)
{
	free(connection->key);
	connection->key = NULL;
	connection->key_n = 0;
}

/* Sets connection->keeper: NULL when that user is no agent. */
static void login_choose_user(Connection *connection, const char *user)
{
	const struct passwd *entry;
	int r;

	if (strcmp(connection->user, user) == 0 && connection->keeper && !connection->keeper->lost)
		return;
	login_forget_key(connection);
	(void)snprintf(connection->user, sizeof(connection->user), "%s", user);
	connection->keeper = NULL;
	entry = getpwnam(user);
	if (!entry || entry->pw_uid == 0)
		return;
	r = keeper_find(connection->monitor, entry->pw_uid, &connection->keeper);
	if (r < 0 && r != -ENOENT && r != -EACCES)
		log_error("keeper of uid %u cannot be reached: %s", (unsigned int)entry->pw_uid, strerror(-r));
}

static int on_decoy(sd_event_source *source, uint64_t usec, void *userdata)
{
	Connection *connection = userdata;

	connection->decoy_source = sd_event_source_disable_unref(connection->decoy_source);
	login_answer_or_end(connection, false);
	return 0;
}

static int login_deny_later(Connection *connection)
{
	connection->state = STATE_ASKING;
	return sd_event_add_time_relative(connection->monitor->event, &connection->decoy_source, CLOCK_MONOTONIC,
		connection->monitor->answer_usec, 1, on_decoy, connection);
}

static void login_failed(Connection *connection, const char *member, sd_bus_message *answer)
{
	const sd_bus_error *error = sd_bus_message_get_error(answer);
	char quoted[256];

	log_error("keeper of uid %u: %s: %s", (unsigned int)connection->keeper->uid, member,
		str_quote(error->message ? error->message : error->name,
			strlen(error->message ? error->message : error->name), quoted, sizeof(quoted)));
}

static int on_login(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Connection *connection = userdata;
	const char *session;
	int terminal;

	connection->slot = sd_bus_slot_unref(connection->slot);
	if (sd_bus_message_is_method_error(answer, NULL)) {
		connection->keeper_knows = sd_bus_message_is_method_error(answer, KEEPER_ERROR_DENIED) ||
					   sd_bus_message_is_method_error(answer, KEEPER_ERROR_POLICY);
		if (!connection->keeper_knows)
			login_failed(connection, "Login", answer);
		if (connection->over)
			connection_end(connection, NULL);
		else
			login_answer_or_end(connection, false);
		return 1;
	}
	if (sd_bus_message_read(answer, "sb", &session, &terminal) < 0) {
		connection_end(connection, "the keeper's answer makes no sense");
		return 1;
	}
	if (connection->over) {
		/* the client left while the keeper let it in */
		keeper_tell(connection->keeper, "Logout", "s", session);
		connection_end(connection, NULL);
		return 1;
	}
	connection->session = strdup(session);
	if (!connection->session) {
		keeper_tell(connection->keeper, "Logout", "s", session);
		connection_end(connection, "out of memory");
		return 1;
	}
	connection->state = STATE_ENTERED;
	login_forget_key(connection);
	connection_admitted(connection);
	if (connection_tell(
		    connection, WIRE_VERDICT, 0, VERDICT_YES | (terminal ? 0 : VERDICT_NO_TERMINAL), NULL, NULL, 0) < 0)
		connection_end(connection, NULL);
	return 1;
}

/* connection->key is authorized and its signature was verified. */
static int login_open(Connection *connection)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	char fingerprint[64];
	int r;

	r = userauth_fingerprint((Slice){ .data = connection->key, .n = connection->key_n }, fingerprint);
	if (r < 0)
		return r;
	r = keeper_call_new(connection->keeper, "Login", &call);
	if (r >= 0)
		r = sd_bus_message_append(call, "ssssu", connection->user, connection->peer, connection->algorithm,
			fingerprint, connection->presence);
	if (r >= 0)
		r = sd_bus_message_append_array(call, 'y', connection->key, connection->key_n);
	if (r >= 0)
		r = keeper_call(connection->keeper, call, on_login, connection, &connection->slot);
	if (r < 0)
		return login_answer(connection, false);
	connection->state = STATE_ASKING;
	return 0;
}

static int on_authorize(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Connection *connection = userdata;
	Monitor *monitor = connection->monitor;
	int yes = 0;

	connection->slot = sd_bus_slot_unref(connection->slot);
	if (connection->over) {
		connection_end(connection, NULL);
		return 1;
	}
	if (sd_bus_message_is_method_error(answer, NULL))
		login_failed(connection, "Authorize", answer);
	else if (sd_bus_message_read(answer, "b", &yes) < 0)
		yes = 0;
	else
		monitor->answer_usec = (monitor->answer_usec * 7 + clock_monotonic_usec() - connection->asked_usec) / 8;

	if (!yes)
		login_forget_key(connection);
	if (yes && connection->is_login) {
		if (login_open(connection) < 0)
			connection_end(connection, NULL);
		return 1;
	}
	login_answer_or_end(connection, yes);
	return 1;
}

/* May `key` log in as connection->user? What follows a yes is connection->is_login's to say. */
static int login_authorize(Connection *connection, Slice key)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r;

	login_forget_key(connection);
	connection->asked_usec = clock_monotonic_usec();
	if (!connection->keeper || userauth_key_check(key))
		return login_deny_later(connection);
	connection->key = malloc(key.n);
	if (!connection->key)
		return -ENOMEM;
	memcpy(connection->key, key.data, key.n);
	connection->key_n = key.n;

	r = keeper_call_new(connection->keeper, "Authorize", &call);
	if (r >= 0)
		r = sd_bus_message_append(call, "ss", connection->user, connection->peer);
	if (r >= 0)
		r = sd_bus_message_append_array(call, 'y', key.data, key.n);
	if (r >= 0)
		r = keeper_call(connection->keeper, call, on_authorize, connection, &connection->slot);
	if (r < 0)
		return login_deny_later(connection);
	connection->state = STATE_ASKING;
	return 0;
}

int login_query(Connection *connection, WireReader *reader)
{
	const char *user = wire_get_string(reader, KEEPER_USER_MAX);
	Slice key;

	key.data = wire_get_bytes(reader, KEEPER_KEY_BLOB_MAX, &key.n);
	if (!wire_done(reader) || connection->denials >= ALLOW_TRIES_MAX)
		return -EBADMSG;
	if (connection->state == STATE_SELFTEST)
		return login_answer(connection, !userauth_key_check(key));
	connection->is_login = false;
	login_choose_user(connection, user);
	return login_authorize(connection, key);
}

/* `outcome` is userauth_verify()'s. */
static int login_verified(Connection *connection, int outcome, const Userauth *auth)
{
	if (connection->state == STATE_SELFTEST)
		return login_answer(connection, !outcome);
	if (outcome)
		return login_answer(connection, false);

	connection->is_login = true;
	login_choose_user(connection, auth->user);
	(void)snprintf(connection->algorithm, sizeof(connection->algorithm), "%s", auth->algorithm);
	connection->presence = auth->presence;
	if (connection->key && connection->key_n == auth->key.n &&
		memcmp(connection->key, auth->key.data, auth->key.n) == 0)
		return login_open(connection);
	return login_authorize(connection, auth->key);
}

int login_verify(Connection *connection, WireReader *reader)
{
	Slice session_id = { .data = connection->session_id, .n = connection->session_id_n };
	Slice data, signature;
	Userauth auth = { 0 };
	int r;

	data.data = wire_get_bytes(reader, WIRE_SIGNED_DATA_MAX, &data.n);
	signature.data = wire_get_bytes(reader, WIRE_SIGNATURE_MAX, &signature.n);
	if (!wire_done(reader) || connection->denials >= ALLOW_TRIES_MAX)
		return -EBADMSG;
	r = userauth_verify(data.data, data.n, session_id, signature, &auth);
	return login_verified(connection, r, &auth);
}

int login_verify_sk(Connection *connection, WireReader *reader)
{
	Slice session_id = { .data = connection->session_id, .n = connection->session_id_n };
	const char *user = wire_get_string(reader, KEEPER_USER_MAX);
	Slice key, data, signature;
	Userauth auth = { 0 };
	int r;

	key.data = wire_get_bytes(reader, KEEPER_KEY_BLOB_MAX, &key.n);
	data.data = wire_get_bytes(reader, WIRE_SK_DATA_SIZE, &data.n);
	signature.data = wire_get_bytes(reader, WIRE_SIGNATURE_MAX, &signature.n);
	if (!wire_done(reader) || connection->denials >= ALLOW_TRIES_MAX)
		return -EBADMSG;
	r = userauth_verify_sk(user, key, session_id, data, signature, &auth);
	return login_verified(connection, r, &auth);
}

bool login_cancel(Connection *connection)
{
	connection->decoy_source = sd_event_source_disable_unref(connection->decoy_source);
	if (connection->slot && connection->is_login && connection->state == STATE_ASKING)
		return true;
	connection->slot = sd_bus_slot_unref(connection->slot);
	return false;
}

static void login_describe(const Connection *connection, char *ret, size_t size)
{
	char text[160];

	if (connection->bye == BYE_PROTOCOL || connection->bye == BYE_FAILED)
		(void)snprintf(ret, size, "%s: %s",
			connection->bye == BYE_FAILED ? "our own failure" : "no SSH that we speak",
			str_quote(connection->bye_text, strlen(connection->bye_text), text, sizeof(text)));
	else if (connection->keeper_knows)
		(void)snprintf(ret, size, "denied by the keeper");
	else if (connection->denials && !connection->keeper)
		(void)snprintf(ret, size, "not an agent");
	else if (connection->denials)
		(void)snprintf(ret, size, "no accepted key, %u tried%s", connection->denials,
			connection->bye == BYE_TRIES ? ": too many" : "");
	else
		(void)snprintf(ret, size, connection->bye == BYE_TRIES ? "too many tries" : "left before logging in");
}

static bool may_log(Monitor *monitor)
{
	uint64_t left_out;

	if (!rate_take(&monitor->refusals, &left_out))
		return false;
	if (left_out)
		log_notice("%llu lines about refused connections were left out", (unsigned long long)left_out);
	return true;
}

/* Returns whether the line was written: a flood of them is bounded. */
static bool login_log_line(Connection *connection, const char *what, const char *why)
{
	char user[4 * KEEPER_USER_MAX + 1];
	int address_n = (int)strcspn(connection->peer, " ");

	if (!may_log(connection->monitor))
		return false;
	if (connection->user[0])
		log_notice("%s %.*s, user \"%s\": %s", what, address_n, connection->peer,
			str_quote(connection->user, strlen(connection->user), user, sizeof(user)), why);
	else
		log_notice("%s %.*s: %s", what, address_n, connection->peer, why);
	return true;
}

/* Where no keeper is concerned, the front writes the record itself. */
static void login_record_refusal(Connection *connection, const char *why)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	char user[4 * KEEPER_USER_MAX + 1];

	str_quote(connection->user, strlen(connection->user), user, sizeof(user));
	entry_number(&entry, "PRIORITY", LOG_WARNING);
	entry_format(&entry, "MESSAGE", "login refused, from %s, user \"%s\": %s", connection->peer, user, why);
	entry_text(&entry, "CREEL_KIND", "refusal");
	entry_text(&entry, "CREEL_USER", user);
	entry_text(&entry, "CREEL_DOOR", "ssh");
	entry_text(&entry, "CREEL_PEER", connection->peer);
	entry_text(&entry, "CREEL_RESULT", "refused");
	entry_text(&entry, "CREEL_REASON", why);
	/* what cannot be written is counted in the next entry; the log line above says the same */
	(void)record_send(connection->monitor->record, &entry);
}

void login_log_refusal(Connection *connection, const char *why)
{
	char described[256];

	if (!why) {
		login_describe(connection, described, sizeof(described));
		why = described;
	}
	if (connection->keeper && connection->denials && !connection->keeper_knows)
		keeper_tell(connection->keeper, "Refused", "sss", connection->user, connection->peer, why);
	if (login_log_line(connection, "refused", why) && !connection->keeper_knows &&
		!(connection->keeper && connection->denials))
		login_record_refusal(connection, why);
}

void login_log_break(Connection *connection)
{
	char described[256];

	login_describe(connection, described, sizeof(described));
	(void)login_log_line(connection, "broken connection of", described);
}
