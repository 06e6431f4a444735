/* SPDX-License-Identifier: MIT */
/*
 * Executions: the program of executions.bpf.c, and a ring for each agent whose policy wants them written down. The rings are pinned
 * beside the sets, so that a keeper that reads one goes on reading when another build's programs write to it.
 */
#include "shell/enforce/bpf.h"
#include "shell/enforce/shared.h"

#include <bpf/bpf.h>

#include <string.h>
#include <sys/stat.h>

BPF_OBJECT(creel_executions_object, "executions.bpf.o");

static const BpfProgram programs[] = {
	{ .name = "sched_process_exec" },
	{ .name = "sched_process_exit" },
	{ NULL },
};

static const char *const maps[] = { "rings", "lost", NULL };

static const BpfSource source = {
	.name = "executions",
	.object = creel_executions_object,
	.object_end = creel_executions_object_end,
	.programs = programs,
	.maps = maps,
};

static bool is_wanted(const EnforceAgent *agent)
{
	/* whoever has no policy cannot log in; what still runs is written down */
	return !agent->policy || agent->policy->audit;
}

static int open_ring(uid_t uid)
{
	char path[64];
	int fd, r;

	(void)snprintf(path, sizeof(path), EXECUTIONS_FOLDER "/%u", uid);
	fd = bpf_obj_get(path);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "creel_ring", 0, 0, EXECUTIONS_RING, NULL);
	if (fd < 0)
		return -errno;
	if (bpf_obj_pin(fd, path) < 0) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	return fd;
}

/* A look-up in a map of maps tells the number of the inner one. */
static bool has_ring(int map_fd, uint32_t uid, int ring_fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info), id;

	return bpf_map_lookup_elem(map_fd, &uid, &id) == 0 && bpf_obj_get_info_by_fd(ring_fd, &info, &size) == 0 &&
	       info.id == id;
}

static int put_ring(int map_fd, uid_t uid)
{
	_cleanup_close_ int fd = open_ring(uid);
	uint32_t key = uid;

	if (fd < 0)
		return fd;
	if (has_ring(map_fd, key, fd))
		return 0;
	return bpf_map_update_elem(map_fd, &key, &fd, BPF_ANY) < 0 ? -errno : 0;
}

static int forget_agents(int map_fd, const EnforceAgents *agents)
{
	uint32_t present[AGENTS_MAX];
	int n = bpf_map_keys32(map_fd, present, ELEMENTSOF(present));

	for (int i = 0; i < n; i++) {
		bool wanted = false;

		for (size_t k = 0; k < agents->n; k++)
			wanted = wanted || (agents->items[k].uid == present[i] && is_wanted(&agents->items[k]));
		if (!wanted && bpf_map_delete_elem(map_fd, &present[i]) < 0 && errno != ENOENT)
			return -errno;
	}
	return n < 0 ? n : 0;
}

static int fill(int map_fd, EnforceAgents *agents)
{
	int r;

	if (mkdir(EXECUTIONS_FOLDER, 0700) < 0 && errno != EEXIST)
		return -errno;
	r = forget_agents(map_fd, agents);
	for (size_t i = 0; i < agents->n && r == 0; i++)
		if (is_wanted(&agents->items[i]))
			r = put_ring(map_fd, agents->items[i].uid);
	return r;
}

int executions_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };
	_cleanup_close_ int map_fd = -EBADF;
	int r;

	r = bpf_set_open(&source, false, &set, ret_reason);
	if (r < 0)
		return r;
	map_fd = bpf_set_map(&set, "rings");
	r = map_fd < 0 ? map_fd : fill(map_fd, agents);
	if (r < 0)
		return enforce_reason(ret_reason, r, "the rings of agents: %s", strerror(-r));
	if (set.fresh) {
		r = bpf_set_attach(&set, ret_reason);
		if (r < 0)
			return r;
	}
	r = bpf_set_commit(&set, &agents->pins, ret_reason);
	return r < 0 ? r : enforce_forget_others(EXECUTIONS_FOLDER, agents, NULL, NULL, ret_reason);
}
