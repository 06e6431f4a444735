/* SPDX-License-Identifier: MIT */
/*
 * creel-collect: what a run put into the output folder. The keeper starts it beside a run, in a leaf of its own, confined as
 * the agent's programs are; it remembers the folder, says so, waits for a byte, and tells what is new (shell/collect/listing.h).
 *
 *   creel-collect FOLDER MAX-BYTES BEGUN-NSEC PATTERN...       stdin: the keeper's pipe; stdout: the records
 *
 * Why a program: files of an agent's can be many, huge, strange and slow, and the keeper must neither wait for them nor hold a
 * digest's code. It is the agent's own process on the agent's own files; were it made to lie, it would lie to the agent.
 * Why libcrypto: the kernel's own SHA-256 (AF_ALG) is a module that many machines forbid, and sockets of that family are
 * refused to agents.
 *
 * Rights: none but the agent's. It ends with the keeper, whose pipe ends then.
 */
#include "shell/base/str.h"
#include "shell/collect/collect.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define CPU_SECONDS 30           /* the keeper's own limit is one of time */
#define MEMORY_BYTES (64U << 20) /* what it remembers of MEMORY_MAX files is a tenth of it */
#define EXIT_USAGE 2

/* Somebody else's folder is not where this agent's output belongs, and its files are not ours to vouch for. */
static int open_folder(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != getuid())
		return -EPERM;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The run is over. False: the keeper went. */
static bool wait_for_word(void)
{
	char word;
	ssize_t n;

	do
		n = read(STDIN_FILENO, &word, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static int work(const char *path, CollectRequest *request, uint64_t begun_nsec)
{
	_cleanup_(memory_done) Memory memory = { 0 };
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = open_folder(path, &fd);
	if (!r)
		r = memory_make(fd, begun_nsec, &memory);
	if (!r)
		r = collect_tell(stdout, &(Listing){ .type = LISTING_READY });
	if (r < 0)
		return r;
	if (fflush(stdout) != 0)
		return -EIO;
	request->folder_fd = fd;
	return wait_for_word() ? collect(request, &memory, stdout) : -EPIPE;
}

int main(int argc, char **argv)
{
	static const struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS }, memory = { MEMORY_BYTES, MEMORY_BYTES };
	CollectRequest request;
	uint64_t begun_nsec;
	int r;

	/* what it remembers is nobody's to read or change */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CPU, &cpu) < 0 ||
		setrlimit(RLIMIT_DATA, &memory) < 0)
		return EXIT_FAILURE;
	if (argc < 4 || argv[1][0] != '/' || str_to_u64(argv[2], UINT64_MAX, &request.max_bytes) < 0 ||
		str_to_u64(argv[3], UINT64_MAX, &begun_nsec) < 0) {
		(void)fprintf(stderr, "usage: creel-collect FOLDER MAX-BYTES BEGUN-NSEC PATTERN...\n");
		return EXIT_USAGE;
	}
	request.patterns = argv + 4;
	r = work(argv[1], &request, begun_nsec);
	if (r < 0)
		r = collect_tell(stdout, &(Listing){ .type = LISTING_FAILED, .number = (uint64_t)-r });
	return r < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
