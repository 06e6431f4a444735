/* SPDX-License-Identifier: MIT */
/*
 * creel-generator: policy files -> systemd drop-ins, at boot and at every daemon-reload
 * (systemd.generator(7)).
 *
 * It runs before anything else does: no bus, no journal, no name service that might ask a daemon which waits
 * for us (users are read from passwd(5) itself), nothing that blocks. Lines go to the kernel's log, which the
 * journal collects.
 *
 * The policy files are the only truth: an agent's units start because its file is there. A bad file disables
 * its agent, and that agent only; so does a file that is gone, of a uid that was made an agent.
 */
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/policy/agents.h"
#include "shell/policy/enforced.h"
#include "units/agent-units.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>

#define AGENTS_MAX 1024U

static bool log_to_kernel;

static void say(const char *format, ...) _printf_(1, 2);

static void say(const char *format, ...)
{
	_cleanup_close_ int fd = -EBADF;
	char line[900];
	va_list ap;
	int head, n;

	head = snprintf(line, sizeof(line), "%screel-generator: ", log_to_kernel ? "<3>" : "");
	va_start(ap, format);
	n = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line) - (size_t)head - 1)
		n = (int)(sizeof(line) - (size_t)head - 2);
	line[head + n] = '\n';
	if (log_to_kernel)
		fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (write(fd >= 0 ? fd : STDERR_FILENO, line, (size_t)(head + n) + 1) < 0) {
		/* nobody is left to be told */
	}
}

static int memory_total(const char *root, uint64_t *ret)
{
	_cleanup_free_ char *path = str_format("%s/proc/meminfo", root), *data = NULL;
	const char *line;
	char digits[24];
	uint64_t kibibytes;
	int r;

	if (!path)
		return -ENOMEM;
	r = file_read_at(AT_FDCWD, path, 0, 64 * 1024, &data, NULL);
	if (r < 0)
		return r;
	line = strstr(data, "MemTotal:");
	if (!line)
		return -ENODATA;
	line += strlen("MemTotal:");
	line += strspn(line, " ");
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)strspn(line, "0123456789"), line);
	r = str_to_u64(digits, UINT64_MAX >> 11, &kibibytes);
	if (r < 0)
		return r;
	*ret = kibibytes << 10;
	return 0;
}

/* Returns 0, -ENOENT, or another negative errno. */
static int find_uid(const char *root, const char *name, uid_t *ret)
{
	_cleanup_free_ char *path = str_format("%s/etc/passwd", root);
	_cleanup_fclose_ FILE *file = NULL;
	struct passwd *entry;

	if (!path)
		return -ENOMEM;
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while ((entry = fgetpwent(file)))
		if (strcmp(entry->pw_name, name) == 0) {
			*ret = entry->pw_uid;
			return 0;
		}
	return -ENOENT;
}

/* No user has it, for certain. */
static bool uid_is_free(const char *root, uid_t uid)
{
	_cleanup_free_ char *path = str_format("%s/etc/passwd", root);
	_cleanup_fclose_ FILE *file = path ? fopen(path, "re") : NULL;
	struct passwd *entry;

	if (!file)
		return false;
	while ((entry = fgetpwent(file)))
		if (entry->pw_uid == uid)
			return false;
	return true;
}

typedef struct Generator {
	const char *root;
	int dir_fd;
	uint64_t memory;
	uid_t seen[AGENTS_MAX];
	size_t n_seen;
	bool failed;
} Generator;

static bool uid_seen(const Generator *generator, uid_t uid)
{
	for (size_t i = 0; i < generator->n_seen; i++)
		if (generator->seen[i] == uid)
			return true;
	return false;
}

static bool uid_is_new(Generator *generator, uid_t uid)
{
	if (uid_seen(generator, uid) || generator->n_seen >= AGENTS_MAX)
		return false;
	generator->seen[generator->n_seen++] = uid;
	return true;
}

