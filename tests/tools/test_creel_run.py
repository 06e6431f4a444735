# SPDX-License-Identifier: MIT
"""creel run and creel sessions: what a person and a script see of a run."""

import json
import re
import resource
import signal
import subprocess
import threading

import pytest

from conftest import wait_until


def script(agent, name, text):
    path = agent.home / name
    path.write_text(text)
    return name


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.py", "print(6 * 7)"),
        ("a.js", "console.log(6 * 7)"),
        ("a.sh", "echo $((6 * 7))"),
        ("by-line", "#!/usr/bin/env -S python3 -u\nprint(6 * 7)"),
        ("by-line", "#!/bin/sh\necho $((6 * 7))"),
        ("odd.py", "#!/bin/bash\nprint(6 * 7)"),  # the name is first
    ],
)
def test_language_is_found(agent, name, text):
    done = agent.creel("run", script(agent, name, text))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"42\n", b"")


def test_language_is_told(agent):
    done = agent.creel("run", script(agent, "a.txt", "echo $BASH"), "--lang", "bash")
    assert done.stdout.endswith(b"bash\n")
    done = agent.creel("run", "a.txt")
    assert done.returncode == 2 and b"--lang" in done.stderr
    done = agent.creel("run", "a.txt", "--lang=cobol")
    assert done.returncode == 2 and b"`cobol` is not python" in done.stderr


def test_arguments_input_and_streams(agent):
    text = "import sys; print(sys.argv[1:], sys.stdin.read()); print('err', file=sys.stderr); sys.exit(7)"
    name = script(agent, "a.py", text)
    script(agent, "in.txt", "input")
    done = agent.creel("run", name, "--stdin", "in.txt", "--", "--lang", "x y")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"['--lang', 'x y'] input\n", b"err\n")
    done = agent.creel("run", name, "--stdin=-", input="piped")
    assert done.stdout == b"[] piped\n"
    done = agent.creel("run", name, input="not asked for")
    assert done.stdout == b"[] \n"


def test_script_from_stdin_is_kept(agent):
    done = agent.creel("run", "-", input="print(1)")
    assert done.stdout == b"1\n"
    done = agent.creel("run", "-", "--lang", "bash", input="echo 2")
    assert done.stdout == b"2\n"
    kept = {path.suffix: path for path in (agent.home / "workspace/scripts").iterdir()}
    assert set(kept) == {".py", ".sh"} and kept[".py"].read_text() == "print(1)"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}(-2)?\.(py|sh)", path.name) for path in kept.values())
    assert kept[".sh"].stat().st_mode & 0o777 == 0o755 and kept[".py"].stat().st_mode & 0o777 == 0o644


def test_script_from_a_file_is_kept_once(agent):
    path = script(agent, "plot.x.py", "print(1)")
    for _ in range(2):
        assert agent.creel("run", path).returncode == 0
    script(agent, "plot.x.py", "print(2)")
    assert agent.creel("run", path).returncode == 0
    kept = agent.home / "workspace/scripts"
    assert {name.name: name.read_text() for name in kept.iterdir()} == {"plot.x.py": "print(1)", "plot.x-2.py": "print(2)"}
    assert agent.creel("run", str(kept / "plot.x.py")).returncode == 0 and len(list(kept.iterdir())) == 2


def test_copy_follows_no_link(agent):
    (agent.home / "elsewhere").mkdir()
    (agent.home / "workspace/scripts").symlink_to(agent.home / "nowhere")
    done = agent.creel("run", "-", input="print(1)")
    assert done.returncode == 0 and done.stdout == b"1\n" and b"no copy" in done.stderr


