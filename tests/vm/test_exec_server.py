# SPDX-License-Identifier: MIT
"""creel exec-server as a program reaches it, ssh -s AGENT exec: runs, sessions of a connection, bad input, and what is left.

Single answers to bad lines are in tests/tools, which runs anywhere.
"""

import contextlib
import json
import os
import select
import time

import pytest

from harness import policy, wait_until
from test_run import nothing_is_left

PATIENCE = 240.0
FIELDS = "stdout stderr error exit_code signal reason duration_ms cpu_ms memory_peak truncated files state".split()

POLICY = """\
[agent]
profile = instaclaw
[exec]
memory = 256M
processes = 24
output = 64K
timeout = 120s
max_timeout = 600s
[python]
interpreter = /usr/bin/python3
[javascript]
interpreter = /opt/node/bin/node
"""


@pytest.fixture(scope="module", autouse=True)
def rules(vm):
    with policy(vm, POLICY):
        yield


class Server:
    def __init__(self, process):
        self.process = process
        self.rest = b""

    def send_bytes(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, **message):
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def receive(self):
        """The next answer, or None at the end."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.process.stdout], [], [], left)[0], "no answer came"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                assert not self.rest, self.rest[:200]
                return None
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def call(self, **message):
        self.send(**message)
        return self.receive()

    def run(self, language, code, id=1, **more):
        answer = self.call(id=id, method="run", language=language, code=code, **more)
        assert answer["id"] == id, answer
        return answer["result"]

    def answers(self, n):
        """By id."""
        return {answer["id"]: answer for answer in (self.receive() for _ in range(n))}

    def close(self):
        self.process.stdin.close()

    def wait(self):
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def exec_server(vm):
    with vm.agent.start("exec", options=["-s"], bufsize=0) as process:
        yield Server(process)


@pytest.fixture(scope="module")
def server(vm):
    with exec_server(vm) as one:
        yield one
        one.close()
        assert one.receive() is None and one.wait() == 0


def test_four_languages_over_one_connection(server):
    code = {
        "python": "import sys\nprint(sys.argv[1:], sys.stdin.read())",
        "javascript": "console.log(process.argv.slice(2), require('fs').readFileSync(0, 'utf8'))",
        "typescript": "const n: number = 5; console.log(n)",
        "bash": "echo $1; cat; exit 3",
    }
    for language in code:
        server.send(id=language, method="run", language=language, code=code[language], arguments=["x"], stdin="in")
    results = {language: answer["result"] for language, answer in server.answers(4).items()}
    assert all(list(result) == FIELDS for result in results.values()), results
    assert results["python"]["stdout"] == "['x'] in\n" and results["typescript"]["stdout"] == "5\n", results
    assert results["javascript"]["stdout"] == "[ 'x' ] in\n", results
    bash = results["bash"]
    assert (bash["stdout"], bash["error"], bash["exit_code"], bash["reason"]) == ("x\nin", "Error: exit status 3", 3, "exit")
    assert bash["duration_ms"] > 0 and bash["memory_peak"] > 0 and bash["signal"] is None


def test_limits_have_their_reasons(server):
    server.send(id="memory", method="run", language="python", memory="64M",
                code="x = []\nwhile True: x.append(bytearray(1 << 20))")
    server.send(id="timeout", method="run", language="bash", timeout=20, code="echo begun; exec sleep 6000")
    server.send(id="looser", method="run", language="bash", memory="1G", code="")
    server.send(id="long", method="run", language="bash", code="head -c 300000 /dev/zero | tr '\\0' x")
    answers = {name: answer["result"] for name, answer in server.answers(4).items()}
    assert (answers["memory"]["reason"], answers["memory"]["signal"]) == ("memory", "SIGKILL"), answers["memory"]
    assert answers["memory"]["error"] == "Error: memory limit exceeded (64M)"
    timeout = answers["timeout"]
    assert (timeout["reason"], timeout["stdout"], timeout["error"]) == ("timeout", "begun\n", "Error: timeout exceeded"), timeout
    refused = answers["looser"]
    assert refused["reason"] == "refused" and refused["error"].startswith("Error: memory: 1G is more than the policy's 256M")
    long = answers["long"]
    assert list(long["truncated"]) == ["stdout"] and long["truncated"]["stdout"]["bytes"] == 300000
    assert long["truncated"]["stdout"]["file"] in long["stdout"] and "bytes left out" in long["stdout"]


def test_follow_and_cancel(vm, server):
    server.send(id=1, method="run", language="bash", code="echo é; trap '' INT TERM; sleep 6000 & sleep 6000", follow=True)
    assert server.receive() == {"id": 1, "stream": "stdout", "data": "é\n"}
    busy = server.call(id=1, method="limits")
    assert busy["id"] is None and busy["error"]["code"] == "duplicate_id"
    server.send(id=2, method="cancel", run=1)
    answers = server.answers(2)
    assert answers[2]["result"] == {"cancelled": True}
    assert (answers[1]["result"]["reason"], answers[1]["result"]["stdout"]) == ("cancelled", "é\n")
    nothing_is_left(vm)
    assert server.call(id=3, method="cancel", run=1)["result"] == {"cancelled": False}


def test_a_session_outlives_its_connection(vm, server):
    with exec_server(vm) as other:
        assert other.run("python", "x = 41", session="shared")["state"] == "preserved"
    result = server.run("python", "x + 1", session="shared")
    assert (result["stdout"], result["state"]) == ("42\n", "preserved"), result
    assert "shared" in [row["name"] for row in server.call(id=2, method="sessions")["result"]]
    assert server.call(id=3, method="reset", session="shared")["result"] == {"reset": True}
    assert server.call(id=4, method="reset", session="shared")["result"] == {"reset": False}


def test_many_at_once(server):
    for i in range(20):
        server.send(id=i, method="run", language="bash", code=f"echo {i}")
    assert all(answer["result"]["stdout"] == f"{i}\n" for i, answer in server.answers(20).items())


def test_bad_lines_do_not_end_it(server):
    lines = [b"{", b"[" * 1000 + b"]" * 1000, b'{"id": 1, "method": "limits\0"}', b'{"id": 1, "method": "run", "kode": ""}',
             b'{"id": 1, "method": "walk"}', b'{"id": 1, "id": 1}', b"\xff\xfe", b'{"method": "limits"}']
    server.send_bytes(b"\n".join(lines) + b"\n")
    codes = [server.receive()["error"]["code"] for _ in lines]
    assert codes == ["parse", "parse", "parse", "invalid", "unknown_method", "parse", "parse", "invalid"]
    rows = server.call(id=2, method="limits")["result"]
    assert {"memory", "processes"} <= {row["name"] for row in rows}


def test_ten_megabytes_of_code(server):
    assert server.run("python", "#" * (10 << 20) + "\nprint(1)")["stdout"] == "1\n"


def test_half_a_line_then_the_end(vm):
    with exec_server(vm) as server:
        server.send(id=1, method="run", language="bash", code="exec sleep 31351")
        wait_until(lambda: vm.alive("sleep 31351"), 60, "it runs")
        server.send_bytes(b'{"id": 2')
        server.close()
        assert server.receive()["error"]["code"] == "half_line"
        assert server.receive()["result"]["reason"] == "cancelled"
        assert server.receive() is None and server.wait() == 1
    nothing_is_left(vm)


def test_a_client_that_is_gone_leaves_nothing(vm):
    since = vm.now()
    with exec_server(vm) as server:
        server.send(id=1, method="run", language="bash", code="setsid -f sleep 31352; exec sleep 31352")
        wait_until(lambda: len(vm.alive("sleep 31352")) == 2, 60, "both run")
        server.process.kill()
    nothing_is_left(vm)
    assert not vm.alive("sleep 31352")
    assert vm.record(since, "run", agent="agent")["CREEL_RESULT"] == "cancelled"


def test_a_client_that_does_not_read(vm, server):
    """Its runs end, and the keeper serves others meanwhile."""
    with exec_server(vm) as deaf:
        for i in range(8):
            deaf.send(id=i, method="run", language="python", output="64K", code="print('\\x01' * 60000)")
        nothing_is_left(vm)
        assert server.run("bash", "echo on")["stdout"] == "on\n"
        assert set(deaf.answers(8)) == set(range(8))


def test_others_have_no_such_keeper(vm):
    done = vm.root("cat | creel exec-server", '{"id": 1, "method": "limits"}\n')
    assert json.loads(done.text)["error"]["code"] == "unavailable", done
