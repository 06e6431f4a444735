# SPDX-License-Identifier: MIT
"""What an honest client does."""

import hashlib
import os
import pathlib
import subprocess
import time

import pytest

from conftest import SLOW, wait_until

MB = 1 << 20


def digest(data):
    return hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("key", ["id", "id_ecdsa", "id_rsa"])
def test_exec_and_keys(front, key):
    done = front("echo out; echo err >&2; exit 7", key=key)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_rsa_with_sha256(front):
    assert front("echo ok", "-o", "PubkeyAcceptedAlgorithms=rsa-sha2-256", key="id_rsa").stdout == b"ok\n"


@pytest.mark.parametrize("cipher", ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com",
                                    "aes128-gcm@openssh.com", "aes256-ctr", "aes128-ctr"])
def test_ciphers(front, cipher):
    data = os.urandom(300_000)
    assert front("cat", "-c", cipher, stdin=data).stdout == data


@pytest.mark.parametrize("option", [
    "KexAlgorithms=diffie-hellman-group-exchange-sha256", "KexAlgorithms=diffie-hellman-group14-sha256",
    "KexAlgorithms=ecdh-sha2-nistp256", "Ciphers=aes128-cbc", "Ciphers=aes192-ctr", "HostKeyAlgorithms=rsa-sha2-512",
    "PubkeyAcceptedAlgorithms=ssh-rsa",
])
def test_what_is_not_offered(front, option):
    assert front("true", "-o", option, key="id_rsa").returncode == 255


def test_weak_macs_are_not_offered(front):
    assert front("true", "-c", "aes128-ctr", "-m", "hmac-sha1-etm@openssh.com").returncode == 255
    assert front("true", "-c", "aes128-ctr", "-m", "hmac-sha2-256-etm@openssh.com").returncode == 0
    assert front("true", "-c", "aes128-ctr", "-m", "hmac-sha2-256").returncode == 255


def test_compression_is_declined(front):
    assert front("echo ok", "-C").stdout == b"ok\n"


def test_100_mb_both_ways(front):
    data = os.urandom(100 * MB // SLOW)
    assert digest(front("cat", stdin=data).stdout) == digest(data)


def test_stdout_and_stderr_apart(front):
    done = front("i=0; while [ $i -lt 2000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done")
    assert done.stdout == b"".join(b"o%d\n" % i for i in range(2000))
    assert done.stderr == b"".join(b"e%d\n" % i for i in range(2000))


def test_eof_reaches_the_command(front):
    assert front("wc -c", stdin=b"x" * 12345).stdout.strip() == b"12345"


def test_input_that_nobody_reads(front):
    assert front("exec sleep 0.3", stdin=b"x" * (8 * MB)).returncode == 0
    assert front("head -c 10", stdin=b"y" * (8 * MB)).stdout == b"y" * 10
    assert front("exec <&-; sleep 0.2; echo on", stdin=b"z" * (2 * MB)).stdout == b"on\n"


def test_signal_death(front):
    client = front.popen("kill -TERM $$", "-o", "LogLevel=DEBUG1")
    assert "exit-signal" in client.communicate()[1].decode()
    assert client.returncode == 255


def test_statuses(front):
    for status in (0, 1, 127, 128, 254, 255):
        assert front(f"exit {status}").returncode == status


def test_a_slow_reader_gets_all_after_the_exit(front):
    client = front.popen("head -c 3000000 /dev/zero")
    time.sleep(1.5)
    assert len(client.stdout.read()) == 3_000_000 and client.wait() == 0


def test_descendants_that_hold_stdout(front):
    began = time.monotonic()
    assert front("sleep 30 & echo done").stdout == b"done\n"
    assert time.monotonic() - began < 2 * SLOW
    began = time.monotonic()
    done = front("(while sleep 0.05; do echo chatter; done) & echo done; exit 4")
    assert done.returncode == 4 and done.stdout.startswith(b"done\n")
    assert time.monotonic() - began < 4 * SLOW


def test_a_descendant_that_never_stops_writing(front):
    done = front("yes & exit 5")
    assert done.returncode == 5


def test_refused_start_says_why(front):
    done = front("fake-full")
    assert (done.returncode, done.stdout) == (254, b"")
    assert done.stderr == b"creel: the agent's limit of processes is reached\n"
    done = front("fake-full", "-tt")
    assert done.returncode == 254 and done.stdout == b"creel: the agent's limit of processes is reached\r\n"


def test_long_commands(front):
    text = "x" * 120_000
    client = subprocess.run(front.argv() + ["/bin/sh", "-c", f"'echo {text}' | wc -c"], capture_output=True)
    assert client.stdout.strip() == b"120001", client.stderr


def test_environment(front):
    done = front("echo $LC_ONE-$LC_TWO", "-o", "SetEnv=LC_ONE=1 LC_TWO=a=b")
    assert done.stdout == b"1-a=b\n"
    many = " ".join(f"LC_{i}=x" for i in range(70))
    done = front("env | grep -c ^LC_", "-o", f"SetEnv={many}")
    assert done.stdout == b"64\n"


def test_terminal(front):
    done = front("tty; stty size; echo $TERM; exit 3", "-tt")
    assert done.returncode == 3 and b"/dev/pts/" in done.stdout


def test_shell_without_terminal(front):
    assert front(stdin=b"echo in a shell\nexit 9\n").stdout == b"in a shell\n"
    assert front(stdin=b"exit 9\n").returncode == 9


def test_many_channels(front):
    control = ["-o", f"ControlPath={front.folder}/control"]
    master = front.popen("cat", "-M", *control)
    wait_until(lambda: front(None, "-O", "check", *control).returncode == 0)
    data = [os.urandom(400_000) for _ in range(20)]
    clients = [front.popen(f"echo {i} >&2; cat; exit {i}", *control) for i in range(20)]
    feeders = [subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=client.stdin) for client in clients]
    for client in clients:
        client.stdin.close()
        client.stdin = None
    import threading
    threads = [threading.Thread(target=feeder.communicate, args=(piece,)) for feeder, piece in zip(feeders, data)]
    for thread in threads:
        thread.start()
    for i, client in enumerate(clients):
        out, err = client.communicate(timeout=60 * SLOW)
        assert (client.returncode, err) == (i, b"%d\n" % i) and out == data[i]
    for thread in threads:
        thread.join()
    for i in range(30):
        assert front(f"exit {i}", *control).returncode == i
    front(None, "-O", "exit", *control)
    master.communicate()


