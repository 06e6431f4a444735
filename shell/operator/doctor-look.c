/* SPDX-License-Identifier: MIT */
/*
 * What the checks look with. Nothing waits without end: the bus has a timeout, and after it passed once nobody asks again.
 *
 * root speaks with the service manager itself, by its own socket, so that a message bus that is down or slow hides nothing;
 * others ask by the bus.
 */
#include "shell/operator/doctor.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <string.h>

#define MANAGER "org.freedesktop.systemd1"
#define UNIT_INTERFACE MANAGER ".Unit"

void finding_set(Finding *finding, DoctorState state, const char *format, ...)
{
	va_list ap;

	finding->state = state;
	va_start(ap, format);
	(void)vsnprintf(finding->detail, sizeof(finding->detail), format, ap);
	va_end(ap);
}

void finding_remedy(Finding *finding, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(finding->remedy, sizeof(finding->remedy), format, ap);
	va_end(ap);
}

void finding_error(Finding *finding, int r, const char *what)
{
	DoctorState state = DOCTOR_DEGRADED;

	if (r == -ENOENT || r == -ENOTDIR)
		state = DOCTOR_MISSING;
	else if (r == -EACCES || r == -EPERM)
		state = DOCTOR_UNSEEN;
	finding_set(finding, state, "%s: %s", what, strerror(-r));
}

static char *path_of(const Doctor *doctor, const char *path)
{
	return str_format("%s%s", doctor->root, path);
}

int look_read(const Doctor *doctor, const char *path, size_t max, char **ret)
{
	_cleanup_free_ char *full = path_of(doctor, path);

	return full ? file_read_at(AT_FDCWD, full, 0, max, ret, NULL) : -ENOMEM;
}

int look_get(const Doctor *doctor, const char *path, char *buffer, size_t size)
{
	_cleanup_free_ char *data = NULL;
	size_t n;
	int r = look_read(doctor, path, size - 1, &data);

	if (r < 0)
		return r;
	n = strlen(data);
	while (n && data[n - 1] == '\n')
		data[--n] = '\0';
	(void)memcpy(buffer, data, n + 1);
	return 0;
}

int look_stat(const Doctor *doctor, const char *path, struct stat *ret)
{
	_cleanup_free_ char *full = path_of(doctor, path);

	if (!full)
		return -ENOMEM;
	return lstat(full, ret) < 0 ? -errno : 0;
}

int look_number(const Doctor *doctor, const char *path, uint64_t *ret)
{
	char text[32];
	int r = look_get(doctor, path, text, sizeof(text));

	return r < 0 ? r : str_to_u64(text, UINT64_MAX - 1, ret);
}

bool look_word(const char *text, const char *word)
{
	static const char between[] = " ,\n\t[]";
	size_t n = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += n) {
		if (at != text && !strchr(between, at[-1]))
			continue;
		if (at[n] == '\0' || strchr(between, at[n]))
			return true;
	}
	return false;
}

int look_group(const Doctor *doctor, const char *name, gid_t *ret)
{
	_cleanup_free_ char *path = path_of(doctor, "/etc/group");
	_cleanup_fclose_ FILE *file = path ? fopen(path, "re") : NULL;
	const struct group *entry;

	if (!file)
		return path ? -errno : -ENOMEM;
	while ((entry = fgetgrent(file)))
		if (strcmp(entry->gr_name, name) == 0) {
			*ret = entry->gr_gid;
			return 0;
		}
	return -ENOENT;
}

int look_replaced(const char *path)
{
	_cleanup_free_ char *procs = str_format("/sys/fs/cgroup/%s/cgroup.procs", path), *text = NULL;
	int found = -ESRCH, r;
	char *at, *line;

	r = procs ? file_read_at(AT_FDCWD, procs, 0, 4096, &text, NULL) : -ENOMEM;
	if (r < 0)
		return r;
	at = text;
	while (found <= 0 && (line = strsep(&at, "\n"))) {
		static const char gone[] = " (deleted)"; /* proc(5), /proc/PID/exe */
		char exe[64], target[512];
		ssize_t n;

		(void)snprintf(exe, sizeof(exe), "/proc/%.20s/exe", line);
		n = *line ? readlink(exe, target, sizeof(target)) : -1;
		if (n < 0)
			continue;
		found = n >= (ssize_t)strlen(gone) && memcmp(target + n - strlen(gone), gone, strlen(gone)) == 0;
	}
	return found;
}

/* ---- units ---- */

bool look_shipped(const char *path)
{
	static const char *const folders[] = { "/usr/lib/systemd/", "/lib/systemd/", "/run/systemd/generator/" };

	for (size_t i = 0; i < ELEMENTSOF(folders); i++)
		if (strncmp(path, folders[i], strlen(folders[i])) == 0)
			return true;
	return false;
}

void unit_facts_done(UnitFacts *facts)
{
	free(facts->load);
	free(facts->active);
	free(facts->file_state);
	free(facts->fragment);
	strlist_done(&facts->drop_ins);
	*facts = (UnitFacts){ 0 };
}

static int get_drop_ins(sd_bus *bus, const char *path, sd_bus_error *error, StrList *ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *item;
	int r;

	r = sd_bus_get_property(bus, MANAGER, path, UNIT_INTERFACE, "DropInPaths", error, &reply, "as");
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "s");
	while (r >= 0 && (r = sd_bus_message_read(reply, "s", &item)) > 0)
		r = strlist_add(ret, item);
	return r;
}

static int get_facts(sd_bus *bus, const char *path, sd_bus_error *error, UnitFacts *facts)
{
	const struct {
		const char *property;
		char **slot;
	} texts[] = {
		{ "LoadState", &facts->load },
		{ "ActiveState", &facts->active },
		{ "UnitFileState", &facts->file_state },
		{ "FragmentPath", &facts->fragment },
	};
	int reload = 0, r = 0;

	for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
		r = sd_bus_get_property_string(
			bus, MANAGER, path, UNIT_INTERFACE, texts[i].property, error, texts[i].slot);
	if (r >= 0)
		r = sd_bus_get_property_trivial(
			bus, MANAGER, path, UNIT_INTERFACE, "NeedDaemonReload", error, 'b', &reload);
	if (r >= 0)
		r = get_drop_ins(bus, path, error, &facts->drop_ins);
	facts->needs_reload = reload;
	return r;
}

int look_unit(Doctor *doctor, const char *unit, UnitFacts *ret, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
	_cleanup_free_ char *path = NULL;
	int r;

	if (!doctor->bus)
		return reason_set(ret_reason, -ENOTCONN, "%s", doctor->bus_why);
	r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
	if (r >= 0)
		r = get_facts(doctor->bus, path, &error, &facts);
	if (r < 0) {
		(void)reason_set(ret_reason, r, "%s: %s", unit, error.message ? error.message : strerror(-r));
		/* one that does not answer is not asked again for every unit there is */
		if (r == -ETIMEDOUT || r == -ECONNRESET || r == -ENOTCONN) {
			(void)snprintf(doctor->bus_why, sizeof(doctor->bus_why), "the service manager does not answer");
			doctor->bus = sd_bus_close_unref(doctor->bus);
		}
		return r;
	}
	*ret = facts;
	facts = (UnitFacts){ 0 };
	return 0;
}
