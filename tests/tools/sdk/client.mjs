// SPDX-License-Identifier: MIT
// client.mjs GENERATION COMMAND [ARGUMENT...]: one session with the MCP server that the command is, by the official TypeScript
// SDK: `1` (the handshake), `2` (the newest revision, pinned) or `auto` (the SDK finds out). Prints what it saw as JSON.

const [generation, command, ...args] = process.argv.slice(2);
const seen = {};

async function open() {
	const info = { name: "creel-test", version: "1" };
	const server = { command, args, env: process.env, stderr: "inherit" };

	if (generation === "1") {
		const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
		const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
		const client = new Client(info);
		await client.connect(new StdioClientTransport(server));
		return client;
	}
	const { Client } = await import("@modelcontextprotocol/client");
	const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
	const mode = generation === "auto" ? "auto" : { pin: "2026-07-28" };
	const client = new Client(info, { versionNegotiation: { mode } });
	await client.connect(new StdioClientTransport(server));
	seen.version = client.getNegotiatedProtocolVersion();
	return client;
}

const client = await open();

function call(name, args, options = {}) {
	const runs = name.startsWith("execute_") && { timeout: 60 };  // seconds: the machine may be an emulated one
	const request = { name, arguments: { ...runs, ...args } };
	const more = { timeout: 600000, ...options };
	return generation === "1" ? client.callTool(request, undefined, more) : client.callTool(request, more);
}

seen.server = client.getServerVersion();
seen.tools = (await client.listTools()).tools.map((tool) => tool.name);
await call("reset_repl", { session: "sdk" });
await call("execute_python", { code: "x = 41", session: "sdk" });
seen.python = await call("execute_python", { code: "print(x + 1)", session: "sdk" });
seen.shell = await call("execute_shell", { command: "echo out; echo err >&2; exit 3" });
seen.node = await call("execute_node", { code: "console.log(process.argv.length > 0)" });
seen.wrong = await call("execute_shell", { cmd: "true" });
try {
	await call("no_such_tool", {});
	seen.unknown = null;
} catch (error) {
	seen.unknown = error.code;
}

seen.progress = [];
await call("execute_shell", { command: "echo begun; sleep 3" },
	{ onprogress: (progress) => seen.progress.push(progress) });

await call("execute_shell", { command: "mkdir -p ~/workspace/output; echo a,b > ~/workspace/output/sdk.csv" });
seen.resources = (await client.listResources()).resources.map((resource) => resource.uri);
seen.resource = (await client.readResource({ uri: "creel://output/sdk.csv" })).contents[0];
seen.templates = (await client.listResourceTemplates()).resourceTemplates.map((template) => template.name);

const abort = new AbortController();
const cancelled = call("execute_shell", { command: "touch ~/workspace/sdk-begun; sleep 7531", timeout: 100 },
	{ signal: abort.signal });
for (;;) {
	const { structuredContent } = await call("list_files", {});
	if (structuredContent.entries.some((entry) => entry.name === "sdk-begun"))
		break;
}
abort.abort("enough");
try {
	await cancelled;
	seen.cancelled = false;
} catch (error) {
	seen.cancelled = true;
}
seen.after = await call("execute_shell", { command: "rm ~/workspace/sdk-begun; echo after" });
await client.close();
console.log(JSON.stringify(seen));
process.exit(0);
