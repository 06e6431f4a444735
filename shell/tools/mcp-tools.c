/* SPDX-License-Identifier: MIT */
/* The table of tools, and tools/list. The four of ClawCentral's come first and take what its clients send. */
#include "shell/tools/mcp-tools.h"
#include "shell/tools/result.h"
#include "shell/base/str.h"

#include <string.h>

#define TIMEOUT                                                                                                       \
	ARGUMENT("timeout", FIELD_TIME, timeout_usec,                                                                 \
		.description = "Timeout in seconds (default 30, max 120, unless the agent's policy says otherwise). " \
			       "What was put out until then is returned.")
#define FRESH_SESSION                                                                                                  \
	ARGUMENT("session", FIELD_SESSION, session,                                                                    \
		.description = "Name of an interpreter that keeps its state between calls. Without it, each call has " \
			       "a new one.")
#define LANGUAGES "python javascript typescript bash"
#define FOLDERS "workspace output runs"

static const char run_schema[] =
	"{\"type\": \"object\", \"properties\": {"
	"\"stdout\": {\"type\": \"string\"}, \"stderr\": {\"type\": \"string\"},"
	"\"error\": {\"type\": [\"string\", \"null\"], \"description\": \"null when all went well, else one "
	"sentence\"},"
	"\"exit_code\": {\"type\": [\"integer\", \"null\"]},"
	"\"signal\": " STRING_OR_NULL ","
	"\"reason\": {\"type\": \"string\", \"enum\": [\"ok\", \"exit\", \"signal\", \"timeout\", \"memory\", "
	"\"processes\", \"output\", \"disk\", \"refused\", \"cancelled\"]},"
	"\"duration_ms\": " COUNT ", \"cpu_ms\": " COUNT ","
	"\"memory_peak\": {\"type\": [\"integer\", \"null\"], \"description\": \"bytes\"},"
	"\"truncated\": {\"type\": [\"object\", \"null\"], \"description\": "
	"\"streams of which a part was left out, with all their bytes and the file that has them\"},"
	"\"files\": {\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {"
	"\"name\": {\"type\": \"string\"}, \"path\": {\"type\": \"string\"}, \"bytes\": " COUNT
	", \"sha256\": " STRING_OR_NULL ","
	"\"status\": {\"type\": \"string\"}}, \"required\": [\"name\", \"path\", \"bytes\", \"status\"]}},"
	"\"state\": {\"enum\": [null, \"preserved\", \"reset\"]}},"
	"\"required\": [\"stdout\", \"stderr\", \"error\", \"exit_code\", \"signal\", \"reason\", \"duration_ms\", "
	"\"cpu_ms\", "
	"\"memory_peak\", \"truncated\", \"files\", \"state\"]}";

static const char reset_schema[] = "{\"type\": \"object\", \"properties\": {\"stdout\": {\"type\": \"string\"}, "
				   "\"stderr\": {\"type\": \"string\"}, "
				   "\"error\": " STRING_OR_NULL "}, \"required\": [\"stdout\", \"stderr\", \"error\"]}";

static const char list_schema[] =
	"{\"type\": \"object\", \"properties\": {\"folder\": {\"type\": \"string\"}, \"entries\": {\"type\": "
	"\"array\", \"items\": "
	"{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}, \"type\": {\"type\": \"string\"}, "
	"\"bytes\": " COUNT ", \"modified\": {\"type\": \"string\"}}, "
	"\"required\": [\"name\", \"type\", \"bytes\", \"modified\"]}}, "
	"\"left_out\": " COUNT "}, \"required\": [\"folder\", \"entries\", \"left_out\"]}";

static const char read_schema[] =
	"{\"type\": \"object\", \"properties\": {\"path\": {\"type\": \"string\"}, \"bytes\": " COUNT
	", \"offset\": " COUNT ", "
	"\"encoding\": {\"type\": \"string\", \"enum\": [\"utf-8\", \"base64\"]}, \"data\": {\"type\": \"string\"}, "
	"\"next_offset\": {\"type\": [\"integer\", \"null\"]}}, "
	"\"required\": [\"path\", \"bytes\", \"offset\", \"encoding\", \"data\", \"next_offset\"]}";

