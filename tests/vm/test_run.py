# SPDX-License-Identifier: MIT
"""Runs by the keeper, over its bus alone: what comes back, each limit with its reason, and that nothing is left.

What needs neither the system's own files nor limits of a real cgroup tree is in tests/runs, which runs anywhere.
"""

import json

import pytest

from harness import PROBE_DIR, marker, policy, wait_until
from test_keeper import kill_keeper, main_pid, socket_of

SECOND = 10**6
LEAVES = "/sys/fs/cgroup/user.slice/user-{0}.slice/creel-leaves@{0}.service"

POLICY = """\
[agent]
profile = instaclaw
[limits]
file_size = 4M
[exec]
memory = 256M
cpu = 1
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


def ask(vm, *orders, timeout=300):
    """An answer for each order (probes/runs.py), all over one connection of the agent's."""
    out = vm.agent.sh(f"python3 -B {PROBE_DIR}/runs.py {socket_of(vm)}", json.dumps(orders), timeout=timeout)
    return json.loads(out)


def order(language, code, **rest):
    options = {key: rest.pop(key) for key in list(rest)
               if key in ("label", "arguments", "timeout", "memory", "cpu", "processes", "output", "network", "directory", "follow")}
    return {"language": language, "code": code, "options": options, **rest}


def leaves(vm):
    return vm.root(f"cd {LEAVES.format(vm.uid())} && ls -d run-* repl-*").text.split()


def nothing_is_left(vm):
    wait_until(lambda: not leaves(vm), 60, "no leaf of a run is left")


# ---- languages -----------------------------------------------------------------------------------------------------------
def test_four_languages_with_input_and_arguments(vm):
    python, javascript, typescript, module, bash = ask(
        vm,
        order("python", "import sys\nprint(sys.argv, input())", label="a.py", arguments=["x", "y z"], input="in\n"),
        order("javascript", "console.log(process.argv.slice(2), require('fs').readFileSync(0, 'utf8'))", arguments=["x"], input="in"),
        order("typescript", "const n: number = 5; console.log(n as number)"),
        order("javascript", "import os from 'node:os'; console.log(await os.EOL.length)"),
        order("bash", "read x; echo $0 $1 $x; exit 3", label="a.sh", arguments=["y z"], input="in\n"))
    assert (python["stdout"], python["reason"], python["exit_code"]) == ("['a.py', 'x', 'y z'] in\n", "ok", 0), python
    assert (javascript["stdout"], javascript["reason"]) == ("[ 'x' ] in\n", "ok"), javascript
    assert (typescript["stdout"], typescript["stderr"], typescript["reason"]) == ("5\n", "", "ok"), typescript
    assert (module["stdout"], module["reason"]) == ("1\n", "ok"), module
    assert (bash["stdout"], bash["reason"], bash["error"]) == ("a.sh y z in\n", "exit", "Error: exit status 3"), bash
    for result in (python, javascript, bash):
        assert result["duration"] > 0 and result["cpu"] > 0 and result["memory_peak"] > 0, result


def test_odd_code_and_output(vm):
    nul, invalid, closed, none = ask(
        vm,
        {"language": "python", "bytes": b"print(1)\0".hex()},
        order("python", "import os; os.write(1, b'\\xff\\xfe\\0ok')"),
        order("bash", "exec >&- 2>&-; echo x; exit 4"),
        order("bash", "read x || echo end"))
    assert nul["reason"] == "exit" and "null bytes" in nul["stderr"], nul
    assert invalid["stdout"] == "\\xff\\xfe\0ok" and invalid["reason"] == "ok", invalid
    # a memfd is a file, too: 10 MB of code are more than this policy lets a file have
    with policy(vm, POLICY.replace("file_size = 4M", "file_size = 60M")):
        large, = ask(vm, order("python", "# padding padding padding padding paddi\n", times=262144))
    assert large["reason"] == "ok", large
    assert (closed["exit_code"], closed["stdout"]) == (4, "") and none["stdout"] == "end\n"


def test_the_run_is_the_agent_in_a_leaf_of_its_own(vm):
    who, = ask(vm, order("bash", "id -u; pwd; cut -d: -f3 /proc/self/cgroup; echo $HOME $CREEL_RUN $MPLBACKEND; ls -l /proc/self/fd | wc -l"
                         "; grep -E 'NoNewPrivs|CapBnd|Seccomp:' /proc/self/status"))
    uid, folder, cgroup, words, _, *status = who["stdout"].splitlines()
    assert int(uid) == vm.uid() and folder == "/home/agent/workspace" and cgroup.endswith(f"/run-{who['number']}"), who
    assert words == f"/home/agent {who['number']} Agg"
    assert status[0].split()[1] == "0000000000002000" and status[1].split()[1] == "1" and status[2].split()[1] == "2", status


