/* SPDX-License-Identifier: MIT */
/*
 * The rows SetSecret, Secret, RemoveSecret and Secrets.
 *
 * Values never come into this process: a child of its own (shell/creel-secret.c) reads them from the agent's memfd and writes them to the
 * agent's pipe, and systemd-creds does the encryption. What is left here is who may, how often, and the names. The folder is root's
 * and closed to everybody else, so that names in it are what the child made them.
 */
#include "shell/bus/secret.h"
#include "shell/bus/bus.h"
#include "shell/keeper/entry.h"
#include "shell/keeper/place.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PROGRAM CREEL_LIBEXECDIR "/creel-secret"
#define PIPE_BYTES (128 * 1024) /* a whole answer, so that nobody who does not read it is waited for */
#define ENTRIES_MAX 1000U

static void record(Keeper *keeper, const Peer *peer, const char *name, const char *what, const char *failure)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	char place[PLACE_SIZE] = "";

	(void)!place_read(peer->pid, keeper->uid, place);
	keeper_entry_begin(keeper, &entry, "secret", failure ? LOG_NOTICE : LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: secret %s %s%s%s", keeper->identity->name, name, what,
		failure ? " refused, " : "", failure ? failure : "");
	entry_text(&entry, "CREEL_SECRET", name);
	entry_text(&entry, "CREEL_CHANGE", what);
	keeper_entry_caller(keeper, place, &entry);
	entry_text(&entry, "CREEL_RESULT", failure ? "refused" : "done");
	entry_text(&entry, "CREEL_REASON", failure);
	keeper_entry_send(keeper, &entry);
}

/* Fills the error, and tells the record. Refusals are bounded like all that is asked (Keeper.secrets). */
static int refuse(Keeper *keeper, const Peer *peer, const char *name, const char *what, const char *error_name,
	const char *why, sd_bus_error *error)
{
	record(keeper, peer, name, what, why);
	return sd_bus_error_set(error, error_name, why);
}

static int check(Keeper *keeper, sd_bus_error *error)
{
	if (!rate_take(&keeper->secrets, NULL))
		return sd_bus_error_set(
			error, KEEPER_ERROR_FULL, "secrets were asked for too often: try again in a second");
	keeper_refresh_policy(keeper);
	if (!keeper->policy)
		return sd_bus_error_set(error, KEEPER_ERROR_POLICY, keeper->policy_error.text);
	return 0;
}

static int check_name(const char *name, sd_bus_error *error)
{
	if (secret_name_valid(name))
		return 0;
	return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
		"a secret is named like a variable: letters, digits and _, no digit first, at most %u",
		SECRET_NAME_MAX);
}

/* ---- the child ---- */

/* Starts the child, and answers with its pipe. */
static int hand_over(
	Keeper *keeper, sd_bus_message *message, const char *verb, const char *name, int value_fd, sd_bus_error *error)
{
	_cleanup_close_ int read_fd = -EBADF;
	Answer *answer = NULL;
	char uid[16];
	int r;

	for (size_t i = 0; i < ELEMENTSOF(keeper->secret_answers) && !answer; i++)
		if (answer_is_free(&keeper->secret_answers[i]))
			answer = &keeper->secret_answers[i];
	if (!answer)
		return sd_bus_error_set(error, KEEPER_ERROR_FULL,
			"other secrets are being looked at, or wait to be read: try again in a moment");
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned int)keeper->uid);
	r = answer_start(keeper->event, answer,
		(char *const[]){ (char *)PROGRAM, (char *)verb, uid, (char *)name, NULL }, value_fd, PIPE_BYTES,
		&read_fd);
	if (r < 0)
		return sd_bus_error_setf(error, KEEPER_ERROR_FAILED, PROGRAM ": %s", strerror(-r));
	return sd_bus_reply_method_return(message, "h", read_fd);
}