static const char sessions_schema[] =
	"{\"type\": \"object\", \"properties\": {\"sessions\": {\"type\": \"array\", \"items\": {\"type\": \"object\", "
	"\"properties\": {\"name\": {\"type\": \"string\"}, \"language\": {\"type\": \"string\"}, "
	"\"state\": {\"type\": \"string\"}, \"since\": {\"type\": \"string\"}, \"idle_ms\": " COUNT
	", \"memory\": " COUNT
	"}, \"required\": [\"name\", \"language\", \"state\", \"since\", \"idle_ms\", \"memory\"]}}}, "
	"\"required\": [\"sessions\"]}";

static const McpTool tools[] = {
	{ .name = "execute_python",
		.title = "Run Python",
		.description = "Run Python code in a persistent REPL: variables and imports survive across calls and "
			       "connections. "
			       "The value of a last expression is shown.",
		.arguments = { REQUIRED("code", FIELD_TEXT, code, .description = "Python code to execute"), TIMEOUT,
			ARGUMENT("session", FIELD_SESSION, session,
				.description = "Which REPL; each name has its own state.", .fallback = "\"main\""),
			ARGUMENT("figures", FIELD_FLAG, figures,
				.description = "Save matplotlib's open figures as PNG files in the output folder.",
				.fallback = "false") },
		.output = run_schema,
		.runs = true,
		.language = "python",
		.session = "main",
		.call = tool_run },
	{ .name = "execute_shell",
		.title = "Run a shell command",
		.description = "Run a command in bash.",
		.arguments = { REQUIRED("command", FIELD_TEXT, code, .description = "Shell command to run"), TIMEOUT,
			FRESH_SESSION },
		.output = run_schema,
		.runs = true,
		.language = "bash",
		.session = "",
		.call = tool_run },
	{ .name = "execute_node",
		.title = "Run Node.js",
		.description = "Run JavaScript or TypeScript code in Node.js.",
		.arguments = { REQUIRED("code", FIELD_TEXT, code, .description = "Node.js code to execute"), TIMEOUT,
			FRESH_SESSION,
			ARGUMENT("language", FIELD_STRING, language, .description = "What the code is written in.",
				.words = "javascript typescript", .fallback = "\"javascript\"") },
		.output = run_schema,
		.runs = true,
		.language = "javascript",
		.session = "",
		.call = tool_run },
	{ .name = "reset_repl",
		.title = "Reset a REPL",
		.description = "Clear the state of the Python REPL, or of another session.",
		.arguments = { ARGUMENT("session", FIELD_SESSION, session, .description = "Which one.",
				       .fallback = "\"main\""),
			ARGUMENT("language", FIELD_STRING, language, .description = "Of which language.",
				.words = LANGUAGES, .fallback = "\"python\"") },
		.output = reset_schema,
		.language = "python",
		.session = "main",
		.call = tool_reset },
	{ .name = "run_file",
		.title = "Run a file",
		.description = "Run a file of the workspace in an interpreter of its own.",
		.arguments = { REQUIRED("path", FIELD_STRING, path,
				       .description = "Relative to the workspace, or absolute and below it."),
			ARGUMENT("language", FIELD_STRING, language,
				.description = "Told by the file's extension or first line when not given.",
				.words = LANGUAGES),
			ARGUMENT("arguments", FIELD_STRINGS, arguments,
				.description = "What the program gets as arguments."),
			TIMEOUT },
		.output = run_schema,
		.runs = true,
		.session = "",
		.call = tool_run_file },
	{ .name = "list_files",
		.title = "List files",
		.description =
			"List files of the workspace, of the output folder, or the kept outputs of earlier runs.",
		.arguments = { ARGUMENT("folder", FIELD_STRING, folder, .description = "Which folder.",
				       .words = FOLDERS, .fallback = "\"workspace\""),
			ARGUMENT("path", FIELD_STRING, path, .description = "A folder below it."),
			ARGUMENT("recursive", FIELD_FLAG, recursive, .description = "Folders below it as well.",
				.fallback = "false") },
		.output = list_schema,
		.reads = true,
		.call = tool_list },
	{ .name = "read_output",
		.title = "Read a file",
		.description =
			"Read a file of the output folder, of the workspace, or the kept output of a run; in parts.",
		.arguments = { REQUIRED("path", FIELD_STRING, path,
				       .description = "Relative to the output folder, or absolute as results name it."),
			ARGUMENT("offset", FIELD_COUNT, offset, .description = "Where to begin, in bytes.",
				.fallback = "0"),
			ARGUMENT("bytes", FIELD_COUNT, bytes, .description = "How much, at most 1048576.",
				.fallback = "65536") },
		.output = read_schema,
		.reads = true,
		.call = tool_read },
	{ .name = "list_sessions",
		.title = "List sessions",
		.description = "List the interpreters that keep state, with their memory.",
		.output = sessions_schema,
		.reads = true,
		.call = tool_sessions },
};

