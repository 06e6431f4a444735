# SPDX-License-Identifier: MIT
"""Clients that are not OpenSSH, and OpenSSH's shared connection: each does real work, and each is refused with a wrong key.

scp, sftp, rsync, git and pscp are in test_files.py, what OpenClaw sends in test_openclaw.py.
"""

import asyncio
import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import wait_until
from test_files import client, ssh_command
from test_login import make_key, refused_once

DEFAULTS = "/etc/creel/creel.conf"
NO_FUSE = "only where this machine cannot mount FUSE file systems"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(1_500_007))
    return path


@pytest.fixture
def stranger(tmp_path):
    """A key that nobody knows."""
    return make_key(tmp_path, "-t", "ed25519", name="stranger")


@pytest.fixture(autouse=True)
def workplace(vm):
    vm.agent.sh("mkdir -p t")
    yield
    vm.agent.sh("rm -rf t .ansible")


def run(argv, stdin=b"", home=None, **environment):
    """A client with a home of its own, so that nobody's configuration is read or written."""
    environment = {**os.environ, **({"HOME": str(home)} if home else {}), **environment}
    return subprocess.run([str(word) for word in argv], input=stdin, capture_output=True, timeout=180, check=False,
                          env=environment)


def there(vm, path, file):
    return vm.agent.sh(f"md5sum < {path}").split()[0] == hashlib.md5(file.read_bytes()).hexdigest()


def host_key(vm):
    """The line of the host key as known_hosts has it, for clients that take a file, and its fingerprint."""
    host, port = vm.address()
    found = subprocess.run(["ssh-keyscan", "-t", "ed25519", "-p", str(port), host], capture_output=True, text=True,
                           check=True).stdout
    shown = subprocess.run(["ssh-keygen", "-lf", "-"], input=found, capture_output=True, text=True, check=True).stdout
    return found, shown.split()[1]


# ---- PuTTY -----------------------------------------------------------------------------------------------------------
def putty(vm, tmp_path, program, key):
    """The program with its options, up to the name of the host."""
    converted = tmp_path / f"{pathlib.Path(key).name}.ppk"
    subprocess.run(["puttygen", key, "-O", "private", "-o", converted, "--new-passphrase", "/dev/null"], check=True, timeout=60)
    host, port = vm.address()
    return [program, "-batch", "-P", port, "-i", converted, "-hostkey", host_key(vm)[1]], f"agent@{host}"


def test_plink(vm, tmp_path, stranger):
    argv, host = putty(vm, tmp_path, "plink", vm.agent.key())
    done = run([*argv, host, "cat; echo err >&2; exit 7"], b"in\0\n", tmp_path)
    assert (done.returncode, done.stdout) == (7, b"in\0\n") and b"err\n" in done.stderr
    done = run([*argv, "-t", host, "test -t 0 && stty size"], home=tmp_path)
    assert done.returncode == 0 and len(done.stdout.split()) == 2, done
    done = run([*argv, host], b"echo from $0; exit 5\n", tmp_path)
    assert done.returncode == 5 and b"from -" in done.stdout, done
    argv, host = putty(vm, tmp_path, "plink", stranger)
    done = run([*argv, host, "echo in"], home=tmp_path)
    assert done.returncode == 1 and not done.stdout and b"publickey" in done.stderr, done


def test_psftp(vm, tmp_path, file, stranger):
    argv, host = putty(vm, tmp_path, "psftp", vm.agent.key())
    script = f"put {file} t/a\nmv t/a t/b\nmkdir t/d\nget t/b {tmp_path}/back\nls t\nquit\n"
    done = run([*argv, host], script.encode(), tmp_path)
    assert done.returncode == 0 and (tmp_path / "back").read_bytes() == file.read_bytes(), done
    assert there(vm, "t/b", file) and vm.agent.sh("ls t") == "b\nd"
    done = run([*argv, host], f"put {file} /etc/creel-test\nquit\n".encode(), tmp_path)
    assert b"permission denied" in done.stdout + done.stderr, done
    argv, host = putty(vm, tmp_path, "psftp", stranger)
    done = run([*argv, host], b"pwd\n", tmp_path)
    assert done.returncode == 1 and b"publickey" in done.stderr + done.stdout, done


