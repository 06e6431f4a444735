/* SPDX-License-Identifier: MIT */
/*
 * What cannot be opened gets no rule: that only takes away. A process that prepares as the agent (creel-shell) opens less
 * than the keeper, and grants at most the same.
 */
#include "shell/base/privilege.h"
#include "shell/confine/landlock.h"
#include "shell/confine/plan.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define TREE_RIGHTS                                                                                                   \
	(RIGHT_WRITE_FILE | RIGHT_TRUNCATE | RIGHT_REMOVE_DIR | RIGHT_REMOVE_FILE | RIGHT_MAKE_DIR | RIGHT_MAKE_REG | \
		RIGHT_MAKE_SOCK | RIGHT_MAKE_FIFO | RIGHT_MAKE_SYM | RIGHT_REFER)
#define DEVICE_RIGHTS (RIGHT_WRITE_FILE | RIGHT_TRUNCATE | RIGHT_IOCTL_DEV)
#define PROC_RIGHTS (RIGHT_WRITE_FILE | RIGHT_TRUNCATE)
#define CGROUP_RIGHTS (RIGHT_WRITE_FILE | RIGHT_TRUNCATE | RIGHT_MAKE_DIR | RIGHT_REMOVE_DIR)
/* nobody gets the right to make devices */
#define WRITE_RIGHTS (TREE_RIGHTS | DEVICE_RIGHTS | RIGHT_MAKE_CHAR | RIGHT_MAKE_BLOCK)

typedef struct Rules {
	Plan *plan;
	int abi;
	int fd;
	uint64_t base; /* given to everything that is not excluded */
} Rules;

static bool can_do_without(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -ELOOP || error == -EPERM;
}

static int grant(const Rules *rules, int path_fd, uint64_t rights)
{
	return landlock_grant(rules->fd, path_fd, landlock_rights(rules->abi, rights));
}

/* ---- opening ---- */

static int open_plain(const char *path, int *ret_fd)
{
	const struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

/*
 * As the agent where the path leads through its folders: the keeper has no right to search them, and must not lend one.
 * For a process that is the agent already nothing changes.
 */
static int open_place(const Rules *rules, const char *path, int *ret_fd)
{
	const ConfinementRequest *who = rules->plan->request;
	bool borrow = geteuid() == 0 && path_within(path, rules->plan->home) && strcmp(path, rules->plan->home) != 0;
	int r;

	if (!borrow)
		return open_plain(path, ret_fd);
	(void)setfsgid(who->gid);
	(void)setfsuid(who->uid);
	/* neither reports a failure; an id that is not valid changes nothing and tells the present one (setfsuid(2)) */
	if (setfsgid((gid_t)-1) == (int)who->gid && setfsuid((uid_t)-1) == (int)who->uid)
		r = open_plain(path, ret_fd);
	else
		r = -EPERM;
	(void)setfsuid(0);
	(void)setfsgid(0);
	/* as in identity_give_back(); a child with a view has made its mounts by now */
	(void)!privilege_lower(PRIVILEGE_SURROUNDINGS);
	return r;
}

static int grant_place(const Rules *rules, const char *path, uint64_t rights, bool watch)
{
	_cleanup_close_ int fd = -EBADF;
	int r = 0;

	if (watch)
		r = watch_add(&rules->plan->watch, path, false);
	if (!r)
		r = open_place(rules, path, &fd);
	if (r < 0)
		return can_do_without(r) ? 0 : r;
	return grant(rules, fd, rights);
}

/* ---- all but what is excluded ---- */

static int spread(const Rules *rules, int folder_fd, const char *folder);

static int spread_to(const Rules *rules, int folder_fd, const char *folder, const char *name)
{
	const StrList *excluded = &rules->plan->excluded;
	_cleanup_free_ char *path = path_join(folder, name);
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	bool deeper;

	if (!path)
		return -ENOMEM;
	if (paths_has(excluded, path))
		return 0;
	deeper = paths_has_beneath(excluded, path);
	fd = openat(folder_fd, name, (deeper ? O_RDONLY | O_DIRECTORY : O_PATH) | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return can_do_without(-errno) ? 0 : -errno;
	if (deeper)
		return spread(rules, fd, path);
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) /* rights are those of what it leads to */
		return 0;
	return grant(rules, fd, rules->base);
}

static int spread(const Rules *rules, int folder_fd, const char *folder)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd, r;

	r = watch_add(&rules->plan->watch, folder, true);
	if (r < 0)
		return r;
	fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while ((errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = spread_to(rules, folder_fd, folder, entry->d_name);
		if (r < 0)
			return r;
	}
	return errno ? -errno : 0;
}

static int grant_base(const Rules *rules)
{
	_cleanup_close_ int fd = -EBADF;

	if (!rules->base)
		return 0;
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return spread(rules, fd, "/");
}

/* ---- what everybody gets ---- */

static int grant_devices(const Rules *rules)
{
	/* the last four are consoles: who may open them their owner and mode say */
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
		"/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/console", "/dev/tty1", "/dev/ttyS0", "/dev/hvc0" };
	int r = 0;

	for (size_t i = 0; !r && i < ELEMENTSOF(devices); i++)
		r = grant_place(rules, devices[i], DEVICE_RIGHTS, false);
	if (!r) /* one's own processes' files: comm, oom_score_adj, and a debugger's mem */
		r = grant_place(rules, "/proc", PROC_RIGHTS, false);
	return r;
}

static int grant_manager(const Rules *rules)
{
	unsigned int uid = (unsigned int)rules->plan->request->uid;
	_cleanup_free_ char *cgroup = NULL;

	if (!rules->plan->request->manager)
		return 0;
	cgroup = str_format("/sys/fs/cgroup/user.slice/user-%u.slice/user@%u.service", uid, uid);
	return cgroup ? grant_place(rules, cgroup, CGROUP_RIGHTS, true) : -ENOMEM;
}

static int grant_all(const Rules *rules)
{
	const Plan *plan = rules->plan;
	int r;

	r = grant_base(rules);
	for (size_t i = 0; !r && i < plan->readable.n; i++)
		r = grant_place(rules, plan->readable.items[i], rules->base, true);
	for (size_t i = 0; !r && i < plan->programs.n; i++)
		r = grant_place(rules, plan->programs.items[i], RIGHT_READ_FILE | RIGHT_EXECUTE, true);
	for (size_t i = 0; !r && i < plan->write.n; i++)
		r = grant_place(rules, plan->write.items[i], TREE_RIGHTS | rules->base, true);
	if (!r)
		r = grant_devices(rules);
	if (!r)
		r = grant_manager(rules);
	return r;
}

int rules_make(Plan *plan, int abi, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	Rules rules = { .plan = plan, .abi = abi };
	uint64_t handled = WRITE_RIGHTS;
	int r;

	if (plan->excluded.n)
		handled |= RIGHT_READ_FILE;
	if (plan->hides_folder)
		handled |= RIGHT_READ_DIR;
	if (plan->allow->n || plan->deny->n)
		handled |= RIGHT_EXECUTE;
	/* with an allow list only what it names is executed */
	rules.base = handled & (RIGHT_READ_FILE | RIGHT_READ_DIR | RIGHT_EXECUTE);
	if (plan->allow->n)
		rules.base &= ~RIGHT_EXECUTE;

	paths_sort(&plan->excluded);
	r = landlock_new(landlock_rights(abi, handled), &fd);
	if (r < 0)
		return r;
	rules.fd = fd;
	r = grant_all(&rules);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
