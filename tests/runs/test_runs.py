# SPDX-License-Identifier: MIT
"""What comes of runs: results, reasons that this machine can make, and that nothing is left of them."""
import hashlib
import os
import re
import time

import pytest

import keeperbus
import runs
from conftest import UID, wait_until


def run(client, language, code, input_fd=None, **options):
    code = code if isinstance(code, bytes) else code.encode()
    return client.wait(client.run(language, code, options, input_fd))


def pipe_of(data):
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    return ours


# ---- languages ---------------------------------------------------------------------------------------------------------
def test_python(client, keeper):
    code = "import os, sys\nprint(sys.argv, os.getcwd(), __name__, sys.path[0], os.getuid())\nsys.stderr.write(input())"
    result = run(client, "python", code, pipe_of(b"in\n"), label="job.py", arguments=["a", "b c"])
    workspace = f"{keeper.home}/workspace"
    assert result["stdout"].decode() == f"['job.py', 'a', 'b c'] {workspace} __main__ {workspace} {UID}\n"
    assert (result["stderr"], result["reason"], result["exit_code"]) == (b"in", "ok", 0)
    assert "error" not in result and "signal" not in result and result["duration"] > 0


def test_an_exception_shows_the_code_and_none_of_ours(client):
    result = run(client, "python", "def f():\n    return 1 / 0\n\nf()\n")
    assert result["stderr"].decode() == (
        'Traceback (most recent call last):\n  File "<run>", line 4, in <module>\n    f()\n  File "<run>", line 2, in f\n'
        "    return 1 / 0\n           ~~^~~\nZeroDivisionError: division by zero\n")
    assert (result["reason"], result["exit_code"], result["error"]) == ("exit", 1, "Error: exit status 1")


def test_bash(client):
    result = run(client, "bash", "echo $0 $#; read x; echo $x\nnonesuch\n", pipe_of(b"in\n"), label="job.sh", arguments=["a"])
    assert result["stdout"] == b"job.sh 1\nin\n"
    assert result["stderr"] == b"job.sh: line 2: nonesuch: command not found\n"
    assert (result["reason"], result["exit_code"], result["error"]) == ("exit", 127, "Error: exit status 127")


def test_javascript(client):
    result = run(client, "javascript", "console.log(typeof require, process.argv.slice(2)); process.exit(3)", arguments=["a"])
    assert (result["stdout"], result["exit_code"]) == (b"function [ 'a' ]\n", 3), result


def test_what_is_no_language_of_the_policy_is_refused(client, keeper):
    keeper.policy("[exec]\nlanguages = bash\n")
    assert run(client, "bash", "true")["reason"] == "ok"
    for language in ("python", "cobol", "bash\n"):
        with pytest.raises(runs.Refused) as why:
            run(client, language, "")
        assert "language" in why.value.args[1]


# ---- odd code and output -----------------------------------------------------------------------------------------------
def test_nul_bytes_are_told(client):
    for language, said in (("python", b"null bytes"), ("bash", b"NUL byte")):
        result = run(client, language, b"print(1)\0")
        assert result["reason"] == "exit" and said in result["stderr"], result


def test_much_code(client):
    result = run(client, "python", b"#" * 79 + b"\n" + b"x = 1 # padding padding\n" * 400000 + b"print(x)")
    assert (result["stdout"], result["reason"]) == (b"1\n", "ok")
    result = run(client, "bash", b"# padding padding\n" * 600000 + b"echo end")
    assert (result["stdout"], result["reason"]) == (b"end\n", "ok")


def test_bytes_stay_as_they_are(client):
    data = bytes(range(256)) * 40
    code = "import os\nfor _ in range(40): os.write(1, bytes(range(256)))"
    assert run(client, "python", code)["stdout"] == data


def test_closed_streams(client):
    assert run(client, "bash", "exec >&- 2>&-; echo x; sleep 0.2; exit 3")["exit_code"] == 3
    result = run(client, "bash", "exec 1<&-; echo x 2>/dev/null || exit 9; echo y >&2")
    assert (result["exit_code"], result["stdout"]) == (9, b"")


