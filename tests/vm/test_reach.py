# SPDX-License-Identifier: MIT
"""What would reach out of the agent's slice, or into what is not the agent's: cron, at, the system bus, polkit, journald."""

import shlex

import pytest

from harness import CGROUP, marker, python, somebody_else, wait_until

SPOOLS = "/var/spool/cron"


@pytest.fixture(scope="module")
def plain(vm):
    with somebody_else(vm) as run:
        yield run


@pytest.fixture(scope="module", autouse=True)
def jobs(vm, plain):
    """Of each minute, there before all else here: cron looks at them while other things are tried."""
    begun = vm.now()
    vm.root.sh("systemctl start cron.service")
    try:
        plain("crontab -", "* * * * * touch /home/plain/ran\n").ok()
        # a spool that was there before, or that somebody else made
        vm.root.sh(f"printf '* * * * * touch /home/agent/ran\\n' > {SPOOLS}/crontabs/agent && cd {SPOOLS}/crontabs && "
                   "chown agent:crontab agent && chmod 600 agent && touch .")
        yield begun
    finally:
        vm.root.sh(f"systemctl stop cron.service; rm -f {SPOOLS}/crontabs/agent {SPOOLS}/crontabs/plain")


# ---- cron and at --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("program", ["/usr/bin/crontab -", "at now + 1 day", "batch"])
def test_spools_take_nothing(vm, plain, program):
    """Programs with an id that is set, which an agent does not get: the spools stay closed."""
    def held():
        return vm.root.sh(f"cd {SPOOLS} && find . -type f -exec sha256sum {{}} + | sort")

    before = held()
    text = "* * * * * touch /home/agent/escaped\n"
    assert vm.agent(program, text).rc not in (0, 127)
    assert held() == before
    vm.root.sh(f"cp -a {SPOOLS}/crontabs/plain /root/plain.before")
    try:
        plain(program, text).ok()
        assert held() != before, "who is no agent may"
    finally:
        vm.root.sh(f"mv /root/plain.before {SPOOLS}/crontabs/plain; rm -f {SPOOLS}/atjobs/[ab]*")


# ---- the system bus -------------------------------------------------------------------------------------------------------

# what anybody may ask who is no agent
READING = [
    "systemctl list-units", "systemctl status creel-sshd.service", "systemctl show user@$BOB.service", "loginctl list-sessions",
    "loginctl list-users", "hostnamectl status", "busctl call org.freedesktop.DBus / org.freedesktop.DBus ListNames",
    "busctl call org.freedesktop.DBus / org.freedesktop.DBus GetConnectionCredentials s org.freedesktop.systemd1",
    "busctl call org.freedesktop.DBus / org.freedesktop.DBus StartServiceByName su org.freedesktop.hostname1 0",
    "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager GetUnitProcesses s user@$BOB.service",
]

SYSTEM = READING + [
    "systemctl stop creel-sshd.service", "systemctl start creel-sshd.service", "systemctl reboot", "systemctl poweroff", "systemctl daemon-reload",
    "systemctl kill user@$BOB.service", "systemctl kill creel-sshd.service",
    "systemctl set-property user-$UID.slice MemoryMax=infinity", "systemctl set-environment A=b", "systemctl enable creel-sshd.service",
    "systemd-run true", "systemd-run --slice=system.slice true", "systemd-run --uid=$UID true", "systemd-run --scope true",
    "loginctl terminate-user bob", "loginctl kill-user bob", "loginctl disable-linger",
    "loginctl enable-linger bob", "loginctl terminate-user $UID", "loginctl lock-sessions",
    "hostnamectl set-hostname x", "timedatectl set-time 12:00", "timedatectl set-timezone UTC", "localectl set-locale C",
    "busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager ListMachines", "networkctl reload",
    "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager AttachProcessesToUnit ssau user@$BOB.service '' 1 $$",
    "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager Inhibit ssss shutdown a b block",
    "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager CreateSession 'uusssssussbssa(sv)' $UID 0 a b c d '' 0 '' '' false '' '' 0",
    "pkexec true", "pkcheck --action-id org.freedesktop.login1.set-self-linger --process $$",
    "busctl --address=unix:path=/run/systemd/private list",
]


