# SPDX-License-Identifier: MIT
"""Who takes all places does not keep others out, and nothing is left of those who went."""

import contextlib
import os
import pathlib
import select
import signal
import socket
import threading
import time

import pytest

from conftest import ESTABLISHED, LISTEN, SLOW, wait_until
from test_protocol import kexinit

PLACES, GRACE = 8, 8
OPTIONS = ("-g", str(GRACE), "-u", str(PLACES))


class Attacker(threading.Thread):
    """Holds `n` connections from some loopback addresses, each of which may say a byte now and then, and comes back."""

    def __init__(self, port, n, sources, speaks=True):
        super().__init__(daemon=True)
        self.port, self.n, self.sources, self.speaks = port, n, sources, speaks
        self.over, self.turns, self.made = threading.Event(), 0, 0

    def connect(self, source=None):
        one = socket.socket()
        one.setblocking(False)
        one.bind((source or self.sources[self.made % len(self.sources)], 0))
        self.made += 1
        one.connect_ex(("127.0.0.1", self.port))
        return one

    def run(self):
        held = [self.connect() for _ in range(self.n)]
        while not self.over.wait(0.3):
            self.turns += 1
            for i, one in enumerate(held):
                try:
                    readable = select.select([one], [], [], 0)[0]
                    if readable and not one.recv(4096):
                        raise ConnectionError
                    if self.speaks:
                        one.send(b"x" if self.turns % 20 else b"\n")
                except BlockingIOError:
                    pass
                except OSError:
                    source = one.getsockname()[0]
                    one.close()
                    held[i] = self.connect(source)
        for one in held:
            one.close()


@pytest.mark.parametrize("sources", [["127.0.0.2"], [f"127.0.3.{i}" for i in range(1, 4)]], ids=["one", "three"])
def test_an_attacker_on_all_places(front, sources):
    """Far more connections than places, all of them busy: an honest client of another source is in within the grace."""
    attacker = Attacker(front.port, 20 * PLACES, sources)
    attacker.start()
    try:
        wait_until(lambda: len(front.workers()) >= PLACES and attacker.turns > 3, 20, "all places are taken")
        for _ in range(2):
            began = time.monotonic()
            done = front("echo in")
            assert done.stdout == b"in\n", done.stderr
            assert time.monotonic() - began < GRACE * SLOW
        # no more than the bound was ever served, but for who was just ended
        assert len(front.workers()) <= 2 * PLACES
    finally:
        attacker.over.set()
        attacker.join()


def test_an_honest_burst_of_one_source_is_not_dropped(front):
    """Many times the places, all logging in from the same address, the one that an attacker has, too."""
    before = front.log.count("dropped for others")
    clients = [front.popen(f"echo {i}") for i in range(10 * PLACES)]
    out = [client.communicate(timeout=120 * SLOW)[0] for client in clients]
    assert out == [b"%d\n" % i for i in range(10 * PLACES)]
    assert front.log.count("dropped for others") == before


def accepted(front):
    """How many connections are established, None while some are still in the kernel's queue."""
    mine = front.sockets()
    if any(state == LISTEN and waiting for state, waiting in mine):
        return None
    return sum(state == ESTABLISHED for state, _ in mine)


@pytest.mark.parametrize("fresh", [("-g", "20", "-u", "2")], indirect=True)
def test_more_sources_than_places_and_room(fresh):
    """Each of them holds one connection and comes back when it is closed: an honest client gets in all the same."""
    places, room = 2, 16 * 2
    attacker = Attacker(fresh.port, places + room + 16, [f"127.0.4.{i}" for i in range(1, places + room + 17)], speaks=False)
    attacker.start()
    try:
        wait_until(lambda: "and their sources had no better claim" in fresh.log, 20, "the room is full")
        assert len(fresh.workers()) >= places

        def gets_in():
            return fresh("echo in", timeout=100).stdout == b"in\n"  # it may be refused at first, or wait for its turn

        wait_until(gets_in, 100, "the honest client is in")
        assert attacker.is_alive() and len(fresh.workers()) <= 2 * places
    finally:
        attacker.over.set()
        attacker.join()


def test_those_who_wait_are_served_when_the_listener_ends(front):
    held = [front.connect() for _ in range(PLACES)]
    client = front.popen("echo in")
    wait_until(lambda: len(front.workers()) == PLACES)
    wait_until(lambda: accepted(front) == PLACES + 1, what="all are accepted")
    old = front.server
    old.terminate()
    assert old.wait(10) == 0
    front.start()
    assert client.communicate(timeout=30 * SLOW)[0] == b"in\n"
    for one in held:
        one.close()


@pytest.mark.parametrize("fresh", [("-g", "20", "-u", "2")], indirect=True)
def test_those_who_wait_outlive_a_crash(fresh):
    """After a worker's crash the listener is a new image of itself: with the clients that the old one let wait."""
    def descriptors():
        return len(os.listdir(f"/proc/{fresh.server.pid}/fd")) if os.getuid() == 0 else 0

    wait_until(lambda: "creel-spare" in fresh.own().values(), what="it has all that it needs")
    before = descriptors()
    held = [fresh.connect() for _ in range(2)]
    wait_until(lambda: len(fresh.workers()) == 2)
    clients = [fresh.popen(f"echo {i}") for i in range(5)]
    wait_until(lambda: accepted(fresh) == 7, what="all wait")
    os.kill(fresh.workers()[0], signal.SIGSEGV)
    out = [client.communicate(timeout=60 * SLOW)[0] for client in clients]
    assert out == [b"%d\n" % i for i in range(5)], fresh.log
    assert "CRASHED with SIGSEGV" in fresh.log and "5 connections that waited wait on" in fresh.log, fresh.log
    assert fresh.server.poll() is None  # the same process
    for one in held:
        one.close()
    wait_until(lambda: not fresh.workers() and descriptors() == before, what="none of their descriptors is left")


def footprint(front):
    """Descriptors and kB of private memory of listener and monitor."""
    monitor = next(pid for pid, name in front.own().items() if name == "creel-monitor")
    found = []
    for pid in (front.server.pid, monitor):
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        private = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
        found.append((len(os.listdir(f"/proc/{pid}/fd")), private))
    return found


def many(front, n):
    """Of each ten: one logs in, one is refused, the others leave at some point."""
    half = kexinit(True)
    for i in range(n // 10):
        clients = [front.popen("true"), front.popen("true", key="id_bad")]
        for k in range(8):
            # a slow machine may have ended it by then, which is as good
            with front.connect() as one, contextlib.suppress(ConnectionError):
                if k % 4:
                    one.sendall(b"SSH-2.0-x\r\n")
                if k % 4 > 1:
                    one.sendall(half)
                if k % 4 > 2:
                    one.recv(100)
        assert [client.wait(60 * SLOW) for client in clients] == [0, 255]
        for client in clients:
            client.communicate()
    wait_until(lambda: not front.workers())


@pytest.mark.skipif(os.getuid() != 0 or SLOW > 1, reason="needs root to look into the processes, and a plain malloc")
def test_nothing_is_left_of_many_connections(front):
    n = int(os.environ.get("CONNECTIONS", 600))
    many(front, 200)
    before = footprint(front)
    many(front, n)
    after = footprint(front)
    for (fds, memory), (fds_after, memory_after) in zip(before, after):
        assert fds_after == fds
        assert memory_after < memory + 256 + memory // 4, (before, after)
