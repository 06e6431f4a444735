/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC: what a line says, which method it calls, and how it is answered.
 *
 * A request of the newest revision names it in params._meta; any other one is of the revision that initialize agreed on. So
 * nothing that one client's request said is taken for another one's.
 *
 * A request whose id is one that still waits for its answer is refused without an id: an answer with it would be taken for
 * the first one's.
 */
#include "shell/tools/mcp-server.h"
#include "shell/base/str.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#define META_VERSION "io.modelcontextprotocol/protocolVersion"
#define META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define META_SERVER "io.modelcontextprotocol/serverInfo"
#define META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"
#define HOUR_MSEC 3600000

static json_t *method_ping(McpRequest *request);
static json_t *method_listen(McpRequest *request);

/* `first` to `last`: the revisions that have it. `fresh_msec`: how long the newest one's clients may keep an answer; -1: no hint. */
typedef struct McpMethod {
	const char *name;
	json_t *(*call)(McpRequest *request);
	McpVersion first, last;
	int fresh_msec;
} McpMethod;

static const McpMethod methods[] = {
	{ "initialize", method_initialize, MCP_2024_11_05, MCP_2025_11_25, -1 },
	{ "ping", method_ping, MCP_2024_11_05, MCP_2025_11_25, -1 },
	{ "server/discover", method_discover, MCP_2026_07_28, MCP_2026_07_28, HOUR_MSEC },
	{ "subscriptions/listen", method_listen, MCP_2026_07_28, MCP_2026_07_28, -1 },
	{ "tools/list", method_tools_list, MCP_2024_11_05, MCP_2026_07_28, HOUR_MSEC },
	{ "tools/call", method_tools_call, MCP_2024_11_05, MCP_2026_07_28, -1 },
	{ "resources/list", method_resources_list, MCP_2024_11_05, MCP_2026_07_28, 0 },
	{ "resources/read", method_resources_read, MCP_2024_11_05, MCP_2026_07_28, 0 },
	{ "resources/templates/list", method_templates_list, MCP_2024_11_05, MCP_2026_07_28, HOUR_MSEC },
};

void server_send(Mcp *mcp, json_t *message)
{
	if (!message) {
		mcp->failed = true;
		return;
	}
	mcp->hooks->send(mcp->userdata, message);
	json_decref(message);
}

void server_answer(Mcp *mcp, McpBatch *batch, json_t *message)
{
	if (!batch)
		server_send(mcp, message);
	else if (json_array_append_new(batch->answers, message) < 0)
		mcp->failed = true;
}

McpBatch *batch_unref(Mcp *mcp, McpBatch *batch)
{
	if (!batch || --batch->waiting > 0)
		return NULL;
	if (json_array_size(batch->answers))
		server_send(mcp, json_incref(batch->answers));
	json_decref(batch->answers);
	free(batch);
	return NULL;
}

/* `id` NULL: it could not be read, or must not be used; JSON-RPC has null there, newer revisions leave it out. */
static json_t *message_error(McpVersion version, const json_t *id, int code, const char *text, json_t *data)
{
	json_t *error = json_pack("{s:i, s:o}", "code", code, "message", jsontext_string(text, strlen(text)));
	json_t *message;

	if (data && json_object_set_new(error, "data", data) < 0) {
		json_decref(error);
		return NULL;
	}
	message = json_pack("{s:s, s:o}", "jsonrpc", "2.0", "error", error);
	if (id || version <= MCP_2025_06_18 || version == MCP_NONE) {
		json_t *same = id ? json_deep_copy(id) : json_null();

		if (json_object_set_new(message, "id", same) < 0) {
			json_decref(message);
			return NULL;
		}
	}
	return message;
}

json_t *server_result(McpVersion version, const json_t *id, json_t *result)
{
	if (version == MCP_2026_07_28) {
		json_t *meta = json_object_get(result, "_meta");

		if (!meta && json_object_set_new(result, "_meta", json_object()) == 0)
			meta = json_object_get(result, "_meta");
		if (json_object_set_new(result, "resultType", json_string("complete")) < 0 ||
			json_object_set_new(meta, META_SERVER, mcp_server_info()) < 0) {
			json_decref(result);
			return NULL;
		}
	}
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", json_deep_copy(id), "result", result);
}

