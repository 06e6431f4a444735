/* SPDX-License-Identifier: MIT */
/*
 * creelctl agent key add, list, remove. A change counts from the next login on: the keeper reads the files each time. Sessions that
 * a removed key opened go on until they are ended.
 */
#include "shell/operator/keyfile.h"
#include "shell/base/json.h"

#include <string.h>

typedef struct Keys {
	Agent agent;
	Policy *policy;
	bool json;
	bool first;
	const char *wanted; /* a fingerprint that is to be removed */
	unsigned int n;     /* how many of them were */
} Keys;

static void keys_done(Keys *keys)
{
	agent_done(&keys->agent);
	policy_free(keys->policy);
}

static int open_keys(const char *name, Keys *keys, Reason *ret_reason)
{
	PolicyError error = { "" };
	int r;

	r = agent_require(name, &keys->agent, ret_reason);
	if (r < 0)
		return r;
	r = policy_load("", name, &keys->policy, &error);
	return r < 0 ? reason_set(ret_reason, r, "%s", error.text) : 0;
}

/* Calls for each line; NULL where it has no key. */
static void each_line(const char *text, size_t all,
	void (*line_do)(const char *line, size_t n, const KeyLine *key, void *data), void *data)
{
	while (all) {
		const char *end = memchr(text, '\n', all);
		size_t n = end ? (size_t)(end - text) : all, whole = n + (end != NULL);
		KeyLine key;

		line_do(text, n, key_line_parse(text, n, &key) ? &key : NULL, data);
		text += whole;
		all -= whole;
	}
}

/* ---- list ---- */

typedef struct Listing {
	Keys *keys;
	const char *path;
} Listing;

static void list_line(const char *line, size_t n, const KeyLine *key, void *data)
{
	const Listing *listing = data;
	Keys *keys = listing->keys;
	char options_text[80], comment_text[80];
	bool first = true;

	if (!key)
		return;
	if (!keys->json) {
		(void)printf("%-50s %-12.*s %-24s %s%s%s\n", key->fingerprint, (int)key->type_n, key->type,
			str_quote(key->comment, key->comment_n, comment_text, sizeof(comment_text)), listing->path,
			key->options_n ? "  " : "",
			str_quote(key->options, key->options_n, options_text, sizeof(options_text)));
		return;
	}
	(void)fputs(keys->first ? "{" : ",\n{", stdout);
	keys->first = false;
	json_text(stdout, &first, "fingerprint", key->fingerprint);
	json_key(stdout, &first, "type");
	json_quote(stdout, key->type, key->type_n);
	json_key(stdout, &first, "comment");
	json_quote(stdout, key->comment, key->comment_n);
	json_key(stdout, &first, "options");
	json_quote(stdout, key->options, key->options_n);
	json_text(stdout, &first, "file", listing->path);
	(void)fputc('}', stdout);
}

static int list_file(Keys *keys, bool home, Reason *ret_reason)
{
	_cleanup_free_ char *text = NULL, *path = keyfile_path(&keys->agent, home);
	size_t n;
	int r;

	if (!path)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = keyfile_read(&keys->agent, home, &text, &n, ret_reason);
	if (r < 0)
		return r;
	each_line(text, n, list_line, &(Listing){ keys, path });
	return 0;
}

/* What an agent made of its own file does not keep the operator's from being shown. */
static int key_list(Keys *keys, Reason *ret_reason)
{
	Reason home_reason = { "" };
	int r = 0, home = 0;

	keys->first = true;
	if (keys->json)
		(void)fputc('[', stdout);
	if (keys->policy->keys & KEYS_HOME)
		home = list_file(keys, true, &home_reason);
	if (keys->policy->keys & KEYS_POLICY)
		r = list_file(keys, false, ret_reason);
	if (keys->json)
		(void)fputs("]\n", stdout);
	return home < 0 ? reason_set(ret_reason, home, "%s", home_reason.text) : r;
}

/* ---- add ---- */

typedef struct Looking {
	const char *fingerprint;
	bool found;
} Looking;

static void look_line(const char *line, size_t n, const KeyLine *key, void *data)
{
	Looking *looking = data;

	looking->found = looking->found || (key && strcmp(key->fingerprint, looking->fingerprint) == 0);
}

typedef struct Adding {
	const char *text; /* of the file */
	size_t n;
	FILE *file, *told; /* the new one; what is said of it */
	unsigned int added, there;
} Adding;

static void add_line(const char *line, size_t n, const KeyLine *key, void *data)
{
	Adding *adding = data;
	Looking looking = { 0 };

	if (!key)
		return;
	looking.fingerprint = key->fingerprint;
	each_line(adding->text, adding->n, look_line, &looking);
	adding->there += looking.found;
	if (looking.found)
		return;
	adding->added++;
	(void)fprintf(adding->file, "%.*s\n", (int)n, line);
	(void)fprintf(adding->told, "%s\n", key->fingerprint);
}

/* NULL is a stream that could not be opened. */
static int close_all(FILE *one, FILE *other, Reason *ret_reason)
{
	bool failed = !one || !other;

	if (one && fclose(one) != 0)
		failed = true;
	if (other && fclose(other) != 0)
		failed = true;
	return failed ? reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM)) : 0;
}

