/* SPDX-License-Identifier: MIT */
/*
 * creel service create, from what is asked for to a service that is healthy (service.h).
 *
 * All that can be refused is looked at before anything is written. A service that does not become healthy is stopped and not enabled, so that
 * it neither tries for ever nor comes back at boot; its file stays, as what was asked for is in it, and the same command begins anew.
 */
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/program.h"
#include "shell/jobs/service.h"
#include "shell/jobs/unit-text.h"

#include <string.h>
#include <sys/stat.h>

/* The program becomes an absolute path of something that can be executed: from the folder that it will run in. */
static int program_check(ServiceSpec *spec, Reason *ret_reason)
{
	char **word = &spec->command.items[0], *found;
	int r;

	if (strchr(*word, '/') && **word != '/') {
		const char *below = *word + (strncmp(*word, "./", 2) == 0 ? 2 : 0);
		char *path = str_format("%s/%s", spec->directory, below);

		if (!path)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
		free(*word);
		*word = path;
	}
	r = program_find(*word, &found, ret_reason);
	if (r < 0)
		return r;
	free(*word);
	*word = found;
	return 0;
}

static int directory_check(ServiceSpec *spec, Reason *ret_reason)
{
	_cleanup_free_ char *path = realpath(spec->directory ? spec->directory : ".", NULL);
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return reason_set(
			ret_reason, -errno, "--dir %s: %s", spec->directory ? spec->directory : ".", strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return reason_set(ret_reason, -ENOTDIR, "--dir %s: that is no folder", spec->directory);
	free(spec->directory);
	spec->directory = TAKE_PTR(path);
	return 0;
}

/* What is asked for, made whole and judged. */
static int order_check(ServiceOrder *order, const Service *old, Reason *ret_reason)
{
	ServiceSpec *spec = &order->spec;
	int r = 0;

	if (!order->change.command && !old->text)
		return reason_set(ret_reason, -EINVAL,
			"there is no such service yet: say what it executes, as in creel service create %s --port 3000 "
			"-- node server.js",
			order->name);
	if (order->change.directory || order->change.command)
		r = directory_check(spec, ret_reason);
	if (r == 0 && order->change.command)
		r = program_check(spec, ret_reason);
	if (r == 0)
		r = service_spec_check(spec, ret_reason->text, sizeof(ret_reason->text));
	if (r == 0 && spec->port)
		r = service_port_allowed(spec->port, ret_reason);
	return r;
}

static int old_load(const ServiceOrder *order, Service *ret, Reason *ret_reason)
{
	int r = service_load(order->name, ret, ret_reason);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (ret->link)
		return reason_set(ret_reason, -ELOOP,
			"%s is a symbolic link, which is not written through: edit what it leads to", ret->path);
	if (order->replace || (ret->own && (!ret->edited || !order->change.command)))
		return 0;
	if (!ret->own)
		return reason_set(ret_reason, -EEXIST,
			"%s was written by hand: --replace changes the lines of what you say and keeps the others; or "
			"take another name",
			ret->path);
	return reason_set(ret_reason, -EEXIST,
		"%s was edited by hand: --replace changes the lines of what you say and keeps the others; without -- "
		"COMMAND only "
		"options are changed; creel service rm %s forgets it",
		ret->path, order->name);
}

/* The file that is asked for. One of ours that nobody edited is written whole, so that it goes on being one. */
static char *text_make(const ServiceOrder *order, Service *old)
{
	ServiceChange change = order->change;

	if (!old->text || (old->own && !old->edited && order->change.command))
		return service_spec_text(&order->spec, order->name);
	if (old->own && !old->edited)
		return service_spec_merge(&old->spec, &order->spec, &change) == 0
			       ? service_spec_text(&old->spec, order->name)
			       : NULL;
	change.mark = !old->own;
	return service_spec_change(old->text, &order->spec, &change);
}

static int file_write(const ServiceOrder *order, Service *old, Reason *ret_reason)
{
	_cleanup_free_ char *text = text_make(order, old), *file = str_format("%s" SERVICE_SUFFIX, order->name);
	_cleanup_close_ int folder_fd = -EBADF;

	if (!text || !file)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (strlen(text) >= UNIT_TEXT_MAX)
		return reason_set(
			ret_reason, -E2BIG, "that is longer than systemd reads: put it into a script, and run that");
	if (str_equal(text, old->text))
		return 0;
	/* what enabling needs, too: systemd does not say that there was no room for it */
	folder_fd = folder_open(FOLDER_UNITS "/default.target.wants", true, ret_reason);
	if (folder_fd < 0)
		return folder_fd;
	fd_close(folder_fd);
	folder_fd = folder_open(FOLDER_UNITS, true, ret_reason);
	if (folder_fd < 0)
		return folder_fd;
	return folder_put(folder_fd, FOLDER_UNITS, file, text, strlen(text), 0644, ret_reason);
}

/* Its port is nobody else's. What runs of the service now is no obstacle, as it is started anew. */
static int port_check(Manager *manager, const ServiceOrder *order, const Service *old, Reason *ret_reason)
{
	_cleanup_unit_ Unit unit = { 0 };
	Reason ignored;

	if (!order->spec.port)
		return 0;
	if (old->unit && manager_unit(manager, old->unit, &unit, &ignored) == 0)
		return service_port_free(order->spec.port, unit.cgroup, ret_reason);
	return service_port_free(order->spec.port, "", ret_reason);
}

static void give_up(Manager *manager, const Service *service)
{
	Reason ignored;

	(void)!manager_change(manager, "StopUnit", service->unit, SERVICE_JOB_TIMEOUT, &ignored);
	(void)!manager_disable(manager, service->unit, &ignored);
	(void)!manager_reload(manager, &ignored);
	manager_reset(manager, service->unit);
}

static int enable(Manager *manager, const Service *service, Reason *ret_reason)
{
	Reason why;
	int r = manager_enable(manager, service->unit, &why);

	return r < 0 ? reason_set(ret_reason, r, "it would not come back after a reboot, and is stopped: %s", why.text)
		     : 0;
}

static int start(Manager *manager, const ServiceOrder *order, const Service *service)
{
	_cleanup_state_ ServiceState state = { 0 };
	ServiceWait wait = { .timeout_usec = order->timeout_usec, .quiet = order->json };
	Reason reason;
	int r;

	if (!order->json)
		(void)fprintf(stderr, "%s: starting, and waiting until it is healthy\n", service->name);
	r = service_start(manager, service, "RestartUnit", &wait, &state, &reason);
	if (r == 0)
		r = enable(manager, service, &reason);
	if (r == 0) { /* what is enabled is read with the files */
		(void)snprintf(state.unit.enabled, sizeof(state.unit.enabled), "enabled");
		r = manager_reload(manager, &reason);
	}
	if (r < 0)
		give_up(manager, service);
	if (order->json && (r == 0 || r == -EPROTO)) {
		service_tell_json(stdout, service, &state, &wait.tail, r < 0 ? reason.text : NULL);
		(void)fputc('\n', stdout);
	} else if (r == 0) {
		service_tell(service, &state);
	}
	if (r < 0) {
		reason_tell(order->verb, service->name, reason.text);
		if (!order->json && r == -EPROTO)
			(void)fprintf(stderr, "  %sit is stopped now; mend it, and say the same again\n",
				wait.tail.n ? "" : "it wrote nothing; ");
	}
	strlist_done(&wait.tail);
	return r < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int make(ServiceOrder *order, Manager *manager, Reason *ret_reason)
{
	_cleanup_service_ Service old = { 0 };
	int r = old_load(order, &old, ret_reason);

	if (r == 0)
		r = order_check(order, &old, ret_reason);
	if (r == 0)
		r = port_check(manager, order, &old, ret_reason);
	return r < 0 ? r : file_write(order, &old, ret_reason);
}

int service_make(ServiceOrder *order)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_service_ Service service = { 0 };
	Reason reason = { "" };
	int r = manager_connect(&manager, &reason);

	if (r == 0)
		r = make(order, manager, &reason);
	if (r == 0)
		r = service_load(order->name, &service, &reason);
	if (r < 0) {
		reason_tell(order->verb, order->name, reason.text);
		return EXIT_FAILURE;
	}
	return start(manager, order, &service);
}
