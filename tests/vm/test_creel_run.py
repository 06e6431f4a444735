# SPDX-License-Identifier: MIT
"""creel run and creel sessions, typed by an agent that is logged in."""

import json

import pytest

from harness import policy, wait_until
from test_exec_server import POLICY
from test_run import nothing_is_left


@pytest.fixture(scope="module", autouse=True)
def rules(vm):
    with policy(vm, POLICY):
        yield
        vm.root.sh("rm -rf /home/agent/script.* /home/agent/workspace/scripts")


def test_languages_by_name_and_by_line(vm):
    done = vm.agent("""
        echo 'import sys; print("py", sys.argv[1:])' > script.py
        echo 'console.log("js", process.argv.slice(2))' > script.js
        echo 'const s: string = "ts"; console.log(s)' > script.ts
        printf '#!/bin/sh\necho sh "$@"\n' > script.x
        for script in script.py script.js script.ts script.x; do creel run $script -- a 'b c' || exit 1; done""", timeout=240)
    assert done.ok().text.splitlines() == ["py ['a', 'b c']", "js [ 'a', 'b c' ]", "ts", "sh a b c"], done
    assert not done.err, done


def test_a_script_from_stdin_is_kept(vm):
    done = vm.agent("rm -rf workspace/scripts; creel run - && ls workspace/scripts && cat workspace/scripts/*.py", "print(6 * 7)\n", timeout=120)
    lines = done.ok().text.splitlines()
    assert lines[0] == "42" and lines[1].endswith(".py") and lines[2] == "print(6 * 7)", lines
    error = vm.agent("creel run -", "def f():\n    return 1 / 0\nf()\n", timeout=120)
    assert error.rc == 1 and "workspace/scripts/" in error.errors and "return 1 / 0" in error.errors, error


def test_statuses_and_reasons(vm):
    def run(options, code):
        done = vm.agent(f"creel run - --lang bash {options}", code, timeout=240)
        return done.rc, done.out.decode(), done.errors

    assert run("", "echo out; echo err >&2; exit 7") == (7, "out\n", "err")
    assert run("", "kill -SEGV $$") == (139, "", "creel: run: signal: ended by SIGSEGV")
    assert run("--timeout 20s", "echo begun; exec sleep 6000") == (124, "begun\n", "creel: run: timeout: timeout exceeded")
    rc, _, errors = run("--processes 8", "for i in {1..40}; do sleep 100 & done 2>/dev/null; exit 5")
    assert (rc, errors) == (125, "creel: run: processes: process limit exceeded (8)")
    rc, _, errors = run("--memory 1G", "")
    assert rc == 125 and "refused: memory: 1G is more than the policy's 256M" in errors
    rc, _, errors = run("--memory 1X", "")
    assert rc == 2 and "is not a size" in errors
    nothing_is_left(vm)


def test_json(vm):
    done = vm.agent("creel run - --json --stdin /etc/hostname", "print(input())", timeout=120).ok()
    result = json.loads(done.text)
    assert list(result)[:3] == ["stdout", "stderr", "error"] and list(result)[-1] == "state"
    assert result["stdout"].strip() and (result["error"], result["reason"]) == (None, "ok"), result


def test_an_interrupt_ends_the_run(vm):
    with vm.agent.start("echo $$; exec creel run - --lang bash") as client:
        pid = int(client.stdout.readline())
        client.stdin.write(b"echo begun; trap '' INT; sleep 31361 & sleep 31361")
        client.stdin.close()
        assert client.stdout.readline() == b"begun\n", "it is shown while it runs"
        vm.root.sh(f"kill -INT {pid}")
        assert client.wait(120) == 130
    nothing_is_left(vm)
    assert not vm.alive("sleep 31361")


def test_a_lost_connection_ends_the_run(vm):
    with vm.agent.start("exec creel run - --lang bash") as client:
        client.stdin.write(b"exec sleep 31362")
        client.stdin.close()
        wait_until(lambda: vm.alive("sleep 31362"), 60, "it runs")
        client.kill()
    nothing_is_left(vm)


def test_all_of_a_long_output_is_shown(vm):
    """Also to a reader that begins when all of it is written."""
    vm.root.sh("rm -f /home/agent/.creel/output/*")
    size = sum(len(f"{i}\n") for i in range(1, 100001))
    done = vm.agent(f"creel run - | {{ until [ $(stat -c %s .creel/output/*.stdout | sort -n | tail -n 1) = {size} ]; "
                    "do sleep 0.2; done 2>/dev/null; md5sum; }; seq 100000 | md5sum",
                    "for i in range(1, 100001): print(i)", timeout=240).ok()
    first, second = done.text.splitlines()
    assert first == second, done


def test_sessions_are_kept_listed_and_reset(vm):
    assert vm.agent("creel run - --session work", "x = 41", timeout=120).rc == 0
    done = vm.agent("creel run - --session work", "x + 1", timeout=120)
    assert (done.rc, done.out, done.err) == (0, b"42\n", b""), done
    done = vm.agent("creel run - --session work", "nothing", timeout=120)
    assert done.rc == 1 and "NameError" in done.errors, done
    rows = {row["name"]: row for row in json.loads(vm.agent.sh("creel sessions --json"))}
    assert rows["work"]["language"] == "python" and rows["work"]["memory"] > 0, rows
    assert vm.agent("creel sessions reset work").rc == 0
    done = vm.agent("creel sessions reset work")
    assert done.rc == 1 and "no python session `work`" in done.errors
    nothing_is_left(vm)
