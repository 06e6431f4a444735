# SPDX-License-Identifier: MIT
"""creel mcp, by raw messages of each revision of the protocol."""

import base64
import contextlib
import json
import os
import signal
import time

import pytest

from conftest import wait_until

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS = "2026-07-28"
FIELDS = (
    "stdout stderr error exit_code signal reason duration_ms cpu_ms memory_peak truncated files state"  # in this order
).split()
TOOLS = (
    "execute_python execute_shell execute_node reset_repl run_file list_files read_output list_sessions "
    "service_create service_list job_start job_logs cron_add cron_list ps status"
).split()
META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
SLEEP = "sleep 86399"


class Client:
    """One connection. Without a handshake, each request says its revision itself."""

    def __init__(self, agent, version):
        self.lines, self.version, self.last = agent.lines("mcp"), version, 0
        if version in HANDSHAKES:
            self.hello = self.request(
                "initialize", protocolVersion=version, capabilities={}, clientInfo={"name": "test", "version": "1"}
            )["result"]
            self.notify("notifications/initialized")

    def notify(self, method, **params):
        self.lines.send(jsonrpc="2.0", method=method, params=params)

    def message(self, method, meta=None, **params):
        self.last += 1
        if self.version == STATELESS:
            meta = {**META, **(meta or {})}
        if meta:
            params["_meta"] = meta
        return {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}

    def send(self, method, **params):
        self.lines.send(**self.message(method, **params))
        return self.last

    def request(self, method, **params):
        """What comes next, which must be its answer."""
        number = self.send(method, **params)
        answer = self.lines.receive()
        assert answer["jsonrpc"] == "2.0" and answer["id"] == number, answer
        return answer

    def call(self, tool, /, meta=None, **arguments):
        """The result of a tool that must not be a protocol error."""
        return self.request("tools/call", meta=meta, name=tool, arguments=arguments)["result"]

    def data(self, tool, /, **arguments):
        """The object that it gives as text."""
        result = self.call(tool, **arguments)
        return json.loads(result["content"][0]["text"])

    def error(self, method, **params):
        return self.request(method, **params)["error"]


@pytest.fixture(params=[*HANDSHAKES, STATELESS])
def client(agent, request):
    return Client(agent, request.param)


@pytest.fixture
def one(agent):
    return Client(agent, "2025-11-25")


# ---- what each revision says ----


def test_handshake_and_lists(client):
    later = client.version >= "2025-06-18"
    if client.version == STATELESS:
        result = client.request("server/discover")["result"]
        assert result["supportedVersions"] == [STATELESS, *reversed(HANDSHAKES)]
        assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 3600000, "public")
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "creel"
        assert client.error("ping")["code"] == -32601, "it has none"
    else:
        result = client.hello
        assert result["protocolVersion"] == client.version and result["serverInfo"]["name"] == "creel"
        assert client.request("ping")["result"] == {}
        assert client.error("server/discover")["code"] == -32602, "without the revision in it"
        assert client.error("initialize", protocolVersion="2025-06-18")["code"] == -32600, "once"
    assert set(result["capabilities"]) == {"tools", "resources"}
    assert client.error("logging/setLevel", level="info")["code"] == -32601, "not offered"
    assert client.error("prompts/list")["code"] == -32601

    listed = client.request("tools/list")["result"]
    assert [tool["name"] for tool in listed["tools"]] == TOOLS
    for tool in listed["tools"]:
        assert tool["inputSchema"]["type"] == "object" and not tool["inputSchema"]["additionalProperties"]
        assert ("outputSchema" in tool) == ("title" in tool) == later
        assert ("annotations" in tool) == (client.version >= "2025-03-26")
    python = listed["tools"][0]["inputSchema"]
    assert python["required"] == ["code"] and python["properties"]["timeout"]["type"] == "number"
    assert ("resultType" in listed) == (client.version == STATELESS)
    assert client.error("tools/list", cursor="x")["code"] == -32602


