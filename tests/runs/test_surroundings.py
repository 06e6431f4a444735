# SPDX-License-Identifier: MIT
"""Independent runs, runs without a network, and bash runs with lists of programs: what they may, and what is left of them."""
import os
import pathlib
import subprocess
import time

import pytest

import runs
from conftest import UID, wait_until
from test_runs import pipe_of, run

BASH_ALLOW = "[exec]\nbash_allow = cat, head\n"


def mounts():
    return open("/proc/self/mounts").read()


# ---- independent -------------------------------------------------------------------------------------------------------
def test_nothing_is_left_but_the_output(client, keeper):
    run(client, "bash", "mkdir fresh output; cd fresh; echo old > file; mkdir -p folder; echo inner > folder/inner")
    before = mounts()
    code = ("import os, shutil, sys\nos.chdir('fresh')\n"
            "shutil.rmtree('folder'); open('file', 'w').write('new'); open('made', 'w')\n"
            "open('../output/result.txt', 'w').write('stays'); open('/tmp/creel-left', 'w')\n"
            "print(os.getpid(), os.getuid(), sorted(os.listdir('.')), open('file').read(), input())")
    result = run(client, "python", code, pipe_of(b"in\n"), independent=True)
    assert result["reason"] == "ok", result
    assert result["stdout"].decode() == f"2 {os.stat(keeper.home).st_uid} ['file', 'made'] new in\n"
    workspace = keeper.home / "workspace"
    fresh = workspace / "fresh"
    assert (fresh / "file").read_text() == "old\n" and (fresh / "folder" / "inner").exists()
    assert not (fresh / "made").exists() and not os.path.exists("/tmp/creel-left")
    assert (workspace / "output" / "result.txt").read_text() == "stays"
    assert mounts() == before


def test_the_policy_may_demand_it(client, keeper):
    keeper.policy("[exec]\nfilesystem = independent\n")
    assert run(client, "bash", "echo x > gone; echo $$")["stdout"] == b"2\n"
    assert not (keeper.home / "workspace" / "gone").exists()


def test_its_endings_are_told_as_of_any_run(client):
    assert run(client, "bash", "exit 7", independent=True)["exit_code"] == 7
    result = run(client, "bash", "kill -SEGV $$", independent=True)
    assert (result["reason"], result["error"]) == ("signal", "Error: ended by SIGSEGV")
    result = run(client, "bash", "(setsid sleep 1000 &) ; echo begun; sleep 1000", independent=True, timeout=5000000)
    assert (result["reason"], result["error"], result["stdout"]) == ("timeout", "Error: timeout exceeded", b"begun\n")
    begin = time.monotonic()
    assert run(client, "bash", "(trap '' TERM HUP; setsid sleep 1000) & exit 0", independent=True)["reason"] == "ok"
    assert time.monotonic() - begin < 60


def test_a_directory_that_it_does_not_have(client):
    result = run(client, "bash", "pwd", independent=True, directory="/run/lock")
    assert (result["reason"], result["error"]) == ("refused",
                                                   'Error: directory: "/run/lock" is not there in an independent run')


def test_an_output_folder_that_is_a_link(client, keeper):
    run(client, "bash", "mkdir -p output; mv output elsewhere; ln -s /etc output")
    result = run(client, "bash", "echo began", independent=True)
    run(client, "bash", "rm output; mv elsewhere output")
    assert result["reason"] == "refused" and b"output folder" in result["stderr"] and b"began" not in result["stdout"]


def test_the_scratch_is_bounded(client, keeper):
    keeper.policy("[exec]\nscratch = 4M\n")
    result = run(client, "bash", "for f in ~/big /tmp/big /dev/shm/big; do head -c 8000000 /dev/zero > $f; rm $f; done", independent=True)
    assert result["stderr"].count(b"No space left on device") == 3


def test_a_full_scratch_is_the_reason(client, keeper):
    keeper.policy("[exec]\nscratch = 4M\n")
    for place in ("~/big", "/tmp/big"):
        result = run(client, "bash", f"head -c 8000000 /dev/zero > {place}", independent=True)
        assert (result["reason"], result["error"]) == ("disk", "Error: disk limit exceeded (4M that an independent run may write)")
    assert run(client, "bash", "for ((i = 0; ; i++)); do : > /tmp/$i || exit 5; done", independent=True)["reason"] == "disk"
    # what was lived with is none, and what it removed was not in the way
    assert run(client, "bash", "head -c 8000000 /dev/zero > /tmp/big; true", independent=True)["reason"] == "ok"
    assert run(client, "bash", "head -c 8000000 /dev/zero > /tmp/big; rm /tmp/big; exit 5", independent=True)["reason"] == "exit"


def test_all_languages(client):
    for language, code in (("python", "print(6*7)"), ("bash", "echo 42"), ("javascript", "console.log(42)")):
        assert run(client, language, code, independent=True)["stdout"] == b"42\n"


def test_a_killed_keeper_leaves_no_mounts(keeper, client):
    before = mounts()
    number = client.run("bash", b"echo x > /tmp/creel-left; sleep 1000", {"independent": True})
    wait_until(lambda: keeper.left() and (keeper.leaves / f"run-{number}" / "cgroup.procs").read_text(), timeout=30)
    keeper.kill()
    keeper.start()
    wait_until(lambda: not keeper.left(), keeper.left, timeout=30)
    assert mounts() == before and not os.path.exists("/tmp/creel-left")
    assert run(keeper.client(), "bash", "echo again", independent=True)["stdout"] == b"again\n"


