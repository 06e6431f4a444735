# SPDX-License-Identifier: MIT
"""Help, manual pages and completion: each verb of creel has all three, and bash(1) offers what creel says."""

import os
import re
import subprocess

import pytest

from conftest import CREEL, ROOT

MAN = ROOT / "docs" / "man"
COMPLETION = ROOT / "shell" / "completion" / "creel.bash"


@pytest.fixture(autouse=True)
def needs_own_sockets():
    """Nothing here asks a keeper."""


def creel(*words):
    return subprocess.run([CREEL, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def verbs():
    return [verb for verb in re.findall(r"^  creel ([a-z-]+)", creel("help").stdout, re.M) if verb != "help"]


def complete(home, *words):
    """What bash offers for the last word."""
    path = f"{CREEL.parent}:{os.environ['PATH']}"
    script = f". {COMPLETION}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _$0; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    name = "creel_crontab" if words[0] == "crontab" else "creel"
    done = subprocess.run(["bash", "--norc", "-c", script, name, *words], capture_output=True, text=True, timeout=60, check=True,
                          cwd=home, env={"HOME": str(home), "PATH": path})
    assert not done.stderr, done
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def test_help_lists_the_verbs():
    done = creel("help")
    assert done.returncode == 0 and len(verbs()) >= 6 and len(set(verbs())) == len(verbs())
    assert creel("--help").stdout == creel("-h").stdout == done.stdout


@pytest.mark.parametrize("verb", verbs())
def test_each_verb_says_how_it_is_used(verb):
    done = creel(verb, "--help")
    assert done.returncode == 0 and re.match(rf"usage:\s+creel {verb}\b", done.stdout) and not done.stderr, done
    assert creel("help", verb).stdout == done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 132, "a terminal's width"


@pytest.mark.parametrize("verb", verbs())
def test_each_verb_stands_in_a_manual_page(verb):
    main = (MAN / "creel.1").read_text()
    assert re.search(rf"^\.It Cm {verb}\b", main, re.M), "creel(1) has it"


def test_pages_that_are_named_are_there():
    named = set(re.findall(r"^\.Xr (creel[a-z-]*) ([0-9])", (MAN / "creel.1").read_text(), re.M))
    assert [f"{page}({section})" for page, section in sorted(named) if not (MAN / f"{page}.{section}").exists()] == []


def test_unknown_words_are_refused():
    assert creel("help", "job", "start").stdout == creel("job", "start", "--help").stdout != ""
    assert creel("limits", "more").stderr == creel("limits", "--help").stdout
    for words in (["nonsense"], ["help", "nonsense"], ["--nonsense"], [""], ["help", "run", "more"]):
        done = creel(*words)
        assert done.returncode == 2 and not done.stdout and "creel help" in done.stderr, done
    assert creel().returncode == 2


def test_completion_of_verbs(tmp_path):
    assert set(verbs()) | {"help", "--version"} == set(complete(tmp_path, "creel", ""))
    assert complete(tmp_path, "creel", "lim") == ["limits"]
    assert set(complete(tmp_path, "creel", "help", "")) >= set(verbs())
    assert complete(tmp_path, "creel", "sessions", "") == ["reset"]
    assert complete(tmp_path, "creel", "nonsense", "-") == ["--help"]
    assert complete(tmp_path, "crontab", "-") == ["-l", "-e", "-r", "-i"]


@pytest.mark.parametrize("verb", verbs())
def test_completion_of_options(tmp_path, verb):
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", creel(verb, "--help").stdout))
    assert said | {"--help"} == set(complete(tmp_path, "creel", verb, "--"))


def test_completion_of_files(tmp_path):
    (tmp_path / "script one.py").touch()
    assert complete(tmp_path, "creel", "run", "scr") == ["script one.py"]
    assert complete(tmp_path, "creel", "run", "x.py", "--", "script o") == ["script one.py"]


def test_completion_of_names(tmp_path):
    for path, text in ((".creel/jobs/build.json", "{}"), (".config/systemd/user/api.service", ""),
                       (".config/creel/crontab", "# creel: tidy\n@daily x\n# a remark\n")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert complete(tmp_path, "creel", "job", "stop", "") == ["build"]
    assert "build" not in complete(tmp_path, "creel", "job", "start", ""), "a new name"
    assert complete(tmp_path, "creel", "service", "start", "") == complete(tmp_path, "creel", "service", "rm", "a") == ["api"]
    assert complete(tmp_path, "creel", "cron", "run", "") == ["tidy"]
    assert complete(tmp_path, "creel", "logs", "") == ["api", "build", "tidy"]
    assert complete(tmp_path, "creel", "stop", "") == ["api", "build"]
    assert complete(tmp_path, "creel", "job", "st") == ["start", "status", "stop"]


@pytest.mark.parametrize("command", ["job", "screen", "service", "cron"])
def test_commands_with_verbs_of_their_own(command):
    asked = creel(command, "--help")
    assert asked.returncode == 0 and not asked.stderr
    nothing, unknown = creel(command), creel(command, "nonsense")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (2, "", asked.stdout)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith(f"creel {command}: ") and "there is no such verb" in unknown.stderr
    for verb in re.findall(rf"^  creel {command} ([a-z]+)", asked.stdout, re.M):
        done = creel(command, verb, "--help")
        assert done.returncode == 0 and done.stdout.startswith("usage:") and not done.stderr, done


@pytest.mark.parametrize("words, what", [
    (["--nix"], "--nix: there is no such option"), (["-n"], "-n: its value is missing"), (["-n", "x"], "x: -n takes a number"),
    (["--since", "yesterday"], "yesterday: --since takes how long ago"), (["--json", "--kind"], "--kind: its value is missing")])
def test_history_names_the_word_that_is_wrong(words, what):
    done = creel("history", *words)
    assert done.returncode == 2 and not done.stdout and done.stderr.startswith(f"creel: history: {what}"), done
