# SPDX-License-Identifier: MIT
"""A Python for one run, started for it or made ready before: what both show of the same code is the same.

Not all modules that people preload are everywhere: `decimal` and `json` stand for them here.
"""
import collections
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

DRIVERS = pathlib.Path(__file__).resolve().parent.parent.parent / "shell" / "drivers"
COLD = str(DRIVERS / "python-run.py")
PYTHON = "/usr/bin/python3"
TIMEOUT = 60
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

Ended = collections.namedtuple("Ended", "out err status")


@contextlib.contextmanager
def at_three(fd):
    """An argv that executes the rest with `fd` as its descriptor 3."""
    yield ["/bin/bash", "-c", f'exec "$@" 3<&{fd}', "bash"], (fd,)


def code_file(code):
    fd = os.memfd_create("code")
    os.write(fd, code)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Spare:
    """A prepared one, up to its one run."""

    def __init__(self, names, home):
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with at_three(theirs.fileno()) as (before, kept):
            self.process = subprocess.Popen([*before, PYTHON, str(DRIVERS / "prepared.py"), COLD, *names], pass_fds=kept,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                            cwd="/", env={**ENVIRONMENT, "HOME": str(home)})
        theirs.close()
        self.channel.settimeout(TIMEOUT)
        self.hello = self.channel.recv(64)

    def run(self, code, directory, arguments=(), stdin=b"", label="<run>"):
        fd, given = code_file(code), code_file(stdin)
        out, err = os.pipe(), os.pipe()
        words = b"".join(os.fsencode(word) + b"\0" for word in (label, str(directory), *arguments))
        socket.send_fds(self.channel, [words], [fd, given, out[1], err[1]])
        for mine in (fd, given, out[1], err[1]):
            os.close(mine)
        with open(out[0], "rb") as first, open(err[0], "rb") as second:
            texts = first.read(), second.read()
        return Ended(*texts, self.process.wait(TIMEOUT))

    def close(self):
        self.channel.close()
        return self.process.wait(TIMEOUT)


def run_cold(code, directory, arguments=(), stdin=b"", label="<run>", home="/"):
    fd = code_file(code)
    with at_three(fd) as (before, kept):
        done = subprocess.run([*before, PYTHON, COLD, label, *arguments], input=stdin, capture_output=True, cwd=directory,
                              pass_fds=kept, timeout=TIMEOUT, check=False, env={**ENVIRONMENT, "HOME": str(home)})
    os.close(fd)
    return Ended(done.stdout, done.stderr, done.returncode)


SAME = {
    "a script": b"import sys\nprint(__name__, sys.argv, sys.path[0], input(), sys.stdin.read())",
    "an exception": b"def f():\n    return 1 / 0\n\nprint('before')\nf()\n",
    "an exception with a cause": b"try:\n    {}['x']\nexcept KeyError as e:\n    raise ValueError('y') from e\n",
    "no syntax": b"x = (\n",
    "a NUL": b"print(1)\0",
    "an encoding": "# coding: latin-1\nprint(len('\u00e9'))".encode("latin-1"),
    "an exit": b"import sys; print('a'); sys.exit(7)",
    "an exit with words": b"import sys; sys.exit('words')",
    "an exit beyond a byte": b"import sys; sys.exit(300)",
    "an exit of nothing": b"raise SystemExit",
    "an end at once": b"import os; print('lost'); os._exit(3)",
    "a signal": b"import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "an interrupt": b"raise KeyboardInterrupt",
    "a hook": b"import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1/0",
    "a file that nobody closes": b"f = open('kept', 'w'); f.write('all'); g = [f]; g.append(g)\n"
                                 b"import atexit, os\natexit.register(lambda: print(os.path.exists('kept')))",
    "names at the end": b"class A:\n    def __del__(self): print('gone')\na = A(); a.itself = a",
    "a thread that is waited for": b"import threading, time\n"
                                   b"threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\nprint('main')",
    "a thread that is not": b"import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
    "a closed stdout": b"import os; os.close(1); print('x')",
    "streams": b"import sys\nfor s in (sys.stdin, sys.stdout, sys.stderr):\n"
               b"    print(s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.writable(), s.buffer.raw.name, s is "
               b"getattr(sys, '__' + s.name[1:-1] + '__'))",
    "bytes": b"import sys; sys.stdout.buffer.write(bytes(range(256)))",
    "a module of the folder": b"import beside; print(beside.VALUE)",
    "itself": b"import __main__, sys; x = 1; print(__main__.x, sorted(n for n in vars() if n != 'x'))",
    "descriptors": b"import os; print(sorted(os.listdir('/proc/self/fd'))[:4])",
    "no dump": b"import ctypes; print(ctypes.CDLL(None).prctl(3))",
}

