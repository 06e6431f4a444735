# SPDX-License-Identifier: MIT
"""Files in and out: scp old and new, sftp, rsync, tar, git; and the files that nobody gets."""

import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import wait_until

ODD_NAMES = ["plain", "with space", "quote'd", 'double"d', "new\nline", "émile", "-dash", "$HOME", "semi;colon", "*"]


def client(vm, program, *arguments, stdin=None, timeout=120, options=()):
    """One of OpenSSH's other programs, with the VM's configuration."""
    argv = [program, "-F", str(vm.config), "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", *options, *map(str, arguments)]
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)


def ssh_command(vm):
    return f"ssh -F {vm.config} -o LogLevel=ERROR -o BatchMode=yes"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(5_000_003))
    return path


@pytest.fixture(autouse=True)
def workplace(vm):
    vm.agent.sh("mkdir -p t")
    yield
    vm.agent.sh("chmod -R u+w t; rm -rf t")


@pytest.mark.parametrize("flags", [[], ["-O"], ["-C"]], ids=["sftp", "legacy", "compressed"])
def test_scp_up_and_down(vm, file, tmp_path, flags):
    done = client(vm, "scp", *flags, file, "agent:t/up.bin")
    assert done.returncode == 0, done.stderr
    assert vm.agent.sh("md5sum < t/up.bin").split()[0] == hashlib.md5(file.read_bytes()).hexdigest()
    done = client(vm, "scp", *flags, "agent:t/up.bin", tmp_path / "down.bin")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "down.bin").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("flags", [[], ["-O"]], ids=["sftp", "legacy"])
def test_scp_of_a_folder_keeps_odd_names_modes_and_times(vm, tmp_path, flags):
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    names = [name for name in ODD_NAMES if not (flags and "\n" in name)]  # the old protocol has no newline in names
    for name in names:
        (tree / "deep" / name).write_bytes(name.encode() * 10)
    script = tree / "run.sh"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o750)
    os.utime(script, (10**9, 10**9))
    done = client(vm, "scp", *flags, "-rp", tree, "agent:t/")
    assert done.returncode == 0, done.stderr
    assert vm.agent.sh("./t/tree/run.sh; stat -c '%a %Y' t/tree/run.sh") == "ran\n750 1000000000"
    done = client(vm, "scp", *flags, "-rp", "agent:t/tree", tmp_path / "back")
    assert done.returncode == 0, done.stderr
    for name in names:
        assert (tmp_path / "back" / "deep" / name).read_bytes() == name.encode() * 10


@pytest.mark.parametrize("flags", [[], ["-O"]], ids=["sftp", "legacy"])
def test_scp_refusals_are_told_and_change_nothing(vm, file, tmp_path, flags):
    for source, target in ((file, "agent:/etc/creel-test"), (file, "agent:/home/bob/x"),
                           ("agent:/etc/shadow", tmp_path), ("agent:t/missing", tmp_path)):
        done = client(vm, "scp", *flags, source, target)
        assert done.returncode != 0 and done.stderr, (source, target)
    assert vm.root("test -e /etc/creel-test -o -e /home/bob/x").rc == 1
    assert not (tmp_path / "shadow").exists()


def test_sftp_verbs(vm, file, tmp_path):
    vm.agent.sftp(f"put {file} t/a\nrename t/a t/b\nmkdir t/d\nsymlink b t/l\nchmod 600 t/b\nln t/b t/hard\n"
                  f"get t/b {tmp_path}/b\nrm t/hard\nls -l t\n").ok()
    assert (tmp_path / "b").read_bytes() == file.read_bytes()
    assert vm.agent.sh("cd t; stat -c '%a %U' b; readlink l; ls") == "600 agent\nb\nb\nd\nl"


def test_sftp_starts_at_home_and_runs_as_the_agent(vm):
    out = vm.agent.sftp("pwd\n").ok().text
    assert "/home/agent" in out
    for bad in ("get /etc/shadow /dev/null", "put /etc/hostname /etc/creel-test", "ls /home/bob/.ssh",
                "rename /etc/hostname /etc/hostname2", "chmod 777 /etc/passwd"):
        assert vm.agent.sftp(bad + "\n").rc != 0, bad