def test_results(client):
    result = client.call("execute_shell", command="echo out; echo err >&2; exit 3")
    data = json.loads(result["content"][0]["text"])
    assert list(data) == FIELDS and result["isError"] is True
    assert (data["stdout"], data["stderr"], data["error"]) == ("out\n", "err\n", "Error: exit status 3")
    assert ("structuredContent" in result) == (client.version >= "2025-06-18")
    if client.version >= "2025-06-18":
        assert result["structuredContent"] == data
    assert ("resultType" in result) == (client.version == STATELESS)
    good = client.call("execute_shell", command="true")
    assert good["isError"] is False and json.loads(good["content"][0]["text"])["error"] is None

    bad = client.call("execute_shell", cmd="true")
    assert bad["isError"] is True and "`cmd`" in bad["content"][0]["text"], "the model can mend it"
    assert client.error("tools/call", name="no_such_tool")["code"] == -32602
    missing = client.error("resources/read", uri="creel://output/none")
    assert missing["code"] == (-32602 if client.version == STATELESS else -32002)
    assert missing["data"] == {"uri": "creel://output/none"}


def test_batches_are_of_one_revision(client):
    batch = [client.message("ping"), client.message("tools/call", name="execute_shell", arguments={"command": "echo 1"})]
    client.lines.send_bytes(json.dumps(batch).encode() + b"\n")
    answer = client.lines.receive()
    if client.version != "2025-03-26":
        assert answer["error"]["code"] == -32600 and "2025-03-26" in answer["error"]["message"]
        return
    assert sorted(one["id"] for one in answer) == [client.last - 1, client.last]
    for bad in ([], [client.message("ping")] * 33):
        client.lines.send_bytes(json.dumps(bad).encode() + b"\n")
        assert client.lines.receive()["error"]["code"] == -32600
    only_notices = [{"jsonrpc": "2.0", "method": "notifications/initialized"}]
    client.lines.send_bytes(json.dumps(only_notices).encode() + b"\n")
    assert client.request("ping")["result"] == {}, "which have no answer"


@pytest.mark.parametrize("asked, agreed", [("1999-01-01", "2025-11-25"), (STATELESS, "2025-11-25"), ("", "2025-11-25")])
def test_unknown_versions_are_answered_with_ours(agent, asked, agreed):
    lines = agent.lines("mcp")
    answer = lines.call(jsonrpc="2.0", id=1, method="initialize", params={"protocolVersion": asked, "capabilities": {}})
    assert answer["result"]["protocolVersion"] == agreed


def test_a_request_says_its_revision_or_there_was_a_handshake(agent):
    lines = agent.lines("mcp")

    def ask(id, **meta):
        return lines.call(jsonrpc="2.0", id=id, method="tools/list", params={"_meta": meta} if meta else {})

    assert ask(1)["error"]["code"] == -32602
    assert ask(2, **{"io.modelcontextprotocol/protocolVersion": STATELESS})["error"]["code"] == -32602, "capabilities"
    other = ask(3, **{**META, "io.modelcontextprotocol/protocolVersion": "2031-01-01"})["error"]
    assert other["code"] == -32022 and other["data"]["requested"] == "2031-01-01"
    assert STATELESS in other["data"]["supported"]
    assert "tools" in ask(4, **META)["result"]
    assert "error" in ask(5), "what another request said is not remembered"
    assert lines.call(jsonrpc="2.0", id="p", method="ping")["result"] == {}


def test_subscriptions_are_acknowledged_with_nothing(agent):
    client = Client(agent, STATELESS)
    number = client.send("subscriptions/listen", notifications={"toolsListChanged": True})
    notice = client.lines.receive()
    assert notice["method"] == "notifications/subscriptions/acknowledged" and notice["params"]["notifications"] == {}
    assert notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == number
    client.notify("notifications/cancelled", requestId=number)
    assert "tools" in client.request("tools/list")["result"]


# ---- tools ----


def test_python_keeps_its_state_over_connections(agent):
    first, second = Client(agent, "2025-06-18"), Client(agent, STATELESS)
    assert first.data("execute_python", code="x = 20")["error"] is None
    result = second.data("execute_python", code="print(x)\nx + 1")
    assert result["stdout"] == "20\n21\n" and result["state"] == "preserved"
    assert second.data("execute_python", code="x", session="other")["error"] == "NameError: name 'x' is not defined"
    names = {(one["name"], one["language"]) for one in second.data("list_sessions")["sessions"]}
    assert names == {("main", "python"), ("other", "python")}
    assert first.data("reset_repl") == {"stdout": "Python REPL reset.\n", "stderr": "", "error": None}
    assert "NameError" in second.data("execute_python", code="x")["error"]