# ---- limits and their reasons --------------------------------------------------------------------------------------------
def test_reasons(vm):
    memory, whole, processes, size, segv, lived = ask(
        vm,
        order("python", "x = []\nwhile True: x.append(bytearray(1 << 20))", memory=64 << 20),
        order("bash", "python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 20))'; echo lived", memory=64 << 20),
        order("bash", "for i in {1..40}; do sleep 100 & done 2>/dev/null; exit 5", processes=8),
        order("bash", "exec head -c 9000000 /dev/zero > big"),
        order("bash", "kill -SEGV $$"),
        order("bash", "(for i in {1..40}; do sleep 0 & done) 2>/dev/null; wait; exit 0", processes=8))
    assert (memory["reason"], memory["error"]) == ("memory", "Error: memory limit exceeded (64M)"), memory
    assert memory["signal"] == 9 and 0 < memory["memory_peak"] <= 65 << 20
    assert whole["reason"] == "memory" and "lived" not in whole["stdout"], "the whole run ends"
    assert (processes["reason"], processes["error"]) == ("processes", "Error: process limit exceeded (8)"), processes
    assert (size["reason"], size["signal"]) == ("disk", 25) and "4M" in size["error"], size
    assert (segv["reason"], segv["error"]) == ("signal", "Error: ended by SIGSEGV"), segv
    assert lived["reason"] in ("ok", "processes"), lived
    nothing_is_left(vm)


def test_timeout_with_partial_output_of_what_ignores_all_signals(vm):
    result, = ask(vm, order("python", "import os, signal, time\nfor s in range(1, 65):\n try: signal.signal(s, signal.SIG_IGN)\n"
                            " except (OSError, ValueError): pass\nos.fork()\nprint('partial', flush=True)\ntime.sleep(6000)", timeout=20 * SECOND))
    assert (result["reason"], result["error"], result["signal"]) == ("timeout", "Error: timeout exceeded", 9), result
    assert set(result["stdout"].split()) == {"partial"} and result["duration"] >= 20 * SECOND
    nothing_is_left(vm)


def test_endless_and_long_output(vm):
    long, endless = ask(vm, order("bash", "head -c 300000 /dev/zero | tr '\\0' x"), order("bash", "exec yes"), timeout=400)
    assert (long["reason"], long["stdout_bytes"], len(long["stdout"])) == ("ok", 300000, 65536), long["reason"]
    path = long["stdout_file"]
    assert path == f"/home/agent/.creel/output/run-{long['number']}.stdout"
    assert vm.root.sh(f"stat -c '%U %a %s' {path}") == "agent 600 300000"
    assert endless["reason"] in ("output", "disk"), endless["reason"]  # the file's limit is the lower one here
    assert len(endless["stdout"]) == 65536


def test_a_full_quota_is_the_disks(vm):
    with policy(vm, POLICY.replace("file_size = 4M", "disk = 64M\nfile_size = 60M")):
        result, = ask(vm, order("bash", "exec yes"), timeout=400)
        vm.root.sh("rm -f /home/agent/.creel/output/*")
    assert result["reason"] in ("disk", "output"), result["reason"]


def test_what_outlives_a_run_ends_with_it(vm):
    result, = ask(vm, order("bash", "trap '' HUP TERM; setsid -f sleep 31337; (exec nohup sleep 31338 >/dev/null 2>&1) & echo out"))
    assert (result["reason"], result["stdout"]) == ("ok", "out\n"), result
    assert not vm.alive("sleep 31337") and not vm.alive("sleep 31338")
    nothing_is_left(vm)


# ---- ends from outside ---------------------------------------------------------------------------------------------------
def test_stop(vm):
    result, = ask(vm, order("bash", "echo ready; sleep 6000", stop="ready"))
    assert (result["reason"], result["error"], result["followed"]) == ("cancelled", "Error: cancelled", "ready\n"), result
    nothing_is_left(vm)


def test_the_caller_goes(vm):
    since = vm.now()
    with vm.agent.start(f"exec python3 -B {PROBE_DIR}/runs.py {socket_of(vm)}") as probe:
        probe.stdin.write(json.dumps([order("bash", "exec sleep 31339")]).encode())
        probe.stdin.close()
        wait_until(lambda: vm.alive("sleep 31339"), 60, "it runs")
        vm.root.sh(f"pkill -f '^python3 -B {PROBE_DIR}/runs.py'")
    nothing_is_left(vm)
    assert vm.record(since, "run", agent="agent")["CREEL_RESULT"] == "cancelled"


def test_a_killed_keeper_leaves_nothing_for_long(vm):
    since = vm.now()
    with vm.agent.start(f"exec python3 -B {PROBE_DIR}/runs.py {socket_of(vm)}") as probe:
        probe.stdin.write(json.dumps([order("bash", "setsid -f sleep 31340; exec sleep 31340")]).encode())
        probe.stdin.close()
        wait_until(lambda: len(vm.alive("sleep 31340")) == 2, 60, "both run")
        kill_keeper(vm)
    nothing_is_left(vm)
    assert not vm.alive("sleep 31340")
    ended = vm.record(since, "run", agent="agent", result="cancelled")
    assert ended["CREEL_RUN"] == vm.record(since, "run-start", agent="agent")["CREEL_RUN"]


