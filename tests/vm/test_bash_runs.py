# SPDX-License-Identifier: MIT
"""[exec] bash_allow and bash_deny: what a bash run executes, and what it does not, by whatever way. Other runs and logins are
not concerned; [commands] stays in force beside them."""

import pytest

from harness import policy
from test_run import POLICY, ask, order
from tricks import FORBIDDEN, PERMITTED, twins

LOADER = "/lib64/ld-linux-x86-64.so.2"
ALLOWED = "[exec]\nbash_allow = ls, cat, cp, chmod, rm, env, find, awk, permitted\n"

# {p}: the program, {f}: the file that it makes
TRICKS = {
    "by path": "{p} {f}",
    "env": "env {p} {f}",
    "find": "find /etc/hostname -exec {p} {f} \\;",
    "awk": "awk 'BEGIN {{ system(\"{p} {f}\") }}'",
    "a here-document": "bash <<'.'\n{p} {f}\n.",
    "the loader": LOADER + " {p} {f}",
    "a descriptor": "exec 3<{p}; /proc/self/fd/3 {f}",
}


@pytest.fixture(scope="module", autouse=True)
def rules(vm):
    with twins(vm):
        yield


def rules_of(text):
    return POLICY.replace("[exec]\n", text)


def tried(vm, independent=False):
    """By trick: for the program that is allowed and for the other, whether its file was made."""
    orders, names = [], []
    for name, trick in TRICKS.items():
        for path in (PERMITTED, FORBIDDEN):
            file = "/tmp/bash-run-made"
            made = order("bash", f"rm -f {file}\n({trick.format(p=path, f=file)}\n) >/dev/null 2>&1\n[ -e {file} ] && echo made || echo not")
            made["options"]["independent"] = independent
            orders.append(made)
            names.append(name)
    answers = ask(vm, *orders, timeout=600)
    seen = {}
    for name, answer in zip(names, answers):
        seen.setdefault(name, []).append(answer["stdout"].strip())
    return seen


# awk calls a shell that is on no list
@pytest.mark.parametrize("independent", (False, True))
def test_what_is_allowed(vm, independent):
    with policy(vm, rules_of(ALLOWED)):
        for name, seen in tried(vm, independent).items():
            assert seen[1] == "not" and (seen[0] == "made" or name == "awk"), (name, seen)


def test_what_is_denied(vm):
    with policy(vm, rules_of(f"[exec]\nbash_deny = {FORBIDDEN}\n")):
        for name, seen in tried(vm).items():
            assert seen == ["made", "not"], (name, seen)


def test_others_are_not_concerned(vm):
    with policy(vm, rules_of(f"[exec]\nbash_deny = {FORBIDDEN}\n")):
        vm.agent.sh(f"{FORBIDDEN} /tmp/bash-run-made && rm -f /tmp/bash-run-made")
        code = f"import subprocess\nprint(subprocess.run(['{FORBIDDEN}', '/tmp/bash-run-made']).returncode)"
        answer, = ask(vm, order("python", code))
        assert answer["stdout"] == "0\n", answer
        vm.agent.sh("rm -f /tmp/bash-run-made")


def test_both_lists_count(vm):
    with policy(vm, rules_of("[exec]\nbash_allow = cat, head\n") + "[commands]\ndeny = head\n"):
        answer, = ask(vm, order("bash", "cat /etc/hostname; head /etc/hostname; tail /etc/hostname"))
    assert answer["stdout"] == "agent-vm\n" and answer["stderr"].count("Permission denied") == 2, answer


def test_files_without_a_name(vm):
    code = "python3 -c 'import os; os.memfd_create(\"x\")' 2>&1 | cat; (exec /proc/self/fd/3 yes); (exec /dev/fd/3 yes); true"
    with policy(vm, rules_of("[exec]\nbash_allow = cat, python3\n")):
        answer, = ask(vm, order("bash", code))
    assert "PermissionError" in answer["stdout"], answer
