# SPDX-License-Identifier: MIT
"""creel secret beside the keeper's own sources, creel-secret and systemd-creds, with a machine's key of a mount namespace."""

import concurrent.futures
import fcntl
import json
import os
import pathlib
import pty
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import threading

import pytest

from conftest import BUILD, PATIENCE, ROOT, WHY_NOT, wait_until
from test_real_keeper import DATA, PROGRAMS, UID, Agent

sys.path.insert(0, str(ROOT / "tests" / "vm" / "probes"))
import runs  # noqa: E402  the VM's own probe

SECRETS, KEY, RECORD = map(pathlib.Path, ("/var/lib/creel", "/var/lib/systemd", "/run/systemd/journal.creel"))
STORE = SECRETS / "secrets" / str(UID)
CREDS = "/usr/bin/systemd-creds"
VALUE = "correct-horse-battery-staple"
SHOW = ["python3", "-c", "import os; print(os.environ.get('TOKEN'))"]


class Journal:
    """Everything that the keeper writes to the record."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(RECORD / "socket"))
        self.data = b""
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            data, control, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(16))
            for _, _, fd in control:
                data += os.pread(int.from_bytes(fd[:4], "little"), 1 << 24, 0)
            self.data += data + b"\n"


@pytest.fixture(scope="module")
def agent():
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    if not os.access(CREDS, os.X_OK):
        pytest.skip("this machine has no systemd-creds")
    mounts = (DATA, PROGRAMS, SECRETS, KEY, RECORD)
    for installed in mounts:
        installed.mkdir(exist_ok=True, parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "creel", installed], check=True)
    shutil.copytree(ROOT / "shell" / "drivers", DATA / "drivers")
    for program in ("creel-collect", "creel-secret"):
        shutil.copy(BUILD / program, PROGRAMS)
    journal = Journal()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="creel-secret-", dir="/tmp"))
    one = Agent(folder)
    one.journal = journal
    yield one
    one.end()
    shutil.rmtree(folder)
    for installed in mounts:
        subprocess.run(["umount", "--lazy", installed], check=True)


@pytest.fixture(autouse=True)
def empty(agent):
    yield
    for path in STORE.glob("*"):
        path.unlink()


def fails(done, *words, status=1):
    text = done.stderr.decode()
    assert done.returncode == status and not done.stdout and text.count("\n") == 1, done
    assert all(word in text for word in words), text
    return done


def client(agent):
    os.setegid(UID)
    os.seteuid(UID)
    try:
        return runs.Client(str(agent.socket), UID)
    finally:
        os.seteuid(0)
        os.setegid(0)


def call(peer, *words):
    """Again, while it was too much for the keeper."""
    def answer():
        try:
            return (peer.call(*words),)
        except runs.Refused as why:
            if not why.args[0].endswith(".Full"):
                raise
    return wait_until(answer)[0]


def keep(agent, name, value=VALUE):
    done = agent.creel("secret", "set", name, input=value)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done


def test_one_command_gets_it(agent):
    keep(agent, "TOKEN", VALUE + "\n")
    assert agent.creel("secret", "run", "TOKEN", "--", *SHOW).stdout == f"{VALUE}\n".encode()
    done = agent.creel("secret", "list", "--json")
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == ["TOKEN"] and rows[0]["set"].endswith("Z") and VALUE.encode() not in done.stdout
    # nothing else does
    assert subprocess.run(SHOW, capture_output=True, **agent.how).stdout == b"None\n"
    keep(agent, "TOKEN", "another")
    keep(agent, "SECOND", "two\nlines")
    show = ["sh", "-c", 'printf "%s/%s" "$TOKEN" "$SECOND"; exit 7']
    done = agent.creel("secret", "run", "TOKEN", "SECOND", "--", *show)
    assert (done.returncode, done.stdout) == (7, b"another/two\nlines")
    assert agent.creel("secret", "rm", "TOKEN").returncode == 0
    fails(agent.creel("secret", "rm", "TOKEN"), "TOKEN: there is no such secret")
    fails(agent.creel("secret", "run", "TOKEN", "--", *SHOW), "TOKEN: there is no such secret")
    # all of them, or nothing is executed
    fails(agent.creel("secret", "run", "SECOND", "TOKEN", "--", "echo", "ran"), "TOKEN: there is no such secret")


def test_what_cannot_be_executed(agent):
    keep(agent, "TOKEN")
    fails(agent.creel("secret", "run", "TOKEN", "--", "/nosuch"), "No such file", status=127)
    fails(agent.creel("secret", "run", "TOKEN", "--", "/etc/passwd"), "denied", status=126)
    for words in (["run", "TOKEN"], ["run", "TOKEN", "--"], ["run", "--", "true"], ["set"], ["rm"], ["list", "x"], ["get", "TOKEN"], []):
        done = agent.creel("secret", *words)
        assert done.returncode == 2 and b"usage" in done.stderr and not done.stdout, done


def test_at_rest(agent):
    keep(agent, "TOKEN")
    path = STORE / "TOKEN"
    for place, mode in ((STORE.parent, 0o700), (STORE, 0o700), (path, 0o600)):
        st = place.stat()
        assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (mode, 0, 0), place
    assert VALUE.encode() not in path.read_bytes()
    assert [entry.name for entry in STORE.iterdir()] == ["TOKEN"]
    # it is bound to its name and its agent, and cannot be changed
    shutil.copy(path, STORE / "OTHER")
    fails(agent.creel("secret", "run", "OTHER", "--", *SHOW), "OTHER: it cannot be decrypted", "set it anew")
    made = subprocess.run([CREDS, "--with-key=host", f"--name=creel-{UID + 1}-TOKEN", "encrypt", "-", path], input=b"theirs", check=False,
                          capture_output=True)
    assert made.returncode == 0
    fails(agent.creel("secret", "run", "TOKEN", "--", *SHOW), "TOKEN: it cannot be decrypted")
    path.write_bytes(b"")
    fails(agent.creel("secret", "run", "TOKEN", "--", *SHOW), "TOKEN: it cannot be decrypted")
    path.unlink()
    path.symlink_to("/etc/hostname")
    fails(agent.creel("secret", "run", "TOKEN", "--", *SHOW), "TOKEN: it cannot be read")
    keep(agent, "TOKEN")
    assert not path.is_symlink() and pathlib.Path("/etc/hostname").is_file()


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "../TOKEN", "A/B", ".", "A\nB", "Ä", "A" * 65])
def test_bad_names(agent, name):
    fails(agent.creel("secret", "set", name, input="x"), "named like a variable")
    peer = client(agent)
    for member in ("Secret", "RemoveSecret"):
        with pytest.raises(runs.Refused, match="named like a variable"):
            peer.call(member, "s", [name])
    with pytest.raises(runs.Refused, match="named like a variable"):
        call(peer, "SetSecret", "sh", [name, 0], [runs.memory(b"x")])


def test_bad_values(agent):
    fails(agent.creel("secret", "set", "TOKEN"), "no value came")
    fails(agent.creel("secret", "set", "TOKEN", input="\n"), "no value came")
    fails(agent.creel("secret", "set", "TOKEN", input="a\0b"), "NUL")
    fails(agent.creel("secret", "set", "TOKEN", input="x" * 65537), "longer than 64K")
    done = fails(agent.creel("secret", "set", "TOKEN", VALUE), "stdin")
    assert VALUE.encode() not in done.stderr
    keep(agent, "TOKEN", "x" * 65536)
    done = agent.creel("secret", "run", "TOKEN", "--", "sh", "-c", "printf %s \"$TOKEN\" | wc -c")
    assert done.stdout == b"65536\n", done
    read, write = os.pipe()
    peer = client(agent)
    for fd in (read, write, runs.memory(b"x", sealed=False), os.open("/etc/passwd", os.O_RDONLY), os.open("/proc/self", os.O_PATH)):
        with pytest.raises(runs.Refused, match="sealed"):
            call(peer, "SetSecret", "sh", ["OTHER", 0], [fd])
    for value in (b"", b"x" * 65537):
        with pytest.raises(runs.Refused, match="empty|longer"):
            call(peer, "SetSecret", "sh", ["OTHER", 0], [runs.memory(value)])
    call(peer, "SetSecret", "sh", ["NUL", 0], [runs.memory(b"a\0b")])
    # an offset that moves, or stands behind the end, is not used
    fd = runs.memory(b"whole")
    os.lseek(fd, 1 << 30, os.SEEK_SET)
    call(peer, "SetSecret", "sh", ["WHOLE", 0], [fd])
    wait_until(lambda: (STORE / "WHOLE").exists())
    assert agent.creel("secret", "run", "WHOLE", "--", "sh", "-c", "echo $WHOLE").stdout == b"whole\n"
    assert sorted(entry.name for entry in STORE.iterdir()) == ["TOKEN", "WHOLE"]


def test_store_is_bounded(agent):
    keep(agent, "A0")
    for i in range(1, 100):
        shutil.copy(STORE / "A0", STORE / f"A{i}")
    fails(agent.creel("secret", "set", "B", input="x"), "100", "creel secret rm")
    keep(agent, "A50", "replaced")
    assert agent.creel("secret", "run", "A50", "--", "sh", "-c", "echo $A50").stdout == b"replaced\n"
    assert len(json.loads(agent.creel("secret", "list", "--json").stdout)) == len(list(STORE.iterdir())) == 100


def test_very_many_calls(agent):
    keep(agent, "TOKEN")
    before = len(os.listdir(f"/proc/{agent.keeper.pid}/fd"))
    peer = client(agent)
    refused = 0
    for _ in range(10000):
        try:
            peer.call("Secret", "s", ["TOKEN"])
        except runs.Refused as why:
            assert why.args[0].endswith(".Full"), why.args
            refused += 1
    assert refused > 9000
    # who stands behind waits, and gets it
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(agent.creel, "secret", "run", "TOKEN", "--", *SHOW) for _ in range(6)]
        assert all(call.result().stdout == f"{VALUE}\n".encode() for call in calls)
    peer.peer.close()
    wait_until(lambda: len(os.listdir(f"/proc/{agent.keeper.pid}/fd")) <= before, "descriptors")
    assert not children(agent)


def children(agent):
    return subprocess.run(["pgrep", "-P", str(agent.keeper.pid), "-f", "creel-secret"], capture_output=True, check=False).stdout


def unread(peer, name):
    """Asks, and returns the pipes that come, which nobody reads yet; none when it was too much for the keeper."""
    peer.serial += 1
    peer.peer.sendall(runs.keeperbus.message("Secret", "s", [name], 0, serial=peer.serial))
    kind, _, _, fds = peer.next()
    return fds if kind == 2 else []


def close(fds):
    for fd in fds:
        os.close(fd)


def test_caller_that_goes(agent):
    """The pipe holds a whole value: nobody is waited for who does not read it."""
    keep(agent, "TOKEN", "x" * 65536)
    for _ in range(3):
        peer = client(agent)
        fds = wait_until(lambda: unread(peer, "TOKEN"), "an answer")
        wait_until(lambda: not children(agent), "the end of its child")
        close(fds)
        peer.peer.close()
    assert agent.creel("secret", "list").returncode == 0


def test_what_nobody_reads_is_taken_away(agent):
    """What lies in a pipe is no memory of the agent's: not more than two of them, and not for long."""
    keep(agent, "TOKEN", "x" * 65536)
    peer = client(agent)
    before = len(os.listdir(f"/proc/{agent.keeper.pid}/fd"))
    held = [wait_until(lambda: unread(peer, "TOKEN"), "an answer")[0] for _ in range(2)]
    wait_until(lambda: not children(agent), "the end of both children")

    def refusal():
        with pytest.raises(runs.Refused) as why:
            peer.call("Secret", "s", ["TOKEN"])
        return "wait to be read" in why.value.args[1]

    wait_until(refusal, "a refusal, for another reason than that it was asked for often")
    # who read it makes room, and has it whole
    assert b"".join(iter(lambda: os.read(held[0], 1 << 20), b"")) == b"+" + b"x" * 65536
    close(held[:1])
    held += wait_until(lambda: unread(peer, "TOKEN"), "an answer")
    wait_until(lambda: all(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)) == bytes(4) for fd in held[1:]), "nothing left in them")
    assert [os.read(fd, 1) for fd in held[1:]] == [b"", b""]
    assert len(os.listdir(f"/proc/{agent.keeper.pid}/fd")) <= before
    close(held[1:])
    peer.peer.close()
    assert agent.creel("secret", "run", "TOKEN", "--", "sh", "-c", "printf %s \"$TOKEN\" | wc -c").stdout == b"65536\n"


