# SPDX-License-Identifier: MIT
"""crontab and creel cron: entries run by the agent's own manager, in its slice and confinement, and the tools tell the truth.

When entries start is compared with Debian's cron in tests/cron.
"""

import json
import re

import pytest

from harness import Terminal, between_half_hours, manager_is_up, marker, somebody_else, wait_until

LONG = 180
UNITS = "systemctl --user list-units --all --plain --no-legend 'creel-cron-*'"


@pytest.fixture(autouse=True)
def no_crontab(vm):
    manager_is_up(vm)
    yield
    vm.agent("crontab -r; rm -rf ~/scripts ~/logs ~/ran*", timeout=LONG)
    nothing_is_loaded(vm)


def nothing_is_loaded(vm):
    """Timers are gone at once; a command that a minute's beginning started just then goes on to its end."""
    wait_until(lambda: vm.agent(UNITS, timeout=LONG).text == "", LONG, "no units", 1)


def crontab(vm, text):
    """The agent's crontab is that."""
    vm.agent("crontab -", text, timeout=LONG).ok()


def entries(vm):
    return {row["name"]: row for row in json.loads(vm.agent.sh("creel cron list --json", timeout=LONG))}


def each(vm, commands):
    """Several commands in one login: exit status and output of each."""
    script = "".join(f"({command}) </dev/null 2>&1; echo \"<$?>\"\n" for command in commands)
    found = re.findall(r"(.*?)<(\d+)>\n", vm.agent("bash -s", script, timeout=LONG).ok().out.decode(), re.S)
    assert len(found) == len(commands)
    return [(int(rc), text) for text, rc in found]


def test_crontab_keeps_what_it_is_given(vm):
    text = "# mine\nA=b\n\n*/5 * * * *\techo  \\% $A 'x'\n@daily true\n"
    assert vm.agent("crontab -l").errors == "no crontab for agent"
    assert vm.agent("crontab -r").rc == 1
    crontab(vm, text)
    assert vm.agent("crontab -l").out.decode() == text
    assert vm.agent.sh("stat -c '%a %h' .config/creel/crontab; ls -A .config/creel") == "600 1\ncrontab"
    vm.agent("cat > t; crontab t", text.replace("*/5", "*/6"), timeout=LONG).ok()
    assert "*/6" in vm.agent.sh("crontab -l; rm t")
    # as the document has it
    vm.agent.sh("(crontab -l; echo '*/30 * * * * /home/agent/scripts/check-health.sh >> /home/agent/logs/health.log 2>&1') | crontab -", timeout=LONG)
    assert "check-health" in vm.agent.sh("crontab -l")
    assert len(vm.agent.sh(UNITS + " | grep timer", timeout=LONG).splitlines()) == 3
    assert vm.agent("crontab -i -r", "n\n").rc == 0 and "check-health" in vm.agent.sh("crontab -l")
    vm.agent("crontab -i -r", "y\n", timeout=LONG).ok()
    assert vm.agent("crontab -l").rc == 1
    nothing_is_loaded(vm)


@pytest.mark.parametrize("text,said", [
    ("* * * * * true\n60 * * * * x\n", '"-":2: minute `60`: out of range; allowed is 0-59'),
    ("* * * * *\n", '"-":1: command: it is missing'),
    ("5 4 * * * x\nCRON_TZ=Mars/Phobos\n", "Mars/Phobos"),
    ("* * * * * x\r\n", "carriage return"),
    ("0 0 * * * x\n" * 10000, "more than 256 entries"),
], ids=["minute", "no command", "zone", "carriage return", "10000 lines"])
def test_errors_leave_the_old_one(vm, text, said):
    crontab(vm, "0 0 1 1 * old\n")
    done = vm.agent("crontab -", text, timeout=LONG)
    assert done.rc == 1 and said in done.errors and "errors in crontab file, can't install." in done.errors
    assert vm.agent.sh("crontab -l") == "0 0 1 1 * old"


def test_wrong_words(vm):
    wrong = ("-l -e", "-x", "-l file", "a b", "-u bob -l", "/nonexistent", "/etc", "< /dev/null")
    assert [rc for rc, _ in each(vm, [f"crontab {words}" for words in wrong])] == [1] * len(wrong)
    with somebody_else(vm) as plain:
        # who is no agent has the system's
        assert plain("crontab -l").errors == "no crontab for plain"