/* NULL behind the last. */
static const McpTool *tool_at(size_t i)
{
	if (i < ELEMENTSOF(tools))
		return &tools[i];
	i -= ELEMENTSOF(tools);
	return i < living_tools_n ? &living_tools[i] : NULL;
}

const McpTool *tool_find(const char *name)
{
	const McpTool *tool;

	for (size_t i = 0; (tool = tool_at(i)); i++)
		if (strcmp(tool->name, name) == 0)
			return tool;
	return NULL;
}

/* `words` as an array; NULL when memory is out. */
static json_t *words_json(const char *words)
{
	json_t *array = json_array();

	while (*words) {
		size_t n = strcspn(words, " ");

		if (json_array_append_new(array, json_stringn(words, n)) < 0) {
			json_decref(array);
			return NULL;
		}
		words += n + (words[n] == ' ');
	}
	return array;
}

static bool words_have(const char *words, const char *word)
{
	size_t length = strlen(word);

	while (*words) {
		size_t n = strcspn(words, " ");

		if (n == length && strncmp(words, word, n) == 0)
			return true;
		words += n + (words[n] == ' ');
	}
	return false;
}

static json_t *argument_schema(const ToolArgument *argument)
{
	json_t *schema;

	switch (argument->field.type) {
	case FIELD_STRINGS:
		schema = json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");
		break;
	case FIELD_FLAG:
		schema = json_pack("{s:s}", "type", "boolean");
		break;
	case FIELD_TIME:
		schema = json_pack("{s:s, s:i}", "type", "number", "exclusiveMinimum", 0);
		break;
	case FIELD_COUNT:
		schema = json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
		break;
	default:
		schema = json_pack("{s:s}", "type", "string");
		break;
	}
	if (json_object_set_new(schema, "description", json_string(argument->description)) < 0 ||
		(argument->words && json_object_set_new(schema, "enum", words_json(argument->words)) < 0) ||
		(argument->fallback && json_object_set_new(schema, "default",
					       json_loads(argument->fallback, JSON_DECODE_ANY, NULL)) < 0)) {
		json_decref(schema);
		return NULL;
	}
	return schema;
}

