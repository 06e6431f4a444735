# SPDX-License-Identifier: MIT
"""The driver of Python sessions, through its protocol."""
import pytest

from conftest import DRIVERS, ECHO, FIGURES


@pytest.fixture
def python(sessions):
    return sessions("/usr/bin/python3", DRIVERS / "python-repl.py")


def test_state_stays_and_a_last_expression_is_shown(python):
    assert python("x = 41\nimport json\ndef f(): return x + 1") == ("o", 0, "", "", "")
    assert python("f()").out == "42\n"
    assert python("_ + 1").out == "43\n"
    assert python("print('a')\njson.dumps([1])").out == "a\n'[1]'\n"
    assert python("None").out == ""
    assert python("5; x = 6").out == ""
    assert python("x", flags=0).out == ""
    assert python("__name__, x").out == "('__main__', 6)\n"
    assert python("from __future__ import annotations") == ("o", 0, "", "", "")
    assert python("def g(a: nowhere): pass\ng.__annotations__").out == "{'a': 'nowhere'}\n"
    assert python("import __main__; __main__.x").out == "6\n"
    assert python("") == python("# nothing") == ("o", 0, "", "", "")


def test_a_traceback_has_the_codes_lines_and_none_of_ours(python):
    python("def divide(a):\n    return a / 0")
    done = python("1 + 1\ndivide(3)", label="<run>")
    assert (done.status, done.error) == ("e", "ZeroDivisionError: division by zero")
    assert done.err == ('Traceback (most recent call last):\n  File "<run 2>", line 2, in <module>\n    divide(3)\n'
                        '  File "<run>", line 2, in divide\n    return a / 0\n           ~~^~~\n'
                        'ZeroDivisionError: division by zero\n')
    done = python("x =", label="script.py")
    assert done.error == "SyntaxError: invalid syntax" and 'File "script.py", line 1\n    x =\n' in done.err
    assert "python-repl" not in done.err
    done = python("try:\n  1/0\nexcept Exception as e:\n  raise ValueError('two\\nlines') from e")
    assert done.error == "ValueError: two\nlines" and "python-repl" not in done.err and "direct cause" in done.err
    assert python("raise SystemError").error == "SystemError"
    done = python("class E(Exception):\n  def __str__(self): raise Exception\nraise E")
    assert done.status == "e" and done.error.startswith("E: ")
    assert python("import sys\nsys.excepthook = None\n1/0").error == "ZeroDivisionError: division by zero"
    assert len(python("raise Exception('é' * 9000)").error.encode()) <= 4096


def test_input_is_at_its_end(python):
    for code in ("input()", "exit(3)", "input()"):
        done = python(code)
        assert done[:3] == (("x", 3, "") if code == "exit(3)" else ("e", 1, "EOFError: EOF when reading a line"))


def test_exit_is_told_and_keeps_the_state(python):
    python("x = 1")
    assert python("raise SystemExit")[:3] == ("x", 0, "")
    assert python("import sys; sys.exit(300)")[:2] == ("x", 44)
    done = python("sys.exit('why')")
    assert done[:2] == ("x", 1) and done.err == "why\n"
    assert python("x").out == "1\n"


def test_code_that_is_none(python):
    assert python(b"x = 1\0").error == "SyntaxError: source code string cannot contain null bytes"
    assert python(b"x = '\xff'").error.startswith("SyntaxError: (unicode error) 'utf-8' codec can't decode")
    assert python(b"# coding: latin-1\nx = '\xff'\nx == chr(255)").out == "True\n"
    assert python(b"# coding: nothing\n").error.startswith("SyntaxError: ")
    assert python("(" * 100000).status == "e"
    assert python("-" * 100000 + "1").status == "e"
    assert python("1").out == "1\n"


def test_much_code_and_much_output(python):
    assert python("x = '" + "a" * (10 << 20) + "'\nlen(x)").out == f"{10 << 20}\n"
    done = python("import sys\nfor i in range(100): sys.stdout.write('o' * 100000); sys.stderr.write('e' * 1000)\n")
    assert (len(done.out), len(done.err)) == (10**7, 10**5)


def test_an_interrupt_keeps_the_state(python):
    python("import time, subprocess\nx = 1")
    for code in ("while True: pass", "time.sleep(1000)", "subprocess.run(['sleep', '1000'])",
                 "import threading; threading.Event().wait()"):
        python.begin(f"print('ready')\n{code}")
        python.wait_for("ready")
        python.interrupt()
        done = python.finish()
        assert done[:3] == ("i", 0, "KeyboardInterrupt") and done.err.endswith("KeyboardInterrupt\n"), done
        assert "python-repl" not in done.err
    # and does nothing between calls
    python.interrupt()
    assert python("x").out == "1\n"


