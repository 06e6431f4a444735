# SPDX-License-Identifier: MIT
"""[files]: where an agent may write and read, through a login and through a service of its own."""

import shlex

import pytest

from harness import policy

SHARED = "/srv/creel-places"
DOORS = {"a login": "", "a service": "systemd-run --user -q --wait --pipe "}


@pytest.fixture(scope="module", autouse=True)
def places(vm):
    """Open to everybody by their modes, so that only the rules decide."""
    vm.root.sh(f"rm -rf {SHARED} && mkdir -p {SHARED}/one {SHARED}/two && chmod 777 {SHARED} {SHARED}/* && echo text > {SHARED}/one/file && "
               f"echo text > {SHARED}/two/file && chmod 666 {SHARED}/*/file")
    yield
    vm.root.sh(f"rm -rf {SHARED}")


def judge(vm, works=(), refused=(), doors=DOORS):
    """Each command by each door, a login a door. What is refused must be refused by the rules."""
    lines = ["set -f"]
    for command in (*works, *refused):
        lines.append(f"said=$(sh -c {shlex.quote(command)} 2>&1 </dev/null); echo $? $said")
    wrong = []
    for door in doors:
        answers = vm.agent.sh(f"{DOORS[door]}bash -s", "\n".join(lines) + "\n", timeout=120).splitlines()
        assert len(answers) == len(works) + len(refused), (door, answers)
        for number, (command, answer) in enumerate(zip((*works, *refused), answers)):
            worked = answer.split()[0] == "0"
            by_rules = "Permission denied" in answer or "Invalid cross-device" in answer
            if worked != (number < len(works)) or not (worked or by_rules):
                wrong.append(f"{door}: {command}: {answer}")
    assert not wrong, "\n".join(wrong)


def test_places_of_every_agent(vm):
    own = ["$HOME", "$HOME/workspace", "/tmp", "/var/tmp", "/dev/shm", f"/run/user/{vm.uid()}"]
    judge(vm, [f"cd {place} && mkdir -p new/x && echo x > new/x/f && mv new/x/f new/f && ln new/f new/x/f && "
               "ln -s f new/l && mkfifo new/p && rm -r new" for place in own]
          + [f"test -w /dev/{device} && (: > /dev/null)" for device in ("null", "zero", "full", "tty")]
          + ["echo name > /proc/self/comm", "cat /etc/passwd /proc/self/status > /dev/null",
             "ls / /srv /usr/bin > /dev/null"])


def test_nowhere_else(vm):
    judge(vm, [f"cat {SHARED}/one/file", "echo x > $HOME/f"], [
        f"echo x > {SHARED}/new", f"echo x >> {SHARED}/one/file", f"mkdir {SHARED}/d", f"rm {SHARED}/one/file",
        f"mv {SHARED}/one/file {SHARED}/two/other", f"ln -s x {SHARED}/l", f"mkfifo {SHARED}/p",
        f"mv $HOME/f {SHARED}/f", "echo x > /run/lock/creel-places", "echo 0 > /dev/net/tun"])
    vm.agent.sh("rm -f f")


def test_moves_between_its_places(vm):
    vm.agent.sh("echo x > moving && mv moving /tmp/moving && mv /tmp/moving workspace/moving && "
                "ln workspace/moving linked && rm linked workspace/moving")


def test_write(vm):
    with policy(vm, f"[files]\nwrite = {SHARED}/one\n", manager=True):
        judge(vm, [f"echo x > {SHARED}/one/new && rm {SHARED}/one/new", f"echo x >> {SHARED}/one/file"],
              [f"echo x > {SHARED}/two/new"])


def test_hidden(vm):
    with policy(vm, f"[files]\nhidden = {SHARED}/one, /etc/hostname\n", manager=True):
        judge(vm, [f"cat {SHARED}/two/file && ls {SHARED}/two", "cat /etc/passwd > /dev/null && python3 -c 1",
                   "echo x > f && rm f"],
              [f"cat {SHARED}/one/file", f"ls {SHARED}/one", "cat /etc/hostname"])


