/* SPDX-License-Identifier: MIT */
/*
 * Found first, read then: the smallest files first, so that one huge file does not use up the time of all the others, and
 * told in the order of their names.
 */
#include "shell/collect/collect.h"
#include "shell/base/rate.h"
#include "shell/collect/digest.h"
#include "shell/collect/walk.h"

#include <fnmatch.h>
#include <string.h>

typedef struct Found {
	char *path;
	uint64_t bytes;
	RunFileStatus status;
	bool told; /* it is there still, and there was time to read it */
	uint8_t digest[LISTING_DIGEST];
} Found;

typedef struct Collection {
	const CollectRequest *request;
	const Memory *memory;
	uint64_t deadline_usec;
	Found *found;
	size_t n, room;
	uint64_t left_out;
	int error;
} Collection;

static void collection_done(Collection *collection)
{
	for (size_t i = 0; i < collection->n; i++)
		free(collection->found[i].path);
	free(collection->found);
}

static bool is_of_types(const CollectRequest *request, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (char *const *pattern = request->patterns; *pattern; pattern++)
		if (fnmatch(*pattern, name, FNM_NOESCAPE) == 0)
			return true;
	return false;
}

static RunFileStatus judge(const CollectRequest *request, const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return RUN_FILE_SPECIAL;
	if (!is_of_types(request, path))
		return RUN_FILE_TYPE;
	return (uint64_t)st->st_size > request->max_bytes ? RUN_FILE_TOO_LARGE : RUN_FILE_OK;
}

static int add(Collection *collection, const char *path, const struct stat *st)
{
	Found *found;

	if (collection->n == collection->room) {
		size_t room = collection->room ? 2 * collection->room : 16;

		found = reallocarray(collection->found, room, sizeof(*found));
		if (!found)
			return -ENOMEM;
		collection->found = found;
		collection->room = room;
	}
	found = &collection->found[collection->n];
	*found = (Found){ .path = strdup(path),
		.bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
		.status = judge(collection->request, path, st) };
	if (!found->path)
		return -ENOMEM;
	collection->n++;
	return 0;
}

static bool find(void *userdata, const char *path, const struct stat *st)
{
	Collection *collection = userdata;

	if (!memory_is_news(collection->memory, path, st))
		return clock_monotonic_usec() <= collection->deadline_usec;
	if (collection->n < RUN_FILES_MAX)
		collection->error = add(collection, path, st);
	else
		collection->left_out++;
	return !collection->error && clock_monotonic_usec() <= collection->deadline_usec;
}

/* It was one that is given out when it was found. */
static void read_one(Collection *collection, Found *found)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int r;

	r = walk_open(collection->request->folder_fd, found->path, &fd, &st);
	/* removed since: nobody misses it */
	if (r == -ENOENT || r == -ENOTDIR)
		return;
	found->told = true;
	if (r < 0) {
		found->status = RUN_FILE_SPECIAL;
		return;
	}
	found->bytes = (uint64_t)st.st_size;
	found->status = judge(collection->request, found->path, &st);
	if (found->status != RUN_FILE_OK)
		return;
	r = digest_file(fd, &st, collection->deadline_usec, found->digest);
	if (r > 0)
		found->status = RUN_FILE_CHANGED;
	else if (r == -ETIME)
		found->told = false;
	else if (r < 0)
		found->status = RUN_FILE_SPECIAL;
}

static int by_bytes(const void *a, const void *b)
{
	const Found *one = a, *other = b;

	return (one->bytes > other->bytes) - (one->bytes < other->bytes);
}

static int by_path(const void *a, const void *b)
{
	const Found *one = a, *other = b;

	return strcmp(one->path, other->path);
}

static void read_all(Collection *collection)
{
	for (size_t i = 0; i < collection->n; i++) {
		Found *found = &collection->found[i];

		if (found->status != RUN_FILE_OK)
			found->told = true;
		else if (clock_monotonic_usec() <= collection->deadline_usec)
			read_one(collection, found);
		if (!found->told && clock_monotonic_usec() > collection->deadline_usec)
			collection->left_out++;
	}
}

int collect_tell(FILE *file, const Listing *listing)
{
	uint8_t record[LISTING_RECORD_MAX];
	size_t n = listing_write(listing, record);

	return fwrite(record, 1, n, file) == n ? 0 : -EIO;
}

static int tell_all(const Collection *collection, FILE *file)
{
	int r = 0;

	for (size_t i = 0; i < collection->n && !r; i++) {
		const Found *found = &collection->found[i];
		Listing listing = {
			.type = LISTING_FILE, .status = found->status, .number = found->bytes, .name = found->path
		};

		if (!found->told)
			continue;
		if (found->status == RUN_FILE_OK)
			memcpy(listing.digest, found->digest, sizeof(listing.digest));
		r = collect_tell(file, &listing);
	}
	if (!r)
		r = collect_tell(file, &(Listing){ .type = LISTING_END, .number = collection->left_out });
	return r;
}

int collect(const CollectRequest *request, const Memory *memory, FILE *file)
{
	_cleanup_(collection_done) Collection collection = {
		.request = request, .memory = memory, .deadline_usec = clock_monotonic_usec() + COLLECT_USEC
	};

	walk(request->folder_fd, find, &collection);
	if (collection.error)
		return collection.error;
	if (collection.n) {
		qsort(collection.found, collection.n, sizeof(*collection.found), by_bytes);
		read_all(&collection);
		qsort(collection.found, collection.n, sizeof(*collection.found), by_path);
	}
	return tell_all(&collection, file);
}
