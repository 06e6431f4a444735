# SPDX-License-Identifier: MIT
"""Commands without a terminal: bytes, status, signals, environment, and when a command counts as ended."""

import asyncio

import pytest

from harness import CGROUP, marker, python, wait_until

ALL_BYTES = bytes(range(256)) * 64


def test_stdout_and_stderr_are_separate(vm):
    done = vm.agent("printf out; printf err >&2").ok()
    assert (done.out, done.err) == (b"out", b"err")


def test_stdin_and_stdout_are_binary_clean(vm):
    assert vm.agent("cat", ALL_BYTES).ok().out == ALL_BYTES


def test_stderr_is_binary_clean(vm):
    done = vm.agent("cat >&2", ALL_BYTES).ok()
    assert (done.out, done.err) == (b"", ALL_BYTES)


def test_nothing_is_printed_that_the_command_did_not_print(vm):
    assert vm.agent("true") == (0, b"", b"")


def test_every_exit_status(vm):
    async def run():
        async with vm.connect() as connection:
            room = asyncio.Semaphore(6)

            async def one(status):
                async with room:
                    return (await connection.run(f"exit {status}")).exit_status

            return await asyncio.gather(*map(one, range(256)))

    assert asyncio.run(run()) == list(range(256))


@pytest.mark.parametrize("status", [0, 1, 127, 255])
def test_exit_status_through_openssh(vm, status):
    assert vm.agent(f"exit {status}").rc == status


def test_unknown_command_is_127_and_says_so(vm):
    done = vm.agent("no-such-command-here")
    assert done.rc == 127 and b"no-such-command-here" in done.err


@pytest.mark.parametrize("name", ["TERM", "KILL", "HUP", "INT", "SEGV", "ABRT", "USR1"])
def test_death_by_signal_is_reported_as_such(vm, name):
    async def run():
        async with vm.connect() as connection:
            done = await connection.run(f"kill -{name} $$")
            return done.exit_signal[0], done.exit_status

    assert asyncio.run(run()) == (name, -1)


def test_openssh_shows_a_killed_command_as_failed(vm):
    done = vm.agent("kill -9 $$", options=["-v", "-o", "LogLevel=DEBUG1"])
    assert done.rc == 255
    assert b"rtype exit-signal" in done.err
    assert b"rtype exit-status" not in done.err


def test_signal_request_reaches_the_command(vm):
    async def run():
        async with vm.connect() as connection:
            process = await connection.create_process("trap 'echo got; exit 5' USR1; echo ready; "
                                                      "while :; do sleep 0.1; done")
            assert await process.stdout.readline() == "ready\n"
            process.send_signal("USR1")
            done = await process.wait()
            return done.stdout, done.exit_status

    assert asyncio.run(run()) == ("got\n", 5)


def test_eof_reaches_the_command(vm):
    assert vm.agent("wc -c", b"x" * 1000).text == "1000"
    assert vm.agent("cat; echo end").text == "end"


def test_eof_comes_back_before_the_command_ends(vm):
    """A command that closed its output goes on; the client sees the end of the stream at once."""
    async def run():
        async with vm.connect() as connection:
            process = await connection.create_process("echo first; exec >&- 2>&-; read line; exit 3")
            text = await process.stdout.read()
            process.stdin.write("go on\n")
            done = await process.wait()
            return text, done.exit_status

    assert asyncio.run(run()) == ("first\n", 3)


def test_command_of_100_kb(vm):
    command = ": '" + "x" * 100_000 + "'; echo ${#BASH_EXECUTION_STRING}"
    assert vm.agent(command).text == str(len(command))


def test_command_above_the_bound_is_refused_and_the_next_one_runs(vm):
    async def run():
        async with vm.connect() as connection:
            done = await connection.run(": " + "x" * 200_000)
            return done.exit_status, done.stderr

    status, said = asyncio.run(run())
    assert status == 254 and "too long" in said
    assert vm.agent.sh("echo still here") == "still here"


def test_many_lines_and_quotes_arrive_as_they_are(vm):
    command = "cat <<'END'\n$HOME `id` \\ \"double\" 'single'\n\ttab é\nEND\n"
    assert vm.agent(command).ok().out.decode() == "$HOME `id` \\ \"double\" 'single'\n\ttab é\n"


def environment(vm, options=()):
    pairs = vm.agent("env -0", options=options).ok().out.decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def test_environment(vm):
    uid = vm.uid()
    seen = environment(vm)
    assert seen["HOME"] == "/home/agent"
    assert seen["USER"] == seen["LOGNAME"] == "agent"
    assert seen["SHELL"] == "/bin/bash"
    assert {"/usr/bin", "/bin"} <= set(seen["PATH"].split(":"))
    assert "UTF-8" in seen["LANG"].upper()
    assert seen["XDG_RUNTIME_DIR"] == f"/run/user/{uid}"
    assert seen["DBUS_SESSION_BUS_ADDRESS"] == f"unix:path=/run/user/{uid}/bus"
    assert seen["SSH_CONNECTION"].split()[3] == "22"
    assert "SSH_TTY" not in seen


def test_nothing_of_the_keepers_environment_leaks(vm):
    seen = environment(vm)
    assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "JOURNAL_STREAM", "INVOCATION_ID", "WATCHDOG_PID",
                "CREDENTIALS_DIRECTORY", "MEMORY_PRESSURE_WATCH", "SYSTEMD_EXEC_PID"} & set(seen)


