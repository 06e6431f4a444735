# SPDX-License-Identifier: MIT
"""Prepared interpreters: they serve what they should, once, and whatever becomes of one is no failure of a run."""
import os
import pathlib
import signal
import subprocess

import pytest

from conftest import UID, wait_until
from test_runs import run

POLICY = "[python]\npreload = decimal, random\n"
SERVED = "import os, sys\nprint('decimal' in sys.modules, os.getpid())\n"


def waiting(keeper):
    """Pids of those that are ready: a process in a leaf that is marked as a spare's and waits for its packet."""
    found = []
    for leaf in keeper.left():
        try:
            mark = os.getxattr(keeper.leaves / leaf, "user.creel.spare")
            pids = (keeper.leaves / leaf / "cgroup.procs").read_text().split()
            asleep = [pid for pid in pids if "wait_for_more_packets" in pathlib.Path(f"/proc/{pid}/wchan").read_text()]
        except OSError:
            continue
        if mark == b"idle":
            found += map(int, asleep)  # an independent one has its reaper beside it
    return found


def ready(client, keeper, ask=SERVED, **options):
    """Asks until one has been ordered, and is there."""
    run(client, "python", ask, **options)
    return wait_until(lambda: waiting(keeper), "a prepared interpreter")


@pytest.fixture
def spares(keeper, client):
    keeper.policy(POLICY)
    yield client
    keeper.policy()
    assert run(client, "bash", "true")["reason"] == "ok"  # it sees that there is nothing to preload any more


def served(result):
    return result["stdout"].startswith(b"True")


def test_the_next_one_is_served_and_by_another(keeper, spares):
    assert not served(run(spares, "python", SERVED))
    pids = set()
    for _ in range(3):
        there = wait_until(lambda: waiting(keeper), "a prepared interpreter")
        result = run(spares, "python", SERVED)
        assert served(result) and int(result["stdout"].split()[1]) in there
        assert int(result["stdout"].split()[1]) not in pids
        pids.add(int(result["stdout"].split()[1]))


def test_a_run_by_one_is_a_run(keeper, spares):
    code = ("import sys, os\nprint('decimal' in sys.modules, sys.argv, os.getcwd(), __name__, sys.path[0], os.getuid(), "
            "sys.stdin.read(), os.environ['CREEL_RUN'], os.environ.get('MPLBACKEND'), sorted(os.listdir('/proc/self/fd')))\n"
            "sys.exit(3)")
    ready(spares, keeper)
    read, write = os.pipe()
    os.write(write, b"in")
    os.close(write)
    number = spares.run("python", code.encode(), {"label": "job.py", "arguments": ["a", ""]}, read)
    result = spares.wait(number)
    workspace = f"{keeper.home}/workspace"
    assert result["stdout"].decode() == (f"True ['job.py', 'a', ''] {workspace} __main__ {workspace} {UID} in {number} Agg "
                                         "['0', '1', '2', '3']\n")
    assert (result["reason"], result["exit_code"], result["error"]) == ("exit", 3, "Error: exit status 3")


def test_its_end_is_a_runs_end(keeper, spares):
    ready(spares, keeper)
    code = "import os, time\nprint('decimal' in __import__('sys').modules, flush=True)\nif os.fork(): time.sleep(1000)\ntime.sleep(1000)"
    result = run(spares, "python", code, timeout=5000000)
    assert (result["reason"], result["error"], result["stdout"]) == ("timeout", "Error: timeout exceeded", b"True\n")
    ready(spares, keeper)
    result = run(spares, "python", "import os; os.kill(os.getpid(), 9)")
    assert (result["reason"], result["signal"]) == ("signal", 9)
    ready(spares, keeper)
    result = run(spares, "python", "while True: print('x' * 65536)", output=1024)
    assert result["reason"] == "output"


def test_an_independent_run_has_its_own(keeper, spares):
    """Each kind has one, and neither serves the other's run."""
    (shared,) = ready(spares, keeper)
    code = SERVED + "open('/tmp/creel-spare', 'w').write('y'); open(os.path.expanduser('~/x'), 'w').write('y'); print(os.listdir('/tmp'))"
    assert not served(run(spares, "python", code, independent=True))
    wait_until(lambda: len(waiting(keeper)) == 2, "one of each kind")
    for _ in range(2):
        result = run(spares, "python", code, independent=True)
        assert served(result) and result["stdout"].endswith(b" 2\n['creel-spare']\n"), result
        assert not (keeper.home / "x").exists() and not os.path.exists("/tmp/creel-spare")
        wait_until(lambda: len(waiting(keeper)) == 2, "one of each kind")
    assert shared in waiting(keeper)
    result = run(spares, "python", "import os; print('decimal' in __import__('sys').modules, flush=True); os.kill(os.getpid(), 15)", independent=True)
    assert (result["stdout"], result["reason"], result["signal"]) == (b"True\n", "signal", 15)


