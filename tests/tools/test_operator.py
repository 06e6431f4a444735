# SPDX-License-Identifier: MIT
"""creelctl without a keeper and without a manager: its words, and the keys of an agent."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, PATIENCE, ROOT, SOCKETS, agents_of_our_own

ETC, HOME = pathlib.Path("/etc/creel"), SOCKETS / "zed"


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    with agents_of_our_own(folder):
        yield folder


def creelctl(*words, stdin=""):
    return subprocess.run([BUILD / "creelctl", *words], capture_output=True, text=True, input=stdin, timeout=PATIENCE, check=False)


def refused(*words, stdin="", status=1):
    """Its one line of why. There is no record here, which it says as well."""
    done = creelctl(*words, stdin=stdin)
    lines = [line for line in done.stderr.splitlines() if "this could not be recorded" not in line]
    assert done.returncode == status and not done.stdout and lines, done
    assert status == 2 or len(lines) == 1, done
    return lines[0]


# ---- words --------------------------------------------------------------------------------------------------------------
def test_words_that_are_none_are_named(machine):
    for words, what, way_out in (
            (["nix"], "`nix`", "creelctl help"), (["agent"], "agent: a verb is missing", "creelctl help agent"),
            (["agent", "nix"], "`agent nix`", "creelctl help agent"), (["audit", "nix"], "`audit nix`", "creelctl help audit"),
            (["help", "nix"], "`nix`", "creelctl help"), (["\x1b[2J"], "`\\x1b[2J`", "creelctl help")):
        done = creelctl(*words)
        assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1, done
        assert what in done.stderr and way_out in done.stderr
    assert "`--nix`" in refused("agent", "list", "--nix", status=2)
    assert "`two`" in refused("agent", "stop", "one", "two", status=2)
    assert "`-n`: its value is missing" in refused("audit", "list", "-n", status=2)


def test_help_of_a_noun(machine):
    whole, of_agent = creelctl("help"), creelctl("help", "agent")
    assert whole.returncode == of_agent.returncode == 0 and not of_agent.stderr
    assert "  creelctl session kill ID\n" in whole.stdout and "session" not in of_agent.stdout
    assert creelctl("agent", "--help").stdout == of_agent.stdout


def test_help_and_manual_agree(machine):
    page = (ROOT / "docs" / "man" / "creelctl.8").read_text()
    uses = re.findall(r"^  creelctl (.*)$", creelctl("help").stdout, re.M)
    named = {m[0].strip() for use in uses if (m := re.match(r"[a-z]+( [a-z]+)?(?= |$)", use)) and not use.startswith("help")}
    listed = {words for line in re.findall(r"^\.It (Cm .*)$", page, re.M) for words in re.findall(r"Cm ([a-z]+(?: [a-z]+)?)", line)}
    assert len(named) > 25 and named - {"audit"} <= listed, named - listed
    options = {option for use in uses for option in re.findall(r"--([a-z-]+)", use)} - {"version"}
    assert options <= set(re.findall(r"Fl -([a-z-]+)", page)), options


def test_who_is_no_agent(machine):
    for verb in ("show", "set", "lock", "unlock", "stop", "start", "freeze", "thaw", "remove"):
        for name in ("nosuch", "may"):
            words = ["agent", verb, name, *(["limits.tasks=9"] if verb == "set" else [])]
            assert refused(*words) == f"creelctl: there is no agent `{name}`: see creelctl agent list"
        assert "is not a name for an agent" in refused("agent", verb, "../x", *(["limits.tasks=9"] if verb == "set" else []))


def test_keys_of_policies_that_are_none(machine):
    path = ETC / "agents" / "zed.conf"
    path.write_text("[limits]\ntasks = 90\n")
    for words, what in ((["--unset", "limits.task"], "--unset limits.task: there is no such key"), (["limits.task=9"], "[limits] task"),
                        (["--unset", "limits"], "limits: not of the form"), (["limits.tasks=9", "--unset", "nix.x"], "--unset nix.x: ")):
        assert what in refused("agent", "set", "zed", *words)
        assert path.read_text() == "[limits]\ntasks = 90\n"
    path.unlink()


def test_kinds_of_the_record(machine):
    line = refused("audit", "list", "--kind", "nix")
    assert "`nix` is none: login, logout, " in line and ", secret, " in line and line.endswith(", lost or keeper")


def test_sessions_of_who_has_no_keeper(machine):
    (ETC / "agents" / "zed.conf").touch()
    broken = creelctl("session", "list", "--json")
    assert broken.returncode == 1 and broken.stdout == "[]\n" and broken.stderr.startswith("creelctl: agent zed: its keeper: ")
    stopped = SOCKETS / "stopped"
    stopped.mkdir()
    (stopped / "1990").touch()  # by creelctl agent stop
    done = creelctl("session", "list", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert "there is no session" in refused("session", "kill", "0123456789abcdef")
    shutil.rmtree(stopped)
    (ETC / "agents" / "zed.conf").unlink()


# ---- keys ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def key(tmp_path):
    """Its public line, and its fingerprint."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "one more", "-f", path], check=True)
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout
    return pathlib.Path(f"{path}.pub").read_text(), shown.split()[1]


