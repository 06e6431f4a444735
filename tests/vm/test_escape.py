# SPDX-License-Identifier: MIT
"""Escapes by what all share: terminals, the system's sockets, ports and logs, shared folders; and by what root reads of an agent's.

While an agent does its worst with one of them, the others, the operator first of all, are served as before.
"""

import contextlib
import json
import re
import socket
import subprocess

import pytest

from harness import Terminal, manager_is_up, marker, python, wait_until
from test_keeper import main_pid, socket_of

HOLD = "\nprint('holds', flush=True)\nsys.stdin.read()\n"


@contextlib.contextmanager
def holding(vm, code, *arguments, line="holds"):
    """A process of the agent's that does something and keeps it, until the block ends."""
    with vm.agent.start(python("import os, socket, sys\n" + code + HOLD, *arguments)) as client:
        seen = []
        while not (text := client.stdout.readline().decode()).startswith(line):
            assert text, client.stderr.read()
            seen.append(text.strip())
        yield seen
        client.stdin.close()
        client.wait(60)


def all_are_served(vm):
    """Logins by each door that does not lead to the agent's own room, the service manager and the bus."""
    assert vm.operator.sh("timeout 50 systemd-run --quiet --wait --collect true; echo $?") == "0"
    assert vm.bob.sh("echo in") == "in"
    assert vm.operator.sh("loginctl show-user root -P Name; hostnamectl hostname >/dev/null; echo $?").split() == ["root", "0"]


def assert_terminal(vm, host):
    with Terminal(host.argv(options=["-tt"])) as terminal:
        terminal.expect(r"[$#] ")
        terminal.line("tty; exit 5")
        terminal.expect("/dev/pts/")
        assert terminal.finish() == 5


# ---- what the machine has a number of ------------------------------------------------------------------------------------

def test_terminals(vm):
    """The kernel had 4096 for the machine, and one process of an agent's may have more descriptors than that."""
    with holding(vm, "try:\n    while True: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY)\nexcept OSError as problem: print(problem.errno)") as seen:
        assert seen == ["24"], "its own descriptors end first"
        for host in (vm.operator, vm.bob):
            assert_terminal(vm, host)


FOLDERS = ["/run/lock", "/dev/mqueue", "/run", "/run/systemd", "/run/creel", "/run/user", "/dev"]


def test_other_folders_in_memory_are_closed(vm):
    made = vm.agent.sh(f"for folder in {' '.join(FOLDERS)}; do\n"
                       "{ echo > $folder/escaped || mkdir $folder/escaped; } 2>/dev/null && echo $folder\ndone; true")
    assert not made, f"it made something in {made.split()}"
    assert not vm.root("ls -d " + " ".join(f"{folder}/escaped" for folder in FOLDERS)).text
    vm.agent.sh("echo > /dev/shm/escaped && rm /dev/shm/escaped")


LOCKS = """import fcntl
for path in ("/run/utmp", "/var/log/wtmp", "/var/log/lastlog", "/var/cache/debconf/config.dat", "/etc/passwd"):
    for act in (fcntl.flock, fcntl.lockf):
        for kind in (fcntl.LOCK_SH, fcntl.LOCK_EX):
            try:
                act(open(path), kind | fcntl.LOCK_NB)
                print("locked", path)
            except OSError:
                pass
with open("/tmp/own", "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
with open("/srv/shared") as file:
    fcntl.lockf(file, fcntl.LOCK_SH)
"""


def test_locks_that_logins_wait_for(vm):
    """And what package tools wait for. Locks of its own files, and to read files that are not root's, are the agent's to take."""
    vm.write("/srv/shared", "read\n", owner="nobody")
    with holding(vm, LOCKS) as seen:
        assert not seen
        assert_terminal(vm, vm.operator)
    vm.agent.sh("rm /tmp/own")
    vm.root.sh("rm /srv/shared")


def test_shared_memory_and_semaphores_end_somewhere(vm):
    """Of System V's there is one number for all; nothing of creel's or of the login's way needs any."""
    vm.agent("for n in $(seq 200); do ipcmk -S 100 -M 4096 -Q >/dev/null || break; done")
    all_are_served(vm)
    vm.agent("ipcrm -a")


# ---- the system's sockets ------------------------------------------------------------------------------------------------

