# SPDX-License-Identifier: MIT
"""What a worker still has and can do, as the kernel sees it."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from conftest import ROOT, SLOW, Front, descriptors, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0 or SLOW > 1,
                                reason="needs root to look into other processes, and a build that is confined")

# Reserves, or paths that a test cannot take at will; sandbox.c says what each is for.
NOT_SEEN = {"restart_syscall", "rt_sigprocmask", "mprotect", "clock_gettime", "gettimeofday", "time", "futex", "mremap",
            "madvise", "shutdown", "brk"}


def fields(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_descriptors_of_a_worker(front):
    control = ["-o", f"ControlPath={front.folder}/fds"]
    master = front.popen("echo ready; cat", "-M", *control)
    assert master.stdout.readline() == b"ready\n"
    worker = front.worker()
    own = descriptors(worker)
    standard = {own.pop(i) for i in (0, 1, 2)}
    assert standard == {"/dev/null", str(front.log_path)}
    kinds = sorted(target.split(":")[0] for target in own.values())
    assert kinds == ["pipe", "pipe", "pipe", "socket", "socket"], own
    before = set(own)
    for _ in range(20):
        assert front("echo on", *control).stdout == b"on\n"
    wait_until(lambda: set(descriptors(worker)) - {0, 1, 2} == before, what="no descriptor is left")
    front(None, "-O", "exit", *control)
    master.communicate()


def test_before_the_first_byte_too(front):
    """A connection that has said nothing: the same filter, no descriptor but two."""
    with front.connect() as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-")
        (worker,) = wait_until(front.workers)
        assert fields(worker)["Seccomp"] == "2" and fields(worker)["NoNewPrivs"] == "1"
        own = descriptors(worker)
        assert sorted(own) == [0, 1, 2, 3, 4] and own[3].startswith("socket:") and own[4].startswith("socket:")


def test_rights_of_the_processes(front):
    client = front.popen("echo ready; cat")
    assert client.stdout.readline() == b"ready\n"
    worker = front.worker()
    for pid in (worker, *[pid for pid, name in front.own().items() if name == "creel-monitor"]):
        status = fields(pid)
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1"
        # not dumpable: not even the same user looks inside
        for name in ("mem", "maps", "fd", "environ"):
            done = subprocess.run(["cat" if name != "fd" else "ls", f"/proc/{pid}/{name}"], capture_output=True, **front.identity)
            assert done.returncode and b"Permission denied" in done.stderr, name
    limits = pathlib.Path(f"/proc/{worker}/limits").read_text()
    assert re.search(r"Max address space +(\d+) +\1", limits)
    assert re.search(r"Max file size +0 +0", limits) and re.search(r"Max processes +0 +0", limits)
    assert re.search(r"Max core file size +0 +0", limits)
    client.communicate(b"")


def uploads(front, control):
    """Much, and a little more when all of that was read: then the worker asks how far the client is."""
    client = front.popen("head -c 400000 >/dev/null; echo much; head -c 10 >/dev/null; echo more", *control)
    for n, said in ((400000, b"much\n"), (10, b"more\n")):
        client.stdin.write(bytes(n))
        client.stdin.flush()
        assert client.stdout.readline() == said
    client.communicate()


def use_everything(front):
    control = ["-o", f"ControlPath={front.folder}/all"]
    master = front.popen("cat", "-M", "-c", "aes128-gcm@openssh.com", "-o", "RekeyLimit=1M", *control)
    wait_until(lambda: front(None, "-O", "check", *control).returncode == 0)
    data = os.urandom(4 << 20)
    assert front("cat", *control, stdin=data).stdout == data
    uploads(front, control)
    assert front("stty size; exit 3", "-tt", *control).returncode == 3
    assert front("fake-full", *control).returncode == 254
    assert front("kill -9 $$", *control).returncode == 255
    subprocess.run([*front.argv(program="sftp"), *control, "-b", "/dev/stdin", f"{front.user.pw_name}@127.0.0.1"], check=True,
                   input=b"ls /\n", capture_output=True)
    client = front.popen("sleep 60", *control)
    client.kill()
    client.wait()  # the master may hold its stderr for long: test_bad.py
    front(None, "-O", "exit", *control)
    master.communicate()
    for key in ("id_rsa", "id_ecdsa", "id_bad"):
        front("true", key=key)
    front("true", user="nosuchuser")
    with front.connect() as connection:
        connection.sendall(b"\0" * 300)
        while connection.recv(65536):
            pass


def test_the_filter_is_what_was_measured():
    """
    Every call that workers were seen to make is in the filter's table (others would have ended them), and every row of the
    table was seen, but for those that NOT_SEEN names.
    """
    source = (ROOT / "sshd-sub/sandbox.c").read_text()
    table = set(re.findall(r"FILTER_ALLOW\(\s*(\w+),", source))
    assert NOT_SEEN <= table, NOT_SEEN - table
    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    os.chmod(folder, 0o755)
    server = Front(folder, "-a", "1")
    trace = pathlib.Path(folder, "trace")
    # the listener, so that each worker is traced from its birth
    tracer = subprocess.Popen(["strace", "-f", "-q", "-o", str(trace), "-p", str(server.server.pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: int(fields(server.server.pid)["TracerPid"]) == tracer.pid, what="strace is there")
        server("true")  # takes the worker that waited already, and was not traced
        use_everything(server)
        wait_until(lambda: not server.workers())
        # the next one is confined: it is the only one that server.stop() ends by itself, others are killed
        wait_until(lambda: [pid for pid, name in server.own().items()
                            if name == "creel-spare" and fields(pid)["Seccomp"] == "2"], what="a confined spare")
    finally:
        server.stop()
        tracer.terminate()
        tracer.wait(20)
    seen, confined, loading = {}, set(), set()
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+) +(<\.\.\. )?(\w+)", line)
        if not match or line.split(None, 1)[1].startswith(("+++", "---")):
            continue
        pid, resumed, name = int(match[1]), match[2], match[3]
        if pid in confined:
            seen.setdefault(name, line)
        elif name == "seccomp":
            if not resumed:  # the same call is also a question for what the kernel knows
                (loading.add if "SECCOMP_SET_MODE_FILTER" in line else loading.discard)(pid)
            if pid in loading and line.endswith("= 0"):
                confined.add(pid)
    shutil.rmtree(folder)
    assert len(confined) > 5
    assert not set(seen) - table, [seen[name] for name in set(seen) - table]
    assert table - set(seen) <= NOT_SEEN, table - set(seen) - NOT_SEEN