def test_sftp(vm, tmp_path):
    """sftp-server itself, by each door that has it."""
    puts = {"/home/agent/up": True, f"{SHARED}/one/up": True, f"{SHARED}/two/up": False, f"{SHARED}/up": False}
    gets = {f"{SHARED}/one/file": True, "/etc/passwd": True, f"{SHARED}/two/file": False, "/etc/hostname": False}
    (tmp_path / "data").write_text("data")
    with policy(vm, f"[files]\nwrite = {SHARED}/one\nhidden = {SHARED}/two, /etc/hostname\n"):
        for host in (vm.agent, vm.openssh):
            here = {path: tmp_path / f"{host.name}-{number}" for number, path in enumerate(gets)}
            # a line that begins with - may fail
            done = host.sftp("".join(f"-put {tmp_path}/data {path}\n" for path in puts)
                             + "".join(f"-get {path} {there}\n" for path, there in here.items())).ok()
            made = vm.root(f"ls -d {' '.join(puts)}").text.split()
            vm.root.sh(f"rm -f {' '.join(puts)}")
            assert {path: path in made for path in puts} == puts, (host.name, done)
            assert {path: there.exists() for path, there in here.items()} == gets, (host.name, done)
            assert done.errors.count("Permission denied") >= 4, (host.name, done)


def test_hidden_homes_but_ones_own(vm):
    with policy(vm, "[files]\nhidden = /home\n", manager=True):
        judge(vm, ["echo x > f && cat f && rm f && ls ~ > /dev/null", "systemctl --user daemon-reload"],
              ["ls /home", "ls /home/bob"])


def test_read_only_home(vm):
    with policy(vm, "[files]\nread_only = ~\n"):
        judge(vm, ["echo x > workspace/f && rm workspace/f", "cat .profile > /dev/null", "echo x > /tmp/f && rm /tmp/f"],
              ["echo x > f"], ["a login"])


def test_the_agents_links_lead_nowhere(vm):
    """What the policy names beneath the home is opened as the agent, and not through a link that it put there."""
    vm.agent.sh(f"ln -s {SHARED}/one link")
    try:
        with policy(vm, "[files]\nread_only = ~\nwrite = ~/link\n"):
            judge(vm, ["echo x > workspace/f && rm workspace/f"], [f"echo x > {SHARED}/one/new"], ["a login"])
    finally:
        vm.root.sh("rm /home/agent/link")


@pytest.mark.parametrize("lines, word", [
    ("[files]\nhidden = ~/secret\n", "cannot be enforced"), ("[files]\nread_only = /tmp/x\n", "cannot be enforced"),
    ("[files]\nwrite = /srv\nhidden = /srv/x\n", "cannot be enforced"), ("[files]\nhidden = /\n", "leave nothing")])
def test_what_cannot_be_had_is_refused(vm, lines, word):
    with policy(vm, lines, apply=False):
        done = vm.root("creelctl policy check agent")
    assert done.rc != 0 and word in done.errors + done.text


def test_login_tells_why_it_is_refused(vm):
    """The home's own path is known to the keeper only."""
    mark = vm.now()
    with policy(vm, "[files]\nhidden = /home/agent/secret\n"):
        assert vm.agent("true").rc == 255
        assert any("cannot be enforced" in entry["MESSAGE"] for entry in vm.journal(mark, f"_SYSTEMD_UNIT=creel-keeper@{vm.uid()}.service"))
    vm.agent.sh("true")


def test_package_managers_survive(vm):
    """A new inode beside a hidden place: the next login sees it."""
    with policy(vm, f"[files]\nhidden = {SHARED}/one/file\n"):
        judge(vm, [f"ls {SHARED}/one && cat {SHARED}/two/file"], [], ["a login"])
        vm.root.sh(f"cp {SHARED}/two/file {SHARED}/one/later && chmod 644 {SHARED}/one/later")
        judge(vm, [f"cat {SHARED}/one/later"], [f"cat {SHARED}/one/file"], ["a login"])
        vm.root.sh(f"rm {SHARED}/one/later")
