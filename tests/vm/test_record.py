# SPDX-License-Identifier: MIT
"""The record: what happened, with what it cost, in fields that nobody but root can write."""

import json

from harness import Terminal, marker, python, wait_until


def test_login_command_and_logout(vm):
    since = vm.now()
    vm.agent.sh("exit 0")
    login = vm.record(since, "login", agent="agent")
    start = vm.record(since, "command-start", agent="agent")
    command = vm.record(since, "command", agent="agent")
    logout = vm.record(since, "logout", agent="agent", session=login["CREEL_SESSION"])
    assert login["CREEL_SESSION"] == command["CREEL_SESSION"]
    assert command["CREEL_COMMAND"] == start["CREEL_COMMAND"] == "exit 0" and "CREEL_RESULT" not in start
    assert int(logout["CREEL_CPU_USEC"]) >= int(command["CREEL_CPU_USEC"])
    assert command["CREEL_RESULT"] == "exit" and command["CREEL_EXIT"] == "0"


def test_exit_status_and_signal(vm):
    since = vm.now()
    vm.agent("exit 7")
    vm.agent("kill -TERM $$")
    assert vm.record(since, "command", command="exit 7")["CREEL_EXIT"] == "7"
    entry = vm.record(since, "command", command="kill -TERM $$")
    assert entry["CREEL_RESULT"] == "signal" and entry["CREEL_SIGNAL"] == "TERM" and "CREEL_EXIT" not in entry


def test_duration_cpu_and_memory(vm):
    since = vm.now()
    busy = python("import time; x=bytearray(60_000_000); e=time.process_time()+0.5\nwhile time.process_time()<e: pass\n"
                  "time.sleep(1)")
    vm.agent.sh(busy)
    entry = vm.record(since, "command", agent="agent")
    duration, cpu = int(entry["CREEL_DURATION_USEC"]), int(entry["CREEL_CPU_USEC"])
    assert duration >= 1_500_000 and 500_000 <= cpu <= duration * 2
    assert 60_000_000 <= int(entry["CREEL_MEMORY_PEAK"]) < 400_000_000


def test_usage_counts_children_too(vm):
    since = vm.now()
    vm.agent.sh(python("import subprocess,sys\nsubprocess.run([sys.executable,'-c','x=bytearray(80_000_000)'])"))
    assert int(vm.record(since, "command", agent="agent")["CREEL_MEMORY_PEAK"]) >= 80_000_000


def test_every_channel_has_a_record(vm, tmp_path):
    since = vm.now()
    share = ["-o", f"ControlPath={tmp_path}/c"]
    with vm.agent.start("cat", ["-M", *share]):
        wait_until(lambda: vm.agent("", options=["-O", "check", *share]).rc == 0)
        for i in range(3):
            vm.agent.sh(f"echo {i}", options=share)
        wait_until(lambda: len(vm.records(since, "command", agent="agent")) == 3)
    entries = wait_until(lambda: len(found := vm.records(since, "command", agent="agent")) == 4 and found)
    assert len({entry["CREEL_SESSION"] for entry in entries}) == 1
    assert len({entry["CREEL_CHANNEL"] for entry in entries}) == 4


def test_shell_and_sftp_are_recorded(vm):
    since = vm.now()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(r"\$ ")
        terminal.line("exit 4")
        terminal.finish()
    assert vm.record(since, "command", agent="agent")["CREEL_EXIT"] == "4"
    since = vm.now()
    assert vm.agent("sftp", options=["-s"]).rc == 0
    assert "sftp" in json.dumps(vm.record(since, "command", agent="agent"))


def test_text_that_would_deceive_a_reader(vm):
    """Newlines, control characters, escape sequences and forged fields stay what they are: bytes of one command."""
    evil = "echo '\x1b[2J\x1b]0;title\x07'\nCREEL_KIND=login\nCREEL_AGENT=root\nMESSAGE=forged\r\x00".replace("\x00", "")
    since = vm.now()
    vm.agent(evil)
    entry = vm.record(since, "command", agent="agent")
    text = entry["CREEL_COMMAND"]
    text = bytes(text).decode() if isinstance(text, list) else text
    assert text == evil
    assert "\x1b" not in str(entry["MESSAGE"]) and "\n" not in str(entry["MESSAGE"])
    assert not vm.records(since, agent="root")
    shown = vm.root("creelctl audit").ok().out
    assert b"\x1b" not in shown and b"\x07" not in shown and b"title" in shown


