# SPDX-License-Identifier: MIT
"""The agent's slice: what it may use, what happens when it wants more, and what that does to everybody else."""

import contextlib
import re
import statistics
import subprocess
import time

import pytest

from harness import CGROUP, FORK_BOMB, MEMORY_BOMB, Host, marker, policy, policy_file, python, wait_until

SLICE = "/sys/fs/cgroup/user.slice/user-{uid}.slice"
IDLE_RUNS = 5
BOMB_SECONDS = 30


def in_slice(vm, file, user="agent"):
    return vm.root.sh(f"cat {SLICE.format(uid=vm.uid(user))}/{file}")


def effective(vm, user="agent"):
    """Effective values by 'section.key', as creelctl shows them."""
    values = {}
    for line in vm.root.sh(f"creelctl policy show {user}").splitlines():
        match = re.match(r"\s*([a-z_]+\.[a-z_]+)\s*=?\s+(\S+)", line)
        if match:
            values[match.group(1)] = match.group(2)
    return values


def size(text):
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get(text[-1])
    return text if text == "max" else str(int(text[:-1]) * factor) if factor else text


def root_true(vm):
    """Seconds that the operator needs for a whole `ssh true`."""
    start = time.monotonic()
    vm.operator.sh("true", timeout=120)
    return time.monotonic() - start


@pytest.fixture
def idle(vm):
    """The operator's time on an idle machine, measured just before each bomb: what else this machine does changes."""
    root_true(vm)
    return statistics.median(root_true(vm) for _ in range(IDLE_RUNS))


def during(vm, seconds):
    """The operator's times while something else goes on."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 3:
        times.append(root_true(vm))
    return times


def assert_quick(times, idle):
    """At most five times the idle time: the median, and four of five, for a machine has other things to do now and then."""
    times = sorted(times)
    assert len(times) >= 3, "too few to say anything"
    assert statistics.median(times) <= 5 * idle and times[(len(times) - 1) * 4 // 5] <= 5 * idle, (idle, times)


def told(what, times, idle):
    print(f"idle {idle:.2f} s, during {what} {statistics.median(times):.2f} s, at most {max(times):.2f} s, {len(times)} times")


def processes(vm):
    return vm.processes().count


def calm(vm, at_most):
    wait_until(lambda: processes(vm) <= at_most, 60, "the slice is calm again")


def test_values_of_the_slice_are_the_policys(vm):
    values = effective(vm)
    assert in_slice(vm, "memory.max") == size(values["limits.memory"]) or \
        int(in_slice(vm, "memory.max")) < int(size(values["limits.memory"])), "less only where the machine has less"
    assert in_slice(vm, "memory.swap.max") == size(values["limits.swap"])
    assert in_slice(vm, "pids.max") == values["limits.tasks"]
    assert vm.processes().limit == int(values["limits.processes"])
    quota, period = map(int, in_slice(vm, "cpu.max").split())
    assert quota == float(values["limits.cpu"]) * period


def test_bob_has_limits_of_his_own(vm):
    assert in_slice(vm, "pids.max", "bob") == effective(vm, "bob")["limits.tasks"]
    assert vm.processes("bob").limit == int(effective(vm, "bob")["limits.processes"])


def test_limits_together_leave_room_for_the_operator(vm):
    total = int(vm.root.sh("awk '/MemTotal/ { print $2 * 1024 }' /proc/meminfo"))
    top = vm.root.sh("cat /sys/fs/cgroup/user.slice/memory.max")
    one = in_slice(vm, "memory.max")
    bound = min(int(value) for value in (top, one, str(total * 10)) if value != "max")
    assert bound <= total - 384 * (1 << 20), "all agents together: RAM less 384M"


def test_creel_limits_shows_limits_beside_use(vm):
    shown = vm.agent.sh("creel limits")
    for word in ("memory", "processes", "cpu", "swap"):
        assert word in shown
    assert re.search(r"processes\s.*\b50\b", shown)
    vm.root.sh("creelctl agent show agent")


def test_a_limit_that_the_machine_cannot_keep_is_told_as_such(vm):
    with policy(vm, "[limits]\nmemory = 64G\n"):
        row, = (line for line in vm.agent.sh("creel limits").splitlines() if line.startswith("memory"))
        assert "this machine has no more" in row and policy_file() in row and "64" not in row
    assert policy_file() not in vm.agent.sh("creel limits")


def test_limits_of_rlimits(vm):
    values = effective(vm)
    blocks = vm.agent.sh("ulimit -f")
    assert int(blocks) * 1024 == int(size(values["limits.file_size"]))
    assert vm.agent.sh("ulimit -Hn") == values["limits.open_files"]
    assert vm.agent("ulimit -Hn 1000000").rc != 0
    assert vm.agent("head -c 600M /dev/zero > big; s=$?; rm -f big; exit $s").rc != 0


FILL = """
import subprocess, sys
n = 0
try:
    while n < 80:
        subprocess.Popen(["sleep", sys.argv[1]])
        n += 1
