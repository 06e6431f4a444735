# SPDX-License-Identifier: MIT
"""[commands]: what restricted shells were got around with, and what the kernel says to it.

A number behind a row is an issue of github.com/ghantoos/lshell, a shell that reads command lines, from which its users got out that
way.
"""

import pytest

from harness import policy, policy_file, python
from tricks import FORBIDDEN, PERMITTED, SCRATCH, attempt, batch, made, twins

TRICKS = {
    "by name": "{n} {f}",
    "by path": "{p} {f}",
    "by a relative path": "cd /usr/local && bin/{n} {f}",
    "by a path with dots": "/usr/local/../local/./bin/{n} {f}",
    "in quotes": "'{n}' {f}; \"{n}\" {f}",
    "in quotes behind another": "echo && '{n}' {f}",  # 147, CVE-2016-6902
    "in pieces": "a={n}; ${{a%????}}${{a#?????}} {f}",
    "escaped": "\\{n} {f}",
    "command": "command {n} {f}",
    "exec under another name": "(exec -a ls {p} {f})",
    "eval": "eval \"$(printf '{n} {f}')\"",
    "substituted": "echo $({n} {f}) `{n} {f}`",
    "substituted in quotes": "echo \"$({n} {f} 1>&2)\"",  # 147
    "its path half in quotes": "mkdir -p {f}.d; printf '#!/bin/sh\n{n} {f}\n' > {f}.d/1.sh; chmod +x {f}.d/1.sh; {f}.d'/1.sh'",  # 148
    "process substitution": "bash -c 'cat <({n} {f})'",
    "behind other commands": "true; true && {n} {f} || {n} {f} | {n} {f} & wait",
    "behind a newline": "true\n{n} {f}",
    "behind a control character": "bash -c $'echo x\\x0a{n} {f}'",  # 149, CVE-2016-6903
    "in a here-document": "sh <<END\n{n} {f}\nEND",
    "in a function of its name": "ls() {{ {p} {f}; }}; ls",
    "as a function without braces": "sh -c 'ls () {n} {f} && ls'",  # 151
    "as an alias": "bash -O expand_aliases -c $'alias ls={p}\nls {f}'",
    "hashed": "bash -c 'hash -p {p} ls; ls {f}'",
    "PATH": "mkdir -p {f}.d; ln -s {p} {f}.d/ls; PATH={f}.d; ls {f}",
    "BASH_ENV": "echo '{n} {f}' > {f}.sh; BASH_ENV={f}.sh bash -c true",
    "ENV": "echo '{n} {f}; exit' > {f}.sh; ENV={f}.sh sh -i </dev/null",
    "PROMPT_COMMAND": "echo exit | PROMPT_COMMAND='{n} {f}' bash -i",
    "a trap": "bash -c 'trap \"{n} {f}\" EXIT'",
    "a symbolic link": "ln -s {p} {f}.l; {f}.l {f}",
    "a copy": "cp {p} {f}.c; {f}.c {f}",
    "a copy by cat": "cat {p} > {f}.c; chmod +x {f}.c; {f}.c {f}",
    "a copy by dd": "dd if={p} of={f}.c status=none; chmod +x {f}.c; {f}.c {f}",
    "a copy in a file without a name": python(
        "import os,sys\nfd=os.memfd_create('x')\nos.write(fd,open(sys.argv[1],'rb').read())\n"
        "os.execv(f'/proc/self/fd/{{fd}}',['x',sys.argv[2]])".replace("{{", "{").replace("}}", "}"), "{p}", "{f}"),
    "the loader": "/lib64/ld-linux-x86-64.so.2 {p} {f}",
    "the loader and a descriptor": "/lib64/ld-linux-x86-64.so.2 /dev/fd/3 {f} 3<{p}",
    "a script's interpreter": "printf '#!{p}\n' > {f}.s; chmod +x {f}.s; {f}.s {f}",
    "a descriptor": "exec 3<{p}; /proc/self/fd/3 {f}",
    "the shell by its process": "/proc/self/exe -c '{n} {f}'",
    "env": "env -i {p} {f}",
    "env -S": "env -S '{p} {f}'",
    "xargs": "echo {f} | xargs {n}",
    "find -exec": "find /etc/passwd -exec {n} {f} ';'",  # 122
    "find -exec without a library": "echo && LD_PRELOAD= find /etc/passwd -exec {n} {f} ';'",  # 122
    "find -execdir": "find /etc/passwd -execdir {p} {f} ';'",
    "awk system": "awk 'BEGIN {{ system(\"{n} {f}\") }}'",
    "awk pipe": "awk 'BEGIN {{ print 1 | \"{n} {f}\" }}'",
    "sed e": "echo '{n} {f}' | sed -n '1e {n} {f}'",
    "perl": "perl -e 'exec \"{p}\", \"{f}\"'",
    "python": "python3 -c 'import os; os.execv(\"{p}\", [\"x\", \"{f}\"])'",
    "python subprocess": "python3 -c 'import subprocess; subprocess.run(\"{n} {f}\", shell=True)'",
    # 55
    "vi :!": "echo x > {f}.t; vi -es -c '!{n} {f}' -c 'qa!' {f}.t </dev/null",
    "vi -c": "echo x > {f}.t; vi -es -c ':%!{n} {f}' -c 'qa!' {f}.t </dev/null",
    "git alias": "git -c alias.x='!{n} {f}' x",
    "git pager": "git init -q {f}.g; cd {f}.g; git -c user.name=x -c user.email=x commit -q --allow-empty -m x; "
                 "script -qec \"git -c core.pager='{n} {f}' log\" /dev/null",
    "git hook": "git init -q {f}.g; cd {f}.g; printf '#!/bin/sh\n{n} {f}\n' > .git/hooks/pre-commit; "
                "chmod +x .git/hooks/pre-commit; git -c user.name=x -c user.email=x commit -q --allow-empty -m x",
    "git ssh": "GIT_SSH_COMMAND='{n} {f};' git ls-remote ssh://localhost/x",
    "git editor": "git init -q {f}.g; cd {f}.g; GIT_EDITOR='{n} {f};' git -c user.name=x -c user.email=x commit --allow-empty",
    "less": "LESSOPEN='|{n} {f} %s' less /etc/passwd | cat",
    "tar --to-command": "tar -cf {f}.tar /etc/passwd 2>/dev/null; tar -xf {f}.tar --to-command='{n} {f}'",
    "tar --checkpoint": "tar -cf /dev/null --checkpoint=1 --checkpoint-action=exec='{n} {f}' /etc/passwd",
    "tar -I": "tar -I '{n} {f}' -cf {f}.tar /etc/passwd",
    "rsync -e": "rsync -e \"sh -c '{n} {f}'\" localhost:x {f}.r",
    "ssh ProxyCommand": "ssh -o 'ProxyCommand={n} {f}' localhost",
    "scp -S": "printf '#!/bin/sh\n{n} {f}\n' > {f}.s; chmod +x {f}.s; scp -S {f}.s localhost:x {f}.r",
    "sftp -S": "printf '#!/bin/sh\n{n} {f}\n' > {f}.s; chmod +x {f}.s; sftp -S {f}.s localhost",
    "sftp -D": "printf '#!/bin/sh\n{n} {f}\n' > {f}.s; chmod +x {f}.s; sftp -D {f}.s",
    "split --filter": "seq 10 | split -l 5 --filter='{n} {f}'",
    "sqlite3 .shell": "sqlite3 :memory: '.shell {n} {f}'",
    "script -c": "script -qec '{n} {f}' /dev/null",
    "timeout, nice, nohup, setsid": "timeout 9 nice nohup setsid -w {n} {f}",
    "busybox": "busybox sh -c '{n} {f}'",
    "stdbuf": "stdbuf -o0 {n} {f}",
    "chrt": "chrt -o 0 {n} {f}",
    "flock": "flock {f}.lock {n} {f}",
    "socat": "socat -u OPEN:/dev/null EXEC:'{n} {f}'",
    "strace": "strace -o /dev/null {n} {f}",
    "a program of one's own": "echo 'int main(int n, char **v) {{ return execv(v[1], v + 1); }}' > {f}.c; "
                              "gcc -w -include unistd.h -o {f}.x {f}.c; {f}.x {p} {f}",
    "systemd-run": "systemd-run --user -q --wait --pipe {p} {f}",
    "systemd-run --scope": "systemd-run --user -q --scope {p} {f}",
    "screen": "screen -Dm {n} {f}",
}


