# SPDX-License-Identifier: MIT
"""creel exec-server: requests in lines, answers in lines."""

import hashlib
import json
import os
import signal

import pytest

from conftest import wait_until

FIELDS = (
    "stdout stderr error exit_code signal reason duration_ms cpu_ms memory_peak truncated files state"  # in this order
).split()


@pytest.fixture
def server(agent):
    return agent.lines("exec-server")


def run(server, code, language="python", id=1, **more):
    return server.call(id=id, method="run", code=code, language=language, **more)["result"]


def test_result(server):
    answer = server.call(id=1, method="run", code="print('hello')", language="python")
    assert list(answer) == ["id", "result"] and answer["id"] == 1
    result = answer["result"]
    assert list(result) == FIELDS
    assert result["stdout"] == "hello\n" and result["stderr"] == "" and result["error"] is None
    assert (result["exit_code"], result["signal"], result["reason"]) == (0, None, "ok")
    assert result["truncated"] is None and result["files"] == [] and result["state"] is None


def test_ends(server):
    result = run(server, "import sys; sys.exit(3)")
    assert (result["error"], result["exit_code"], result["reason"]) == ("Error: exit status 3", 3, "exit")
    result = run(server, "kill -KILL $$", "bash")
    assert (result["exit_code"], result["signal"], result["reason"]) == (None, "SIGKILL", "signal")
    result = run(server, "print('begun', flush=True)\nwhile True: pass", timeout=1)
    assert (result["stdout"], result["error"], result["reason"]) == ("begun\n", "Error: timeout exceeded", "timeout")


def test_arguments_and_input(server):
    result = run(
        server, "import sys; print(sys.argv[1:], sys.stdin.read())", arguments=["a b", "ü"], stdin="in\0put"
    )
    assert result["stdout"] == "['a b', 'ü'] in\0put\n"
    assert run(server, "cat; echo end", "sh")["stdout"] == "end\n"


def test_output_is_text_in_any_case(server):
    result = run(server, "import os; os.write(1, b'a\\xff\\xc3\\xa9\\xf0\\x9f\\0b')")
    assert result["stdout"] == "a\ufffd\u00e9\ufffd\ufffd\0b"


def test_long_output_has_head_and_tail(server, agent):
    result = run(server, "print('é' * 5000)", output="1K")
    cut = result["truncated"]["stdout"]
    assert cut["bytes"] == 10001 and list(result["truncated"]) == ["stdout"]
    assert (agent.home / ".creel/output" / cut["file"]).read_text() == "é" * 5000 + "\n"
    left = 10001 - 1024
    head, line, tail, end = result["stdout"].split("\n")
    assert set(head) == set(tail) == {"é"} and end == ""
    assert line == f"[... {left + 1024 - 1 - 2 * len(head + tail)} bytes left out; all of it: {cut['file']} ...]"


def test_several_at_once_and_cancel(server):
    for i in range(4):
        server.send(id=f"long {i}", method="run", code="sleep 1000", language="bash")
    assert run(server, "echo short", "bash", id="short")["stdout"] == "short\n"
    for i in range(4):
        assert server.call(id="stop", method="cancel", run=f"long {i}")["result"] == {"cancelled": True}
        answer = server.receive()
        assert answer["id"] == f"long {i}" and answer["result"]["reason"] == "cancelled"
    assert server.call(id="stop", method="cancel", run="long 1")["result"] == {"cancelled": False}


def test_too_many(server):
    for i in range(32):
        server.send(id=i, method="run", code="sleep 1000", language="bash")
    assert server.call(id=32, method="run", code="", language="bash")["error"]["code"] == "too_many"
    server.close()
    assert {server.receive()["result"]["reason"] for _ in range(32)} == {"cancelled"}
    assert server.receive() is None and server.wait() == 0


def test_follow(server):
    code = "import os\nfor c in 'é€'.encode(): os.write(1, bytes([c])); input()"
    server.send(id=7, method="run", code=code, language="python", stdin="\n" * 10, follow=True)
    events = []
    while "result" not in (answer := server.receive()):
        assert list(answer) == ["id", "stream", "data"] and answer["id"] == 7 and answer["stream"] == "stdout"
        events.append(answer["data"])
    assert "".join(events) == "é€" == answer["result"]["stdout"]