def test_shell_and_node_begin_anew(one):
    one.data("execute_shell", command="cd /; x=1")
    assert one.data("execute_shell", command="echo ${x:-none}")["stdout"] == "none\n"
    result = one.data("execute_node", code="console.log(6 * 7)")
    assert result["stdout"] == "42\n", result
    assert "`language`" in one.data("execute_node", code="1", language="python")["error"]


def test_time_is_bounded(one):
    result = one.data("execute_shell", command="echo begun; sleep 1000", timeout=0.5)
    assert (result["stdout"], result["error"], result["reason"]) == ("begun\n", "Error: timeout exceeded", "timeout")
    looser = one.call("execute_shell", command="true", timeout=121)
    assert looser["isError"] and looser["structuredContent"]["reason"] == "refused"
    assert "timeout" in looser["structuredContent"]["error"]


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({}, "`code` is missing"),
        ({"code": 5}, "`code`"),
        ({"code": "1", "timeout": "soon"}, "`timeout`"),
        ({"code": "1", "timeout": 0}, "`timeout`"),
        ({"code": "1", "timeout": -1}, "`timeout`"),
        ({"code": "1", "figures": "yes"}, "`figures`"),
        ({"code": "1", "session": "a\0b"}, "`session`"),
        ({"code": "1", "session": ""}, "`session` must be a name"),
        ({"code": "1", "more": 1}, "`more`"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(one, arguments, word):
    result = one.call("execute_python", **arguments)
    assert result["isError"] and word in result["structuredContent"]["error"]
    assert list(result["structuredContent"]) == FIELDS and result["structuredContent"]["reason"] == "refused"


def test_run_file(one, agent):
    folder = agent.home / "workspace"
    (folder / "a.py").write_text("import sys; print(sys.argv[1:])\n")
    (folder / "script").write_text("#!/bin/sh\necho sh\n")
    (folder / "data").write_text("1\n")
    assert one.data("run_file", path="a.py", arguments=["x", "y z"])["stdout"] == "['x', 'y z']\n"
    assert one.data("run_file", path=str(folder / "script"))["stdout"] == "sh\n"
    assert "`language` is needed" in one.data("run_file", path="data")["error"]
    assert one.data("run_file", path="data", language="python")["error"] is None
    assert one.data("run_file", path="none.py")["error"].endswith("No such file or directory")


def test_files_are_those_of_the_folders(one, agent):
    workspace, output = agent.home / "workspace", agent.home / "workspace" / "output"
    (agent.home / "secret").write_text("secret")
    (workspace / "note.txt").write_text("text")
    (output / "inner").mkdir()
    (output / "inner" / "plot 1.png").write_bytes(b"\x89PNG\0")
    (workspace / "inside").symlink_to("note.txt")
    (workspace / "outside").symlink_to(agent.home / "secret")
    (workspace / "above").symlink_to("..")
    os.mkfifo(workspace / "fifo")
    kept = agent.home / ".creel" / "output"
    kept.mkdir(parents=True)
    (kept / "run-7.stdout").write_text("all of it\n")

    listed = one.data("list_files")
    assert listed["folder"] == str(workspace) and listed["left_out"] == 0
    types = {entry["name"]: entry["type"] for entry in listed["entries"]}
    assert types == {
        "above": "link", "fifo": "special", "inside": "link", "note.txt": "file", "output": "folder", "outside": "link"
    }
    names = [entry["name"] for entry in one.data("list_files", folder="output", recursive=True)["entries"]]
    assert names == ["inner", "inner/plot 1.png"]
    assert [entry["name"] for entry in one.data("list_files", folder="runs")["entries"]] == ["run-7.stdout"]

    assert one.data("read_output", path=str(workspace / "note.txt"))["data"] == "text"
    assert one.data("read_output", path="inner/plot 1.png")["encoding"] == "base64"
    assert one.data("read_output", path=str(kept / "run-7.stdout"))["data"] == "all of it\n"
    for path in (workspace / "inside", workspace / "outside", workspace / "above" / "secret", agent.home / "secret", "../../secret", "/etc/passwd",
                 workspace / "fifo", output / "inner", workspace / ".." / "secret"):
        refused = one.call("read_output", path=str(path))
        assert refused["isError"] and "secret" not in refused["content"][0]["text"].replace(str(path), "")
        assert one.call("run_file", path=str(path), language="bash")["isError"]
    assert one.call("list_files", path="above")["isError"] and one.call("list_files", path="..")["isError"]

    uris = [entry["uri"] for entry in one.request("resources/list")["result"]["resources"]]
    assert uris == ["creel://output/inner/plot%201.png"]
    image = one.request("resources/read", uri=uris[0])["result"]["contents"][0]
    assert image["mimeType"] == "image/png" and base64.b64decode(image["blob"]) == b"\x89PNG\0"
    text = one.request("resources/read", uri="creel://workspace/note.txt")["result"]["contents"][0]
    assert text["text"] == "text" and text["mimeType"] == "text/plain"
    for uri in ("creel://workspace/outside", "creel://workspace/..%2Fsecret", "creel://workspace/../secret", "creel://output/%00",
                "creel://elsewhere/x", "file:///etc/passwd", "creel://output/%zz", "creel://workspace/fifo"):
        assert one.error("resources/read", uri=uri)["code"] == -32002, uri
    templates = one.request("resources/templates/list")["result"]["resourceTemplates"]
    assert [one["uriTemplate"].split("{")[0] for one in templates] == [
        "creel://output/", "creel://workspace/", "creel://runs/"
    ]


def test_files_are_read_in_parts(one, agent):
    output = agent.home / "workspace" / "output"
    (output / "text").write_text("äöü" * 10)
    (output / "big").write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    first = one.data("read_output", path="text", bytes=5)
    assert (first["data"], first["encoding"], first["next_offset"], first["bytes"]) == ("äö", "utf-8", 4, 60)
    assert one.data("read_output", path="text", offset=4, bytes=100)["next_offset"] is None
    assert one.data("read_output", path="text", offset=1, bytes=2)["encoding"] == "base64"
    assert one.data("read_output", path="text", offset=1000)["data"] == ""
    assert one.call("read_output", path="text", bytes=2**21)["isError"]
    large = one.error("resources/read", uri="creel://output/big")
    assert large["code"] == -32602 and "10485761 bytes" in large["message"]
    assert one.data("read_output", path="big", offset=10 * 1024 * 1024)["data"] == "x"


def test_many_files(one, agent):
    output = agent.home / "workspace" / "output"
    for number in range(1100):
        (output / f"{number}").touch()
    listed = one.data("list_files", folder="output")
    assert len(listed["entries"]) == 1000 and listed["left_out"] == 100
    # pages, while one file comes and another goes
    page = one.request("resources/list")["result"]
    names = [resource["name"] for resource in page["resources"]]
    assert len(names) == 1000 and page["nextCursor"]
    (output / names[0]).unlink()
    (output / "zz\udcff").touch()
    page = one.request("resources/list", cursor=page["nextCursor"])["result"]
    names += [resource["name"] for resource in page["resources"]]
    assert names == sorted([str(number) for number in range(1100)] + ["zz\ufffd"]) and "nextCursor" not in page
    for cursor in ("", "!", "AA==", 5, None):
        assert one.error("resources/list", cursor=cursor)["code"] == -32602, cursor


def test_output_files_are_links_to_resources(one, agent):
    result = one.call("execute_shell", command="printf 1,2 > ~/workspace/output/t.csv")
    assert [file["name"] for file in result["structuredContent"]["files"]] == ["t.csv"]
    link = result["content"][1]
    assert (link["type"], link["uri"], link["mimeType"]) == ("resource_link", "creel://output/t.csv", "text/csv")


# ---- cancellation and progress ----


def test_cancelled_is_killed_and_not_answered(client, agent):
    number = client.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
    wait_until(lambda: any(SLEEP in line for line in agent.descendants()), "the run")
    client.notify("notifications/cancelled", requestId=number + 1000)
    client.notify("notifications/cancelled", requestId=number, reason="enough")
    wait_until(lambda: not any(SLEEP in line for line in agent.descendants()), "its end")
    assert client.call("execute_shell", command="true")["isError"] is False, "and that is the next answer"


def test_progress_while_it_runs(one, agent):
    one.send(
        "tools/call", meta={"progressToken": "t"}, name="execute_shell",
        arguments={"command": "echo first; echo last line; exec sleep 86399", "timeout": 100},
    )
    notices = [one.lines.receive() for _ in range(2)]
    for notice in notices:
        assert notice["method"] == "notifications/progress" and notice["params"]["progressToken"] == "t"
        assert notice["params"]["total"] == 100
    assert notices[0]["params"]["progress"] < notices[1]["params"]["progress"]
    one.notify("notifications/cancelled", requestId=one.last)
    assert one.request("ping")["result"] == {}


def test_the_last_line_of_output_is_told(one):
    one.send(
        "tools/call", meta={"progressToken": 5}, name="execute_python",
        arguments={"code": "import time; print('almost', flush=True)\nwhile True: time.sleep(0.1)", "timeout": 60},
    )
    wait_until(lambda: one.lines.receive()["params"]["message"] == "almost", "the line")
    one.notify("notifications/cancelled", requestId=one.last)


def test_several_at_a_time(one):
    slow = one.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
    quick = one.request("tools/call", name="execute_shell", arguments={"command": "echo quick"})
    assert quick["result"]["structuredContent"]["stdout"] == "quick\n"
    one.lines.send(jsonrpc="2.0", id=slow, method="ping")
    twice = one.lines.receive()
    assert twice.get("id") is None and twice["error"]["code"] == -32600, "that id is taken"


def test_no_more_than_a_bound(one):
    for _ in range(32):
        one.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
    refused = one.call("execute_shell", command="true")
    assert refused["isError"] and "32 calls" in refused["content"][0]["text"]


# ---- what is wrong ----


@pytest.mark.parametrize(
    "line, code",
    [
        (b"{", -32700),
        (b"no", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}\0', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700),
        (b"[" * 1000 + b"]" * 1000, -32700),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700),
        (b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}', -32700),
        (b"[]", -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping\\u0000"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"nothing"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_files","arguments":[]}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":[]}}}', -32602),
    ],
)
def test_bad_messages(one, line, code):
    one.lines.send_bytes(line + b"\n")
    answer = one.lines.receive()
    assert answer["error"]["code"] == code, answer
    assert one.request("ping")["result"] == {}, "the next message is served"