def test_stdout_can_be_opened_again(client):
    assert run(client, "bash", "echo a >/dev/stdout; echo b >/proc/self/fd/1")["stdout"] == b"a\nb\n"


def test_only_what_belongs_to_it_is_open(client):
    seen = run(client, "bash", "ls -l /proc/$$/fd | sed 's/.* \\([0-9]* ->\\)/\\1/' | grep '>'")["stdout"].decode().split("\n")
    assert [line.split(" ")[0] for line in seen if line] == ["0", "1", "2"] or all(
        int(line.split(" ")[0]) < 3 or "pipe" in line for line in seen if line), seen


def test_no_input_is_its_end(client):
    assert run(client, "bash", "read x || echo end")["stdout"] == b"end\n"


# ---- long output -------------------------------------------------------------------------------------------------------
def test_head_and_tail_and_a_file_of_all(client, keeper):
    result = run(client, "python", "for i in range(100000): print(i)", output=1000)
    whole = "".join(f"{i}\n" for i in range(100000)).encode()
    head = result["stdout_head"]
    assert result["stdout_bytes"] == len(whole) and len(result["stdout"]) == 1000 and head == 500
    assert result["stdout"][:head] == whole[:head] and result["stdout"][head:] == whole[-500:]
    path = result["stdout_file"]
    assert path == f"{keeper.home}/.creel/output/run-{keeper_number(path)}.stdout"
    assert open(path, "rb").read() == whole
    status = os.stat(path)
    assert (status.st_mode & 0o7777, status.st_uid) == (0o600, UID)
    assert "stderr_file" not in result and result["reason"] == "ok"


def keeper_number(path):
    return path.rsplit("run-", 1)[1].split(".")[0]


def test_a_link_in_the_way_of_the_file_leads_nowhere(client, keeper):
    target = keeper.folder / "target"
    target.mkdir(mode=0o777)
    target.chmod(0o777)
    result = run(client, "bash", f"rm -rf ~/.creel; ln -s {target} ~/.creel; head -c 5000 /dev/zero", output=1024)
    assert (result["reason"], result["stdout_bytes"], len(result["stdout"])) == ("ok", 5000, 1024), result
    assert "stdout_file" not in result and not os.listdir(target)
    run(client, "bash", "rm ~/.creel")


def test_only_the_newest_files_are_kept(client, keeper):
    folder = keeper.home / ".creel" / "output"
    run(client, "bash", "mkdir -p ~/.creel/output; cd ~/.creel/output; for i in {1..250}; do : >run-$i.stdout; done; : >other")
    run(client, "bash", "head -c 5000 /dev/zero", output=1024)
    left = os.listdir(folder)
    assert len(left) == 202 and "other" in left and "run-250.stdout" in left and "run-1.stdout" not in left


def test_endless_output_ends_the_run(client):
    result = run(client, "bash", "yes", output=1024)
    assert (result["reason"], result["error"]) == ("output", "Error: output limit exceeded (64M)"), result["reason"]
    assert result["stdout"].startswith(b"y\ny\n") and len(result["stdout"]) == 1024


def test_a_file_that_is_too_large(client, keeper):
    keeper.policy("[limits]\nfile_size = 1M\n")
    result = run(client, "bash", "head -c 3000000 /dev/zero >big; exit 0", timeout=60 * 10**6)
    assert result["reason"] == "ok"
    result = run(client, "bash", "exec head -c 3000000 /dev/zero >big")
    assert (result["reason"], result["signal"]) == ("disk", 25), result
    result = run(client, "bash", "exec head -c 3000000 /dev/zero", output=1024)
    assert result["reason"] == "disk", result


# ---- ends ----------------------------------------------------------------------------------------------------------------
def test_timeout_returns_what_was_written(client):
    result = run(client, "python", "import signal, time\nfor s in range(1, 32):\n"
                 " try: signal.signal(s, signal.SIG_IGN)\n except OSError: pass\n"
                 "print('partial')\ntime.sleep(600)", timeout=2 * 10**6)
    assert (result["reason"], result["error"], result["stdout"]) == ("timeout", "Error: timeout exceeded", b"partial\n")
    assert "exit_code" not in result and result["signal"] == 9