def test_rekey_under_load(front):
    data = os.urandom(12 * MB)
    client = front.popen("cat", "-o", "RekeyLimit=1M", "-o", "LogLevel=DEBUG1")
    out, err = client.communicate(data, timeout=120 * SLOW)
    assert digest(out) == digest(data) and err.count(b"rekeying out") >= 5


def test_keepalives(front):
    assert front("sleep 3.5; echo on", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2").stdout == b"on\n"


def test_forwarding_is_refused(front):
    done = front("echo on", "-o", "ExitOnForwardFailure=no", "-R", "0:127.0.0.1:1", "-A", "-X")
    assert done.stdout == b"on\n"
    client = front.popen(None, "-W", "127.0.0.1:9", "-o", "LogLevel=INFO")
    assert b"administratively prohibited" in client.communicate(timeout=20)[1] and client.returncode == 255


def test_sftp_and_scp(front, tmp_path):
    there = pathlib.Path(subprocess.check_output(["mktemp", "-d", "/tmp/creel-there-XXXXXX"], text=True).strip())
    os.chmod(there, 0o777)
    data = os.urandom(20 * MB)
    (tmp_path / "data").write_bytes(data)
    for options in ([], ["-O"]):
        name = there / f"data{len(options)}"
        target = f"{front.user.pw_name}@127.0.0.1:{name}"
        argv = front.argv(program="scp")
        subprocess.run([*argv, *options, str(tmp_path / "data"), target], check=True, timeout=60 * SLOW)
        assert digest(name.read_bytes()) == digest(data)
        subprocess.run([*argv, *options, target, str(tmp_path / "back")], check=True, timeout=60 * SLOW)
        assert digest((tmp_path / "back").read_bytes()) == digest(data)
    subprocess.run(["rm", "-rf", str(there)], check=True)


def test_unknown_subsystem(front):
    client = subprocess.run(front.argv("nosuch", "-s"), capture_output=True, timeout=20)
    assert client.returncode == 254 and b'no subsystem "nosuch"' in client.stderr


def test_window_change_and_signal(front):
    import asyncio
    import asyncssh

    async def run():
        async with asyncssh.connect("127.0.0.1", front.port, username=front.user.pw_name, known_hosts=None,
                                    client_keys=[str(front.folder / "id")], config=None) as connection:
            process = await connection.create_process("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done",
                                                      term_type="xterm", term_size=(80, 24))
            assert (await process.stdout.readline()).strip() == "ready"
            process.change_terminal_size(132, 50)
            assert (await process.stdout.readline()).strip() == "50 132"
            process.close()
            process = await connection.create_process("trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done")
            assert (await process.stdout.readline()).strip() == "ready"
            process.send_signal("USR1")
            assert (await process.stdout.readline()).strip() == "got"
            assert (await process.wait()).exit_status == 3

    asyncio.run(run())


def test_an_idle_connection_makes_no_system_call(front):
    client = front.popen("cat")
    client.stdin.write(b"x")
    client.stdin.flush()
    assert client.stdout.read(1) == b"x"
    worker = front.worker()

    def switches():
        text = pathlib.Path(f"/proc/{worker}/status").read_text()
        return [line for line in text.splitlines() if "ctxt_switches" in line]

    def rests():
        before = switches()
        time.sleep(2)
        return switches() == before

    # what the byte caused may take a while on a slow machine; whoever works by a timer never rests
    wait_until(rests, 10, "the worker does nothing for two seconds")
    client.communicate()