def test_never_in_the_record(agent):
    keep(agent, "RECORDED_TOKEN")
    agent.creel("secret", "run", "RECORDED_TOKEN", "--", "true")
    agent.creel("secret", "run", "NOT_THERE", "--", "true")
    agent.creel("secret", "rm", "RECORDED_TOKEN")
    wait_until(lambda: agent.journal.data.count(b"CREEL_KIND=secret\n") >= 4 and b"NOT_THERE" in agent.journal.data, "the record")
    text = agent.journal.data
    for change in (b"set", b"use", b"remove"):
        assert b"CREEL_CHANGE=" + change in text
    assert b"agent: secret RECORDED_TOKEN use" in text and b"CREEL_REASON=there is no such secret" in text
    for value in (VALUE.encode(), b"two\nlines", b"x" * 1000):
        assert value not in text and value not in agent.log.read_bytes()


def test_nobody_else(agent):
    keep(agent, "TOKEN")
    other = dict(agent.how, user=UID + 1, group=UID + 1)
    done = subprocess.run([agent.program, "secret", "list"], capture_output=True, timeout=PATIENCE, **other)
    assert done.returncode == 1 and b"there is no keeper" in done.stderr, done
    # the keeper knows root, and gives it nothing
    peer = runs.Client(str(agent.socket), 0)
    with pytest.raises((runs.Refused, ConnectionResetError, BrokenPipeError)):
        call(peer, "Secret", "s", ["TOKEN"])
    for path in (STORE, STORE / "TOKEN"):
        done = subprocess.run(["cat", path], capture_output=True, **agent.how)
        assert done.returncode and b"denied" in done.stderr


