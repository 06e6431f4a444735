# SPDX-License-Identifier: MIT
"""Limits of one session, by each door: what runs wild in one is stopped there, and another of the same agent works on."""

import contextlib
import json
import pathlib
import re
import shlex

import pytest

from console import at_console
from harness import CGROUP, FORK_BOMB, MEMORY_BOMB, limits, policy, python, wait_until

MEMORY, TASKS, CORES = 200 << 20, 30, 1
THROTTLED = 10  # periods of the CPU controller
THREADS = """
import sys, threading
end, n = threading.Event(), 0
try:
    while n < int(sys.argv[1]):
        threading.Thread(target=end.wait).start()
        n += 1
except RuntimeError:
    pass
print(n, flush=True)
sys.stdin.readline()
end.set()
"""


class Door:
    """A way in: which client, and what it is told to run."""

    def __init__(self, name):
        self.name = name

    def host(self, vm):
        return {"ssh": vm.agent, "openssh": vm.openssh, "su": vm.operator, "console": vm.operator}[self.name]

    def command(self, command):
        if self.name == "console":
            return at_console(command)
        return f"su - agent -c {shlex.quote(command)}" if self.name == "su" else command

    def sh(self, vm, command):
        return self.host(vm).sh(self.command(command), timeout=120)

    @contextlib.contextmanager
    def session(self, vm, command):
        """A session that runs this; all of it is ended at the end, also what ignores that its client went."""
        with self.host(vm).start(self.command(f"{CGROUP}; {command}")) as client:
            session = Session(vm, client)
            try:
                yield session
            finally:
                session.end()


class Session:
    def __init__(self, vm, client):
        self.vm, self.client = vm, client
        line = client.stdout.readline().decode().strip()
        assert line.startswith("/user.slice/"), line or client.stderr.read()
        where = pathlib.PurePosixPath(line)
        self.name = str(where if where.suffix == ".scope" else where.parent)
        self.folder = f"/sys/fs/cgroup{self.name}"

    def ask(self, command):
        """For a session that runs a shell: the line that it answers."""
        self.client.stdin.write(command.encode() + b"\n")
        self.client.stdin.flush()
        return self.client.stdout.readline().decode().strip()

    def file(self, name):
        return self.vm.root.sh(f"cat {self.folder}/{name}")

    def cpu(self):
        return {key: int(value) for key, value in (line.split() for line in self.file("cpu.stat").splitlines())}

    def refused(self):
        """Forks beyond the limit of tasks. Linux before 6.12 counts them where the fork was, not where the limit is."""
        return sum(map(int, self.vm.root.sh(f"find {self.folder} -name pids.events -exec sed -n 's/^max //p' {{}} +").split()))

    def end(self):
        self.vm.root(f"echo 1 > {self.folder}/cgroup.kill")
        wait_until(lambda: self.vm.root(f"test -d {self.folder}").rc != 0, 60, f"{self.folder} is gone")


DOORS = ["ssh", "openssh", "su", "console"]


@pytest.fixture(params=DOORS)
def door(request):
    return Door(request.param)


@pytest.fixture(scope="class")
def limited(vm):
    """A part of what the agent may use. A fork has a process's place until the session's limit refuses it: hence twice TASKS."""
    lines = f"processes = {2 * TASKS + 40}\nsession_memory = {MEMORY >> 20}M\nsession_tasks = {TASKS}\nsession_cpu = {CORES}\n"
    with policy(vm, f"[limits]\n{lines}"):
        yield


def slice_events(vm, file):
    """Of the agent's slice itself: what met its own limits."""
    out = vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{vm.uid()}.slice/{file}")
    return {key: int(value) for key, value in (line.split() for line in out.splitlines())}


def rows(text):
    return {name: row for name, row in limits(text).items() if name.startswith("session_")}


def works(vm, door, other):
    """Another session goes on: it starts processes and threads and takes memory; and one more can be opened."""
    memory = "python3 -c 'print(len(bytearray(60 << 20)))'"
    said = other.ask("for i in 1 2 3 4 5; do /bin/true & done; wait; "
                     f"echo fine $({python(THREADS, '10')} </dev/null) $({memory})")
    assert said == f"fine 10 {60 << 20}"
    assert door.sh(vm, "echo fresh") == "fresh"