def test_what_needs_no_answer_gets_none(one):
    for line in (b"", b"  ", b'{"jsonrpc":"2.0","id":9,"result":{}}', b'{"jsonrpc":"2.0","method":"notifications/x"}',
                 b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[]}}',
                 b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":5}'):
        one.lines.send_bytes(line + b"\n")
    assert one.request("ping")["result"] == {}


def test_half_a_line_then_the_end(agent):
    one = Client(agent, "2025-11-25")
    one.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
    wait_until(lambda: any(SLEEP in line for line in agent.descendants()), "the run")
    one.lines.send_bytes(b'{"jsonrpc":"2.0","id":')
    one.lines.close()
    assert "ended within" in one.lines.receive()["error"]["message"]
    assert one.lines.receive() is None and one.lines.wait() == 0
    wait_until(lambda: not any(SLEEP in line for line in agent.descendants()), "nothing is left behind")


def test_killed_leaves_nothing(agent):
    one = Client(agent, "2025-11-25")
    one.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
    wait_until(lambda: any(SLEEP in line for line in agent.descendants()), "the run")
    one.lines.process.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(SLEEP in line for line in agent.descendants()), "nothing is left behind")


def test_nobody_reads_any_more(agent):
    one = Client(agent, "2025-11-25")
    one.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
    wait_until(lambda: any(SLEEP in line for line in agent.descendants()), "the run")
    one.lines.process.stdout.close()
    with contextlib.suppress(BrokenPipeError):  # it hears of it at once
        one.send("ping")
    assert one.lines.wait() == 1
    wait_until(lambda: not any(SLEEP in line for line in agent.descendants()), "nothing is left behind")