except OSError as problem:
    print(n, problem.strerror, flush=True)
sys.stdin.read()
subprocess.run(["true"])
"""


def test_processes_beyond_the_limit_are_refused_and_told(vm):
    number = marker()
    with vm.agent.start(python(FILL, number)) as client:
        made, reason = client.stdout.readline().decode().split(None, 1)
        assert 20 <= int(made) < 50 and "unavailable" in reason
        assert processes(vm) == 50
        # full, and yet one more login to look and to clean up
        assert vm.agent.sh("creel limits && echo seen").endswith("seen")
        vm.agent.sh(f"pkill -fx 'sleep {number}'; true")
        wait_until(lambda: not vm.alive(f"sleep {number}"))
        client.stdin.close()
        assert client.wait(60) == 0
    calm(vm, 20)


def test_neighbour_notices_nothing_of_a_full_slice(vm):
    number = marker()
    with vm.agent.start(python(FILL, number)) as client:
        assert client.stdout.readline()
        assert vm.bob.sh("for i in 1 2 3 4 5; do sleep 0.1 & done; wait; echo fine") == "fine"
    wait_until(lambda: not vm.alive(f"sleep {number}"))


def clean_up_as_agent(vm):
    """One more login inside the bomb: it must get in, see, and end it."""
    done = vm.agent("creel limits >/dev/null && echo in", timeout=120)
    assert done.text == "in", done
    # SIGSTOP first: a bomb that is killed one by one grows back. kill(-1) spares only its caller.
    kill = "; ".join(["kill -STOP -1"] * 3 + ["kill -KILL -1"])
    done = vm.agent(kill, timeout=120)
    assert done.rc == 0, done


def manager_restarts(vm):
    return int(vm.root.sh(f"systemctl show -P NRestarts user@{vm.uid()}.service"))


def manager_back(vm, restarts):
    """The clean-up killed the user manager too; nobody starts it but systemd."""
    unit = f"user@{vm.uid()}.service"
    wait_until(lambda: manager_restarts(vm) > restarts and vm.root(f"systemctl is-active {unit}").text == "active", 120,
               f"{unit} comes back by itself")
    wait_until(lambda: vm.agent("systemctl --user is-system-running").text in ("running", "degraded", "starting"))


def test_fork_bomb_over_ssh(vm, idle):
    restarts = manager_restarts(vm)
    with vm.agent.start(FORK_BOMB):
        wait_until(lambda: processes(vm) >= 49, what="the bomb fills the slice")
        times = during(vm, BOMB_SECONDS)
        # and what the keeper gave birth to, which may execute nothing
        assert processes(vm) <= 55
        assert_quick(times, idle)
        clean_up_as_agent(vm)
        calm(vm, 20)
    assert vm.agent.sh("echo after") == "after"
    manager_back(vm, restarts)
    told("the fork bomb", times, idle)


def test_fork_bomb_as_a_user_service(vm, idle):
    restarts = manager_restarts(vm)
    vm.agent.sh(f"systemd-run --user --unit=bomb --collect bash -c '{FORK_BOMB}; exec sleep 1000'")
    try:
        wait_until(lambda: processes(vm) >= 49, what="the bomb fills the slice")
        times = during(vm, BOMB_SECONDS)
        assert_quick(times, idle)
        clean_up_as_agent(vm)
        calm(vm, 20)
        manager_back(vm, restarts)
    except BaseException:
        # the bomb must not outlive a test that failed
        vm.root(f"systemctl restart user@{vm.uid()}.service", timeout=120)
        raise
    told("the service's fork bomb", times, idle)


def oom_kills(vm):
    return int(re.search(r"^oom_kill (\d+)", in_slice(vm, "memory.events"), re.M).group(1))


def test_memory_bomb_over_ssh(vm, idle):
    before, since = oom_kills(vm), vm.now()
    with vm.agent.start(f"while :; do {python(MEMORY_BOMB)}; done", stdin=subprocess.DEVNULL):
        times = during(vm, BOMB_SECONDS)
        wait_until(lambda: oom_kills(vm) > before, 120, "the kernel ends it within the slice")
        assert_quick(times, idle)
        assert vm.agent.sh("echo in", timeout=120) == "in"
    entry = vm.record(since, "command", agent="agent", result="hangup", timeout=60)
    assert int(entry["CREEL_OOM_KILLS"]) >= 1
    assert vm.root.sh("systemctl is-active ssh.service creel-sshd.service").split() == ["active"] * 2
    told("the memory bomb", times, idle)


def test_memory_bomb_is_told_to_the_client(vm):
    done = vm.agent(python(MEMORY_BOMB), timeout=240)
    assert done.rc in (137, 255)


def test_memory_bomb_as_a_user_service(vm, idle):
    before = oom_kills(vm)
    vm.agent.sh(f"systemd-run --user --unit=membomb -p Restart=always -p RestartSec=0 {python(MEMORY_BOMB)}")
    try:
        times = during(vm, BOMB_SECONDS)
        wait_until(lambda: oom_kills(vm) > before, 120)
        assert_quick(times, idle)
        assert vm.bob.sh("echo bob") == "bob"
    finally:
        vm.agent("systemctl --user stop membomb; systemctl --user reset-failed", timeout=120)
    assert vm.agent("systemctl --user is-system-running").text in ("running", "degraded", "starting")


def test_page_cache_and_tmpfs_count_too(vm):
    """/dev/shm and /run/user are memory: they may not be a way around the limit."""
    before = oom_kills(vm)
    done = vm.agent("head -c 3G /dev/zero > /dev/shm/fill; echo rc=$?; rm -f /dev/shm/fill", timeout=240)
    assert "rc=0" not in done.text or oom_kills(vm) > before
    vm.root.sh("rm -f /dev/shm/fill")


def test_operators_own_door_is_not_limited_by_the_agents(vm):
    assert Host(vm, "root").sh(CGROUP).startswith("/user.slice/user-0.slice")


def test_agent_cannot_lower_its_oom_score(vm):
    score = int(vm.agent.sh("cat /proc/self/oom_score_adj"))
    assert score > 0
    assert vm.agent(f"echo {score - 1} > /proc/self/oom_score_adj").rc != 0
    assert vm.agent("choom -n -500 -- true").rc != 0


def test_cpu_hog_does_not_stop_the_operator(vm, idle):
    with contextlib.ExitStack() as hogs:
        for _ in range(3):
            hogs.enter_context(vm.agent.start("while :; do :; done"))
        times = during(vm, 8)
    assert_quick(times, idle)


@pytest.fixture
def two_sessions(vm):
    """bob may log in twice at a time."""
    with policy(vm, "[limits]\nsessions = 2\n", "bob", apply=False):
        yield


def test_sessions_at_a_time(vm, two_sessions):
    """A login too many is refused with the reason on record, and only that agent's; when one ends there is room again."""
    assert effective(vm, "bob")["limits.sessions"] == "2"
    with vm.bob.start("echo in; cat") as first, vm.bob.start("echo in; cat") as second:
        assert first.stdout.readline() == second.stdout.readline() == b"in\n"
        since = vm.now()
        done = vm.bob("echo in")
        assert done.rc == 255 and not done.out and "Permission denied" in done.errors, done
        entry = vm.record(since, "refusal", agent="bob")
        assert "too many sessions at a time (limits.sessions)" in entry["CREEL_REASON"], entry
        assert vm.agent.sh("echo mine") == "mine"
        # those that are in go on
        first.stdin.write(b"on\n")
        first.stdin.flush()
        assert first.stdout.readline() == b"on\n"
        second.stdin.close()
        assert second.wait(30) == 0
        wait_until(lambda: vm.bob("echo again").text == "again", 30, "the place that came free")
