/* SPDX-License-Identifier: MIT */
/* What a run put into a folder: news and no news, kinds, sizes, strange files; and the records that tell it. */
#include "tests/unit/unit.h"

#include "shell/base/cleanup.h"
#include "shell/collect/collect.h"
#include "shell/collect/digest.h"
#include "shell/collect/walk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* of "abc" (FIPS 180-2) */

typedef struct Folder {
	char path[64];
	int fd;
	Memory memory;
} Folder;

static void put(const Folder *folder, const char *name, const char *text)
{
	int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fd_close(fd);
}

static uint64_t nsec_by(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* From here on it is news: the clock that times are taken from moves first, beyond the fine one's time, which files may have too. */
static void begin(Folder *folder)
{
	uint64_t now = nsec_by(CLOCK_REALTIME);

	memory_done(&folder->memory);
	while (nsec_by(CLOCK_REALTIME_COARSE) <= now)
		;
	assert_int_equal(memory_make(folder->fd, nsec_by(CLOCK_REALTIME_COARSE), &folder->memory), 0);
}

static int set_up(void **state)
{
	Folder *folder = calloc(1, sizeof(*folder));

	(void)snprintf(folder->path, sizeof(folder->path), "/tmp/test_collect.XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = folder;
	return 0;
}

static int tear_down(void **state)
{
	Folder *folder = *state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", folder->path);
	assert_int_equal(system(command), 0);
	memory_done(&folder->memory);
	fd_close(folder->fd);
	free(folder);
	return 0;
}

/* "NAME STATUS BYTES DIGEST" a line, and how many are left out. */
static char *collected(const Folder *folder, uint64_t max_bytes, char *const *patterns, uint64_t *ret_left_out)
{
	const CollectRequest request = { folder->fd, max_bytes, patterns };
	ListingReader *reader = calloc(1, sizeof(*reader));
	char *records = NULL, *text = NULL;
	size_t records_n, text_n;
	FILE *file = open_memstream(&records, &records_n), *out = open_memstream(&text, &text_n);
	const uint8_t *p;
	Listing listing;
	int r;

	assert_int_equal(collect_tell(file, &(Listing){ .type = LISTING_READY }), 0);
	assert_int_equal(collect(&request, &folder->memory, file), 0);
	assert_int_equal(fclose(file), 0);
	p = (const uint8_t *)records;
	while ((r = listing_read(reader, &p, &records_n, &listing)) > 0) {
		if (listing.type == LISTING_END)
			*ret_left_out = listing.number;
		if (listing.type != LISTING_FILE)
			continue;
		(void)fprintf(out, "%s %s %llu ", listing.name, run_file_status_name(listing.status),
			(unsigned long long)listing.number);
		for (size_t i = 0; listing.status == RUN_FILE_OK && i < LISTING_DIGEST; i++)
			(void)fprintf(out, "%02x", listing.digest[i]);
		(void)fputc('\n', out);
	}
	assert_int_equal(r, 0);
	assert_true(reader->over);
	assert_int_equal(fclose(out), 0);
	free(reader);
	free(records);
	return text;
}

static char *const any[] = { (char *)"*", NULL };

static void assert_collected(const Folder *folder, const char *expected)
{
	uint64_t left_out = 1;
	_cleanup_free_ char *text = collected(folder, 1000, any, &left_out);

	assert_string_equal(text, expected);
	assert_int_equal(left_out, 0);
}

static void test_news(void **state)
{
	Folder *folder = *state;

	put(folder, "old", "abc");
	put(folder, "rewritten", "abc");
	put(folder, "appended", "ab");
	begin(folder);
	assert_collected(folder, "");
	put(folder, "new", "abc");
	put(folder, "rewritten", "abc");
	put(folder, "appended", "abc");
	assert_int_equal(mkdirat(folder->fd, "sub", 0700), 0);
	put(folder, "sub/new", "");
	assert_collected(
		folder, "appended ok 3 " ABC "\nnew ok 3 " ABC "\nrewritten ok 3 " ABC "\nsub/new ok 0 " EMPTY "\n");
	begin(folder);
	assert_collected(folder, "");
	/* its own times are as old as can be */
	assert_int_equal(utimensat(folder->fd, "old", (struct timespec[]){ { 1, 0 }, { 1, 0 } }, 0), 0);
	assert_collected(folder, "old ok 3 " ABC "\n");
}

/* No time of the file's own tells that it came with its folder. */
static void test_moved_folder(void **state)
{
	Folder *folder = *state;
	int fd;

	assert_int_equal(mkdirat(folder->fd, "output", 0700), 0);
	assert_int_equal(mkdirat(folder->fd, "elsewhere", 0700), 0);
	put(folder, "elsewhere/file", "abc");
	fd = openat(folder->fd, "output", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	Folder output = { .fd = fd };

	begin(&output);
	assert_int_equal(renameat(folder->fd, "elsewhere", fd, "moved"), 0);
	assert_collected(&output, "moved/file ok 3 " ABC "\n");
	memory_done(&output.memory);
	fd_close(fd);
}

static void test_kinds_and_sizes(void **state)
{
	static char *const images[] = { (char *)"*.png", (char *)"*.csv", NULL };
	Folder *folder = *state;
	uint64_t left_out;

	begin(folder);
	put(folder, "a.png", "abc");
	put(folder, "b.csv", "abcd");
	put(folder, "c.sh", "abc");
	put(folder, "png", "abc");
	assert_int_equal(mkdirat(folder->fd, "x.png", 0700), 0);
	put(folder, "x.png/d.txt", "abc");
	_cleanup_free_ char *text = collected(folder, 3, images, &left_out);

	assert_string_equal(
		text, "a.png ok 3 " ABC "\nb.csv too-large 4 \nc.sh type 3 \npng type 3 \nx.png/d.txt type 3 \n");
}

static void test_strange_files(void **state)
{
	Folder *folder = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	begin(folder);
	assert_int_equal(symlinkat("/etc/passwd", folder->fd, "link"), 0);
	assert_int_equal(symlinkat("/etc", folder->fd, "link-to-folder"), 0);
	/* whoever opened it would wait */
	assert_int_equal(mkfifoat(folder->fd, "fifo", 0600), 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder->path);
	assert_int_equal(bind(socket_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	put(folder, "one", "abc");
	assert_int_equal(linkat(folder->fd, "one", folder->fd, "two", 0), 0);
	put(folder, "line\nfeed", "");
	put(folder, "\xff\xfe", "");
	assert_collected(folder,
		"fifo special 0 \nline\nfeed ok 0 " EMPTY "\nlink special 0 \nlink-to-folder special 0 \none ok 3 " ABC
		"\nsocket special 0 \ntwo ok 3 " ABC "\n\xff\xfe ok 0 " EMPTY "\n");
}

static void test_depth(void **state)
{
	Folder *folder = *state;
	char path[64] = "1";

	begin(folder);
	for (unsigned int depth = 1; depth <= WALK_DEPTH_MAX + 1; depth++) {
		char file[80];

		assert_int_equal(mkdirat(folder->fd, path, 0700), 0);
		(void)snprintf(file, sizeof(file), "%s/f", path);
		if (depth >= WALK_DEPTH_MAX - 1)
			put(folder, file, "");
		strcat(path, "/1");
	}
	assert_collected(folder, "1/1/1/1/1/1/1/f ok 0 " EMPTY "\n");
}

static void test_many_are_counted(void **state)
{
	Folder *folder = *state;
	uint64_t left_out;
	size_t lines = 0;
	char name[16];

	begin(folder);
	for (unsigned int i = 0; i < RUN_FILES_MAX + 250; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		put(folder, name, "");
	}
	_cleanup_free_ char *text = collected(folder, 1000, any, &left_out);

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, RUN_FILES_MAX);
	assert_int_equal(left_out, 250);
}

/* It became something else between being found and being read: never opened as what it is now. */
static void test_open_what_it_was(void **state)
{
	Folder *folder = *state;
	struct stat st;
	int fd = -EBADF;

	assert_int_equal(mkdirat(folder->fd, "sub", 0700), 0);
	put(folder, "sub/file", "abc");
	assert_int_equal(symlinkat("sub", folder->fd, "way"), 0);
	assert_int_equal(symlinkat("file", folder->fd, "sub/link"), 0);
	assert_int_equal(mkfifoat(folder->fd, "fifo", 0600), 0);
	assert_int_equal(walk_open(folder->fd, "sub/file", &fd, &st), 0);
	fd_close(fd);
	assert_true(walk_open(folder->fd, "way/file", &fd, &st) < 0);
	assert_int_equal(walk_open(folder->fd, "sub/link", &fd, &st), -ENOTSUP);
	assert_int_equal(walk_open(folder->fd, "fifo", &fd, &st), -ENOTSUP);
	assert_int_equal(walk_open(folder->fd, "none", &fd, &st), -ENOENT);
}

static void test_written_to_while_read(void **state)
{
	Folder *folder = *state;
	uint8_t digest[LISTING_DIGEST];
	struct stat st;
	int fd;

	put(folder, "file", "abc");
	assert_int_equal(walk_open(folder->fd, "file", &fd, &st), 0);
	assert_int_equal(digest_file(fd, &st, UINT64_MAX, digest), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	/* longer, shorter, and as long as it was */
	put(folder, "file", "abcd");
	assert_int_equal(digest_file(fd, &st, UINT64_MAX, digest), 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	put(folder, "file", "ab");
	assert_int_equal(digest_file(fd, &st, UINT64_MAX, digest), 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	st.st_mtim.tv_nsec ^= 1;
	put(folder, "file", "abc");
	assert_int_equal(digest_file(fd, &st, UINT64_MAX, digest), 1);
	/* no time left */
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(digest_file(fd, &st, 0, digest), -ETIME);
	fd_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_news, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kinds_and_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strange_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_are_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_what_it_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_written_to_while_read, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
