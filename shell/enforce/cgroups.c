/* SPDX-License-Identifier: MIT */
/* Cgroups: the program of cgroups.bpf.c, the uids of agents in its map, and memory that removed ones hold. */
#include "shell/enforce/cgroups.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"
#include "shell/enforce/bpf.h"
#include "shell/enforce/shared.h"

#include <fcntl.h>
#include <unistd.h>

BPF_OBJECT(creel_cgroups_object, "cgroups.bpf.o");

static const BpfProgram programs[] = {
	{ "inode_mkdir", .lsm = true },
	{ NULL },
};

static const char *const maps[] = { "confined", NULL };

static const BpfSource source = {
	.name = "cgroups",
	.object = creel_cgroups_object,
	.object_end = creel_cgroups_object_end,
	.programs = programs,
	.maps = maps,
};

int cgroups_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };

	return enforce_agents_confine(&source, agents, CGROUPS_MAX, &set, ret_reason);
}

static uint64_t count_removed(int slice_fd)
{
	char text[256];
	uint64_t n = 0;

	return file_get_at(slice_fd, "cgroup.stat", text, sizeof(text)) == 0 &&
			       keyed_u64(text, "nr_dying_descendants", &n) == 0
		       ? n
		       : 0;
}

void cgroups_reclaim(const EnforceAgents *agents)
{
	for (size_t i = 0; i < agents->n; i++) {
		_cleanup_close_ int slice_fd = -EBADF, reclaim_fd = -EBADF;
		char path[64];

		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice", agents->items[i].uid);
		slice_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (slice_fd < 0 || count_removed(slice_fd) < CGROUPS_RECLAIM)
			continue;
		/* Linux 5.19. How little is asked for: the kernel scrapes out whatever removed ones hold when it passes them */
		reclaim_fd = openat(slice_fd, "memory.reclaim", O_WRONLY | O_CLOEXEC);
		if (reclaim_fd >= 0)
			(void)!write(reclaim_fd, "1M", 2);
	}
}
