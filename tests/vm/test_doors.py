# SPDX-License-Identifier: MIT
"""Every door leads into the same room: the probe of tests/vm/probe runs through each, and does the same everywhere.

What the probe tries, and what is right, is in its tables; here is only how it gets there.
"""

import re
import shlex
import subprocess

import pytest

from console import at_console
from harness import BUILD, CGROUP, Terminal, marker, policy, python, somebody_else, wait_until

PROBE = "/srv/creel-door/probe"  # where nobody may write, whatever modes say
TARGETS = "/srv/creel-door/targets"
FILES = "/srv/creel-door/files"
RUN = f"{PROBE} {TARGETS}"
OPEN_SERVICES = "su chsh"
SHELL = "/usr/libexec/creel/creel-shell"
UNITS = ".config/systemd/user"


@pytest.fixture(scope="module")
def targets(vm):
    """The probe and what it is tried on: a process of another agent's, files with every bit, a socket that leads to root.

    sudo, su and chsh ask nobody for a password: what keeps an agent from them is what creel does.
    """
    vm.root.sh(f"mkdir -p {FILES}/open && chmod 1777 {FILES}/open && cat > {PROBE} && chmod 755 {PROBE}",
               stdin=(BUILD / "tests" / "probe").read_bytes())
    vm.root.sh(f"""cd {FILES}; touch shared; chmod 666 shared
        for name in setuid setgid filecaps; do cp {PROBE} $name; done
        chmod 4755 setuid; chmod 2755 setgid; chmod 755 filecaps; setcap all=eip filecaps
        rm -f /run/docker.sock; getent group docker >/dev/null || groupadd --system docker""")
    vm.root.sh(python("import os, socket, grp\ns = socket.socket(socket.AF_UNIX)\ns.bind('/run/docker.sock')\n"
                      "os.chown('/run/docker.sock', 0, grp.getgrnam('docker').gr_gid)\nos.chmod('/run/docker.sock', 0o660)"))
    vm.write("/etc/sudoers.d/door", "agent, plain ALL=(ALL) NOPASSWD: ALL\n", mode="0440")
    vm.root.sh(f"for service in {OPEN_SERVICES}; do cp -a /etc/pam.d/$service /root/pam-$service; "
               "sed -i '1i auth sufficient pam_permit.so' /etc/pam.d/$service; done")
    mark = marker()
    with vm.bob.start(f"sleep {mark}"):
        pid = wait_until(lambda: vm.alive(f"sleep {mark}"))[0]
        assert int(vm.root.sh(f"ps -o pgid= -p {pid}")) == pid, "it leads a process group"
        unit = "systemctl show -P MainPID"
        vm.write(TARGETS, f"""other_uid={vm.uid("bob")}
other_home=/home/bob
other_pid={pid}
keeper_pid={vm.root.sh(f"{unit} creel-keeper@{vm.uid()}.service")}
front_pid={vm.root.sh(f"{unit} creel-sshd.service")}
disk=/dev/vda
files={FILES}
docker=/run/docker.sock
port=3456
port_first=3000
port_last=9000
port_outside=2999
""")
        yield
    vm.root.sh(f"rm -rf /srv/creel-door /run/docker.sock /etc/sudoers.d/door; "
               f"for service in {OPEN_SERVICES}; do mv /root/pam-$service /etc/pam.d/$service; done")


@pytest.fixture
def output(vm):
    """For a door without a way back: a command that writes a file in the agent's home, to a last line of its own."""
    name = f"probe-{marker()}"

    def make():
        vm.agent.sh(f"printf '#!/bin/sh\\n{RUN}\\necho end $?\\n' > {name}.sh; chmod 755 {name}.sh")
        return f"/home/agent/{name}.sh >/home/agent/{name} 2>&1"

    def read():
        found = wait_until(lambda: (lambda text: text if re.search(r"^end \d+$", text, re.M) else None)(
            vm.root(f"cat /home/agent/{name}").text), 280, "the probe ended")
        return re.sub(r"\nend \d+$", "", found)

    yield make, read
    vm.root.sh(f"rm -f /home/agent/{name} /home/agent/{name}.sh")


def typed(host, command, options=(), remote=None):
    """What a person types at a terminal, then leaves."""
    with Terminal(host.argv(remote, options=["-tt", *options])) as terminal:
        terminal.expect(r"[$#] ", 60)
        terminal.line(f"{command}; exit")
        terminal.finish(280)


def by_ssh(vm, output):
    return vm.agent(RUN, timeout=280).text