def test_bytes_that_are_no_text(vm):
    since = vm.now()
    vm.agent(b"echo \xff\xfe".decode("latin-1"))
    vm.record(since, "command", agent="agent")


def test_a_long_command_is_recorded(vm):
    since = vm.now()
    number = marker()
    vm.agent.sh(f"echo {number} >/dev/null; : " + "x" * 90_000)
    entry = vm.record(since, "command", agent="agent")
    assert str(entry["CREEL_COMMAND"]).startswith(f"echo {number}") and len(str(entry["CREEL_COMMAND"])) >= 1000


def test_audit_lists_the_last_ones(vm):
    number = marker()
    vm.agent.sh(f"echo {number}")
    wait_until(lambda: f"echo {number}" in vm.root.sh("creelctl audit"))
    assert "login" in vm.root.sh("creelctl audit")


def test_audit_needs_root(vm):
    done = vm.agent("/usr/sbin/creelctl audit")
    assert done.rc != 0 and "echo" not in done.text


def test_agents_cannot_read_the_record(vm):
    vm.agent.sh("true")
    done = vm.agent("journalctl --namespace=creel -q --no-pager")
    assert done.text == ""
    assert vm.agent("ls /var/log/journal/*.creel/").rc != 0 or vm.agent("cat /var/log/journal/*.creel/*").rc != 0


def test_agents_cannot_write_to_the_record(vm):
    since = vm.now()
    forge = python("""
import socket, glob
paths = glob.glob("/run/systemd/journal.creel/*") + ["/run/systemd/journal.creel/socket"]
for path in paths:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        s = socket.socket(socket.AF_UNIX, kind)
        try:
            s.connect(path)
            s.send(b"MESSAGE=forged\\nCREEL_KIND=login\\nCREEL_AGENT=agent\\n")
            print("wrote to", path)
        except OSError as e:
            pass
""")
    assert vm.agent.sh(forge) == ""
    vm.agent("logger -t creel-keeper 'MESSAGE=forged'; systemd-cat -t creel-keeper --namespace=creel echo forged")
    assert not [entry for entry in vm.journal(since, namespace="creel") if "forged" in str(entry.get("MESSAGE"))
                and entry.get("CREEL_KIND") not in ("command-start", "command")]


def test_forged_entries_in_the_agents_own_journal_are_no_records(vm):
    """An agent may write to the system's journal; what it says there about itself is not believed."""
    since = vm.now()
    forge = python("""
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"MESSAGE=forged entry\\nCREEL_KIND=login\\nCREEL_AGENT=bob\\nPRIORITY=6\\n", "/run/systemd/journal/socket")
""")
    vm.agent.sh(forge)
    wait_until(lambda: vm.journal(since, "CREEL_AGENT=bob"), what="the entry in the system's journal")
    assert not vm.records(since, "login", agent="bob")
    assert "forged entry" not in vm.root.sh("creelctl audit")


def test_records_come_from_root_or_the_front(vm):
    since = vm.now()
    vm.agent.sh("true")
    vm.record(since, "command", agent="agent")
    front = int(vm.root.sh("id -u creel-sshd"))
    for entry in vm.journal(since, namespace="creel"):
        if "CREEL_KIND" in entry:
            assert int(entry["_UID"]) in (0, front)
            if entry["CREEL_KIND"] != "refusal":
                assert entry["_UID"] == "0"


def test_record_goes_on_after_journald_was_restarted(vm):
    vm.root.sh("systemctl restart systemd-journald@creel.service")
    since = vm.now()
    number = marker()
    vm.agent.sh(f"echo {number}")
    vm.record(since, "command", command=f"echo {number}")


def test_login_works_while_the_record_cannot_be_written(vm):
    since = vm.now()
    number = marker()
    vm.root.sh("systemctl stop systemd-journald@creel.socket systemd-journald-varlink@creel.socket "
               "systemd-journald@creel.service")
    try:
        assert vm.agent.sh(f"echo {number}") == number
        done = vm.now()
    finally:
        vm.root.sh("systemctl start systemd-journald@creel.socket systemd-journald-varlink@creel.socket")
    # what could not be written waits, and comes with the time at which it happened
    entry = vm.record(since, "command", timeout=60, command=f"echo {number}")
    assert since <= int(entry["CREEL_TIME_USEC"]) <= done + 10**6
    assert not vm.records(since, "lost")
