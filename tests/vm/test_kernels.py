# SPDX-License-Identifier: MIT
"""Kernels that lack something: logins are refused with the reason, or what the policy says is optional is done without."""

import json

import pytest

import machine
from harness import limits

WITHOUT_BPF = "lsm=landlock,lockdown,yama,integrity,apparmor"
WITHOUT_LANDLOCK = "lsm=lockdown,yama,integrity,apparmor,bpf"
OPTIONAL = "[agent]\noptional = ports, processes, strangers, services, cgroups\n"
LIMITS = "[limits]\nprocesses = 20\ntasks = 200\n"
FORKS = """import os, sys
n = 0
try:
    while n < 100:
        if os.fork() == 0:
            sys.stdin.read()
            os._exit(0)
        n += 1
except OSError as problem:
    print(n, problem.errno)
"""


@pytest.fixture
def booted(vm):
    """Yields a function that boots the VM with these words for its kernel; back to the snapshot at the end."""
    def boot(words):
        vm.disconnect()
        machine.vm_command(vm.name, "reboot", "--append", words)

    yield boot
    vm.disconnect()
    machine.vm_command(vm.name, "restore")


def states(vm):
    told = json.loads(vm.root("creelctl doctor --json", timeout=120).text)
    return {(row["id"], row["agent"]): (row["state"], row["detail"] + " " + str(row["remedy"])) for row in told["checks"]}


def refusal(vm):
    """Why a login is refused; the operator has his way meanwhile."""
    since = vm.now()
    done = vm.agent("echo in")
    assert done.rc == 255 and not done.text, done
    assert vm.operator.sh("echo in") == "in"
    return vm.record(since, "refusal", agent="agent")["CREEL_REASON"]


def test_without_the_bpf_lsm(vm, booted):
    booted(WITHOUT_BPF)
    assert "the BPF LSM is off" in refusal(vm)
    seen = states(vm)
    state, text = seen["kernel.lsm", None]
    assert state == "MISSING" and "lsm=" in text
    assert seen["enforced.needed", "agent"][0] == "MISSING"

    # for all agents, since whatever is refused is a failure of the whole
    vm.root.sh("cat >> /etc/creel/creel.conf", OPTIONAL)
    vm.root.sh("cat > /etc/creel/agents/agent.conf && creelctl policy apply", LIMITS, timeout=240)
    assert vm.agent.sh("echo in") == "in"
    # tasks stand in for processes: the smaller number of both
    slice_folder = f"/sys/fs/cgroup/user.slice/user-{vm.uid()}.slice"
    assert vm.root.sh(f"cat {slice_folder}/pids.max") == "20"
    born, error = map(int, vm.agent.sh(f"exec python3 -c '{FORKS}'", timeout=120).split())
    assert born < 20 and error == 11, "EAGAIN"
    row = limits(vm.agent.sh("creel limits --json"))["processes"]
    assert row["limit"] == 20 and "counted as tasks" in row["origin"]
    seen = states(vm)
    state, text = seen["enforced.optional", "agent"]
    assert state == "DEGRADED" and "BPF LSM" in text
    assert seen["enforced.needed", "agent"][0] == "OK"


def test_without_landlock(vm, booted):
    booted(WITHOUT_LANDLOCK)
    assert "Landlock" in refusal(vm)
    state, text = states(vm)["kernel.landlock", None]
    assert state == "MISSING" and "lsm=" in text