def script(vm, acts):
    """Each with its answer: an error at once, never a wait. Six at a time: there is a limit of processes."""
    lines = [f"BOB={vm.uid('bob')}"]
    for number, act in enumerate(acts):
        lines.append(f"{{ timeout 40 {act} </dev/null >/dev/null 2>&1; echo {number} $?; }} &")
        if number % 6 == 5:
            lines.append("wait")
    return "\n".join(lines) + "\nwait\n"


def answers(done, acts):
    found = dict(line.split() for line in done.text.splitlines())
    assert len(found) == len(acts), done
    return {act: found[str(number)] for number, act in enumerate(acts)}


def test_the_system_bus_answers_who_is_no_agent(vm, plain):
    """The control of what follows: these work here, and fail for agents alone."""
    done = plain("bash -s", script(vm, READING), timeout=280)
    refused = {act: status for act, status in answers(done, READING).items() if status != "0"}
    assert not refused, refused


@pytest.mark.parametrize("door", ["agent", "openssh"])
def test_the_system_bus_does_nothing_for_an_agent(vm, door):
    """Each with polkit running."""
    done = getattr(vm, door)("bash -s", stdin=script(vm, SYSTEM), timeout=280)
    # 127 is also what pkexec says to whom it does nothing for
    wrong = {act: status for act, status in answers(done, SYSTEM).items()
             if status in ("0", "124", "127") and (act, status) != ("pkexec true", "127")}
    assert not wrong, wrong
    assert vm.root.sh("systemctl is-active creel-sshd.service creel-sshd.socket").split() == ["active", "active"]
    assert vm.root.sh("loginctl show-user agent -P Linger") == "yes"


def test_polkit_says_no(vm):
    """Its rule for agents, asked by root about an agent's process, beside the same question about root's."""
    action = "org.freedesktop.login1.set-self-linger"
    number = marker()
    vm.root.sh("systemctl start polkit.service")
    with vm.agent.start(f"sleep {number}"):
        pid = wait_until(lambda: vm.alive(f"sleep {number}"))[0]
        assert vm.root(f"pkcheck --action-id {action} --process {pid}").rc != 0
    assert vm.root(f"pkcheck --action-id {action} --process $$").rc == 0


def test_the_users_own_manager_still_serves(vm):
    """Beside the refusals: what the agent's own manager does goes on, by its own bus, in the slice."""
    assert vm.agent.sh("systemctl --user is-active basic.target") == "active"
    assert "user@" in vm.agent.sh(f"systemd-run --user --quiet --wait --pipe {CGROUP}")
    assert f"user-{vm.uid()}.slice/user@{vm.uid()}.service" in vm.agent.sh(f"systemd-run --user --quiet --scope {CGROUP}")
    assert vm.agent.sh("busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId").startswith("s ")


# ---- processes of others ----------------------------------------------------------------------------------------------------

def test_others_command_lines_are_hidden_and_own_ones_are_not(vm):
    own, others = marker(), marker()
    with vm.agent.start(f"sleep {own}"), vm.bob.start(f"sleep {others}"):
        wait_until(lambda: vm.alive(f"sleep {own}") and vm.alive(f"sleep {others}"))
        # from another login, which is another Landlock domain
        assert vm.agent.sh(f"pgrep -fx 'sleep {own}'")
        assert f"sleep {own}" in vm.agent.sh("ps -eo args")
        assert vm.agent(f"pgrep -f {others}").rc == 1
        assert others not in vm.agent.sh("ps auxww; top -b -n 1 -c -w 500; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; true")
        assert f"sleep {own}" in vm.agent.sh("top -b -n 1 -c -w 500")
        assert set(vm.agent.sh("ps -eo user=").split()) == {"agent"}
        assert vm.openssh(f"pgrep -f {others}").rc == 1
        assert others in vm.root.sh("ps -eo args"), "root sees all"