# ---- dropbear --------------------------------------------------------------------------------------------------------
def dbclient(vm, tmp_path, key):
    converted = tmp_path / f"{pathlib.Path(key).name}.dropbear"
    subprocess.run(["dropbearconvert", "openssh", "dropbear", key, converted], check=True, timeout=60, capture_output=True)
    host, port = vm.address()
    (tmp_path / ".ssh").mkdir(exist_ok=True, mode=0o700)
    (tmp_path / ".ssh/known_hosts").write_text(host_key(vm)[0].replace(f"[{host}]:{port}", host))
    return ["dbclient", "-T", "-i", converted, "-p", port, f"agent@{host}"]


def test_dbclient(vm, tmp_path, file, stranger):
    argv = dbclient(vm, tmp_path, vm.agent.key())
    done = run([*argv, "cat; echo err >&2; exit 7"], file.read_bytes(), tmp_path)
    assert done.returncode == 7 and done.stdout == file.read_bytes() and b"err\n" in done.stderr, done.stderr
    done = run(["scp", "-O", "-S", "dbclient", "-i", argv[3], "-P", argv[5], file, f"{argv[6]}:t/scp"], home=tmp_path)
    assert done.returncode == 0 and there(vm, "t/scp", file), done
    done = run([*dbclient(vm, tmp_path, stranger), "echo in"], home=tmp_path)
    assert done.returncode == 1 and not done.stdout, done


# ---- libraries -------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def paramiko_client(vm, key):
    import paramiko
    host, port = vm.address()
    ssh = paramiko.SSHClient()
    ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    try:
        ssh.connect(host, port, "agent", key_filename=str(key), allow_agent=False, look_for_keys=False, timeout=60,
                    banner_timeout=60, auth_timeout=60)
        yield ssh
    finally:
        ssh.close()


def test_paramiko(vm, tmp_path, file, stranger):
    import paramiko
    with paramiko_client(vm, vm.agent.key()) as ssh:
        stdin, stdout, stderr = ssh.exec_command("cat; echo err >&2; exit 7", timeout=60)
        stdin.write(b"in\0\n")
        stdin.channel.shutdown_write()
        assert stdout.read() == b"in\0\n" and stderr.read() == b"err\n" and stdout.channel.recv_exit_status() == 7
        with ssh.open_sftp() as sftp:
            sftp.put(str(file), "t/a")
            sftp.rename("t/a", "t/b")
            sftp.chmod("t/b", 0o600)
            sftp.get("t/b", str(tmp_path / "back"))
            assert sftp.stat("t/b").st_mode & 0o777 == 0o600 and sftp.listdir("t") == ["b"]
            with pytest.raises(PermissionError):
                sftp.put(str(file), "/etc/creel-test")
        shell = ssh.invoke_shell()
        shell.settimeout(60)
        shell.send("echo ter''minal; exit 4\n")
        seen = b""
        while data := shell.recv(4096):
            seen += data
        assert b"terminal\r\n" in seen and shell.recv_exit_status() == 4
    assert (tmp_path / "back").read_bytes() == file.read_bytes() and there(vm, "t/b", file)
    with pytest.raises(paramiko.AuthenticationException), paramiko_client(vm, stranger):
        pass


def test_asyncssh(vm, tmp_path, file, stranger):
    import asyncssh

    async def work():
        async with vm.connect() as connection:
            done = await asyncio.gather(*(connection.run(f"cat; exit {i}", input=f"in {i}") for i in range(8)))
            assert [(result.exit_status, result.stdout) for result in done] == [(i, f"in {i}") for i in range(8)]
            async with connection.start_sftp_client() as sftp:
                await sftp.put(str(file), "t/sftp")
                await sftp.get("t/sftp", str(tmp_path / "back"))
                with pytest.raises(asyncssh.SFTPPermissionDenied):
                    await sftp.put(str(file), "/etc/creel-test")
            await asyncssh.scp(str(file), (connection, "t/scp"))
            with pytest.raises((asyncssh.Error, OSError)):
                await asyncssh.scp(str(file), (connection, "/etc/creel-test"))
        with pytest.raises(asyncssh.PermissionDenied):
            async with vm.connect(key=str(stranger)):
                pass

    asyncio.run(work())
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert there(vm, "t/sftp", file) and there(vm, "t/scp", file)