json_t *request_fail(McpRequest *request, int code, json_t *data, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	request->error = message_error(request->version, request->id, code, text, data);
	if (!request->error)
		request->mcp->failed = true;
	return NULL;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

McpCall *call_new(McpRequest *request)
{
	Mcp *mcp = request->mcp;
	McpCall *call = calloc(1, sizeof(*call));

	if (!call) {
		mcp->failed = true;
		return NULL;
	}
	*call = (McpCall){ .mcp = mcp,
		.next = mcp->calls,
		.id = json_incref(request->id),
		.token = json_incref(request->token),
		.version = request->version,
		.batch = request->batch,
		.begun_usec = now_usec(),
		.timeout_usec = RUN_DEFAULT };
	if (call->batch)
		call->batch->waiting++;
	mcp->calls = call;
	return call;
}

void call_free(McpCall *call)
{
	Mcp *mcp = call->mcp;
	McpCall **slot = &mcp->calls;

	while (*slot && *slot != call)
		slot = &(*slot)->next;
	if (*slot)
		*slot = call->next;
	if (call->tool)
		mcp->n_calls--;
	else
		mcp->n_listeners--;
	(void)batch_unref(mcp, call->batch);
	json_decref(call->id);
	json_decref(call->token);
	free(call);
}

static McpCall *call_by_id(const Mcp *mcp, const json_t *id)
{
	McpCall *call = mcp->calls;

	while (call && !json_equal(call->id, id))
		call = call->next;
	return call;
}

static json_t *method_ping(McpRequest *request)
{
	return json_object();
}

/* Lists do not change here, and no resource is watched: it is acknowledged with nothing and lasts until it is cancelled. */
static json_t *method_listen(McpRequest *request)
{
	McpCall *call;

	if (!json_is_object(json_object_get(request->params, "notifications")))
		return request_fail(
			request, MCP_INVALID_PARAMS, NULL, "subscriptions/listen: notifications must be an object");
	if (request->mcp->n_listeners >= MCP_LISTENERS_MAX)
		return request_fail(
			request, MCP_INTERNAL_ERROR, NULL, "no more than %u subscriptions", MCP_LISTENERS_MAX);
	call = call_new(request);
	if (!call)
		return NULL;
	request->mcp->n_listeners++;
	request->pending = true;
	server_send(request->mcp, json_pack("{s:s, s:s, s:{s:{s:o}, s:{}}}", "jsonrpc", "2.0", "method",
					  "notifications/subscriptions/acknowledged", "params", "_meta",
					  META_SUBSCRIPTION, json_deep_copy(call->id), "notifications"));
	return NULL;
}

/* No answer is sent: whoever cancels does not wait for one. */
static void notice_cancelled(Mcp *mcp, const json_t *params)
{
	McpCall *call = call_by_id(mcp, json_object_get(params, "requestId"));

	if (!call)
		return;
	if (call->tool)
		mcp->hooks->stop(mcp->userdata, call);
	call_free(call);
}

static bool id_fits(const json_t *id)
{
	return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= MCP_ID_MAX);
}

