/* SPDX-License-Identifier: MIT */
/*
 * libbpf does the loading: it finds the kernel's types (CO-RE), and is kept up with the kernel by the kernel's developers.
 * What is added here is the way of one set of programs to the next.
 */
#include "shell/enforce/bpf.h"
#include "shell/enforce/shared.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

/* The last line of libbpf's that tells what is wrong; it says more than an errno can. */
static char last_words[MECHANISM_REASON_MAX];

static int remember_words(enum libbpf_print_level level, const char *format, va_list ap)
{
	if (level != LIBBPF_WARN)
		return 0;
	(void)vsnprintf(last_words, sizeof(last_words), format, ap);
	return 0;
}

static int failed(EnforceReason *ret_reason, int error, const char *what)
{
	size_t n = strcspn(last_words, "\n");

	enforce_reason(ret_reason, error, "%s: %s%s%.*s", what, strerror(-error), n ? ": " : "", (int)n, last_words);
	last_words[0] = '\0';
	return error;
}

void bpf_set_done(BpfSet *set)
{
	if (set->object)
		bpf_object__close(set->object);
	*set = (BpfSet){ 0 };
}

/* ---- folders ---- */

/* FNV-1a, 64 bits: versions are told apart, not attackers. */
static uint64_t hash_of(const BpfSource *source)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (const unsigned char *byte = source->object; byte < source->object_end; byte++)
		hash = (hash ^ *byte) * UINT64_C(1099511628211);
	return hash;
}

static int remove_set(const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
			return -errno;
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* All sets of this name but the one that is kept. */
static int remove_others(const BpfSet *set)
{
	_cleanup_closedir_ DIR *dir = opendir(BPF_FOLDER);
	size_t n = strlen(set->source->name);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)) && !r) {
		char path[sizeof(BPF_FOLDER) + 256 + 1];

		if (strncmp(entry->d_name, set->source->name, n) != 0 || entry->d_name[n] != '-')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", BPF_FOLDER, entry->d_name);
		if (strcmp(path, set->folder) != 0)
			r = remove_set(path);
	}
	return r;
}

static bool in_folder(const char *folder, const char *prefix, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s%s", folder, prefix, name);
	return access(path, F_OK) == 0;
}

/* A folder whose files were removed by hand is no set. */
static bool complete(const BpfSource *source, const char *folder, bool without_lsm)
{
	for (const BpfProgram *program = source->programs; program->name; program++)
		if (!(program->lsm && without_lsm) && !in_folder(folder, "", program->name))
			return false;
	for (const char *const *map = source->maps; *map; map++)
		if (!in_folder(folder, "map_", *map))
			return false;
	return true;
}

/* ---- loading ---- */

static int load(const BpfSource *source, bool without_lsm, BpfSet *set, EnforceReason *ret_reason)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = source->name);
	struct bpf_program *program;
	int r;

	set->object = bpf_object__open_mem(source->object, (size_t)(source->object_end - source->object), &options);
	if (!set->object)
		return failed(ret_reason, -errno, "the programs cannot be read");
	bpf_object__for_each_program(program, set->object)
	{
		const char *section = bpf_program__section_name(program);

		if (without_lsm && strncmp(section, "lsm/", 4) == 0)
			(void)bpf_program__set_autoload(program, false);
	}
	r = bpf_object__load(set->object);
	if (r < 0)
		return failed(ret_reason, r, "the kernel does not take the programs");
	for (const char *const *name = source->maps; *name; name++) {
		struct bpf_map *map = bpf_object__find_map_by_name(set->object, *name);
		char path[256];

		(void)snprintf(path, sizeof(path), "%s/map_%s", set->folder, *name);
		r = map ? bpf_map__pin(map, path) : -ENOENT;
		if (r < 0)
			return failed(ret_reason, r, path);
	}
	return 0;
}

int bpf_set_open(const BpfSource *source, bool without_lsm, BpfSet *ret, EnforceReason *ret_reason)
{
	BpfSet set = { .source = source };
	int r;

	(void)libbpf_set_print(remember_words);
	last_words[0] = '\0';
	if (mkdir(BPF_FOLDER, 0700) < 0 && errno != EEXIST)
		return failed(ret_reason, -errno, BPF_FOLDER);

	(void)snprintf(set.folder, sizeof(set.folder), "%s/%s-%016llx", BPF_FOLDER, source->name,
		(unsigned long long)hash_of(source));
	if (complete(source, set.folder, without_lsm)) {
		*ret = set;
		return 0;
	}
	(void)snprintf(set.folder, sizeof(set.folder), "%s/new-%s", BPF_FOLDER, source->name);
	set.fresh = true;
	r = remove_set(set.folder);
	if (r == 0 && mkdir(set.folder, 0700) < 0)
		r = -errno;
	if (r < 0)
		return failed(ret_reason, r, set.folder);
	r = load(source, without_lsm, &set, ret_reason);
	if (r < 0) {
		(void)!remove_set(set.folder);
		bpf_set_done(&set);
		return r;
	}
	*ret = set;
	return 0;
}