def test_session_state(server, agent):
    assert run(server, "x = 41", session="main")["state"] == "preserved"
    result = run(server, "x + 1", session="main")
    assert result["stdout"] == "42\n"
    result = run(server, "nothing", session="main")
    assert (result["error"], result["reason"]) == ("NameError: name 'nothing' is not defined", "exit")
    (session,) = server.call(id=2, method="sessions")["result"]
    assert list(session) == ["name", "language", "state", "since", "idle_ms", "memory"]
    assert (session["name"], session["language"], session["state"]) == ("main", "python", "idle")
    # another connection, the same state
    other = agent.lines("exec-server")
    assert run(other, "x", session="main")["stdout"] == "41\n"
    assert server.call(id=3, method="reset", session="main")["result"] == {"reset": True}
    assert server.call(id=3, method="reset", session="main")["result"] == {"reset": False}
    assert run(server, "x", session="main")["error"].startswith("NameError")


def test_files(server, agent):
    code = "open('output/plot.txt', 'w').write('12345')"
    (file,) = run(server, code)["files"]
    assert list(file) == ["name", "path", "bytes", "sha256", "status"]
    path = agent.home / "workspace/output/plot.txt"
    assert (file["name"], file["path"], file["bytes"], file["status"]) == ("plot.txt", str(path), 5, "ok")
    assert file["sha256"] == hashlib.sha256(b"12345").hexdigest()
    assert run(server, code, collect=False)["files"] == []


def test_limits(server):
    rows = server.call(id=1, method="limits")["result"]
    assert rows[0] == {"name": "memory", "unit": "bytes", "limit": 2**31, "used": 2**20, "origin": "built in"}


def test_refused(server):
    result = run(server, "", timeout=100000)
    assert list(result) == FIELDS
    assert (result["reason"], result["exit_code"]) == ("refused", None)
    assert result["error"] == "Error: timeout: more than the policy's 120s ([exec] max_timeout)"
    assert "cobol" in run(server, "", "cobol")["error"]


@pytest.mark.parametrize(
    "line, code, word",
    [
        (b"{", "parse", "no JSON"),
        (b'{"id": 1, "method": "run"} x', "parse", "no JSON"),
        (b'{"id": 1, "method": "limits\0"}', "parse", "no JSON"),
        (b'{"id": 1, "method": "limits", "x": "\xff"}', "parse", "no JSON"),
        (b"[" * 1000 + b"]" * 1000, "parse", "deeper"),
        (b'{"id": 1, "method": "run", "code": "", "code": "a"}', "parse", "`code` stands twice"),
        (b"[]", "invalid", "an object"),
        (b"7", "parse", "no JSON"),
        (b"{}", "invalid", "`id` is missing"),
        (b'{"id": null, "method": "limits"}', "invalid", "`id` must"),
        (b'{"id": [1], "method": "limits"}', "invalid", "`id` must"),
        (b'{"id": 1}', "invalid", "`method`"),
        (b'{"id": 1, "method": "walk"}', "unknown_method", "walk"),
        (b'{"id": 1, "method": "limits", "extra": 1}', "invalid", "`extra` is unknown"),
        (b'{"id": 1, "method": "run", "language": "bash"}', "invalid", "`code` is missing"),
        (b'{"id": 1, "method": "run", "language": "bash", "code": 5}', "invalid", "`code` must be"),
        (b'{"id": 1, "method": "run", "language": "ba\\u0000sh", "code": ""}', "invalid", "`language` must be"),
        (b'{"id": 1, "method": "run", "language": "bash", "code": "", "timeout": "30"}', "invalid", "`timeout`"),
        (b'{"id": 1, "method": "run", "language": "bash", "code": "", "timeout": -1}', "invalid", "`timeout`"),
        (b'{"id": 1, "method": "run", "language": "bash", "code": "", "memory": 1.5}', "invalid", "`memory`"),
        (b'{"id": 1, "method": "run", "language": "bash", "code": "", "arguments": ["a", 1]}', "invalid", "`arg"),
        (b'{"id": 1, "method": "cancel"}', "invalid", "`run`"),
        (b'{"id": 1, "method": "reset"}', "invalid", "`session` is missing"),
        (b'{"id": 1, "method": "reset", "session": ""}', "invalid", "`session` must be a name"),
        (b'{"id": 1, "method": "run", "language": "bash", "code": "", "session": ""}', "invalid", "`session` must be a name"),
    ],
)
def test_bad_lines(server, line, code, word):
    server.send_bytes(line + b"\n")
    answer = server.receive()
    assert answer["error"]["code"] == code and word in answer["error"]["message"]
    # and it goes on
    assert run(server, "echo on", "bash", id=2)["stdout"] == "on\n"