def test_edit(vm):
    vm.agent.sh("printf '#!/bin/sh\\necho \"0 5 * * * edited\" >> \"$1\"\\n' > ran-editor; chmod +x ran-editor")
    vm.agent("VISUAL= EDITOR=~/ran-editor crontab -e", timeout=LONG).ok()
    assert vm.agent.sh("crontab -l") == "0 5 * * * edited"
    assert "No modification made" in vm.agent("VISUAL=true crontab -e").ok().errors
    assert vm.agent("VISUAL=false crontab -e").rc == 1
    done = vm.agent("VISUAL='sed -i s/5/99/' crontab -e", timeout=LONG)
    assert done.rc == 1 and "hour `99`" in done.errors and ":1: " in done.errors and "edits left in" in done.errors
    with Terminal(vm.agent.argv("VISUAL='sed -i s/5/99/' crontab -e", ["-tt"])) as terminal:
        terminal.expect("retry the same edit", LONG)
        terminal.line("n")
        terminal.expect("edits left in", LONG)
        assert terminal.finish(LONG) == 1
    assert vm.agent.sh("crontab -l; rm -rf /tmp/crontab.*") == "0 5 * * * edited"


def test_an_entry_runs(vm):
    """By its time, in the slice and confined, with cron's surroundings and nothing else's."""
    crontab(vm, "X=\"a  b\"\n# creel: look\n* * * * * (cat; echo \"$X|$PWD|$SHELL|$HOME|$LOGNAME|$0\"; cat /proc/self/cgroup; grep -E "
                "'NoNewPrivs|Seccomp:' /proc/self/status) > ran.new && mv ran.new ran%in \\% put%two\n"
                "* * * * * date +\\%Y > ran-percent\n")
    wait_until(lambda: vm.agent("test -s ran -a -s ran-percent").rc == 0, LONG, "both entries ran")
    lines = vm.agent.sh("cat ran; cat ran-percent").splitlines()
    assert lines[:3] == ["in % put", "two", "a  b|/home/agent|/bin/sh|/home/agent|agent|/bin/sh"]
    assert lines[3] == f"0::/user.slice/user-{vm.uid()}.slice/user@{vm.uid()}.service/app.slice/creel-cron-look.service"
    assert [line.split()[1] for line in lines[4:6]] == ["1", "2"]
    assert lines[6].isdigit()
    row = wait_until(lambda: (lambda found: found["last_result"] and found)(entries(vm)["look"]), LONG, "its end is seen")
    assert row["last_result"] == "ok" and row["last_exit"] == 0 and row["line"] == 3 and row["words"] == "every minute"


def test_a_manager_that_starts_anew(vm):
    """Timers come back; @reboot is for the machine's start, and for no other of the manager's."""
    crontab(vm, "@reboot echo x >> ran-boot\n# creel: hourly\n@hourly true\n")
    again = f"systemctl restart user@{vm.uid()}.service"
    vm.root.sh(again, timeout=LONG)
    manager_is_up(vm)
    assert vm.agent.sh("systemctl --user is-active creel-cron-hourly.timer") == "active"
    assert vm.agent("test -e ran-boot").rc != 0
    # as if the machine had started: another boot's id is remembered
    vm.agent.sh("echo 00000000-0000-0000-0000-000000000000 > .local/state/creel/cron-boot")
    vm.root.sh(again, timeout=LONG)
    wait_until(lambda: vm.agent("test -s ran-boot").rc == 0, LONG, "@reboot ran")
    vm.agent.sh("systemctl --user daemon-reload", timeout=LONG)
    vm.root.sh(again, timeout=LONG)
    manager_is_up(vm)
    assert vm.agent.sh("wc -l < ran-boot") == "1"


def test_a_line_that_went_bad_by_hand(vm):
    """Its neighbours go on, and the list says which line it is."""
    crontab(vm, "# creel: good\n0 0 * * * true\n")
    vm.agent.sh("echo '99 * * * * x' >> .config/creel/crontab; systemctl --user daemon-reload", timeout=LONG)
    assert vm.agent.sh("systemctl --user is-active creel-cron-good.timer") == "active"
    done = vm.agent("creel cron list", timeout=LONG)
    assert done.rc == 1 and "good" in done.text and '"crontab":3: minute `99`' in done.errors
    assert "crontab has errors" in vm.agent("creel cron rm good", timeout=LONG).errors


def test_changed_lines_leave_others_alone(vm):
    crontab(vm, "# creel: a\n0 0 * * * true\n0 1 * * * true\n")
    since = "systemctl --user show -P ActiveEnterTimestampMonotonic creel-cron-*.timer"
    names = sorted(entries(vm))
    begun = vm.agent.sh(f"systemctl --user show -P ActiveEnterTimestampMonotonic creel-cron-{names[0]}.timer")
    crontab(vm, "# new\nB=c\n\n# creel: a\n30 7 * * * true\n0 1 * * * true\n")
    assert sorted(entries(vm)) == names
    assert vm.agent.sh(f"systemctl --user show -P ActiveEnterTimestampMonotonic creel-cron-{names[0]}.timer") == begun, since
    # the one whose schedule is another elapses by it
    assert "07:30:00" in vm.agent.sh("systemctl --user list-timers --no-legend creel-cron-a.timer")