/* Which revision it is of, what it asks to be told, and whether that may be. Returns false when it was refused. */
static bool request_check(McpRequest *request, const char *method)
{
	const json_t *meta = json_object_get(request->params, "_meta");
	const json_t *version = json_object_get(meta, META_VERSION);
	bool handshake = strcmp(method, "initialize") == 0;

	if (meta && !json_is_object(meta)) {
		(void)request_fail(request, MCP_INVALID_PARAMS, NULL, "_meta must be an object");
		return false;
	}
	request->token = json_object_get(meta, "progressToken");
	if (request->token && !id_fits(request->token)) {
		(void)request_fail(request, MCP_INVALID_PARAMS, NULL,
			"progressToken must be an integer or a string of at most %u bytes", MCP_ID_MAX);
		return false;
	}
	if (handshake || (!version && strcmp(method, "ping") == 0)) {
		if (request->version == MCP_NONE)
			request->version = MCP_2024_11_05;
		return true;
	}
	if (!version && strcmp(method, "server/discover") != 0 && request->version != MCP_NONE)
		return true;
	request->version = MCP_2026_07_28;
	if (!json_is_string(version)) {
		(void)request_fail(request, MCP_INVALID_PARAMS, NULL,
			"_meta must have %s (a string), or initialize must come first", META_VERSION);
		return false;
	}
	if (mcp_version_of(json_string_value(version)) != MCP_2026_07_28) {
		(void)request_fail(request, MCP_UNSUPPORTED_VERSION,
			json_pack("{s:o, s:O}", "supported", mcp_versions(), "requested", version),
			"Unsupported protocol version: a request of its own may have %s, others need initialize",
			mcp_version_name(MCP_2026_07_28));
		return false;
	}
	if (!json_is_object(json_object_get(meta, META_CAPABILITIES))) {
		(void)request_fail(
			request, MCP_INVALID_PARAMS, NULL, "_meta must have %s (an object)", META_CAPABILITIES);
		return false;
	}
	return true;
}

static json_t *request_serve(McpRequest *request, const char *method)
{
	char quoted[128];

	for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
		const McpMethod *row = &methods[i];
		json_t *result;

		if (strcmp(row->name, method) != 0 || request->version < row->first || request->version > row->last)
			continue;
		result = row->call(request);
		if (result && request->version == MCP_2026_07_28 && row->fresh_msec >= 0 &&
			(json_object_set_new(result, "ttlMs", json_integer(row->fresh_msec)) < 0 ||
				json_object_set_new(result, "cacheScope",
					json_string(row->fresh_msec ? "public" : "private")) < 0)) {
			json_decref(result);
			return NULL;
		}
		return result;
	}
	return request_fail(request, MCP_METHOD_NOT_FOUND, NULL, "Method not found: \"%s\"",
		str_quote(method, strlen(method), quoted, sizeof(quoted)));
}

static void serve_request(Mcp *mcp, McpBatch *batch, const char *method, json_t *id, json_t *params)
{
	McpRequest request = { .mcp = mcp, .id = id, .params = params, .version = mcp->version, .batch = batch };
	json_t *result = NULL;

	if (request_check(&request, method))
		result = request_serve(&request, method);
	if (request.pending)
		return;
	if (request.error)
		server_answer(mcp, batch, request.error);
	else
		server_answer(mcp, batch, result ? server_result(request.version, id, result) : NULL);
}

static void serve_error(Mcp *mcp, McpBatch *batch, const json_t *id, int code, const char *text)
{
	server_answer(mcp, batch, message_error(mcp->version, id, code, text, NULL));
}

static void serve_message(Mcp *mcp, McpBatch *batch, json_t *message)
{
	const json_t *version = json_object_get(message, "jsonrpc"), *method = json_object_get(message, "method");
	json_t *id = json_object_get(message, "id"), *params = json_object_get(message, "params");
	const char *name = json_string_value(method);

	if (!json_is_object(message)) {
		serve_error(mcp, batch, NULL, MCP_INVALID_REQUEST, "a message is an object");
		return;
	}
	if (id && !id_fits(id)) {
		serve_error(mcp, batch, NULL, MCP_INVALID_REQUEST,
			"id must be an integer or a string of at most 1024 bytes");
		return;
	}
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0) {
		serve_error(mcp, batch, id, MCP_INVALID_REQUEST, "jsonrpc must be \"2.0\"");
		return;
	}
	/* an answer: nothing was asked */
	if (!method && (json_object_get(message, "result") || json_object_get(message, "error")))
		return;
	if (!name || strlen(name) != json_string_length(method)) {
		serve_error(mcp, batch, id, MCP_INVALID_REQUEST, "method must be a string without NUL");
		return;
	}
	if (!id) {
		if (strcmp(name, "notifications/cancelled") == 0)
			notice_cancelled(mcp, params);
		return;
	}
	if (params && !json_is_object(params)) {
		serve_error(mcp, batch, id, MCP_INVALID_PARAMS, "params must be an object");
		return;
	}
	if (call_by_id(mcp, id)) {
		serve_error(mcp, batch, NULL, MCP_INVALID_REQUEST, "id is that of a request that is not answered yet");
		return;
	}
	serve_request(mcp, batch, name, id, params);
}