# until stdin closes; says that it is on when something came through, and more was refused than the limit lets through
FLOOD = """
import select, socket, sys, time
where, how, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
sent = refused = 0
begun, told = time.monotonic(), False
while not select.select([sys.stdin], [], [], 0)[0]:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.setblocking(False)
    connected = how != "connected"
    for _ in range(500):
        try:
            if not connected:
                client.connect(where)
                connected = True
            client.send(b"STATUS=flood") if how == "connected" else client.sendto(b"STATUS=flood", where)
            sent += 1
        except OSError:
            refused += 1
    if not told and sent and refused > most:
        told = True
        print("on", flush=True)
print(sent, refused, time.monotonic() - begun, flush=True)
"""


@pytest.mark.parametrize("where, how, most", [("/run/systemd/notify", "once", 100), ("/run/systemd/notify", "connected", 100),
                                              ("/run/systemd/journal/socket", "once", 10000), ("/run/systemd/journal/dev-log", "connected", 10000)])
def test_messages_without_end(vm, where, how, most):
    """The service manager takes notifications before all else: nobody could log in while somebody sent them."""
    with vm.agent.start(python(FLOOD, where, how, str(most))) as client:
        assert client.stdout.readline() == b"on\n", client.stderr.read()
        all_are_served(vm)
        client.stdin.close()
        sent, refused, seconds = client.stdout.readline().split()
        assert 0 < int(sent) <= most * (float(seconds) // 10 + 2), (sent, seconds)
        assert int(refused) > most, (refused, seconds)


CONNECT = """
where, number = sys.argv[1:3]
held = []
for _ in range(int(number)):
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect(where)
        held.append(client)
    except OSError:
        client.close()
print(len(held))
"""


@pytest.mark.parametrize("where", ["/run/dbus/system_bus_socket", "/run/systemd/journal/stdout", "/run/systemd/userdb/io.systemd.DynamicUser"])
def test_connections_that_say_nothing(vm, where):
    """The bus takes 64 that have not said who they are, the journal 4096 streams, of all together."""
    # connects are counted in windows of time, for all these sockets together: the row before may have used this one up
    wait_until(lambda: vm.agent.sh(python("import socket, sys\n" + CONNECT, where, "1")) == "1", 30, "a window begins")
    with holding(vm, CONNECT, where, "6000") as seen:
        assert 1 <= int(seen[0]) <= 256
        all_are_served(vm)
        mark = marker()
        vm.operator.sh(f"systemd-run --quiet --wait --collect --unit=said-{mark} echo said {mark}")
        wait_until(lambda: mark in vm.operator(f"journalctl -q --no-pager -u said-{mark} -o cat").text, what="services have their output logged")
    wait_until(lambda: vm.agent("systemd-run --user --quiet --scope --collect echo in").text == "in", what="the part of the agent comes back")


def test_the_journal_is_flooded(vm):
    """By lines and by large ones: the record goes on, and what the journals hold is bounded."""
    since = vm.now()
    flood = "while :; do seq 100000 | logger -t creel-keeper; head -c 40000 /dev/zero | tr '\\0' x | logger -t sshd; done"
    with vm.agent.start(flood):
        first = f"journalctl -q --no-pager -n 1 -o cat --since=@{since // 10**6} -t creel-keeper _UID={vm.uid()}"
        wait_until(lambda: vm.root(first).text, 60, "the flood is on")
        number = marker()
        vm.bob.sh(f"echo {number}")
        vm.record(since, "command", agent="bob", command=f"echo {number}")
        all_are_served(vm)
    used, total = map(int, vm.root.sh("du -sk /var/log/journal | cut -f1; df --output=size -k /var/log/journal | tail -1").split())
    assert used < total / 5


# ---- the network -----------------------------------------------------------------------------------------------------------

CALL = """
port, number = map(int, sys.argv[1:3])
held = []
for n in range(number):
    client = socket.socket()
    client.bind((f"127.1.{n // 250}.{1 + n % 250}", 0))
    try:
        client.connect(("127.0.0.1", port))
        held.append(client)
    except OSError:
        client.close()
print(len(held))
"""


@pytest.mark.parametrize("port", ["2222", "22"])
def test_ssh_from_within(vm, port):
    """Connections that never log in, each from an address of its own: loopback has 16 million."""
    with holding(vm, CALL, port, "300") as seen:
        assert seen == ["4"]
        for _ in range(3):
            assert vm.operator.sh("echo in") == "in"
        assert vm.bob.sh("echo in") == "in"


# ---- its keeper -----------------------------------------------------------------------------------------------------------

def test_its_keepers_socket_is_filled(vm):
    """A thousand connections, each with the half of a message: the agent's next login and others' are served."""
    half = "l\\x01\\x00\\x01\\x00\\xff\\xff\\x00"
    code = f"""
held = []
for _ in range(1000):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(0.2)
    try:
        client.connect(sys.argv[1])
        client.send(b"\\0AUTH EXTERNAL\\r\\nDATA\\r\\nBEGIN\\r\\n{half}")
        held.append(client)
    except OSError:
        client.close()
"""
    pid = main_pid(vm)
    with holding(vm, code, socket_of(vm)):
        assert vm.agent.sh("echo in") == "in" and vm.bob.sh("echo in") == "in"
        assert vm.openssh.sh("echo in") == "in"
        assert vm.agent("creel limits").rc in (0, 1)
    assert main_pid(vm) == pid, "the same keeper"
    assert "processes" in wait_until(lambda: vm.agent("creel limits").text)


# ---- links, and what is no file -------------------------------------------------------------------------------------------

PLACES = {
    ".config/systemd": "mkdir -p .config; ln -s /etc/systemd .config/systemd", ".config": "ln -s /etc .config",
    ".cache": "ln -s /root .cache", ".local": "ln -s /var/lib .local",
    ".ssh/environment": "printf 'LD_PRELOAD=/home/agent/x.so\\nBASH_ENV=/home/agent/env\\n' > .ssh/environment",
    ".pam_environment": "printf 'LD_PRELOAD DEFAULT=/home/agent/x.so\\nXDG_RUNTIME_DIR DEFAULT=/etc\\n' > .pam_environment", ".ssh/rc": "ln -s /etc/shadow .ssh/rc",
    ".hushlogin": "mkdir .hushlogin", ".sudo_as_admin_successful": "ln -s /etc/escaped .sudo_as_admin_successful",
    ".k5login": "echo root > .k5login", ".rhosts": "echo + + > .rhosts; chmod 600 .rhosts",
}


WATCHED = "find /etc /root -xdev -type f -not -name 'aquota*' -printf '%p %s %m %u\\n' | sort"


def wrong_with_dotfiles(vm, places):
    """What a login's ways make of these places, by each door: what differs, or nothing."""
    before = set(vm.root.sh(WATCHED).splitlines())
    vm.root.sh("cd /home/agent\n" + "\n".join(f"test ! -e {place} || mv {place} {place}.away" for place in places))
    try:
        vm.agent.sh("\n".join(PLACES[place] for place in places))
        seen = {"creel-sshd": vm.agent("echo in; env | grep -c x.so; true")}
        vm.agent("timeout 60 systemctl --user daemon-reload; mkdir -p .config/systemd/user; echo > .config/systemd/user/escaped.service", timeout=120)
        seen["OpenSSH"] = vm.openssh("echo in", timeout=120)
        seen["su"] = vm.root("timeout 60 su agent -c 'echo in'", timeout=120)
        seen["the operator"] = vm.operator("echo in")
    except subprocess.TimeoutExpired as late:
        return [late]
    finally:
        vm.root.sh("cd /home/agent\n" + "\n".join(f"rm -rf {place}; test ! -e {place}.away || mv {place}.away {place}"
                                                  for place in places))
    wrong = [(door, done) for door, done in seen.items() if done.text != ("in\n0" if door == "creel-sshd" else "in")]
    return wrong + sorted(before ^ set(vm.root.sh(WATCHED).splitlines()))


def test_dotfiles(vm):
    """Nothing of them is followed or waited for on a login's way; none reaches who has more than the agent."""
    found = {}
    for places in ([place for place in PLACES if place != ".config"], [".config"]):
        if wrong := wrong_with_dotfiles(vm, places):
            alone = {place: wrong_with_dotfiles(vm, [place]) for place in places}
            found |= {place: why for place, why in alone.items() if why} or {" ".join(places): wrong}
    assert not found, "\n".join(f"{place}: {wrong}" for place, wrong in found.items())


def test_a_profile_that_is_waited_for(vm):
    """A FIFO: whoever waits for it is a login shell of the agent's own, and no other login does."""
    vm.root.sh("cd /home/agent; test ! -e .bash_profile || mv .bash_profile .bash_profile.away")
    try:
        vm.agent.sh("mkfifo .bash_profile")
        with Terminal(vm.agent.argv(options=["-tt"])) as waiting:
            for host in (vm.agent, vm.openssh, vm.bob, vm.operator):
                assert host.sh("echo in") == "in", host.name
            # opened only when somebody reads it, and what the shell reads it executes
            vm.agent.sh("timeout 60 sh -c 'echo \"echo read by \\$\\$\" > .bash_profile'", timeout=120)
            waiting.expect(r"read by \d+")
            waiting.line("exit 6")
            assert waiting.finish() == 6
    finally:
        vm.root.sh("cd /home/agent && rm -f .bash_profile; "
                   "test ! -e .bash_profile.away || mv .bash_profile.away .bash_profile")


KEYS = {
    "link": "ln -s /root/.ssh/authorized_keys .ssh/authorized_keys", "shadow": "ln -s /etc/shadow .ssh/authorized_keys", "fifo": "mkfifo .ssh/authorized_keys",
    "folder": "mkdir .ssh/authorized_keys", "device": "ln -s /dev/zero .ssh/authorized_keys", "large": "truncate -s 500M .ssh/authorized_keys",
    "others": "rm -r .ssh; ln -s /root/.ssh .ssh", "socket": "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\".ssh/authorized_keys\")'",
    "hidden": "cp ssh-kept/authorized_keys .ssh/authorized_keys; chmod 0 .ssh",
    "writable": "cp ssh-kept/authorized_keys .ssh/authorized_keys; chmod 777 .ssh",
}
ROOTS = ("link", "others")  # these lead to what lets root's own key in


def wrong_with_keys(vm, trick):
    """The key is refused at once, by a keeper that goes on, and with a reason on record. What is not so, or None."""
    since, pid = vm.now(), main_pid(vm)
    options = [[], vm.only(vm.root.key())] if trick in ROOTS else [[]]
    try:
        for words in options:
            done = vm.agent("echo in", options=words, timeout=40)
            if (done.rc, done.out) != (255, b""):
                return done
    except subprocess.TimeoutExpired as late:
        return late
    if not vm.records(since, "refusal", agent="agent"):
        return "no reason on record"
    return None if main_pid(vm) == pid else "the keeper ended"


def test_keys_that_are_no_file(vm):
    """Each in turn; the agent that makes the next one shows that its key is good again."""
    found = {}
    for trick, act in KEYS.items():
        vm.root.sh("cd /home/agent && cp -a .ssh ssh-kept")
        try:
            vm.agent.sh(f"rm .ssh/authorized_keys; {act}")
            if wrong := wrong_with_keys(vm, trick):
                found[trick] = wrong
        finally:
            vm.root.sh("cd /home/agent && chmod 700 .ssh; rm -rf .ssh && mv ssh-kept .ssh")
    assert not found, "\n".join(f"{trick}: {wrong}" for trick, wrong in found.items())
    assert vm.agent.sh("echo in") == "in"


def test_others_come_in_while_keys_are_no_file(vm):
    vm.root.sh("cd /home/agent && cp -a .ssh ssh-kept")
    try:
        vm.agent.sh(f"rm .ssh/authorized_keys; {KEYS['fifo']}")
        with vm.agent.start("echo in") as client:
            assert vm.bob.sh("echo in") == vm.operator.sh("echo in") == "in"
            assert client.wait(40) == 255
    finally:
        vm.root.sh("cd /home/agent && rm -rf .ssh && mv ssh-kept .ssh")


def test_a_folder_that_changes_while_it_is_read(vm):
    """.ssh is a folder and a link to root's, in turns, as fast as it goes: what is read is the agent's own or nothing."""
    swap = python("import os\nos.makedirs('.ssh.a', mode=0o700, exist_ok=True)\nopen('.ssh.a/authorized_keys', 'w').write(open('.ssh/authorized_keys').read())\n"
                  "os.chmod('.ssh.a/authorized_keys', 0o600)\nos.rename('.ssh', '.ssh.b')\nos.symlink('/root/.ssh', '.ssh.l')\nprint('swaps', flush=True)\n"
                  "while True:\n    os.rename('.ssh.a', '.ssh')\n    os.rename('.ssh', '.ssh.a')\n    os.rename('.ssh.l', '.ssh')\n    os.rename('.ssh', '.ssh.l')\n")
    pid = main_pid(vm)
    with vm.agent.start(swap) as client:
        try:
            assert client.stdout.readline() == b"swaps\n"
            for _ in range(6):
                done = vm.agent("id -un")
                assert (done.rc, done.text) in ((0, "agent"), (255, "")), done
                done = vm.agent("id -un", options=vm.only(vm.root.key()))
                assert (done.rc, done.text) == (255, ""), "root's own key opens the agent's door"
        finally:
            client.kill()
            client.wait()
            # a last rename could put something into the place of what is moved back
            wait_until(lambda: vm.root("pkill -KILL -u agent -f b64decode").rc == 1, what="nobody swaps any more")
            vm.root.sh("cd /home/agent && rm -rf .ssh .ssh.a .ssh.l && mv .ssh.b .ssh")
    assert main_pid(vm) == pid and vm.agent.sh("echo in") == "in"


def test_its_runtime_folder_is_full_of_links(vm):
    """Where logind and the manager write: /run/user/UID, as the agent alone would."""
    look = "sha256sum /etc/shadow /etc/passwd; stat -c '%a %U' /etc/shadow /root /run/creel"
    units = f"user-runtime-dir@{vm.uid()}.service user@{vm.uid()}.service"
    before = vm.root.sh(look)
    try:
        vm.agent.sh("cd /run/user/$(id -u) && rm -rf systemd bus && ln -s /etc systemd && ln -s /etc/shadow bus && "
                    "ln -s /root gnupg && head -c 300M /dev/zero > fill; true")
        assert vm.agent.sh("echo in") == "in" and vm.openssh("echo in", timeout=120).text == "in"
    finally:
        vm.root.sh(f"systemctl restart {units} || systemctl restart user@{vm.uid()}.service", timeout=250)
    assert vm.root.sh(look) == before
    manager_is_up(vm)


# ---- variables ------------------------------------------------------------------------------------------------------------

VARIABLES = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "SHELL", "PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS",
             "DBUS_SYSTEM_BUS_ADDRESS", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "SYSTEMD_LOG_LEVEL", "SYSTEMD_SECCOMP", "GCONV_PATH", "TZ", "MALLOC_CHECK_",
             "CREEL_SESSION", "CREEL_UNAUTHENTICATED", "IFS", "PS4", "SHELLOPTS", "SSH_AUTH_SOCK", "TERM", "LC_ESCAPE", "LANG"]


