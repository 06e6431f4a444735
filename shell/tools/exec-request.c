/* SPDX-License-Identifier: MIT */
#include "shell/tools/exec-request.h"
#include "shell/base/str.h"
#include "shell/tools/language.h"

#include <stddef.h>
#include <string.h>

/* A line's members by method, as they are read; the first two are of all. */
typedef struct Members {
	const char *language, *label, *network, *session, *directory;
	FieldText code, input;
	char **arguments;
	uint64_t timeout_usec, memory, cpu, processes, output;
	bool independent, follow, collect, figures;
} Members;

#define FIELD(n, t, m)                                               \
	{                                                            \
		.name = n, .type = t, .offset = offsetof(Members, m) \
	}
#define REQUIRED(n, t, m)                                                              \
	{                                                                              \
		.name = n, .type = t, .offset = offsetof(Members, m), .required = true \
	}

static const Field run_fields[] = {
	REQUIRED("code", FIELD_TEXT, code),
	REQUIRED("language", FIELD_STRING, language),
	FIELD("label", FIELD_STRING, label),
	FIELD("arguments", FIELD_STRINGS, arguments),
	FIELD("stdin", FIELD_TEXT, input),
	FIELD("timeout", FIELD_TIME, timeout_usec),
	FIELD("memory", FIELD_SIZE, memory),
	FIELD("cpu", FIELD_CORES, cpu),
	FIELD("processes", FIELD_COUNT, processes),
	FIELD("output", FIELD_SIZE, output),
	FIELD("network", FIELD_STRING, network),
	FIELD("independent", FIELD_FLAG, independent),
	FIELD("session", FIELD_SESSION, session),
	FIELD("directory", FIELD_STRING, directory),
	FIELD("follow", FIELD_FLAG, follow),
	FIELD("collect", FIELD_FLAG, collect),
	FIELD("figures", FIELD_FLAG, figures),
	{ .name = NULL },
};

static const Field reset_fields[] = {
	FIELD("language", FIELD_STRING, language),
	REQUIRED("session", FIELD_SESSION, session),
	{ .name = NULL },
};

static const Field no_fields[] = { { .name = NULL } };

static const struct {
	const char *name;
	const Field *fields;
} methods[] = {
	[EXEC_RUN] = { "run", run_fields },
	[EXEC_CANCEL] = { "cancel", no_fields }, /* and `run`, which is an id */
	[EXEC_RESET] = { "reset", reset_fields },
	[EXEC_SESSIONS] = { "sessions", no_fields },
	[EXEC_LIMITS] = { "limits", no_fields },
};

_Static_assert(ELEMENTSOF(methods) == EXEC_METHODS_N, "a method has no name");

static const char *const errors[] = {
	[EXEC_PARSE] = "parse",
	[EXEC_INVALID] = "invalid",
	[EXEC_UNKNOWN_METHOD] = "unknown_method",
	[EXEC_DUPLICATE_ID] = "duplicate_id",
	[EXEC_TOO_LONG] = "too_long",
	[EXEC_TOO_MANY] = "too_many",
	[EXEC_HALF_LINE] = "half_line",
	[EXEC_UNAVAILABLE] = "unavailable",
	[EXEC_FAILED] = "failed",
};

_Static_assert(ELEMENTSOF(errors) == EXEC_ERRORS_N, "an error has no name");

const char *exec_error_name(ExecError error)
{
	return errors[error];
}

static bool id_valid(const json_t *id)
{
	return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= EXEC_ID_MAX);
}

static int refuse(ExecError error, ExecError *ret_error, char *why, size_t why_size, const char *text)
{
	*ret_error = error;
	(void)snprintf(why, why_size, "%s", text);
	return -EINVAL;
}

/* Takes `key` out of the object: what is left is for the method's table. */
static json_t *take(json_t *object, const char *key)
{
	json_t *value = json_incref(json_object_get(object, key));

	(void)json_object_del(object, key);
	return value;
}

static int method_read(ExecRequest *request, json_t *name, ExecError *ret_error, char *why, size_t why_size)
{
	char shown[96];

	if (!json_is_string(name))
		return refuse(EXEC_INVALID, ret_error, why, why_size, "`method` must be a string");
	for (size_t i = 0; i < ELEMENTSOF(methods); i++)
		if (strcmp(methods[i].name, json_string_value(name)) == 0) {
			request->method = (ExecMethod)i;
			return 0;
		}
	*ret_error = EXEC_UNKNOWN_METHOD;
	(void)snprintf(why, why_size, "there is no method `%s`: run, cancel, reset, sessions, limits",
		str_quote(json_string_value(name), json_string_length(name), shown, sizeof(shown)));
	return -EINVAL;
}

static void members_use(ExecRequest *request, Members *members)
{
	const char *language = language_of_name(members->language);

	request->code = members->code;
	request->input = members->input;
	request->options = (RunOptions){
		.language = language ? language : members->language, /* the keeper says which there are */
		.label = members->label,
		.arguments = TAKE_PTR(members->arguments),
		.input_fd = -EBADF,
		.timeout_usec = members->timeout_usec,
		.memory = members->memory,
		.cpu = members->cpu,
		.processes = members->processes,
		.output = members->output,
		.network = members->network,
		.independent = members->independent,
		.session = members->session,
		.directory = members->directory,
		.follow = members->follow,
		.collect = members->collect,
		.figures = members->figures,
	};
}

static int members_read(ExecRequest *request, ExecError *ret_error, char *why, size_t why_size)
{
	Members members = {
		.language = request->method == EXEC_RESET ? "python" : "",
		.label = "",
		.network = "",
		.session = "",
		.directory = "",
		.timeout_usec = RUN_DEFAULT,
		.memory = RUN_DEFAULT,
		.cpu = RUN_DEFAULT,
		.processes = RUN_DEFAULT,
		.output = RUN_DEFAULT,
		.collect = true,
	};
	int r;

	if (request->method == EXEC_CANCEL) {
		request->target = take(request->json, "run");
		if (!id_valid(request->target))
			return refuse(EXEC_INVALID, ret_error, why, why_size, "`run` must be the id of a run");
	}
	r = fields_read(request->json, methods[request->method].fields, &members, why, why_size);
	members_use(request, &members);
	if (r == -EINVAL)
		*ret_error = EXEC_INVALID;
	return r;
}

int exec_request_read(const char *line, size_t n, ExecRequest *ret, ExecError *ret_error, char *why, size_t why_size)
{
	_cleanup_json_ json_t *id = NULL, *method = NULL;
	int r;

	*ret = (ExecRequest){ .options = RUN_OPTIONS_NONE };
	*ret_error = EXEC_PARSE;
	r = jsontext_parse(line, n, &ret->json, why, why_size);
	if (r < 0)
		return r;
	if (!json_is_object(ret->json))
		return refuse(EXEC_INVALID, ret_error, why, why_size, "a request is an object");
	id = take(ret->json, "id");
	if (!id_valid(id))
		return refuse(EXEC_INVALID, ret_error, why, why_size,
			id ? "`id` must be a whole number, or a string of at most 256 bytes" : "`id` is missing");
	ret->id = TAKE_PTR(id);
	method = take(ret->json, "method");
	r = method_read(ret, method, ret_error, why, why_size);
	return r < 0 ? r : members_read(ret, ret_error, why, why_size);
}

void exec_request_done(ExecRequest *request)
{
	run_options_done(&request->options);
	json_decref(request->id);
	json_decref(request->target);
	json_decref(request->json);
	*request = (ExecRequest){ .options = RUN_OPTIONS_NONE };
}
