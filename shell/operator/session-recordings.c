/* SPDX-License-Identifier: MIT */
/* creelctl session recordings, recording: what terminals showed, where [audit] terminals wants it recorded. */
#include "shell/audit/recordings.h"
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/base/moment.h"
#include "shell/operator/operator.h"

#include <fcntl.h>
#include <string.h>

typedef struct Found {
	bool json, first;
	const char *wanted; /* SESSION or SESSION-CHANNEL; NULL: all */
	char *path;         /* of the last that was wanted */
	unsigned int n;
} Found;

static void put_row(const Found *found, const char *agent, const Recording *recording)
{
	unsigned int channel = 0;
	char session[17] = "?", when[MOMENT_SIZE], size[24];
	bool first = true;

	(void)sscanf(recording->name, "%16[0-9a-f]-%u", session, &channel);
	if (found->json) {
		(void)fputs(found->first ? "{" : ",\n{", stdout);
		json_text(stdout, &first, "agent", agent);
		json_text(stdout, &first, "session", session);
		json_number(stdout, &first, "channel", channel);
		json_number(stdout, &first, "written_usec", recording->changed_usec);
		json_number(stdout, &first, "bytes", recording->bytes);
		json_text(stdout, &first, "file", found->path);
		(void)fputc('}', stdout);
		return;
	}
	if (found->first)
		(void)printf(
			"%-16s %-16s %7s %-24s %8s %s\n", "AGENT", "SESSION", "CHANNEL", "WRITTEN", "SIZE", "FILE");
	(void)printf("%-16s %-16s %7u %-24s %8s %s\n", agent, session, channel,
		moment_local(recording->changed_usec, when), str_size(recording->bytes, size, sizeof(size)),
		found->path);
}

static bool is_wanted(const Found *found, const Recording *recording)
{
	size_t n = found->wanted ? strlen(found->wanted) : 0;

	return !found->wanted ||
	       (strncmp(recording->name, found->wanted, n) == 0 &&
		       (recording->name[n] == '-' || strcmp(recording->name + n, RECORDINGS_SUFFIX) == 0));
}

static int look_at_agent(const char *agent, Found *found)
{
	_cleanup_free_ char *folder = str_format(RECORDINGS_FOLDER "/%s", agent);
	_cleanup_free_ Recording *recordings = NULL;
	_cleanup_close_ int dir_fd = -EBADF;
	size_t n = 0;
	int r;

	if (!folder)
		return -ENOMEM;
	dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	r = recordings_list(dir_fd, &recordings, &n);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (!is_wanted(found, &recordings[i]))
			continue;
		free(found->path);
		found->path = str_format("%s/%s", folder, recordings[i].name);
		if (!found->path)
			return -ENOMEM;
		found->n++;
		if (!found->wanted)
			put_row(found, agent, &recordings[i]);
		found->first = false;
	}
	return r;
}

/* Also of agents that were removed. */
static int look_at_all(Found *found)
{
	_cleanup_closedir_ DIR *dir = opendir(RECORDINGS_FOLDER);
	const struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		int r;

		if (!policy_name_valid(entry->d_name))
			continue;
		r = look_at_agent(entry->d_name, found);
		if (r < 0 && r != -ENOTDIR && r != -ENOENT)
			return r;
	}
	return 0;
}

static int failed(int r)
{
	(void)fprintf(stderr, "creelctl: " RECORDINGS_FOLDER ": %s\n", strerror(-r));
	return EXIT_FAILURE;
}

int session_recordings_main(int argc, char **argv)
{
	Found found = { .first = true };
	const char *agent = NULL;
	const WordOption options[] = { { "--agent", .value = &agent }, { "--json", .flag = &found.json }, { NULL } };
	char shown[96];
	int r;

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	if (agent && !policy_name_valid(agent)) {
		(void)fprintf(stderr, "creelctl: --agent: `%s` is no name of an agent: see creelctl agent list\n",
			str_quote(agent, strlen(agent), shown, sizeof(shown)));
		return EXIT_FAILURE;
	}
	if (found.json)
		(void)fputc('[', stdout);
	r = agent ? look_at_agent(agent, &found) : look_at_all(&found);
	if (found.json)
		(void)fputs("]\n", stdout);
	free(found.path);
	return r < 0 && r != -ENOENT ? failed(r) : EXIT_SUCCESS;
}

static int copy_out(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char bytes[16384];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		if (fwrite(bytes, 1, (size_t)n, stdout) != (size_t)n)
			return 0; /* a reader that went away; creelctl's end tells of it */
	return n < 0 ? -errno : 0;
}

int session_recording_main(int argc, char **argv)
{
	const WordOption options[] = { { NULL } };
	Found found = { .first = true };
	const char *id = NULL;
	char shown[96];
	int r;

	if (words_parse(argc, argv, options, &id) < 0 || !id)
		return EXIT_USAGE;
	found.wanted = id;
	r = strspn(id, "0123456789abcdef") == 16 ? look_at_all(&found) : 0;
	if (r == 0 && found.n == 1)
		r = copy_out(found.path);
	else if (r == 0)
		(void)fprintf(stderr, "creelctl: `%s` has %s recording: see creelctl session recordings\n",
			str_quote(id, strlen(id), shown, sizeof(shown)), found.n ? "more than one" : "no");
	free(found.path);
	return r < 0 ? failed(r) : found.n == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