def test_calls_that_are_cancelled_at_once(one, agent):
    """Many of them: what was not refused before is not answered, and none is left."""
    for _ in range(200):
        number = one.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
        one.notify("notifications/cancelled", requestId=number)
    end = one.send("ping")
    while (answer := one.lines.receive())["id"] != end:
        assert answer["result"]["structuredContent"]["reason"] == "refused", answer
    wait_until(lambda: not any(SLEEP in line for line in agent.descendants()), "their end")
    results = []

    def taken():
        # their room is free a moment after they are gone
        results.append(one.data("execute_shell", command="echo next"))
        return results[-1]["reason"] != "refused"

    wait_until(taken, "room")
    assert results[-1]["stdout"] == "next\n", results


def test_large_and_odd_code(one):
    code = "x = '" + "y" * (10 * 1024 * 1024) + "'; print(len(x))"
    assert one.data("execute_python", code=code, session="large")["stdout"] == "10485760\n"
    assert one.data("execute_shell", command="echo a; false \0b")["reason"] in ("ok", "exit"), "bash leaves NUL out"
    one.lines.send_bytes(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (17 * 1024 * 1024) + b'"}\n')
    assert "16 MiB" in one.lines.receive()["error"]["message"]
    assert one.request("ping")["result"] == {}


def memory(process):
    """The most that it ever had, in bytes."""
    for line in open(f"/proc/{process.pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def test_a_client_that_does_not_read(agent):
    """It is not read from either, and its answers do not pile up."""
    one = Client(agent, "2025-11-25")
    (agent.home / "workspace" / "output" / "big").write_bytes(b"x" * (4 * 1024 * 1024))
    os.set_blocking(one.lines.process.stdin.fileno(), False)
    data = b"".join(
        json.dumps({"jsonrpc": "2.0", "id": n, "method": "resources/read", "params": {"uri": "creel://output/big"}}).encode() + b"\n"
        for n in range(100, 3000)
    )
    sent = 0
    quiet = 0
    while quiet < 20:
        try:
            sent += os.write(one.lines.process.stdin.fileno(), data[sent : sent + 4096])
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.05)  # nothing tells that nothing will happen
    assert sent < len(data) and memory(one.lines.process) < 64 * 1024 * 1024
    assert json.loads(one.lines.line())["id"] == 100
    assert json.loads(one.lines.line())["id"] == 101, "and goes on when it reads"