QUIET = (SAME["an exit of nothing"], SAME["a thread that is not"])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("code", SAME.values(), ids=SAME.keys())
def test_both_are_the_same(code, tmp_path, home):
    (tmp_path / "beside.py").write_text("VALUE = 5\n")
    spare = Spare(["json", "decimal"], home)
    given = {"arguments": ["-x", "\u00fc"], "stdin": b"first\nsecond\n"}
    ready = spare.run(code, tmp_path, **given)
    kept = (tmp_path / "kept").read_text() if (tmp_path / "kept").exists() else None
    cold = run_cold(code, tmp_path, home=home, **given)
    assert ready == cold
    assert ready.out or ready.err or ready.status or code in QUIET
    assert kept in (None, "all")
    assert (b"python-run.py" in ready.err, b"prepared.py" in ready.err) == (False, False)


def test_what_was_printed_is_not_lost_with_a_kill(home, tmp_path):
    code = b"import os, signal\nprint('partial')\nos.kill(os.getpid(), signal.SIGKILL)"
    for ended in (Spare(["json"], home).run(code, tmp_path), run_cold(code, tmp_path, home=home)):
        assert (ended.out, ended.err, ended.status) == (b"partial\n", b"", -signal.SIGKILL)


def test_what_was_named_is_there_already(home, tmp_path):
    spare = Spare(["decimal"], home)
    assert spare.hello == b"H"
    assert spare.run(b"import sys; print('decimal' in sys.modules)", tmp_path).out == b"True\n"


def test_a_module_that_cannot_be_imported_is_left_out(home, tmp_path):
    spare = Spare(["there.is.none", "decimal"], home)
    assert spare.hello == b"P"
    assert spare.run(b"import sys; print('decimal' in sys.modules)", tmp_path).out == b"True\n"


def test_two_have_nothing_in_common(home, tmp_path):
    code = b"import decimal, random; print(hash('x'), random.random(), id(decimal), open('/proc/self/maps').readline())"
    seen = [Spare(["decimal", "random"], home).run(code, tmp_path).out.split()[:3] for _ in range(2)]
    assert all(one != other for one, other in zip(*seen)), seen


def test_a_module_of_the_folder_comes_first(home, tmp_path):
    (tmp_path / "decimal.py").write_text("VALUE = 'mine'\n")
    spare = Spare(["decimal"], home)
    done = spare.run(b"import decimal, sys; print(decimal.VALUE, sys.argv, sys.stdin.read())", tmp_path, ["a"], b"in")
    assert done == Ended(b"mine ['<run>', 'a'] in\n", b"", 0)


def test_what_was_installed_since_counts(home, tmp_path):
    spare = Spare(["json"], home)
    ask = "import site; print(site.getusersitepackages())"
    site = pathlib.Path(run_cold(ask.encode(), tmp_path, home=home).out.decode().strip())
    site.mkdir(parents=True)
    (site / "json.pth").write_text("import sys; sys.installed = True\n")
    assert spare.run(b"import sys; print(sys.installed)", tmp_path) == Ended(b"True\n", b"", 0)


def test_without_a_run_it_ends(home):
    assert Spare(["decimal"], home).close() == 0


def test_a_packet_that_is_no_run_ends_it(home):
    for data, count in ((b"<run>\0/", 4), (b"<run>\0/\0", 3), (b"<run>\0/\0", 0)):
        spare = Spare([], home)
        null = os.open("/dev/null", os.O_RDWR)
        socket.send_fds(spare.channel, [data], [null] * count)
        os.close(null)
        assert spare.process.wait(TIMEOUT) == 0
        spare.channel.close()


def test_nobody_looks_into_it_before(home, tmp_path):
    spare = Spare([], home)
    owner = os.stat(f"/proc/{spare.process.pid}/mem").st_uid
    limits = pathlib.Path(f"/proc/{spare.process.pid}/status").read_text()
    assert owner == 0
    assert re.search(r"^Threads:\t1$", limits, re.M)
    spare.close()


def test_a_folder_that_is_gone_is_said(home, tmp_path):
    done = Spare([], home).run(b"print(1)", tmp_path / "gone")
    assert done == Ended(b"", f"creel: {tmp_path}/gone: No such file or directory\n".encode(), 124)


def test_an_ended_one_is_noticed_by_its_socket(home):
    spare = Spare([], home)
    spare.process.send_signal(signal.SIGKILL)
    assert spare.channel.recv(1) == b""
    spare.process.wait(TIMEOUT)


@pytest.mark.skipif(not list(pathlib.Path("/usr/lib/python3/dist-packages").glob("pandas")), reason="python3-pandas is not here")
def test_ten_times_faster_than_importing(home, tmp_path):
    code, cold, ready = b"import pandas\nprint(pandas.DataFrame({'a': [1, 2, 3]}).mean())", [], []
    for _ in range(3):
        spare = Spare(["pandas"], home)
        begin = time.monotonic()
        first = spare.run(code, tmp_path)
        middle = time.monotonic()
        second = run_cold(code, tmp_path, home=home)
        ready.append(middle - begin)
        cold.append(time.monotonic() - middle)
        assert first == second
    print(f"import {min(cold) * 1000:.0f} ms, made ready {min(ready) * 1000:.0f} ms", file=sys.stderr)
    assert min(cold) > 10 * min(ready), (cold, ready)
