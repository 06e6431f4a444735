# SPDX-License-Identifier: MIT
"""The tools as an agent without privilege, beside the keeper's own sources (tests/runs), leaves and confinement included.

What takes controllers of a cgroup tree (memory, CPU, processes) is in tests/vm.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from conftest import BUILD, CREEL, PATIENCE, ROOT, SOCKETS, WHY_NOT, Lines, wait_until

UID = 1999
DATA, PROGRAMS = pathlib.Path("/usr/share/creel"), pathlib.Path("/usr/libexec/creel")
POLICY = """\
[exec]
max_timeout = 120s
languages = python, javascript, bash
output = 64K
[javascript]
interpreter = {node}
"""


class Agent:
    """A number, a home, and its keeper."""

    def __init__(self, folder):
        folder.chmod(0o755)
        self.home, self.tree = folder / "home", folder / "tree"
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        self.tree.mkdir()
        subprocess.run(["mount", "-t", "cgroup2", "none", self.tree], check=True)
        self.leaves = self.tree / f"creel-tools-{os.getpid()}"
        self.leaves.mkdir()
        self.socket = SOCKETS / str(UID) / "keeper.sock"
        self.socket.parent.mkdir(exist_ok=True)
        self.policy = policy = folder / "policy"
        policy.write_text(POLICY.format(node=os.path.realpath(shutil.which("node"))))
        # what the build made may lie where the agent cannot look
        self.program = folder / "creel"
        shutil.copy(CREEL, self.program)
        self.log = folder / "log"
        argv = [BUILD / "tests" / "run-keeper", self.socket, str(UID), self.home, policy, self.leaves]
        self.keeper = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log.open("wb"))
        assert self.keeper.stdout.readline() == b"ready\n", self.log.read_text()
        os.chown(self.socket, UID, UID)
        self.how = {"user": UID, "group": UID, "extra_groups": [], "cwd": self.home,
                    "env": {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}}

    def creel(self, *words, input=""):
        return subprocess.run([self.program, *words], input=input.encode(), capture_output=True, timeout=PATIENCE, **self.how)

    def lines(self, *words):
        return Lines(*words, program=self.program, **self.how)

    def left(self):
        return [entry.name for entry in self.leaves.iterdir() if entry.is_dir()]

    def end(self):
        self.keeper.send_signal(signal.SIGTERM)
        self.keeper.wait(PATIENCE)
        wait_until(lambda: not self.left() or [os.rmdir(self.leaves / name) for name in self.left()], "leaves")
        os.rmdir(self.leaves)
        subprocess.run(["umount", self.tree], check=True)


@pytest.fixture(scope="module")
def agent():
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    # in this process's mount namespace alone
    for installed in (DATA, PROGRAMS):
        installed.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "creel", installed], check=True)
    shutil.copytree(ROOT / "shell" / "drivers", DATA / "drivers")
    shutil.copy(BUILD / "creel-collect", PROGRAMS)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="creel-tools-", dir="/tmp"))  # pytest's own are only root's
    one = Agent(folder)
    yield one
    one.end()
    shutil.rmtree(folder)
    for installed in (DATA, PROGRAMS):
        subprocess.run(["umount", installed], check=True)


@pytest.fixture
def server(agent):
    one = agent.lines("exec-server")
    yield one
    one.end()
    wait_until(lambda: not agent.left(), "no leaf is left")


@pytest.mark.parametrize(
    "language, code",
    [
        ("python", "import sys\nprint(sys.argv[1:], sys.stdin.read(), __name__)"),
        ("javascript", "console.log(process.argv.slice(2), require('fs').readFileSync(0, 'utf8'))"),
        ("bash", "echo \"$1 $(cat)\""),
    ],
)
def test_languages(agent, language, code):
    (agent.home / "in").write_text("input")
    done = agent.creel("run", "-", "--lang", language, "--stdin", "in", "--", "word", input=code)
    assert done.returncode == 0 and b"word" in done.stdout and b"input" in done.stdout, done
    wait_until(lambda: not agent.left(), "no leaf is left")


def test_script_is_kept_and_named_in_tracebacks(agent):
    done = agent.creel("run", "-", input="1 / 0")
    (kept,) = [path for path in (agent.home / "workspace/scripts").iterdir() if path.read_text() == "1 / 0"]
    assert done.returncode == 1 and str(kept).encode() in done.stderr and b"1 / 0" in done.stderr, done


def test_a_folder_is_one_from_where_the_command_is_called(agent):
    folder = agent.home / "workspace"
    for words, ran in (((), folder), (("--directory", ".."), agent.home), (("--directory", "/"), "/")):
        done = subprocess.run([agent.program, "run", "-", *words], input=b"import os; print(os.getcwd())", capture_output=True,
                              timeout=PATIENCE, **{**agent.how, "cwd": folder})
        assert (done.returncode, done.stdout) == (0, f"{ran}\n".encode()), done


def test_an_interpreter_that_is_missing(agent):
    kept = agent.policy.read_text()
    agent.policy.write_text(kept.replace("interpreter = ", "interpreter = /nonexistent"))
    done = agent.creel("run", "-", "--lang", "js", input="1")
    assert done.returncode == 125 and b"refused: language: the interpreter of \"javascript\" is not there: /none" in done.stderr, done
    # by a link of the agent's own nobody learns what is in folders that are closed to it
    closed, link = agent.home.parent / "closed", agent.home / "node"
    closed.mkdir(mode=0o700)
    (closed / "there").touch(mode=0o755)
    agent.policy.write_text(re.sub("interpreter = .*", f"interpreter = {link}", kept))
    said = []
    for name in ("there", "missing"):
        link.symlink_to(closed / name)
        said.append(agent.creel("run", "-", "--lang", "js", input="1"))
        link.unlink()
    assert said[0].returncode == 126 and [done.returncode for done in said] == [126] * 2 and said[0].stderr == said[1].stderr, said
    agent.policy.write_text(kept)
    assert agent.creel("run", "-", "--lang", "js", input="console.log(1)").stdout == b"1\n"
    wait_until(lambda: not agent.left(), "no leaf is left")


def test_ends(agent):
    done = agent.creel("run", "-", "--timeout", "5s", input="import time\nprint('begun')\ntime.sleep(1000)")
    assert (done.returncode, done.stdout, done.stderr) == (124, b"begun\n", b"creel: run: timeout: timeout exceeded\n")
    done = agent.creel("run", "-", "--lang", "bash", input="kill -SEGV $$")
    assert (done.returncode, done.stderr) == (128 + signal.SIGSEGV, b"creel: run: signal: ended by SIGSEGV\n")
    done = agent.creel("run", "-", "--timeout", "10m", input="")
    assert done.returncode == 125 and b"refused" in done.stderr and b"timeout" in done.stderr and b"120s" in done.stderr
    done = agent.creel("run", "-", "--lang", "typescript", input="")
    assert done.returncode == 125 and b"language" in done.stderr and b"typescript" in done.stderr


def test_slow_reader_gets_all(agent):
    program = subprocess.Popen(
        [agent.program, "run", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **agent.how
    )
    program.stdin.write(b"for i in range(300000): print(i)")
    program.stdin.close()
    wait_until(lambda: list(agent.home.glob(".creel/output/*.stdout")), "its file")
    wait_until(lambda: not agent.left(), "its end")
    output = program.stdout.read()
    assert program.wait(PATIENCE) == 0 and output == b"".join(b"%d\n" % i for i in range(300000))
    program.stdout.close()


def test_exec_server(agent, server):
    answer = server.call(id=1, method="run", language="python", code="print('é' * 100000)")
    result = answer["result"]
    file = pathlib.Path(result["truncated"]["stdout"]["file"])
    assert file.read_text() == "é" * 100000 + "\n" and file.stat().st_uid == UID
    assert "bytes left out; all of it: " + str(file) in result["stdout"] and "\ufffd" not in result["stdout"]
    for i in range(3):
        server.send(id=i, method="run", language="bash", code="sleep 1000")
    assert server.call(id="x", method="run", language="bash", code="echo $CREEL_RUN; exit 4")["result"]["exit_code"] == 4
    for i in range(3):
        assert server.call(id="stop", method="cancel", run=i)["result"] == {"cancelled": True}
        assert server.receive()["result"]["reason"] == "cancelled"
    refused = server.call(id=1, method="run", language="python", code="", output="1G")["result"]
    assert refused["reason"] == "refused"


def test_many_commands_at_once(agent):
    """As many as there may be runs: each has a connection of its own."""
    programs = [
        subprocess.Popen([agent.program, "run", "-", "--lang", "bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **agent.how)
        for _ in range(30)
    ]
    for i, program in enumerate(programs):
        program.stdin.write(b"echo %d" % i)
        program.stdin.close()
    for i, program in enumerate(programs):
        with program.stdout:
            assert program.stdout.read() == b"%d\n" % i and program.wait(PATIENCE) == 0
    wait_until(lambda: not agent.left(), "no leaf is left")


def test_end_of_input_ends_the_runs(agent, server):
    server.send(id=1, method="run", language="bash", code="sleep 1000 & sleep 1000")
    wait_until(agent.left, "a leaf")
    server.close()
    assert server.receive()["result"]["reason"] == "cancelled"
    assert server.receive() is None and server.wait() == 0
    wait_until(lambda: not agent.left(), "no leaf is left")


def test_killed_leaves_nothing(agent, server):
    server.send(id=1, method="run", language="bash", code="trap '' INT TERM HUP; sleep 1000 & sleep 1000")
    wait_until(agent.left, "a leaf")
    server.process.kill()
    wait_until(lambda: not agent.left(), "no leaf is left")


def test_files_are_listed(agent, server):
    code = "mkdir -p output; echo 12345 >output/a.csv; ln -s /etc/passwd output/link"
    files = {file["name"]: file for file in server.call(id=1, method="run", language="bash", code=code)["result"]["files"]}
    path = agent.home / "workspace/output/a.csv"
    digest = hashlib.sha256(b"12345\n").hexdigest()
    assert files["a.csv"] == {"name": "a.csv", "path": str(path), "bytes": 6, "sha256": digest, "status": "ok"}, files
    assert (files["link"]["status"], files["link"]["sha256"]) == ("special", None)
    done = agent.creel("run", "-", "--lang", "bash", input="echo 1 >output/b.csv")
    assert done.stderr == b"creel: run: saved b.csv (2)\n", done


def test_json(agent):
    done = agent.creel("run", "-", "--json", "--lang", "bash", input="echo out; exit 3")
    result = json.loads(done.stdout)
    assert done.returncode == 3 and result["stdout"] == "out\n" and result["reason"] == "exit", done
    assert result["error"] == "Error: exit status 3" and result["memory_peak"] != 0


def test_sessions(agent, server):
    first = server.call(id=1, method="run", language="python", session="main", code="x = 41")["result"]
    assert (first["reason"], first["state"]) == ("ok", "preserved"), first
    # another door, the same state
    done = agent.creel("run", "-", "--session", "main", input="x + 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"42\n", b""), done
    done = agent.creel("run", "-", "--session", "main", input="nothing")
    assert done.returncode == 1 and b"NameError" in done.stderr and b"creel: run" not in done.stderr, done
    slow = server.call(id=1, method="run", language="python", session="main", code="import time\ntime.sleep(1000)", timeout=5)
    assert (slow["result"]["reason"], slow["result"]["state"]) == ("timeout", "preserved"), slow
    (session,) = server.call(id=2, method="sessions")["result"]
    assert (session["name"], session["language"], session["state"]) == ("main", "python", "idle")
    assert b"main" in agent.creel("sessions").stdout
    assert agent.creel("sessions", "reset", "main").returncode == 0
    assert agent.creel("sessions", "reset", "main").returncode == 1
    for words, why in ({"session": "s", "language": "cobol"}, "\"cobol\" is none of the policy's ([exec] languages = python, java"), (
            {"session": "s", "language": "typescript"}, "\"typescript\" is none of"):
        error = server.call(id=3, method="reset", **words)["error"]
        assert error["code"] == "failed" and why in error["message"], error
    wait_until(lambda: not agent.left(), "its leaf is gone")
