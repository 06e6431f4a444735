# SPDX-License-Identifier: MIT
"""Logins with a terminal: what a person sees."""

import pytest

from harness import Terminal, marker, wait_until

PROMPT = r"\$ "


@pytest.fixture
def login(vm):
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(PROMPT)
        yield terminal


def test_interactive_login_shell(vm, login):
    login.line("shopt -q login_shell && echo log''in:$-:$(tty):$TERM")
    match = login.expect(r"login:([a-zA-Z]*):(/dev/pts/\d+):(\S+)")
    assert b"i" in match.group(1) and match.group(3) == b"xterm"
    login.line("exit 7")
    assert login.finish() == 7


def test_ssh_tty_names_the_terminal(login):
    login.line('[ "$SSH_TTY" = "$(tty)" ] && echo sa""me')
    login.expect("same")


def test_terminal_belongs_to_the_agent(vm, login):
    login.line("stat -c 'st%U:%G:%a' $(tty)")
    assert login.expect(r"st(agent):(\w+):(\d+)").group(3) in (b"620", b"600")


def test_size_and_resize(vm):
    with Terminal(vm.agent.argv(options=["-tt"]), rows=31, columns=97) as terminal:
        terminal.expect(PROMPT)
        terminal.line("stty size")
        terminal.expect("31 97")
        terminal.line("sh -c 'trap \"echo win''ch; exit\" WINCH; echo wait''ing; while :; do sleep 0.1; done'; stty size")
        terminal.expect("waiting")
        terminal.resize(44, 123)
        terminal.expect("winch.*44 123")


def in_foreground(vm, command):
    """The process owns its terminal: what is typed now is for it."""
    for pid in vm.alive(command):
        groups = vm.root(f"ps -o pgid=,tpgid= -p {pid}").text.split()
        return len(groups) == 2 and groups[0] == groups[1]
    return False


def test_ctrl_c_interrupts_the_job_and_not_the_shell(vm, login):
    command = f"sleep {marker()}"
    login.line(command)
    wait_until(lambda: in_foreground(vm, command))
    login.send("\x03")
    login.expect(PROMPT)
    login.line("echo status''=$?")
    login.expect("status=130")
    assert not vm.alive(command)


def test_job_control(vm, login):
    command = f"sleep {marker()}"
    login.line(command)
    wait_until(lambda: in_foreground(vm, command))
    login.send("\x1a")
    login.expect("Stopped")
    login.line("bg; echo be''hind")
    login.expect("behind")
    assert not in_foreground(vm, command)
    login.line("jobs")
    login.expect("Running")
    login.line("fg")
    wait_until(lambda: in_foreground(vm, command))
    login.send("\x03")
    wait_until(lambda: not vm.alive(command))
    login.line("echo all''done")
    login.expect("alldone")


def test_ctrl_d_ends_the_login(login):
    login.send("\x04")
    assert login.finish() == 0


def test_ctrl_backslash_quits(vm, login):
    command = f"sleep {marker()}"
    login.line(command)
    wait_until(lambda: in_foreground(vm, command))
    login.send("\x1c")
    login.expect("Quit")


def test_command_on_a_terminal(vm):
    with Terminal(vm.agent.argv("test -t 0 && test -t 1 && test -t 2 && echo on; exit 5", ["-tt"])) as terminal:
        terminal.expect("on\r\n")
        assert terminal.finish() == 5


def test_output_before_exit_is_complete(vm):
    with Terminal(vm.agent.argv("seq 1 20000", ["-tt"])) as terminal:
        assert terminal.finish() == 0
        assert terminal.seen.replace(b"\r\n", b"\n").split() == [b"%d" % i for i in range(1, 20001)]


def test_terminal_goes_away_under_a_running_program(vm):
    seconds = marker()
    with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
        terminal.expect(PROMPT)
        terminal.line(f"sleep {seconds}")
        wait_until(lambda: vm.alive(f"sleep {seconds}"))
        terminal.kill()
    wait_until(lambda: not vm.alive(f"sleep {seconds}"), 10)


def test_paste_of_many_lines(vm, login):
    login.line("stty -echo; cat > pasted; md5sum < pasted | cut -c1-8; stty echo")
    login.expect("stty echo")
    text = "".join(f"line {i} of a longer paste\r" for i in range(500))
    login.send(text)
    login.send("\x04")
    import hashlib
    want = hashlib.md5(text.replace("\r", "\n").encode(), usedforsecurity=False).hexdigest()[:8]
    login.expect(want)
    vm.agent.sh("rm pasted")


def test_top(vm):
    with Terminal(vm.agent.argv("top -d 1", ["-tt"]), rows=24, columns=100) as terminal:
        terminal.expect("load average")
        terminal.expect("PID")
        terminal.send("q")
        assert terminal.finish() == 0


def test_vim_edits_a_file(vm):
    if vm.agent("command -v vim").rc:
        editor = "vi"
        if vm.agent("command -v vi").rc:
            pytest.skip("no vi in this image")
    else:
        editor = "vim"
    with Terminal(vm.agent.argv(f"{editor} edited.txt", ["-tt"])) as terminal:
        terminal.expect("edited.txt")
        terminal.send("ihello from the editor\x1b")
        terminal.send(":wq\r")
        assert terminal.finish() == 0
    assert vm.agent.sh("cat edited.txt; rm edited.txt") == "hello from the editor"


def test_screen_detach_and_reattach(vm):
    with Terminal(vm.agent.argv("screen -S work", ["-tt"])) as terminal:
        terminal.expect(PROMPT)
        terminal.line("x=kept; echo in''side:$STY")
        terminal.expect(r"inside:\d+\.work")
        terminal.send("\x01d")
        terminal.expect("detached")
        terminal.finish()
    with Terminal(vm.agent.argv("screen -r work", ["-tt"])) as terminal:
        terminal.line("echo again''=$x")
        terminal.expect("again=kept")
        terminal.line("exit")
        terminal.expect("terminating")
        terminal.finish()


def test_stdin_that_is_no_terminal_gets_none_unless_asked(vm):
    assert vm.agent("tty").text == "not a tty"
    assert vm.agent("tty", options=["-tt"]).text.startswith("/dev/pts/")
