# SPDX-License-Identifier: MIT
"""The output folder: what a run put there is listed, whatever it is, and nothing of it holds up the keeper."""
import hashlib
import os
import shutil
import stat
import time

import pytest

import runs
from conftest import UID, wait_until
from test_runs import run

UNKNOWN = 2**64 - 1
CLOCK_REALTIME_COARSE = 5  # linux/time.h


@pytest.fixture
def folder(keeper):
    folder = keeper.home / "workspace" / "output"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def files(result):
    return {name: (status, size, digest) for name, size, digest, status in result.get("files", [])}


def collected(client, code, language="bash", **options):
    result = run(client, language, code, collect=True, **options)
    assert result["reason"] == "ok", result
    return result


def digest(data):
    return hashlib.sha256(data).hexdigest()


def settle():
    """What is changed from now on has a later time than what was changed before, which from Linux 6.13 on may be a time of the
    fine clock: the coarse one is up to two of its steps behind it."""
    before = time.clock_gettime_ns(time.CLOCK_REALTIME)
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= before:
        pass


def test_new_and_changed_files(client, folder):
    found = files(collected(client, "cd output; echo one >one; mkdir sub; echo two >sub/two"))
    assert found == {"one": ("ok", 4, digest(b"one\n")), "sub/two": ("ok", 4, digest(b"two\n"))}
    assert folder.stat().st_uid == UID
    settle()
    assert files(collected(client, "cat output/one")) == {}
    assert files(collected(client, "echo more >>output/one")) == {"one": ("ok", 9, digest(b"one\nmore\n"))}
    settle()
    # only who asks gets a list
    result = run(client, "bash", "echo x >output/three")
    assert "files" not in result and "files_left_out" not in result


def test_the_policy_says_which_and_how_large(client, keeper, folder):
    keeper.policy("[output]\ntypes = *.png, *.csv\nmax_file_size = 1K\n")
    found = files(collected(client, "cd output; echo >a.png; head -c 1024 /dev/zero >b.csv; head -c 1025 /dev/zero >c.csv; echo >d.sh"))
    assert found == {
        "a.png": ("ok", 1, digest(b"\n")),
        "b.csv": ("ok", 1024, digest(bytes(1024))),
        "c.csv": ("too-large", 1025, ""),
        "d.sh": ("type", 1, ""),
    }
    assert (folder / "c.csv").stat().st_size == 1025  # left where it is


def test_another_folder(client, keeper):
    keeper.policy("[output]\ndir = workspace/results/today\n")
    assert files(collected(client, "echo >results/today/x; mkdir -p output; echo >output/y")) == {"x": ("ok", 1, digest(b"\n"))}


def test_somebody_elses_folder_is_not_listed(client, keeper, folder):
    folder.mkdir(parents=True)
    os.chown(folder, 0, 0)
    (folder / "roots").write_text("x")
    result = collected(client, "true")
    assert files(result) == {} and result["files_left_out"] == UNKNOWN
    shutil.rmtree(folder)


