# SPDX-License-Identifier: MIT
"""Sessions: state across calls, turns, interrupts, ends of every kind, and that nothing is left of them."""
import os
import signal
import subprocess

import pytest

import runs
from conftest import wait_until


@pytest.fixture(autouse=True)
def ended(keeper, client):
    """No session outlives its test."""
    yield
    other = keeper.client()
    for name, language, *_ in repls(other):
        other.call("Reset", "ss", [language, name])
    other.peer.close()


def repls(client):
    return client.call("Repls", "", [])[0]


def begin(client, code, session="main", language="python", **options):
    return client.run(language, code if isinstance(code, bytes) else code.encode(), {"session": session, **options})


def call(client, code, *words, **options):
    return client.wait(begin(client, code, *words, **options))


def follow(client, number, text):
    while text not in client.followed.get(number, {"stdout": b""})["stdout"]:
        client.hear()


def said(result):
    return result["stdout"].decode(), result["reason"], result.get("error", ""), result.get("state", "")


def alive(pid):
    """And no zombie that waits for whoever should reap it."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read() != b""
    except OSError:
        return False


def reset(client, session="main", language="python"):
    return client.call("Reset", "ss", [language, session])[0]


# ---- state ---------------------------------------------------------------------------------------------------------------
def test_state_stays_across_calls_and_connections(client, keeper):
    assert said(call(client, "x = 41\nprint('a')")) == ("a\n", "ok", "", "preserved")
    assert said(call(client, "x + 1")) == ("42\n", "ok", "", "preserved")
    other = keeper.client()
    assert said(call(other, "x, __name__"))[0] == "(41, '__main__')\n"
    other.peer.close()
    # names are apart, and languages
    assert call(client, "x", "other")["error"] == "NameError: name 'x' is not defined"
    assert said(call(client, "x=5; cd /; f() { echo $x; }", "main", "bash")) == ("", "ok", "", "preserved")
    assert said(call(client, "f; pwd; false", "main", "bash")) == ("5\n/\n", "exit", "Error: exit status 1", "preserved")
    found = {(name, language): state for name, language, state, *_ in repls(client)}
    assert found == {("main", "python"): "idle", ("other", "python"): "idle", ("main", "bash"): "idle"}
    assert sorted(keeper.left()) == ["repl-bash-main", "repl-python-main", "repl-python-other"]


def test_places_and_environment(client, keeper):
    result = call(client, "import os\nprint(os.getcwd(), os.environ['CREEL_OUTPUT'], os.environ['MPLBACKEND'], os.getuid())")
    assert result["stdout"].decode() == f"{keeper.home}/workspace {keeper.home}/workspace/output Agg 1999\n"


def test_an_exception_is_told(client):
    result = call(client, "def f():\n    return 1 / 0\nf()")
    assert (result["reason"], result["exit_code"], result["error"], result["state"]) == (
        "exit", 1, "ZeroDivisionError: division by zero", "preserved")
    assert b'File "<run>", line 2, in f\n    return 1 / 0\n' in result["stderr"] and b"drivers" not in result["stderr"]
    assert said(call(client, "import sys; sys.exit(3)"))[1:] == ("exit", "Error: exit status 3", "preserved")
    assert said(call(client, "sys.exit()"))[1:] == ("ok", "", "preserved")
    assert call(client, "raise ValueError('\\x1b[0mé\\0')")["error"] == "ValueError: ?[0mé?"


def test_much_code_and_much_output(client, keeper):
    assert said(call(client, "x = '" + "a" * (10 << 20) + "'\nlen(x)"))[0] == f"{10 << 20}\n"
    result = call(client, "print('b' * (3 << 20))", output=1 << 20)
    assert result["stdout_bytes"] == (3 << 20) + 1 and os.stat(result["stdout_file"]).st_size == (3 << 20) + 1
    result = call(client, "while True: print('c' * 100000)", output=1024)
    assert (result["reason"], result["state"]) == ("output", "preserved")
    assert said(call(client, "len(x)"))[0] == f"{10 << 20}\n"


# ---- turns ---------------------------------------------------------------------------------------------------------------
def test_calls_wait_for_one_another(client):
    numbers = [begin(client, f"import time; time.sleep(0.02); x = {i}; x") for i in range(17)]
    with pytest.raises(runs.Refused) as why:
        begin(client, "1")
    assert "16 calls wait" in why.value.args[1]
    assert [client.wait(number)["stdout"] for number in numbers] == [b"%d\n" % i for i in range(17)]


def test_the_time_of_a_call_begins_with_its_turn(client):
    first = begin(client, "import time; time.sleep(2)", timeout=10000000)
    second = begin(client, "5", timeout=1000000)
    third = begin(client, "6")
    client.call("Stop", "t", [third])
    assert said(client.wait(third)) == ("", "cancelled", "Error: cancelled", "preserved")
    assert client.wait(first)["reason"] == "ok" and said(client.wait(second))[:2] == ("5\n", "ok")


# ---- interrupts ----------------------------------------------------------------------------------------------------------
def test_a_timeout_interrupts_and_keeps_the_state(client):
    call(client, "x = 1; import subprocess")
    for code in ("while True: pass", "subprocess.run(['sleep', '1000'])"):
        assert said(call(client, f"print('part', flush=True)\n{code}", timeout=1000000)) == (
            "part\n", "timeout", "Error: timeout exceeded", "preserved")
    assert said(call(client, "x"))[0] == "1\n"
    call(client, "x=1", "main", "bash")
    assert said(call(client, "echo part; sleep 1000; echo no", "main", "bash", timeout=1000000)) == (
        "part\n", "timeout", "Error: timeout exceeded", "preserved")
    assert said(call(client, "echo $x", "main", "bash"))[0] == "1\n"


def test_an_interrupt_that_comes_at_once(client):
    """Stop behind Run: the driver may not have read the call yet."""
    call(client, "x = 1")
    for _ in range(10):
        number = begin(client, "import time; time.sleep(1000)")
        client.call("Stop", "t", [number])
        result = client.wait(number)
        assert (result["reason"], result["state"]) == ("cancelled", "preserved"), result
    assert said(call(client, "x"))[0] == "1\n"


def test_an_interrupt_reaches_what_bash_waits_for(client, keeper):
    for policy in ("", "[exec]\nfilesystem = independent\n"):
        keeper.policy(policy)
        result = call(client, "f() { sleep 1000; echo b; }; f; echo b", "one" + policy[1:5], "bash", timeout=1500000)
        assert (result["reason"], result["state"], result["stdout"]) == ("timeout", "preserved", b""), (policy, result)


def test_an_interrupt_that_bash_forgets_comes_again(client):
    """It counts for nothing while bash waits for a program that ends by itself."""
    call(client, "x=1", "main", "bash")
    for _ in range(3):
        result = call(client, "f() { while :; do y=$(:); done; }; f", "main", "bash", timeout=300000)
        assert (result["reason"], result["state"]) == ("timeout", "preserved"), result
    assert said(call(client, "echo $x", "main", "bash"))[0] == "1\n"


def test_what_does_not_obey_is_killed(client):
    call(client, "x = 1; import signal, time")
    code = "print('part')\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    result = call(client, code, timeout=1000000)
    assert said(result) == ("part\n", "timeout", "Error: timeout exceeded", "reset") and result["signal"] == signal.SIGKILL
    assert call(client, "x")["error"] == "NameError: name 'x' is not defined"


def test_stop_and_a_caller_that_goes(client, keeper):
    call(client, "x = 1; import time")
    number = begin(client, "print('ready')\ntime.sleep(1000)", follow=True)
    follow(client, number, b"ready")
    client.call("Stop", "t", [number])
    assert said(client.wait(number)) == ("ready\n", "cancelled", "Error: cancelled", "preserved")
    other = keeper.client()
    number = begin(other, "print('ready')\ntime.sleep(1000)", follow=True)
    waiting = begin(other, "x = 2")
    follow(other, number, b"ready")
    other.peer.close()
    assert waiting and said(call(client, "x"))[0] == "1\n"


# ---- ends ----------------------------------------------------------------------------------------------------------------
def test_reset(client):
    assert reset(client) is False
    call(client, "x = 1; import time")
    assert reset(client) is True
    assert call(client, "x")["error"] == "NameError: name 'x' is not defined"
    number = begin(client, "print('ready')\nimport time; time.sleep(1000)", follow=True)
    waiting = begin(client, "y = 1; y")
    follow(client, number, b"ready")
    assert reset(client) is True
    assert said(client.wait(number)) == ("ready\n", "cancelled", "Error: cancelled", "reset")
    # who waits gets a new one
    assert said(client.wait(waiting)) == ("1\n", "ok", "", "preserved")


def test_an_interpreter_that_ends(client):
    for code, reason, error in (("import os; os._exit(3)", "exit", "Error: exit status 3"),
                                ("import os; os._exit(0)", "ok", ""),
                                ("import os; os.kill(os.getpid(), 11)", "signal", "Error: ended by SIGSEGV"),
                                ("import os; os.closerange(3, 1000); input_forever = [0 for _ in iter(int, 1)]", "signal",
                                 "Error: the session's interpreter broke off its answer")):
        result = call(client, f"print('last', flush=True)\n{code}")
        assert said(result) == ("last\n", reason, error, "reset"), (code, result)
    assert said(call(client, "exit 4", "main", "bash"))[1:] == ("exit", "Error: exit status 4", "reset")
    assert said(call(client, "echo b", "main", "bash")) == ("b\n", "ok", "", "preserved")


def test_a_driver_that_lies_is_ended(client):
    find = "import os, stat\nfd = [f for f in range(3, 100) if os.path.exists(f'/proc/self/fd/{f}') and stat.S_ISSOCK(os.fstat(f).st_mode)][0]\n"
    for words in ("b'H\\0\\0\\0\\0'", "b'D\\xff\\xff\\xff\\xff'", "b'x' * 100000"):
        result = call(client, find + f"os.write(fd, {words})\nimport time; time.sleep(1000)", timeout=20000000)
        assert (result["reason"], result["state"]) == ("signal", "reset"), result
    assert said(call(client, "1"))[0] == "1\n"


def test_what_a_call_left_running_ends_with_its_session(client, keeper):
    pid = int(call(client, "setsid sleep 1000 >/dev/null & echo $!", "main", "bash")["stdout"])
    wait_until(lambda: alive(pid), "it was executed")
    reset(client, "main", "bash")
    wait_until(lambda: not keeper.left(), "the leaf is gone")
    assert not alive(pid)


def test_idle_and_age(client, keeper):
    keeper.policy("[repl]\nidle = 1s\n")
    call(client, "x = 1")
    wait_until(lambda: not keeper.left(), "idle for too long")
    keeper.policy("[repl]\nmax_duration = 1s\n")
    assert said(call(client, "import time; time.sleep(1.5); x = 1; x")) == ("1\n", "ok", "", "reset")
    assert call(client, "x")["error"] == "NameError: name 'x' is not defined"
    wait_until(lambda: not keeper.left(), "too old")


def test_as_many_as_the_policy_allows(client, keeper):
    keeper.policy("[repl]\nsessions = 2\n")
    for name in ("a", "b", "a", "c"):
        call(client, "import time", name)
    assert {row[0] for row in repls(client)} == {"a", "c"}
    numbers = [begin(client, "print('ready')\ntime.sleep(1000)", name, follow=True) for name in ("a", "c")]
    for number in numbers:
        follow(client, number, b"ready")
    with pytest.raises(runs.Refused) as why:
        call(client, "1", "d")
    assert "all 2" in why.value.args[1]
    keeper.policy("[repl]\nsessions = 0\n")
    with pytest.raises(runs.Refused) as why:
        call(client, "1", "d")
    assert "[repl] sessions" in why.value.args[1]
    for number in numbers:
        client.call("Stop", "t", [number])
        assert client.wait(number)["state"] == "preserved"


def test_what_a_session_has_not_is_refused(client):
    for options, word in (({"arguments": ["a"]}, "arguments"), ({"network": "none"}, "network"), ({"independent": True}, "independent")):
        call(client, "1")
        with pytest.raises(runs.Refused) as why:
            call(client, "1", **options)
        assert why.value.args[1].startswith(word), why.value.args
    with pytest.raises(runs.Refused):
        client.run("python", b"1", {"session": "main"}, os.open("/dev/null", os.O_RDONLY))
    with pytest.raises(runs.Refused) as why:
        call(client, b"echo \0", "main", "bash")
    assert "NUL" in why.value.args[1]
    for name in ("a/b", ".a", "a" * 65, "é"):
        with pytest.raises(runs.Refused):
            call(client, "1", name)


def test_surroundings_are_those_of_the_first_call(client, keeper):
    keeper.policy("[exec]\nnetwork = none\n")
    assert said(call(client, "import os; sorted(os.listdir('/sys/class/net')); len(open('/proc/net/dev').readlines())"))[0] == "3\n"
    keeper.policy("[exec]\nfilesystem = independent\n")
    result = call(client, "x = 1; open('here', 'w').write('a'); import os; os.getpid() < 10", "alone", directory=str(keeper.home))
    assert said(result) == ("True\n", "ok", "", "preserved"), result
    assert said(call(client, "x, os.path.exists('here')", "alone"))[0] == "(1, True)\n"
    assert not (keeper.home / "here").exists()
    assert said(call(client, "while True: pass", "alone", timeout=1000000))[1:] == ("timeout", "Error: timeout exceeded", "preserved")


def test_a_leaf_that_a_predecessor_left(client, keeper):
    """Empty, it is taken away; with somebody in it, who asks is told to try again."""
    leaf = keeper.leaves / "repl-python-main"
    leaf.mkdir()
    assert said(call(client, "1"))[0] == "1\n"
    reset(client)
    wait_until(lambda: not leaf.exists())
    leaf.mkdir()
    sleeper = subprocess.Popen(["sleep", "1000"])
    (leaf / "cgroup.procs").write_text(str(sleeper.pid))
    try:
        call(client, "1")
    except runs.Refused as why:  # unless it was gone in time
        assert "is still ending: try again" in why.args[1]
    assert sleeper.wait(60) == -signal.SIGKILL
    assert said(call(client, "1"))[0] == "1\n"


def test_cheap_refusals_come_first(client):
    """All of the code is read for what only that can tell."""
    assert call(client, "true", language="bash")["reason"] == "ok"
    with pytest.raises(runs.Refused) as why:
        call(client, b"a\0", language="bash", network="none")
    assert why.value.args[1].startswith("network: ")


def test_nothing_is_left_of_many(client, keeper):
    call(client, "x = 0")
    before = keeper.descriptors()
    other = keeper.client()
    for _ in range(100):
        assert call(other, "x += 1\nprint(x)")["reason"] == "ok"
    for _ in range(10):
        assert call(other, "1", "other")["reason"] == "ok"
        reset(other, "other")
    other.peer.close()
    wait_until(lambda: keeper.left() == ["repl-python-main"], "the others are gone")
    # the results go with their connection
    wait_until(lambda: keeper.descriptors() <= before, "descriptors are closed")


def test_the_keepers_death_ends_them(client, keeper):
    call(client, "import subprocess; p = subprocess.Popen(['setsid', 'sleep', '1000']); p.pid")
    keeper.kill()
    assert keeper.left()
    keeper.start()
    assert not keeper.left()
    other = keeper.client()
    assert repls(other) == [] and call(other, "p")["error"] == "NameError: name 'p' is not defined"
    other.peer.close()