def test_a_signal(client):
    result = run(client, "bash", "kill -SEGV $$")
    assert (result["reason"], result["error"], result["signal"]) == ("signal", "Error: ended by SIGSEGV", 11)


def test_what_outlives_is_ended(client, keeper):
    code = "(trap '' HUP TERM; exec setsid sleep 600) & setsid -f bash -c 'exec sleep 601'; echo out"
    begun = time.monotonic()
    result = run(client, "bash", code)
    assert (result["reason"], result["stdout"]) == ("ok", b"out\n") and time.monotonic() - begun < 30
    assert not keeper.left()


def test_stop_and_strangers_to_it(client, keeper):
    number = client.run("bash", b"echo in; sleep 600", {"follow": True})
    while not client.followed.get(number):
        client.hear()
    other = keeper.client()
    with pytest.raises(runs.Refused):
        other.call("Stop", "t", [number + 1])
    other.call("Stop", "t", [number])
    result = client.wait(number)
    assert (result["reason"], result["error"], result["stdout"]) == ("cancelled", "Error: cancelled", b"in\n")
    with pytest.raises(runs.Refused):
        other.call("Stop", "t", [number])
    other.peer.close()


def test_a_caller_that_goes_ends_its_runs(client, keeper):
    other = keeper.client()
    other.run("bash", b"sleep 600")
    assert keeper.left()
    other.peer.close()
    wait_until(lambda: not keeper.left(), keeper.left)


def test_output_is_followed(client):
    number = client.run("bash", b"echo a; echo b >&2; head -c 100000 /dev/zero", {"follow": True})
    result = client.wait(number)
    followed = client.followed[number]
    assert followed["stdout"] == result["stdout"] == b"a\n" + bytes(100000) and followed["stderr"] == b"b\n"


def test_a_caller_that_does_not_read_costs_nobody(client, keeper):
    number = client.run("bash", b"head -c 30000000 /dev/zero", {"follow": True, "output": 4096})
    other = keeper.client()
    for _ in range(3):
        assert run(other, "bash", "true")["reason"] == "ok"
    other.peer.close()
    result = client.wait(number)
    assert result["stdout_bytes"] == 30000000 and len(client.followed[number]["stdout"]) <= 30000000


def resident(keeper):
    return int(next(line for line in open(f"/proc/{keeper.process.pid}/status") if line.startswith("VmRSS:")).split()[1]) << 10


def test_all_that_is_unread_is_bounded(client, keeper):
    run(client, "bash", "true")
    before = resident(keeper)
    others = [keeper.client() for _ in range(30)]
    for other in others:
        other.run("bash", b"head -c 30000000 /dev/zero", {"follow": True, "output": 4096})
    wait_until(lambda: not keeper.left(), keeper.left, timeout=120)
    held = resident(keeper) - before
    for other in others:
        other.peer.close()
    assert held < 20 << 20, held


def test_who_reads_no_answer_is_dropped(client, keeper):
    other = keeper.client()
    other.peer.setblocking(False)
    sent = b""
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for serial in range(1, 10**6):
            sent = sent or keeperbus.message("Repls", "", [], serial=serial)
            try:
                sent = sent[other.peer.send(sent):]
            except BlockingIOError:
                time.sleep(0.001)
    other.peer.close()
    assert run(client, "bash", "echo on")["stdout"] == b"on\n"


def test_memory_that_is_kept_open_is_counted(client, keeper):
    keeper.policy("[exec]\nbash_deny = tail\n")
    kept = []

    def memory():
        client.serial += 1
        client.peer.sendall(keeperbus.message("Memory", "", [], serial=client.serial))
        while not (answer := client.hear()):
            pass
        kept.extend(answer[3])
        return answer

    while (answer := memory())[0] == 2 and len(kept) < 2000:
        pass
    assert answer[0] == 3 and "are still open" in answer[2][0] and len(kept) > 900
    with pytest.raises(runs.Refused) as why:
        run(client, "bash", "true")
    assert "are still open" in why.value.args[1]
    for fd in kept:
        os.close(fd)
    assert run(client, "bash", "echo on")["stdout"] == b"on\n" and memory()[0] == 2
    os.close(kept[-1])


