/* SPDX-License-Identifier: MIT */
/*
 * Files as tools and as resources. A resource's address is creel://FOLDER/PATH, the path percent-encoded (RFC 3986 section
 * 2.1), and not file://: the client is on another machine, and would look for it there.
 */
#include "shell/tools/mcp-files.h"
#include "shell/tools/mcp-tools.h"
#include "shell/base/base64.h"
#include "shell/base/moment.h"
#include "shell/base/str.h"
#include "shell/base/utf8.h"

#include <string.h>
#include <strings.h>

#define SCHEME "creel://"
#define LINKS_MAX 100U          /* of one result */
#define READ_MAX (1024U * 1024) /* bytes that read_output gives at a time */

static const char *type_of(const char *name)
{
	static const char *const types[][2] = { { ".csv", "text/csv" }, { ".gif", "image/gif" },
		{ ".html", "text/html" }, { ".jpeg", "image/jpeg" }, { ".jpg", "image/jpeg" },
		{ ".js", "text/javascript" }, { ".json", "application/json" }, { ".log", "text/plain" },
		{ ".md", "text/markdown" }, { ".pdf", "application/pdf" }, { ".png", "image/png" },
		{ ".py", "text/x-python" }, { ".sh", "application/x-sh" }, { ".stderr", "text/plain" },
		{ ".stdout", "text/plain" }, { ".svg", "image/svg+xml" }, { ".txt", "text/plain" },
		{ ".xml", "application/xml" }, { ".zip", "application/zip" } };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ELEMENTSOF(types); i++)
		if (strcasecmp(types[i][0], dot) == 0)
			return types[i][1];
	return "application/octet-stream";
}