def test_what_asks_for_something_else_starts_without(keeper, spares):
    there = ready(spares, keeper)
    assert run(spares, "bash", "true")["reason"] == "ok"
    assert not served(run(spares, "python", SERVED, figures=True))
    assert waiting(keeper) == there


def state_of(pid):
    """A letter of proc(5); None: it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_the_agent_ended_or_stopped_is_no_failure(keeper, spares, what):
    (pid,) = ready(spares, keeper)
    subprocess.run(["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "kill", f"-{int(what)}", str(pid)], check=True)
    wait_until(lambda: state_of(pid) in (None, "T", "Z"), "it was told")
    result = run(spares, "python", SERVED)
    assert result["reason"] == "ok" and not served(result)
    wait_until(lambda: pid not in waiting(keeper) and not os.path.exists(f"/proc/{pid}"), "it is gone")
    ready(spares, keeper)


def test_the_agent_cannot_look_into_one(keeper, spares):
    (pid,) = ready(spares, keeper)
    code = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, *arguments):
    try:
        open(what, *arguments).close()
        print('opened', what)
    except OSError as e:
        print('refused')
os.kill({pid}, 0)
for name in ('mem', 'environ', 'maps', 'fd/3', 'exe', 'cwd', 'root/etc/passwd'):
    attempt(f'/proc/{pid}/{{name}}', 'rb')
print('refused' if libc.ptrace(16, {pid}, 0, 0) < 0 else 'attached')
pidfd = os.pidfd_open({pid})
print('refused' if libc.syscall(438, pidfd, 3, 0) < 0 else 'taken')
"""
    result = run(spares, "bash", f"/usr/bin/python3 - <<'END'\n{code}\nEND\n")
    assert result["stdout"].split() == [b"refused"] * 9, result
    assert waiting(keeper) == [pid]


def test_another_policy_ends_them(keeper, spares):
    there = ready(spares, keeper)
    keeper.policy("[python]\npreload = json\n")
    assert run(spares, "bash", "true")["reason"] == "ok"
    wait_until(lambda: not set(there) & set(waiting(keeper)), "they are gone")
    assert not served(run(spares, "python", SERVED))


def test_what_cannot_get_ready_is_not_tried_again_and_again(keeper, spares):
    def told():
        return (keeper.folder / "log").read_text().count("a prepared interpreter ")

    before = told()
    keeper.policy("[python]\ninterpreter = /bin/false\npreload = json\n")
    assert run(spares, "python", "pass")["reason"] == "exit"
    wait_until(lambda: told() == before + 1 and not keeper.left(), "it failed, and nothing is left of it")
    for _ in range(5):
        assert run(spares, "python", "pass")["reason"] == "exit"
    assert told() == before + 1


def test_a_module_that_is_not_there_is_left_out(keeper, spares):
    keeper.policy("[python]\npreload = antigravity_of_nobody, decimal\n")
    ready(spares, keeper)
    assert served(run(spares, "python", SERVED))
    assert "not all of [python] preload" in (keeper.folder / "log").read_text()


def test_nothing_is_left(keeper, spares):
    ready(spares, keeper, "pass")
    before = keeper.descriptors()
    for _ in range(10):
        ready(spares, keeper, "pass")  # the keeper keeps what runs print for a while
    assert keeper.descriptors() == before
    assert len(keeper.left()) == 1


def test_two_runs_share_no_seed(keeper, spares):
    code = "import decimal, random\nprint(hash('x'), random.random(), hex(id(decimal)))"
    seen = []
    for _ in range(2):
        ready(spares, keeper)
        seen.append(run(spares, "python", code)["stdout"].split())
    assert all(one != other for one, other in zip(*seen)), seen


def test_a_keeper_that_was_killed_leaves_none(keeper):
    keeper.policy(POLICY)
    client = keeper.client()
    (pid,) = ready(client, keeper)
    keeper.kill()
    client.peer.close()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "it ends by itself: its socket is closed")
    keeper.policy()
    keeper.start()
    wait_until(lambda: not keeper.left(), "its leaf is removed")