# ---- refusals ------------------------------------------------------------------------------------------------------------
POLICY = "[exec]\nmemory = 256M\ncpu = 1\nprocesses = 20\noutput = 64K\ntimeout = 5s\nmax_timeout = 10s\nnetwork = none\n"


@pytest.mark.parametrize("option, value, said", [
    ("timeout", 11 * 10**6, "timeout: 11s is more than the policy's 10s ([exec] max_timeout)"),
    ("memory", 1 << 30, "memory: 1G is more than the policy's 256M ([exec] memory)"),
    ("cpu", 1500000, "cpu: 1.5 cores is more than the policy's 1 cores ([exec] cpu)"),
    ("processes", 21, "processes: 21 is more than the policy's 20 ([exec] processes)"),
    ("output", 1 << 20, "output: 1M is more than the policy's 64K ([exec] output)"),
    ("network", "full", 'network: "full" is more than the policy\'s "none" ([exec] network)'),
    ("memory", 5, "memory: 5 is less than 1M"),
    ("processes", 0, "processes: 0 is less than 1"),
    ("directory", "/nonesuch", 'directory: "/nonesuch" cannot be entered: No such file or directory'),
    ("directory", "/root", 'directory: "/root" cannot be entered: Permission denied'),
    ("session", "../x", "session: must be a name of at most 64 of A-Z, a-z, 0-9, _, . and -, the first one no ."),
    ("session", "", "session: must be a name of at most 64"),
    ("network", "some", "network: must be full, restricted or none"),
    ("label", "a\nb", "label: must be at most 255 bytes, no control characters"),
    ("directory", "x" * 5000, "directory: must be a path of less than 4096 bytes"),
    ("colour", "red", "colour: "),
])
def test_looser_limits_and_odd_options(client, keeper, option, value, said):
    keeper.policy(POLICY)
    with pytest.raises(runs.Refused) as why:
        run(client, "bash", "true", **{option: value})
    assert why.value.args[1].startswith(said), why.value.args


def test_code_that_could_change_is_refused(client):
    with pytest.raises(runs.Refused) as why:
        client.run("bash", b"true", sealed=False)
    assert "sealed" in why.value.args[1]
    null = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(runs.Refused):
        client.call("Run", "ha{sv}", [0, [("language", ("s", "bash"))]], [null])


def test_a_policy_that_breaks_meanwhile(client, keeper):
    """What runs goes on by the policy that it began under; nothing begins."""
    numbers = [client.run("bash", code) for code in (b"read x < <(sleep 1); exit 3", b"head -c 5000000 /dev/zero; sleep 1")]
    keeper.policy("[exec]\nnonsense\n")
    with pytest.raises(runs.Refused):
        client.run("bash", b"true")
    assert [client.wait(number)["reason"] for number in numbers] == ["exit", "ok"]
    keeper.policy()
    options = {"session": "broken", "collect": True}
    numbers = [client.run("bash", b"sleep 1", {"collect": True}),
               *(client.run("bash", b"sleep 1", options) for _ in range(2))]
    keeper.policy("[exec]\nnonsense\n")
    with pytest.raises(runs.Refused):
        client.run("bash", b"true")
    results = [client.wait(number) for number in numbers]
    assert [result["reason"] for result in results[:2]] == ["ok", "ok"], results
    assert results[2]["reason"] in ("ok", "refused"), results
    keeper.policy()
    client.call("Reset", "ss", ["bash", "broken"])


def test_directories(client, keeper):
    inner = keeper.home / "a b"
    inner.mkdir(exist_ok=True)
    os.chown(inner, UID, UID)
    for asked, expected in (("a b", inner), (str(inner), inner), ("/tmp", "/tmp"), ("", keeper.home / "workspace")):
        assert run(client, "bash", "pwd", directory=asked)["stdout"].decode() == f"{expected}\n"


# ---- nothing is left -----------------------------------------------------------------------------------------------------
def test_many_runs_leave_nothing(client, keeper):
    run(client, "bash", "true")
    before, numbers = keeper.descriptors(), set()
    for i in range(1000):
        number = client.run("bash", b"echo %d" % i)
        numbers.add(number)
        assert client.wait(number)["stdout"] == b"%d\n" % i
    assert len(numbers) == 1000 and not keeper.left()
    other = keeper.client()
    other.peer.close()
    # results are remembered while their connection lives, and no more of them than the keeper says
    assert keeper.descriptors() - before <= 512 + 8
    client.peer.close()
    wait_until(lambda: keeper.descriptors() <= before, lambda: (before, keeper.descriptors()))