/* In new memory; NULL when that is out. */
static char *uri_of(FileFolder folder, const char *path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	char *uri = malloc(sizeof(SCHEME) + 16 + 3 * strlen(path)), *p;

	if (!uri)
		return NULL;
	p = uri + sprintf(uri, SCHEME "%s/", folder_name(folder));
	for (; *path; path++) {
		if (strchr(plain, *path))
			*p++ = *path;
		else
			p += sprintf(p, "%%%02X", (unsigned char)*path);
	}
	*p = '\0';
	return uri;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Returns 0, -ENOMEM or -EINVAL. `ret_path` is new memory. */
static int uri_parse(const char *uri, FileFolder *ret_folder, char **ret_path)
{
	const char *name = uri + strlen(SCHEME), *slash;
	_cleanup_free_ char *path = NULL;
	FileFolder folder;
	size_t n = 0;

	if (strncmp(uri, SCHEME, strlen(SCHEME)) != 0 || !(slash = strchr(name, '/')))
		return -EINVAL;
	folder = folder_of_name(name, (size_t)(slash - name));
	if (folder == FOLDERS_N)
		return -EINVAL;
	path = malloc(strlen(slash));
	if (!path)
		return -ENOMEM;
	for (const char *p = slash + 1; *p; p++) {
		int high, low;

		if (*p != '%') {
			path[n++] = *p;
			continue;
		}
		high = hex_digit(p[1]);
		low = high < 0 ? -1 : hex_digit(p[2]);
		if (low < 0 || (high == 0 && low == 0))
			return -EINVAL;
		path[n++] = (char)(high << 4 | low);
		p += 2;
	}
	path[n] = '\0';
	*ret_folder = folder;
	*ret_path = TAKE_PTR(path);
	return 0;
}

static json_t *resource_json(FileFolder folder, const char *name, uint64_t bytes)
{
	_cleanup_free_ char *uri = uri_of(folder, name);

	return uri ? json_pack("{s:s, s:o, s:s, s:I}", "uri", uri, "name", jsontext_string(name, strlen(name)),
			     "mimeType", type_of(name), "size", (json_int_t)bytes)
		   : NULL;
}

/* `n` bytes as base64. NULL when memory is out. */
static json_t *base64_json(const char *bytes, size_t n)
{
	_cleanup_free_ char *text = malloc(BASE64_ENCODED_MAX(n) + 1);

	if (!text)
		return NULL;
	return json_stringn_nocheck(text, base64_encode((const uint8_t *)bytes, n, text));
}

/* A cursor is the last name of the page before it. Returns 0, -ENOMEM or -EINVAL. */
static int cursor_read(const json_t *cursor, char **ret)
{
	_cleanup_free_ char *name = NULL;
	size_t n = 0;

	if (!json_is_string(cursor))
		return -EINVAL;
	name = calloc(1, BASE64_DECODED_MAX(json_string_length(cursor)) + 1);
	if (!name)
		return -ENOMEM;
	if (base64_decode(json_string_value(cursor), json_string_length(cursor), false, (uint8_t *)name, &n) < 0 ||
		!n || strlen(name) != n)
		return -EINVAL;
	*ret = TAKE_PTR(name);
	return 0;
}

/* Files that came and went between two pages are in the order of names: none that stayed is missed or told twice. */
json_t *method_resources_list(McpRequest *request)
{
	const char *top = folder_path(&request->mcp->folders, FOLDER_OUTPUT);
	const json_t *cursor = json_object_get(request->params, "cursor");
	_cleanup_free_ char *after = NULL;
	_cleanup_(file_list_done) FileList list = { .recursive = true, .files_only = true };
	_cleanup_json_ json_t *resources = NULL, *result = NULL;
	char why[512];
	int r = 0;

	if (cursor)
		r = cursor_read(cursor, &after);
	if (r == -EINVAL)
		return request_fail(request, MCP_INVALID_PARAMS, NULL, "resources/list: the cursor is none of ours");
	list.after = after;
	if (r == 0)
		r = folder_list(top, "", &list);
	if (r == -ENOMEM)
		return NULL;
	if (r < 0 && r != -ENOENT)
		return request_fail(request, MCP_INTERNAL_ERROR, NULL, "%s", folder_failure(r, top, why, sizeof(why)));
	resources = json_array();
	for (size_t i = 0; i < list.n; i++)
		if (json_array_append_new(
			    resources, resource_json(FOLDER_OUTPUT, list.entries[i].name, list.entries[i].bytes)) < 0)
			return NULL;
	result = json_pack("{s:O}", "resources", resources);
	if (list.left_out) {
		const char *last = list.entries[list.n - 1].name;

		if (json_object_set_new(result, "nextCursor", base64_json(last, strlen(last))) < 0)
			return NULL;
	}
	return TAKE_PTR(result);
}

json_t *method_templates_list(McpRequest *request)
{
	if (json_object_get(request->params, "cursor"))
		return request_fail(request, MCP_INVALID_PARAMS, NULL,
			"resources/templates/list: there is one page, and no cursor");
	return json_pack("{s:[{s:s, s:s, s:s}, {s:s, s:s, s:s}, {s:s, s:s, s:s}]}", "resourceTemplates", "uriTemplate",
		SCHEME "output/{+path}", "name", "output", "description", "a file of the output folder", "uriTemplate",
		SCHEME "workspace/{+path}", "name", "workspace", "description", "a file of the workspace",
		"uriTemplate", SCHEME "runs/{name}", "name", "runs", "description",
		"all of the output of a run whose result left some out");
}

static json_t *resource_contents(const char *uri, const char *path, const char *bytes, size_t n)
{
	const char *type = type_of(path);

	if (bytes_are_text(bytes, n))
		return json_pack("{s:s, s:s, s:o}", "uri", uri, "mimeType",
			strcmp(type, "application/octet-stream") == 0 ? "text/plain" : type, "text",
			json_stringn_nocheck(bytes, n));
	return json_pack("{s:s, s:s, s:o}", "uri", uri, "mimeType", type, "blob", base64_json(bytes, n));
}

json_t *method_resources_read(McpRequest *request)
{
	const json_t *uri = json_object_get(request->params, "uri");
	const char *text = json_string_value(uri);
	_cleanup_free_ char *path = NULL, *bytes = NULL;
	_cleanup_close_ int fd = -EBADF;
	McpBatch *batch = request->batch;
	size_t n = 0, room = MCP_FILE_MAX - (batch ? batch->read : 0);
	struct stat status = { 0 };
	FileFolder folder;
	char why[512];
	int r;

	if (!text || strlen(text) != json_string_length(uri))
		return request_fail(
			request, MCP_INVALID_PARAMS, NULL, "resources/read: uri must be a string without NUL");
	r = uri_parse(text, &folder, &path);
	if (r == 0)
		r = folder_open_file(folder_path(&request->mcp->folders, folder), path, &fd, &status);
	if (r == -ENOMEM)
		return NULL;
	if (r < 0)
		return request_fail(request,
			request->version == MCP_2026_07_28 ? MCP_INVALID_PARAMS : MCP_RESOURCE_NOT_FOUND,
			json_pack("{s:O}", "uri", uri), "Resource not found: %s",
			folder_failure(r, text, why, sizeof(why)));
	if ((uint64_t)status.st_size > room)
		return request_fail(request, MCP_INVALID_PARAMS, json_pack("{s:O}", "uri", uri),
			"Resource too large: %llu bytes, of at most %zu; read it in parts by read_output, or fetch it "
			"by sftp",
			(unsigned long long)status.st_size, room);
	r = folder_read(fd, 0, room, &bytes, &n);
	if (r == -ENOMEM)
		return NULL;
	if (r < 0)
		return request_fail(request, MCP_INTERNAL_ERROR, NULL, "%s", folder_failure(r, text, why, sizeof(why)));
	if (batch)
		batch->read += n;
	return json_pack("{s:[o]}", "contents", resource_contents(text, path, bytes, n));
}

/* Output files that a result lists can be read as resources. */
void resource_links(const Mcp *mcp, json_t *content, const json_t *files)
{
	const json_t *file;
	size_t i, links = 0;

	json_array_foreach(files, i, file)
	{
		const char *status = json_string_value(json_object_get(file, "status")),
			   *name = json_string_value(json_object_get(file, "name"));
		json_t *link;

		if (!status || strcmp(status, "ok") != 0 || !name || links >= LINKS_MAX)
			continue;
		link = resource_json(FOLDER_OUTPUT, name, (uint64_t)json_integer_value(json_object_get(file, "bytes")));
		if (json_object_set_new(link, "type", json_string("resource_link")) < 0) {
			json_decref(link);
			continue;
		}
		if (json_array_append_new(content, link) < 0)
			return;
		links++;
	}
}

json_t *tool_list(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	const McpFolders *folders = &request->mcp->folders;
	FileFolder folder = input->folder ? folder_of_name(input->folder, strlen(input->folder)) : FOLDER_WORKSPACE;
	_cleanup_(file_list_done) FileList list = { .recursive = input->recursive };
	_cleanup_json_ json_t *entries = NULL;
	const char *below = "", *top;
	char why[512], modified[MOMENT_SIZE];
	int r = 0;

	if (input->path)
		r = folder_find(folders, input->path, folder, &folder, &below);
	top = folder_path(folders, folder);
	if (r == 0)
		r = folder_list(top, below, &list);
	if (r == -ENOENT && !*below)
		r = 0; /* nothing was put there yet */
	if (r == -ENOMEM)
		return NULL;
	if (r < 0)
		return tool_failure(
			tool, request->version, folder_failure(r, input->path ? input->path : top, why, sizeof(why)));
	entries = json_array();
	for (size_t i = 0; i < list.n; i++) {
		const FileEntry *entry = &list.entries[i];

		if (json_array_append_new(entries,
			    json_pack("{s:o, s:s, s:I, s:s}", "name", jsontext_string(entry->name, strlen(entry->name)),
				    "type", entry->type, "bytes", (json_int_t)entry->bytes, "modified",
				    moment_utc((uint64_t)entry->modified * 1000000, modified))) < 0)
			return NULL;
	}
	return tool_result(request->version,
		json_pack("{s:o, s:O, s:I}", "folder", jsontext_string(top, strlen(top)), "entries", entries,
			"left_out", (json_int_t)list.left_out),
		false);
}

json_t *tool_read(McpRequest *request, const McpTool *tool, const ToolInput *input)
{
	const McpFolders *folders = &request->mcp->folders;
	_cleanup_free_ char *bytes = NULL;
	_cleanup_close_ int fd = -EBADF;
	FileFolder folder;
	struct stat status = { 0 };
	const char *below;
	char why[512];
	size_t n = 0, whole;
	uint64_t next;
	bool text, more;
	int r;

	if (input->bytes < 1 || input->bytes > READ_MAX)
		return tool_failure(tool, request->version, "`bytes` must be 1 to 1048576");
	r = folder_find(folders, input->path, FOLDER_OUTPUT, &folder, &below);
	if (r == 0)
		r = folder_open_file(folder_path(folders, folder), below, &fd, &status);
	if (r == 0)
		r = folder_read(fd, input->offset, (size_t)input->bytes, &bytes, &n);
	if (r == -ENOMEM)
		return NULL;
	if (r < 0)
		return tool_failure(tool, request->version, folder_failure(r, input->path, why, sizeof(why)));
	more = input->offset + n < (uint64_t)status.st_size;
	/* a character that the end of the part cuts belongs to the next one */
	whole = n - (more && n ? utf8_cut(bytes, n) : 0);
	text = (whole || !n) && bytes_are_text(bytes, whole);
	if (text)
		n = whole;
	next = input->offset + n;
	return tool_result(request->version,
		json_pack("{s:o, s:I, s:I, s:s, s:o, s:o}", "path", jsontext_string(input->path, strlen(input->path)),
			"bytes", (json_int_t)status.st_size, "offset", (json_int_t)input->offset, "encoding",
			text ? "utf-8" : "base64", "data",
			text ? json_stringn_nocheck(bytes, n) : base64_json(bytes, n), "next_offset",
			more ? json_integer((json_int_t)next) : json_null()),
		false);
}
