# SPDX-License-Identifier: MIT
"""creel mcp as an agent without privilege, beside the keeper's own sources, leaves and confinement included."""

import shutil

import pytest

from conftest import wait_until
from test_real_keeper import UID, agent  # noqa: F401

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


@pytest.fixture
def mcp(agent):  # noqa: F811
    one = agent.lines("mcp")
    yield one
    one.end()
    wait_until(lambda: not agent.left(), "no leaf is left")


def send(mcp, id, tool, **arguments):
    mcp.send(jsonrpc="2.0", id=id, method="tools/call", params={"_meta": META, "name": tool, "arguments": arguments})


def call(mcp, tool, **arguments):
    send(mcp, "call", tool, **arguments)
    answer = mcp.receive()
    assert answer["id"] == "call", answer
    return answer["result"]["structuredContent"]


def test_runs_and_files(mcp, agent):  # noqa: F811
    result = call(mcp, "execute_shell", command="id -u; echo text > note.txt; exit 3")
    assert (result["stdout"], result["error"], result["reason"]) == (f"{UID}\n", "Error: exit status 3", "exit")
    assert call(mcp, "read_output", path=str(agent.home / "workspace" / "note.txt"))["data"] == "text\n"
    assert call(mcp, "execute_node", code="console.log(6 * 7)")["stdout"] == "42\n"
    loose = call(mcp, "execute_shell", command="true", timeout=121)
    assert loose["reason"] == "refused" and "120s" in loose["error"]
    # of a run, all that its policy lets the result hold, and the rest in its file
    cut = call(mcp, "execute_shell", command="yes é | head -n 100000")["truncated"]["stdout"]
    part = call(mcp, "read_output", path=cut["file"], offset=cut["bytes"] - 3)
    assert part["data"] == "é\n" and part["next_offset"] is None
    assert call(mcp, "list_files", folder="runs")["entries"][-1]["bytes"] == cut["bytes"]


def test_it_works_within_the_confinement(mcp, agent):  # noqa: F811
    """As it does for an agent who logged in: with the calls that agents may make, and no others."""
    (agent.home / "workspace").mkdir(exist_ok=True)
    shutil.copy(agent.program, agent.home / "workspace" / "creel")
    (agent.home / "workspace" / "inner.txt").write_text("found")
    request = (
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}\n'
        '{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"creel://workspace/inner.txt"}}\n'
    )
    result = call(mcp, "execute_shell", command=f"./creel mcp <<'END'\n{request}END")
    assert result["error"] is None and '"text":"found"' in result["stdout"], result


def test_cancelled_is_killed_and_not_answered(mcp, agent):  # noqa: F811
    send(mcp, 1, "execute_shell", command="trap '' INT TERM HUP; sleep 1000 & sleep 1000")
    wait_until(agent.left, "a leaf")
    mcp.send(jsonrpc="2.0", method="notifications/cancelled", params={"requestId": 1})
    wait_until(lambda: not agent.left(), "its end")
    assert call(mcp, "execute_shell", command="echo next")["stdout"] == "next\n"


def test_python_keeps_its_state(mcp, agent):  # noqa: F811
    assert call(mcp, "execute_python", code="import time\nx = 20")["error"] is None
    other = agent.lines("mcp")
    assert call(other, "execute_python", code="x + 1")["stdout"] == "21\n", "of another connection"
    other.end()
    begun = agent.home / "workspace" / "begun"
    send(mcp, 1, "execute_python", code="x += 1; open('begun', 'w').close(); time.sleep(1000)")
    wait_until(begun.exists, "the call")
    mcp.send(jsonrpc="2.0", method="notifications/cancelled", params={"requestId": 1})
    send(mcp, 2, "execute_python", code="x += 1; time.sleep(1000)", timeout=1)
    answer = mcp.receive()
    assert answer["id"] == 2, "what was cancelled is not answered"
    late = answer["result"]["structuredContent"]
    assert (late["error"], late["state"]) == ("Error: timeout exceeded", "preserved")
    failed = call(mcp, "execute_python", code="x + input()")
    assert failed["error"] == "EOFError: EOF when reading a line" and failed["state"] == "preserved"
    (session,) = call(mcp, "list_sessions")["sessions"]
    assert (session["name"], session["language"], session["state"]) == ("main", "python", "idle")
    assert call(mcp, "reset_repl") == {"stdout": "Python REPL reset.\n", "stderr": "", "error": None}
    assert call(mcp, "execute_python", code="x")["error"] == "NameError: name 'x' is not defined"
    call(mcp, "reset_repl")
    assert call(mcp, "list_sessions")["sessions"] == []


def test_the_end_of_the_input_ends_the_runs(mcp, agent):  # noqa: F811
    send(mcp, 1, "execute_shell", command="sleep 1000 & sleep 1000")
    wait_until(agent.left, "a leaf")
    mcp.close()
    assert mcp.receive() is None and mcp.wait() == 0
    wait_until(lambda: not agent.left(), "its end")
