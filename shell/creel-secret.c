/* SPDX-License-Identifier: MIT */
/*
 * creel-secret set|get UID NAME: one value of one agent, to or from its encrypted file. Started by the agent's keeper, which made the
 * words; the value comes on stdin (a sealed memfd of the agent's) and goes to stdout (a pipe to the agent) as shell/bus/secret.h says.
 *
 * Runs as root without a capability, for the time of one question. systemd-creds(1) encrypts, with the machine's key alone, and binds
 * the agent's uid and the name into what it makes: a file that is moved to another agent, or renamed, cannot be decrypted.
 */
#include "shell/base/file.h"
#include "shell/base/privilege.h"
#include "shell/base/str.h"
#include "shell/bus/secret.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CREDS "/usr/bin/systemd-creds"
#define MOST_SECONDS 30
#define FILE_MAX_BYTES (256U * 1024) /* of an encrypted one: base64, and what is around it */

static int confine(void)
{
	const struct rlimit seconds = { MOST_SECONDS, MOST_SECONDS }, size = { FILE_MAX_BYTES, FILE_MAX_BYTES };
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CPU, &seconds) < 0 || setrlimit(RLIMIT_FSIZE, &size) < 0 ||
		setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	(void)umask(077);
	(void)alarm(MOST_SECONDS);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return privilege_drop(~UINT64_C(0));
}

/* Why not, for the agent. Returns the exit status. */
static int fail(const char *format, ...) _printf_(1, 2);

static int fail(const char *format, ...)
{
	va_list arguments;

	(void)putchar(SECRET_FAILED);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)fflush(stdout);
	return EXIT_FAILURE;
}

/* ---- systemd-creds ---- */