@pytest.mark.parametrize("door", ["agent", "openssh"])
def test_variables_that_a_client_sends(vm, door):
    """By SetEnv: what names libraries, shells, folders and sockets is what creel says; the keeper's own are root's."""
    host = getattr(vm, door)
    asked = [f"{name}=/home/agent/escaped" for name in VARIABLES] + ['"BASH_FUNC_id%%=() { echo escaped; }"']
    *lines, user = host.sh("env; id -un", options=["-o", "SetEnv=" + " ".join(asked)]).splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    changed = {name for name, value in seen.items() if value == "/home/agent/escaped"}
    assert {"LC_ESCAPE"} <= changed <= {"LC_ESCAPE", "LANG", "TERM", "TZ"}, changed
    assert user == "agent" and not any(name.startswith("BASH_FUNC") for name in seen), "a function of the client's"
    for unit in (f"creel-keeper@{vm.uid()}.service", "creel-sshd.service"):
        assert "escaped" not in vm.root.sh(f"tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID {unit})/environ")


# ---- what a reader of the record sees ---------------------------------------------------------------------------------------

EVIL = "\x1b]0;title\x07\x1b[2J\x1b[31m\u202e\x9b31m\r\nMESSAGE=forged\nCREEL_AGENT=root\n"


def harmless(text):
    return not re.search("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202e]", text)


