# SPDX-License-Identifier: MIT
"""A client that goes away takes its command along, but never what asked to outlive it."""

import asyncio
import signal

import pytest

from harness import CGROUP, PROBE_DIR, Host, Terminal, marker, python, wait_until


def all_alive(vm, seconds):
    return all(vm.alive(f"sleep {number}") for number in seconds)


def none_alive(vm, seconds):
    return not any(vm.alive(f"sleep {number}") for number in seconds)


def gone_soon(vm, seconds):
    """How soon is measured below, inside the VM: from here the look itself costs more."""
    wait_until(lambda: none_alive(vm, seconds), 15, "the tree is gone")


def ends(vm, seconds):
    vm.root(f"pkill -f '^sleep ({'|'.join(seconds)})$'")
    wait_until(lambda: none_alive(vm, seconds))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_tree_of_a_vanished_client_ends(vm, how):
    dies = [marker() for _ in range(3)]
    with vm.agent.start(f"sleep {dies[0]} & (sleep {dies[1]} & sh -c 'sleep {dies[2]}; :') & wait") as client:
        wait_until(lambda: all_alive(vm, dies))
        client.send_signal(how)
        client.wait()
        gone_soon(vm, dies)


def test_what_ignores_other_signals_ends_too(vm):
    dies = marker()
    with vm.agent.start(f"trap '' TERM INT PIPE QUIT; sleep {dies}; :") as client:
        wait_until(lambda: all_alive(vm, [dies]))
        client.kill()
        gone_soon(vm, [dies])


def test_what_forks_all_the_time_does_not_slip_through(vm):
    """Not looked for by name: who lives for some milliseconds is gone before /proc has been read. The kernel removes no cgroup with a process in it."""
    name = marker()
    forks = f"{CGROUP}; f() {{ echo forked; sleep 0.0{name}; (f &) ; }}; f & while :; do sleep 0.1{name}; done"
    with vm.agent.start(forks) as client:
        leaf = client.stdout.readline().decode().strip()
        assert vm.root(f"test -e /sys/fs/cgroup{leaf}/cgroup.procs").rc == 0
        assert [client.stdout.readline() for _ in range(3)] == [b"forked\n"] * 3
        client.kill()
        wait_until(lambda: vm.root(f"test -e /sys/fs/cgroup{leaf}").rc == 1, 15)
        assert vm.root(f"pgrep -f {name}").rc == 1


def test_nohup_setsid_and_screen_survive(vm):
    lives = [marker() for _ in range(3)]
    dies = marker()
    start = (f"nohup sleep {lives[0]} >/dev/null 2>&1 & setsid sleep {lives[1]} >/dev/null 2>&1 & "
             f"screen -dmS survivor sleep {lives[2]}; sleep {dies}")
    with vm.agent.start(start) as client:
        wait_until(lambda: all_alive(vm, [*lives, dies]))
        client.kill()
        gone_soon(vm, [dies])
    assert all_alive(vm, lives)
    uid = vm.uid()
    for number in lives:
        assert vm.cgroup(vm.alive(f"sleep {number}")[0]).startswith(f"/user.slice/user-{uid}.slice/"), \
            "a survivor stays within the agent's limits"
    assert "survivor" in vm.agent("screen -ls").text
    ends(vm, lives)


def test_nohup_that_the_command_itself_leaves_behind_survives(vm):
    """The idiom of the skill's users: start, note the PID, log out."""
    lives = marker()
    vm.agent.sh("mkdir -p logs pids")
    vm.agent.sh(f"nohup sleep {lives} > logs/x.log 2>&1 & echo $! > pids/x.pid")
    pid = int(vm.agent.sh("cat pids/x.pid"))
    assert vm.alive(f"sleep {lives}") == [pid]
    assert vm.agent.sh(f"kill {pid} && echo killed") == "killed"
    wait_until(lambda: none_alive(vm, [lives]))
    vm.agent.sh("rm -r logs pids")


def test_a_vanished_terminal(vm):
    dies, lives = marker(), marker()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        terminal.line(f"nohup sleep {lives} >/dev/null 2>&1 &")
        terminal.line(f"sleep {dies}")
        wait_until(lambda: all_alive(vm, [dies, lives]))
        terminal.kill()
        gone_soon(vm, [dies])
    assert all_alive(vm, [lives])
    ends(vm, [lives])


