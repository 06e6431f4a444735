/* SPDX-License-Identifier: MIT */
/* Which services there are, and what their files say (service.h). */
#include "shell/base/file.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/service.h"
#include "shell/jobs/unit-text.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

void service_done(Service *service)
{
	free(service->name);
	free(service->unit);
	free(service->path);
	free(service->text);
	service_spec_done(&service->spec);
	*service = (Service){ 0 };
}

/* Bytes of the name without .service; 0: that is none. */
static size_t name_length(const char *name)
{
	size_t n = strlen(name), suffix = strlen(SERVICE_SUFFIX);

	if (n > suffix && strcmp(name + n - suffix, SERVICE_SUFFIX) == 0)
		n -= suffix;
	return strchr(name, '/') || *name == '.' || *name == '-' || n + suffix >= MANAGER_UNIT_MAX ? 0 : n;
}

static int file_read(Service *service, Reason *ret_reason)
{
	struct stat st = { 0 };
	size_t n;
	int r = file_read_at(AT_FDCWD, service->path, 0, UNIT_TEXT_MAX, &service->text, &n);

	if (r == -ENOENT)
		return reason_set(
			ret_reason, r, "there is no such service; creel service list shows those that there are");
	if (r == 0 && strlen(service->text) != n)
		return reason_set(ret_reason, -EBADMSG, "%s has a zero byte, so it is no unit file; edit or remove it",
			service->path);
	if (r == 0 && lstat(service->path, &st) < 0)
		r = -errno;
	if (r == -EISDIR || r == -ENOTSUP)
		return reason_set(ret_reason, r, "%s is no file, so it is no unit: move it away", service->path);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", service->path, strerror(-r));
	service->link = S_ISLNK(st.st_mode);
	service->changed_usec = (uint64_t)st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec / 1000;
	return 0;
}

int service_load(const char *name, Service *ret, Reason *ret_reason)
{
	_cleanup_service_ Service service = { 0 };
	size_t n = name_length(name);
	int r;

	if (!n)
		return reason_set(ret_reason, -EINVAL,
			"that is no name of a service: it is a file's name without folders, of at most %zu bytes; "
			"creel service list shows those that there are",
			MANAGER_UNIT_MAX - sizeof(SERVICE_SUFFIX));
	service.name = strndup(name, n);
	service.unit = service.name ? str_format("%s" SERVICE_SUFFIX, service.name) : NULL;
	service.path = service.unit ? home_path(FOLDER_UNITS, service.unit) : NULL;
	if (!service.path)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = file_read(&service, ret_reason);
	if (r < 0)
		return r;
	r = service_spec_read(service.text, service.name, &service.spec, &service.own, &service.edited);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	*ret = service;
	service = (Service){ 0 };
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int service_names(StrList *ret, Reason *ret_reason)
{
	_cleanup_free_ char *path = home_path(FOLDER_UNITS, NULL);
	_cleanup_closedir_ DIR *folder = path ? opendir(path) : NULL;
	const struct dirent *entry;
	int r = path ? 0 : -ENOMEM;

	if (path && !folder && errno != ENOENT)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	while (folder && r == 0 && (entry = readdir(folder))) {
		size_t n = name_length(entry->d_name);

		if (n && n < strlen(entry->d_name) && entry->d_name[n - 1] != '@' && entry->d_type != DT_DIR) {
			char *name = strndup(entry->d_name, n);

			r = name ? strlist_push(ret, name) : -ENOMEM;
		}
	}
	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare);
	return 0;
}
