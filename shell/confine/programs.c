/* SPDX-License-Identifier: MIT */
/*
 * Where the system keeps programs. Outside these folders reading is never limited by [commands]: what an operator puts into
 * /srv or /var for agents to read can be run through an interpreter or the dynamic loader.
 */
#include "shell/confine/plan.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* "/bin" and the like are links on a merged system, and then not walked twice. */
static const char *const roots[] = { "/usr", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };
static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
	"/usr/games", "/usr/local/games" };
/* Files for every architecture, by the hierarchy standard: no programs, and a third of all files. */
static const char *const no_programs[] = { "/usr/share", "/usr/include" };

int programs_folders(StrList *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		_cleanup_free_ char *path = NULL;
		int r;

		r = path_resolve(folders[i], &path);
		if (!r)
			r = paths_add(ret, path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- walking ---- */

typedef struct Walk {
	int (*file)(struct Walk *walk, int folder_fd, const char *folder, const char *name);
	const StrList *leave_out; /* may be NULL */
	uint64_t device, inode;   /* looked for */
	StrList *found;
	size_t n;
} Walk;

/* A folder that is not there, is a link, or is closed to this process: nothing in it is found by it, either. */
static bool is_left_out(int error)
{
	return error == ENOENT || error == EACCES || error == ELOOP || error == ENOTDIR;
}

/* Takes `folder_fd`. Depth is bounded by the longest path that can be opened. */
static int walk_folder(Walk *walk, int folder_fd, const char *folder)
{
	_cleanup_closedir_ DIR *dir = fdopendir(folder_fd);
	struct dirent *entry;

	if (!dir) {
		int r = -errno;

		fd_close(folder_fd);
		return r;
	}
	while ((errno = 0, entry = readdir(dir))) {
		struct stat st;
		int r = 0;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type == DT_UNKNOWN) {
			if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			entry->d_type = IFTODT(st.st_mode);
		}
		if (entry->d_type == DT_REG) {
			r = walk->file(walk, dirfd(dir), folder, entry->d_name);
		} else if (entry->d_type == DT_DIR) {
			_cleanup_free_ char *path = path_join(folder, entry->d_name);
			int fd;

			if (!path)
				return -ENOMEM;
			if (walk->leave_out && strlist_contains(walk->leave_out, path))
				continue;
			fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (fd >= 0)
				r = walk_folder(walk, fd, path);
			else if (!is_left_out(errno))
				r = -errno;
		}
		if (r < 0)
			return r;
	}
	return errno ? -errno : 0;
}

static int walk_roots(Walk *walk)
{
	for (size_t i = 0; i < ELEMENTSOF(roots); i++) {
		int fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;

		if (fd < 0 && !is_left_out(errno))
			return -errno;
		if (fd < 0)
			continue; /* none, or a link to one of the others */
		r = walk_folder(walk, fd, roots[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- programs ---- */

static bool is_library(const char *name)
{
	const char *at = strstr(name, ".so");

	return at && (at[3] == '\0' || at[3] == '.');
}

/*
 * A process that prepares its own confinement may be short of descriptors by another of the agent's, which can lower its limit:
 * what cannot be looked at is a program.
 */
static int add_program(Walk *walk, int folder_fd, const char *folder, const char *name)
{
	_cleanup_close_ int fd = -EBADF;
	char magic[SELFMAG];
	struct stat st;

	if (is_library(name) || fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !(st.st_mode & 0111))
		return 0;
	fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && (read(fd, magic, sizeof(magic)) != sizeof(magic) || memcmp(magic, ELFMAG, SELFMAG) != 0))
		return 0;
	return strlist_push(walk->found, path_join(folder, name));
}

int programs_find(StrList *ret)
{
	_cleanup_strlist_ StrList leave_out = { 0 };
	Walk walk = { .file = add_program, .leave_out = &leave_out, .found = ret };
	int r;

	r = programs_folders(&leave_out);
	for (size_t i = 0; !r && i < ELEMENTSOF(no_programs); i++)
		r = strlist_add(&leave_out, no_programs[i]);
	return r < 0 ? r : walk_roots(&walk);
}

static int add_name(Walk *walk, int folder_fd, const char *folder, const char *name)
{
	struct stat st;

	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != walk->device ||
		st.st_ino != walk->inode)
		return 0;
	walk->n++;
	return strlist_push(walk->found, path_join(folder, name));
}

int programs_find_names(uint64_t device, uint64_t inode, StrList *ret, size_t *ret_n)
{
	Walk walk = { .file = add_name, .device = device, .inode = inode, .found = ret };
	int r;

	r = walk_roots(&walk);
	if (r < 0)
		return r;
	*ret_n = walk.n;
	return 0;
}

/* ---- interpreters ---- */

static int elf_interpreter(int fd, const Elf64_Ehdr *header, char **ret)
{
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		off_t at = (off_t)header->e_phoff + (off_t)i * header->e_phentsize;
		char path[PATH_MAX];
		Elf64_Phdr part;

		if (header->e_phentsize < sizeof(part) || pread(fd, &part, sizeof(part), at) != sizeof(part))
			return 0;
		if (part.p_type != PT_INTERP)
			continue;
		if (!part.p_filesz || part.p_filesz >= sizeof(path) ||
			pread(fd, path, part.p_filesz, (off_t)part.p_offset) != (ssize_t)part.p_filesz)
			return 0;
		path[part.p_filesz] = '\0';
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	return 0;
}

static int script_interpreter(const char *head, char **ret)
{
	const char *start = head + 2 + strspn(head + 2, " \t");
	size_t n = strcspn(start, " \t\n");

	if (!n || *start != '/')
		return 0;
	*ret = strndup(start, n);
	return *ret ? 0 : -ENOMEM;
}

int program_interpreter(const char *path, char **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	union {
		Elf64_Ehdr elf;
		char text[256]; /* what the kernel looks at (BINPRM_BUF_SIZE) */
	} head = { 0 };
	ssize_t n;

	*ret = NULL;
	if (fd < 0)
		return 0; /* cannot be read, cannot be executed with this confinement */
	n = read(fd, head.text, sizeof(head.text) - 1);
	if (n >= 2 && strncmp(head.text, "#!", 2) == 0)
		return script_interpreter(head.text, ret);
	if (n >= (ssize_t)sizeof(head.elf) && memcmp(head.text, ELFMAG, SELFMAG) == 0 &&
		head.elf.e_ident[EI_CLASS] == ELFCLASS64)
		return elf_interpreter(fd, &head.elf, ret);
	return 0;
}