@pytest.fixture
def older_clients(vm):
    """front.older_clients = yes, and the file as it was afterwards."""
    vm.root.sh(f"cp -p {DEFAULTS} /root/defaults.saved 2>/dev/null; printf '[front]\\nolder_clients = yes\\n' > {DEFAULTS}; "
               "creelctl policy check && systemctl daemon-reload; systemctl restart creel-sshd.service")
    yield
    vm.root.sh(f"rm -f {DEFAULTS}; cp -p /root/defaults.saved {DEFAULTS} 2>/dev/null; "
               "systemctl daemon-reload; systemctl restart creel-sshd.service")


def curl(vm, tmp_path, key, *words):
    """Debian's, with libssh2; what it puts or gets is t/curl."""
    host, port = vm.address()
    public = tmp_path / f"{pathlib.Path(key).name}.public"
    public.write_bytes(subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, check=True).stdout)
    return run(["curl", "-sS", "--hostpubsha256", host_key(vm)[1].removeprefix("SHA256:"), "-u", "agent:", "--key", key,
                "--pubkey", public, *words[:-1], f"sftp://{host}:{port}{words[-1]}"], home=tmp_path)


def test_curl(vm, tmp_path, file, stranger, older_clients):
    done = curl(vm, tmp_path, vm.agent.key(), "-T", file, "/~/t/curl")
    assert done.returncode == 0 and there(vm, "t/curl", file), done
    done = curl(vm, tmp_path, vm.agent.key(), "/~/t/curl")
    assert done.returncode == 0 and done.stdout == file.read_bytes(), done
    done = curl(vm, tmp_path, vm.agent.key(), "-T", file, "/etc/creel-test")
    assert done.returncode == 9 and vm.root("test -e /etc/creel-test").rc == 1, done  # CURLE_REMOTE_ACCESS_DENIED
    done = curl(vm, tmp_path, stranger, "/~/t/curl")
    assert done.returncode == 67 and not done.stdout, done  # CURLE_LOGIN_DENIED


def test_curl_has_nothing_in_common_with_the_plain_offer(vm, tmp_path):
    since = vm.now()
    done = curl(vm, tmp_path, vm.agent.key(), "/~/.profile")
    assert done.returncode == 2 and b"Unable to exchange encryption keys" in done.stderr, done
    wait_until(lambda: [entry for entry in vm.journal(since, "_SYSTEMD_UNIT=creel-sshd.service")
                        if "no match for method mac" in str(entry["MESSAGE"])], what="the front says why")


# ---- OpenSSH's shared connection ---------------------------------------------------------------------------------------
def test_one_connection_for_ssh_scp_sftp_rsync_and_git(vm, tmp_path, file):
    """One login in the record, whatever is done over it."""
    since = vm.now()
    share = ["-o", f"ControlPath={tmp_path}/c"]
    with vm.agent.start(None, ["-M", "-N", *share]):
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        assert vm.agent("exit 9", options=share).rc == 9
        assert client(vm, "scp", file, "agent:t/scp", options=share).returncode == 0
        assert client(vm, "scp", "-O", file, "agent:t/old", options=share).returncode == 0
        assert client(vm, "sftp", "-b", "-", "agent", options=share, stdin=f"get t/scp {tmp_path}/back\n".encode()).returncode == 0
        over = f"{ssh_command(vm)} -o ControlPath={tmp_path}/c"
        assert run(["rsync", "-a", "-e", over, file, "agent:t/rsync"]).returncode == 0
        vm.agent.sh("git init -q -b main --bare t/repo.git", options=share)
        assert run(["git", "init", "-q", "-b", "main", tmp_path / "one"]).returncode == 0
        git = ["git", "-C", tmp_path / "one", "-c", "user.name=t", "-c", "user.email=t@example.org"]
        for words in (["commit", "-q", "--allow-empty", "-m", "first"], ["push", "-q", "agent:t/repo.git", "main"],
                      ["pull", "-q", "agent:t/repo.git", "main"]):
            done = run([*git, *words], GIT_SSH_COMMAND=over)
            assert done.returncode == 0, done.stderr
        assert vm.agent.sh("git -C t/repo.git log --format=%s main", options=share) == "first"
        assert vm.agent("", options=["-O", "exit", *share]).rc == 0
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert there(vm, "t/scp", file) and there(vm, "t/old", file) and there(vm, "t/rsync", file)
    mine = vm.record(since, "logout", agent="agent", session=vm.records(since, "login", agent="agent")[0]["CREEL_SESSION"])
    commands = vm.records(since, "command", agent="agent", session=mine["CREEL_SESSION"])
    assert len(commands) >= 9, [entry["CREEL_COMMAND"] for entry in commands]