static int key_add(Keys *keys, const char *file, Reason *ret_reason)
{
	_cleanup_free_ char *more = NULL, *text = NULL, *made = NULL, *told = NULL;
	/* where `agent add` puts them */
	bool home = keys->policy->keys & KEYS_HOME;
	Adding adding = { 0 };
	size_t n, made_n, told_n;
	int r;

	r = keys_given(file, &more, ret_reason);
	if (r >= 0)
		r = keyfile_read(&keys->agent, home, &text, &n, ret_reason);
	if (r < 0)
		return r;
	adding.text = text;
	adding.n = n;
	adding.file = open_memstream(&made, &made_n);
	adding.told = open_memstream(&told, &told_n);
	if (adding.file && adding.told) {
		(void)fwrite(text, 1, n, adding.file);
		if (n && text[n - 1] != '\n')
			(void)fputc('\n', adding.file);
		each_line(more, strlen(more), add_line, &adding);
	}
	r = close_all(adding.file, adding.told, ret_reason);
	if (r == 0 && adding.added)
		r = keyfile_write(&keys->agent, home, made, made_n, ret_reason);
	if (r < 0)
		return r;
	(void)fputs(told, stdout);
	if (adding.there)
		(void)fprintf(stderr, "creelctl: %u of the keys %s there already\n", adding.there,
			adding.there == 1 ? "was" : "were");
	return 0;
}

/* ---- remove ---- */

typedef struct Removing {
	const char *fingerprint;
	FILE *file;
	unsigned int removed;
} Removing;

static void remove_line(const char *line, size_t n, const KeyLine *key, void *data)
{
	Removing *removing = data;

	if (key && strcmp(key->fingerprint, removing->fingerprint) == 0)
		removing->removed++;
	else if (fwrite(line, 1, n, removing->file) == n)
		(void)fputc('\n', removing->file);
}

static int remove_from(Keys *keys, bool home, Reason *ret_reason)
{
	_cleanup_free_ char *text = NULL, *made = NULL;
	Removing removing = { .fingerprint = keys->wanted };
	size_t n, made_n;
	int r;

	r = keyfile_read(&keys->agent, home, &text, &n, ret_reason);
	if (r < 0)
		return r;
	removing.file = open_memstream(&made, &made_n);
	if (!removing.file)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	each_line(text, n, remove_line, &removing);
	if (fclose(removing.file) != 0)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (!removing.removed)
		return 0;
	r = keyfile_write(&keys->agent, home, made, made_n, ret_reason);
	if (r == 0)
		keys->n += removing.removed;
	return r;
}

/*
 * From both files, whichever the policy looks at now: it may look at the other one tomorrow. The operator's goes first, so that no
 * agent keeps a key in it by what it makes of its own.
 */
static int key_remove(Keys *keys, Reason *ret_reason)
{
	Reason home_reason = { "" };
	char text[128];
	int r;

	if (strncmp(keys->wanted, "SHA256:", 7) != 0)
		return reason_set(ret_reason, -EINVAL,
			"`%s` is no fingerprint (SHA256:...): see creelctl agent key list %s",
			str_quote(keys->wanted, strlen(keys->wanted), text, sizeof(text)), keys->agent.name);
	r = remove_from(keys, false, ret_reason);
	if (r < 0)
		return r;
	r = remove_from(keys, true, &home_reason);
	if (r < 0)
		return reason_set(ret_reason, r, "%s%s", home_reason.text,
			keys->n ? "; the key is out of the operator's file alone" : "");
	if (!keys->n)
		return reason_set(ret_reason, -ENOENT, "agent %s has no key %s: see creelctl agent key list %s",
			keys->agent.name, str_quote(keys->wanted, strlen(keys->wanted), text, sizeof(text)),
			keys->agent.name);
	(void)printf("agent %s: key removed; sessions that it opened go on: creelctl session list --agent %s\n",
		keys->agent.name, keys->agent.name);
	return 0;
}

int agent_key_main(int argc, char **argv)
{
	_cleanup_(keys_done) Keys keys = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	const char *word = NULL, *file = NULL;
	const WordOption options[] = { { "--key", .value = &file }, { "--json", .flag = &keys.json }, { NULL } };
	Reason reason = { "" };
	int r;

	if (argc < 2 || argv[1][0] == '-' || words_parse(argc - 2, argv + 2, options, &word) < 0)
		return EXIT_USAGE;
	keys.wanted = word;
	r = strcmp(argv[0], "list") == 0 && !word && !file                  ? 0
	    : strcmp(argv[0], "add") == 0 && !word && file && !keys.json    ? 1
	    : strcmp(argv[0], "remove") == 0 && word && !file && !keys.json ? 2
									    : -EINVAL;
	if (r < 0)
		return EXIT_USAGE;
	if (agents_lock(&lock_fd, &reason) < 0 || open_keys(argv[1], &keys, &reason) < 0 ||
		(r == 0          ? key_list(&keys, &reason)
			: r == 1 ? key_add(&keys, file, &reason)
				 : key_remove(&keys, &reason)) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