def test_sftp_resumes_a_download_and_an_upload(vm, file, tmp_path):
    data = file.read_bytes()
    vm.agent.sftp(f"put {file} t/whole\n").ok()
    half = tmp_path / "half"
    half.write_bytes(data[: len(data) // 2])
    vm.agent.sftp(f"reget t/whole {half}\n").ok()
    assert half.read_bytes() == data
    vm.agent.sh("head -c 1000000 t/whole > t/part")
    vm.agent.sftp(f"reput {file} t/part\n").ok()
    assert vm.agent.sh("cmp t/whole t/part && echo same") == "same"


def test_sftp_with_many_and_large_requests(vm, file):
    done = client(vm, "sftp", "-R", "256", "-B", "200000", "-b", "-", "agent",
                  stdin=f"put {file} t/a\nget t/a /dev/null\n".encode())
    assert done.returncode == 0, done.stderr
    assert vm.agent.sh("md5sum < t/a").split()[0] == hashlib.md5(file.read_bytes()).hexdigest()


def test_sftp_with_tiny_requests(vm, tmp_path):
    path = tmp_path / "small"
    path.write_bytes(os.urandom(600_000))
    done = client(vm, "sftp", "-R", "500", "-B", "1024", "-b", "-", "agent", stdin=f"put {path} t/small\n".encode())
    assert done.returncode == 0, done.stderr
    assert vm.agent.sh("md5sum < t/small").split()[0] == hashlib.md5(path.read_bytes()).hexdigest()


def test_sftp_killed_in_the_middle_leaves_no_server(vm):
    argv = ["sftp", "-F", str(vm.config), "-o", "BatchMode=yes", "agent"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_until(lambda: vm.root("pgrep -u agent sftp-server").rc == 0, what="sftp-server runs")
    process.kill()
    process.communicate()
    wait_until(lambda: vm.root("pgrep -u agent sftp-server").rc == 1, 10, "sftp-server ended")


def test_unknown_subsystem_is_refused(vm):
    done = vm.agent("no-such", options=["-s"])
    assert done.rc != 0 and b"subsystem" in done.err
    assert vm.agent("../../bin/sh", options=["-s"]).rc != 0


def test_rsync_both_ways(vm, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for i in range(60):
        (tree / f"f{i}").write_bytes(os.urandom(i * 997))
    argv = ["rsync", "-a", "--delete", "-e", ssh_command(vm)]
    subprocess.run([*argv, f"{tree}/", "agent:t/tree/"], check=True, timeout=120)
    (tree / "f7").unlink()
    (tree / "f8").write_bytes(b"changed")
    subprocess.run([*argv, f"{tree}/", "agent:t/tree/"], check=True, timeout=120)
    subprocess.run([*argv, "agent:t/tree/", f"{tmp_path}/back/"], check=True, timeout=120)
    assert sorted(p.name for p in (tmp_path / "back").iterdir()) == sorted(p.name for p in tree.iterdir())
    assert all((tmp_path / "back" / p.name).read_bytes() == p.read_bytes() for p in tree.iterdir())


def test_rsync_refusal(vm, file):
    done = subprocess.run(["rsync", "-e", ssh_command(vm), str(file), "agent:/etc/creel-test"], capture_output=True,
                          timeout=60, check=False)
    assert done.returncode != 0 and b"denied" in done.stderr


def test_tar_pipes(vm, tmp_path, file):
    tree = tmp_path / "in"
    tree.mkdir()
    shutil.copy(file, tree / "data")
    (tree / "link").symlink_to("data")
    tar = subprocess.run(["tar", "-C", tree, "-cf", "-", "."], capture_output=True, check=True).stdout
    vm.agent("mkdir t/out && tar -C t/out -xf -", tar).ok()
    back = vm.agent("tar -C t/out -cf - .").ok().out
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-C", out, "-xf", "-"], input=back, check=True)
    assert (out / "data").read_bytes() == file.read_bytes() and os.readlink(out / "link") == "data"


def test_git_push_and_clone(vm, tmp_path):
    vm.agent.sh("git init -q --bare t/repo.git")
    environment = {**os.environ, "GIT_SSH_COMMAND": ssh_command(vm), "GIT_CONFIG_GLOBAL": "/dev/null",
                   "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
                   "GIT_COMMITTER_EMAIL": "a@example.org"}

    def git(*arguments, cwd=tmp_path):
        return subprocess.run(["git", *map(str, arguments)], cwd=cwd, env=environment, check=True, timeout=120,
                              capture_output=True).stdout

    git("init", "-q", "-b", "main", "one")
    one = tmp_path / "one"
    (one / "data").write_bytes(os.urandom(300_000))
    git("add", "data", cwd=one)
    git("commit", "-q", "-m", "first", cwd=one)
    git("push", "-q", "agent:t/repo.git", "main", cwd=one)
    git("clone", "-q", "-b", "main", "agent:t/repo.git", "two")
    assert (tmp_path / "two" / "data").read_bytes() == (one / "data").read_bytes()


def test_other_clients(vm, tmp_path, file):
    """PuTTY's file clients send small writes without a limit on requests: a trap for sftp-server."""
    if not shutil.which("pscp"):
        pytest.skip("putty-tools is not installed")
    host, port = vm.address()
    key = tmp_path / "key.ppk"
    subprocess.run(["puttygen", vm.agent.key(), "-O", "private", "-o", key, "--new-passphrase", "/dev/null"], check=True,
                   timeout=60)
    scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", "-p", str(port), host], capture_output=True, text=True,
                          check=True).stdout.split()
    print_key = subprocess.run(["ssh-keygen", "-lf", "-"], input=" ".join(scan), capture_output=True, text=True,
                               check=True).stdout.split()[1]
    common = ["-batch", "-P", str(port), "-i", str(key), "-hostkey", print_key]
    environment = {**os.environ, "HOME": str(tmp_path)}
    for flags in (["-sftp"], ["-scp"]):
        subprocess.run(["pscp", *common, *flags, str(file), f"agent@{host}:t/putty"], check=True, timeout=180,
                       capture_output=True, env=environment)
        assert vm.agent.sh("md5sum < t/putty").split()[0] == hashlib.md5(file.read_bytes()).hexdigest()
        subprocess.run(["pscp", *common, *flags, f"agent@{host}:t/putty", str(tmp_path / "back")], check=True,
                       timeout=180, capture_output=True, env=environment)
        assert pathlib.Path(tmp_path / "back").read_bytes() == file.read_bytes()


def test_empty_file_and_file_over_existing(vm, tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    vm.agent.sh("echo old > t/x")
    assert client(vm, "scp", empty, "agent:t/x").returncode == 0
    assert vm.agent.sh("stat -c %s t/x") == "0"
