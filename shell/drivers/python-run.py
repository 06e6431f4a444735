# SPDX-License-Identifier: MIT
"""A Python for one run.

  INTERPRETER python-run.py LABEL [ARGUMENT ...]       descriptor 3: the code

The code runs as a script does: it is `__main__`, its working directory is first on the path, and a traceback shows LABEL and
the code's own lines, without what is here.
"""

import os
import sys

CODE = 3


def read(fd):
    """All of it, wherever its offset is."""
    parts, offset = [], 0
    while part := os.pread(fd, 1 << 20, offset):
        parts.append(part)
        offset += len(part)
    os.close(fd)
    return b"".join(parts)


def show(problem, label, code, own):
    """What the interpreter would print for a script that is a file."""
    import linecache
    import traceback

    lines = code.decode("utf-8", "replace").splitlines(True)
    linecache.cache[label] = (len(code), None, lines, label)
    problem = problem.with_traceback(own)
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(problem), problem, own)
    else:
        traceback.print_exception(problem)


def interrupted():
    """As a shell expects of a program that SIGINT ended."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def run(fd, label, arguments):
    """Executes the code and ends the interpreter as a script's end does: by returning, or by SystemExit."""
    code = read(fd)
    module = type(sys)("__main__")
    module.__builtins__ = sys.modules["builtins"]
    sys.modules["__main__"] = module
    sys.argv = [label, *arguments]
    sys.path.insert(0, os.getcwd())
    try:
        exec(compile(code, label, "exec", dont_inherit=True), module.__dict__)
    except SystemExit:
        raise
    except BaseException as problem:
        show(problem, label, code, problem.__traceback__.tb_next)
        if isinstance(problem, KeyboardInterrupt):
            sys.stdout.flush()
            interrupted()
        sys.exit(1)


def start_again(path, fd, label, arguments):
    """The same, by a fresh interpreter in this one's place."""
    if fd != CODE:
        os.dup2(fd, CODE)
    os.set_inheritable(CODE, True)
    os.execv(sys.executable, [sys.executable, path, label, *arguments])


if __name__ == "__main__":
    sys.path.pop(0)
    run(CODE, sys.argv[1], sys.argv[2:])