MURDER = """
import glob, os, subprocess, sys, time
agent, keeper = sys.argv[1:]
pid = int(subprocess.run(["systemctl", "show", "-P", "MainPID", keeper], capture_output=True, text=True).stdout)
print("ready", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    for folder in glob.glob(f"/sys/fs/cgroup/user.slice/user-{agent}.slice/creel-leaves@{agent}.service/session-*"):
        try:
            os.getxattr(folder, "user.creel.over")
        except OSError:
            continue
        os.kill(pid, 9)
        print("killed", flush=True)
        sys.exit()
"""


def test_a_keeper_that_dies_in_a_hang_up_finishes_it_when_it_is_back(vm):
    """The shell has a moment for its history; the keeper is killed just then."""
    dies, lives = marker(), marker()
    uid = vm.uid()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        terminal.line(f"nohup sleep {lives} >/dev/null 2>&1 &")
        terminal.line("trap : HUP TERM")
        terminal.line(f"setsid -w true; while :; do sleep {dies}; done")
        wait_until(lambda: all_alive(vm, [dies, lives]))
        with vm.root.start(python(MURDER, str(uid), f"creel-keeper@{uid}.service")) as murderer:
            assert murderer.stdout.readline() == b"ready\n"
            terminal.kill()
            assert murderer.stdout.readline() == b"killed\n"
    wait_until(lambda: none_alive(vm, [dies]), 60, "the hang-up is finished")
    assert all_alive(vm, [lives])
    ends(vm, [lives])
    wait_until(lambda: vm.agent("echo in").text == "in", 60)


def test_logging_out_properly_leaves_nohup_and_ends_nothing_else(vm):
    lives = marker()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        terminal.line(f"nohup sleep {lives} >/dev/null 2>&1 &")
        wait_until(lambda: all_alive(vm, [lives]))
        terminal.line("exit")
        terminal.finish()
    assert all_alive(vm, [lives])
    ends(vm, [lives])


def test_how_soon(vm, record_property):
    """On one clock, in the VM. The promise is a second; what is measured on a machine under load is printed, not judged."""
    key = "/root/hangup-key"
    with open(vm.agent.key(), "rb") as file:
        vm.write(key, file.read(), "0600")
    since = vm.now()
    times = [float(line) for line in vm.root.sh(f"python3 {PROBE_DIR}/hangup.py {key} 7; s=$?; rm -f {key}; exit $s",
                                                timeout=400).split()]
    print("seconds from the client's end to its command's:", times)
    record_property("seconds", times)
    assert len(times) == 7
    entries = wait_until(lambda: vm.records(since, "command", agent="agent", result="hangup"))
    assert len(entries) == 7, "each was hung up, none ended by itself"


def test_a_closed_channel_takes_its_own_command_only(vm):
    first, second = marker(), marker()

    async def run():
        async with vm.connect() as connection:
            one = await connection.create_process(f"sleep {first}")
            two = await connection.create_process(f"sleep {second}; :")
            await asyncio.to_thread(wait_until, lambda: all_alive(vm, [first, second]))
            two.channel.close()
            await asyncio.to_thread(gone_soon, vm, [second])
            assert all_alive(vm, [first])
            assert one.exit_status is None

    asyncio.run(run())
    gone_soon(vm, [first])


def test_a_client_of_a_control_master_ends_what_reads_its_input(vm, tmp_path):
    """OpenSSH's master closes no channel of a client that died: it sends the end of its input, and the others go on.

    To a server that is not OpenSSH it sends even that only with its next event, whatever that is: here, a check.
    """
    share = ["-o", f"ControlPath={tmp_path}/control"]
    first, second = marker(), marker()
    with vm.agent.start(f"sleep {first}", ["-M", *share]):
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        with vm.agent.start(f"sleep {second} & cat; kill $!", share) as client:
            wait_until(lambda: all_alive(vm, [first, second]))
            client.kill()
            client.wait()
            wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0 and none_alive(vm, [second]))
            assert all_alive(vm, [first])
    gone_soon(vm, [first])


def test_a_dead_network_path_ends_the_command_in_the_end(vm):
    """The worker is killed as a crash would: its login ends like that of a vanished client."""
    dies = marker()
    before = vm.front_workers()
    with vm.agent.start(f"sleep {dies}") as client:
        wait_until(lambda: all_alive(vm, [dies]))
        for pid in vm.front_workers() - before:
            vm.root(f"kill -KILL {pid}")
        assert client.wait(30) == 255
        gone_soon(vm, [dies])
    assert vm.agent.sh("echo next") == "next"