static void serve_batch(Mcp *mcp, json_t *messages)
{
	McpBatch *batch;
	json_t *message;
	size_t i;

	if (mcp->version != MCP_2025_03_26) {
		serve_error(mcp, NULL, NULL, MCP_INVALID_REQUEST, "batches exist in revision 2025-03-26 only");
		return;
	}
	if (json_array_size(messages) < 1 || json_array_size(messages) > MCP_BATCH_MAX) {
		serve_error(mcp, NULL, NULL, MCP_INVALID_REQUEST, "a batch has 1 to 32 messages");
		return;
	}
	batch = calloc(1, sizeof(*batch));
	if (batch)
		batch->answers = json_array();
	if (!batch || !batch->answers) {
		free(batch);
		mcp->failed = true;
		return;
	}
	batch->waiting = 1;
	json_array_foreach(messages, i, message) serve_message(mcp, batch, message);
	(void)batch_unref(mcp, batch);
}

int mcp_line(Mcp *mcp, const char *line, size_t n)
{
	_cleanup_json_ json_t *message = NULL;
	char why[256];
	int r = jsontext_parse(line, n, &message, why, sizeof(why));

	if (r == -EINVAL)
		return mcp_bad_line(mcp, why);
	if (r < 0)
		return r;
	if (json_is_array(message))
		serve_batch(mcp, message);
	else
		serve_message(mcp, NULL, message);
	return mcp->failed ? -ENOMEM : 0;
}

int mcp_bad_line(Mcp *mcp, const char *why)
{
	serve_error(mcp, NULL, NULL, MCP_PARSE_ERROR, why);
	return mcp->failed ? -ENOMEM : 0;
}

size_t mcp_calls(const Mcp *mcp)
{
	return mcp->n_calls;
}

static int call_progress(McpCall *call)
{
	double elapsed = (double)(now_usec() - call->begun_usec) / 1e6;
	json_t *params = json_pack("{s:O, s:f}", "progressToken", call->token, "progress", elapsed);

	if (params && call->timeout_usec != RUN_DEFAULT &&
		json_object_set_new(params, "total", json_real((double)call->timeout_usec / 1e6)) < 0)
		goto fail;
	if (params && call->version >= MCP_2025_03_26 &&
		json_object_set_new(params, "message",
			call->line_n ? jsontext_string(call->line, call->line_n) : json_string("running")) < 0)
		goto fail;
	server_send(call->mcp,
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", "notifications/progress", "params", params));
	return call->mcp->failed ? -ENOMEM : 0;
fail:
	json_decref(params);
	return -ENOMEM;
}

int mcp_progress(Mcp *mcp)
{
	for (McpCall *call = mcp->calls; call; call = call->next)
		if (call->tool && call->token) {
			int r = call_progress(call);

			if (r < 0)
				return r;
		}
	return 0;
}

int mcp_new(const McpHooks *hooks, void *userdata, const McpFolders *folders, Mcp **ret)
{
	Mcp *mcp = calloc(1, sizeof(*mcp));

	if (!mcp)
		return -ENOMEM;
	*mcp = (Mcp){ .hooks = hooks, .userdata = userdata, .folders = *folders, .version = MCP_NONE };
	*ret = mcp;
	return 0;
}

Mcp *mcp_free(Mcp *mcp)
{
	if (!mcp)
		return NULL;
	while (mcp->calls) {
		McpCall *call = mcp->calls;

		if (call->tool)
			mcp->hooks->stop(mcp->userdata, call);
		call_free(call);
	}
	free(mcp);
	return NULL;
}