@pytest.mark.usefixtures("limited")
class TestLimited:
    def test_memory_bomb_is_ended_in_its_session(self, vm, door):
        before, kills = slice_events(vm, "memory.events.local")["oom"], slice_events(vm, "memory.events")["oom_kill"]
        with door.session(vm, "exec sh") as other:
            with door.session(vm, f"while :; do {python(MEMORY_BOMB)}; done") as bomb:
                assert bomb.file("memory.max") == str(MEMORY)
                wait_until(lambda: "oom_kill 0" not in bomb.file("memory.events"), 120, "the kernel ends it")
                works(vm, door, other)
                assert "oom_kill 0" in other.file("memory.events")
            assert other.ask("echo still") == "still"
        assert slice_events(vm, "memory.events")["oom_kill"] > kills
        assert slice_events(vm, "memory.events.local")["oom"] == before, "it was the session's limit, not the agent's"

    def test_fork_bomb_is_held_in_its_session(self, vm, door):
        before = vm.processes().refused
        with door.session(vm, "exec sh") as other:
            with door.session(vm, f"{FORK_BOMB}; wait") as bomb:
                assert bomb.file("pids.max") == str(TASKS)
                wait_until(lambda: bomb.refused() > 10, 120, "it meets the limit")
                assert int(bomb.file("pids.current")) <= TASKS
                works(vm, door, other)
                assert other.refused() == 0
            assert other.ask("echo still") == "still"
        assert vm.processes().refused == before, "it was the session's limit, not the agent's"

    def test_thread_bomb_is_held_in_its_session(self, vm, door):
        with door.session(vm, "exec sh") as other, door.session(vm, python(THREADS, "1000")) as bomb:
            made = int(bomb.client.stdout.readline())
            assert TASKS - 10 <= made < TASKS and int(bomb.file("pids.current")) <= TASKS and bomb.refused()
            assert vm.processes().count < TASKS, "threads are tasks, not processes"
            works(vm, door, other)
            assert other.refused() == 0

    def test_a_session_gets_its_cpu_time_and_no_more(self, vm, door):
        """Told in periods of the controller: two loops want two cores in each, and may use one."""
        with door.session(vm, "exec sh") as other, door.session(vm, "while :; do :; done & while :; do :; done") as hog:
            quota, period = map(int, hog.file("cpu.max").split())
            assert quota == CORES * period and other.file("cpu.max") == hog.file("cpu.max")
            begun, calm = hog.cpu(), other.cpu()
            wait_until(lambda: hog.cpu()["nr_throttled"] >= begun["nr_throttled"] + THROTTLED, 120, "it is held up", pause=1)
            ended = hog.cpu()
            assert other.ask("echo still") == "still"
            assert ended["usage_usec"] - begun["usage_usec"] <= 1.2 * quota * (ended["nr_periods"] - begun["nr_periods"])
            assert other.cpu()["nr_throttled"] == calm["nr_throttled"], "its own time is its own"
            self.assert_told(other)

    def assert_told(self, session):
        """What `creel limits` says in a session, to programs and to people."""
        shown = rows(session.ask("creel limits --json | tr -d '\\n'; echo"))
        assert shown["session_memory"]["limit"] == MEMORY == int(session.file("memory.max"))
        assert shown["session_tasks"]["limit"] == TASKS == int(session.file("pids.max"))
        assert shown["session_cpu"]["limit"] == CORES * 1000000
        assert 0 < shown["session_memory"]["used"] < MEMORY and 0 < shown["session_tasks"]["used"] < TASKS
        assert shown["session_cpu"]["used"] > 0 and shown["session_cpu"]["unit"] == "usec"
        assert all("/agent.conf:" in shown[name]["origin"] for name in ("session_memory", "session_tasks"))
        said = session.ask("creel limits | grep session_tasks")
        assert re.fullmatch(rf"session_tasks +\d+ +{TASKS} .*/agent.conf:\d+", said)
        assert re.match(rf"session_cpu +\S+s +{CORES}s/s ", session.ask("creel limits | grep session_cpu"))

    def test_outside_of_a_session_nothing_is_used_of_its_limits(self, vm):
        for text in (vm.agent.sh("systemd-run --user --quiet --pipe --wait --collect creel limits --json", timeout=120),
                     json.dumps(json.loads(vm.root.sh("creelctl agent show --json agent"))["limits"])):
            shown = rows(text)
            assert [shown[name]["limit"] for name in ("session_memory", "session_tasks", "session_cpu")] == [MEMORY, TASKS, CORES * 1000000]
            assert all(row["used"] is None for row in shown.values())


def test_a_session_keeps_the_limits_it_began_with(vm):
    with contextlib.ExitStack() as stack:
        begun = {name: stack.enter_context(Door(name).session(vm, "exec sh")) for name in DOORS}
        stack.enter_context(policy(vm, f"[limits]\nsession_tasks = {TASKS}\n"))
        for name, session in begun.items():
            assert session.file("pids.max") == "max", name
            assert re.search(r"session_tasks +\d+ +max ", session.ask("creel limits | grep session_tasks")), name
            assert rows(Door(name).sh(vm, "creel limits --json"))["session_tasks"]["limit"] == TASKS, name


def test_a_limit_by_openssh_outlives_a_reload(vm):
    """What SetUnitProperties wrote is read again; of a percent's fractions nothing is left."""
    with policy(vm, "[limits]\nsession_cpu = 0.505\n"), Door("openssh").session(vm, "exec sh") as session:
        assert session.file("cpu.max") == "50500 100000"
        vm.root.sh("systemctl daemon-reload")
        assert session.file("cpu.max") == "50000 100000"


def refused(vm, text):
    """What creelctl says of a policy that cannot be had."""
    with policy(vm, text, apply=False):
        done = vm.root("creelctl policy check agent")
    assert done.rc != 0, done.text
    return done.errors + done.text


def test_none_may_be_more_than_the_agents(vm):
    for key, value, upper in (("memory", "3G", "2G"), ("tasks", "1025", "1024"), ("cpu", "2.5", "2")):
        said = refused(vm, f"[limits]\nsession_{key} = {value}\n")
        assert f"session_{key}: {value} is more than [limits] {key} = {upper}" in said
    assert "session_processes: unknown key" in refused(vm, "[limits]\nsession_processes = 20\n")


def test_without_a_policy_of_its_own_the_totals_decide(vm):
    shown = rows(vm.agent.sh("creel limits --json"))
    assert list(shown) == ["session_memory", "session_cpu", "session_tasks"]
    assert [row["limit"] for row in shown.values()] == [None] * 3 and all(row["used"] > 0 for row in shown.values())
