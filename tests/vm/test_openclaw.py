# SPDX-License-Identifier: MIT
"""OpenClaw's SSH backend: the commands it really sends, one connection each, no control master."""

import subprocess
import uuid

import pytest

from harness import Host, marker, wait_until


def quote(word):
    """As the client quotes: ' becomes '"'"'."""
    return "'" + word.replace("'", "'\"'\"'") + "'"


def command(*words):
    return " ".join(map(quote, words))


@pytest.fixture
def claw(vm):
    return Host(vm, "agent", ["-T", "-o", "RequestTTY=no", "-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=15",
                              "-o", "ServerAliveCountMax=3", "-o", "UpdateHostKeys=no", "-o", "IdentitiesOnly=yes"])


STAGE = 'umask 077 && mkdir -- "$1" && cat > "$1/exec.sh" && chmod 700 "$1/exec.sh"'


def stage(claw, script):
    folder = f"/tmp/openclaw-sandbox-exec-{uuid.uuid4()}"
    claw(command("/bin/sh", "-c", STAGE, "openclaw-sandbox-exec-stage", folder), script).ok()
    return folder


def test_exec_in_three_connections_that_share_tmp(claw):
    folder = stage(claw, "echo out; echo err >&2; pwd; exit 3\n")
    with claw.start(command("/bin/sh", folder + "/exec.sh")) as run:  # stdin stays open
        assert run.stdout.read() == b"out\n/home/agent\n"
        assert run.stderr.read() == b"err\n"
        assert run.wait(30) == 3
    claw.sh(command("rm", "-rf", "--", folder))
    assert claw(command("test", "-e", folder)).rc == 1


def test_staged_script_is_private_and_not_overwritten(claw):
    folder = stage(claw, "true\n")
    assert claw.sh(command("stat", "-c", "%a %U", folder, folder + "/exec.sh")) == "700 agent\n700 agent"
    again = claw(command("/bin/sh", "-c", STAGE, "openclaw-sandbox-exec-stage", folder), "exit 1\n")
    assert again.rc != 0 and b"exists" in again.err
    claw.sh(command("rm", "-rf", "--", folder))


def test_older_form_with_env(claw):
    line = command("env", "A=it's", 'B=two words "x"', "/bin/sh", "-c", 'cd /tmp && printf "%s|%s|%s" "$A" "$B" "$PWD"')
    assert claw.sh(line) == "it's|two words \"x\"|/tmp"


HERE = """set -eu
python3 /dev/fd/3 "$@" 3<<'PY'
import os, sys, stat
%s
root, name = sys.argv[1:3]
data = sys.stdin.buffer.read()
folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
temporary = "." + name + ".tmp"
fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
os.write(fd, data)
os.fsync(fd)
os.close(fd)
os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
assert stat.S_ISREG(os.fstat(fd).st_mode) and os.fstat(fd).st_nlink == 1
sys.stdout.buffer.write(os.read(fd, 1 << 20))
PY
"""


def test_file_tool_with_a_here_document_of_17_kb(claw):
    script = HERE % "".join(f"# line {i:04d}: it's \"padding\" of $the `tool`\n" for i in range(380))
    assert 16_000 < len(script) < 20_000
    data = bytes(range(256)) * 40
    root = claw.sh("mktemp -d")
    done = claw(command("/bin/sh", "-c", script, "openclaw-sandbox-fs", root, "it's a file"), data)
    assert done.ok().out == data
    assert claw.sh(command("stat", "-c", "%s %h", root + "/it's a file")) == "10240 1"
    claw.sh(command("rm", "-rf", "--", root))


def test_file_tool_refuses_a_symbolic_link(claw):
    root = claw.sh("d=$(mktemp -d); mkdir $d/real; ln -s real $d/link; echo $d")
    done = claw(command("/bin/sh", "-c", HERE % "", "openclaw-sandbox-fs", root + "/link", "x"), b"data")
    assert done.rc != 0 and b"Error" in done.err
    claw.sh(command("rm", "-rf", "--", root))


RENAME = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.renameat2(-100, os.fsencode(sys.argv[1]), -100, os.fsencode(sys.argv[2]), 1):
    sys.exit(os.strerror(ctypes.get_errno()))
"""


def test_first_use_stages_a_tree_and_renames_it_into_place(claw, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a file").write_bytes(b"\0\1\2")
    (tmp_path / "src" / "tool.sh").write_text("#!/bin/sh\necho tool\n")
    (tmp_path / "src" / "tool.sh").chmod(0o755)
    place = f"/tmp/openclaw-sandboxes/{uuid.uuid4()}"
    assert claw(command("/bin/sh", "-c", 'test -d "$1"', "openclaw-sandbox-check", place)).rc == 1
    claw.sh(command("/bin/sh", "-c", 'mkdir -p -- "$1.staging"', "openclaw-sandbox-mkdir", place))
    with subprocess.Popen(["tar", "-C", str(tmp_path / "src"), "-cf", "-", "."], stdout=subprocess.PIPE) as tar:
        with claw.start(command("/bin/sh", "-c", 'tar -xf - -C "$1"', "openclaw-sandbox-upload", place + ".staging"),
                        stdin=tar.stdout) as upload:
            assert upload.wait(60) == 0
    move = command("python3", "-c", RENAME, place + ".staging", place)
    claw.sh(move)
    assert claw.sh(command(place + "/tool.sh")) == "tool"
    claw.sh(command("mkdir", place + ".staging"))
    refused = claw(move)
    assert refused.rc == 1 and b"exists" in refused.err
    claw.sh(command("rm", "-rf", "--", place, place + ".staging"))


def test_abort_ends_the_remote_tree(vm, claw):
    one, two = marker(), marker()
    folder = stage(claw, f"sleep {one} &\n(sleep {two})\n")
    with claw.start(command("/bin/sh", folder + "/exec.sh")) as run:
        wait_until(lambda: vm.alive(f"sleep {one}") and vm.alive(f"sleep {two}"))
        run.kill()
        run.wait()
    wait_until(lambda: not vm.alive(f"sleep {one}") and not vm.alive(f"sleep {two}"), 10)
    claw.sh(command("rm", "-rf", "--", folder))


def test_terminal_form(claw):
    assert Host(claw.machine, "agent", ["-tt", "-o", "RequestTTY=force"]).sh(command("/bin/sh", "-c", "tty")) \
        .startswith("/dev/pts/")


def test_twelve_operations_in_a_burst_are_all_accepted(claw):
    """There is no retry: a refused connection is a failed tool call."""
    runs = [subprocess.Popen(claw.argv(command("/bin/sh", "-c", f"echo {i}")), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(12)]
    for i, run in enumerate(runs):
        out, err = run.communicate(timeout=120)
        assert (run.returncode, out) == (0, b"%d\n" % i), err


def test_a_command_of_20_kb_over_many_lines(claw):
    lines = "\n".join(f"x{i}='value {i}'" for i in range(1200))
    assert 18_000 < len(lines) < 30_000
    assert claw.sh(command("/bin/sh", "-c", lines + '\necho "$x1199"')) == "value 1199"