def test_escape_sequences(vm):
    """In commands, variables, names of terminals, files, subsystems, a client's version: nothing drives a terminal."""
    since = vm.now()
    vm.agent(f"echo '{EVIL}'")
    with Terminal(vm.agent.argv(options=["-tt"]), term="x\x1b[2Jx") as terminal:
        terminal.expect(r"\$ ")
        terminal.line("exit")
        terminal.finish()
    vm.agent(EVIL, options=["-s"])
    vm.agent("true", options=["-o", f"SetEnv=LC_ESCAPE=\x1b[2J"])
    vm.agent.sh(python("import os, sys\nname = sys.argv[1].replace('/', '') * 4\nopen(name, 'w').close()\nos.unlink(name)", EVIL.replace("\n", "_")))
    with socket.create_connection(vm.address(), timeout=30) as client:
        client.sendall(b"SSH-2.0-\x1b[2J\x1b]0;title\x07\r\n")
        with contextlib.suppress(OSError):
            client.recv(1000)
    wait_until(lambda: len(vm.records(since, "logout", agent="agent")) >= 4)
    assert "\\x1b" in vm.root.sh("creelctl audit"), "they are on record, as text"
    for command in ("creelctl audit", "creelctl agent list", "creelctl agent show agent", "creelctl doctor"):
        assert harmless(vm.root(command).out.decode()), command
    # what an operator reads with journalctl: no line of ours has such a byte in its message
    for entry in vm.journal(since, namespace="creel") + vm.journal(since, "_SYSTEMD_UNIT=creel-sshd.service") + \
            vm.journal(since, f"_SYSTEMD_UNIT=creel-keeper@{vm.uid()}.service"):
        message = entry.get("MESSAGE", "")
        assert isinstance(message, str) and harmless(message) and "\n" not in message, json.dumps(entry)
    assert not vm.records(since, agent="root")