# ---- sshfs -------------------------------------------------------------------------------------------------------------
def sshfs(vm, folder, options=()):
    folder.mkdir()
    return run(["sshfs", "-F", vm.config, *options, "agent:t", folder])


def can_mount():
    return os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("sshfs")


def test_sshfs(vm, tmp_path, file, stranger):
    if not can_mount():
        pytest.skip(NO_FUSE)
    folder = tmp_path / "mounted"
    assert sshfs(vm, folder).returncode == 0
    try:
        shutil.copy(file, folder / "a")
        (folder / "a").rename(folder / "b")
        (folder / "d").mkdir()
        (folder / "d" / "l").symlink_to("../b")
        os.truncate(folder / "b", 1_000_000)
        assert (folder / "b").read_bytes() == file.read_bytes()[:1_000_000]
        assert vm.agent.sh("stat -c '%s %U' t/b; readlink t/d/l") == "1000000 agent\n../b"
        assert vm.agent.sh("cmp t/b t/d/l && echo same") == "same"
        vm.agent.sh("ln -s /etc t/etc; echo made there > t/there")
        assert (folder / "there").read_text() == "made there\n"
    finally:
        subprocess.run(["fusermount3", "-u", folder], check=True, timeout=60)
    refused = tmp_path / "refused"
    since = vm.now()
    done = sshfs(vm, refused, [*vm.only(stranger)[2:], "-F", vm.only(stranger)[1]])
    assert done.returncode != 0 and not refused.is_mount(), done
    refused_once(vm, since, agent="agent")


# ---- ansible -----------------------------------------------------------------------------------------------------------
def ansible(vm, tmp_path, *words, config=None, options=()):
    """Not pipelined: each task is several connections, and files that are put by sftp."""
    arguments = " ".join(["-F", str(config or vm.config), "-o ControlMaster=no -o ControlPath=none", *options])
    inventory = tmp_path / "inventory"
    inventory.write_text(f"agent ansible_python_interpreter=/usr/bin/python3 ansible_ssh_args='{arguments}'\n")
    return run(["ansible", "-i", inventory, "agent", *words], home=tmp_path, ANSIBLE_LOCAL_TEMP=str(tmp_path / "local"),
               ANSIBLE_HOST_KEY_CHECKING="True", ANSIBLE_NOCOLOR="1", ANSIBLE_SSH_RETRIES="0")


def test_ansible(vm, tmp_path, file, stranger):
    done = ansible(vm, tmp_path, "-m", "ping")
    assert done.returncode == 0 and b'"pong"' in done.stdout, done
    done = ansible(vm, tmp_path, "-m", "copy", "-a", f"src={file} dest=t/ansible mode=0640")
    assert done.returncode == 0 and there(vm, "t/ansible", file), done
    done = ansible(vm, tmp_path, "-m", "file", "-a", "path=/etc/creel-test state=touch")
    assert done.returncode == 2 and b"Permission denied" in done.stdout, done
    done = ansible(vm, tmp_path, "-m", "ping", config=vm.only(stranger)[1], options=vm.only(stranger)[2:])
    assert done.returncode == 4 and b"UNREACHABLE" in done.stdout, done