def by_ssh_terminal(vm, output):
    make, read = output
    command = make()
    typed(vm.agent, command)
    return read()


def by_upload(vm, output):
    """What sftp brought is run."""
    vm.agent.sftp(f"put {BUILD}/tests/probe mine\nchmod 755 mine\n").ok()
    try:
        return vm.agent(f"./mine {TARGETS}", timeout=280).text
    finally:
        vm.agent("rm -f mine")


def by_openssh(vm, output):
    return vm.openssh(RUN, timeout=280).text


def by_openssh_terminal(vm, output):
    make, read = output
    command = make()
    typed(vm.openssh, command)
    return read()


def by_su(vm, output):
    return vm.root(f"su - agent -c {shlex.quote(RUN)}", timeout=280).text


def by_su_in_an_odd_environment(vm, output):
    """What the caller's variables say changes nothing of it."""
    vm.agent.sh("printf 'not a library' > library.so")
    try:
        odd = "HOME=/ SHELL=/bin/false LD_PRELOAD=/home/agent/library.so LD_LIBRARY_PATH=/home/agent IFS=/ TZ=:/etc/shadow CREEL_SESSION=x"
        return vm.root(f"env {odd} su agent -c {shlex.quote(RUN)}", timeout=280).text
    finally:
        vm.agent.sh("rm library.so")


def by_login_in_a_session(vm, output):
    make, read = output
    command = make()
    typed(vm.operator, command, remote="login -f agent")
    return read()


def by_console(vm, output):
    return vm.root(at_console(RUN), timeout=280).text


def by_user_service(vm, output):
    make, read = output
    command = make()
    vm.agent.sh(f"mkdir -p {UNITS} && cat > {UNITS}/door.service",
                f"[Service]\nType=oneshot\nExecStart=/bin/sh -c '{command}'\n")
    vm.agent.sh("systemctl --user daemon-reload && systemctl --user --no-block start door.service")
    try:
        return read()
    finally:
        vm.agent.sh(f"rm {UNITS}/door.service; systemctl --user daemon-reload")


def by_user_timer(vm, output):
    make, read = output
    command = make()
    vm.agent.sh("systemd-run --user --quiet --collect --on-active=1 --timer-property=AccuracySec=100ms /bin/sh -c "
                + shlex.quote(command))
    return read()


def by_transient_unit(vm, output):
    return vm.agent(f"systemd-run --user --quiet --wait --pipe --collect {RUN}", timeout=280).text


def by_transient_scope(vm, output):
    return vm.agent(f"systemd-run --user --quiet --scope --collect {RUN}", timeout=280).text


BUS_SERVICES = ".local/share/dbus-1/services"


def by_bus_activation(vm, output):
    """Its own bus starts a program for a name that somebody asks for."""
    make, read = output
    command = make()
    bus = "timeout 30 busctl --user call org.freedesktop.DBus / org.freedesktop.DBus"
    try:
        vm.agent.sh(f"mkdir -p {BUS_SERVICES} && cat > {BUS_SERVICES}/org.creel.Door.service && {bus} ReloadConfig",
                    f"[D-BUS Service]\nName=org.creel.Door\nExec=/bin/sh -c '{command}'\n")
        # it ends without having taken the name
        assert vm.agent(f"{bus} StartServiceByName su org.creel.Door 0").rc != 0
        return read()
    finally:
        vm.agent.sh(f"rm -f {BUS_SERVICES}/org.creel.Door.service; {bus} ReloadConfig")


def by_screen(vm, output):
    make, read = output
    command = make()
    vm.agent.sh(f"screen -dmS door sh -c {shlex.quote(command)}")
    return read()


def by_nohup_after_hangup(vm, output):
    make, read = output
    command = make()
    vm.agent.sh("rm -f go")
    mark, taken = marker(), marker()
    with vm.agent.start(f"nohup sh -c 'while ! test -e go; do sleep 0.{mark}; done; {command}' >/dev/null 2>&1 & sleep {taken}; :") as client:
        wait_until(lambda: vm.alive(f"sleep 0.{mark}") and vm.alive(f"sleep {taken}"))
        client.kill()
        client.wait()
    wait_until(lambda: not vm.alive(f"sleep {taken}"), what="the hang-up is over")
    vm.agent.sh("touch go")
    try:
        return read()
    finally:
        vm.agent.sh("rm -f go")


