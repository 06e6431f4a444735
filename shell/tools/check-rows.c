/* SPDX-License-Identifier: MIT */
#include "shell/tools/check-rows.h"
#include "shell/base/file.h"
#include "shell/tools/jsontext.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PYTHON_COMPILES                                                                                     \
	"import sys\n"                                                                                      \
	"bad = 0\n"                                                                                         \
	"for name in sys.argv[1:]:\n"                                                                       \
	"    try:\n"                                                                                        \
	"        compile(open(name, 'rb').read(), name, 'exec', dont_inherit=True)\n"                       \
	"    except (SyntaxError, ValueError, OSError) as error:\n"                                         \
	"        bad = 1\n"                                                                                 \
	"        print(f'{name}:{getattr(error, \"lineno\", 0) or 0}: {getattr(error, \"msg\", error)}')\n" \
	"sys.exit(bad)\n"

#define PYTHON_JSON                                                    \
	"import json, sys\n"                                           \
	"bad = 0\n"                                                    \
	"for name in sys.argv[1:]:\n"                                  \
	"    try:\n"                                                   \
	"        json.load(open(name, 'rb'))\n"                        \
	"    except (ValueError, OSError, RecursionError) as error:\n" \
	"        bad = 1\n"                                            \
	"        print(f'{name}: {error}')\n"                          \
	"sys.exit(bad)\n"

#define ESLINT \
	"eslint.config.js", "eslint.config.mjs", "eslint.config.cjs", ".eslintrc.json", ".eslintrc.js", ".eslintrc.cjs"
#define PRETTIER ".prettierrc", ".prettierrc.json", "prettier.config.js", "prettier.config.mjs", ".prettierrc.yaml"

/* By kind and language; the better one first. */
static const CheckRow rows[] = {
	{ CHECK_FORMAT, CHECK_PYTHON, "black", "black", { "--check", "--quiet", "--diff" }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_FORMAT, CHECK_PYTHON, "ruff", "ruff", { "format", "--no-cache", "--diff" }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_PYTHON, "ruff", "ruff", { "check", "--no-cache", "--quiet" }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_PYTHON, "flake8", "flake8", { NULL }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_PYTHON, "pyflakes", "pyflakes3", { NULL }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_PYTHON, "pyflakes", "pyflakes", { NULL }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_PYTHON, "python", "python3", { "-I", "-c", PYTHON_COMPILES }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_TEST, CHECK_PYTHON, "pytest", "pytest", { "-q", "-p", "no:cacheprovider" }, CHECK_TESTS, 5, { NULL } },
	{ CHECK_TEST, CHECK_PYTHON, "pytest", "pytest-3", { "-q", "-p", "no:cacheprovider" }, CHECK_TESTS, 5,
		{ NULL } },
	{ CHECK_TEST, CHECK_PYTHON, "unittest", "python3", { "-B", "-m", "unittest", "discover", "-q" }, CHECK_TESTS, 5,
		{ NULL } },

	{ CHECK_FORMAT, CHECK_SHELL, "shfmt", "shfmt", { "-d" }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_SHELL, "shellcheck", "shellcheck", { "--format=gcc" }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_SHELL, "bash", "bash", { "-n" }, CHECK_NAMES | CHECK_NAMES_APART, 0, { NULL } },

	{ CHECK_FORMAT, CHECK_JAVASCRIPT, "prettier", "prettier", { "--check" }, CHECK_NAMES, 0, { PRETTIER } },
	{ CHECK_LINT, CHECK_JAVASCRIPT, "eslint", "eslint", { NULL }, CHECK_NAMES, 0, { ESLINT } },
	{ CHECK_LINT, CHECK_JAVASCRIPT, "node", "node", { "--check" }, CHECK_NAMES | CHECK_NAMES_APART, 0, { NULL } },
	{ CHECK_TEST, CHECK_JAVASCRIPT, "npm test", "npm", { "--silent", "test" }, 0, 0, { "package.json" } },
	{ CHECK_TEST, CHECK_JAVASCRIPT, "node", "node", { "--test" }, CHECK_TESTS, 0, { NULL } },
	{ CHECK_FORMAT, CHECK_TYPESCRIPT, "prettier", "prettier", { "--check" }, CHECK_NAMES, 0, { PRETTIER } },
	{ CHECK_LINT, CHECK_TYPESCRIPT, "eslint", "eslint", { NULL }, CHECK_NAMES, 0, { ESLINT } },
	{ CHECK_LINT, CHECK_TYPESCRIPT, "tsc", "tsc", { "--noEmit" }, 0, 0, { "tsconfig.json" } },

	{ CHECK_TEST, CHECK_TYPESCRIPT, "npm test", "npm", { "--silent", "test" }, 0, 0, { "package.json" } },

	{ CHECK_LINT, CHECK_JSON, "jq", "jq", { "empty" }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_JSON, "python", "python3", { "-I", "-c", PYTHON_JSON }, CHECK_NAMES, 0, { NULL } },
	{ CHECK_LINT, CHECK_YAML, "yamllint", "yamllint", { "-f", "parsable" }, CHECK_NAMES, 0, { NULL } },

	{ CHECK_FORMAT, CHECK_C, "clang-format", "clang-format", { "--dry-run", "--Werror" }, CHECK_NAMES, 0,
		{ ".clang-format", "_clang-format" } },
	{ CHECK_LINT, CHECK_C, "cppcheck", "cppcheck", { "--quiet", "--error-exitcode=1" }, CHECK_NAMES, 0, { NULL } },

	{ CHECK_FORMAT, CHECK_GO, "gofmt", "gofmt", { "-l" }, CHECK_NAMES | CHECK_SILENT, 0, { NULL } },
	{ CHECK_LINT, CHECK_GO, "go vet", "go", { "vet", "./..." }, 0, 0, { "go.mod" } },
	{ CHECK_TEST, CHECK_GO, "go test", "go", { "test", "./..." }, CHECK_TESTS, 0, { "go.mod" } },
	{ CHECK_FORMAT, CHECK_RUST, "cargo fmt", "cargo", { "fmt", "--check" }, 0, 0, { "Cargo.toml" } },
	{ CHECK_LINT, CHECK_RUST, "cargo clippy", "cargo", { "clippy", "--quiet", "--", "-D", "warnings" }, 0, 0,
		{ "Cargo.toml" } },
	{ CHECK_TEST, CHECK_RUST, "cargo test", "cargo", { "test", "--quiet" }, CHECK_TESTS, 0, { "Cargo.toml" } },
	{ CHECK_TEST, CHECK_MAKE, "make test", "make", { "-s", "test" }, 0, 0, { NULL } },
};

