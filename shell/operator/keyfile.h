/* SPDX-License-Identifier: MIT */
/*
 * The files of keys of one agent: ~/.ssh/authorized_keys, and NAME.keys of the operator's. What lies in the home is read without
 * following links and only if it is the agent's own, and is written with its file system uid. Whatever the keeper or OpenSSH takes for a key is
 * found here: also behind NUL bytes, which end nothing.
 */
#pragma once

#include "shell/operator/operator.h"

/* `home`: the agent's own file. New memory. */
_must_check_ char *keyfile_path(const Agent *agent, bool home);

/* New memory; a file that is not there is empty. Returns 0 or a negative errno. */
_must_check_ int keyfile_read(const Agent *agent, bool home, char **ret, size_t *ret_n, Reason *ret_reason);

/* Replaces it: whoever reads meanwhile has the old one or the new one. Returns 0 or a negative errno. */
_must_check_ int keyfile_write(const Agent *agent, bool home, const char *text, size_t n, Reason *ret_reason);

/* What an operator gives by --key: the text of a file, or of stdin for "-", judged as keytext_check() does. New memory; 0 or a negative errno. */
_must_check_ int keys_given(const char *file, char **ret, Reason *ret_reason);

/* One line that has a key. All point into the line. */
typedef struct KeyLine {
	const char *options, *type, *data, *comment; /* not terminated; `options` and `comment` may be empty */
	size_t options_n, type_n, data_n, comment_n;
	char fingerprint[64]; /* SHA256:..., as ssh-keygen -l */
} KeyLine;

/* Whether the line, of `n` bytes without its end, has a key of a type that can log in. Pure. */
bool key_line_parse(const char *line, size_t n, KeyLine *ret);