DOORS = [by_ssh, by_ssh_terminal, by_upload, by_openssh, by_openssh_terminal, by_su, by_su_in_an_odd_environment,
         by_login_in_a_session, by_console, by_user_service, by_user_timer, by_transient_unit, by_transient_scope,
         by_bus_activation, by_screen, by_nohup_after_hangup]


def lines(text):
    found = dict(line.split(" ", 1) for line in text.splitlines() if re.fullmatch(r"[a-z0-9-]+ \S+( !)?", line))
    assert found, text
    return found


def table():
    out = subprocess.run([BUILD / "tests" / "probe", "--table"], check=True, capture_output=True, text=True).stdout
    return [line.split(" ", 3) for line in out.splitlines()]


@pytest.fixture(scope="module")
def reference(vm, targets):
    return lines(by_ssh(vm, None))


def test_the_front_door_is_as_the_tables_say(reference):
    assert list(reference) == [row[0] for row in table()]
    wrong = {act: answer for act, answer in reference.items() if answer.endswith("!")}
    assert not wrong, wrong


@pytest.mark.parametrize("door", DOORS[1:], ids=lambda door: door.__name__[3:])
def test_each_door_is_the_same(vm, targets, reference, output, door):
    seen = lines(door(vm, output))
    different = {act: (answer, seen.get(act)) for act, answer in reference.items() if seen.get(act) != answer}
    assert not different, f"(by ssh, by this door): {different}"
    assert list(seen) == list(reference)


def test_without_confinement_the_probe_finds_it(vm, targets):
    """The tables can fail: for somebody who is no agent most of what is forbidden is not."""
    with somebody_else(vm) as plain:
        seen = lines(plain(RUN, timeout=280).text)
    open_acts = {act for act, answer in seen.items() if answer == "OK !"}
    assert {"setuid-program", "setgid-program", "capable-program", "proc-other-cmdline", "io-uring", "keyring-add",
            "shared-write", "set-user-id", "sudo", "su-root", "su-other", "chsh"} <= open_acts


# ---- creel-shell -------------------------------------------------------------------------------------------------------

def test_the_real_shell_is_what_starts(vm):
    assert vm.openssh.sh("echo $0 $SHELL; ps -o comm= $$; true") == "bash /bin/bash\nbash"
    assert vm.root.sh("su - agent -c 'shopt -q login_shell && echo login $SHELL'") == "login /bin/bash"
    assert vm.agent.sh("getent passwd agent").endswith(f":{SHELL}")
    assert SHELL in vm.root.sh("cat /etc/shells").split()


@pytest.mark.parametrize("command, status", [("exit 7", 7), ("kill -TERM $$", 255), ("true", 0), ("/none", 127)])
def test_status_and_streams_pass(vm, command, status):
    done = vm.openssh(f"echo out; echo err >&2; cat; {command}", stdin="in\n")
    assert (done.text, done.rc) == ("out\nin", status)
    assert "err" in done.errors


def test_what_is_confined_is_not_confined_again(vm):
    """Landlock has 16 layers, each layer a view of its own: 20 shells in each other would meet the end of both."""
    vm.agent.sh(f"printf '#!/bin/sh\\n[ $1 -gt 0 ] || exec echo bottom\\nexec {SHELL} -c \"./nest $(($1 - 1))\"\\n' > nest; "
                "chmod 755 nest")
    try:
        assert vm.agent.sh("./nest 20") == "bottom"
        assert vm.agent.sh("systemd-run --user --quiet --wait --pipe --collect --working-directory=/home/agent ./nest 20"
                           .replace("./nest", "/home/agent/nest")) == "bottom"
    finally:
        vm.agent.sh("rm nest")


def test_it_refuses_outside_of_the_limits(vm):
    for act in (f"setpriv --reuid agent --regid agent --init-groups {SHELL} -c id", f"{SHELL} -c id",
                f"setpriv --reuid agent --regid root --clear-groups env LD_PRELOAD=/tmp/x.so {SHELL} -c id",
                f"setpriv --ruid agent --euid root {SHELL} -c id"):
        done = vm.root(act)
        assert done.rc == 254 and done.errors.startswith("creel-shell: "), done
        assert not done.text


def test_a_service_without_the_module_is_refused(vm):
    """Debian's runuser has no common-session in its PAM services."""
    done = vm.root("cd /; runuser -l agent -c id")
    assert done.rc == 254 and "pam_creel.so" in done.errors, done


def test_nothing_of_the_agents_is_loaded_into_it(vm):
    assert b"INTERP" not in subprocess.run(["readelf", "-lW", BUILD / "creel-shell"], check=True, capture_output=True).stdout