const char *check_kind_name(CheckKind kind)
{
	static const char *const names[] = { "format", "lint", "test" };

	return names[kind];
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* NULL: not installed, or no memory. */
static char *program_find(const char *folder, const char *name, const char *path)
{
	static const char *const own[] = { ".venv/bin", "venv/bin", "node_modules/.bin" };
	char *found;

	for (size_t i = 0; i < ELEMENTSOF(own); i++) {
		found = str_format("%s/%s/%s", folder, own[i], name);
		if (!found || is_program(found))
			return found;
		free(found);
	}
	while (path && *path) {
		size_t n = strcspn(path, ":");

		found = *path == '/' ? str_format("%.*s/%s", (int)n, path, name) : NULL;
		if (found && is_program(found))
			return found;
		free(found);
		path += n + (path[n] == ':');
	}
	return NULL;
}

/* A package.json says how its tests are run, or not. */
static bool has_npm_test(const char *folder)
{
	_cleanup_free_ char *path = str_format("%s/package.json", folder), *text = NULL;
	_cleanup_json_ json_t *package = NULL;
	const char *test;
	char why[256];

	if (!path || file_read_at(AT_FDCWD, path, 0, 1 << 20, &text, NULL) < 0 ||
		jsontext_parse(text, strlen(text), &package, why, sizeof(why)) < 0)
		return false;
	test = json_string_value(json_object_get(json_object_get(package, "scripts"), "test"));
	/* npm init writes one that fails */
	return test && !strstr(test, "no test specified");
}

static bool fits(const CheckRow *row, const CheckFiles *files)
{
	bool there = !row->needs[0];

	if (row->flags & CHECK_TESTS && !(files->tests & 1U << row->language))
		return false;
	/* the same script would run twice */
	if (row->kind == CHECK_TEST && row->language == CHECK_TYPESCRIPT && files->names[CHECK_JAVASCRIPT].n)
		return false;
	/* of one file of a project nothing is known but the file */
	if (!files->whole && !(row->flags & CHECK_NAMES))
		return false;
	for (size_t i = 0; i < CHECK_NEEDS_MAX && row->needs[i] && !there; i++) {
		_cleanup_free_ char *path = str_format("%s/%s", files->folder, row->needs[i]);

		there = path && access(path, F_OK) == 0;
	}
	return there && (strcmp(row->program, "npm") != 0 || has_npm_test(files->folder));
}

const CheckRow *check_row_find(const CheckFiles *files, CheckKind kind, CheckLanguage language, const char *path,
	char **ret_program, char **ret_missing)
{
	_cleanup_free_ char *missing = strdup("");

	*ret_program = *ret_missing = NULL;
	for (size_t i = 0; i < ELEMENTSOF(rows) && files->names[language].n; i++) {
		const CheckRow *row = &rows[i];
		char *more;

		if (row->kind != kind || row->language != language || !fits(row, files))
			continue;
		*ret_program = program_find(files->folder, row->program, path);
		if (*ret_program)
			return row;
		if (missing && strstr(missing, row->name))
			continue;
		more = missing ? str_format("%s%s%s", missing, *missing ? ", " : "", row->name) : NULL;
		free(missing);
		missing = more;
	}
	*ret_missing = TAKE_PTR(missing);
	return NULL;
}