static int spawn_creds(const char *verb, const char *name, int input_fd, int output_fd, pid_t *ret)
{
	_cleanup_free_ char *option = str_format("--name=%s", name);
	char *const argv[] = { (char *)CREDS, (char *)"--with-key=host", option, (char *)verb, (char *)"-", (char *)"-",
		NULL };
	char *const environment[] = { (char[]){ "LC_ALL=C.UTF-8" }, (char[]){ "SYSTEMD_LOG_LEVEL=err" }, NULL };
	posix_spawn_file_actions_t actions;
	int r;

	if (!option)
		return -ENOMEM;
	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, input_fd, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
	if (!r)
		r = posix_spawn(ret, CREDS, &actions, NULL, argv, environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* What systemd-creds reads: memory, as it holds any length at once. A pipe would do so only while root has few others. */
static int memory_of(const char *bytes, size_t n, int *ret)
{
	_cleanup_close_ int fd = memfd_create("creel-secret", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = file_write_all(fd, bytes, n);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Takes `n` bytes through systemd-creds; `ret` is new memory. */
static int convert(const char *verb, const char *name, const char *bytes, size_t n, char **ret, size_t *ret_n)
{
	_cleanup_close_ int in_fd = -EBADF, out_read_fd = -EBADF, out_write_fd = -EBADF;
	_cleanup_free_ char *made = NULL;
	size_t made_n = 0;
	int out[2], status, r;
	pid_t pid;

	r = memory_of(bytes, n, &in_fd);
	if (r < 0)
		return r;
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	out_read_fd = out[0];
	out_write_fd = out[1];
	r = spawn_creds(verb, name, in_fd, out_write_fd, &pid);
	if (r < 0)
		return r;
	out_write_fd = fd_close(out_write_fd);
	r = file_read_fd(out_read_fd, FILE_MAX_BYTES, &made, &made_n);
	out_read_fd = fd_close(out_read_fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!r && (!WIFEXITED(status) || WEXITSTATUS(status)))
		r = -EBADMSG;
	if (r < 0) {
		if (made)
			explicit_bzero(made, made_n);
		return r;
	}
	*ret = TAKE_PTR(made);
	*ret_n = made_n;
	return 0;
}

/* ---- the two verbs ---- */

/* The agent's folder, made where it is not there. */
static int open_folder(const char *uid, bool make, int *ret)
{
	_cleanup_free_ char *path = str_format(SECRETS_DIR "/%s", uid);
	int fd;

	if (!path)
		return -ENOMEM;
	if (make && ((mkdir(SECRETS_DIR, 0700) < 0 && errno != EEXIST) || (mkdir(path, 0700) < 0 && errno != EEXIST)))
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* One more is one too many. */
static int is_full(int folder_fd, const char *name, bool *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	unsigned int n = 0;
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	*ret = false;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, name) == 0)
			return 0;
		n += secret_name_valid(entry->d_name);
	}
	*ret = n >= SECRETS_MAX;
	return 0;
}

/* What the keeper let through: its length cannot change any more. The agent may move the offset, so none is used. */
static int read_value(char *value, size_t *ret_n)
{
	size_t n = 0;
	ssize_t k;

	while (n <= SECRET_MAX && (k = pread(STDIN_FILENO, value + n, SECRET_MAX + 1 - n, (off_t)n)) != 0) {
		if (k < 0 && errno != EINTR)
			return -errno;
		if (k > 0)
			n += (size_t)k;
	}
	*ret_n = n;
	return n > SECRET_MAX ? -EFBIG : 0;
}

static int set(const char *uid, const char *name, const char *bound_name, char *value)
{
	_cleanup_close_ int folder_fd = -EBADF;
	_cleanup_free_ char *made = NULL;
	size_t n = 0, made_n;
	bool full = false;
	int r;

	r = read_value(value, &n);
	if (r < 0)
		return fail("the value cannot be read: %s", strerror(-r));
	if (!n || memchr(value, '\0', n))
		return fail("the value %s, which no variable can hold", n ? "has a NUL byte in it" : "is empty");
	r = convert("encrypt", bound_name, value, n, &made, &made_n);
	if (r < 0)
		return fail("it cannot be encrypted: " CREDS " failed (%s); the operator's journal says more",
			strerror(-r));
	r = open_folder(uid, true, &folder_fd);
	/* one at a time, also where an earlier keeper's child lives: two of them would write one temporary file */
	if (!r && flock(folder_fd, LOCK_EX) < 0)
		r = -errno;
	if (!r)
		r = is_full(folder_fd, name, &full);
	if (full)
		return fail("there are %u secrets, and no more are kept: creel secret rm NAME", SECRETS_MAX);
	if (!r)
		r = file_replace_at(folder_fd, name, made, made_n, 0600);
	if (r < 0)
		return fail("it cannot be written: %s", strerror(-r));
	(void)putchar(SECRET_DONE);
	return EXIT_SUCCESS;
}

static int get(const char *uid, const char *name, const char *bound_name)
{
	_cleanup_close_ int folder_fd = -EBADF;
	_cleanup_free_ char *text = NULL, *value = NULL;
	size_t n, value_n;
	int r;

	r = open_folder(uid, false, &folder_fd);
	if (!r)
		r = file_read_at(folder_fd, name, O_NOFOLLOW, FILE_MAX_BYTES, &text, &n);
	if (r == -ENOENT)
		return fail("there is no such secret");
	if (r < 0)
		return fail("it cannot be read: %s", strerror(-r));
	r = convert("decrypt", bound_name, text, n, &value, &value_n);
	if (r < 0)
		return fail("it cannot be decrypted: it was made with another machine's key, or its file was changed; "
			    "set it anew");
	(void)putchar(SECRET_DONE);
	(void)fflush(stdout);
	r = file_write_all(STDOUT_FILENO, value, value_n);
	explicit_bzero(value, value_n);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static char value[SECRET_MAX + 1];
	_cleanup_free_ char *bound_name = NULL;
	uint64_t uid;
	int r;

	if (argc != 4 || (strcmp(argv[1], "set") != 0 && strcmp(argv[1], "get") != 0) ||
		str_to_u64(argv[2], UINT32_MAX - 1, &uid) < 0 || !secret_name_valid(argv[3])) {
		(void)fprintf(stderr, "usage: creel-secret set|get UID NAME (started by the keeper)\n");
		return EXIT_FAILURE;
	}
	bound_name = str_format("creel-%s-%s", argv[2], argv[3]);
	r = bound_name ? confine() : -ENOMEM;
	if (r < 0)
		return fail("%s", strerror(-r));
	r = strcmp(argv[1], "set") == 0 ? set(argv[2], argv[3], bound_name, value) : get(argv[2], argv[3], bound_name);
	explicit_bzero(value, sizeof(value));
	return fflush(stdout) == 0 ? r : EXIT_FAILURE;
}