static void generate_agent(Generator *generator, const char *name)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	_cleanup_free_ char *file = str_format("%s/agents/%s.conf", POLICY_DIR, name);
	PolicyError error = { "" };
	uid_t uid = 0;
	int r;

	if (!file) {
		generator->failed = true;
		return;
	}
	r = find_uid(generator->root, name, &uid);
	if (r < 0) {
		say("%s: there is no user `%s`: %s", file, name, r == -ENOENT ? "the file is skipped" : strerror(-r));
		generator->failed |= r != -ENOENT;
		return;
	}
	if (!agent_uid_in_range(uid)) {
		say("%s: the uid of `%s` is %u, and agents have %u to %u: the file is refused", file, name, uid,
			AGENT_UID_MIN, AGENT_UID_MAX);
		return;
	}
	if (!uid_is_new(generator, uid)) {
		say("%s: uid %u has a policy already, or there are more than %u agents: the file is refused", file, uid,
			AGENTS_MAX);
		r = agent_units_refuse(generator->dir_fd, uid, file, generator->memory);
		generator->failed |= r < 0;
		return;
	}

	r = policy_load(generator->root, name, &policy, &error);
	if (r < 0)
		say("agent `%s` is disabled: %s", name, error.text);
	r = r < 0 ? agent_units_refuse(generator->dir_fd, uid, file, generator->memory)
		  : agent_units_write(
			    generator->dir_fd, uid, policy, generator->memory, processes_counted(generator->root, uid));
	if (r < 0) {
		say("agent `%s`: its units cannot be written: %s", name, strerror(-r));
		generator->failed = true;
		/* half a set of limits is none: whatever can still be refused is */
		(void)!agent_units_refuse(generator->dir_fd, uid, file, generator->memory);
	}
}

static void generate_agents(Generator *generator)
{
	_cleanup_strlist_ StrList names = { 0 }, odd = { 0 };
	int r;

	r = agents_list(generator->root, &names, &odd);
	if (r < 0) {
		say("%s/agents: %s", POLICY_DIR, strerror(-r));
		generator->failed = true;
		return;
	}
	for (size_t i = 0; i < odd.n; i++) {
		char shown[128];

		say("%s/agents: `%s.conf` is not named after an agent: the file is skipped", POLICY_DIR,
			str_quote(odd.items[i], strlen(odd.items[i]), shown, sizeof(shown)));
	}
	for (size_t i = 0; i < names.n; i++)
		generate_agent(generator, names.items[i]);
}

/* Who was an agent stays limited: the user, its lingering manager and its processes are there without the file, too. */
static void generate_marked(Generator *generator)
{
	_cleanup_free_ AgentMark *marks = NULL;
	size_t n = 0;
	int r;

	r = marks_list(generator->root, &marks, &n);
	if (r < 0) {
		say("%s: %s", POLICY_MARK_DIR, strerror(-r));
		generator->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *file = str_format("%s/agents/%s.conf", POLICY_DIR, marks[i].name);

		if (uid_seen(generator, marks[i].uid) || uid_is_free(generator->root, marks[i].uid))
			continue;
		say("uid %u is agent `%s` and has no policy: it is disabled; put %s/agents/%s.conf back, or use"
		    " `creelctl agent remove %s`",
			marks[i].uid, marks[i].name, POLICY_DIR, marks[i].name, marks[i].name);
		r = file ? agent_units_refuse(generator->dir_fd, marks[i].uid, file, generator->memory) : -ENOMEM;
		if (r < 0) {
			say("uid %u: its units cannot be written: %s", marks[i].uid, strerror(-r));
			generator->failed = true;
		}
	}
}

static void generate_machine(Generator *generator)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	static const PolicyText nothing = { .label = "built-in", .text = "", .n = 0 };
	PolicyError error = { "" };
	int r;

	r = policy_load(generator->root, NULL, &policy, &error);
	if (r < 0) {
		/* every agent is refused for it below; the front starts, and refuses them */
		say("%s", error.text);
		r = policy_load_text(generator->root, NULL, &nothing, NULL, &policy, &error);
	}
	if (r >= 0)
		r = machine_units_write(generator->dir_fd, policy, generator->memory);
	if (r < 0) {
		say("the machine's units cannot be written: %s", strerror(-r));
		generator->failed = true;
	}
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: creel-generator [--root DIR] NORMAL-DIR [EARLY-DIR LATE-DIR]\n");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	_cleanup_close_ int dir_fd = -EBADF;
	Generator generator = { .root = "" };
	int at = 1, r;

	if (argc >= 3 && strcmp(argv[1], "--root") == 0) {
		generator.root = argv[2];
		at = 3;
	}
	if (argc - at != 1 && argc - at != 3)
		return usage();
	log_to_kernel = !*generator.root;

	dir_fd = open(argv[at], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		say("%s: %s", argv[at], strerror(errno));
		return EXIT_FAILURE;
	}
	generator.dir_fd = dir_fd;

	r = memory_total(generator.root, &generator.memory);
	if (r < 0) {
		/* without it no effective limit can be told: a small machine is the safe guess */
		say("/proc/meminfo: %s: taken for a machine of 512 MiB", strerror(-r));
		generator.memory = UINT64_C(512) << 20;
		generator.failed = true;
	}

	generate_machine(&generator);
	generate_agents(&generator);
	generate_marked(&generator);
	return generator.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
