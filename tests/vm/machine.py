# SPDX-License-Identifier: MIT
"""The suite's own VMs, apart from the one of `make up`: brought up, snapshot, restored by provision/vm."""

import contextlib
import fcntl
import os
import subprocess
import sys

from harness import BUILD, ROOT, Machine

# one a worker of pytest-xdist (-n), which sets the variable
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
NAME = "-".join(filter(None, ("suite", WORKER)))


def vm_command(name, *words):
    """provision/vm; its output goes where ours goes."""
    environment = {**os.environ, "BUILD": str(BUILD)}
    subprocess.run([sys.executable, str(ROOT / "provision" / "vm"), "--name", name, *words], check=True,
                   env=environment, stdin=subprocess.DEVNULL, timeout=1200)


def folder(name=NAME):
    return BUILD / "vm" / name


def forwarded(vm, guest):
    """The port of this machine that leads to a port of the VM."""
    out = subprocess.run([sys.executable, str(ROOT / "provision" / "vm"), "--name", vm.name, "ports"],
                         env={**os.environ, "BUILD": str(BUILD)}, capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in out.splitlines())[str(guest)]


def bring_up(name, reuse=False, as_is=False):
    """A VM with the current build and a snapshot of it, warmed up: each agent's keeper runs, the probes are in place."""
    if reuse and not as_is:
        with contextlib.suppress(subprocess.CalledProcessError):
            vm_command(name, "restore")
    if not as_is:
        vm_command(name, "up", "--quiet", *(["--one-thread"] if WORKER else []), *([] if reuse else ["--fresh"]))
    vm = seen(name)
    vm.push_probes()
    vm.agent.sh("true")
    vm.bob.sh("true")
    vm.disconnect()
    vm_command(name, "snapshot")
    return vm


def seen(name):
    vm = Machine(folder(name) / "ssh_config")
    vm.name = name
    return vm


def bring_up_one_of_many():
    """The first worker of a run boots a VM; the others have copies of its snapshot."""
    run = os.environ["PYTEST_XDIST_TESTRUNUID"]
    first = BUILD / "vm" / "suite-first"
    first.parent.mkdir(parents=True, exist_ok=True)
    with open(first, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        words = file.read().split()
        if words[:1] == [run]:
            vm_command(NAME, "clone", words[1])
            return seen(NAME)
        vm = bring_up(NAME)
        file.truncate(0)
        file.write(f"{run} {NAME}\n")
    return vm


@contextlib.contextmanager
def running(name="bench", as_is=False, keep=False):
    vm = bring_up(name, as_is=as_is)
    try:
        yield vm
    finally:
        vm.disconnect()
        if not (keep or as_is):
            vm_command(name, "down")
