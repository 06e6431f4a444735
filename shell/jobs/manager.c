/* SPDX-License-Identifier: MIT */
/*
 * The manager's own socket comes first: it is there without a message bus, and nothing is between. On it there is no bus to
 * subscribe matches at, all that the manager tells its subscribers comes through.
 */
#include "shell/jobs/manager.h"
#include "shell/base/str.h"
#include "shell/jobs/span.h"

#include <pwd.h>
#include <string.h>

#define CALL_USEC (60 * USEC_PER_SEC) /* an answer; a manager that reads many units anew takes its time */

struct Manager {
	sd_bus *bus;
	bool subscribed, waited;
	bool changed; /* since the last manager_wait() */
	/* the systemd job that is waited for, and how it ended */
	char *job, *job_result;
	char *unit_path, *status; /* of the unit that was started last */
};

sd_bus *manager_bus(Manager *manager)
{
	return manager->bus;
}

Manager *manager_free(Manager *manager)
{
	if (!manager)
		return NULL;
	sd_bus_flush_close_unref(manager->bus);
	free(manager->job);
	free(manager->job_result);
	free(manager->unit_path);
	free(manager->status);
	free(manager);
	return NULL;
}

/* ---- connecting ---- */

static int connect_to(const char *address, bool client, sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r;

	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0 && client)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, CALL_USEC);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0) /* starting does not wait for an answer */
		r = sd_bus_call_method(
			bus, MANAGER_NAME, MANAGER_OBJECT, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, "");
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

int manager_connect(Manager **ret, Reason *ret_reason)
{
	_cleanup_(manager_freep) Manager *manager = calloc(1, sizeof(*manager));
	const struct passwd *user = getpwuid(getuid());
	unsigned int uid = (unsigned int)getuid();
	char address[96];
	int r;

	if (!manager)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	(void)snprintf(address, sizeof(address), "unix:path=/run/user/%u/systemd/private", uid);
	r = connect_to(address, false, &manager->bus);
	if (r < 0) {
		(void)snprintf(address, sizeof(address), "unix:path=/run/user/%u/bus", uid);
		if (connect_to(address, true, &manager->bus) >= 0)
			r = 0;
	}
	if (r < 0)
		return reason_set(ret_reason, r,
			"the user manager of %s does not answer: %s; an operator can start it: "
			"loginctl enable-linger %s, systemctl start user@%u",
			user ? user->pw_name : "this user", strerror(-r), user ? user->pw_name : "USER", uid);
	*ret = TAKE_PTR(manager);
	return 0;
}

/* ---- errors ---- */

static int failure(int r, const sd_bus_error *error, Reason *ret_reason)
{
	static const struct {
		const char *name;
		int r;
	} known[] = {
		{ MANAGER_NAME ".NoSuchUnit", -ENOENT },
		{ MANAGER_NAME ".LoadFailed", -ENOENT },
		{ MANAGER_NAME ".UnitExists", -EEXIST },
	};

	for (size_t i = 0; i < ELEMENTSOF(known); i++)
		if (sd_bus_error_has_name(error, known[i].name))
			r = known[i].r;
	if (r == -ECONNRESET || r == -ENOTCONN)
		return reason_set(ret_reason, r, "the user manager went away");
	return reason_set(ret_reason, r, "%s", error->message ? error->message : strerror(-r));
}

/* Calls the manager; `types` as sd_bus_message_append(). */
#define CALL(manager, method, ret_reply, ret_reason, ...)                                                            \
	({                                                                                                           \
		_cleanup_(sd_bus_error_free) sd_bus_error _error = SD_BUS_ERROR_NULL;                                \
		int _r = sd_bus_call_method((manager)->bus, MANAGER_NAME, MANAGER_OBJECT, MANAGER_INTERFACE, method, \
			&_error, ret_reply, __VA_ARGS__);                                                            \
		_r < 0 ? failure(_r, &_error, ret_reason) : 0;                                                       \
	})