# ---- the record ----------------------------------------------------------------------------------------------------------
def test_records(vm):
    since = vm.now()
    code = "echo out; echo err >&2; exit 3"
    ran, refused = ask(vm, order("bash", code, label="job.sh"), order("bash", "true", memory=1 << 30))
    begun, ended = vm.record(since, "run-start", agent="agent"), vm.record(since, "run", agent="agent", result="exit")
    assert begun["CREEL_CODE"] == code and begun["CREEL_LABEL"] == "job.sh" and begun["CREEL_LANGUAGE"] == "bash"
    assert begun["CREEL_RUN"] == ended["CREEL_RUN"] == str(ran["number"]) and begun["CREEL_MEMORY_LIMIT"] == str(256 << 20)
    assert (ended["CREEL_EXIT"], ended["CREEL_STDOUT"], ended["CREEL_STDERR"]) == ("3", "out\n", "err\n")
    assert int(ended["CREEL_DURATION_USEC"]) > 0 and int(ended["CREEL_CPU_USEC"]) > 0
    session = vm.record(since, "login", agent="agent")["CREEL_SESSION"]
    assert begun["CREEL_SESSION"] == ended["CREEL_SESSION"] == session and begun["CREEL_DOOR"] == "ssh"
    no = vm.record(since, "run", agent="agent", result="refused")
    assert no["CREEL_REASON"] == refused["why"] == "memory: 1G is more than the policy's 256M ([exec] memory)"
    assert no["CREEL_SESSION"] == session
    shown = [json.loads(line) for line in vm.root.sh("creelctl audit --agent agent --json -n 20").splitlines()]
    assert [row["code"] for row in shown if row.get("run") == str(ran["number"]) and "code" in row] == [code]


def test_records_without_code_and_output(vm):
    with policy(vm, POLICY + "[audit]\ncode = no\noutput = no\n"):
        since = vm.now()
        ask(vm, order("bash", "echo s3cret"))
        assert "CREEL_CODE" not in vm.record(since, "run-start") and "CREEL_STDOUT" not in vm.record(since, "run")
    assert not any("s3cret" in json.dumps(entry) for entry in vm.records(since) if entry["CREEL_KIND"].startswith("run"))


def test_secrets_of_the_environment_are_in_no_record(vm):
    secret = f"s3cret-{marker()}"
    with policy(vm, POLICY.replace("[agent]\n", "[agent]\nenvironment = API_*\n")):
        since = vm.now()
        ask = "echo 'import os; print(os.environ.get(\"API_KEY\"))' | creel run -; echo ${#API_KEY}"
        seen = vm.agent.sh(ask, options=["-o", f"SetEnv=API_KEY={secret}"])
        # it reaches the command, and no run, which may be anybody's of the agent's
        assert seen == f"None\n{len(secret)}"
        vm.record(since, "command", agent="agent")
        assert vm.record(since, "run", agent="agent", result="ok")["CREEL_STDOUT"] == "None\n"
    assert secret not in json.dumps([vm.records(since), vm.journal(since)])


# ---- refusals ------------------------------------------------------------------------------------------------------------
def test_looser_limits_are_refused(vm):
    asked = [("timeout", 700 * SECOND), ("memory", 257 << 20), ("cpu", 2 * SECOND), ("processes", 25), ("output", 1 << 20)]
    for (option, _), answer in zip(asked, ask(vm, *(order("bash", "true", **{option: value}) for option, value in asked))):
        assert answer["refused"] == "org.creel.Error.Policy" and answer["why"].startswith(f"{option}: "), answer
    unsealed, directory = ask(vm, {**order("bash", "true"), "unsealed": True}, order("bash", "true", directory="/root"))
    assert "sealed" in unsealed["why"] and "Permission denied" in directory["why"]
    nothing_is_left(vm)


def test_only_the_agent_runs(vm):
    for host in (vm.root, vm.bob):
        done = host(f"python3 -B {PROBE_DIR}/runs.py {socket_of(vm)}", json.dumps([order("bash", "true")]))
        assert done.rc != 0, done
    nothing_is_left(vm)


# ---- many ----------------------------------------------------------------------------------------------------------------
def test_many_runs_leave_nothing(vm):
    ask(vm, order("bash", "true"))
    fds = f"ls /proc/{main_pid(vm)}/fd | wc -l"
    before = int(vm.root.sh(fds))
    results = ask(vm, *(order("bash", f"echo {i}", beside=i % 10 != 9) for i in range(200)), timeout=600)
    assert [result.get("stdout") for result in results] == [f"{i}\n" for i in range(200)]
    nothing_is_left(vm)
    wait_until(lambda: int(vm.root.sh(fds)) <= before, 30, "no descriptor is left")
