/* SPDX-License-Identifier: MIT */
/*
 * The new namespace begins as a copy of the machine's mounts. So the view is made in place: everything becomes read-only,
 * recursively and in one call, and then what must differ is mounted over. There is no other root to move to, and no old
 * one to get rid of; what lies beneath a mount cannot be reached without the right to take the mount away.
 *
 * One tmpfs of limited size holds everything that is written. It is mounted on /tmp for as long as its folders are handed
 * out, each to its place, and then detached: nothing sees two of them as neighbours, nor the layers of the home.
 *
 * The home is an overlay. The kernel reads and writes both layers with the rights of the process that mounted it, now and
 * whenever the run uses it: so it is mounted with the agent's uid and gid for file systems (setfsuid(2)). What is left of
 * root's rights then is CAP_SYS_ADMIN, for the overlay's own attributes (trusted.*; tmpfs has no user.* ones before Linux 6.6),
 * and CAP_DAC_OVERRIDE, for its working folder, of which nobody has the mode's rights. What the run itself may do with a file
 * the kernel asks of the run first, by the file's owner and mode. Its layers are named from within the home (`.`) and by
 * fixed names, so that no character of the agent's has a meaning in the options.
 *
 * Flags of mounts: nothing is locked, because no user namespace is made; an agent could not be root in one either.
 */
#include "shell/confine/view.h"
#include "shell/base/privilege.h"
#include "shell/confine/paths.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SCRATCH "/tmp"
#define PLAIN (MS_NOSUID | MS_NODEV)
#define BYTES_A_FILE 4096U /* the scratch has room for one file each, and some */
#define FILES_LEAST 1024U
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_MAX 65536

#define TRY(step, call)             \
	do {                        \
		*ret_step = (step); \
		int r_ = (call);    \
		if (r_ < 0)         \
			return r_;  \
	} while (0)

static int result(int r)
{
	return r < 0 ? -errno : r;
}

/* ---- as the agent ---- */

static int become(uid_t uid, gid_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	/* neither reports a failure; an id that is not valid changes nothing and tells the present one (setfsuid(2)) */
	return setfsgid((gid_t)-1) == (int)gid && setfsuid((uid_t)-1) == (int)uid ? 0 : -EPERM;
}

static void become_root(void)
{
	(void)setfsuid(0);
	(void)setfsgid(0);
}

static int open_folder(int at_fd, const char *path)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return result((int)syscall(SYS_openat2, at_fd, path, &how, sizeof(how)));
}

/* Opens `path`, and makes those of its folders that are missing. Nothing on the way may be a link. */
static int make_folders(const char *path, mode_t mode)
{
	_cleanup_close_ int fd = open_folder(AT_FDCWD, "/");
	char name[NAME_MAX + 1];

	for (path += strspn(path, "/"); fd >= 0 && *path; path += strspn(path, "/")) {
		size_t n = strcspn(path, "/");
		int next;

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		next = open_folder(fd, name);
		if (next == -ENOENT) {
			if (mkdirat(fd, name, mode) < 0 && errno != EEXIST)
				return -errno;
			next = open_folder(fd, name);
		}
		fd_close(fd);
		fd = next;
	}
	return fd < 0 ? fd : TAKE_FD(fd);
}

/* ---- mounts ---- */

static int set_attributes(int fd, const char *path, bool all, uint64_t set, uint64_t clear)
{
	struct mount_attr attributes = { .attr_set = set, .attr_clr = clear };
	unsigned int flags = (*path ? 0U : AT_EMPTY_PATH) | (all ? AT_RECURSIVE : 0U);

	return result(mount_setattr(fd, path, flags, &attributes, sizeof(attributes)));
}

/* A mount of its own of what `path` is, attached nowhere yet. */
static int take(int at_fd, const char *path)
{
	return result(open_tree(at_fd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0U : AT_EMPTY_PATH)));
}

static int put(int mount_fd, int at_fd, const char *path)
{
	unsigned int flags = MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0U : MOVE_MOUNT_T_EMPTY_PATH);

	return result(move_mount(mount_fd, "", at_fd, path, flags));
}

/* Covers a folder with an empty one. One that is not there needs none. */
static int cover(const char *path)
{
	if (mount("tmpfs", path, "tmpfs", PLAIN | MS_NOEXEC | MS_RDONLY, "size=4k,nr_inodes=1,mode=0755") == 0)
		return 0;
	return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

/* ---- the scratch ---- */

static int mount_scratch(const View *view)
{
	unsigned long long files = view->scratch / BYTES_A_FILE + FILES_LEAST;
	char options[160];

	(void)snprintf(options, sizeof(options), "size=%llu,nr_inodes=%llu,mode=0711,uid=%u,gid=%u",
		(unsigned long long)view->scratch, files, (unsigned int)view->uid, (unsigned int)view->gid);
	return result(mount("tmpfs", SCRATCH, "tmpfs", PLAIN, options));
}

/* As the agent. The mode as it is given, whatever the umask. */
static int make_part(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0 || chmod(path, mode) < 0)
		return -errno;
	return 0;
}