static json_t *input_schema(const McpTool *tool)
{
	_cleanup_json_ json_t *properties = json_object(), *required = json_array();
	json_t *schema;

	for (size_t i = 0; i < TOOL_ARGUMENTS_MAX && tool->arguments[i].field.name; i++) {
		const ToolArgument *argument = &tool->arguments[i];

		if (json_object_set_new(properties, argument->field.name, argument_schema(argument)) < 0 ||
			(argument->field.required &&
				json_array_append_new(required, json_string(argument->field.name)) < 0))
			return NULL;
	}
	schema = json_pack("{s:s, s:O, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
	if (json_array_size(required) && json_object_set(schema, "required", required) < 0) {
		json_decref(schema);
		return NULL;
	}
	return schema;
}

static json_t *tool_json(const McpTool *tool, McpVersion version)
{
	json_t *object = json_pack("{s:s, s:s, s:o}", "name", tool->name, "description", tool->description,
		"inputSchema", input_schema(tool));

	if ((version >= MCP_2025_03_26 &&
		    json_object_set_new(object, "annotations",
			    json_pack("{s:b, s:b, s:b}", "readOnlyHint", tool->reads, "destructiveHint", !tool->reads,
				    "openWorldHint", tool->runs)) < 0) ||
		(version >= MCP_2025_06_18 &&
			(json_object_set_new(object, "title", json_string(tool->title)) < 0 ||
				json_object_set_new(object, "outputSchema", json_loads(tool->output, 0, NULL)) < 0))) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *method_tools_list(McpRequest *request)
{
	_cleanup_json_ json_t *list = NULL;
	const McpTool *tool;

	if (json_object_get(request->params, "cursor"))
		return request_fail(request, MCP_INVALID_PARAMS, NULL, "tools/list: there is one page, and no cursor");
	list = json_array();
	for (size_t i = 0; (tool = tool_at(i)); i++)
		if (json_array_append_new(list, tool_json(tool, request->version)) < 0)
			return NULL;
	return json_pack("{s:O}", "tools", list);
}

int input_read(const McpTool *tool, const json_t *arguments, ToolInput *ret, char *why, size_t why_size)
{
	Field fields[TOOL_ARGUMENTS_MAX + 1] = { 0 };
	ToolInput input = {
		.session = tool->session, .language = tool->language, .timeout_usec = RUN_DEFAULT, .bytes = 64U * 1024
	};
	_cleanup_json_ json_t *none = arguments ? NULL : json_object();
	int r;

	if (!arguments && !none)
		return -ENOMEM;
	for (size_t i = 0; i < TOOL_ARGUMENTS_MAX; i++)
		fields[i] = tool->arguments[i].field;
	r = fields_read(arguments ? arguments : none, fields, &input, why, why_size);
	for (size_t i = 0; r == 0 && i < TOOL_ARGUMENTS_MAX && fields[i].name; i++) {
		const char *words = tool->arguments[i].words, *word;

		if (!words)
			continue;
		word = *(const char *const *)((const char *)&input + fields[i].offset);
		if (word && !words_have(words, word)) {
			(void)snprintf(why, why_size, "`%s` must be one of: %s", fields[i].name, words);
			r = -EINVAL;
		}
	}
	if (r == 0 && input.timeout_usec == 0) {
		(void)snprintf(why, why_size, "`timeout` must be more than 0");
		r = -EINVAL;
	}
	if (r < 0) {
		input_done(&input);
		return r;
	}
	*ret = input;
	return 0;
}

void input_done(ToolInput *input)
{
	free(TAKE_PTR(input->arguments));
	free(TAKE_PTR(input->environment));
}

/* The same as text, for clients that know no structured content, and for models that are shown only the text. */
json_t *tool_result(McpVersion version, json_t *structured, bool failed)
{
	_cleanup_json_ json_t *owned = structured;
	_cleanup_free_ char *text = NULL;
	json_t *result;
	size_t n;

	if (!structured)
		return NULL;
	text = jsontext_print(structured, &n);
	if (!text)
		return NULL;
	result = json_pack("{s:[{s:s, s:o}], s:b}", "content", "type", "text", "text", json_stringn_nocheck(text, n),
		"isError", failed);
	if (version >= MCP_2025_06_18 && json_object_set(result, "structuredContent", structured) < 0) {
		json_decref(result);
		return NULL;
	}
	return result;
}

/* What is wrong with an input is told to the model, which can mend it, and not to the client as a broken request. */
json_t *tool_failure(const McpTool *tool, McpVersion version, const char *why)
{
	RunResult refused = { .stdout_fd = -EBADF,
		.stderr_fd = -EBADF,
		.stdout_file = "",
		.stderr_file = "",
		.exit_code = -1,
		.reason = RUN_REFUSED,
		.files_directory = "" };
	_cleanup_free_ char *sentence = str_format("Error: %s", why);
	json_t *result = NULL;

	if (!sentence)
		return NULL;
	if (!tool->runs)
		return json_pack("{s:[{s:s, s:o}], s:b}", "content", "type", "text", "text",
			jsontext_string(sentence, strlen(sentence)), "isError", 1);
	refused.error = sentence;
	if (result_json(&refused, &result) < 0)
		return NULL;
	return tool_result(version, result, true);
}