def test_devices(client, folder):
    """Which no agent makes: nothing is read from one."""
    collected(client, "true")
    os.mknod(folder / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mknod(folder / "block", stat.S_IFBLK | 0o666, os.makedev(7, 200))
    result = collected(client, "touch -c output/*; echo x >output/y; mknod output/own c 1 5; test ! -e output/own")
    assert result["reason"] == "ok"
    assert files(result) == {"zero": ("special", 0, ""), "block": ("special", 0, ""), "y": ("ok", 2, digest(b"x\n"))}
    shutil.rmtree(folder)


def test_strange_files(client, folder):
    code = r"""
import os, socket
os.chdir("output")
os.symlink("/etc/shadow", "link")
os.symlink("/", "folder-link")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
open("closed", "w").write("x"); os.chmod("closed", 0)
open("new\nline", "w")
open(b"\xff\xfe.txt", "w")
open("one", "w").write("x"); os.link("one", "two")
"""
    result = collected(client, code, "python")
    empty = ("ok", 0, digest(b""))
    assert files(result) == {
        "link": ("special", 0, ""),
        "folder-link": ("special", 0, ""),
        "fifo": ("special", 0, ""),
        "socket": ("special", 0, ""),
        "closed": ("special", 1, ""),
        "new\nline": empty,
        "\\xff\\xfe.txt": empty,
        "one": ("ok", 1, digest(b"x")),
        "two": ("ok", 1, digest(b"x")),
    }


def test_very_many_files_are_counted(client, folder):
    # of each kind that an agent can make
    code = """
import os
os.chdir("output")
for i in range(0, 100000, 4):
    open(f"{i}", "w").close()
    os.symlink("/dev/zero", f"{i + 1}")
    os.mkfifo(f"{i + 2}")
    os.link(f"{i}", f"{i + 3}")
"""
    result = collected(client, code, "python")
    assert len(files(result)) == 1000 and result["files_left_out"] == 99000
    kinds = {status for status, _, _ in files(result).values()}
    assert kinds == {"ok", "special"}
    settle()
    result = collected(client, "echo >output/one-more")
    assert files(result) == {"one-more": ("ok", 1, digest(b"\n"))} and "files_left_out" not in result
    shutil.rmtree(folder)


def test_a_run_that_ends_badly_leaves_files_all_the_same(client, folder):
    result = run(client, "bash", "echo x >output/x; exit 3", collect=True)
    assert result["reason"] == "exit" and files(result) == {"x": ("ok", 2, digest(b"x\n"))}
    result = run(client, "bash", "echo y >output/y; sleep 600", collect=True, timeout=2000000)
    assert result["reason"] == "timeout" and files(result)["y"] == ("ok", 2, digest(b"y\n"))
    # the time that collecting takes is none of the run's
    assert result["duration"] < 30000000


def test_a_collector_that_is_ended_takes_only_the_list(client, folder):
    code = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if open(f"/proc/{pid}/comm").read() == "creel-collect\\n":
            os.kill(int(pid), signal.%s)
            print("ended")
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        pass
open("output/x", "w")
"""
    result = collected(client, code % "SIGKILL", "python")
    assert result["stdout"] == b"ended\n" and files(result) == {} and result["files_left_out"] == UNKNOWN


def test_calls_of_a_session(client, folder):
    assert files(collected(client, "open('output/one', 'w').write('x'); n = 1", "python", session="s"))["one"][0] == "ok"
    settle()
    result = collected(client, "open('output/two', 'w').write('x' * n)", "python", session="s")
    assert files(result) == {"two": ("ok", 1, digest(b"x"))} and result["files_directory"] == str(folder)
    assert "files" not in run(client, "python", "open('output/three', 'w')", session="s")
    client.call("Reset", "ss", ["python", "s"])


FIGURES = """
import sys, types
class Figure:
    def savefig(self, file, format): file.write(b"picture")
pyplot = types.ModuleType("matplotlib.pyplot")
pyplot.get_fignums, pyplot.figure, pyplot.close = (lambda: [1, 2]), (lambda number: Figure()), (lambda number: None)
sys.modules["matplotlib.pyplot"] = pyplot
"""


def test_figures(client, folder):
    ended = run(client, "python", FIGURES + "sys.exit(3)", collect=True, figures=True)
    assert ended["exit_code"] == 3 and sorted(files(ended)) == ["figure-1.png", "figure-2.png"], ended
    settle()
    more = collected(client, FIGURES, "python", figures=True)
    assert sorted(files(more)) == ["figure-3.png", "figure-4.png"]
    settle()
    assert files(collected(client, FIGURES, "python")) == {}
    with pytest.raises(runs.Refused) as why:
        run(client, "bash", "true", figures=True)
    assert "figures: only Python" in why.value.args[1]


def test_a_folder_said_with_a_tilde(client, keeper):
    keeper.policy("[output]\ndir = ~/out\n")
    assert set(files(collected(client, "echo x >~/out/x"))) == {"x"}
    settle()
    assert set(files(collected(client, "echo x >~/out/y", session="s"))) == {"y"}
    client.call("Reset", "ss", ["bash", "s"])


def test_nothing_is_left(client, keeper, folder):
    collected(client, "true")
    before = keeper.descriptors()
    for _ in range(30):
        collected(client, "echo x >output/x")
    # a caller that goes while its files are collected
    other = keeper.client()
    other.run("bash", b"head -c 50000000 /dev/zero >output/large", {"collect": True}, None)
    other.peer.close()
    wait_until(lambda: not keeper.left(), keeper.left)
    assert keeper.descriptors() <= before
