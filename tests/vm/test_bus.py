# SPDX-License-Identifier: MIT
"""The keeper's table, row by row: each method in each state of a session, by everyone who could try.

The rows are read from the keeper's source, and the types from the header that both ends share, so that a new method is
either in ARGUMENTS or fails here.
"""

import base64
import json
import re

import pytest

from harness import PROBE_DIR, ROOT, wait_until
from test_keeper import main_pid, socket_of

PEER = "192.0.2.1 1 192.0.2.2 22"
NO_SESSION = "org.creel.Error.NoSession"
DENIED = "org.creel.Error.Denied"
WRONG = "org.freedesktop.DBus.Error.InvalidArgs"

KINDS = {"PEER_FRONT": "creel-sshd", "PEER_AGENT": "agent", "PEER_ROOT": "root"}
TABLE = {member: (signature, {KINDS[kind] for kind in who.split(" | ")})
         for member, signature, who in re.findall(r'^\t\{ "(\w+)", "(\S*)", ([A-Z_| ]+), method_\w+ \},$',
                                                  (ROOT / "shell/keeper/methods.c").read_text(), re.M)}
DOCUMENTED = {member: (taken, given, {{"front": "creel-sshd"}.get(kind, kind) for kind in who.split(", ")})
              for member, taken, given, who in re.findall(
                  r"^ \*   ([A-Z]\w+) +([a-z(){}]*) ?-> ?([a-z()]*) +(front|agent, root|root|agent)\b",
                  (ROOT / "shell/bus/bus.h").read_text(), re.M)}

# what a well-behaved caller would send; $S is the session
ARGUMENTS = {
    "Authorize": ["agent", PEER, "$KEY"], "Login": ["agent", PEER, "ssh-ed25519", "SHA256:test", 0, "$KEY"],
    "Refused": ["agent", PEER, "a test of the table"],
    "Start": ["$S", 2, "exec", "sleep 600", [], False, "", [80, 24, 0, 0], ""],
    "Signal": ["$S", 1, "USR1"], "Hangup": ["$S", 1], "Told": ["$S", 1], "Logout": ["$S"], "Connect": ["$S", "127.0.0.1", 1], "Attach": ["$S"],
    "Adopt": ["test", "", "", ""], "Limits": [], "Reload": [],
    "Memory": [], "Run": [0, [["language", ["s", "bash"]]]], "Stop": [1], "Repls": [], "Reset": ["python", "main"],
    "Sessions": [], "End": ["0123456789abcdef"], "History": [False, 0, 1, "", ""],
    "SetSecret": ["TOKEN", 0], "Secret": ["NOT_THERE"], "RemoveSecret": ["NOT_THERE"], "Secrets": [],
}
OF_A_SESSION = [member for member, arguments in ARGUMENTS.items() if "$S" in arguments]


class Talk:
    """Steps for the probe, and what is expected of each."""

    def __init__(self, vm):
        self.vm = vm
        blob = base64.b64decode(vm.root.sh("cat /home/agent/.ssh/authorized_keys").split()[1])
        self.words = {"$KEY": list(blob)}
        self.steps, self.expected = [], []

    def step(self, expected, **order):
        self.steps.append(order)
        self.expected.append(expected)

    def call(self, expected, who, on, member, session="$S", signature=None, arguments=None, keep=None):
        """`expected`: the signature of a reply, or the name of an error."""
        arguments = ARGUMENTS[member] if arguments is None else arguments
        arguments = [session if value == "$S" else self.words.get(value, value) if isinstance(value, str) else value
                     for value in arguments]
        more = {"keep": keep} if keep else {}
        self.step(expected, **{"as": who, "on": on, "call": [member, TABLE[member][0] if signature is None else signature,
                                                             arguments], **more})

    def opens(self, on="front", keep="S"):
        """A session with a process."""
        self.call("sb", "creel-sshd", on, "Login", keep=keep)
        arguments = [1 if value == 2 else value for value in ARGUMENTS["Start"]]
        self.call("ah", "creel-sshd", on, "Start", f"${keep}", arguments=arguments)

    def run(self):
        out = self.vm.root.sh(f"python3 -B {PROBE_DIR}/bustable.py {socket_of(self.vm)}", json.dumps(self.steps), timeout=250)
        answers = json.loads(out)
        for order, expected, answer in zip(self.steps, self.expected, answers, strict=True):
            what = f"{order.get('as')} on {order.get('on')}: {order.get('call', order)} -> {answer}"
            if expected is None:
                continue
            assert expected == answer.get("reply", answer.get("error", answer.get("errno", answer.get("closed")))), what
        return answers