# ---- network -----------------------------------------------------------------------------------------------------------
def test_none(client):
    code = ("import socket\nprint([name for _, name in socket.if_nameindex()])\n"
            "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()); print('own')\n"
            "try: socket.create_connection(('192.0.2.1', 9), 5)\nexcept OSError as e: print(e.errno)")
    for independent in (False, True):
        result = run(client, "python", code, network="none", independent=independent)
        assert result["stdout"] == b"['lo']\nown\n101\n", result


@pytest.fixture
def door():
    """A file where the keepers' sockets are."""
    made = not os.path.isdir("/run/creel")
    if made:
        os.mkdir("/run/creel")
    path = f"/run/creel/test-{os.getpid()}"
    open(path, "w").close()
    yield path
    os.unlink(path)
    if made:
        os.rmdir("/run/creel")


def test_none_has_no_doors_to_those_who_have(client, door):
    look = f"test -e {door} && echo there || echo not"
    assert run(client, "bash", look)["stdout"] == b"there\n"
    assert run(client, "bash", look, network="none")["stdout"] == b"not\n"
    assert run(client, "bash", look, independent=True)["stdout"] == b"not\n"


def test_restricted_is_refused_where_nothing_marks_it(client):
    if os.path.exists("/sys/fs/bpf/creel/mark/mark"):
        pytest.skip("this machine marks sockets")
    with pytest.raises(runs.Refused) as why:
        run(client, "bash", "true", network="restricted")
    assert "a restricted run could not be told from its agent" in why.value.args[1]


@pytest.fixture
def marked():
    """A program that marks sockets seems to be there, and creel-enforce's word about it can be written."""
    folder, word = "/sys/fs/bpf", f"/run/creel/enforced/{UID}"
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    os.makedirs(f"{folder}/creel/mark")
    open(f"{folder}/creel/mark/mark", "w").close()
    missing = [path for path in ("/run/creel/enforced", "/run/creel") if not os.path.isdir(path)]
    os.makedirs("/run/creel/enforced", exist_ok=True)
    yield lambda text: pathlib.Path(word).write_text(text)
    pathlib.Path(word).unlink(missing_ok=True)
    for path in missing:
        os.rmdir(path)
    subprocess.run(["umount", folder], check=True)


def test_restricted_is_refused_where_creel_enforce_failed(client, marked):
    for word, why in (("", "has not run for it (mechanism network)"),
                      ("mechanism network failed no nftables here\n", "no nftables here (mechanism network)"),
                      ("mechanism network ok\nmechanism restricted failed nscd would resolve\n", "nscd would resolve (mechanism restricted)"),
                      ("mechanism network ok\n", "has not run for it (mechanism restricted)")):
        marked("stamp 1\n" + word)
        with pytest.raises(runs.Refused) as refused:
            run(client, "bash", "true", network="restricted")
        assert refused.value.args[1].startswith("network: ") and why in refused.value.args[1]
    marked("stamp 1\nmechanism network ok\nmechanism restricted ok\n")
    assert run(client, "bash", "grep -c /restricted$ /proc/self/cgroup", network="restricted")["stdout"] == b"1\n"


# ---- bash --------------------------------------------------------------------------------------------------------------
TRIED = ("for c in cat head tail; do $c /etc/hostname >/dev/null 2>&1 && echo $c; done; "
         "/lib64/ld-linux-x86-64.so.2 /bin/tail /etc/hostname >/dev/null 2>&1 && echo loader; echo end")


@pytest.mark.parametrize("independent", (False, True))
def test_bash_lists(client, keeper, independent):
    for policy, seen in ((BASH_ALLOW, b"cat\nhead\nend\n"), ("[exec]\nbash_deny = tail\n", b"cat\nhead\nend\n"),
                         (BASH_ALLOW + "[commands]\ndeny = head\n", b"cat\nend\n"), ("", b"cat\nhead\ntail\nloader\nend\n")):
        keeper.policy(policy)
        assert run(client, "bash", TRIED, independent=independent)["stdout"] == seen
    # of bash runs alone
    keeper.policy(BASH_ALLOW)
    code = "import subprocess\nprint(subprocess.run(['tail', '/etc/hostname'], capture_output=True).returncode)"
    assert run(client, "python", code, independent=independent)["stdout"] == b"0\n"


def test_code_is_nothing_that_bash_can_execute(client, keeper):
    program = open("/bin/echo", "rb").read()
    keeper.policy(BASH_ALLOW)
    assert run(client, "bash", program)["reason"] == "exit"
    code = b"(exec /proc/self/fd/3 yes); (exec /dev/fd/3 yes); : end\n" + program
    assert b"yes" not in run(client, "bash", code)["stdout"]
    fd = runs.memory(program)
    with pytest.raises(runs.Refused) as why:
        run(client, "bash", "exec /proc/self/fd/0 yes", fd)
    os.close(fd)
    assert "stdin: a memfd could be executed" in why.value.args[1]


def test_a_list_that_cannot_be(client, keeper):
    keeper.policy("[exec]\nbash_deny = bash\n")
    with pytest.raises(runs.Refused) as why:
        run(client, "bash", "true")
    assert "[exec] bash_deny" in why.value.args[1]
    assert run(client, "python", "print(1)")["reason"] == "ok"


# ---- resources ---------------------------------------------------------------------------------------------------------
def test_many_leak_nothing(client, keeper):
    for _ in range(3):
        run(client, "bash", ":", independent=True, network="none")
    before = keeper.descriptors()
    for _ in range(100):
        assert run(client, "bash", ":", independent=True, network="none")["reason"] == "ok"
    client.peer.close()  # results are remembered while their connection lives
    wait_until(lambda: keeper.descriptors() < before and not keeper.left(), lambda: (before, keeper.descriptors(), keeper.left()))
    assert open(f"/proc/{keeper.process.pid}/task/{keeper.process.pid}/children").read() == ""