def test_client_may_set_the_language_and_nothing_that_loads_code(vm):
    options = ["-o", "SetEnv=LC_ALL=C.UTF-8 LD_PRELOAD=/tmp/x.so BASH_ENV=/tmp/x PATH=/tmp HOME=/tmp"]
    seen = environment(vm, options)
    assert seen["LC_ALL"] == "C.UTF-8"
    assert "LD_PRELOAD" not in seen and "BASH_ENV" not in seen
    assert seen["HOME"] == "/home/agent" and not seen["PATH"].startswith("/tmp")


def test_state_of_a_fresh_process(vm):
    status = dict(line.split(":", 1) for line in vm.agent.sh("exec cat /proc/self/status").splitlines())
    uid = str(vm.uid())
    assert status["Uid"].split() == [uid] * 4
    assert len(set(status["Gid"].split())) == 1
    assert int(status["CapInh"], 16) == int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    # ping's file names CAP_NET_RAW: where it is not in this set ping cannot be executed, and nobody gets it
    assert int(status["CapBnd"], 16) & ~(1 << 13) == 0 and int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) == 0
    assert "0" not in status["Groups"].split()


def test_cwd_descriptors_and_umask(vm):
    assert vm.agent.sh("pwd") == "/home/agent"
    # 3 is ls reading the folder
    assert vm.agent.sh("exec ls /proc/self/fd").split() == ["0", "1", "2", "3"]
    assert vm.agent("test -t 0 || test -t 1 || test -t 2").rc == 1
    assert vm.agent.sh("umask") in ("0022", "0002", "0077")


def test_a_command_cannot_gain_root(vm):
    for attempt in ("su -c id </dev/null", "sudo -n id", "mount -t tmpfs none /mnt",
                    "cat /etc/shadow", "echo 0 > /proc/sys/kernel/yama/ptrace_scope", "chroot / id"):
        assert vm.agent(attempt).rc != 0, attempt


def test_command_runs_in_a_leaf_of_the_agents_slice(vm):
    uid = vm.uid()
    path = vm.agent.sh("cat /proc/self/cgroup").partition("::")[2]
    assert path.startswith(f"/user.slice/user-{uid}.slice/creel-leaves@{uid}.service/")


def test_a_command_cannot_leave_its_leaf(vm):
    uid = vm.uid()
    slices = f"/sys/fs/cgroup/user.slice/user-{uid}.slice"
    assert vm.agent("echo $$ > /sys/fs/cgroup/cgroup.procs").rc != 0
    assert vm.agent(f"echo $$ > {slices}/creel-leaves@{uid}.service/hold/cgroup.procs").rc != 0
    assert vm.agent(f"echo max > {slices}/memory.max").rc != 0
    assert vm.agent(f"echo max > /sys/fs/cgroup$({CGROUP})/memory.max").rc != 0


def test_ends_although_the_client_keeps_stdin_open(vm):
    with vm.agent.start("echo done; exit 4") as client:
        assert client.stdout.read() == b"done\n"  # the end of the stream: stdin was never closed
        assert client.wait(30) == 4


def test_background_child_that_holds_stdout_does_not_hang_the_client(vm):
    seconds = marker()
    done = vm.agent(f"sleep {seconds} & echo hi", timeout=40)
    assert done.text == "hi" and done.rc == 0
    vm.root(f"pkill -fx 'sleep {seconds}'")


def test_late_output_of_a_short_lived_background_child_is_not_lost(vm):
    assert vm.agent("(sleep 0.2; echo late) & echo early").ok().out.startswith(b"early\n")


def test_large_output_comes_before_the_status(vm):
    done = vm.agent("head -c 5000000 /dev/zero; exit 9")
    assert done.rc == 9 and len(done.out) == 5_000_000


def test_command_ending_does_not_wait_for_unread_stdin(vm):
    assert vm.agent("head -c 1 >/dev/null; exit 6", b"y" * 3_000_000).rc == 6


def test_core_limit_and_open_files(vm):
    soft = vm.agent.sh("ulimit -n")
    assert soft == "unlimited" or int(soft) >= 256
    assert vm.agent.sh("ulimit -c") == "0"


def test_shell_without_terminal_reads_commands_from_stdin(vm):
    done = vm.agent(None, "echo one\nexit 3\n", options=["-T"])
    assert done.rc == 3 and done.out.splitlines()[-1] == b"one"


def test_python_sees_the_same_standing(vm):
    assert vm.agent.sh(python("import os;print(os.getuid(), os.getcwd())")) == f"{vm.uid()} /home/agent"


def test_what_a_command_leaves_behind_stays_within_the_slice(vm):
    """As with OpenSSH it lives on when the command ended by itself; it is the agent's, and counted."""
    seconds = marker()
    vm.agent.sh(f"sleep {seconds} >/dev/null 2>&1 & exit 0")
    pid, = vm.alive(f"sleep {seconds}")
    assert vm.cgroup(pid).startswith(f"/user.slice/user-{vm.uid()}.slice/")
    vm.agent.sh(f"pkill -fx 'sleep {seconds}'")
    wait_until(lambda: not vm.alive(f"sleep {seconds}"))