@pytest.fixture(autouse=True)
def alive(vm):
    """Whatever was said, the agent's next login works, and nothing that was started lives."""
    yield
    wait_until(lambda: not vm.alive("sleep 600"), 60, "no process of a test is left")
    assert vm.agent.sh("echo in") == "in"


@pytest.fixture
def talk(vm):
    vm.agent.sh("true")
    return Talk(vm)


def test_the_header_says_what_the_table_says():
    assert TABLE and set(TABLE) == set(DOCUMENTED) == set(ARGUMENTS)
    for member, (signature, who) in TABLE.items():
        assert (signature, who) == (DOCUMENTED[member][0], DOCUMENTED[member][2]), member


# ---- the front ---------------------------------------------------------------------------------------------------------
def given(member):
    """The answer when all is well. Nobody may be forwarded to port 1, nor told of the end of what runs, /dev/null is no code
    and no value, and no run has the number 1, no session that id, no secret that name."""
    return {"Connect": DENIED, "Told": NO_SESSION, "Memory": "org.creel.Error.Policy", "Run": WRONG, "Stop": NO_SESSION, "End": NO_SESSION,
            "SetSecret": WRONG, "Secret": "org.creel.Error.NoSecret"}.get(member, DOCUMENTED[member][1])


def front_may():
    return [member for member, (_, who) in TABLE.items() if "creel-sshd" in who]


def test_front_with_its_own_session(talk):
    for member in front_may():
        talk.opens()
        talk.call(given(member), "creel-sshd", "front", member)
        talk.call(NO_SESSION if member == "Logout" else "", "creel-sshd", "front", "Logout")
        talk.step(None, close="front")
    talk.run()


def test_a_process_that_was_just_born_is_hung_up(talk):
    """At once, before it has made its session: it is no survivor for that."""
    for _ in range(30):
        talk.opens()
        talk.call("", "creel-sshd", "front", "Logout")
    talk.run()


def test_front_without_a_session(talk):
    for member in front_may():
        for session in ("0", "", "no/such", "x" * 2000):
            expected = NO_SESSION if member in OF_A_SESSION else given(member)
            talk.call(expected, "creel-sshd", "front", member, session)
        talk.step(None, close="front")
    talk.run()


def test_front_with_a_session_that_is_over(talk):
    for member in OF_A_SESSION:
        talk.opens()
        talk.call("", "creel-sshd", "front", "Logout")
        talk.call(NO_SESSION, "creel-sshd", "front", member)
        talk.step(None, close="front")
    talk.run()


def test_front_with_the_session_of_another_connection(talk):
    """A session belongs to the connection that opened it."""
    talk.opens()
    for member in OF_A_SESSION:
        talk.call(NO_SESSION, "creel-sshd", "other", member)
    talk.call("au", "creel-sshd", "front", "Attach")
    talk.call("", "creel-sshd", "front", "Logout")
    answers = talk.run()
    assert answers[-2]["body"] == "0400000001000000", "its process still runs"


def test_front_with_a_session_of_before_the_keeper_was_killed(vm, talk):
    """It is nobody's until somebody attaches to it, and then that one's alone."""
    for member in OF_A_SESSION:
        talk.opens(keep=member)
    talk.step(None, kill=main_pid(vm))
    for member in OF_A_SESSION:
        talk.call("au" if member == "Attach" else NO_SESSION, "creel-sshd", "new", member, f"${member}")
    talk.call("au", "creel-sshd", "new", "Attach", "$Signal")
    for member in OF_A_SESSION:
        talk.call(NO_SESSION, "creel-sshd", "third", member, "$Signal")
    talk.call("", "creel-sshd", "new", "Signal", "$Signal")
    for member in OF_A_SESSION:
        if member != "Attach":
            talk.call("au", "creel-sshd", "new", "Attach", f"${member}")
        talk.call("", "creel-sshd", "new", "Logout", f"${member}")
    talk.run()


