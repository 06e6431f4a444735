# SPDX-License-Identifier: MIT
"""The driver of bash sessions, through its protocol."""
import select
import time

import pytest

from conftest import DRIVERS


@pytest.fixture
def bash(sessions):
    return sessions("/bin/bash", "--noprofile", "--norc", "-c",
                    f'eval -- "$(<{DRIVERS}/bash-repl.sh)"; eval -- "$_creel_loop"', "<run>")


def test_state_stays(bash, tmp_path):
    (tmp_path / "sub").mkdir()
    assert bash("x=41; export E=e; f() { echo $((x + 1)); }; cd sub; declare -A m=([a]=b); shopt -s extglob") == ("o", 0, "", "", "")
    assert bash("f; pwd; echo ${m[a]}; sh -c 'echo $E'").out == f"42\n{tmp_path}/sub\nb\ne\n"
    assert bash("").status == bash("# nothing").status == bash("\n\n").status == "o"
    assert bash("exec >out; echo hidden").out == ""
    assert bash("exec >/dev/stderr; cat out").err == "hidden\n"


def test_the_last_status_is_told(bash):
    assert bash("false")[:2] == ("x", 1)
    assert bash("echo $?; (exit 77)")[:2] == ("x", 77)
    assert bash("sh -c 'kill -9 $$'")[:2] == ("x", 137)
    assert bash("true")[:2] == ("o", 0)
    assert bash("for i in 1; do break; done")[:2] == ("o", 0)


def test_messages_have_the_codes_lines(bash):
    assert bash("\nnosuch").err == "<run>: line 2: nosuch: command not found\n"
    done = bash("echo a\nif; then", label="b.sh")
    assert done.status == "x" and done.err.startswith("b.sh: eval: line 2: syntax error near unexpected token"), done
    assert bash("echo $0 $LINENO", label="c.sh").out == "c.sh 1\n"


def test_input_is_at_its_end(bash):
    assert bash("read x")[:2] == ("x", 1)
    assert bash("cat").out == ""


def test_options_hold_for_one_call(bash):
    assert bash("set -ux; : $((1))").err == "+++ : 1\n"
    assert bash("echo $nothing; echo b") == ("o", 0, "", "\nb\n", "")
    assert bash("set -f; echo *").out == "*\n"
    assert bash("set -e; false; echo b") is None
    assert bash.wait() == 1


def test_an_exit_is_the_shells(bash):
    assert bash("echo a; exit 7") is None
    assert bash.wait() == 7


def test_loops_are_left(bash):
    for word in ("break", "break 9", "continue 9", "return 0"):
        assert bash(f"x=1; while :; do {word} 2>/dev/null; break; done") is not None
        assert bash(f"{word} 2>/dev/null; x=2") is not None
        assert bash("echo b").out == "b\n", word


IN_FUNCTIONS = [
    "f() { sleep 1000; echo b; }; f; echo b",
    "f() { sleep 1000; }\nf\necho b",
    "f() { while :; do :; done; echo b; }; g() { case x in x) f ;; esac; echo b; }; while g; do echo b; done; echo b",
    "f() { for i in 1 2; do sleep 1000; echo b; done; echo b; }; g() { f || echo b; }; until g; do echo b; done; echo b",
    "set -e; f() { x=$(sleep 1000); echo b; }; f || echo b; echo b",
    "f() { wait; echo b; }; sleep 1000 & f; echo b",
    "f() { read -t 1000 x < <(sleep 1000); echo b; }; f; echo b",
    "f() { eval 'sleep 1000; echo b'; (sleep 1000; echo b); echo b; }; f | cat; echo b",
    "echo 'sleep 1000; echo b' >source.sh; f() { . ./source.sh; echo b; }; f; echo b",
    "trap 'true' DEBUG; f() { sleep 1000; echo b; }; f; echo b"]


@pytest.mark.parametrize("code", [
    "sleep 1000; echo b", "sleep 1000\necho b", "for i in 1 2; do sleep 1000; echo b; done; echo b", "while :; do :; done; echo b",
    "x=$(sleep 1000); echo b; (sleep 1000; echo b); echo b", "sleep 1000 | cat; echo b", *IN_FUNCTIONS])
def test_an_interrupt_keeps_the_state(bash, code):
    bash("kept=1")
    plain = bash("shopt -p extdebug; echo $-").out
    for _ in range(2):
        bash.begin(f"echo ready\n{code}")
        bash.wait_for("ready")
        # a program that is just being started may be missed: the keeper would end the session, here it is tried again
        while True:
            bash.interrupt()
            if select.select([bash.channel], [], [], 5)[0]:
                break
        done = bash.finish()
        assert done is not None and done.status == "i" and "b\n" not in done.out, done
    bash.interrupt()
    assert bash("echo $kept; f() { false; echo again; }; f") == ("o", 0, "", "1\nagain\n", "")
    assert bash("trap -p DEBUG; shopt -p extdebug; echo $-").out == plain


def test_an_interrupt_before_the_code_begins(bash):
    bash("x=1")
    for _ in range(3):
        bash.begin_slowly("x=2")
        assert bash.finish()[:2] == ("i", 0)
        assert bash("echo $x").out == "1\n"
    bash.interrupt()
    assert bash("echo $x").out == "1\n"


def test_an_interrupt_at_any_moment(bash):
    """Of a short call, or behind its end: one answer for each call, and the next one is not touched."""
    bash("f() { :; }; g() { for i in 1 2 3; do f; done; }; kept=1")
    for i in range(100):
        bash.begin("g; g; f")
        end = time.monotonic() + i * 2e-5
        while time.monotonic() < end:
            pass
        bash.interrupt()
        assert bash.finish().status in "oi"
        assert bash("echo $kept") == ("o", 0, "", "1\n", ""), i


def test_an_interrupt_that_is_the_codes_own(bash):
    # the program says it itself: an interrupt before it is there would be the shell's alone, and it would sleep on
    bash.begin("trap 'echo mine; trap - INT' INT; sh -c 'echo ready; exec sleep 1000'; echo on")
    bash.wait_for("ready")
    bash.interrupt()
    assert bash.finish().out == "ready\nmine\non\n"
    assert bash("echo b").out == "b\n"


def test_much_code_and_much_output(bash):
    assert bash("x='" + "a" * (10 << 20) + "'; echo ${#x}").out == f"{10 << 20}\n"
    assert bash("x=é; echo $x; #" + "é" * 5000).out == "é\n"
    assert len(bash("yes | head -c 3000000").out) == 3000000


def test_programs_have_no_third_descriptor(bash):
    assert bash("ls /proc/self/fd | tr '\\n' ' '").out == "0 1 2 3 "
    assert bash("echo D >&63").status == "x"
    assert bash("exec 3>/dev/null; echo hidden >&3; echo b").out == "b\n"
    assert bash("(echo sub); { echo group; } | cat; echo x >/dev/null & wait").out == "sub\ngroup\n"


def test_builtins_that_the_code_replaces(bash):
    assert bash("read() { echo no; }; printf() { echo no; }; trap() { echo no; }; set() { echo no; }").status == "o"
    assert bash("echo b") == ("o", 0, "", "b\n", "")
    assert bash("IFS=x; LC_ALL=C; PATH=; echo b").out == "b\n"
    assert bash("echo b") == ("o", 0, "", "b\n", "")