def test_terminal_without_echo(agent):
    leader, follower = pty.openpty()
    program = subprocess.Popen([agent.program, "secret", "set", "TYPED"], stdin=follower, stdout=follower, stderr=follower, **agent.how)
    shown = b""
    while b"not shown" not in shown:
        shown += os.read(leader, 1000)
    wait_until(lambda: not termios.tcgetattr(leader)[3] & 8, "no echo")
    os.write(leader, b"typed-value\n")
    assert program.wait(PATIENCE) == 0
    fcntl.fcntl(leader, fcntl.F_SETFL, os.O_NONBLOCK)
    shown += os.read(leader, 1000)
    assert b"typed-value" not in shown
    assert agent.creel("secret", "run", "TYPED", "--", "sh", "-c", "echo $TYPED").stdout == b"typed-value\n"


@pytest.mark.parametrize("ends, byte", [(signal.SIGINT, b"\x03"), (signal.SIGTERM, None)])
def test_a_terminal_shows_again_what_is_typed(ends, byte):
    """Also when the question is not answered: no keeper is asked until then."""
    leader, follower = pty.openpty()
    asking = subprocess.Popen([BUILD / "creel", "secret", "set", "TOKEN"], stdin=follower, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0), signal.signal(ends, signal.SIG_DFL)))

    def shows():
        return bool(termios.tcgetattr(follower)[3] & termios.ECHO)

    wait_until(lambda: not shows(), "the question")
    os.write(leader, byte) if byte else asking.send_signal(ends)
    assert asking.wait(PATIENCE) == -ends and shows()
    os.close(leader)
    os.close(follower)
