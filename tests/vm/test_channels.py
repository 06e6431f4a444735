# SPDX-License-Identifier: MIT
"""Many channels on one connection, keepalives, and rekeying under load."""

import asyncio
import hashlib
import os
import subprocess

import pytest

from harness import wait_until

RESCUE = 8  # processes that the rescue leaf holds beside those of the policy


@pytest.fixture
def shared(vm, tmp_path):
    """A ControlMaster connection; yields the options that use it."""
    share = ["-o", f"ControlPath={tmp_path}/control"]
    with vm.agent.start("cat", ["-M", *share]):
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        yield share


def test_twelve_channels_at_once(vm, shared):
    data = [os.urandom(700_000) for _ in range(12)]
    runs = [subprocess.Popen(vm.agent.argv(f"echo {i} >&2; cat; exit {i}", shared), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(12)]

    async def finish(run, sent):
        return await asyncio.to_thread(run.communicate, sent, 120)

    async def everything():
        return await asyncio.gather(*(finish(run, sent) for run, sent in zip(runs, data)))

    for i, (out, err) in enumerate(asyncio.run(everything())):
        assert out == data[i] and err == b"%d\n" % i
        assert runs[i].returncode == i


def test_channels_come_and_go(vm, shared):
    for i in range(40):
        assert vm.agent(f"exit {i}", options=shared).rc == i


def test_all_channels_share_one_session_and_each_has_its_leaf(vm, shared):
    first, second = (vm.agent.sh("cat /proc/self/cgroup", options=shared) for _ in range(2))
    assert first != second and first.rpartition("/")[0] == second.rpartition("/")[0]


def test_more_channels_than_the_bound_are_refused_and_the_rest_live(vm):
    async def run():
        async with vm.connect() as connection:
            live, refused = [], 0
            for _ in range(70):
                try:
                    live.append(await connection.create_process("exec cat"))
                except Exception:
                    refused += 1
            assert len(live) >= 12
            live[0].stdin.write("alive\n")
            assert await live[0].stdout.readline() == "alive\n"

            # a channel opens before its command starts: none may end, and leave its place to another, before all are counted
            def cats():
                return int(vm.root("pgrep -c -x -u agent cat").text)

            def settled():
                return cats() + sum(process.exit_status is not None for process in live) == len(live)

            await asyncio.to_thread(wait_until, settled, 120, "each of them runs or has failed")
            count = vm.processes()
            assert count.count <= count.limit == 50
            lived = cats()
            assert 12 <= lived <= count.limit + RESCUE, (lived, refused)
            for process in live:
                process.stdin.write_eof()
            done = await asyncio.gather(*(process.wait() for process in live))
            # one whose command was refused ends with a failure, not with silence
            assert sum(one.exit_status == 0 for one in done) == lived
            assert all(one.stderr for one in done if one.exit_status != 0)
            assert (await connection.run("echo again")).stdout == "again\n"

    asyncio.run(run())


def test_keepalives_are_answered_while_a_command_runs(vm):
    options = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3", "-v", "-o", "LogLevel=DEBUG3"]
    done = vm.agent("sleep 7; echo survived", options=options)
    assert done.text == "survived"


def test_keepalives_are_answered_while_output_is_blocked(vm):
    """A reader that stands still must not make the server look dead."""
    options = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"]
    with vm.agent.start("head -c 8000000 /dev/zero", options, stdin=subprocess.DEVNULL) as client:
        # the client itself blocks on our pipe; it must still be there after several intervals
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(6)
        assert len(client.stdout.read()) == 8_000_000
        assert client.wait(30) == 0


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"])
def test_client_rekeys_under_load(vm, cipher):
    data = os.urandom(12_000_000)
    options = ["-o", "RekeyLimit=1M", "-c", cipher, "-v", "-o", "LogLevel=DEBUG1"]
    done = vm.agent("cat", data, options, timeout=180)
    assert done.rc == 0 and hashlib.md5(done.out).digest() == hashlib.md5(data).digest()
    assert done.err.count(b"set_newkeys: rekeying out") >= 5


def test_rekey_while_idle_and_between_commands(vm, tmp_path):
    share = ["-o", f"ControlPath={tmp_path}/control"]
    with vm.agent.start("cat", ["-M", "-o", "RekeyLimit=64K", *share]):
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        for _ in range(6):
            assert len(vm.agent("head -c 100000 /dev/zero", options=share).ok().out) == 100_000


def test_parallel_streams_of_another_client(vm):
    """asyncssh has windows and packet sizes of its own. (Its rekeying breaks RFC 4253 section 7.1: not used here.)"""
    async def run():
        async with vm.connect() as connection:
            async def one(i):
                data = bytes([i]) * 400_000
                done = await connection.run("cat", input=data, encoding=None)
                return done.stdout == data and done.exit_status == 0
            return await asyncio.gather(*map(one, range(10)))

    assert all(asyncio.run(run()))


def test_channel_requests_before_and_after_their_time(vm):
    """A second command on a channel that has one already is refused; the first goes on."""
    async def run():
        async with vm.connect() as connection:
            process = await connection.create_process("cat")
            channel = process.channel
            from asyncssh.packet import String
            assert not await channel._make_request(b"exec", String("echo twice"))
            assert not await channel._make_request(b"no-such-request@example.org")
            process.stdin.write("first\n")
            assert await process.stdout.readline() == "first\n"
            process.stdin.write_eof()
            return (await process.wait()).exit_status

    assert asyncio.run(run()) == 0


def test_forwarding_is_refused_clearly(vm):
    """Of what is not allowed: the client is told, the connection goes on."""
    async def run():
        async with vm.connect() as connection:
            import asyncssh
            with pytest.raises(asyncssh.Error):
                await connection.open_connection("127.0.0.1", 22)
            with pytest.raises(asyncssh.Error):
                await connection.open_unix_connection("/run/dbus/system_bus_socket")
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_port("", 0, "localhost", 1)
            return (await connection.run("echo on")).stdout

    assert asyncio.run(run()) == "on\n"


def test_agent_and_x11_forwarding_are_refused(vm):
    assert vm.agent.sh("echo ${SSH_AUTH_SOCK:-none} ${DISPLAY:-none}", options=["-A", "-X"]).endswith("none none")
