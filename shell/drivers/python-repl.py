# SPDX-License-Identifier: MIT
"""A Python session: runs in the interpreter whose state it keeps, as the agent, and answers the keeper on descriptor 3.

Frames are type (1 byte), length (4 bytes, big endian), payload. R in: flags (1 byte: 1 figures, 2 echo, from 4 on the
number of interrupts that were sent before, modulo 64), label, NUL, code.
H out: ready. D out: status (o ok, e exception, i interrupted, x exit), exit status, error text.

What it promises: variables, imports and threads stay; a last expression is shown as the interactive interpreter shows it; a
traceback has the code's own lines, and no frame of this file. What the code does to its own interpreter it does to itself:
a session whose driver is broken by it is ended by the keeper, and nobody else believes a word that is said here.

SIGINT interrupts a call, from the moment its code begins to come, and does nothing between calls. What a background thread writes between two calls waits in the pipe
and comes with the next one.
"""
import ast
import builtins
import fcntl
import gc
import io
import linecache
import os
import select
import signal
import struct
import sys
import tokenize
import traceback
import types
import __future__

FIGURES, ECHO = 1, 2
FIGURES_PY = os.path.join(os.path.dirname(__file__), "figures.py")
ERROR_MAX = 4096
SOURCES_MAX = 4 << 20  # bytes of code that tracebacks can show
STDIN, STDOUT, STDERR = 0, 1, 2
CHANNEL_MIN = 64  # away from the low numbers, which programs close and open as they like
FEATURES = [getattr(__future__, name).compiler_flag for name in __future__.all_feature_names]


class Sources:
    """What linecache shows: the code of the last calls, each by a name of its own."""

    def __init__(self):
        self.sizes = {}
        self.calls = 0

    def add(self, label, code):
        self.calls += 1
        # a name like <run> is no file's, and the functions of an earlier call go by it still
        if label in self.sizes and label.endswith(">"):
            label = f"{label[:-1]} {self.calls}>"
        if len(code) > SOURCES_MAX:
            return label
        try:
            text = code.decode(tokenize.detect_encoding(io.BytesIO(code).readline)[0], "replace")
        except (SyntaxError, LookupError):
            text = code.decode("utf-8", "replace")
        self.sizes.pop(label, None)
        self.sizes[label] = len(code)
        linecache.cache[label] = (len(text), None, [line + "\n" for line in text.split("\n")], label)
        while sum(self.sizes.values()) > SOURCES_MAX:
            oldest = next(iter(self.sizes))
            del self.sizes[oldest]
            linecache.cache.pop(oldest, None)
        return label


