# SPDX-License-Identifier: MIT
"""A client that is 20 ms away, over a link that delays packets: real TCP at both ends (tests/bench/delay-link.c)."""

import ctypes
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile

import paramiko
import pytest

from conftest import BUILD, SLOW, Front, wait_until

LINK = BUILD / "tests/delay-link"
CLONE_NEWNET = 0x40000000
FAR = "10.77.0.2"

pytestmark = [pytest.mark.skipif(os.getuid() != 0 or not os.path.exists("/dev/net/tun"),
                                 reason="a network namespace and a TUN interface need root"),
              pytest.mark.skipif(SLOW > 1, reason="a sanitizer build is slower than the link")]


class FarFront(Front):
    """Listens on all addresses, as the service does."""

    def launch(self, *argv):
        if argv[0] != self.programs.get("creel-sshd"):
            return super().launch(*argv)
        with socket.socket() as listening, self.log_path.open("a") as log:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("0.0.0.0", self.port))
            listening.listen()
            listening.set_inheritable(True)
            return subprocess.Popen(["/bin/sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *map(str, argv)],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", pass_fds=[3],
                                    preexec_fn=lambda: os.dup2(listening.fileno(), 3),
                                    env=self.environment, **self.identity)

    def far_argv(self, command):
        argv = self.argv(command)
        return [*argv[:-2], argv[-2].replace("127.0.0.1", FAR), argv[-1]]


@pytest.fixture(name="front", scope="module")
def far_front():
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    link = server = None
    folder = tempfile.mkdtemp(prefix="creel-front-", dir="/tmp")
    try:
        os.chmod(folder, 0o755)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        link = subprocess.Popen([LINK, "10000"], stdout=subprocess.PIPE)
        assert link.stdout.readline() == b"ready\n"
        server = FarFront(folder)
        yield server
    finally:
        if server:
            server.stop()
        if link:
            link.terminate()
            link.wait(10)
        assert libc.setns(here, CLONE_NEWNET) == 0
        os.close(here)
        shutil.rmtree(folder)


def upload(front, command, data):
    done = subprocess.run(front.far_argv(command), input=data, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_sent_arrives(front):
    data = os.urandom(24 << 20)
    out = upload(front, "sha256sum", data)
    assert out.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_and_in_pieces_to_a_slow_reader(front):
    """The window is opened while the process reads and stops reading, again and again."""
    data = os.urandom(12 << 20)
    script = ("import hashlib,os,time\nh=hashlib.sha256()\nn=0\n"
              "while True:\n b=os.read(0,65536)\n if not b: break\n h.update(b); n+=len(b)\n"
              " if n%(1<<20)<len(b): time.sleep(0.03)\nprint(h.hexdigest())")
    out = upload(front, f"python3 -c '{script}'", data)
    assert out.decode().strip() == hashlib.sha256(data).hexdigest()


def test_both_ways_at_once(front):
    data = os.urandom(8 << 20)
    out = upload(front, "cat", data)
    assert out == data


@pytest.mark.parametrize("address", [FAR, "127.0.0.1"])
def test_more_may_be_sent_ahead_from_far_and_only_from_there(front, address):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(address, front.port, front.user.pw_name, key_filename=str(front.folder / "id"), look_for_keys=False,
                   allow_agent=False)
    with client:
        channel = client.get_transport().open_session()
        channel.exec_command("head -c 3000000 | wc -c; cat >/dev/null")
        channel.sendall(bytes(3000000))
        assert channel.recv(100) == b"3000000\n"
        if address == FAR:
            wait_until(lambda: channel.out_window_size > 2 << 20, what="a window for far clients")
        else:
            assert channel.out_window_size < 1300000
        channel.shutdown_write()
        assert channel.recv_exit_status() == 0


def test_a_process_that_never_reads_holds_the_client(front):
    """A far client may send more ahead, but not without bound."""
    client = subprocess.Popen(front.far_argv("head -c 1000000 >/dev/null; sleep 2; echo over"), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = client.communicate(bytes(32 << 20), timeout=60)
    assert out == b"over\n", err
    assert "broke" not in front.log
