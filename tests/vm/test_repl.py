# SPDX-License-Identifier: MIT
"""Sessions: one interpreter by each door, within the limits of its leaf and of the agent, and on record.

Turns, interrupts and ends that need no VM are in tests/runs, the drivers' own behaviour in tests/drivers.
"""

import json
import shlex

import pytest

from harness import PROBE_DIR, policy, wait_until
from test_keeper import kill_keeper, socket_of
from test_run import LEAVES, POLICY, SECOND

RULES = POLICY + "[repl]\nidle = 10m\nmax_duration = max\nsessions = 3\n"


@pytest.fixture(scope="module", autouse=True)
def rules(vm):
    with policy(vm, RULES) as change:
        yield change


@pytest.fixture(autouse=True)
def ended(vm):
    """Each test begins and ends without a session."""
    yield
    rows = ask(vm, {"call": "Repls"})[0][0]
    ask(vm, *[{"call": "Reset", "signature": "ss", "values": [language, name]} for name, language, *_ in rows])
    wait_until(lambda: not leaves(vm), 60, "no session is left")


def probe(vm):
    return f"python3 -B {PROBE_DIR}/runs.py {socket_of(vm)}"


def ask(vm, *orders, door=None, timeout=300):
    """Answers of the probe (probes/runs.py), which is the agent's by its own door where no other is named."""
    return json.loads((door or vm.agent.sh)(probe(vm), json.dumps(orders), timeout=timeout))


def call(code, session="main", language="python", **options):
    beside = {"beside": True} if options.pop("beside", False) else {}
    return {"language": language, "code": code, "options": {"session": session, **options}, **beside}


def leaves(vm):
    return sorted(vm.root(f"cd {LEAVES.format(vm.uid())} && ls -d repl-*").text.split())


def held(vm):
    """Bytes of the agent's memory that are no page cache."""
    slice_path = f"/sys/fs/cgroup/user.slice/user-{vm.uid()}.slice"
    rows = dict(line.split() for line in vm.root.sh(f"cat {slice_path}/memory.stat").splitlines())
    return int(vm.root.sh(f"cat {slice_path}/memory.current")) - int(rows["active_file"]) - int(rows["inactive_file"])


def said(answer):
    return answer["stdout"], answer["reason"], answer.get("error", ""), answer.get("state", "")


def test_one_interpreter_by_each_door(vm):
    first, = ask(vm, call("import os\nx = 1\nos.getpid()"))
    assert said(first)[1:] == ("ok", "", "preserved"), first
    by_su = json.loads(vm.root.sh(f"su - agent -c {shlex.quote(probe(vm))}", json.dumps([call("x += 1; os.getpid()")]), timeout=300))
    by_openssh = ask(vm, call("x, os.getpid()"), door=vm.openssh.sh)
    assert by_su[0]["stdout"] == first["stdout"] and by_openssh[0]["stdout"] == f"(2, {first['stdout'].strip()})\n"
    # it is in a leaf of its own, confined, and in nobody's login
    place = vm.cgroup(int(first["stdout"]))
    assert place.endswith("/repl-python-main"), place
    status = vm.root.sh(f"grep -E '^(NoNewPrivs|Seccomp|CapEff|Uid):' /proc/{first['stdout'].strip()}/status").split("\n")
    assert [line.split()[1] for line in status] == [str(vm.uid()), "0000000000000000", "1", "2"], status


def test_four_languages_keep_their_state(vm):
    rows = {"python": ("x = 20", "x + 1"), "javascript": ("const x = 20", "const y = 1; x + await Promise.resolve(y)"),
            "bash": ("x=20", "echo $((x + 1))")}
    answers = ask(vm, *[call(code, "main", language) for language, codes in rows.items() for code in codes])
    assert [said(answer) for answer in answers] == [("", "ok", "", "preserved"), ("21\n", "ok", "", "preserved")] * 3, answers
    # another one needs a place: the one that is idle the longest goes
    answers = ask(vm, call("let x: number = 20", "main", "typescript"), call("x as number + 1", "main", "typescript"), {"call": "Repls"})
    assert said(answers[1]) == ("21\n", "ok", "", "preserved"), answers
    assert {language for _, language, *_ in answers[2][0]} == {"javascript", "bash", "typescript"}
    assert all(row[2] == "idle" and row[5] > 0 for row in answers[2][0]), answers[2]


def test_a_timeout_interrupts_and_then_kills(vm):
    loop = "print('part')\nwhile True: pass"
    deaf = "import signal\nprint('part')\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + loop
    interrupted, kept, killed, gone = ask(vm, call("x = 1\n" + loop, timeout=5 * SECOND), call("x"), call(deaf, timeout=5 * SECOND), call("x"))
    assert said(interrupted) == ("part\n", "timeout", "Error: timeout exceeded", "preserved") and kept["stdout"] == "1\n"
    assert said(killed)[1:] == ("timeout", "Error: timeout exceeded", "reset") and killed["stdout"].startswith("part\n"), killed
    assert gone["error"] == "NameError: name 'x' is not defined"