static int make_parts(mode_t home_mode)
{
	static const struct {
		const char *path;
		mode_t mode;
	} parts[] = {
		{ SCRATCH "/work", 0700 },
		{ SCRATCH "/tmp", 01777 },
		{ SCRATCH "/var-tmp", 01777 },
		{ SCRATCH "/shm", 01777 },
		{ SCRATCH "/runtime", 0700 },
	};
	int r = make_part(SCRATCH "/upper", home_mode & 0777);

	for (size_t i = 0; i < ELEMENTSOF(parts) && !r; i++)
		r = make_part(parts[i].path, parts[i].mode);
	return r;
}

/* ---- the home ---- */

/* The overlay, attached nowhere yet; the working directory is the home afterwards. As the agent. */
static int make_home(const View *view)
{
	_cleanup_close_ int fs_fd = -EBADF;
	struct stat st;
	int r;

	if (chdir(view->home) < 0 || stat(".", &st) < 0)
		return -errno;
	r = make_parts(st.st_mode);
	if (r < 0)
		return r;
	/* the overlay keeps the rights that are in effect now; the process loses them with root's uid */
	r = privilege_raise(PRIVILEGE(CAP_SYS_ADMIN) | PRIVILEGE(CAP_DAC_OVERRIDE));
	if (r < 0)
		return r;
	fs_fd = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_SET_STRING, "lowerdir", ".", 0) < 0 ||
		fsconfig(fs_fd, FSCONFIG_SET_STRING, "upperdir", SCRATCH "/upper", 0) < 0 ||
		fsconfig(fs_fd, FSCONFIG_SET_STRING, "workdir", SCRATCH "/work", 0) < 0 ||
		fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	return result(fsmount(fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
}

/* Folders that hold more than homes, and are not covered: what is another agent's there, its mode closes. */
static bool holds_more(const char *folder)
{
	static const char *const folders[] = { "", "/media", "/mnt", "/opt", "/srv", "/usr", "/usr/local", "/var",
		"/var/lib" };

	for (size_t i = 0; i < ELEMENTSOF(folders); i++)
		if (strcmp(folder, folders[i]) == 0)
			return true;
	return false;
}

/* Covers the folder in which homes are, and puts the agent's there again. */
static int put_home(const View *view, int home_fd)
{
	const char *slash = strrchr(view->home, '/');
	char parent[PATH_MAX];
	int r;

	if (!slash || !slash[1] || strlen(view->home) >= sizeof(parent))
		return -EINVAL;
	memcpy(parent, view->home, (size_t)(slash - view->home));
	parent[slash - view->home] = '\0';
	if (!path_within(view->home, "/home")) {
		r = cover("/home");
		if (r < 0)
			return r;
	}
	if (holds_more(parent))
		return put(home_fd, AT_FDCWD, view->home);
	if (mount("tmpfs", parent, "tmpfs", PLAIN | MS_NOEXEC, "size=4k,nr_inodes=2,mode=0755") < 0 ||
		mkdir(view->home, 0755) < 0)
		return -errno;
	r = put(home_fd, AT_FDCWD, view->home);
	return r < 0 ? r : set_attributes(AT_FDCWD, parent, false, MOUNT_ATTR_RDONLY, 0);
}

/* ---- the output folder ---- */

static int take_output(const View *view)
{
	_cleanup_close_ int fd = -EBADF, mount_fd = -EBADF;
	int r;

	r = become(view->uid, view->gid);
	fd = r < 0 ? r : make_folders(view->output, 0755);
	become_root();
	if (fd < 0)
		return fd;
	mount_fd = take(fd, "");
	r = mount_fd < 0 ? mount_fd : set_attributes(mount_fd, "", false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0);
	return r < 0 ? r : TAKE_FD(mount_fd);
}

/* The agent may have changed its folders meanwhile: what leads elsewhere is not followed. */
static int put_output(const View *view, int mount_fd)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = become(view->uid, view->gid);
	fd = r < 0 ? r : open_folder(AT_FDCWD, view->output);
	become_root();
	return fd < 0 ? fd : put(mount_fd, fd, "");
}

/* ---- the rest ---- */

static int put_parts(void)
{
	static const struct {
		const char *part, *place;
	} rows[] = {
		{ SCRATCH "/tmp", SCRATCH },
		{ SCRATCH "/var-tmp", "/var/tmp" },
		{ SCRATCH "/shm", "/dev/shm" },
	};
	int fds[ELEMENTSOF(rows)], r = 0;

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		fds[i] = take(AT_FDCWD, rows[i].part);
		if (fds[i] < 0)
			return fds[i]; /* the process ends, and they with it */
	}
	if (umount2(SCRATCH, MNT_DETACH) < 0)
		return -errno;
	for (size_t i = 0; i < ELEMENTSOF(rows) && !r; i++) {
		r = put(fds[i], AT_FDCWD, rows[i].place);
		fd_close(fds[i]);
	}
	return r;
}

