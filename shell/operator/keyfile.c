/* SPDX-License-Identifier: MIT */
#include "shell/operator/keyfile.h"
#include "shell/operator/keytext.h"
#include "shell/base/base64.h"
#include "shell/base/file.h"
#include "shell/base/key-type.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (256U * 1024) /* bytes, as the keeper reads (KEYS_FILE_MAX) */
#define FILE_NAME "authorized_keys"
#define NEW_NAME ".authorized_keys.creelctl"

char *keyfile_path(const Agent *agent, bool home)
{
	return home ? str_format("%s/.ssh/" FILE_NAME, agent->home)
		    : str_format(POLICY_DIR "/agents/%s.keys", agent->name);
}

/* -ENOENT also where there is no folder yet. */
static int open_folder(const Agent *agent, int *ret_fd)
{
	_cleanup_close_ int home_fd = open(agent->home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd;

	if (home_fd < 0)
		return -errno;
	fd = openat(home_fd, ".ssh", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int read_home(const Agent *agent, char **ret, size_t *ret_n)
{
	_cleanup_close_ int folder_fd = -EBADF, fd = -EBADF;
	struct stat st;
	int r;

	r = open_folder(agent, &folder_fd);
	if (r < 0)
		return r;
	fd = openat(folder_fd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_uid != agent->uid && st.st_uid != 0))
		return -EPERM;
	return file_read_fd(fd, FILE_MAX, ret, ret_n);
}

int keyfile_read(const Agent *agent, bool home, char **ret, size_t *ret_n, Reason *ret_reason)
{
	_cleanup_free_ char *path = keyfile_path(agent, home);
	char *text = NULL;
	size_t n = 0;
	int r;

	if (!path)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = home ? read_home(agent, &text, &n) : file_read_at(AT_FDCWD, path, O_NOFOLLOW, FILE_MAX, &text, &n);
	if (r == -ENOENT) {
		text = strdup("");
		r = text ? 0 : -ENOMEM;
	}
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", path, strerror(-r));
	*ret = text;
	*ret_n = n;
	return 0;
}

typedef struct Writing {
	const Agent *agent;
	const char *text;
	size_t n;
} Writing;

/* With the agent's file system uid: nothing that it could have put in the way can be followed with root's rights. */
static int write_home(const void *data)
{
	const Writing *writing = data;
	_cleanup_close_ int home_fd = -EBADF, folder_fd = -EBADF, fd = -EBADF;
	int r;

	home_fd = open(writing->agent->home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home_fd < 0)
		return -errno;
	if (mkdirat(home_fd, ".ssh", 0700) < 0 && errno != EEXIST)
		return -errno;
	r = open_folder(writing->agent, &folder_fd);
	if (r < 0)
		return r;
	if (unlinkat(folder_fd, NEW_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(folder_fd, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = file_write_all(fd, writing->text, writing->n);
	if (r == 0 && (fsync(fd) < 0 || renameat(folder_fd, NEW_NAME, folder_fd, FILE_NAME) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(folder_fd, NEW_NAME, 0);
	return r;
}

int keyfile_write(const Agent *agent, bool home, const char *text, size_t n, Reason *ret_reason)
{
	_cleanup_free_ char *path = keyfile_path(agent, home);
	int r;

	if (!path)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = home ? agent_act(agent, write_home, &(Writing){ agent, text, n })
		 : file_replace_at(AT_FDCWD, path, text, n, 0644);
	return r < 0 ? reason_set(ret_reason, r, "%s: %s", path, strerror(-r)) : 0;
}

int keys_given(const char *file, char **ret, Reason *ret_reason)
{
	_cleanup_free_ char *data = NULL;
	Reason inner = { "" };
	size_t n = 0;
	int r;

	r = strcmp(file, "-") == 0 ? file_read_fd(STDIN_FILENO, KEYTEXT_MAX, &data, &n)
				   : file_read_at(AT_FDCWD, file, 0, KEYTEXT_MAX, &data, &n);
	if (r < 0)
		return reason_set(ret_reason, r, "--key %s: %s", file, strerror(-r));
	r = keytext_check(data, n, ret, &inner);
	return r < 0 ? reason_set(ret_reason, r, "--key %s: %s", file, inner.text) : 0;
}

/* A carriage return to the keeper (shell/session/keys.c), NUL to OpenSSH, for which a line ends there. */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\0';
}

static size_t word_length(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && !is_blank(s[i]))
		i++;
	return i;
}

/* Options are one word in which blanks may stand between double quotes (sshd(8), AUTHORIZED_KEYS FILE FORMAT). */
static size_t options_length(const char *s, size_t n)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < n && (quoted || !is_blank(s[i])); i++) {
		if (s[i] == '\\' && i + 1 < n && s[i + 1] == '"')
			i++;
		else if (s[i] == '"')
			quoted = !quoted;
	}
	return i < n ? i : n;
}

static size_t blanks(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && is_blank(s[i]))
		i++;
	return i;
}

static bool fingerprint(const char *data, size_t n, char ret[static 64])
{
	_cleanup_free_ uint8_t *blob = malloc(BASE64_DECODED_MAX(n) + 1);
	uint8_t digest[SHA256_DIGEST_LENGTH];
	size_t blob_n, text_n;

	if (!blob || base64_decode(data, n, false, blob, &blob_n) < 0)
		return false;
	(void)SHA256(blob, blob_n, digest);
	memcpy(ret, "SHA256:", 7);
	text_n = base64_encode(digest, sizeof(digest), ret + 7);
	/* ssh-keygen leaves the padding out */
	while (text_n && ret[7 + text_n - 1] == '=')
		text_n--;
	ret[7 + text_n] = '\0';
	return true;
}

bool key_line_parse(const char *line, size_t n, KeyLine *ret)
{
	KeyLine key = { 0 };
	size_t at;

	while (n && is_blank(line[n - 1]))
		n--;
	at = blanks(line, n);
	line += at;
	n -= at;
	if (!n || *line == '#')
		return false;
	key.options = line;
	key.type = line;
	key.type_n = word_length(line, n);
	if (!key_type_is_known(key.type, key.type_n)) {
		key.options_n = options_length(line, n);
		at = key.options_n + blanks(line + key.options_n, n - key.options_n);
		key.type = line + at;
		key.type_n = word_length(line + at, n - at);
		if (!key_type_is_known(key.type, key.type_n))
			return false;
	}
	at = (size_t)(key.type - line) + key.type_n;
	at += blanks(line + at, n - at);
	key.data = line + at;
	key.data_n = word_length(line + at, n - at);
	at += key.data_n;
	at += blanks(line + at, n - at);
	key.comment = line + at;
	key.comment_n = n - at;
	if (!key.data_n || !fingerprint(key.data, key.data_n, key.fingerprint))
		return false;
	*ret = key;
	return true;
}