/* ---- waiting ---- */

static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
	Manager *manager = userdata;
	const char *path, *result;
	uint32_t id;

	manager->changed = true;
	if (sd_bus_message_read(message, "uoss", &id, &path, NULL, &result) < 0)
		return 0;
	if (str_equal(path, manager->job) && str_set(&manager->job_result, result) < 0)
		return -ENOMEM;
	return 0;
}

static int on_change(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
	Manager *manager = userdata;

	manager->changed = true;
	return 0;
}

/* A unit that failed is forgotten before anybody could ask it: its words are kept as they come. */
static int on_properties(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
	Manager *manager = userdata;
	const char *interface, *name, *text;
	int r;

	manager->changed = true;
	if (!str_equal(sd_bus_message_get_path(message), manager->unit_path))
		return 0;
	r = sd_bus_message_read(message, "s", &interface);
	if (r >= 0)
		r = sd_bus_message_enter_container(message, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		r = sd_bus_message_read(message, "s", &name);
		if (r >= 0 && strcmp(name, "StatusText") == 0)
			r = sd_bus_message_read(message, "v", "s", &text) < 0 ? -EBADMSG
									      : str_set(&manager->status, text);
		else if (r >= 0)
			r = sd_bus_message_skip(message, "v");
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	return 0;
}

const char *manager_status(Manager *manager)
{
	/* what came with the answers to calls waits to be looked at */
	while (sd_bus_process(manager->bus, NULL) > 0)
		continue;
	return manager->status ? manager->status : "";
}

static int subscribe(Manager *manager, Reason *ret_reason)
{
	int r;

	if (manager->subscribed)
		return 0;
	r = sd_bus_match_signal(
		manager->bus, NULL, NULL, MANAGER_OBJECT, MANAGER_INTERFACE, "JobRemoved", on_job_removed, manager);
	if (r >= 0)
		r = sd_bus_match_signal(
			manager->bus, NULL, NULL, MANAGER_OBJECT, MANAGER_INTERFACE, "UnitRemoved", on_change, manager);
	if (r >= 0)
		r = sd_bus_match_signal(manager->bus, NULL, NULL, NULL, "org.freedesktop.DBus.Properties",
			"PropertiesChanged", on_properties, manager);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	r = CALL(manager, "Subscribe", NULL, ret_reason, "");
	if (r < 0)
		return r;
	manager->subscribed = true;
	return 0;
}

/* Handles what came until it is `finished`, or the time is over. Returns 1, 0 or a negative errno. */
static int pump(Manager *manager, uint64_t timeout_usec, bool (*finished)(const Manager *manager))
{
	uint64_t now = now_monotonic(), end = timeout_usec > UINT64_MAX - now ? UINT64_MAX : now + timeout_usec;

	for (;;) {
		int r = sd_bus_process(manager->bus, NULL);

		if (r < 0)
			return r;
		if (finished(manager))
			return 1;
		if (r > 0)
			continue;
		now = now_monotonic();
		if (now >= end)
			return 0;
		r = sd_bus_wait(manager->bus, end - now);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

static bool job_finished(const Manager *manager)
{
	return manager->job_result != NULL;
}

static bool something_changed(const Manager *manager)
{
	return manager->changed;
}

int manager_wait(Manager *manager, uint64_t timeout_usec, Reason *ret_reason)
{
	int r = subscribe(manager, ret_reason);

	if (r < 0)
		return r;
	if (!manager->waited) {
		manager->waited = true;
		return 1;
	}
	r = pump(manager, timeout_usec, something_changed);
	manager->changed = false;
	return r < 0 ? reason_set(ret_reason, r, "the user manager: %s", strerror(-r)) : r;
}

/* `reply` has the path of a systemd job. */
static int job_wait(
	Manager *manager, sd_bus_message *reply, const char *name, uint64_t timeout_usec, Reason *ret_reason)
{
	static const struct {
		const char *result, *words;
		int r;
	} ends[] = {
		{ "canceled", "another change came in between", -ECANCELED },
		{ "timeout", "it took longer than systemd waits", -ETIMEDOUT },
		{ "dependency", "what it needs could not be started", -EREMOTEIO },
		{ "failed", "it failed", -EREMOTEIO },
	};
	const char *path;
	int r;

	r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		r = str_set(&manager->job, path);
	if (r >= 0)
		r = pump(manager, timeout_usec, job_finished);
	if (r < 0)
		return reason_set(ret_reason, r, "the user manager: %s", strerror(-r));
	if (r == 0)
		return reason_set(ret_reason, -ETIMEDOUT, "%s: systemd is not done with it yet", name);
	for (size_t i = 0; i < ELEMENTSOF(ends); i++)
		if (strcmp(manager->job_result, ends[i].result) == 0)
			return reason_set(ret_reason, ends[i].r, "%s", ends[i].words);
	return 0;
}

/* What is told from now on is of another one. */
static int job_expect(Manager *manager, const char *name, Reason *ret_reason)
{
	int r;

	free(manager->job);
	free(manager->job_result);
	free(manager->status);
	free(manager->unit_path);
	manager->job = manager->job_result = manager->status = manager->unit_path = NULL;
	r = sd_bus_path_encode(MANAGER_OBJECT "/unit", name, &manager->unit_path);
	return r < 0 ? reason_set(ret_reason, r, "%s", strerror(-r)) : 0;
}

/* ---- changes ---- */

int manager_start_transient(Manager *manager, const char *name, ManagerProperties properties, void *userdata,
	uint64_t timeout_usec, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL, *reply = NULL;
	int r;

	r = subscribe(manager, ret_reason);
	if (r >= 0)
		r = job_expect(manager, name, ret_reason);
	if (r < 0)
		return r;
	r = sd_bus_message_new_method_call(
		manager->bus, &message, MANAGER_NAME, MANAGER_OBJECT, MANAGER_INTERFACE, "StartTransientUnit");
	if (r >= 0)
		r = sd_bus_message_append(message, "ss", name, "fail");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "(sv)");
	if (r >= 0)
		r = properties(message, userdata);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	if (r >= 0)
		r = sd_bus_message_append(message, "a(sa(sv))", 0);
	if (r >= 0)
		r = sd_bus_call(manager->bus, message, 0, &error, &reply);
	if (r < 0)
		return failure(r, &error, ret_reason);
	return job_wait(manager, reply, name, timeout_usec, ret_reason);
}

int manager_change(Manager *manager, const char *method, const char *name, uint64_t timeout_usec, Reason *ret_reason)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = subscribe(manager, ret_reason);
	if (r >= 0)
		r = job_expect(manager, name, ret_reason);
	if (r < 0)
		return r;
	r = CALL(manager, method, &reply, ret_reason, "ss", name, "replace");
	return r < 0 ? r : job_wait(manager, reply, name, timeout_usec, ret_reason);
}

int manager_kill(Manager *manager, const char *name, int signal, Reason *ret_reason)
{
	return CALL(manager, "KillUnit", NULL, ret_reason, "ssi", name, "all", (int32_t)signal);
}

void manager_reset(Manager *manager, const char *name)
{
	Reason reason;

	(void)!CALL(manager, "ResetFailedUnit", NULL, &reason, "s", name);
}

int manager_reload(Manager *manager, Reason *ret_reason)
{
	return CALL(manager, "Reload", NULL, ret_reason, "");
}

int manager_enable(Manager *manager, const char *name, Reason *ret_reason)
{
	return CALL(manager, "EnableUnitFiles", NULL, ret_reason, "asbb", 1, name, false, true);
}

int manager_disable(Manager *manager, const char *name, Reason *ret_reason)
{
	return CALL(manager, "DisableUnitFiles", NULL, ret_reason, "asb", 1, name, false);
}