def kinds_of_descriptors(keeper):
    """What the keeper holds; None where it closed one of them meanwhile."""
    folder = f"/proc/{keeper.process.pid}/fd"
    try:
        return sorted(re.sub(r":\[\d+\]$", "", os.readlink(f"{folder}/{fd}")) for fd in os.listdir(folder))
    except FileNotFoundError:
        return None


def test_no_kind_of_call_leaves_a_descriptor(keeper):
    """But for the watch of the memory that tests/vm/conftest.py names: here is no slice."""
    keeper.policy("[exec]\nbash_deny = tail\n")
    keeper.kill()
    keeper.start()

    def call(*calls):
        client = keeper.client()
        for language, options in calls:
            assert run(client, language, "print(1)" if language == "python" else "echo x; echo y >&2", **options)["reason"] == "ok"
        if calls:
            client.call("Memory", "", [])
            client.call("Reset", "ss", ["python", "once"])
        client.peer.close()

    def holds(condition):
        """What the keeper holds, as soon as nothing runs and that is so."""
        def seen():
            now = kinds_of_descriptors(keeper)
            return now if not keeper.left() and condition(now) else None
        return wait_until(seen, lambda: (keeper.left(), kinds_of_descriptors(keeper)))

    kinds = ({}, {"collect": True}, {"independent": True}, {"session": "once"})
    calls = [("python", options) for options in kinds] + [("bash", options) for options in kinds[:3]]
    call()
    before = holds(lambda now: now and now.count("socket") == 1)
    of_list = "anon_inode:[landlock-ruleset]"  # is kept with the policy
    for _ in range(2):
        call(*calls)
        holds(lambda now: now == sorted([*before, of_list]))


def test_many_at_once(client, keeper):
    go = keeper.home / "go"
    numbers = [client.run("bash", b"until [ -e ~/go ]; do sleep 0.05; done; echo %d" % i) for i in range(32)]
    with pytest.raises(runs.Refused) as why:
        client.run("bash", b"true")
    go.touch()
    assert why.value.args[0].endswith("Full")
    assert [client.wait(number)["stdout"] for number in numbers] == [b"%d\n" % i for i in range(32)]
    go.unlink()


def test_what_results_hold_is_bounded(client, keeper):
    keeper.policy("[exec]\noutput = 16M\n")
    digest = hashlib.sha256(bytes(16 << 20)).hexdigest()
    for _ in range(12):
        result = run(client, "bash", "head -c 16777216 /dev/zero")
        assert hashlib.sha256(result["stdout"]).hexdigest() == digest
    numbers = [client.run("bash", b"sleep 0.3") for _ in range(3)]
    with pytest.raises(runs.Refused) as why:
        client.run("bash", b"true")
    assert "memory" in why.value.args[1]
    for number in numbers:
        client.wait(number)


def test_malformed_messages_leave_no_descriptor(client, keeper):
    before = keeper.descriptors()
    null = os.open("/dev/null", os.O_RDONLY)
    for _ in range(20):
        other = keeper.client()
        import array
        import socket
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 10))]
        try:
            for _ in range(10):
                other.peer.sendmsg([b"l\x01\x00\x01" + b"\0" * 12 + b"x"], rights)
        except OSError:
            pass
        other.peer.close()
    wait_until(lambda: keeper.descriptors() <= before, lambda: (before, keeper.descriptors()), timeout=30)
    assert run(client, "bash", "true")["reason"] == "ok"


def test_a_later_keeper_ends_what_is_left(client, keeper):
    client.run("bash", b"setsid -f sleep 600; sleep 600")
    assert keeper.left()
    keeper.kill()
    assert keeper.left()
    keeper.start()
    assert not keeper.left()
    again = keeper.client()
    assert run(again, "bash", "true")["reason"] == "ok"
    again.peer.close()