def test_an_interrupt_before_the_code_begins(python):
    python("x = 1")
    python.begin_slowly("x = 2")
    assert python.finish()[:3] == ("i", 0, "KeyboardInterrupt")
    assert python("x").out == "1\n"


def test_an_interrupt_that_is_ignored_once(python):
    python.begin("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('ready')\ntime.sleep(0.5)\n5")
    python.wait_for("ready")
    python.interrupt()
    assert python.finish().out == "ready\n5\n"
    python.begin("print('ready')\ntime.sleep(1000)")
    python.wait_for("ready")
    python.interrupt()
    assert python.finish().status == "i"


def test_code_cannot_speak_for_the_driver(python):
    assert python("print('D\\0\\0\\0\\2o\\0')").out == "D\0\0\0\2o\0\n"
    # a child that comes back from the code
    done = python("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nelse: x = 'child'")
    assert done.status == "o"
    assert python("'x' in globals()").out == "False\n"
    done = python("pid = os.fork()\nif pid: print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\nelse: exit(7)")
    assert done.out == "7\n"
    # programs have no third descriptor
    done = python("import subprocess\nsubprocess.run('ls /proc/self/fd', shell=True, close_fds=False)\n0")
    assert done.out.split() == ["0", "1", "2", "3", "0"], "3 is the folder that ls reads"


def test_streams_that_the_code_replaces_or_closes(python):
    assert python("import io, sys\nold = sys.stdout\nsys.stdout = io.StringIO()\nprint('hidden')").out == ""
    assert python("old.write(sys.stdout.getvalue())\nsys.stdout = old\nprint('back')").out == "hidden\nback\n"
    assert python("sys.stdout = 5\n1/0").error == "ZeroDivisionError: division by zero"
    assert python("sys.stdout = old; print('again')").out == "again\n"
    assert python("sys.stdout.close()").status == "o"
    assert python("print(1)").error == "ValueError: I/O operation on closed file."
    assert python("sys.stderr = None\n1/0").status == "e"
    assert python("import os\nos.close(1)").status == "o"
    assert python("x = 1").status == "o"


def test_low_descriptors_are_the_codes_own(python):
    assert python("import os\nos.closerange(3, 32)\nfd = os.open('/dev/null', os.O_RDONLY)\nfd").out == "3\n"
    assert python("os.dup2(fd, 5)").out == "5\n"
    # with the channel it ends itself
    assert python("os.closerange(3, 1000)") is None


def test_an_interpreter_that_ends_itself(python):
    assert python("import os\nprint('last')\nos._exit(3)") is None
    assert python.wait() == 3


def test_threads_go_on(python):
    python("import threading, queue\nq = queue.Queue()\nt = threading.Thread(target=lambda: print(q.get()))\nt.start()")
    assert python("q.put('there'); t.join()").out == "there\n"


def test_paths_and_arguments(python, tmp_path):
    (tmp_path / "own.py").write_text("value = 5\n")
    assert python("import own, sys\nown.value, sys.argv").out == "(5, [''])\n"
    assert python("[p for p in sys.path if 'drivers' in p]").out == "[]\n"
    assert python("'MPLBACKEND' in __import__('os').environ").out == "True\n"


FAKE = """
import types
class Figure:
    def savefig(self, file, format): file.write(b'figure')
figures = {}
def figure(number=None):
    return figures.setdefault(number or len(figures) + 1, Figure())
def get_fignums(): return sorted(figures)
def close(number): del figures[number]
"""


def test_figures_become_files_when_asked(python, tmp_path):
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("")
    (tmp_path / "matplotlib" / "pyplot.py").write_text(FAKE)
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "figure-1.png").symlink_to(tmp_path / "elsewhere")
    assert python("import matplotlib.pyplot as plt\nplt.figure(); plt.figure(); x = 1").status == "o"
    assert python("1", flags=FIGURES | ECHO).out == "1\n"
    assert sorted(p.name for p in (tmp_path / "output").iterdir()) == ["figure-1.png", "figure-2.png", "figure-3.png"]
    assert (tmp_path / "output" / "figure-2.png").read_bytes() == b"figure" and not (tmp_path / "elsewhere").exists()
    python("del plt.Figure.savefig; plt.figure(); 1")
    done = python("1", flags=FIGURES)
    assert done.status == "o" and done.err.startswith("creel: figure 1 was not saved: ")
    assert python("plt.get_fignums()").out == "[]\n"
