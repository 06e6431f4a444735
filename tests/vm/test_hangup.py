# SPDX-License-Identifier: MIT
"""A client that goes away takes its command along, but never what asked to outlive it."""

import asyncio
import signal
import statistics

import pytest

from harness import PROBE_DIR, Host, Terminal, marker, python, wait_until


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
    name = marker()
    with vm.agent.start(f"f() {{ sleep 0.0{name}; (f &) ; }}; f & while :; do sleep 0.1{name}; done") as client:
        wait_until(lambda: vm.alive(f"sleep 0.1{name}"))
        client.kill()
        wait_until(lambda: vm.root(f"pgrep -f {name}").rc == 1, 15)


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


def test_within_a_second(vm):
    """On one clock, in the VM. The best of some runs: the others say more about the load of the machine below."""
    key = "/root/hangup-key"
    with open(vm.agent.key(), "rb") as file:
        vm.write(key, file.read(), "0600")
    times = [float(line) for line in vm.root.sh(f"python3 {PROBE_DIR}/hangup.py {key} 7; s=$?; rm -f {key}; exit $s",
                                                timeout=200).split()]
    assert len(times) == 7 and min(times) <= 1.0, times
    assert statistics.median(times) <= 3.0, times


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
    assert entry["CREEL_RESULT"] in ("hangup", "signal")
    wait_until(lambda: vm.records(since, "logout", agent="agent"))


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