@pytest.fixture(scope="module")
def denied(vm):
    with twins(vm), policy(vm, "[commands]\ndeny = forbidden\n", manager=True):
        yield


@pytest.fixture(scope="module")
def tried(vm, denied):
    """What was said to each trick, all in one login: it is the tricks that count."""
    return batch(vm.agent, {trick: "\n".join(attempt(command, path, f"{SCRATCH}/{number}{path[-3:]}", "timeout 60 ")
                                             for path in (PERMITTED, FORBIDDEN))
                            for number, (trick, command) in enumerate(TRICKS.items())}, timeout=900)


@pytest.mark.parametrize("trick", TRICKS)
def test_trick(tried, trick):
    assert made(tried[trick]) == ["made", "not"], tried[trick]


def test_what_was_uploaded_runs_nothing_else(vm, denied, tmp_path):
    """Scripts that sftp brought: the one that names the program, and the one whose interpreter it is."""
    files = {"sh": "#!/bin/sh\n{p} " + SCRATCH + "/{n}\n", "interpreter": "#!{p}\n"}
    for kind, text in files.items():
        for path, made in ((PERMITTED, True), (FORBIDDEN, False)):
            name = path.rsplit("/", 1)[1]
            (tmp_path / "script").write_text(text.replace("{p}", path).replace("{n}", f"{kind}-{name}"))
            vm.agent.sftp(f"put {tmp_path}/script {SCRATCH}/script\nchmod 755 {SCRATCH}/script\n").ok()
            vm.agent(f"{SCRATCH}/script {SCRATCH}/{kind}-{name}")
            assert (vm.agent(f"rm {SCRATCH}/script; rm {SCRATCH}/{kind}-{name}").rc == 0) == made, (kind, name)


