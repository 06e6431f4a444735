# SPDX-License-Identifier: MIT
"""A Python that has imported modules before there is a run: waits for one, becomes it, and serves no other.

  INTERPRETER prepared.py COLD MODULE ...      descriptor 3: a SOCK_SEQPACKET socket to the keeper

COLD is the driver of an interpreter that starts for a run (python-run.py). It is executed here, too, when the run is known, with the
same arguments and the code on the same descriptor, so that both show the same. One packet goes each way: "H" to the keeper when the modules are imported ("P": not all of them), and from
it the run: label, working directory and arguments, each with a NUL behind it, and four descriptors: code, stdin, stdout,
stderr.

Taking down what was imported would take longer than most runs, so its end is a short one: what a script's end promises happens
(threads waited for, atexit, the code's own names dropped, files and streams flushed, libc's exit), and the rest goes with the
process. What imports made is left out of the garbage collector's rounds for that.

It was executed anew, so layout and hash seed are its own. Until the run it is not dumpable: nobody but root looks into it.
What it imported must be what the run would import: when a folder of its path changed since, or the working directory has a
module of such a name, it executes COLD in its place, as if it had not been there.
"""

import sys

sys.path.pop(0)  # the drivers' folder, where no module is anybody's to import

# behind that line: what these import must not come from there
import _socket  # noqa: E402
import atexit  # noqa: E402
import gc  # noqa: E402
import importlib.machinery  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import site  # noqa: E402
import threading  # noqa: E402

CHANNEL = 3
PACKET_MAX = 192 * 1024  # label, directory and arguments at their longest (shell/bus/run.h)
PR_SET_DUMPABLE = 4
FIRST_TO_GO = "1000"
EXIT_DIRECTORY = 124  # shell/run/birth.h


def set_dumpable(yes):
    """Its /proc belongs to root, and it cannot be traced, while it is not."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, int(yes), 0, 0, 0) != 0:
        sys.exit("creel: prctl(PR_SET_DUMPABLE): " + os.strerror(ctypes.get_errno()))


def set_oom_score(score):
    """Whoever needs the memory more gets it. Raised by itself it may be lowered again (proc_pid_oom_score_adj(5))."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(score)
    except OSError:
        pass  # a policy that lets it write nothing in /proc: then it is as any other process


def preload(names):
    """Whether all of them could be imported. What one does or says meanwhile is nobody's business yet."""
    whole = True
    for name in names:
        try:
            __import__(name)
        except BaseException:  # SystemExit, too: the run asks again, and is told
            whole = False
    return whole


def stamp():
    """The folders that decide what an import finds, as they are."""
    folders = list(sys.path)
    if site.ENABLE_USER_SITE and site.getusersitepackages() not in folders:
        folders.append(site.getusersitepackages())
    found = []
    for folder in folders:
        try:
            status = os.stat(folder)
            found.append((folder, status.st_ino, status.st_mtime_ns))
        except OSError:
            found.append((folder, None, None))
    return found


def shadowed(directory, names):
    """The working directory comes first on a run's path."""
    endings = ["", *importlib.machinery.all_suffixes()]
    tops = {name.partition(".")[0] for name in names}
    return any(os.path.lexists(os.path.join(directory, top + ending)) for top in tops for ending in endings)


def receive():
    """The run: its words and descriptors. Ends quietly when the keeper has none for it."""
    channel = _socket.socket(fileno=CHANNEL)
    space = _socket.CMSG_SPACE(4 * 4)
    data, rights, flags, _ = channel.recvmsg(PACKET_MAX, space, _socket.MSG_CMSG_CLOEXEC)
    whole = not flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC)
    if not whole or not data.endswith(b"\0") or len(rights) != 1 or len(rights[0][2]) != 4 * 4:
        os._exit(0)
    channel.close()
    label, directory, *arguments = [os.fsdecode(word) for word in data[:-1].split(b"\0")]
    return label, directory, arguments, list(memoryview(rights[0][2]).cast("i"))


def take_streams(streams):
    """The run's in place of the ones until now, made as the interpreter makes them at its start."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # what imports printed is gone with the old descriptors
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(streams[fd], fd)
        os.close(streams[fd])
        old = getattr(sys, name)
        buffer = open(fd, "rb" if fd == 0 else "wb", closefd=False)
        buffer.raw.name = f"<{name}>"
        stream = io.TextIOWrapper(buffer, old.encoding, old.errors, "\n", name == "stderr" or os.isatty(fd))
        stream.mode = "r" if fd == 0 else "w"
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def exit_status(problem):
    """What the interpreter makes of a SystemExit."""
    if problem.code is None:
        return 0
    if isinstance(problem.code, int):
        return problem.code & 0xFF
    print(problem.code, file=sys.stderr)
    return 1


def flush_files():
    """What the code wrote and did not close; text before what is below it. One that fails has nobody left to tell."""
    files = [thing for thing in gc.get_objects() if isinstance(thing, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom))]
    for file in sorted(files, key=lambda thing: not isinstance(thing, io.TextIOWrapper)):
        try:
            if not file.closed and file.writable():
                file.flush()
        except BaseException:
            continue


def flush_stdout():
    """Whether nothing that was printed is lost; says it where that is so."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except BaseException as problem:
        print(f"Exception ignored in: {sys.stdout!r}\n{type(problem).__name__}: {problem}", file=sys.stderr)
        return False
    return True


def end(status):
    """Py_FinalizeEx() without what only frees memory."""
    import ctypes

    threading._shutdown()
    atexit._run_exitfuncs()
    whole = flush_stdout()
    flush_files()  # a collector's round may close what is below a text before the text
    names = sys.modules["__main__"].__dict__
    for hidden in (True, False):  # in the interpreter's order
        for name in list(names):
            if name != "__builtins__" and (name[:1] == "_" and name[:2] != "__") == hidden:
                names[name] = None
    gc.collect()
    flush_files()
    # with the interpreter's lock, so that no thread goes on meanwhile
    ctypes.PyDLL(None).exit(status if whole else 120)


def main():
    cold, *names = sys.argv[1:]
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        score = file.read()
    set_oom_score(FIRST_TO_GO)
    set_dumpable(False)
    os.set_inheritable(CHANNEL, False)
    with open(cold, "rb") as file:
        driver = compile(file.read(), cold, "exec")
    path = stamp()
    whole = preload(names)
    gc.collect()
    gc.freeze()
    os.write(CHANNEL, b"H" if whole else b"P")

    label, directory, arguments, (code, *streams) = receive()
    set_dumpable(True)
    set_oom_score(score)
    take_streams(streams)
    try:
        os.chdir(directory)
    except OSError as problem:
        print(f"creel: {directory}: {problem.strerror}", file=sys.stderr, flush=True)
        os._exit(EXIT_DIRECTORY)
    os.dup2(code, CHANNEL)
    os.close(code)
    sys.argv = [cold, label, *arguments]
    if stamp() != path or shadowed(directory, names):
        os.execv(sys.executable, [sys.executable, *sys.argv])
    os.set_inheritable(CHANNEL, False)
    importlib.invalidate_caches()
    sys.path.insert(0, os.path.dirname(cold))  # as it finds it
    status = 0
    try:
        exec(driver, {"__name__": "__main__", "__builtins__": sys.modules["builtins"]})
    except SystemExit as problem:
        status = exit_status(problem)
    end(status)


main()
