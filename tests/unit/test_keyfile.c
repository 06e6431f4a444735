/* SPDX-License-Identifier: MIT */
/* What creelctl writes into an agent's home: as the agent's, and out of the agent's reach meanwhile, which needs root; and which keys it
 * finds there. */
#include "tests/unit/unit.h"

#include "shell/base/base64.h"
#include "shell/base/file.h"
#include "shell/operator/keyfile.h"
#include "shell/session/keys.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define UID 1999U
#define KEYS "#\0\nssh-ed25519 AAAA one\n"
#define KEYS_N (sizeof(KEYS) - 1)

/* What an agent's process found when it tried to stop the one that writes: an errno, 0 or, where nobody tried, -1. */
static int *reached;

/* Between what is written and its name: the moment in which the agent acts. */
int fsync(int fd)
{
	pid_t writer = getpid(), agent = fork();

	if (agent == 0) {
		if (syscall(SYS_setresgid, UID, UID, UID) == 0 && syscall(SYS_setresuid, UID, UID, UID) == 0)
			*reached = kill(writer, 0) < 0 ? errno : 0;
		_exit(0);
	}
	while (waitpid(agent, NULL, 0) < 0 && errno == EINTR)
		;
	return (int)syscall(SYS_fsync, fd);
}

static char home[] = "/tmp/creel-keyfile-XXXXXX";
static Agent agent = { .name = "agent", .home = home, .uid = UID, .gid = UID };

static int make_home(void **state)
{
	reached = mmap(NULL, sizeof(*reached), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return geteuid() == 0 && (!mkdtemp(home) || chown(home, UID, UID) < 0 || chmod(home, 0700) < 0);
}

static int remove_home(void **state)
{
	char *const command[] = { "rm", "-rf", home, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		(void)execvp("rm", command);
		_exit(1);
	}
	return waitpid(pid, NULL, 0) < 0;
}

static void test_out_of_the_agents_reach(void **state)
{
	_cleanup_free_ char *path = keyfile_path(&agent, true), *text = NULL;
	Reason reason = { "" };
	struct stat st;
	size_t n = 0;

	if (geteuid() != 0)
		skip();
	*reached = -1;
	assert_int_equal(keyfile_write(&agent, true, KEYS, KEYS_N, &reason), 0);
	assert_int_equal(*reached, EPERM);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, UID);
	assert_int_equal(st.st_gid, UID);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(keyfile_read(&agent, true, &text, &n, &reason), 0);
	assert_int_equal(n, KEYS_N);
	assert_memory_equal(text, KEYS, n);
	/* here nothing was borrowed */
	assert_int_equal(open(path, O_RDONLY | O_CLOEXEC) < 0, 0);
}

/* A link in the way, to where root may write and the agent may not. */
static void test_links(void **state)
{
	char elsewhere[] = "/tmp/creel-keyfile-root-XXXXXX";
	_cleanup_free_ char *folder = NULL;
	Reason reason = { "" };

	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(elsewhere));
	assert_true(asprintf(&folder, "%s/.ssh", home) > 0);
	assert_int_equal(renameat2(AT_FDCWD, folder, AT_FDCWD, elsewhere, RENAME_EXCHANGE), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(symlink(elsewhere, folder), 0);
	assert_true(keyfile_write(&agent, true, KEYS, KEYS_N, &reason) < 0);
	assert_non_null(strstr(reason.text, ".ssh"));
	/* a folder of root's in its place: the agent may not write there, and so nobody for it */
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(rename(elsewhere, folder), 0);
	assert_int_equal(chown(folder, 0, 0), 0);
	assert_int_equal(keyfile_write(&agent, true, KEYS, KEYS_N, &reason), -EACCES);
}

#define DATA "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

/* What lets somebody in is what an operator sees, and can take away. */
static void test_what_the_keeper_takes_is_found(void **state)
{
	static const char *const blanks[] = { " ", "\t", "\r", "\r\r", " \r\t", "" };
	static const char *const options[] = { "", "no-pty", "command=\"a b\"", "command=\"\\\"\r\"", "\r", "#" };
	static const char *const ends[] = { "", "\r", "\rme", " \"me", "\"", "=", " #" };
	uint8_t blob[51];
	size_t blob_n, allowed = 0;
	KeyLine key;

	assert_int_equal(base64_decode(DATA, strlen(DATA), false, blob, &blob_n), 0);
	for (size_t i = 0; i < ELEMENTSOF(blanks) * ELEMENTSOF(options) * ELEMENTSOF(ends); i++) {
		const char *blank = blanks[i % ELEMENTSOF(blanks)],
			   *end = ends[i / ELEMENTSOF(blanks) % ELEMENTSOF(ends)];
		const char *option = options[i / ELEMENTSOF(blanks) / ELEMENTSOF(ends)];
		_cleanup_free_ char *line = NULL;
		KeyOptions parsed = { 0 };
		KeyReason reason;

		assert_true(asprintf(&line, "%s%sssh-ed25519%s" DATA "%s", option, blank, blank, end) > 0);
		if (keys_find(line, strlen(line), blob, blob_n, &parsed, &reason) != KEY_ALLOWED)
			continue;
		allowed++;
		key_options_done(&parsed);
		if (!key_line_parse(line, strlen(line), &key))
			fail_msg("the keeper takes `%s`", line);
	}
	assert_true(allowed > 40);
	/* to OpenSSH the line ends at NUL */
	assert_true(key_line_parse("ssh-ed25519 " DATA "\0x", sizeof("ssh-ed25519 " DATA "\0x") - 1, &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_the_agents_reach),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_what_the_keeper_takes_is_found),
	};

	return cmocka_run_group_tests(tests, make_home, remove_home);
}