@pytest.fixture(params=["home", "policy", "both"])
def zed(machine, request):
    """Where its keys are looked for."""
    (ETC / "agents" / "zed.conf").write_text(f"[agent]\nkeys = {request.param}\n")
    yield request.param
    for path in (ETC / "agents" / "zed.conf", ETC / "agents" / "zed.keys", HOME / ".ssh" / "authorized_keys"):
        path.unlink(missing_ok=True)


def test_keys_come_and_go(zed, key):
    line, fingerprint = key
    own, operators = HOME / ".ssh" / "authorized_keys", ETC / "agents" / "zed.keys"
    assert creelctl("agent", "key", "add", "zed", "--key", "-", stdin=line).stdout == f"{fingerprint}\n"
    assert own.exists() != operators.exists() == (zed == "policy")
    if zed != "policy":
        assert own.stat().st_uid == 1990 and own.stat().st_mode & 0o777 == 0o600
    again = creelctl("agent", "key", "add", "zed", "--key", "-", stdin=line)
    assert again.returncode == 0 and not again.stdout and "already" in again.stderr
    rows = json.loads(creelctl("agent", "key", "list", "zed", "--json").stdout)
    assert [(row["fingerprint"], row["comment"]) for row in rows] == [(fingerprint, "one more")]
    for path in (own, operators):  # wherever it lies, it goes
        if path.parent.exists():
            path.write_text(line)
            os.chown(path, *(1990, 1990) if path == own else (0, 0))
    assert creelctl("agent", "key", "remove", "zed", fingerprint).returncode == 0
    assert creelctl("agent", "key", "list", "zed", "--json").stdout == "[]\n"
    assert "has no key" in refused("agent", "key", "remove", "zed", fingerprint)


def test_an_agent_does_not_keep_the_operators_keys(machine, key):
    """What it makes of its own file does not hide the operator's, and nothing is said that was not done."""
    line, fingerprint = key
    operators = ETC / "agents" / "zed.keys"
    (ETC / "agents" / "zed.conf").write_text("[agent]\nkeys = both\n")
    operators.write_text(line)
    (HOME / ".ssh").mkdir(exist_ok=True)
    (HOME / ".ssh" / "authorized_keys").symlink_to("/etc/shadow")
    listed = creelctl("agent", "key", "list", "zed", "--json")
    assert listed.returncode == 1 and [row["fingerprint"] for row in json.loads(listed.stdout)] == [fingerprint]
    assert listed.stderr.startswith(f"creelctl: {HOME}/.ssh/authorized_keys: ")
    assert f"{HOME}/.ssh/authorized_keys: " in refused("agent", "key", "add", "zed", "--key", "-", stdin=line)
    assert refused("agent", "key", "remove", "zed", fingerprint).endswith("; the key is out of the operator's file alone")
    assert operators.read_text() == ""
