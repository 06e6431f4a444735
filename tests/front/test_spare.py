# SPDX-License-Identifier: MIT
"""The worker that waits, forked and confined, for the next connection."""

import os
import pathlib
import signal
import subprocess

import pytest

from conftest import ESTABLISHED, SLOW, descriptors, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root to look into other processes")


def spares(server):
    return [pid for pid, name in server.own().items() if name == "creel-spare"]


def the_spare(server):
    (pid,) = wait_until(lambda: spares(server), what=f"a spare; {server.log[-500:]}")
    return pid


def alive(pid):
    path = pathlib.Path(f"/proc/{pid}/status")
    return path.exists() and "State:\tZ" not in path.read_text()


def test_it_serves_the_next_connection_and_is_replaced(fresh):
    before = the_spare(fresh)
    with fresh.connect() as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-")
        assert fresh.worker() == before
        after = wait_until(lambda: spares(fresh), what="the next one")
        assert len(after) == 1 and after != [before]
        # what it holds is its own: the connection is in one worker only
        held = [pid for pid in (before, *after) if descriptors(before)[3] in descriptors(pid).values()]
        assert held == [before]
    wait_until(lambda: not fresh.workers())


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer build is not confined")
def test_it_is_confined_before_there_is_a_connection(fresh):
    spare = the_spare(fresh)

    def waits():  # the last thing before it waits is its confinement
        status = pathlib.Path(f"/proc/{spare}/status").read_text()
        return "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
    wait_until(waits, what="confinement")
    own = descriptors(spare)
    assert sorted(own) == [0, 1, 2, 4, 5] and own[4].startswith("socket:") and own[5].startswith("socket:")


def test_each_worker_has_random_numbers_of_its_own(fresh):
    """The cookie of the key exchange is the first random thing that a worker says."""
    cookies = set()
    for _ in range(6):
        the_spare(fresh)
        with fresh.connect() as connection:
            connection.sendall(b"SSH-2.0-test\r\n")
            said = b""
            while len(said.partition(b"\r\n")[2]) < 22:
                said += connection.recv(4096)
            packet = said.partition(b"\r\n")[2]
            assert packet[5] == 20  # KEXINIT
            cookies.add(packet[6:22])
    assert len(cookies) == 6


def test_a_spare_that_was_killed_costs_nobody_a_connection(fresh):
    for _ in range(3):
        os.kill(the_spare(fresh), signal.SIGKILL)
        done = fresh("echo on")
        assert done.stdout == b"on\n", done.stderr
    assert the_spare(fresh)


def test_a_stopped_spare_delays_its_connection_only(fresh):
    spare = the_spare(fresh)
    os.kill(spare, signal.SIGSTOP)
    try:
        with fresh.connect():
            assert fresh("echo on").stdout == b"on\n"
    finally:
        os.kill(spare, signal.SIGCONT)
    wait_until(lambda: not fresh.workers())


def test_a_crash_makes_another_layout_and_another_spare(fresh):
    spare = the_spare(fresh)
    os.kill(spare, signal.SIGTRAP)
    wait_until(lambda: "worker of nobody yet CRASHED with SIGTRAP" in fresh.log, what=fresh.log[-500:])
    wait_until(lambda: fresh.log.count("creel-sshd: serving") == 2, what="a new instance")
    assert fresh("echo on").stdout == b"on\n"


def test_it_ends_with_the_listener(fresh):
    spare = the_spare(fresh)
    fresh.server.kill()
    fresh.server.wait(10)
    wait_until(lambda: not alive(spare), what="the spare ends")


def test_none_is_held_back_for_a_full_house(fresh):
    """The bound of connections without a login holds, and a spare is not one of them."""
    the_spare(fresh)
    many = [fresh.connect() for _ in range(64)]
    try:
        wait_until(lambda: len(fresh.workers()) == 64, what="64 workers")
        assert not spares(fresh)
    finally:
        for one in many:
            one.close()
    wait_until(lambda: not fresh.workers())
    assert fresh("echo on").stdout == b"on\n"
    assert the_spare(fresh)


def test_a_late_one_finds_a_guess_and_a_login_at_once(fresh, tmp_path):
    """dropbear's client sends its version, its offer and its guess at once, and in the next segment its new keys with its request
    for login. A worker that was late (here: held after each send) finds all of it before it has looked at its socket a second time."""
    key = tmp_path / "key"
    subprocess.run(["dropbearconvert", "openssh", "dropbear", fresh.folder / "id", key], check=True, capture_output=True)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh/known_hosts").write_text(" ".join(["127.0.0.1", *(fresh.folder / "host.pub").read_text().split()[:2], "\n"]))
    with subprocess.Popen(["strace", "-o", tmp_path / "calls", "-e", "inject=sendto:delay_exit=200000", "-p", str(the_spare(fresh))],
                          stderr=subprocess.PIPE, text=True) as tracer:
        assert "attached" in tracer.stderr.readline()
        fresh.server.send_signal(signal.SIGSTOP)
        try:
            client = subprocess.Popen(["dbclient", "-T", "-i", key, "-p", str(fresh.port), f"{fresh.user.pw_name}@127.0.0.1", "echo in"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**fresh.environment, "HOME": str(tmp_path)})
            fresh.clients.append(client)
            wait_until(lambda: sum(n for state, n in fresh.sockets() if state == ESTABLISHED) > 512, what="the client's first flight")
        finally:
            fresh.server.send_signal(signal.SIGCONT)
        out, err = client.communicate(timeout=60)
    assert (client.returncode, out) == (0, b"in\n"), err
    assert "DELAYED" in (tmp_path / "calls").read_text()