/* Name servers, where the file about them leads into /run. */
static int copy_resolv_conf(const char *path, const char *text, size_t n)
{
	char folder[PATH_MAX];
	_cleanup_close_ int folder_fd = -EBADF, fd = -EBADF;
	const char *slash = strrchr(path, '/');

	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	folder_fd = make_folders(folder, 0755);
	if (folder_fd < 0)
		return folder_fd;
	fd = openat(folder_fd, slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return write(fd, text, n) == (ssize_t)n ? 0 : -EIO;
}

static int read_resolv_conf(const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	return fd < 0 ? 0 : result((int)read(fd, text, size));
}

static int mount_run(const View *view)
{
	static char text[RESOLV_CONF_MAX];
	_cleanup_close_ int runtime_fd = take(AT_FDCWD, SCRATCH "/runtime");
	char target[PATH_MAX], runtime[32];
	_cleanup_close_ int fd = -EBADF;
	int n = 0, r;

	if (runtime_fd < 0)
		return runtime_fd;
	if (realpath(RESOLV_CONF, target) && path_within(target, "/run"))
		n = read_resolv_conf(target, text, sizeof(text));
	if (n < 0)
		return n;
	if (mount("tmpfs", "/run", "tmpfs", PLAIN | MS_NOEXEC, "size=128k,nr_inodes=32,mode=0755") < 0)
		return -errno;
	r = n ? copy_resolv_conf(target, text, (size_t)n) : 0;
	if (r < 0)
		return r;
	(void)snprintf(runtime, sizeof(runtime), "/run/user/%u", (unsigned int)view->uid);
	fd = make_folders(runtime, 0755);
	if (fd < 0)
		return fd;
	r = put(runtime_fd, fd, "");
	return r < 0 ? r : set_attributes(AT_FDCWD, "/run", false, MOUNT_ATTR_RDONLY, 0);
}

/* From here on the leaf is the root of what it sees of cgroups. Read-only: root owns them, but so does nobody else then. */
static int mount_cgroups(void)
{
	_cleanup_close_ int fs_fd = -EBADF, fd = -EBADF;

	if (unshare(CLONE_NEWCGROUP) < 0)
		return -errno;
	fs_fd = fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(
		fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : put(fd, AT_FDCWD, "/sys/fs/cgroup");
}

/* Instances of its own of what the kernel shows as files. */
static int mount_kernel(void)
{
	if (mount("proc", "/proc", "proc", PLAIN | MS_NOEXEC, NULL) < 0 ||
		mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
			"newinstance,ptmxmode=0666,mode=0620,gid=5") < 0)
		return -errno;
	/* of the ipc namespace; not every machine has it */
	if (mount("mqueue", "/dev/mqueue", "mqueue", PLAIN | MS_NOEXEC, NULL) < 0 && errno != ENOENT)
		return -errno;
	return mount_cgroups();
}

static int mount_home(const View *view)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = become(view->uid, view->gid);
	fd = r < 0 ? r : make_home(view);
	become_root();
	if (fd < 0)
		return fd;
	return put_home(view, fd);
}

int view_enter(const View *view, const char **ret_step)
{
	_cleanup_close_ int output_fd = -EBADF;

	TRY("view: part from the machine's mounts", result(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)));
	*ret_step = "view: open the output folder";
	output_fd = view->output ? take_output(view) : -EBADF;
	if (view->output && output_fd < 0)
		return output_fd;
	TRY("view: make everything read-only",
		set_attributes(AT_FDCWD, "/", true, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0));
	TRY("view: devices", set_attributes(AT_FDCWD, "/dev", false, 0, MOUNT_ATTR_NODEV));
	TRY("view: scratch", mount_scratch(view));
	TRY("view: home", mount_home(view));
	TRY("view: /run", mount_run(view));
	TRY("view: folders for temporary files", put_parts());
	TRY("view: /proc and the like", mount_kernel());
	if (view->output)
		TRY("view: put the output folder into its place", put_output(view, output_fd));
	/* the working directory is still the home beneath */
	TRY("view: leave the home", result(chdir("/")));
	return 0;
}

int view_close_doors(uid_t uid, const char **ret_step)
{
	static const char *const folders[] = { "/run/creel", "/run/screen" };
	char runtime[32];

	(void)snprintf(runtime, sizeof(runtime), "/run/user/%u", (unsigned int)uid);
	/* what the operator mounts from now on is to be seen all the same */
	TRY("part from the machine's mounts", result(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL)));
	TRY("cover the user manager's sockets", cover(runtime));
	for (size_t i = 0; i < ELEMENTSOF(folders); i++)
		TRY("cover the folders of sockets", cover(folders[i]));
	return 0;
}
