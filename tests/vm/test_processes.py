# SPDX-License-Identifier: MIT
"""limits.processes counts processes, not threads, by programs in the kernel: exactly, whatever is born, ends and moves."""

import contextlib
import re

import pytest

from harness import CGROUP, FORK_BOMB, PROBE_DIR, limits, marker, policy, python, wait_until

FOLDER = "/sys/fs/bpf/creel"
BIRTHS = f"{PROBE_DIR}/births"

# Processes with a thread that lives, in a slice, as /proc tells: the count's own words, by another way.
SCAN = """
import os, sys
found = 0
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        path = open(f"/proc/{pid}/cgroup").read().partition("::")[2]
        states = [open(f"/proc/{pid}/task/{task}/stat").read().rpartition(") ")[2][0] for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        continue
    found += path.startswith(f"/user.slice/user-{sys.argv[1]}.slice/") and any(state not in "ZX" for state in states)
print(found)
"""


@pytest.fixture(scope="module", autouse=True)
def births(vm):
    vm.root.sh(f"gcc -O1 -pthread -o {BIRTHS} {PROBE_DIR}/births.c && chmod 755 {BIRTHS}")


def scan(vm, user="agent"):
    return int(vm.root.sh(python(SCAN, str(vm.uid(user)))))


def exact(vm, user="agent"):
    """Waits until the kernel's count is what /proc shows; returns it."""
    seen = []

    def same():
        seen[:] = [vm.processes(user).count, scan(vm, user)]
        return seen[0] == seen[1]
    try:
        wait_until(same, 60, "the count is exact")
    except AssertionError:
        raise AssertionError(f"count {seen[0]}, scan {seen[1]}") from None
    return seen[0]


@contextlib.contextmanager
def filled(vm, how, number, threads, user="agent"):
    """That many children; yields what the probe says: (made, errno name)."""
    with getattr(vm, user).start(f"{BIRTHS} {how} {number} {threads}") as client:
        made, reason = client.stdout.readline().decode().split()
        yield int(made), reason
        client.stdin.close()
        assert client.wait(120) == 0
    exact(vm, user)


def test_the_count_is_what_lives_in_the_slice(vm):
    before = exact(vm)
    with filled(vm, "fork", 7, 5) as (made, reason):
        assert (made, reason) == (7, "0")
        # the shell may have become the probe
        assert before + 8 <= exact(vm) <= before + 9
    assert exact(vm) == before


def test_fifty_processes_of_eleven_threads(vm):
    """A limit of 50 means fifty servers with all their threads, and not one more."""
    before = exact(vm)
    with filled(vm, "spawn", 80, 11) as (made, reason):
        assert reason == "EAGAIN"
        usage = vm.processes()
        assert usage.count == usage.limit == 50
        assert 50 - before - 2 <= made <= 50 - before - 1
        assert int(vm.root.sh(f"cat /sys/fs/cgroup/user.slice/user-{vm.uid()}.slice/pids.current")) > made * 11
        assert scan(vm) == 50


@pytest.mark.parametrize("how", ["fork", "vfork", "clone", "thread", "spawn"])
def test_every_way_of_birth_is_counted_and_refused(vm, how):
    refused = vm.processes().refused
    with filled(vm, how, 80, 1) as (made, reason):
        assert reason == "EAGAIN" and made < 50
        assert vm.processes().count == 50 and scan(vm) == 50
    assert vm.processes().refused > refused
    # what ended made room
    with filled(vm, how, 20, 1) as (made, reason):
        assert (made, reason) == (20, "0")


@pytest.mark.parametrize("how", ["leader", "exec"])
def test_odd_ends_are_counted_once(vm, how):
    """A first thread that ends before the others, and an execution by a thread that is not the first."""
    before = exact(vm)
    for _ in range(3):
        assert vm.agent(f"{BIRTHS} {how} 20", timeout=120).rc == 0
    assert exact(vm) == before


def test_births_in_turn_leave_nothing(vm):
    before = exact(vm)
    assert vm.agent.sh(f"{BIRTHS} churn 1000", timeout=240) == "0"
    assert exact(vm) == before


def test_the_dead_that_nobody_waits_for_are_tasks_only(vm):
    """They do not run. The pids controller, limits.tasks, bounds them."""
    before = exact(vm)
    with vm.agent.start(f"{BIRTHS} zombies 100") as client:
        assert client.stdout.readline().split() == [b"0"]
        assert exact(vm) <= before + 2
        client.stdin.close()
        assert client.wait(60) == 0
    exact(vm)


