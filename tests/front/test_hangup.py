# SPDX-License-Identifier: MIT
"""How a command learns that its client is gone, and what of it lives on: the front's part, with a keeper whose hang-up is a
SIGHUP to the command's group. A command with `fake-left` in it is one that says it left processes behind."""

import asyncio
import contextlib
import os
import signal

import pytest
from conftest import SLOW, wait_until
from test_forward import connected


@pytest.fixture
def said(front):
    path = front.folder / "said"
    yield path
    path.unlink(missing_ok=True)


# the two ways in which the end of a client could be noticed; nothing is written into pipes that may be closed by then
NOTICES = "exec 2>/dev/null; trap 'echo hung up > {0}; exit 0' HUP; echo ready; cat > /dev/null; echo input ended > {0}"


async def killed(front, command):
    client = front.popen(command)
    assert client.stdout.readline() == b"ready\n"
    wait_until(lambda: front.runs("cat"))
    client.kill()
    client.wait()


async def closed(front, command):
    """Its channel alone; the connection goes on, and what is asked for next is answered."""
    async with connected(front) as connection:
        process = await connection.create_process(command)
        assert await process.stdout.readline() == "ready\n"
        await asyncio.to_thread(wait_until, lambda: front.runs("cat"))
        process.channel.close()
        assert (await connection.run("echo next")).stdout == "next\n"
        await asyncio.to_thread(wait_until, lambda: not front.runs("cat"))


async def broke_the_rules(front, command):
    """A window that is ignored ends the connection: by the worker, not by the client."""
    async with connected(front) as connection:
        process = await connection.create_process(command, encoding=None)
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.to_thread(wait_until, lambda: front.runs("cat"))
        idle = await connection.create_process("sleep 600", encoding=None)
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            idle.channel._send_window = 1 << 30
            idle.stdin.write(bytes(16 << 20))
            await asyncio.wait_for(connection.wait_closed(), 20 * SLOW)


@pytest.mark.parametrize("how", [killed, closed, broke_the_rules])
def test_a_command_is_hung_up_before_its_input_ends(front, said, how):
    """Every time: what saw the end of its input could take it for a proper one, and go on with half a file."""
    for _ in range(5):
        asyncio.run(how(front, NOTICES.format(said)))
        assert wait_until(lambda: said.exists() and said.read_text(), 20, "it ended") == "hung up\n"
        said.unlink()


def test_a_client_that_ends_its_input_is_no_client_that_is_gone(front, said):
    """Beside it: the proper end."""
    assert front(NOTICES.format(said), stdin=b"all of it").returncode == 0
    assert said.read_text() == "input ended\n"


def test_many_closed_at_once(front, said):
    """More departures than there is room for, in turns: nothing stays."""
    async def run():
        async with connected(front) as connection:
            for _ in range(4):
                naps = [await connection.create_process("exec cat") for _ in range(40)]
                for one in naps:
                    one.channel.close()
                await asyncio.to_thread(wait_until, lambda: not front.runs("cat"), 60)
            worker = front.worker()
            await asyncio.to_thread(wait_until, lambda: len(os.listdir(f"/proc/{worker}/fd")) == 5, 20, "descriptors are closed")
            return (await connection.run("echo on")).stdout

    assert asyncio.run(run()) == "on\n"


# ---- a command that ended and left others behind -----------------------------------------------------------------------
def test_what_a_command_left_lives_on_when_the_client_was_told(front):
    nap = front.nap()
    done = front(f"{nap} > /dev/null 2>&1 & echo started; : fake-left")
    assert (done.returncode, done.stdout) == (0, b"started\n")
    wait_until(lambda: not front.workers(), what="the connection ends")
    wait_until(lambda: "told of the end" in front.log, what="the keeper was told")
    assert front.runs(nap)


async def ended_unread(front, connection):
    """A command that has ended, with more output than its client takes: so the client is not told yet."""
    before = front.log.count("fake-keeper: end of")
    one = front.nap()
    process = await connection.create_process(f"{one} & head -c 200000 /dev/zero; : fake-left", encoding=None,
                                              window=65536)  # the rest stays in the pipe
    process.channel.pause_reading()
    await asyncio.to_thread(wait_until, lambda: front.log.count("fake-keeper: end of") > before, 20, "its end is reported")
    assert front.runs(one)
    return process, one


async def read_on(process):
    process.channel.resume_reading()
    await asyncio.wait_for(process.stdout.read(), 60 * SLOW)
    await asyncio.wait_for(process.wait_closed(), 60 * SLOW)


def test_a_client_that_goes_before_it_was_told_takes_what_is_left_along(front):
    async def run():
        async with connected(front) as connection:
            _, nap = await ended_unread(front, connection)
            connection.abort()
            await asyncio.to_thread(wait_until, lambda: not front.runs(nap), 20, "it is hung up")

    asyncio.run(run())


def test_a_channel_that_is_closed_before_its_end_was_told(front):
    async def run():
        async with connected(front) as connection:
            process, nap = await ended_unread(front, connection)
            process.channel.close()
            await asyncio.to_thread(wait_until, lambda: not front.runs(nap), 20, "it is hung up")
            assert (await connection.run("echo on")).stdout == "on\n"

    asyncio.run(run())


def test_a_worker_that_is_killed_takes_all_along(front):
    """Its pipes close with it: the command may end by that, and what it started is hung up all the same."""
    for _ in range(5):
        nap = front.nap()
        client = front.popen(f"{nap} & echo ready; cat; : fake-left")
        assert client.stdout.readline() == b"ready\n"
        worker = front.worker()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not front.runs(nap), 20, "it is hung up")
        client.wait()


@pytest.mark.parametrize("stopped", [False, True], ids=["back-in-time", "back-too-late"])
def test_a_keeper_that_was_away_is_told_when_it_is_back(fresh, stopped):
    async def run():
        async with connected(fresh) as connection:
            process, nap = await ended_unread(fresh, connection)
            if stopped:
                fresh.keeper.send_signal(signal.SIGSTOP)
                await read_on(process)
                fresh.keeper.send_signal(signal.SIGUSR1)
                fresh.keeper.send_signal(signal.SIGCONT)
            else:
                fresh.keeper.send_signal(signal.SIGUSR1)
                await asyncio.to_thread(wait_until, lambda: "attached" in fresh.log, 20)
                await read_on(process)
            await asyncio.to_thread(wait_until, lambda: "told of the end" in fresh.log, 20)
        await asyncio.to_thread(wait_until, lambda: not fresh.workers())
        assert fresh.runs(nap)

    asyncio.run(run())