# ---- pam_creel.so ---------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def limited(vm):
    """A policy that has limits for a session."""
    with policy(vm, "[limits]\nsession_memory = 300M\nsession_tasks = 45\n", apply=False):
        yield


OWN = f"cat /sys/fs/cgroup$({CGROUP})/memory.max /sys/fs/cgroup$({CGROUP})/pids.max"
ABOVE = f"cat /sys/fs/cgroup$({CGROUP})/../memory.max /sys/fs/cgroup$({CGROUP})/../pids.max"
PROCESS = "cat /proc/self/oom_score_adj; ulimit -Hn; ulimit -Hf; ulimit -Hc"
SESSION = [str(300 << 20), "45"]


@pytest.mark.parametrize("door", ["openssh", "console"])
def test_a_session_of_logind_lies_in_a_scope_with_limits(vm, limited, door):
    def run(command):
        said = vm.openssh.sh(command) if door == "openssh" else vm.root.sh(at_console(command), timeout=120)
        return said.splitlines()

    where, *rest = run(f"{CGROUP}; {OWN}")
    assert re.fullmatch(rf"/user\.slice/user-{vm.uid()}\.slice/session-\w+\.scope", where)
    assert rest == SESSION
    vm.root.sh("systemctl daemon-reload")
    assert run(OWN) == SESSION


@pytest.mark.parametrize("door", ["su - agent", "su agent"])
def test_su_session_lies_in_a_leaf_with_limits(vm, limited, door):
    where, *rest = vm.root.sh(f"cd /tmp; {door} -c {shlex.quote(f'{CGROUP}; {ABOVE}')}").splitlines()
    assert re.fullmatch(rf"/user\.slice/user-{vm.uid()}\.slice/creel-leaves@{vm.uid()}\.service/session-[0-9a-f]{{16}}/door", where)
    assert rest == SESSION


def test_a_process_has_the_same_limits_by_each_door(vm):
    """What the keeper gives those that it gives birth to."""
    own = vm.agent.sh(PROCESS)
    assert own.splitlines()[0] == "300" and own.splitlines()[3] == "0"
    assert own == vm.openssh.sh(PROCESS) == vm.root.sh(f"su - agent -c {shlex.quote(PROCESS)}")
    assert own == vm.root.sh(at_console(PROCESS), timeout=120)


@pytest.mark.parametrize("name, act", [
    ("openssh", lambda vm: vm.openssh.sh("true")), ("su", lambda vm: vm.root.sh("su - agent -c true")),
    ("console", lambda vm: typed(vm.operator, "true", remote="login -f agent")),
    ("console", lambda vm: vm.root.sh(at_console("true"), timeout=120))], ids=["openssh", "su", "login", "console"])
def test_the_record_has_begin_and_end(vm, name, act):
    since = vm.now()
    act(vm)
    begin = vm.record(since, "login", door=name, agent="agent")
    end = vm.record(since, "logout", door=name, agent="agent")
    assert begin["CREEL_SESSION"] == end["CREEL_SESSION"]
    assert begin["_UID"] == "0" and int(end["CREEL_DURATION_USEC"]) > 0
    if name == "openssh":
        assert begin["CREEL_PEER"] == "10.0.2.2"


def test_other_users_pass_without_a_trace(vm):
    since = vm.now()
    with somebody_else(vm):
        assert vm.root.sh("su - plain -c id\\ -un") == "plain"
        assert vm.root.sh("su - root -c id\\ -un") == "root"
        assert "user-0.slice" in vm.root.sh("su - plain -c 'cat /proc/self/cgroup'"), "it stays where it was"
    assert not vm.records(since, "login", door="su")


@pytest.fixture
def stopped_keeper(vm):
    """It hangs: alive, and answers nobody."""
    unit = f"creel-keeper@{vm.uid()}.service"
    vm.root.sh(f"systemctl kill -s STOP {unit}")
    yield
    vm.root.sh(f"systemctl kill -s CONT {unit}")
    vm.agent.sh("true")


def test_a_keeper_that_hangs_refuses_agents_and_nobody_else(vm, stopped_keeper):
    assert vm.root("timeout 100 su - agent -c true", timeout=120).rc not in (0, 124)
    assert vm.openssh("true", timeout=120).rc != 0
    assert vm.operator("id -un").text == "root"
    assert vm.root.sh("su - root -c id\\ -un") == "root"