def test_duplicate_id(server):
    server.send(id=5, method="run", code="sleep 1000", language="bash")
    answer = server.call(id=5, method="limits")
    assert answer["id"] is None and answer["error"]["code"] == "duplicate_id" and "`5`" in answer["error"]["message"]
    # 5 and "5" are two
    assert "result" in server.call(id="5", method="limits")
    assert server.call(id=6, method="cancel", run=5)["result"] == {"cancelled": True}
    assert server.receive()["id"] == 5
    assert "result" in server.call(id=5, method="limits")


def test_long_line_is_dropped(server):
    server.send_bytes(b'{"id": 1, "method": "run", "code": "' + b"x" * (17 << 20) + b'"}\n')
    answer = server.receive()
    assert answer["id"] is None and answer["error"]["code"] == "too_long"
    assert run(server, "echo on", "bash")["stdout"] == "on\n"


def test_ten_megabytes_and_nul_in_code(server):
    assert run(server, "#" * (10 << 20) + "\nprint(1)")["stdout"] == "1\n"
    result = run(server, "print(1)\0", session="main")
    assert result["reason"] == "exit" and "null byte" in result["error"]


def test_half_a_line(server, agent):
    server.send(id=1, method="run", code="sleep 1000", language="bash")
    server.send_bytes(b'{"id": 2, "method"')
    server.close()
    answer = server.receive()
    assert answer["id"] is None and answer["error"]["code"] == "half_line" and "18 bytes" in answer["error"]["message"]
    assert server.receive()["result"]["reason"] == "cancelled"
    assert server.receive() is None and server.wait() == 1
    wait_until(lambda: not agent.descendants(), "its runs' end")


def test_end_of_input_cancels(server, agent):
    server.send(id=1, method="run", code="sleep 1000", language="bash")
    server.close()
    assert server.receive()["result"]["reason"] == "cancelled"
    assert server.receive() is None and server.wait() == 0
    wait_until(lambda: not agent.descendants(), "its runs' end")


def test_killed_leaves_nothing(server, agent):
    server.send(id=1, method="run", code="sleep 1000", language="bash")
    wait_until(agent.descendants, "a run")
    server.process.send_signal(signal.SIGKILL)
    wait_until(lambda: not agent.descendants(), "its runs' end")


def memory_of(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def test_client_that_does_not_read(server):
    """It is not read from any more, and memory is bounded; nothing is lost when it reads again."""
    request = json.dumps(
        {"id": 0, "method": "run", "language": "python", "code": "print('\\x01' * 900000, end='')"}
    ).encode()
    fd = server.process.stdin.fileno()
    os.set_blocking(fd, False)
    lines = b"".join(request.replace(b'"id": 0', b'"id": %d' % i) + b"\n" for i in range(30))
    os.write(fd, lines)  # less than a pipe holds

    def blocked():
        try:
            os.write(fd, b" " * 4095 + b"\n")
        except BlockingIOError:
            return True
        return False

    wait_until(blocked, "it does not read any more")
    assert memory_of(server.process) < 100 << 20
    seen = {server.receive()["id"] for _ in range(30)}
    assert seen == set(range(30))
    os.set_blocking(fd, True)
    assert "result" in server.call(id="after", method="limits")


def test_reader_that_leaves(server, agent):
    server.send(id=1, method="run", code="sleep 1000", language="bash")
    wait_until(agent.descendants, "a run")
    server.process.stdout.close()
    assert server.wait() == 1
    wait_until(lambda: not agent.descendants(), "its runs' end")


def test_keeper_that_goes_and_comes_back(server, agent):
    server.send(id=1, method="run", code="sleep 1000", language="bash")
    wait_until(agent.descendants, "a run")
    agent.stop_keeper()
    result = server.receive()["result"]
    assert result["reason"] == "cancelled" and "keeper" in result["error"]
    assert server.call(id=2, method="limits")["error"]["code"] == "unavailable"
    agent.start_keeper()
    assert run(server, "echo back", "bash")["stdout"] == "back\n"