def test_channels_that_are_not_there(talk):
    talk.opens()
    for member in ("Signal", "Hangup", "Told"):
        talk.call(NO_SESSION, "creel-sshd", "front", member, arguments=[7 if value == 1 else value for value in ARGUMENTS[member]])
    talk.call(WRONG, "creel-sshd", "front", "Signal", arguments=["$S", 1, "NOSUCH"])
    talk.call(WRONG, "creel-sshd", "front", "Signal", arguments=["$S", 1, "STOP"])
    talk.call("", "creel-sshd", "front", "Logout")
    talk.run()


def test_a_channel_that_ended_and_left_others_behind(vm, talk):
    """Told once; what is told of is no channel any more, and what is not can be hung up."""
    talk.call("sb", "creel-sshd", "front", "Login", keep="S")
    for number, command in ((1, "sleep 600 & exit"), (2, "sleep 600 & exit"), (3, "true")):
        talk.call("ah", "creel-sshd", "front", "Start", arguments=["$S", number, "exec", command, [], False, "", [80, 24, 0, 0], ""])
    for number in (1, 2, 3):
        talk.step(None, ended=["$S", number])
    for member, number, expected in (("Told", 1, ""), ("Told", 1, NO_SESSION), ("Hangup", 1, NO_SESSION), ("Hangup", 2, ""),
                                     ("Told", 3, NO_SESSION), ("Hangup", 3, NO_SESSION)):
        talk.call(expected, "creel-sshd", "front", member, arguments=["$S", number])
    talk.call("", "creel-sshd", "front", "Logout")
    talk.run()
    assert len(wait_until(lambda: len(left := vm.alive("sleep 600")) == 1 and left)) == 1, "that of the first lives"
    vm.root("pkill -fx 'sleep 600'")


# ---- the others --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["creel-sshd", "agent", "root"])
@pytest.mark.parametrize("session", ["$S", "0"], ids=["session", "none"])
def test_what_a_row_does_not_name(vm, talk, who, session):
    """Refused whatever the state, and the connection ends; the session that was named lives on."""
    refused = [member for member, (_, whose) in TABLE.items() if who not in whose]
    assert refused
    since = vm.now()
    talk.opens()
    for member in refused:
        talk.call(DENIED, who, "mine", member, session)
        talk.step(True, closed="mine")
    talk.call("au", "creel-sshd", "front", "Attach")
    talk.call("", "creel-sshd", "front", "Logout")
    answers = talk.run()
    assert answers[-2]["body"] == "0400000001000000", "its process still runs"
    assert len(vm.records(since, "login", agent="agent")) == 1 and not vm.records(since, "refusal")


@pytest.mark.parametrize("who", ["agent", "root"])
def test_what_a_row_names(talk, who):
    for member, (_, whose) in TABLE.items():
        if who in whose:
            talk.call(given(member), who, "mine", member)
    talk.run()


@pytest.mark.parametrize("who", ["bob", "nobody"])
def test_others_meet_the_kernel(talk, who):
    talk.opens()
    for member in TABLE:
        talk.call("EACCES", who, "mine", member)
    talk.call("", "creel-sshd", "front", "Logout")
    talk.run()


@pytest.mark.parametrize("who", ["bob", "nobody"])
def test_others_meet_the_keeper_where_the_mode_is_wrong(vm, talk, who):
    path = socket_of(vm)
    talk.opens()
    for member in TABLE:
        talk.call(True, who, "mine", member)
    talk.call("", "creel-sshd", "front", "Logout")
    vm.root.sh(f"chmod 666 {path}")
    try:
        talk.run()
    finally:
        vm.root.sh(f"chmod 660 {path}")


def types(signature):
    """Complete types, one at a time."""
    return re.findall(r"a*(?:\([^)]*\)|\{[^}]*\}|[a-z])", signature)


@pytest.mark.parametrize("who", sorted(KINDS.values()))
def test_other_types_than_the_row_says(talk, who):
    """One more, one less, and another one at the end: each ends the connection."""
    for member, (signature, whose) in TABLE.items():
        if who not in whose:
            continue
        wrong = [(signature + "s", ARGUMENTS[member] + ["more"])]
        if signature:
            wrong.append(("".join(types(signature)[:-1]), ARGUMENTS[member][:-1]))
            other = "u" if types(signature)[-1] == "s" else "s"
            wrong.append(("".join(types(signature)[:-1]) + other, ARGUMENTS[member][:-1] + [1 if other == "u" else "text"]))
        for changed, arguments in wrong:
            talk.call(WRONG, who, "mine", member, "0", changed, arguments)
            talk.step(True, closed="mine")
    talk.run()