def test_add(vm):
    between_half_hours(vm)
    token = marker()
    vm.agent.sh("mkdir -p scripts; cat > scripts/backup.sh", f"echo {token} $1 $-; false; echo not reached\n")
    done = vm.agent("creel cron add '*/30 * * * *' scripts/backup.sh --run-now -- 'a b%c'", timeout=LONG)
    assert done.rc == 1 and f"{token} a b%c ehu" in done.text and "not reached" not in done.text, done
    assert "exit status 1" in done.errors and "every 30 minutes; next in " in done.text
    assert vm.agent.sh("crontab -l") == "# creel: backup\n*/30 * * * * /bin/bash -euo pipefail /home/agent/scripts/backup.sh 'a b\\%c' " \
        ">> /home/agent/logs/backup.log 2>&1"
    row = entries(vm)["backup"]
    assert row["last_result"] == "exit 1" and row["log"] == "/home/agent/logs/backup.log" and row["next"]
    table = vm.agent.sh("creel cron list")
    assert "exit 1" in table and "every 30 minutes" in table and "in " in table
    assert token in vm.agent.sh("creel cron logs backup -n 5")
    vm.agent.sh("echo 'echo fine' > scripts/backup.sh")
    assert "fine" in vm.agent.sh("creel cron run backup", timeout=LONG)
    vm.agent.sh("creel cron rm backup", timeout=LONG)
    assert vm.agent("crontab -l").text == ""
    nothing_is_loaded(vm)
    assert token in vm.agent.sh("cat logs/backup.log")


def test_add_refuses(vm):
    vm.agent.sh("mkdir -p scripts; echo 'if' > scripts/bad.sh; echo 'def' > scripts/bad.py; echo x > scripts/plain; echo true > scripts/ok.sh;"
                "creel cron add @daily scripts/ok.sh", timeout=LONG)
    before = vm.agent.sh("crontab -l")
    refused = [("'61 * * * *' scripts/ok.sh", "minute `61`"), ("'* * * * *' scripts/none.sh", "No such file"),
               ("'* * * * *' scripts/bad.sh", "finds errors"), ("'* * * * *' scripts/bad.py", "finds errors"),
               ("'* * * * *' scripts/plain", "not executable"), ("'* * * * *' scripts", "no file"),
               ("'* * * * *' scripts/ok.sh", "has that name already"), ("'0 0 30 2 *' scripts/ok.sh --name n", "never comes"),
               ("'* * * * *' scripts/ok.sh --name a/b", "a slash"), (f"'* * * * *' scripts/ok.sh --name {'x' * 300}", "300"),
               ("'* * * * *' scripts/ok.sh --name -x", "name"), ("'* * * * * *' scripts/ok.sh", "`*` stands behind")]
    told = each(vm, [f"creel cron add {words}" for words, _ in refused])
    for (words, said), (rc, errors) in zip(refused, told):
        assert rc == 1 and said in errors, (words, rc, errors)
    usages = ["add", "add x", "frob", "", "next", "next '* * * * *' -n 0", "logs", "run", "rm", "rm a b"]
    assert [rc for rc, _ in each(vm, [f"creel cron {words}" for words in usages])] == [2] * len(usages)
    for rc, errors in each(vm, [f"creel cron {verb} none" for verb in ("run", "logs", "rm")]):
        assert rc == 1 and "no entry has that name" in errors
    assert vm.agent.sh("crontab -l") == before


def test_next(vm):
    rows = json.loads(vm.agent.sh("creel cron next '30 2 * * *' -n 3 --zone Europe/Berlin --json"))
    assert len(rows) == 3 and all(row["epoch"] % 60 == 0 for row in rows)
    assert len(vm.agent.sh("creel cron next '*/5 * * * *'").splitlines()) == 5
    assert "never" in vm.agent.sh("creel cron next '0 0 31 2 *'")


def test_without_a_manager(vm):
    crontab(vm, "0 0 1 1 * old\n")
    stopped = f"systemctl stop user@{vm.uid()}.service"
    vm.root.sh(stopped, timeout=LONG)
    try:
        for command in ("echo '0 0 * * * new' | crontab -", "crontab -r", "creel cron list"):
            done = vm.agent(command, timeout=LONG)
            assert done.rc == 1 and "does not answer" in done.errors and "enable-linger" in done.errors, done
        assert vm.agent.sh("crontab -l") == "0 0 1 1 * old"
    finally:
        vm.root.sh(f"systemctl start user@{vm.uid()}.service", timeout=LONG)
        manager_is_up(vm)
