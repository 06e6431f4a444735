# SPDX-License-Identifier: MIT
"""A keeper that is told of a newer one: it goes on while something would be lost with it, and then ends."""
import os
import signal

import pytest


@pytest.fixture
def told(keeper):
    """A keeper that ends by itself, and the next one, for the tests that follow."""
    yield lambda: keeper.process.send_signal(signal.SIGHUP)
    if keeper.process.poll() is not None:
        keeper.start()


def log(keeper):
    return (keeper.folder / "log").read_text()


def goes_on(keeper, client):
    """It answers, and so had its turn, in which it could have ended."""
    client.call("Repls", "", [])
    return keeper.process.poll() is None


def test_one_that_is_idle_ends_at_once(keeper, told):
    keeper.policy()
    told()
    assert keeper.process.wait(60) == 0
    assert "ends for the keeper that is installed now" in log(keeper).splitlines()[-1]


def test_a_connection_of_the_agents_keeps_it(keeper, told):
    keeper.policy()
    client = keeper.client()
    told()
    assert goes_on(keeper, client)
    client.peer.close()
    assert keeper.process.wait(60) == 0


def test_a_run_comes_to_its_end(keeper, told):
    keeper.policy()
    client = keeper.client()
    fifo = keeper.home / "go"
    os.mkfifo(fifo)
    os.chown(fifo, 1999, 1999)
    number = client.run("bash", b"read word <~/go; echo $word", {})
    told()
    assert goes_on(keeper, client)
    fifo.write_text("on\n")
    assert client.wait(number)["stdout"] == b"on\n"
    fifo.unlink()
    client.peer.close()
    assert keeper.process.wait(60) == 0


def test_a_session_keeps_its_state_and_goes_on_being_called(keeper, told):
    keeper.policy()
    client = keeper.client()
    assert client.wait(client.run("python", b"x = 41", {"session": "main"}))["reason"] == "ok"
    told()
    told()
    client.peer.close()
    client = keeper.client()
    assert client.wait(client.run("python", b"print(x + 1)", {"session": "main"}))["stdout"] == b"42\n"
    assert goes_on(keeper, client)
    assert client.call("Reset", "ss", ["python", "main"]) == [True]
    client.peer.close()
    assert keeper.process.wait(60) == 0


def test_what_it_starts_can_be_told_by_the_same_signal(keeper):
    """It is blocked in the keeper alone."""
    keeper.policy()
    client = keeper.client()
    done = client.wait(client.run("bash", b"grep SigBlk /proc/self/status; kill -HUP $$; echo not reached", {}))
    client.peer.close()
    assert b"not reached" not in done["stdout"] and done["stdout"].split() == [b"SigBlk:", b"0" * 16], done