def test_a_hard_link_cannot_be_made(vm, denied):
    """To no file of root's (fs.protected_hardlinks); one that root made is denied, see below."""
    for path in (PERMITTED, FORBIDDEN):
        done = vm.agent(f"ln {path} {SCRATCH}/hard")
        assert done.rc != 0 and "Operation not permitted" in done.errors, done
    vm.agent.sh(f"cp {PERMITTED} {SCRATCH}/own && ln {SCRATCH}/own {SCRATCH}/hard && rm {SCRATCH}/own {SCRATCH}/hard")


def test_the_file_itself_is_out_of_reach(vm, denied):
    assert vm.agent(f"cat {FORBIDDEN}").rc != 0
    assert vm.agent(f"cat {PERMITTED} > /dev/null").rc == 0
    assert vm.agent(f"ls -l {FORBIDDEN}").rc == 0  # that it exists is no secret
    assert vm.agent(f"{FORBIDDEN} x").rc == 126


def test_a_service_of_the_agents_is_held_to_it(vm, denied):
    done = vm.agent(f"systemd-run --user -q --wait --pipe {FORBIDDEN} {SCRATCH}/service")
    assert done.rc != 0 and vm.agent(f"test -e {SCRATCH}/service").rc != 0
    assert vm.agent(f"systemd-run --user -q --wait --pipe {PERMITTED} {SCRATCH}/service").rc == 0
    vm.agent.sh(f"rm {SCRATCH}/service")


def test_what_is_installed_later_is_denied_with_the_next_login(vm, denied):
    vm.root.sh("cp /usr/bin/touch /usr/local/sbin/forbidden")
    try:
        assert vm.agent(f"/usr/local/sbin/forbidden {SCRATCH}/later").rc == 126
        vm.root.sh("cp /usr/bin/touch /usr/local/sbin/permitted")
        vm.agent.sh(f"/usr/local/sbin/permitted {SCRATCH}/later")
    finally:
        vm.root.sh("rm -f /usr/local/sbin/forbidden /usr/local/sbin/permitted")


def test_a_replaced_program_stays_denied(vm, denied):
    vm.root.sh(f"cp /usr/bin/touch {FORBIDDEN}.new && mv {FORBIDDEN}.new {FORBIDDEN}")
    assert vm.agent(f"{FORBIDDEN} {SCRATCH}/replaced").rc == 126


def test_another_agent_is_not_concerned(vm, denied):
    vm.bob.sh(f"{FORBIDDEN} /tmp/of-bob && rm /tmp/of-bob")


def test_another_name_of_the_file_is_denied_too(vm, denied):
    vm.root.sh(f"ln {FORBIDDEN} /usr/local/lib/harmless && touch {policy_file()}")  # rules are made anew
    try:
        assert vm.agent(f"/usr/local/lib/harmless {SCRATCH}/linked").rc == 126
    finally:
        vm.root.sh("rm /usr/local/lib/harmless")


def test_a_name_that_cannot_be_found_refuses_logins(vm, denied):
    """/var is not where programs are looked for; it is the file system of /usr."""
    vm.root.sh(f"ln {FORBIDDEN} /var/lib/harmless && touch {policy_file()}")
    try:
        assert vm.agent("true").rc == 255
    finally:
        vm.root.sh(f"rm /var/lib/harmless && touch {policy_file()}")
    vm.agent.sh("true")
