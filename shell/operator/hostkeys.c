/* SPDX-License-Identifier: MIT */
/* creelctl hostkeys: the keys that this machine's SSH servers have, as lines for a client's known_hosts (sshd(8)). */
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/operator/operator.h"

#include <fcntl.h>
#include <string.h>

#define FRONT_KEY POLICY_DIR "/ssh_host_ed25519_key.pub"
#define FRONT_PORT 22U
#define OPENSSH_DIR "/etc/ssh"
#define KEY_FILE_MAX (16U * 1024)

typedef struct Shown {
	FILE *file;
	const StrList *hosts;
	bool json, first;
} Shown;

/* A name or an address, which stands in a line beside others. */
static bool host_valid(const char *host)
{
	size_t n = strlen(host);

	return n > 0 && n <= 255 && *host != '-' &&
	       strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") == n;
}

static void show(Shown *shown, const char *host, unsigned int port, const char *type, const char *key)
{
	_cleanup_free_ char *where = port == 22 ? strdup(host) : str_format("[%s]:%u", host, port);
	_cleanup_free_ char *line = where ? str_format("%s %s %s", where, type, key) : NULL;
	bool first = true;

	if (!shown->json) {
		(void)fprintf(shown->file, "%s\n", line ? line : "");
		return;
	}
	(void)fputs(shown->first ? "{" : ",\n{", shown->file);
	shown->first = false;
	json_text(shown->file, &first, "host", host);
	json_number(shown->file, &first, "port", port);
	json_text(shown->file, &first, "type", type);
	json_text(shown->file, &first, "key", key);
	json_text(shown->file, &first, "known_hosts", line);
	(void)fputc('}', shown->file);
}

/* "TYPE BASE64 COMMENT", of which the comment is nobody's business. */
static int show_file(Shown *shown, int dir_fd, const char *path, unsigned int port, Reason *ret_reason)
{
	_cleanup_free_ char *text = NULL;
	char *type, *key, *rest = NULL;
	int r;

	r = file_read_at(dir_fd, path, O_NOFOLLOW, KEY_FILE_MAX, &text, NULL);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", path, strerror(-r));
	type = strtok_r(text, " \n", &rest);
	key = type ? strtok_r(NULL, " \n", &rest) : NULL;
	if (!key)
		return reason_set(ret_reason, -EBADMSG, "%s: no public key", path);
	for (size_t i = 0; i < shown->hosts->n; i++)
		show(shown, shown->hosts->items[i], port, type, key);
	return 0;
}

/* The operator's OpenSSH has its own. */
static int show_openssh(Shown *shown, unsigned int port, Reason *ret_reason)
{
	static const char *const names[] = { "ssh_host_ed25519_key.pub", "ssh_host_ecdsa_key.pub",
		"ssh_host_rsa_key.pub" };
	_cleanup_close_ int fd = open(OPENSSH_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	for (size_t i = 0; fd >= 0 && r == 0 && i < ELEMENTSOF(names); i++)
		if (faccessat(fd, names[i], F_OK, 0) == 0)
			r = show_file(shown, fd, names[i], port, ret_reason);
	return r;
}

static int show_all(Shown *shown, Reason *ret_reason)
{
	_cleanup_(policy_freep) Policy *defaults = NULL;
	PolicyError error = { "" };
	int r;

	if (policy_load("", NULL, &defaults, &error) < 0)
		return reason_set(ret_reason, -EBADMSG, "%s", error.text);
	if (shown->json)
		(void)fputc('[', shown->file);
	r = show_file(shown, AT_FDCWD, FRONT_KEY, FRONT_PORT, ret_reason);
	if (r == 0)
		r = show_openssh(shown, defaults->operator_port, ret_reason);
	if (shown->json)
		(void)fputs("]\n", shown->file);
	return r;
}

int hostkeys_main(int argc, char **argv)
{
	_cleanup_strlist_ StrList hosts = { 0 };
	Reason reason = { "" };
	_cleanup_free_ char *text = NULL;
	Shown shown = { .hosts = &hosts, .first = true };
	char own[256] = "";
	size_t n = 0;
	int r;
	const WordOption options[] = { { "--host", .list = &hosts }, { "--json", .flag = &shown.json }, { NULL } };

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	if (!hosts.n && (gethostname(own, sizeof(own) - 1) < 0 || strlist_add(&hosts, own) < 0))
		return EXIT_FAILURE;
	for (size_t i = 0; i < hosts.n; i++)
		if (!host_valid(hosts.items[i])) {
			char quoted[80];

			(void)fprintf(stderr, "creelctl: `%s` is no name and no address of a host\n",
				str_quote(hosts.items[i], strlen(hosts.items[i]), quoted, sizeof(quoted)));
			return EXIT_FAILURE;
		}
	/* all of it or nothing */
	shown.file = open_memstream(&text, &n);
	if (!shown.file)
		return EXIT_FAILURE;
	r = show_all(&shown, &reason);
	if (fclose(shown.file) != 0 && r == 0)
		r = reason_set(&reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (r < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	return fwrite(text, 1, n, stdout) == n ? EXIT_SUCCESS : EXIT_FAILURE;
}