def test_without_a_keeper(agent):
    one = Client(agent, "2025-11-25")
    agent.stop_keeper()
    refused = one.call("execute_shell", command="true")
    assert refused["isError"] and "no keeper" in refused["content"][0]["text"]
    assert one.call("list_sessions")["isError"] and one.call("reset_repl")["isError"]
    agent.start_keeper()
    assert one.data("execute_shell", command="echo back")["stdout"] == "back\n"
    one.send("tools/call", name="execute_shell", arguments={"command": f"exec {SLEEP}"})
    wait_until(lambda: any(SLEEP in line for line in agent.descendants()), "the run")
    agent.stop_keeper()
    gone = one.lines.receive()["result"]["structuredContent"]
    assert gone["reason"] == "cancelled" and "keeper" in gone["error"]
    agent.start_keeper()


def test_wrong_usage(agent):
    assert agent.creel("mcp", "x").returncode == 2


# ---- tools that are creel's verbs ----


def verb(client, tool, **arguments):
    result = client.call(tool, **arguments)
    return result["isError"], json.loads(result["content"][0]["text"])


def test_verbs_are_executed(one, agent):
    """No user manager here: what comes is what the verb says of that, with its status."""
    failed, data = verb(one, "job_start", name="x", command=["sleep", "1"])
    assert failed and list(data) == ["result", "error", "exit_code"] and data["exit_code"] == 1 and data["result"] is None
    assert data["error"].startswith("creel") and "manager" in data["error"]
    failed, data = verb(one, "job_start", name="a/b", command=["--json"])
    assert failed and data["exit_code"] in (1, 2) and "slash" in data["error"], "it is judged by the verb"


@pytest.mark.parametrize("tool, arguments, word", [
    ("job_start", {"name": "--restart", "command": ["true"]}, "`name`"),
    ("job_start", {"name": "x", "command": []}, "`command`"),
    ("job_start", {"name": "x", "command": "true"}, "`command`"),
    ("job_start", {"name": "x"}, "`command`"),
    ("job_logs", {"name": "", "lines": 5}, "`name`"),
    ("job_logs", {"name": "x", "lines": 10001}, "`lines`"),
    ("service_create", {"name": "x", "command": ["true"]}, "`port`"),
    ("service_create", {"name": "x", "command": ["true"], "port": 3000, "restart": "never"}, "`restart`"),
    ("service_create", {"name": "x", "command": ["true"], "port": 3000, "timeout": 0}, "`timeout`"),
    ("cron_add", {"schedule": "-r", "script": "x"}, "`schedule`"),
    ("cron_add", {"schedule": "@daily", "script": "-"}, "`script`"),
    ("ps", {"all": True}, "`all`"),
])
def test_arguments_of_verbs_are_judged(one, tool, arguments, word):
    result = one.call(tool, **arguments)
    assert result["isError"] and word in result["content"][0]["text"], result