def test_ends(agent):
    done = agent.creel("run", script(agent, "a.sh", "kill -TERM $$"))
    assert (done.returncode, done.stderr) == (143, b"creel: run: signal: ended by SIGTERM\n")
    done = agent.creel("run", script(agent, "a.sh", "echo begun; exec sleep 1000"), "--timeout", "1s")
    assert (done.returncode, done.stdout, done.stderr) == (124, b"begun\n", b"creel: run: timeout: timeout exceeded\n")
    done = agent.creel("run", "a.sh", "--timeout", "10m")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"creel: run: refused: timeout: more than the policy's 120s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(agent, number):
    name = script(agent, "a.sh", "echo begun; exec sleep 1000")
    program = agent.start("run", name, stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"begun\n"  # live
    program.send_signal(number)
    assert program.wait(60) == 128 + number
    wait_until(lambda: not agent.descendants(), "the run's end")


def test_reader_that_leaves(agent):
    program = agent.start("run", script(agent, "a.sh", "while echo x; do :; done"), stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"x\n"
    program.stdout.close()
    assert program.wait(60) == 128 + signal.SIGPIPE
    wait_until(lambda: not agent.descendants(), "the run's end")


def test_slow_reader_gets_all(agent):
    name = script(agent, "a.py", "for i in range(300000): print(i)")
    program = agent.start("run", name, stdout=subprocess.PIPE)
    chunks = []
    pause = threading.Event()
    while data := program.stdout.read1(65536):
        chunks.append(data)
        pause.wait(0.01)
    assert program.wait(60) == 0
    assert b"".join(chunks) == b"".join(b"%d\n" % i for i in range(300000))


def test_json(agent):
    done = agent.creel("run", script(agent, "a.sh", "echo out; echo err >&2; exit 3"), "--json")
    assert done.returncode == 3 and done.stderr == b"" and done.stdout.count(b"\n") == 1
    result = json.loads(done.stdout)
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("out\n", "err\n", 3)


def test_files_are_listed(agent):
    done = agent.creel("run", script(agent, "a.sh", "echo 12345 >output/a.csv; echo >'output/\x1b[31m'"))
    assert sorted(done.stderr.splitlines()) == [
        b"creel: run: saved \\x1b[31m (1)",
        b"creel: run: saved a.csv (6)",
    ]


def test_session(agent):
    assert agent.creel("run", script(agent, "a.py", "x = 41"), "--session", "s").returncode == 0
    done = agent.creel("run", script(agent, "b.py", "x + 1"), "--session", "s")
    assert done.stdout == b"42\n"
    done = agent.creel("run", script(agent, "c.py", "1 / 0"), "--session", "s")
    assert done.returncode == 1 and b"ZeroDivisionError" in done.stderr
    done = agent.creel("sessions")
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [[b"s", b"python", b"idle"]]
    (session,) = json.loads(agent.creel("sessions", "--json").stdout)
    assert session["name"] == "s" and session["memory"] > 0
    assert agent.creel("sessions", "reset", "js", "s").returncode == 1
    done = agent.creel("sessions", "reset", "cobol", "s")
    assert (done.returncode, done.stderr) == (2, b"creel: sessions: `cobol` is not python, javascript, typescript or bash\n")
    assert agent.creel("sessions", "reset", "python", "s").returncode == 0
    done = agent.creel("sessions", "reset", "s")
    assert done.returncode == 1 and b"no python session `s`" in done.stderr
    assert json.loads(agent.creel("sessions", "--json").stdout) == []


@pytest.mark.parametrize(
    "words, what",
    [
        ([], b"which script"),
        (["a.py", "--timeout"], b"needs a value"),
        (["a.py", "--timeout", "30"], b"`30` is not a time"),
        (["a.py", "--memory=1X"], b"`1X` is not a size"),
        (["a.py", "--json=yes"], b"takes no value"),
        (["a.py", "--session", ""], b"`` is not a name of at most 64"),
        (["a.py", "--session=.a"], b"`.a` is not a name"),
        (["a.py", "--frobnicate"], b"unknown option `--frobnicate`"),
        (["a.py", "b.py"], b"behind --"),
        (["-", "--stdin", "-"], b"cannot be the input"),
    ],
)
def test_wrong_usage(agent, words, what):
    done = agent.creel("run", *words)
    assert done.returncode == 2 and what in done.stderr and done.stdout == b""


def test_no_script_and_no_keeper(agent):
    done = agent.creel("run", "none.py")
    assert done.returncode == 125 and done.stderr == b"creel: run: none.py: No such file or directory\n"
    script(agent, "a.py", "")
    agent.stop_keeper()
    done = agent.creel("run", "a.py")
    assert done.returncode == 125 and b"no keeper" in done.stderr
    agent.start_keeper()


def test_help(agent):
    done = agent.creel("run", "--help")
    assert done.returncode == 0 and b"--isolate" in done.stdout


def test_code_that_exceeds_a_files_size_is_said(agent):
    done = agent.creel("run", "-", input=b"#" * 100000, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert done.returncode > 0 and b"File too large" in done.stderr, done