def test_the_record_says_hang_up(vm):
    dies = marker()
    since = vm.now()
    with vm.agent.start(f"sleep {dies}") as client:
        wait_until(lambda: all_alive(vm, [dies]))
        client.kill()
    entry = vm.record(since, "command", agent="agent", command=f"sleep {dies}")
    assert entry["CREEL_RESULT"] == "hangup"
    wait_until(lambda: vm.records(since, "logout", agent="agent"))


# ---- a command that ends by its client's going ---------------------------------------------------------------------------
def leads(vm, command, options=(), ways=(signal.SIGKILL, signal.SIGTERM)):
    """Starts `command` some times, and kills its client each time when what it starts (three sleeps) is there.

    Yields the two that must die and the one that must live.
    """
    for how in ways * 3:
        dies, lives = [marker() for _ in range(2)], marker()
        with vm.agent.start(command.format(*dies, lives), list(options)) as client:
            wait_until(lambda: all_alive(vm, [*dies, lives]), 60)
            client.send_signal(how)
            client.wait()
            yield dies, lives


def test_what_reads_its_input_takes_its_background_along(vm):
    """Its input ends with the client: it must not be its own end that comes first, which leaves the rest alone."""
    since = vm.now()
    for dies, lives in leads(vm, "sleep {0} & sleep {1} & setsid sleep {2} >/dev/null 2>&1 & cat"):
        gone_soon(vm, dies)
        assert all_alive(vm, [lives])
        ends(vm, [lives])
    wait_until(lambda: len(vm.records(since, "logout", agent="agent")) >= 6)
    entries = vm.records(since, "command", agent="agent")
    assert len(entries) == 6 and all(entry["CREEL_RESULT"] == "hangup" for entry in entries), entries


def test_half_an_upload_is_no_whole_one(vm):
    """`cat > file && use file` must not see a proper end of the file when the client is lost in the middle."""
    for how in ("kill", "close") * 3:
        dies = marker()
        command = f"rm -f whole; sleep {dies} & cat > half && touch whole; kill $!"
        if how == "kill":
            with vm.agent.start(command) as client:
                wait_until(lambda: vm.alive(f"sleep {dies}"))
                client.stdin.write(b"half of it")
                client.stdin.flush()
                client.kill()
                client.wait()
                gone_soon(vm, [dies])
        else:
            asyncio.run(closed_in_the_middle(vm, command, dies))
        assert vm.agent("test -e whole").rc == 1
    vm.agent.sh("rm half")


async def closed_in_the_middle(vm, command, dies):
    async with vm.connect() as connection:
        process = await connection.create_process(command)
        await asyncio.to_thread(wait_until, lambda: vm.alive(f"sleep {dies}"))
        process.stdin.write("half of it")
        process.channel.close()
        await asyncio.to_thread(gone_soon, vm, [dies])


def test_a_worker_that_crashes_takes_all_along(vm):
    """Here the pipes do close first, and the command ends by that before it can be hung up: what it started ends all the same."""
    for _ in range(3):
        dies, lives = marker(), marker()
        before = vm.front_workers()
        with vm.agent.start(f"sleep {dies} & setsid sleep {lives} >/dev/null 2>&1 & cat") as client:
            wait_until(lambda: all_alive(vm, [dies, lives]))
            for pid in vm.front_workers() - before:
                vm.root(f"kill -KILL {pid}")
            assert client.wait(60) == 255
            gone_soon(vm, [dies])
        assert all_alive(vm, [lives])
        ends(vm, [lives])


@pytest.mark.parametrize("ends_first", [False, True], ids=["shell-lives", "shell-ends"])
def test_a_terminals_child_that_catches_the_hang_up_ends_too(vm, ends_first):
    """To catch SIGHUP is not to ignore it; whether the shell outlives the terminal or not."""
    dies, lives = marker(), marker()
    catches = f"bash -c 'trap : HUP; while :; do sleep {dies}; done'"
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        if not ends_first:
            terminal.line("trap : HUP")
        terminal.line(f"nohup sleep {lives} >/dev/null 2>&1 &")
        terminal.line(f"{catches} & {catches}")
        wait_until(lambda: len(vm.alive(f"sleep {dies}")) == 2 and vm.alive(f"sleep {lives}"))
        terminal.kill()
        wait_until(lambda: not vm.alive(f"sleep {dies}") and vm.root(f"pgrep -f '[s]leep {dies}'").rc == 1, 30)
    assert all_alive(vm, [lives])
    ends(vm, [lives])


