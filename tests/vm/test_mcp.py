# SPDX-License-Identifier: MIT
"""`ssh -T -s agent@vm mcp`: the Model Context Protocol through the real front, keeper and confinement.

What the protocol's revisions say to each message is tested without a VM: tests/tools/test_mcp.py.
"""

import contextlib
import json
import os
import select
import sys
import time

import pytest

from harness import BUILD, ROOT, marker, policy, wait_until

sys.path.append(str(ROOT / "tests" / "tools"))

import mcpsdk  # noqa: E402

STATELESS = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": STATELESS, "io.modelcontextprotocol/clientCapabilities": {}}
SUBSYSTEM = ["-T", "-s"]
ANSWER = 120.0  # seconds, of an emulated VM


class Client:
    """One connection, with a handshake unless it is of the stateless revision."""

    def __init__(self, process, version):
        self.process, self.version, self.rest, self.last = process, version, b"", 0
        if version != STATELESS:
            hello = self.request("initialize", protocolVersion=version, capabilities={},
                                 clientInfo={"name": "test", "version": "1"})
            assert hello["protocolVersion"] == version and hello["serverInfo"]["name"] == "creel"
            self.send("notifications/initialized", id=False)

    def send(self, method, id=True, **params):
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        if id:
            self.last += 1
            message["id"] = self.last
            if self.version == STATELESS:
                params["_meta"] = META
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return self.last

    def receive(self):
        end = time.monotonic() + ANSWER
        while b"\n" not in self.rest:
            assert select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0], "no answer"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, "it ended"
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def request(self, method, **params):
        number = self.send(method, **params)
        answer = self.receive()
        assert answer["id"] == number and "result" in answer, answer
        return answer["result"]

    def call(self, tool, **arguments):
        """What the tool gives, from the text."""
        return json.loads(self.request("tools/call", name=tool, arguments=arguments)["content"][0]["text"])


@contextlib.contextmanager
def connected(vm, version):
    with vm.agent.start("mcp", SUBSYSTEM) as process:
        yield Client(process, version)
        process.stdin.close()
        assert process.wait(ANSWER) == 0, "it ends with its input"


@pytest.fixture(scope="module", autouse=True)
def node(vm):
    """Where the VM has a Node.js that knows TypeScript; and no session stays."""
    with policy(vm, "[javascript]\ninterpreter = /opt/node/bin/node\n"):
        yield
        for session in json.loads(vm.agent.sh("creel sessions --json")):
            vm.agent.sh(f"creel sessions reset {session['language']} {session['name']}")


def test_two_revisions_and_one_state(vm):
    with connected(vm, "2024-11-05") as first:
        names = [tool["name"] for tool in first.request("tools/list")["tools"]]
        assert names == mcpsdk.TOOLS
        assert first.call("execute_python", code="import os\nx = 20", timeout=60)["error"] is None
    with connected(vm, STATELESS) as second:
        assert STATELESS in second.request("server/discover")["supportedVersions"]
        result = second.call("execute_python", code="print(os.getuid())\nx + 1", timeout=60)
        assert result["stdout"] == f"{vm.uid()}\n21\n" and result["state"] == "preserved", "another connection, the same state"
        sessions = second.call("list_sessions")["sessions"]
        assert [(one["name"], one["language"], one["state"]) for one in sessions] == [("main", "python", "idle")]
        assert second.call("execute_node", code="const n: number = 42; console.log(n)", language="typescript",
                           timeout=60)["stdout"] == "42\n"
        failed = second.call("execute_shell", command="echo out; exit 3", timeout=60)
        assert (failed["stdout"], failed["error"], failed["reason"]) == ("out\n", "Error: exit status 3", "exit")
        loose = second.call("execute_shell", command="true", timeout=100000)
        assert loose["reason"] == "refused" and "timeout" in loose["error"]
        second.call("execute_shell", command="mkdir -p ~/workspace/output; echo 1,2 > ~/workspace/output/t.csv", timeout=60)
        assert second.request("resources/read", uri="creel://output/t.csv")["contents"][0]["text"] == "1,2\n"
        assert second.call("reset_repl")["stdout"] == "Python REPL reset.\n"
        assert "NameError" in second.call("execute_python", code="x", timeout=60)["error"]


def test_what_is_cancelled_is_killed(vm):
    seconds = marker()
    with connected(vm, STATELESS) as client:
        number = client.send("tools/call", name="execute_shell", arguments={"command": f"sleep {seconds} & wait", "timeout": 120})
        wait_until(lambda: vm.alive(f"sleep {seconds}"), 60, "the run")
        client.send("notifications/cancelled", id=False, requestId=number)
        wait_until(lambda: not vm.alive(f"sleep {seconds}"), 60, "its end")
        assert client.call("execute_shell", command="echo next", timeout=60)["stdout"] == "next\n", "no answer before it"


def test_a_lost_connection_ends_its_runs(vm):
    seconds = marker()
    with vm.agent.start("mcp", SUBSYSTEM) as process:
        Client(process, STATELESS).send("tools/call", name="execute_shell",
                                        arguments={"command": f"sleep {seconds}", "timeout": 120})
        wait_until(lambda: vm.alive(f"sleep {seconds}"), 60, "the run")
        process.kill()
    wait_until(lambda: not vm.alive(f"sleep {seconds}"), 60, "its end")


@pytest.mark.parametrize("generation", ["1", "2"])
def test_the_official_client(vm, generation):
    folder = mcpsdk.install(BUILD)
    mcpsdk.check(mcpsdk.session(folder, generation, vm.agent.argv("mcp", SUBSYSTEM), timeout=250), generation)
