# SPDX-License-Identifier: MIT
"""Much data in every direction, peers that stop reading, and what a connection costs while nothing happens."""

import hashlib
import os
import subprocess
import threading
import time

import pytest

from harness import wait_until

MB = 1 << 20
BLOCK = os.urandom(MB)
SIZE = 100 * MB


def feed(pipe, size=SIZE, block=BLOCK):
    digest = hashlib.md5(usedforsecurity=False)
    for at in range(0, size, len(block)):
        part = block[: min(len(block), size - at)]
        digest.update(part)
        pipe.write(part)
    pipe.close()
    return digest.hexdigest()


def drain(pipe):
    digest, size = hashlib.md5(usedforsecurity=False), 0
    while data := pipe.read1(MB):
        digest.update(data)
        size += len(data)
    return digest.hexdigest(), size


@pytest.fixture(scope="module")
def stored(vm):
    """A file of SIZE bytes in the VM, and its digest there."""
    with vm.agent.start("cat > big && md5sum < big") as client:
        sent = feed(client.stdin)
        got = client.stdout.read().split()[0].decode()
        assert client.wait(60) == 0
    assert got == sent
    yield got
    vm.agent.sh("rm big")


def test_100_mb_up(stored):
    assert stored


def test_100_mb_down(vm, stored):
    with vm.agent.start("cat big", stdin=subprocess.DEVNULL) as client:
        assert drain(client.stdout) == (stored, SIZE)
        assert client.wait(60) == 0


def test_100_mb_both_ways_at_once(vm):
    with vm.agent.start("cat") as client:
        sent = []
        writer = threading.Thread(target=lambda: sent.append(feed(client.stdin)))
        writer.start()
        got, size = drain(client.stdout)
        writer.join()
        assert client.wait(60) == 0
    assert (got, size) == (sent[0], SIZE)


def test_stdout_and_stderr_at_full_speed_together(vm):
    size = 20 * MB
    with vm.agent.start(f"head -c {size} /dev/zero & head -c {size} /dev/zero >&2; wait",
                        stdin=subprocess.DEVNULL) as client:
        sizes = []
        other = threading.Thread(target=lambda: sizes.append(drain(client.stderr)[1]))
        other.start()
        assert drain(client.stdout)[1] == size
        other.join()
        assert client.wait(60) == 0
    assert sizes == [size]


def test_small_writes_arrive_complete(vm):
    done = vm.agent("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done").ok()
    assert done.out == b"".join(b"%d\n" % i for i in range(3000))


def ticks(vm, pids):
    """CPU ticks, wake-ups and resident kB of processes, summed."""
    script = "".join(f"cut -d' ' -f14,15 /proc/{pid}/stat; "
                     f"awk '/^voluntary_ctxt/ {{ print $2 }} /^VmRSS/ {{ print $2 }}' /proc/{pid}/status; "
                     for pid in pids)
    lines = vm.root.sh(script).splitlines()
    cpu = sum(int(part) for line in lines[0::3] for part in line.split())
    return cpu, sum(map(int, lines[2::3])), sum(map(int, lines[1::3]))


def worker_of(vm, before):
    return wait_until(lambda: vm.front_workers() - before, what="a worker of the new connection")


def quiet(vm, pids, seconds=3.0):
    """CPU ticks and wake-ups of processes over a while in which nothing is to be done."""
    before = ticks(vm, pids)
    time.sleep(seconds)  # the measured interval itself
    after = ticks(vm, pids)
    return after[0] - before[0], after[1] - before[1]


def test_idle_connection_costs_nothing(vm):
    before = vm.front_workers()
    with vm.agent.start("echo ready; cat") as client:
        assert client.stdout.readline() == b"ready\n"
        workers = worker_of(vm, before)
        assert quiet(vm, workers) == (0, 0)
        everything = vm.root.sh("pgrep -u creel-sshd; pgrep -x creel-keeper").split()
        cpu, _ = quiet(vm, everything)
        assert cpu == 0


def test_slow_reader_gets_everything(vm):
    size = 8 * MB
    with vm.agent.start(f"head -c {size} /dev/zero", stdin=subprocess.DEVNULL) as client:
        got = 0
        while got < size:
            data = os.read(client.stdout.fileno(), 65536)
            assert data
            got += len(data)
            if got < MB:
                time.sleep(0.02)  # the slowness is the test
        assert client.wait(60) == 0


def test_reader_that_never_reads_costs_neither_cpu_nor_memory(vm):
    before = vm.front_workers()
    with vm.agent.start("exec cat /dev/zero", stdin=subprocess.DEVNULL) as client:
        workers = worker_of(vm, before)
        wait_until(lambda: quiet(vm, workers, 1.0)[0] == 0, 60, "the stream stands still")
        cpu, wakeups = quiet(vm, workers)
        assert cpu == 0 and wakeups <= 3, (cpu, wakeups)
        assert ticks(vm, workers)[2] < 40_000, "kB resident with a blocked reader"
        client.kill()
    wait_until(lambda: not vm.alive("cat /dev/zero"), 10)


def test_command_that_never_reads_does_not_block_its_output(vm):
    """The client's input stands still; output and exit go on."""
    before = vm.front_workers()
    with vm.agent.start("echo ready; sleep 5; echo over; exit 2") as client:
        assert client.stdout.readline() == b"ready\n"
        workers = worker_of(vm, before)

        def pour():
            try:
                feed(client.stdin)
            except BrokenPipeError:
                pass

        writer = threading.Thread(target=pour, daemon=True)
        writer.start()
        assert client.stdout.readline() == b"over\n"
        assert client.wait(60) == 2
        writer.join(30)
    wait_until(lambda: not workers & vm.front_workers(), 20)


def test_one_blocked_channel_does_not_hold_up_another(vm, tmp_path):
    share = ["-o", f"ControlPath={tmp_path}/c"]
    with vm.agent.start("cat /dev/zero", ["-M", *share], stdin=subprocess.DEVNULL) as first:
        wait_until(lambda: vm.agent("true", options=["-O", "check", *share]).rc == 0)
        assert vm.agent.sh("echo second", options=share) == "second"
        data = os.urandom(2 * MB)
        assert vm.agent("cat", data, share).ok().out == data
        first.kill()
    wait_until(lambda: not vm.alive("cat /dev/zero"), 10)
