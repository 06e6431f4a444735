/* SPDX-License-Identifier: MIT */
#include "shell/policy/element.h"
#include "shell/policy/enforced.h"
#include "shell/policy/opening.h"
#include "shell/policy/package.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define MODULE_MAX 128U /* bytes of a module's name, its packages included */

bool element_path_plain(const char *path)
{
	if (*path == '/')
		path++;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
		if (*path == '/' && !*++path)
			return false;
	}
	return true;
}

static bool made_of(const char *text, const char *extra)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr(extra, *text))
			return false;
	return true;
}

static bool host_is_valid(const char *text)
{
	const char *slash = strchr(text, '/');
	unsigned char address[16];
	uint64_t length;
	char head[64];
	size_t n = slash ? (size_t)(slash - text) : strlen(text);

	if (n < sizeof(head)) {
		memcpy(head, text, n);
		head[n] = '\0';
		if (inet_pton(AF_INET, head, address) == 1)
			return !slash || str_to_u64(slash + 1, 32, &length) == 0;
		if (inet_pton(AF_INET6, head, address) == 1)
			return !slash || str_to_u64(slash + 1, 128, &length) == 0;
	}
	if (slash || n > 253)
		return false;
	if (strncmp(text, "*.", 2) == 0)
		text += 2;
	if (!made_of(text, "-."))
		return false;
	while (*text) { /* labels of RFC 1123 */
		size_t label = strcspn(text, ".");

		if (!label || label > 63 || text[0] == '-' || text[label - 1] == '-')
			return false;
		text += label;
		if (*text == '.' && !*++text)
			return false;
	}
	return true;
}

/* What programs, loaders and shells act upon before the agent's own choice of them; creel sets the first five itself. */
static bool variable_is_valid(const char *text)
{
	static const char *const never[] = { "HOME", "USER", "LOGNAME", "SHELL", "PATH", "IFS", "ENV", "CDPATH", "PS4",
		"SHELLOPTS", "GLOBIGNORE", "PROMPT_COMMAND", "LD_", "BASH", "XDG_RUNTIME_DIR", "DBUS_", "CREEL_",
		"SSH_" };
	size_t n = strlen(text), name_n = n && text[n - 1] == '*' ? n - 1 : n;

	if (!name_n || name_n > 64 || isdigit((unsigned char)*text))
		return false;
	for (size_t i = 0; i < name_n; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '_')
			return false;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		size_t never_n = strlen(never[i]);
		bool prefix = never[i][never_n - 1] == '_' || strcmp(never[i], "BASH") == 0;

		if (name_n < n) { /* L* would let LD_PRELOAD in */
			if (strncmp(text, never[i], name_n < never_n ? name_n : never_n) == 0 &&
				(prefix || name_n <= never_n))
				return false;
		} else if (prefix ? strncmp(text, never[i], never_n) == 0 : strcmp(text, never[i]) == 0) {
			return false;
		}
	}
	return true;
}

static bool subsystem_is_valid(const char *text)
{
	size_t name_n = strcspn(text, "="), words = 1;
	const char *program = text + name_n + 1;
	char path[256];
	size_t n;

	if (!name_n || name_n > POLICY_SUBSYSTEM_NAME_MAX || !text[name_n])
		return false;
	for (size_t i = 0; i < name_n; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("._-@", text[i]))
			return false;
	n = strcspn(program, " ");
	if (*program != '/' || n < 2 || n >= sizeof(path))
		return false;
	memcpy(path, program, n);
	path[n] = '\0';
	for (const char *c = program + n; *c; c++)
		words += *c != ' ' && c[-1] == ' ';
	return element_path_plain(path) && words <= POLICY_SUBSYSTEM_WORDS_MAX;
}

/* Identifiers of ASCII with single dots between them. */
static bool module_is_valid(const char *text)
{
	if (strlen(text) > MODULE_MAX)
		return false;
	do {
		size_t n = 0;

		while (isalnum((unsigned char)text[n]) || text[n] == '_')
			n++;
		if (!n || isdigit((unsigned char)*text))
			return false;
		text += n;
	} while (*text++ == '.');
	return !text[-1];
}

const char *element_refusal(ElementKind kind, const char *text)
{
	Opening opening;
	size_t row;

	switch (kind) {
	case ELEMENT_COMMAND:
		if (*text == '/')
			return element_path_plain(text) && text[1] ? NULL : "is not a plain absolute path";
		return made_of(text, "._+-[@") ? NULL : "is not a command: a name without blanks, or an absolute path";
	case ELEMENT_HOST:
		return host_is_valid(text) ? NULL
					   : "is not a host name, *.NAME, or an address with an optional /LENGTH";
	case ELEMENT_PLACE:
		if (strcmp(text, "~") == 0)
			return NULL;
		if (text[0] == '~' && text[1] == '/' && text[2] != '/' && element_path_plain(text + 2) && text[2])
			return NULL;
		return *text == '/' && element_path_plain(text) ? NULL : "is not a plain absolute path, ~, or ~/PATH";
	case ELEMENT_PIP:
		return package_pip_valid(text)
			       ? NULL
			       : "is not a package of pip's: a name, with versions behind it as in numpy==1.26.4 or "
				 "requests >=2 <3";
	case ELEMENT_NPM:
		return package_npm_valid(text) ? NULL
					       : "is not a package of npm's: a name, with a version or range behind it "
						 "as in express@^4.18";
	case ELEMENT_MODULE:
		return module_is_valid(text) ? NULL : "is not the name of a Python module";
	case ELEMENT_LANGUAGE:
		return strcmp(text, "python") == 0 || strcmp(text, "javascript") == 0 ||
				       strcmp(text, "typescript") == 0 || strcmp(text, "bash") == 0
			       ? NULL
			       : "is not python, javascript, typescript or bash";
	case ELEMENT_VARIABLE:
		return variable_is_valid(text) ? NULL : "is not the name of a variable that a client may set";
	case ELEMENT_SUBSYSTEM:
		return subsystem_is_valid(text) ? NULL
						: "is not NAME=PROGRAM [ARGUMENT ...], the program an absolute path";
	case ELEMENT_MECHANISM:
		return mechanism_find(text, &row) == 0 ? NULL : "is not a mechanism of creel-enforce(8)";
	case ELEMENT_OPENING:
		return opening_parse(text, &opening);
	case ELEMENT_PATTERN:
		return strchr(text, '/') ? "is not a file name pattern: it has a slash" : NULL;
	}
	return "is of an unknown kind";
}