def test_fork_bomb_stays_in_and_ends(vm):
    slice_path = f"/sys/fs/cgroup/user.slice/user-{vm.uid()}.slice"
    with vm.agent.start(FORK_BOMB):
        wait_until(lambda: vm.processes().refused > 100, 120, "the bomb meets the limit")
        for _ in range(10):
            assert vm.processes().count <= 50 + 5, "fifty, and what the keeper gave birth to"
        assert vm.bob.sh("echo bob", timeout=120) == "bob"
        vm.root.sh(f"for s in {slice_path}/creel-leaves@{vm.uid()}.service/session-*; do echo 1 > $s/cgroup.kill; done",
                   timeout=120)
    wait_until(lambda: vm.processes().count < 10, 120, "the bomb is gone")
    exact(vm)


def test_a_full_slice_can_still_be_cleaned_up(vm):
    with filled(vm, "fork", 80, 1) as (_, reason):
        assert reason == "EAGAIN"
        done = vm.agent(CGROUP)
        assert done.rc == 0 and done.text.startswith("/creel.slice/creel-rescue@") and "rescue leaf" in done.errors
        with vm.agent.start(f"{CGROUP}; cat") as first:
            assert b"creel-rescue" in first.stdout.readline()
            second = vm.agent("echo second")
            assert second.rc == 254 and "limit of processes" in second.errors
            first.stdin.close()
            assert first.wait(60) == 0
    assert vm.agent.sh(CGROUP).startswith("/user.slice/")


def test_a_service_of_the_users_counts_and_is_refused(vm):
    before = exact(vm)
    number = marker()
    vm.agent.sh(f"systemd-run --user --unit=many --collect sh -c 'sleep {number} | {BIRTHS} fork 80 1'")
    try:
        wait_until(lambda: vm.processes().count == 50, 60, "the slice is full")
        assert scan(vm) == 50
    finally:
        vm.root.sh(f"pkill -fx 'sleep {number}'; true")
        wait_until(lambda: vm.processes().count < 40, 60)
        vm.agent.sh("systemctl --user stop many; systemctl --user reset-failed; true")
    wait_until(lambda: exact(vm) <= before + 1, 60)


def kept(vm, user):
    uid = vm.uid(user)
    return f"/sys/fs/cgroup/user.slice/user-{uid}.slice/creel-leaves@{uid}.service/kept/cgroup.procs"


def test_processes_that_root_moves(vm):
    """Into a slice, into another one, and out: each move is counted where it goes."""
    agent, bob = exact(vm), exact(vm, "bob")
    pid = int(vm.root.sh(f"setsid sleep {marker()} >/dev/null 2>&1 & echo $!"))
    try:
        for user, expected in (("agent", (agent + 1, bob)), ("bob", (agent, bob + 1)), ("agent", (agent + 1, bob))):
            vm.root.sh(f"echo {pid} > {kept(vm, user)}")
            assert (exact(vm), exact(vm, "bob")) == expected
        vm.root.sh(f"echo {pid} > /sys/fs/cgroup/cgroup.procs")
        assert (exact(vm), exact(vm, "bob")) == (agent, bob)
    finally:
        vm.root.sh(f"kill {pid}")
    assert (exact(vm), exact(vm, "bob")) == (agent, bob)


def test_whoever_is_moved_into_a_full_slice_executes_nothing(vm):
    """The keeper's births and root's moves are not asked at birth; so they are at their first execution."""
    code = ("import os,sys\nopen(sys.argv[1],'w').write('0')\nos.setgid(int(sys.argv[2]));os.setuid(int(sys.argv[2]))\n"
            "try: os.execv('/bin/echo',['echo','executed'])\nexcept OSError as problem: print(problem.strerror)")
    move = python(code, kept(vm, "agent"), str(vm.uid()))
    with filled(vm, "fork", 80, 1) as (_, reason):
        assert reason == "EAGAIN"
        assert vm.root.sh(move) == "Resource temporarily unavailable"
    assert vm.root.sh(move) == "executed"