@pytest.fixture
def lost_module(vm):
    path = vm.root.sh("ls /usr/lib/*/security/pam_creel.so")
    vm.root.sh(f"mv {path} {path}.away")
    yield
    vm.root.sh(f"mv {path}.away {path}")


def test_without_the_module_root_gets_in_and_agents_do_not(vm, lost_module):
    assert vm.operator("id -un").text == "root"
    for done in (vm.openssh("id"), vm.root("su - agent -c id")):
        assert done.rc == 254 and "pam_creel.so" in done.errors, done


def test_too_many_sessions_by_openssh_are_refused(vm):
    since = vm.now()
    mark = marker()
    with policy(vm, "[limits]\nsessions = 1\n", apply=False):
        with vm.agent.start(f"sleep {mark}"):
            wait_until(lambda: vm.alive(f"sleep {mark}"))
            assert vm.openssh("true").rc != 0
            assert vm.root("su - agent -c true").rc == 0, "the operator is not kept out"
        entry = vm.record(since, "refusal", door="openssh")
        assert entry["CREEL_REASON"].startswith("too many sessions") and entry["CREEL_SERVICE"] == "sshd"


def test_what_a_session_leaves_behind_keeps_its_leaf(vm):
    mark = marker()
    since = vm.now()
    vm.root.sh(f"su - agent -c 'setsid sleep {mark} >/dev/null 2>&1 & sleep 0'")
    pid = wait_until(lambda: vm.alive(f"sleep {mark}"))[0]
    vm.record(since, "logout", door="su")
    where = vm.cgroup(pid)
    assert where.endswith("/door")
    vm.root.sh(f"kill {pid}")
    wait_until(lambda: vm.root(f"test -d /sys/fs/cgroup{where}").rc != 0, what="the leaf is gone")


def test_a_new_keeper_knows_the_session(vm):
    mark = marker()
    since = vm.now()
    with vm.operator.start(f"su - agent -c 'sleep {mark}; :'"), vm.openssh.start(f"sleep {mark}; :"):
        pids = wait_until(lambda: (lambda found: found if len(found) == 2 else None)(vm.alive(f"sleep {mark}")))
        vm.record(since, "login", door="su")
        vm.root.sh(f"systemctl kill -s KILL creel-keeper@{vm.uid()}.service")
        vm.agent.sh("true")
        assert sorted(vm.alive(f"sleep {mark}")) == sorted(pids), "what runs does not notice"
        assert not vm.records(since, "logout", door="su") and not vm.records(since, "logout", door="openssh")
        vm.root.sh(f"kill {' '.join(map(str, pids))}")
        vm.record(since, "logout", door="su")
        vm.record(since, "logout", door="openssh")


def test_openssh_forwards_nothing_for_agents(vm):
    """Each way is tried by the operator, too."""
    def client(host, *options):
        argv = host.argv("echo in" if "-R" in options else None, ["-o", "ExitOnForwardFailure=yes", *options])
        return subprocess.run(argv, input=b"", capture_output=True, timeout=60, check=False)

    for options, said in ((["-W", "127.0.0.1:2222"], b"SSH-2.0-OpenSSH"), (["-R", "3777:127.0.0.1:9"], b"in"),
                          (["-R", "/tmp/creel-forwarded:127.0.0.1:9"], b"in")):
        done = client(vm.operator, *options)
        assert done.stdout.startswith(said), (options, done)
        done = client(vm.openssh, *options)
        assert done.returncode == 255 and not done.stdout, (options, done)
    vm.root.sh("rm -f /tmp/creel-forwarded")


def test_openssh_runs_nothing_of_agents_itself(vm):
    vm.agent.sh("mkdir -p -m 700 .ssh; echo 'touch /home/agent/rc-ran' > .ssh/rc")
    try:
        vm.openssh.sh("true")
        assert vm.agent("test -e rc-ran").rc != 0
    finally:
        vm.agent.sh("rm -f .ssh/rc rc-ran")
    settings = vm.root.sh(f"sshd -T -C user=agent,host=x,addr=10.0.2.2,laddr=10.0.2.15,lport=2222").lower()
    for line in ("allowtcpforwarding no", "allowagentforwarding no", "x11forwarding no", "permituserrc no",
                 "allowstreamlocalforwarding no", "permittunnel no"):
        assert line in settings
    assert "allowtcpforwarding yes" in vm.root.sh("sshd -T -C user=root,host=x,addr=10.0.2.2,laddr=10.0.2.15,lport=2222").lower()