def own_frames(trace):
    """A traceback without this file's frames: those that called the code, and the one that interrupted it."""
    steps = []
    while trace:
        if trace.tb_frame.f_code.co_filename != __file__:
            steps.append(trace)
        trace = trace.tb_next
    for step in reversed(steps):
        trace = types.TracebackType(trace, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return trace


class Driver:
    def __init__(self):
        self.channel = fcntl.fcntl(3, fcntl.F_DUPFD_CLOEXEC, CHANNEL_MIN)
        os.close(3)
        self.input = io.open(self.channel, "rb", closefd=False)
        self.pid = os.getpid()
        self.running = self.receiving = False
        self.interrupts = 0  # that were sent before this call
        self.early = self.known = 0  # since the call before began: while this one came, and others
        self.sources = Sources()
        self.future = 0
        self.output = os.environ.get("CREEL_OUTPUT", "")
        self.figures, self.save = 0, None
        self.main = types.ModuleType("__main__")
        self.main.__dict__["__builtins__"] = builtins
        self.os_write, self.os_exit, self.getpid, self.readable = os.write, os._exit, os.getpid, select.select
        os.register_at_fork(after_in_child=self.on_fork)

    def on_fork(self):
        """A child of the code's has no part in the protocol."""
        try:
            os.close(self.channel)
        except OSError:
            pass

    def on_interrupt(self, number, frame):
        if self.getpid() != self.pid:
            return
        if self.running:
            self.known += 1
            raise KeyboardInterrupt
        # of the call that has begun to come, or of the one before, which it came too late for
        if self.receiving or self.readable([self.channel], [], [], 0)[0]:
            self.early += 1
        else:
            self.known += 1

    def was_interrupted(self, before):
        """Before its code began. `before`: what R says of interrupts."""
        owed = max((before - self.interrupts) % 64 - self.known, 0)
        self.interrupts, self.known, self.early = before, max(self.early - owed, 0), 0
        return self.known > 0

    # ---- the protocol --------------------------------------------------------------------------------------------
    def send(self, kind, payload=b""):
        data = memoryview(kind + struct.pack(">I", len(payload)) + payload)
        while data:
            data = data[self.os_write(self.channel, data):]

    def receive(self):
        self.readable([self.channel], [], [])
        self.receiving = True
        head = self.input.read(5)
        if len(head) < 5:
            return None
        kind, length = head[:1], struct.unpack(">I", head[1:])[0]
        payload = self.input.read(length)
        return (kind, payload) if len(payload) == length else None

    def serve(self):
        self.send(b"H")
        while True:
            frame = self.receive()
            if not frame or frame[0] != b"R":
                self.os_exit(0)
            label, _, code = frame[1][1:].partition(b"\0")
            status, value, error = self.call(frame[1][0], label.decode("utf-8", "replace") or "<run>", code)
            if self.getpid() != self.pid:
                self.os_exit(value if status == b"x" else status != b"o")
            text = error.encode("utf-8", "backslashreplace")[:ERROR_MAX].decode("utf-8", "ignore")
            self.send(b"D", status + bytes([value & 0xFF]) + text.encode())

    # ---- one call ------------------------------------------------------------------------------------------------
    def call(self, flags, label, code):
        """Returns status, exit status, error text."""
        self.repair()
        try:
            self.running = True
            try:
                return self.perform(flags, label, code)
            finally:
                self.flush()
                self.running = self.receiving = False
        except KeyboardInterrupt:
            # it came while there was nothing of the code's to interrupt
            self.running = self.receiving = False
            return b"i", 0, "KeyboardInterrupt"

    def repair(self):
        """What an earlier call may have taken away, and the next one relies on."""
        signal.signal(signal.SIGINT, self.on_interrupt)
        try:
            closed = sys.stdin is None or sys.stdin.closed  # by exit()
        except Exception:
            closed = False
        if closed:
            try:
                sys.stdin = sys.__stdin__ = open(STDIN, closefd=False)
            except OSError:
                pass

    def perform(self, flags, label, code):
        try:
            if self.was_interrupted(flags >> 2):
                raise KeyboardInterrupt
            self.execute(self.sources.add(label, code), code, flags & ECHO)
            if flags & FIGURES:
                self.save_figures()
            return b"o", 0, ""
        except SystemExit as end:
            return self.leave(end)
        except BaseException as error:
            return self.fail(error)

    def execute(self, name, code, echo):
        try:
            # as a tree it takes several times the memory and the time
            body = compile(code, name, "exec", self.future | (ast.PyCF_ONLY_AST if echo else 0), dont_inherit=True)
        except ValueError as error:  # a NUL, before Python 3.12
            raise SyntaxError(str(error)) from None
        last = None
        if echo:
            if body.body and isinstance(body.body[-1], ast.Expr):
                last = ast.Interactive([body.body.pop()])
            body = compile(body, name, "exec", self.future, dont_inherit=True)
        for feature in FEATURES:
            self.future |= body.co_flags & feature
        exec(body, self.main.__dict__)
        if last:
            # it goes to sys.displayhook, which shows it and sets _
            exec(compile(last, name, "single", self.future, dont_inherit=True), self.main.__dict__)

    def leave(self, end):
        if end.code is None:
            return b"x", 0, ""
        if isinstance(end.code, int):
            return b"x", end.code & 0xFF, ""
        print(end.code, file=sys.stderr)
        return b"x", 1, ""

    def fail(self, error):
        trace = error.__traceback__ = own_frames(error.__traceback__)
        kind = type(error)
        # the interpreter's own does not ask linecache
        hook = traceback.print_exception if sys.excepthook is sys.__excepthook__ else sys.excepthook
        for show in (hook, traceback.print_exception):
            try:
                show(kind, error, trace)
                break
            except Exception:
                continue  # a hook of the code's, or a stream that is none any more: the error is told all the same
        if isinstance(error, KeyboardInterrupt):
            return b"i", 0, "KeyboardInterrupt"
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
        lines = traceback.format_exception_only(kind, error)
        # before it, in a SyntaxError, the place; after it the notes
        text = next((line for line in lines if not line.startswith(" ")), lines[-1])
        return b"e", 1, text.strip()

    def flush(self):
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except KeyboardInterrupt:
                raise
            except BaseException:
                pass  # closed, replaced by something else, or gone

    def save_figures(self):
        if not self.save:
            names = {}
            with open(FIGURES_PY) as file:
                exec(compile(file.read(), FIGURES_PY, "exec"), names)
            self.save = names["save"]
        self.figures = self.save(self.output, self.figures)



def main():
    driver = Driver()
    signal.signal(signal.SIGINT, driver.on_interrupt)
    sys.path[0] = ""  # the working directory, instead of this file's
    sys.argv = [""]
    sys.modules["__main__"] = driver.main
    # a reader of partial output misses no line
    sys.stdout.reconfigure(line_buffering=True)
    gc.freeze()
    driver.serve()


main()