def test_a_change_of_the_limit_is_live(vm):
    with policy(vm, agent="bob") as change:
        with vm.bob.start(f"{BIRTHS} fork 10 1") as client:
            assert client.stdout.readline().split() == [b"10", b"0"]
            count = exact(vm, "bob")
            change(f"[limits]\nprocesses = {count + 3}\n")
            assert vm.processes("bob").limit == count + 3
            with filled(vm, "fork", 20, 1, "bob") as (made, reason):
                assert reason == "EAGAIN" and made <= 2
            change("[limits]\nprocesses = 60\n")
            with filled(vm, "fork", 20, 1, "bob") as (made, reason):
                assert (made, reason) == (20, "0")
            client.stdin.close()
            assert client.wait(60) == 0
        change("[limits]\nprocesses = max\n")
        with filled(vm, "fork", 80, 1, "bob") as (made, reason):
            assert (made, reason) == (80, "0")
        shown = limits(vm.bob.sh("creel limits --json"))["processes"]
        assert shown["limit"] is None
    vm.bob.sh("true")


def test_limits_are_shown(vm):
    row, = (line for line in vm.agent.sh("creel limits").splitlines() if line.startswith("processes"))
    used, limit = re.match(r"processes\s+(\d+)\s+(\d+)", row).groups()
    assert int(limit) == 50 and 0 < int(used) < 20
    row, = (line for line in vm.agent.sh("creel limits").splitlines() if line.startswith("tasks"))
    assert re.match(r"tasks\s+\d+\s+1024\b", row)


def test_the_count_outlives_keeper_and_creel_enforce(vm):
    with vm.agent.start(f"{BIRTHS} fork 10 3") as client:
        assert client.stdout.readline()
        before = exact(vm)
        vm.root.sh(f"systemctl restart creel-keeper@{vm.uid()}.service")
        vm.root.sh("systemctl reload creel-enforce.service")
        assert exact(vm) == before
        # the programs anew, as after an upgrade, or when somebody removed one
        folder = vm.root.sh(f"readlink -f {FOLDER}/processes")
        vm.root.sh(f"rm {folder}/sched_process_exit && systemctl reload creel-enforce.service && ls {folder}/sched_process_exit",
                   timeout=120)
        assert exact(vm) == before
        client.stdin.close()
        client.wait(60)
    exact(vm)


def test_a_run_that_was_killed_half_way_is_mended_by_the_next(vm):
    before = exact(vm)
    for seconds in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
        vm.root.sh(f"rm $(readlink -f {FOLDER}/processes)/task_alloc; mkdir -p {FOLDER}/new-processes")
        # a run that is faster than that mends it
        done = vm.root(f"timeout -s KILL {seconds} /usr/libexec/creel/creel-enforce; exit $?", timeout=120)
        if done.rc != 0:
            break
    assert done.rc == 137, "killed"
    vm.root.sh("/usr/libexec/creel/creel-enforce", timeout=120)
    assert vm.root(f"ls {FOLDER} | grep new-").rc != 0
    assert exact(vm) == before
    with filled(vm, "fork", 80, 1) as (made, reason):
        assert reason == "EAGAIN" and made < 50


def test_a_missing_program_refuses_logins_with_the_reason(vm):
    since = vm.now()
    link = vm.root.sh(f"readlink -f {FOLDER}/processes") + "/task_alloc"
    vm.root.sh(f"rm {link}")
    try:
        assert vm.bob("echo in").text != "in"
        entry = vm.record(since, "refusal", agent="bob")
        assert "count processes" in str(entry) and "task_alloc" in str(entry)
        # an operator who says that it may be missing
        with policy(vm, "[agent]\noptional = processes\n", "bob", apply=False):
            assert vm.bob.sh("echo in") == "in"
    finally:
        vm.root.sh("systemctl reload creel-enforce.service", timeout=120)
    assert vm.agent.sh("echo in") == "in"


def test_where_nothing_is_known_nobody_gets_in(vm):
    file = f"/run/creel/enforced/{vm.uid()}"
    vm.root.sh(f"mv {file} /root/enforced")
    try:
        assert vm.agent("echo in").text != "in"
        vm.root.sh(f"echo nonsense > {file}")
        assert vm.agent("echo in").text != "in"
    finally:
        vm.root.sh(f"mv /root/enforced {file}")
    assert vm.agent.sh("echo in") == "in"


def test_agents_may_not_look_or_touch(vm):
    for word in (f"ls {FOLDER}", f"cat {FOLDER}/processes/usage", f"cat /run/creel/enforced/{vm.uid()}",
                 f"rm {FOLDER}/processes/usage", "echo x > /run/creel/enforced/1"):
        assert vm.agent(word).rc != 0, word
