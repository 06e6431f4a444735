# SPDX-License-Identifier: MIT
"""The rescue leaf: one login for an agent that used its limits up, outside its slice, small, and told as such."""

import contextlib

import pytest

from harness import CGROUP, marker, policy, python, wait_until
from test_limits import FILL, SLICE, calm, processes

NOTICE = "this login runs in the rescue leaf"


@contextlib.contextmanager
def full_slice(vm):
    """All 50 processes of the agent are in use."""
    number = marker()
    with vm.agent.start(python(FILL, number)) as client:
        assert client.stdout.readline()
        wait_until(lambda: processes(vm) == 50, what="the slice is full")
        yield
    wait_until(lambda: not vm.alive(f"sleep {number}"), what="the hang-up ends what filled the slice")
    calm(vm, 20)


def is_rescue(vm, path, user="agent"):
    return path.startswith(f"/creel.slice/creel-rescue@{vm.uid(user)}.service/session-")


def test_rescue_is_told_to_the_client_and_the_record(vm):
    since = vm.now()
    with full_slice(vm):
        done = vm.agent(CGROUP)
        assert done.rc == 0 and is_rescue(vm, done.text) and NOTICE in done.errors
        entry = vm.record(since, "command", agent="agent", command=CGROUP)
        assert entry["CREEL_RESCUE"] == "yes" and entry["CREEL_EXIT"] == "0"


def test_an_ordinary_login_is_not_rescued(vm):
    since = vm.now()
    done = vm.agent(CGROUP)
    assert done.rc == 0 and done.errors == ""
    assert done.text.startswith(f"/user.slice/user-{vm.uid()}.slice/")
    assert "CREEL_RESCUE" not in vm.record(since, "command", agent="agent", command=CGROUP)


FEW = """
import subprocess, sys
made = []
try:
    while len(made) < 30:
        made.append(subprocess.Popen(["sleep", sys.argv[1]]))
except OSError as problem:
    print(len(made), problem.strerror, flush=True)
for process in made:
    process.kill()
    process.wait()
"""


def test_rescue_has_few_processes(vm):
    with full_slice(vm):
        done = vm.agent(python(FEW, marker()))
        assert NOTICE in done.errors
        made, reason = done.ok().text.split(None, 1)
        # 8 in all: Python itself is one, its shell may be another
        assert 6 <= int(made) <= 8 and "unavailable" in reason


def test_rescue_has_little_memory(vm):
    since = vm.now()
    eat = python("x = b'x' * (100 << 20); print('had it')")
    enough = python("x = b'x' * (20 << 20); print('had it')")
    with full_slice(vm):
        done = vm.agent(eat, timeout=120)
        assert NOTICE in done.errors and done.out == b"" and done.rc in (137, 255)
        entry = vm.record(since, "command", agent="agent", command=eat)
        assert entry["CREEL_RESCUE"] == "yes" and int(entry["CREEL_OOM_KILLS"]) >= 1
        # what met the limit is gone, and the next one is rescued again
        assert vm.agent(enough).ok().text == "had it"
        assert vm.root.sh(f"systemctl is-active creel-rescue@{vm.uid()}.service creel-keeper@{vm.uid()}.service").split() == \
            ["active", "active"]


def test_only_one_login_is_rescued_at_a_time(vm):
    with full_slice(vm):
        with vm.agent.start(f"{CGROUP}; cat") as first:
            assert is_rescue(vm, first.stdout.readline().decode())
            second = vm.agent("echo second")
            assert second.rc == 254 and second.out == b"" and "rescue leaf is in use" in second.errors
            assert vm.bob.sh("echo bob") == "bob", "a neighbour has its own"
            first.stdin.close()
            assert first.wait(60) == 0
        # given back: the next one gets it
        third = wait_until(lambda: (done := vm.agent(CGROUP)).rc == 0 and done)
        assert is_rescue(vm, third.text)
    assert vm.agent.sh(CGROUP).startswith("/user.slice/"), "and with room in the slice nobody needs it"


def test_rescue_cleans_up(vm):
    """What it is for: the login in the rescue leaf ends what fills the slice."""
    number = marker()
    with vm.agent.start(python(FILL, number)) as client:
        assert client.stdout.readline()
        wait_until(lambda: processes(vm) == 50)
        done = vm.agent(f"pkill -fx 'sleep {number}'")
        assert done.rc == 0 and NOTICE in done.errors
        wait_until(lambda: not vm.alive(f"sleep {number}"))
        client.stdin.close()
        assert client.wait(60) == 0
    calm(vm, 20)


@pytest.fixture
def small(vm):
    """Bob with 256M and his user manager as it is."""
    with policy(vm, "[limits]\nmemory = 256M\nswap = 0\n", "bob"):
        yield
    wait_until(lambda: vm.bob("echo in").text == "in", 60)


# memory that cannot be taken back, until less than 12M are left, the page cache counted as free; less than the keeper asks for
HOG = """
import os, sys
place = sys.argv[1]
number = lambda file: int(open(f"{place}/{file}").read())
def left():
    stat = dict(line.split() for line in open(f"{place}/memory.stat"))
    return number("memory.max") - number("memory.current") + int(stat["active_file"]) + int(stat["inactive_file"])
held = []
while left() > 12 << 20:
    held.append(b"x" * (1 << 20))
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def test_rescue_when_memory_is_used_up(vm, small):
    place = SLICE.format(uid=vm.uid("bob"))
    assert vm.root.sh(f"cat {place}/memory.max") == str(256 << 20)
    assert vm.bob.sh(CGROUP).startswith("/user.slice/")
    with vm.bob.start(python(HOG, place)) as client:
        pid = client.stdout.readline().decode().strip()
        assert pid.isdigit(), client.stderr.read()
        done = vm.bob(CGROUP)
        assert done.rc == 0 and is_rescue(vm, done.text, "bob") and NOTICE in done.errors
        done = vm.bob(f"kill -KILL {pid}")
        assert done.rc == 0 and NOTICE in done.errors
        assert client.wait(60) != 0
    wait_until(lambda: vm.bob(CGROUP).text.startswith("/user.slice/"), what="there is memory again")
