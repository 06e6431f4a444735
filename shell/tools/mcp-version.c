/* SPDX-License-Identifier: MIT */
/* Revisions of the protocol: their names, the handshake of the older ones, and what a newer client discovers instead. */
#include "shell/tools/mcp-server.h"

#include <string.h>

static const char *const version_names[MCP_VERSIONS_N] = {
	[MCP_2024_11_05] = "2024-11-05",
	[MCP_2025_03_26] = "2025-03-26",
	[MCP_2025_06_18] = "2025-06-18",
	[MCP_2025_11_25] = "2025-11-25",
	[MCP_2026_07_28] = "2026-07-28",
};

static const char instructions[] = "Runs code as this agent's user, within the limits of its policy and on its record. "
				   "execute_python keeps its variables "
				   "from call to call and from connection to connection; execute_shell and "
				   "execute_node begin anew unless a session is "
				   "named. A result has stdout, stderr and error (null when all went well). Files "
				   "written to the output folder are listed "
				   "in `files` and are resources.";

const char *mcp_version_name(McpVersion version)
{
	return version < MCP_VERSIONS_N ? version_names[version] : "";
}

McpVersion mcp_version_of(const char *name)
{
	McpVersion version = 0;

	while (version < MCP_VERSIONS_N && strcmp(name, version_names[version]) != 0)
		version++;
	return version;
}

json_t *mcp_versions(void)
{
	json_t *names = json_array();

	for (size_t i = MCP_VERSIONS_N; i > 0; i--)
		if (json_array_append_new(names, json_string(version_names[i - 1])) < 0) {
			json_decref(names);
			return NULL;
		}
	return names;
}

json_t *mcp_server_info(void)
{
	return json_pack("{s:s, s:s}", "name", "creel", "version", CREEL_VERSION);
}

/* Nothing of the lists changes by itself while a connection lasts, and no resource is watched. */
static json_t *capabilities(void)
{
	return json_pack("{s:{}, s:{}}", "tools", "resources");
}

/*
 * A version that is not ours is answered with our latest; the client then decides. The newest revision has no handshake and
 * cannot be agreed on here.
 */
json_t *method_initialize(McpRequest *request)
{
	const json_t *asked = json_object_get(request->params, "protocolVersion");
	Mcp *mcp = request->mcp;
	McpVersion version;

	if (mcp->version != MCP_NONE)
		return request_fail(request, MCP_INVALID_REQUEST, NULL, "initialize was answered before, with %s",
			mcp_version_name(mcp->version));
	if (request->batch)
		return request_fail(request, MCP_INVALID_REQUEST, NULL, "initialize must not be part of a batch");
	if (!json_is_string(asked))
		return request_fail(request, MCP_INVALID_PARAMS, NULL, "initialize: protocolVersion must be a string");
	version = mcp_version_of(json_string_value(asked));
	if (version > MCP_LATEST_LEGACY)
		version = MCP_LATEST_LEGACY;
	mcp->version = request->version = version;
	return json_pack("{s:s, s:o, s:o, s:s}", "protocolVersion", mcp_version_name(version), "capabilities",
		capabilities(), "serverInfo", mcp_server_info(), "instructions", instructions);
}

json_t *method_discover(McpRequest *request)
{
	return json_pack("{s:o, s:o, s:s}", "supportedVersions", mcp_versions(), "capabilities", capabilities(),
		"instructions", instructions);
}
