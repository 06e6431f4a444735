/* SPDX-License-Identifier: MIT */
/*
 * A line is [options] type base64 [comment]. We compare decoded blobs, so that base64 padding or line breaks play no
 * part, and check that the type in front names the type inside the blob.
 */
#include "shell/session/keys.h"
#include "shell/base/base64.h"
#include "shell/base/file.h"
#include "shell/base/key-type.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static size_t word_length(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && !is_blank(p[n]))
		n++;
	return n;
}

/* Options are one word in which blanks may stand between double quotes (sshd(8)). */
static size_t options_length(const char *p, const char *end)
{
	bool quoted = false;
	size_t n = 0;

	for (; p + n < end && (quoted || !is_blank(p[n])); n++) {
		if (p[n] == '\\' && p + n + 1 < end && p[n + 1] == '"')
			n++;
		else if (p[n] == '"')
			quoted = !quoted;
	}
	/* a backslash as the last byte stepped over the end */
	return p + n > end ? (size_t)(end - p) : n;
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* The blob starts with its type as a string (RFC 4253 section 6.6). */
static bool blob_has_type(const uint8_t *blob, size_t blob_n, const char *type, size_t type_n)
{
	return blob_n > 4 + type_n && blob[0] == 0 && blob[1] == 0 && ((size_t)blob[2] << 8 | blob[3]) == type_n &&
	       memcmp(blob + 4, type, type_n) == 0;
}

bool key_is_security_key(const uint8_t *blob, size_t blob_n)
{
	for (size_t i = 0; i < KEY_TYPES; i++)
		if (strncmp(key_types[i], "sk-", 3) == 0 &&
			blob_has_type(blob, blob_n, key_types[i], strlen(key_types[i])))
			return true;
	return false;
}

static bool key_matches(const char *p, const char *end, const uint8_t *blob, size_t blob_n)
{
	size_t type_n = word_length(p, end);
	const char *data;

	if (!key_type_is_known(p, type_n) || !blob_has_type(blob, blob_n, p, type_n))
		return false;
	data = skip_blanks(p + type_n, end);
	return base64_equals(data, word_length(data, end), blob, blob_n);
}

KeyVerdict keys_find(
	const char *text, size_t n, const uint8_t *blob, size_t blob_n, KeyOptions *ret_options, KeyReason *ret_reason)
{
	const char *end = text + n;
	unsigned int number = 0;

	ret_reason->text[0] = '\0';
	for (const char *line = text; line < end;) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));
		const char *p, *key;
		size_t options_n;

		if (!eol)
			eol = end;
		p = skip_blanks(line, eol);
		line = eol < end ? eol + 1 : end;
		number++;
		if (p == eol || *p == '#')
			continue;

		if (key_matches(p, eol, blob, blob_n)) {
			*ret_options = KEY_OPTIONS_NONE;
			return KEY_ALLOWED;
		}
		if (key_type_is_known(p, word_length(p, eol)))
			continue;
		options_n = options_length(p, eol);
		key = skip_blanks(p + options_n, eol);
		if (key_matches(key, eol, blob, blob_n)) {
			KeyReason why;

			if (key_options_parse(p, options_n, ret_options, &why) == 0)
				return KEY_ALLOWED;
			(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "line %u: %.200s", number, why.text);
			return KEY_REFUSED;
		}
	}
	return KEY_UNKNOWN;
}

/* What sshd's StrictModes asks: owned by the agent or root, writable by nobody else. */
static int check_modes(int fd, const Identity *identity, const char *what, KeyReason *ret_reason)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid == 0 || st.st_uid == identity->uid) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "%s: bad ownership or modes (uid %u, mode %04o)",
		what, (unsigned int)st.st_uid, (unsigned int)(st.st_mode & 07777));
	return -EPERM;
}

/* The operator's file: root's alone to write, or what it says is somebody else's word. */
static int open_policy_keys(const char *path, KeyReason *ret_reason)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return TAKE_FD(fd);
	(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "%s: bad ownership or modes (uid %u, mode %04o)",
		path, (unsigned int)st.st_uid, (unsigned int)(st.st_mode & 07777));
	return -EPERM;
}

static int open_home_keys(const Identity *identity, KeyReason *ret_reason)
{
	_cleanup_close_ int home_fd = -EBADF, ssh_fd = -EBADF, file_fd = -EBADF;
	int r;

	home_fd = open(identity->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (home_fd < 0)
		return -errno;
	r = check_modes(home_fd, identity, "home", ret_reason);
	if (r < 0)
		return r;
	ssh_fd = openat(home_fd, ".ssh", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ssh_fd < 0)
		return -errno;
	r = check_modes(ssh_fd, identity, "~/.ssh", ret_reason);
	if (r < 0)
		return r;
	/* O_NONBLOCK: a FIFO in this place must not hold up the keeper */
	file_fd = openat(ssh_fd, "authorized_keys", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (file_fd < 0)
		return -errno;
	r = check_modes(file_fd, identity, "~/.ssh/authorized_keys", ret_reason);
	if (r < 0)
		return r;
	return TAKE_FD(file_fd);
}

static int read_keys(int fd, char **ret, size_t *ret_n)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	return file_read_fd(fd, KEYS_FILE_MAX, ret, ret_n);
}

/* A file that is missing has no keys; one that cannot be read or trusted refuses, with the reason. */
static int find_in_file(
	int fd, const char *what, const uint8_t *blob, size_t blob_n, KeyOptions *ret_options, KeyReason *ret_reason)
{
	_cleanup_close_ int owned = fd;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = fd;

	if (fd >= 0)
		r = read_keys(fd, &text, &n);
	if (r == -ENOENT)
		return KEY_UNKNOWN;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		if (!ret_reason->text[0])
			(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "%s: %s", what,
				r == -ELOOP || r == -ENOTDIR ? "symbolic links are not followed" : strerror(-r));
		return KEY_REFUSED;
	}
	return keys_find(text, n, blob, blob_n, ret_options, ret_reason);
}

int keys_authorize(const Identity *identity, const Policy *policy, const uint8_t *blob, size_t blob_n,
	KeyOptions *ret_options, KeyReason *ret_reason)
{
	int verdict = KEY_UNKNOWN;

	ret_reason->text[0] = '\0';
	if (policy->keys & KEYS_POLICY) {
		_cleanup_free_ char *path = str_format(POLICY_DIR "/agents/%s.keys", identity->name);

		if (!path)
			return -ENOMEM;
		verdict = find_in_file(open_policy_keys(path, ret_reason), path, blob, blob_n, ret_options, ret_reason);
		if (verdict != KEY_UNKNOWN)
			return verdict;
	}
	if (policy->keys & KEYS_HOME) {
		int fd, r;

		r = identity_borrow(identity);
		if (r < 0)
			return r;
		fd = open_home_keys(identity, ret_reason);
		verdict = find_in_file(fd, "~/.ssh/authorized_keys", blob, blob_n, ret_options, ret_reason);
		identity_give_back();
	}
	return verdict;
}
