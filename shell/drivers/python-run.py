# SPDX-License-Identifier: MIT
"""Executes the Python code on descriptor 3 as the script that it would be: python-run.py LABEL [ARGUMENT ...].

The code is the module __main__ with the label for its file's name, sys.path begins with the working directory, and what Python
shows of an exception has its lines of source and no frame of this file's. It starts nothing that the interpreter has not
imported anyway: a run's price is the interpreter's.
"""
import os
import sys


def read_code():
    parts = []
    while part := os.read(3, 1 << 20):
        parts.append(part)
    os.close(3)
    return b"".join(parts)


def lines_of(code):
    """As Python itself reads a file, without its decoder where the code is plain UTF-8."""
    try:
        text = code.decode("utf-8-sig")
    except UnicodeDecodeError:
        import io
        import tokenize
        try:
            text = io.TextIOWrapper(io.BytesIO(code), tokenize.detect_encoding(io.BytesIO(code).readline)[0]).read()
        except (SyntaxError, UnicodeDecodeError):
            text = code.decode("utf-8", "replace")
    return text.splitlines(True)


def show_source(label, code):
    """The code's lines for whoever asks linecache: at once where it is there, else as soon as it is imported."""
    def enter(linecache):
        linecache.cache[label] = (len(code), None, lines_of(code), label)

    if "linecache" in sys.modules:
        enter(sys.modules["linecache"])
        return

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "linecache":
                return None
            sys.meta_path.remove(Finder)
            spec = sys.modules["_frozen_importlib_external"].PathFinder.find_spec(name)
            execute = spec.loader.exec_module

            def execute_and_enter(module):
                execute(module)
                enter(module)

            spec.loader.exec_module = execute_and_enter
            return spec

    sys.meta_path.insert(0, Finder)


def show(error, frames):
    """What the interpreter does with an exception that nobody took, less the first `frames` of it."""
    trace = error.__traceback__
    for _ in range(frames):
        trace = trace and trace.tb_next
    error.__traceback__ = trace
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, trace)
        return
    import traceback
    try:
        sys.stdout.flush()
    except Exception:
        pass
    if sys.stderr is not None:
        traceback.print_exception(type(error), error, trace)


def save_figures(folder):
    names = {}
    path = os.path.join(os.path.dirname(__file__), "figures.py")
    with open(path) as file:
        exec(compile(file.read(), path, "exec"), names)
    names["save"](folder)


def main():
    label = sys.argv[1]
    figures = os.environ.pop("CREEL_FIGURES", None)
    del sys.argv[0]
    sys.path[0] = os.getcwd()
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # a run that is killed has said what it printed
    code = read_code()
    show_source(label, code)
    module = type(sys)("__main__")
    module.__file__ = label
    sys.modules["__main__"] = module
    try:
        if b"\0" in code:
            raise SyntaxError("source code cannot contain null bytes", (label, None, None, None))
        program = compile(code, label, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        show(error, 1)
        return 1
    del code
    try:
        exec(program, module.__dict__)
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        show(error, 1)
        return 130
    except BaseException as error:
        show(error, 1)
        return 1
    finally:
        if figures:
            save_figures(figures)
    return 0


sys.exit(main())