def test_limits_of_a_session_and_of_a_call(vm):
    many = ("import subprocess\nps = []\ntry:\n  while len(ps) < 40: ps.append(subprocess.Popen(['sleep', '1000']))\n"
            "finally:\n  n = len(ps)\n  for p in ps: p.kill(); p.wait()")
    held, too_little, within, refused, again = ask(
        vm, call("x = bytearray(48 << 20)"), call("1", memory=32 << 20), call(many, processes=12), call("1", memory=1 << 30),
        call("n < 12"))
    assert held["reason"] == "ok" and held["memory_peak"] > 48 << 20
    assert too_little["reason"] == "refused" and "less than the session holds" in too_little["error"], too_little
    assert too_little["state"] == "preserved"
    assert within["reason"] == "processes" and within["state"] == "preserved" and "process limit exceeded (12)" in within["error"], within
    assert "256M" in refused["why"] and again["stdout"] == "True\n", (refused, again)
    # the process that waits for an independent one is none of it
    apart = ask(vm, call(many, "apart", processes=12, independent=True), call("n", "apart"))
    assert apart[0]["reason"] == "processes" and apart[1]["stdout"] == "11\n", apart
    # what a call was limited to is lifted after it; the session's own limit ends all of it
    ended, fresh = ask(vm, call("y = bytearray(300 << 20)"), call("x"))
    assert said(ended)[1:] == ("memory", "Error: memory limit exceeded (256M)", "reset"), ended
    assert fresh["error"] == "NameError: name 'x' is not defined"


def test_idle_and_age_and_number(vm, rules):
    rules(RULES.replace("idle = 10m", "idle = 3s"))
    since = vm.now()
    ask(vm, call("x = 1"))
    wait_until(lambda: not leaves(vm), 120, "idle for too long")
    assert any("[repl] idle" in entry["MESSAGE"] for entry in vm.records(since, "keeper"))
    rules(RULES.replace("max_duration = max", "max_duration = 3s"))
    old, = ask(vm, call("import time; time.sleep(4); x = 1; x"))
    assert said(old) == ("1\n", "ok", "", "reset"), old
    rules(RULES.replace("sessions = 3", "sessions = 1"))
    busy = [call("import time; time.sleep(30)", "a", beside=True), call("1", "b", beside=True)]
    slept, full = ask(vm, *busy)
    assert slept["reason"] == "ok" and "[repl] sessions" in full["why"], (slept, full)
    rules(RULES)


def test_memory_is_given_up_by_the_one_that_is_idle_the_longest(vm, rules):
    rules(RULES.replace("file_size = 4M", "file_size = 4M\nmemory = 400M"))
    try:
        since = vm.now()
        ask(vm, call("x = bytearray(80 << 20)", "a"), call("x = bytearray(80 << 20)", "b"))
        rest = (400 << 20) * 95 // 100 - held(vm)
        kept, = ask(vm, call(f"x = bytearray({rest})", "c"), call("len(x)", "c"))[1:]
        assert kept["stdout"] == f"{rest}\n", kept
        wait_until(lambda: "repl-python-a" not in leaves(vm), 60, "the oldest is given up")
        assert any("short of memory" in entry["MESSAGE"] for entry in vm.records(since, "keeper"))
    finally:
        rules(RULES)


def test_a_caller_that_goes_and_a_crash(vm):
    ask(vm, call("x = 1"))
    with vm.agent.start(probe(vm)) as client:
        client.stdin.write(json.dumps([call("import subprocess; subprocess.run(['sleep', '31350'])")]).encode())
        client.stdin.close()
        wait_until(lambda: vm.alive("sleep 31350"), 60, "it runs")
    wait_until(lambda: not vm.alive("sleep 31350"), 60, "it is interrupted")
    kept, crashed, fresh = ask(vm, call("x"), call("import os; os.kill(os.getpid(), 11)"), call("x"))
    assert kept["stdout"] == "1\n" and said(crashed)[1:] == ("signal", "Error: ended by SIGSEGV", "reset")
    assert fresh["error"] == "NameError: name 'x' is not defined"


def test_records_and_a_killed_keeper(vm):
    since = vm.now()
    ran, = ask(vm, call("x = 1\nprint(x)", "named"))
    begun, ended = vm.record(since, "run-start", agent="agent"), vm.record(since, "run", agent="agent")
    assert begun["CREEL_CODE"] == "x = 1\nprint(x)" and begun["CREEL_REPL"] == ended["CREEL_REPL"] == "named"
    assert begun["CREEL_RUN"] == ended["CREEL_RUN"] == str(ran["number"]) and ended["CREEL_STDOUT"] == "1\n"
    ask(vm, call("import subprocess; p = subprocess.Popen(['setsid', 'sleep', '31351'])"))
    assert vm.alive("sleep 31351")
    kill_keeper(vm)
    gone, = ask(vm, call("x", "named"))
    assert gone["error"] == "NameError: name 'x' is not defined" and not vm.alive("sleep 31351")
    assert vm.records(since, "run", result="cancelled", repl="python-named")
    # other agents' are others'
    with_bob = vm.bob(f"python3 -B {PROBE_DIR}/runs.py {socket_of(vm)}", json.dumps([{"call": "Repls"}]))
    assert with_bob.rc != 0 and "PermissionError" in with_bob.errors