def test_others_are_hidden_however_one_gets_there(vm):
    """By an open folder of /proc, by a thread's number, by a name with dots: the folder of the process is always on the way."""
    number = marker()
    with vm.bob.start(f"sleep {number}"):
        pid = wait_until(lambda: vm.alive(f"sleep {number}"))[0]
        assert vm.agent.sh(python(f"""
import os
proc = os.open('/proc', os.O_RDONLY)
tries = [lambda: os.open('{pid}/cmdline', os.O_RDONLY, dir_fd=proc), lambda: os.open('/proc/self/../{pid}/stat', os.O_RDONLY),
         lambda: os.open('/proc/{pid}/task/{pid}/cmdline', os.O_RDONLY), lambda: os.listdir('/proc/{pid}'),
         lambda: os.open('.', os.O_RDONLY, dir_fd=os.open('/proc/{pid}', os.O_PATH)), lambda: os.stat('/proc/{pid}/exe'),
         lambda: os.chdir('/proc/{pid}'), lambda: os.readlink('/proc/{pid}/cwd'), lambda: os.listdir('/proc/{pid}/net')]
for act in tries:
    try:
        act()
        print('open')
    except PermissionError:
        print('closed')
""")).split() == ["closed"] * 9


def test_a_process_of_ones_own_that_is_sealed_is_still_listed(vm):
    """Its files are root's (not dumpable), its folder is the agent's: ps shows it."""
    number = marker()
    seal = python("import ctypes, sys, time\nctypes.CDLL(None).prctl(4, 0)\ntime.sleep(int(sys.argv[1]))", number)
    with vm.agent.start(seal):
        pid = wait_until(lambda: vm.root(f"pgrep -u agent -f '{number}$'").text.split())[-1]
        assert vm.agent.sh(f"ps -o pid= -p {pid}").strip() == pid


# ---- files, logs ------------------------------------------------------------------------------------------------------------

def test_homes_are_closed(vm):
    assert vm.root.sh("stat -c %a /home/agent /home/bob").split() == ["700", "700"]


def test_the_operators_journal_is_closed_and_ones_own_is_not(vm):
    number = marker()
    vm.agent.sh(f"logger said {number}")
    wait_until(lambda: f"said {number}" in vm.agent("journalctl -q --no-pager -n 100").text, what="its own is read")
    assert vm.agent("journalctl -q --no-pager -u ssh.service").text == ""
    assert vm.agent("journalctl -q --no-pager --namespace=creel").text == ""
    assert vm.agent("journalctl -q --no-pager -k").text == ""
    assert vm.agent("dmesg").rc != 0


def test_kernel_switches(vm):
    wanted = {"kernel.dmesg_restrict": 1, "kernel.kptr_restrict": 1, "kernel.yama.ptrace_scope": 1, "kernel.unprivileged_bpf_disabled": 2,
              "kernel.unprivileged_userns_clone": 0, "fs.protected_hardlinks": 1, "fs.protected_symlinks": 1}
    assert vm.root.sh("sysctl -n " + " ".join(wanted)).split() == [str(value) for value in wanted.values()]
    assert vm.root("unshare -U true").rc == 0, "root, and so the operator's services, may"


def test_agents_are_in_their_group_and_in_no_powerful_one(vm):
    for agent in ("agent", "bob"):
        assert set(vm.root.sh(f"id -Gn {agent}").split()) == {agent, "creel-agents"}


def test_sudo_that_is_allowed_gives_nothing(vm):
    """Even where the operator errs."""
    vm.write("/etc/sudoers.d/probe", "agent ALL=(ALL) NOPASSWD: ALL\n", mode="0440")
    try:
        for door in (vm.agent, vm.openssh):
            done = door("sudo -n id")
            assert done.rc != 0 and "uid=0" not in done.text
        assert vm.root(f"su - agent -c {shlex.quote('sudo -n id')}").rc != 0
    finally:
        vm.root.sh("rm /etc/sudoers.d/probe")


# ---- what cron did meanwhile ------------------------------------------------------------------------------------------------

def test_cron_runs_nothing_for_an_agent(vm, jobs):
    """It asks PAM, and is refused; somebody else's job runs."""
    wait_until(lambda: vm.root("test -e /home/plain/ran").rc == 0, 200, "cron ran what it may")
    wait_until(lambda: any("this service runs nothing for agents" in entry.get("MESSAGE", "")
                           for entry in vm.journal(jobs, "_COMM=cron")), 120, "cron was refused")
    assert vm.root("test -e /home/agent/ran").rc == 1