# ---- a command that ended before its client went -------------------------------------------------------------------------
def leaf_of(vm, number):
    return vm.cgroup(vm.alive(f"sleep {number}")[0])


def test_what_a_command_left_behind_lives_on(vm):
    """`ssh host 'server &'`: the client was told that the command ended. As with OpenSSH, nothing that runs is its command."""
    since = vm.now()
    for n, redirect in enumerate((">/dev/null 2>&1", ""), 1):
        lives = marker()
        assert vm.agent(f"sleep {lives} {redirect} & echo started").text == "started"
        wait_until(lambda: len(vm.records(since, "logout", agent="agent")) >= n)
        assert all_alive(vm, [lives]) and "/exec-" in leaf_of(vm, lives), "it was not even moved"
        ends(vm, [lives])
    assert all(entry["CREEL_RESULT"] == "exit" for entry in vm.records(since, "command", agent="agent"))


def test_what_a_command_left_behind_lives_on_when_its_connection_vanishes_later(vm, tmp_path):
    """The master of a shared connection is killed: the command of one client had ended, that of another had not."""
    share = ["-o", f"ControlPath={tmp_path}/left"]
    dies, lives = marker(), marker()
    with vm.agent.start(f"sleep {dies}", ["-M", *share]) as master:
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0 and all_alive(vm, [dies]))
        assert vm.agent(f"sleep {lives} >/dev/null 2>&1 & echo started", options=share).text == "started"
        master.kill()
        master.wait()
        gone_soon(vm, [dies])
    assert all_alive(vm, [lives])
    ends(vm, [lives])


def test_a_client_that_goes_before_it_is_told_takes_what_is_left_along(vm):
    """The command has ended, its output has not been read: to its client it runs. Its channel closed, or its connection lost."""
    async def run(whole):
        async with vm.connect() as connection:
            since = vm.now()
            dies, lives = marker(), marker()
            process = await connection.create_process(
                f"sleep {dies} & setsid sleep {lives} >/dev/null 2>&1 & head -c 200000 /dev/zero", encoding=None,
                window=65536)  # the rest stays in the pipe
            process.channel.pause_reading()
            await asyncio.to_thread(wait_until, lambda: vm.records(since, "command", agent="agent"), 30, "it ended")
            assert all_alive(vm, [dies, lives])
            if whole:
                connection.abort()
            else:
                process.channel.close()
            await asyncio.to_thread(gone_soon, vm, [dies])
            assert all_alive(vm, [lives])
            ends(vm, [lives])

    asyncio.run(run(False))
    asyncio.run(run(True))


def test_a_keeper_that_comes_back_knows_who_was_told(vm, tmp_path):
    """What was left behind of a command that ended, before and while the keeper was away."""
    share = ["-o", f"ControlPath={tmp_path}/away"]
    dies, lives = marker(), marker()
    with vm.agent.start(f"sleep {dies}", ["-M", *share]) as master:
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0 and all_alive(vm, [dies]))
        assert vm.agent(f"sleep {lives} >/dev/null 2>&1 & echo started", options=share).text == "started"
        vm.root.sh(f"systemctl kill -s KILL --kill-who=main creel-keeper@{vm.uid()}.service")
        wait_until(lambda: vm.agent("echo in", options=share).text == "in", 60)
        master.kill()
        master.wait()
        gone_soon(vm, [dies])
    assert all_alive(vm, [lives])
    ends(vm, [lives])


def test_a_burst_of_vanishing_clients_leaves_nothing(vm):
    dies = [marker() for _ in range(6)]
    with_clients = [vm.agent.start(f"sleep {number}") for number in dies]
    clients = [entered.__enter__() for entered in with_clients]
    try:
        wait_until(lambda: all_alive(vm, dies), 60)
        for client in clients:
            client.kill()
        wait_until(lambda: none_alive(vm, dies), 20)
    finally:
        for entered in with_clients:
            entered.__exit__(None, None, None)


def test_openssh_door_is_unchanged(vm):
    assert Host(vm, "openssh").sh("echo other door") == "other door"