/* Memory that nobody changes any more, of a length that is known. Why not, or NULL. */
static const char *judge_value(int fd)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & needed) != needed || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "the value is not in a memfd that is sealed against shrinking, growing and writing";
	if (st.st_size == 0)
		return "the value is empty";
	if (st.st_size > (off_t)SECRET_MAX)
		return "the value is longer than 64K";
	return NULL;
}

int method_set_secret(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	const char *name, *why;
	int fd, r;

	r = sd_bus_message_read(message, "sh", &name, &fd);
	if (r >= 0)
		r = check(keeper, error);
	if (r >= 0)
		r = check_name(name, error);
	if (r < 0)
		return r;
	why = judge_value(fd);
	if (why)
		return refuse(keeper, peer, name, "set", SD_BUS_ERROR_INVALID_ARGS, why, error);
	r = hand_over(keeper, message, "set", name, fd, error);
	if (r >= 0)
		record(keeper, peer, name, "set", NULL);
	return r;
}

int method_secret(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	char path[sizeof(SECRETS_DIR) + 16 + SECRET_NAME_MAX];
	struct stat st;
	const char *name;
	int r;

	r = sd_bus_message_read(message, "s", &name);
	if (r >= 0)
		r = check(keeper, error);
	if (r >= 0)
		r = check_name(name, error);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), SECRETS_DIR "/%u/%s", (unsigned int)keeper->uid, name);
	if (lstat(path, &st) < 0)
		return refuse(keeper, peer, name, "use", KEEPER_ERROR_NO_SECRET, "there is no such secret", error);
	r = hand_over(keeper, message, "get", name, -EBADF, error);
	if (r >= 0)
		record(keeper, peer, name, "use", NULL);
	return r;
}

int method_remove_secret(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Keeper *keeper = userdata;
	char path[sizeof(SECRETS_DIR) + 16 + SECRET_NAME_MAX];
	const char *name;
	int r;

	r = sd_bus_message_read(message, "s", &name);
	if (r >= 0)
		r = check(keeper, error);
	if (r >= 0)
		r = check_name(name, error);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), SECRETS_DIR "/%u/%s", (unsigned int)keeper->uid, name);
	if (unlink(path) == 0)
		record(keeper, peer, name, "remove", NULL);
	else if (errno != ENOENT)
		return sd_bus_error_setf(error, KEEPER_ERROR_FAILED, "it cannot be removed: %s", strerror(errno));
	else
		return sd_bus_reply_method_return(message, "b", false);
	return sd_bus_reply_method_return(message, "b", true);
}

/* ---- the list ---- */

static int append_names(DIR *dir, sd_bus_message *reply)
{
	struct dirent *entry;
	struct stat st;
	int r = 0;

	for (unsigned int i = 0; r >= 0 && i < ENTRIES_MAX && (entry = readdir(dir)); i++)
		if (secret_name_valid(entry->d_name) &&
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = sd_bus_message_append(reply, "(st)", entry->d_name,
				(uint64_t)st.st_mtim.tv_sec * 1000000U + (uint64_t)st.st_mtim.tv_nsec / 1000U);
	return r;
}

int method_secrets(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_closedir_ DIR *dir = NULL;
	Keeper *keeper = userdata;
	char path[sizeof(SECRETS_DIR) + 16];
	int r;

	r = check(keeper, error);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), SECRETS_DIR "/%u", (unsigned int)keeper->uid);
	dir = opendir(path);
	if (!dir && errno != ENOENT)
		return sd_bus_error_setf(
			error, KEEPER_ERROR_FAILED, "secrets cannot be looked at: %s", strerror(errno));
	r = sd_bus_message_new_method_return(message, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(st)");
	if (r >= 0 && dir)
		r = append_names(dir, reply);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

void secrets_done(Keeper *keeper)
{
	for (size_t i = 0; i < ELEMENTSOF(keeper->secret_answers); i++)
		answer_done(&keeper->secret_answers[i]);
}