/* ---- attaching ---- */

/* The file holds the link, and the link the program; our own descriptor is not needed any more. */
static int pin_link(BpfSet *set, struct bpf_link *link, const char *name)
{
	char path[256];
	int r;

	if (!link)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/%s", set->folder, name);
	r = bpf_link__pin(link, path);
	(void)bpf_link__destroy(link);
	return r;
}

int bpf_set_attach(BpfSet *set, EnforceReason *ret_reason)
{
	_cleanup_close_ int cgroup_fd = open(CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (cgroup_fd < 0)
		return failed(ret_reason, -errno, CGROUP_ROOT);
	for (const BpfProgram *row = set->source->programs; row->name; row++) {
		struct bpf_program *program = bpf_object__find_program_by_name(set->object, row->name);
		char what[64];
		int r;

		if (program && bpf_program__fd(program) < 0)
			continue; /* left out */
		(void)snprintf(what, sizeof(what), "cannot attach %s", row->name);
		if (!program)
			return failed(ret_reason, -ENOENT, what);
		r = pin_link(set,
			row->cgroup ? bpf_program__attach_cgroup(program, cgroup_fd) : bpf_program__attach(program),
			row->name);
		if (r < 0)
			return failed(ret_reason, r, what);
	}
	return 0;
}

int bpf_set_pin_iterator(BpfSet *set, const char *name, const char *map_name, EnforceReason *ret_reason)
{
	struct bpf_program *program = bpf_object__find_program_by_name(set->object, name);
	union bpf_iter_link_info info = { 0 };
	LIBBPF_OPTS(bpf_iter_attach_opts, options);
	int r = -ENOENT;

	if (map_name) {
		r = bpf_object__find_map_fd_by_name(set->object, map_name);
		if (r >= 0) {
			info.map.map_fd = (uint32_t)r;
			options.link_info = &info;
			options.link_info_len = sizeof(info);
		}
	}
	if (program && (!map_name || r >= 0))
		r = pin_link(set, bpf_program__attach_iter(program, &options), name);
	return r < 0 ? failed(ret_reason, r, name) : 0;
}

/* BPF_FOLDER/NAME leads to the set in force, for those who read its iterators. */
static int link_set(const BpfSet *set)
{
	const char *target = strrchr(set->folder, '/') + 1;
	char path[256], made[256], present[128];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", BPF_FOLDER, set->source->name);
	(void)snprintf(made, sizeof(made), "%s/link-%s", BPF_FOLDER, set->source->name);
	n = readlink(path, present, sizeof(present));
	if (n == (ssize_t)strlen(target) && memcmp(present, target, (size_t)n) == 0)
		return 0;
	if (unlink(made) < 0 && errno != ENOENT)
		return -errno;
	if (symlink(target, made) < 0 || rename(made, path) < 0)
		return -errno;
	return 0;
}

int bpf_set_commit(BpfSet *set, StrList *pins, EnforceReason *ret_reason)
{
	char folder[sizeof(set->folder)];
	int r;

	if (set->fresh) {
		(void)snprintf(folder, sizeof(folder), "%s/%s-%016llx", BPF_FOLDER, set->source->name,
			(unsigned long long)hash_of(set->source));
		/* one of the same programs that is not complete */
		r = remove_set(folder);
		if (r == 0 && rename(set->folder, folder) < 0)
			r = -errno;
		if (r < 0)
			return failed(ret_reason, r, folder);
		memcpy(set->folder, folder, sizeof(folder));
		set->fresh = false;
	}
	r = link_set(set);
	if (r == 0)
		r = remove_others(set);
	if (r < 0)
		return failed(ret_reason, r, BPF_FOLDER);
	for (const BpfProgram *row = set->source->programs; row->name; row++) {
		char path[256];

		if (row->lsm && !in_folder(set->folder, "", row->name))
			continue; /* left out */
		(void)snprintf(path, sizeof(path), "%s/%s", set->folder, row->name);
		if (strlist_add(pins, path) < 0)
			return failed(ret_reason, -ENOMEM, path);
	}
	return 0;
}

int bpf_set_map(const BpfSet *set, const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/map_%s", set->folder, name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int bpf_set_read(const BpfSet *set, const char *name)
{
	_cleanup_close_ int fd = -EBADF;
	char path[256], buffer[4096];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", set->folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do
		n = read(fd, buffer, sizeof(buffer));
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* ---- maps ---- */

int bpf_map_put(int map_fd, const void *key, size_t key_n, const void *value, size_t value_n)
{
	_cleanup_free_ void *present = malloc(value_n);
	int r;

	if (!present)
		return -ENOMEM;
	r = bpf_map_lookup_elem(map_fd, key, present);
	if (r == 0 && memcmp(present, value, value_n) == 0)
		return 0;
	if (bpf_map_update_elem(map_fd, key, value, BPF_ANY) < 0)
		return -errno;
	/* synchronize_rcu(): the map may give the old entry's memory to the next one */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		return -errno;
	return 1;
}

static int map_keys(int map_fd, void *keys, size_t key_n, size_t max)
{
	char *next = keys;
	const void *last = NULL;
	size_t n = 0;

	while (n < max && bpf_map_get_next_key(map_fd, last, next) == 0) {
		last = next;
		next += key_n;
		n++;
	}
	if (n < max && errno != ENOENT)
		return -errno;
	return (int)n;
}

int bpf_map_keys32(int map_fd, uint32_t *uids, size_t max)
{
	return map_keys(map_fd, uids, sizeof(*uids), max);
}

int bpf_map_keys64(int map_fd, uint64_t *uids, size_t max)
{
	return map_keys(map_fd, uids, sizeof(*uids), max);
}

static int forget_others(int map_fd, const EnforceAgents *agents)
{
	uint32_t present[AGENTS_MAX];
	int n = bpf_map_keys32(map_fd, present, ELEMENTSOF(present));

	for (int i = 0; i < n; i++)
		if (!enforce_agents_has(agents, present[i]) && bpf_map_delete_elem(map_fd, &present[i]) < 0)
			return -errno;
	return n < 0 ? n : 0;
}

int enforce_agents_fill(int map_fd, const EnforceAgents *agents, EnforceAgentsValue value, void *buffer, size_t size)
{
	int r;

	/* those that go make room for those that come */
	r = forget_others(map_fd, agents);
	for (size_t i = 0; i < agents->n && r >= 0; i++) {
		uint32_t uid = agents->items[i].uid;

		value(&agents->items[i], buffer);
		r = bpf_map_put(map_fd, &uid, sizeof(uid), buffer, size);
	}
	return r < 0 ? r : 0;
}

int enforce_agents_apply(const BpfSource *source, bool without_lsm, const EnforceMap *map, EnforceAgents *agents,
	BpfSet *ret_set, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };
	_cleanup_close_ int map_fd = -EBADF;
	int r;

	r = bpf_set_open(source, without_lsm, &set, ret_reason);
	if (r < 0)
		return r;
	map_fd = bpf_set_map(&set, map->name);
	r = map_fd < 0 ? map_fd : enforce_agents_fill(map_fd, agents, map->value, map->buffer, map->size);
	if (r < 0)
		return enforce_reason(ret_reason, r, "the map of %s: %s", map->holds, strerror(-r));
	if (set.fresh) {
		r = bpf_set_attach(&set, ret_reason);
		if (r < 0)
			return r;
	}
	r = bpf_set_commit(&set, &agents->pins, ret_reason);
	if (r < 0)
		return r;
	*ret_set = set;
	set = (BpfSet){ 0 };
	return 0;
}

/* The same for all: it stands in the buffer already. */
static void value_for_all(const EnforceAgent *agent, void *buffer)
{
}

int enforce_agents_confine(
	const BpfSource *source, EnforceAgents *agents, uint32_t value, BpfSet *ret_set, EnforceReason *ret_reason)
{
	const EnforceMap map = { "confined", "agents", value_for_all, &value, sizeof(value) };
	const char *missing = bpf_lsm_missing("");

	if (missing)
		return enforce_reason(ret_reason, -EOPNOTSUPP, "%s", missing);
	return enforce_agents_apply(source, false, &map, agents, ret_set, ret_reason);
}
