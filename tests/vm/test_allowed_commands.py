# SPDX-License-Identifier: MIT
"""[commands] allow: what is on the list runs, for logins and services, and nothing else does.

As in test_commands.py each trick is tried with a program that is on the list and with its twin that is not. What nobody could
put on a list - copies, scripts, what is not installed for this - is tried by an agent without a list, too.
"""

import pytest

from harness import BUILD, policy, python
from tricks import FORBIDDEN, PERMITTED, SCRATCH, attempt, batch, made, twins

ALLOWED = "ls, ln, cat, cp, rm, chmod, mkdir, sh, permitted, systemctl, systemd-run, python3"
LOADER = "/lib64/ld-linux-x86-64.so.2"

TRICKS = {
    "by name": "{n} {f}",
    "by path": "{p} {f}",
    "a shell": "sh -c '{n} {f}'",
    "python": "python3 -c 'import subprocess; subprocess.check_call([\"{n}\", \"{f}\"])'",
    "the loader": LOADER + " {p} {f}",
    "a symbolic link": "ln -s {p} {f}.l; {f}.l {f}",
    "a descriptor": "exec 3<{p}; /proc/self/fd/3 {f}",
    "the shell by its process": "/proc/self/exe -c '{n} {f}'",
    "a shell's script": "echo '{n} {f}' > {f}.s; sh {f}.s",
    "systemd-run": "systemd-run --user -q --wait --pipe {p} {f}",
}

# {p}: the program that is on the list
OWN = {
    "what is not on it": "touch {f}",
    "what is not on it, by the loader": LOADER + " /usr/bin/touch {f}",
    "a copy": "cp {p} {f}.c; {f}.c {f}",
    "a copy by cat": "cat {p} > {f}.c; chmod +x {f}.c; {f}.c {f}",
    "a script": "printf '#!/bin/sh\n{p} {f}\n' > {f}.s; chmod +x {f}.s; {f}.s",
    "a script's interpreter": "printf '#!{p}\n' > {f}.s; chmod +x {f}.s; {f}.s {f}",
    "git": "git init -q {f}",
    "a compiler": "echo 'int x;' | gcc -x c -c - -o {f}",
}


@pytest.fixture(scope="module")
def allowed(vm):
    with twins(vm), policy(vm, f"[commands]\nallow = {ALLOWED}\n", manager=True):
        yield


@pytest.fixture(scope="module")
def tried(vm, allowed):
    return {path: batch(vm.agent, {name: attempt(trick, path, f"{SCRATCH}/{path[-3:]}{number}")
                                   for number, (name, trick) in enumerate(TRICKS.items())}) for path in (PERMITTED, FORBIDDEN)}


@pytest.mark.parametrize("trick", TRICKS)
def test_the_list_decides(tried, trick):
    seen = [made(tried[path][trick]) for path in (PERMITTED, FORBIDDEN)]
    assert seen == [["made"], ["not"]], (tried[PERMITTED][trick], tried[FORBIDDEN][trick])


@pytest.fixture(scope="module")
def tried_own(vm, allowed):
    return [batch(host, {name: attempt(trick, PERMITTED, f"{SCRATCH}/{host.name}{number}")
                         for number, (name, trick) in enumerate(OWN.items())}) for host in (vm.agent, vm.bob)]


@pytest.mark.parametrize("trick", OWN)
def test_nothing_else_runs(tried_own, trick):
    agent, bob = (said[trick] for said in tried_own)
    assert (made(agent), made(bob)) == (["not"], ["made"]), (agent, bob)


def test_no_files_without_names(vm, allowed):
    assert "Operation not permitted" in vm.agent(python("import os; os.memfd_create('x')")).errors


def test_uploaded_and_run(vm, allowed):
    """sftp is a subsystem, and so goes on; what it brings is a file like any other of the agent's."""
    for host, rc in ((vm.agent, 126), (vm.bob, 0)):
        host.sftp(f"put {BUILD}/tests/probe mine\nchmod 755 mine\n").ok()
        done = host("./mine --table")
        assert done.rc == rc and bool(done.out) == (rc == 0), done
        host.sh("rm mine")


def test_the_loader_maps_what_can_be_read(vm, allowed):
    """creel.conf(5) and SECURITY.md say so: unless the file system is noexec."""
    vm.agent.sh(f"cp {PERMITTED} {SCRATCH}/own && {LOADER} {SCRATCH}/own {SCRATCH}/by-own && rm {SCRATCH}/by-own {SCRATCH}/own")


def test_the_user_manager_lives_with_it(vm, allowed):
    assert vm.agent("systemctl --user is-system-running").text in ("running", "degraded", "starting")
