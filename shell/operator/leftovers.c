/* SPDX-License-Identifier: MIT */
/*
 * Whoever lives may rename, swap and add entries in folders that the uid left open, while we work there as root. So
 * each step is relative to a descriptor of a folder that was opened without following a link; what the names mean by
 * the time of the unlink does not matter, because removing an entry from such a folder is what its neighbours could
 * have done themselves. Owner and mode change through the descriptor alone.
 *
 * The depth of a tree is the uid's choice, so neither our stack nor our descriptors may grow with it: one descriptor is
 * open at a time, names are kept on the heap, and the way up is `..`, believed only if it is the folder that we came from.
 */
#include "shell/operator/leftovers.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PASSES_MAX 16 /* over a folder in which others move things about */

typedef struct Place {
	dev_t dev;
	ino_t ino;
	StrList names;
	size_t next;
	bool own; /* it was the uid's */
} Place;

typedef struct Walk {
	const char *folder;
	uid_t uid;
	dev_t dev;
	Place *places; /* the root first, the open folder last */
	size_t n, room;
	int fd; /* of the last place */
	bool found;
} Walk;

static void walk_done(Walk *walk)
{
	for (size_t i = 0; i < walk->n; i++)
		strlist_done(&walk->places[i].names);
	free(walk->places);
	walk->fd = fd_close(walk->fd);
}

static int names_read(int fd, StrList *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_strlist_ StrList names = { 0 };
	struct dirent *entry;
	int own_fd;

	/* a description of its own, which the stream may close */
	own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = own_fd < 0 ? NULL : fdopendir(own_fd);
	if (!dir) {
		int r = -errno;

		fd_close(own_fd);
		return r;
	}
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (strlist_add(&names, entry->d_name) < 0)
			return -ENOMEM;
	}
	if (errno)
		return -errno;
	*ret = names;
	names = (StrList){ 0 };
	return 0;
}

/*
 * Takes `fd`, also on failure. A folder of the uid's becomes root's before we look into it, and sticky: from here on
 * nobody can move what is not their own in it, and who has something in it can still take that out.
 */
static int place_enter(Walk *walk, int fd, const struct stat *st)
{
	_cleanup_close_ int own_fd = fd;
	Place place = { .dev = st->st_dev, .ino = st->st_ino, .own = st->st_uid == walk->uid };
	int r;

	if (place.own) {
		walk->found = true;
		if (fchown(own_fd, 0, 0) < 0 || fchmod(own_fd, (st->st_mode & 0777) | S_ISVTX) < 0)
			return -errno;
	}
	if (walk->n == walk->room) {
		size_t room = walk->room ? walk->room * 2 : 16;
		Place *places = reallocarray(walk->places, room, sizeof(*places));

		if (!places)
			return -ENOMEM;
		walk->places = places;
		walk->room = room;
	}
	r = names_read(own_fd, &place.names);
	if (r < 0)
		return r;
	walk->places[walk->n++] = place;
	fd_close(walk->fd);
	walk->fd = TAKE_FD(own_fd);
	return 0;
}

/*
 * From the last place to the one above it. Its folder goes if nothing is in it; else it stays as root's. Was it moved
 * away meanwhile, the walk goes on at the top, so that only what moves waits for the next pass.
 */
static int place_leave(Walk *walk)
{
	_cleanup_close_ int parent_fd = openat(walk->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	Place *parent = &walk->places[walk->n - 2];
	bool own = walk->places[walk->n - 1].own;
	struct stat st;

	if (parent_fd < 0 || fstat(parent_fd, &st) < 0)
		return -errno;
	strlist_done(&walk->places[--walk->n].names);
	if (st.st_dev != parent->dev || st.st_ino != parent->ino) {
		walk->found = true;
		while (walk->n > 1)
			strlist_done(&walk->places[--walk->n].names);
		fd_close(parent_fd);
		parent_fd = open(walk->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent_fd < 0)
			return -errno;
		own = false;
	}
	fd_close(walk->fd);
	walk->fd = TAKE_FD(parent_fd);
	if (own && unlinkat(walk->fd, parent->names.items[parent->next - 1], AT_REMOVEDIR) < 0 && errno != ENOTEMPTY &&
		errno != EEXIST && errno != ENOENT && errno != ENOTDIR && errno != EBUSY)
		return -errno;
	return 0;
}

static int entry_take(Walk *walk, const char *name)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	if (fstatat(walk->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		/* root may not look into a file system of somebody's own (FUSE): it is another one in any case */
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	if (st.st_dev != walk->dev)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		if (st.st_uid != walk->uid)
			return 0;
		walk->found = true;
		/* EISDIR: it was another thing a moment ago */
		return unlinkat(walk->fd, name, 0) < 0 && errno != ENOENT && errno != EISDIR ? -errno : 0;
	}
	fd = openat(walk->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
		walk->found = true;
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != walk->dev)
		return 0;
	return place_enter(walk, TAKE_FD(fd), &st);
}

/* One pass. `ret_found`: something of the uid's was there, or may have been. */
static int walk_once(const char *folder, uid_t uid, bool *ret_found)
{
	_cleanup_(walk_done) Walk walk = { .folder = folder, .uid = uid, .fd = -EBADF };
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	*ret_found = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	walk.dev = st.st_dev;
	st.st_uid = (uid_t)-1; /* the shared folder itself is nobody's to take */
	r = place_enter(&walk, TAKE_FD(fd), &st);
	while (r >= 0 && walk.n) {
		Place *place = &walk.places[walk.n - 1];

		if (place->next < place->names.n)
			r = entry_take(&walk, place->names.items[place->next++]);
		else if (walk.n > 1)
			r = place_leave(&walk);
		else
			break;
	}
	*ret_found = walk.found;
	return r;
}

int leftovers_remove(const char *folder, uid_t uid)
{
	bool found = true;

	/* until there is nothing: what was moved from where we had not been to where we had is seen the next time */
	for (int pass = 0; found && pass < PASSES_MAX; pass++) {
		int r = walk_once(folder, uid, &found);

		if (r < 0)
			return r;
	}
	return found ? -EAGAIN : 0;
}
