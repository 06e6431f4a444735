# SPDX-License-Identifier: MIT
"""creel check: what is found, by which programs, and what is said of it."""

import json
import os
import shutil

import pytest


@pytest.fixture
def project(agent):
    """A folder, and a PATH of programs that the test makes; python3, bash and xargs are the machine's."""
    folder = agent.home / "project"
    folder.mkdir()
    programs = agent.home / "programs"
    programs.mkdir()
    for name in ("python3", "bash"):
        (programs / name).symlink_to(shutil.which(name))
    agent.env["PATH"] = str(programs)
    return folder


def put(folder, name, text="", mode=0o644):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def program(agent, name, text):
    return put(agent.home / "programs", name, f"#!/bin/bash\n{text}\n", 0o755)


def check(agent, *words, status=0):
    done = agent.creel("check", "project", *words)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout.decode()


def rows(agent, *words, status=0):
    told = json.loads(check(agent, "--json", *words, status=status))
    found = {(row["kind"], row["language"]): row for row in told["checks"]}
    assert len(found) == len(told["checks"])
    for state in ("passed", "failed", "nothing", "missing"):
        assert told[state] == sum(row["state"] == state for row in told["checks"])
    return found


def test_python_without_any_tool(agent, project):
    put(project, "a.py", "print(1)\n")
    told = check(agent).splitlines()
    assert told[0].split() == "missing format python - 1 file: install one of black, ruff".split()
    assert told[1].split()[:4] == ["passed", "lint", "python", "python"] and told[-1] == "1 passed, 0 failed, 1 missing"
    put(project, "b/-odd name.py", "x = (\n")
    told = check(agent, status=1)
    assert "FAILED   lint    python" in told and "    ./b/-odd name.py:1: " in told


def test_the_better_tool_is_taken_and_gets_all_names(agent, project):
    for name in ("pyflakes3", "flake8"):
        program(agent, name, f'printf "%s " {name} "$@"; exit 1')
    put(project, "a.py")
    put(project, "b c.py")
    put(project, "run", "#!/usr/bin/env python3\n")
    row = rows(agent, status=1)["lint", "python"]
    assert (row["program"], row["files"], row["state"]) == ("flake8", 3, "failed")
    assert row["output"].splitlines()[0] == "flake8 ./a.py ./b c.py ./run "
    assert row["reason"] == "exit" and row["duration_ms"] >= 0


def test_the_projects_own_program_comes_first(agent, project):
    program(agent, "ruff", "exit 1")
    put(project, ".venv/bin/ruff", "#!/bin/bash\necho own\n", 0o755)
    put(project, "a.py")
    found = rows(agent)
    assert found["lint", "python"]["output"] == "own\n" and found["format", "python"]["state"] == "passed"


def test_what_is_fetched_or_generated_is_passed_over(agent, project):
    for name in ("node_modules/x/a.js", ".venv/lib/a.py", "venv/a.py", "a/__pycache__/x.py", ".git/hooks/x.sh", "vendor/a.py", "build/a.py", "dist/a.sh"):
        put(project, name, "(")
    (project / "link.py").symlink_to("/etc/hostname")
    (project / "folder.py").mkdir()
    os.mkfifo(project / "fifo.py")
    os.mkfifo(project / "fifo")
    done = agent.creel("check", "project")
    assert done.returncode == 3 and done.stderr == b"creel: check: project: nothing in it that could be checked\n"


def test_tests_of_python(agent, project):
    put(project, "a.py")
    assert ("test", "python") not in rows(agent)
    put(project, "tests/test_a.py", "import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n")
    put(project, "tests/__init__.py")
    assert rows(agent, "--only", "test")["test", "python"]["program"] == "unittest"
    put(project, "tests/test_b.py", "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.fail('why')\n")
    row = rows(agent, "--only", "test", status=1)["test", "python"]
    assert row["state"] == "failed" and "why" in row["output"]
    program(agent, "pytest", "echo no tests ran; exit 5")
    assert rows(agent, "--only", "test", status=3)["test", "python"]["state"] == "nothing"


def test_shell_by_its_first_line(agent, project):
    put(project, "a.sh", "if\n")
    put(project, "b", "#!/bin/sh -e\ntrue\n")
    put(project, "c", "#!/usr/bin/env zsh\n(\n")
    row = rows(agent, status=1)["lint", "shell"]
    assert (row["program"], row["files"], row["state"]) == ("bash", 2, "failed") and "./a.sh" in row["output"]
    put(project, "a.sh", "true\n")
    assert rows(agent)["lint", "shell"]["state"] == "passed"


def test_what_needs_a_configuration_has_one(agent, project):
    for name in ("clang-format", "eslint", "prettier", "node"):
        program(agent, name, "true")
    put(project, "a.c")
    put(project, "a.js")
    found = rows(agent)
    assert found["lint", "javascript"]["program"] == "node" and {("format", "c"), ("format", "javascript")}.isdisjoint(found)
    for name in (".clang-format", "eslint.config.js", ".prettierrc"):
        put(project, name)
    found = rows(agent)
    assert found["lint", "javascript"]["program"] == "eslint"
    assert found["format", "c"]["state"] == found["format", "javascript"]["state"] == "passed"


def test_a_tool_whose_words_are_its_verdict(agent, project):
    program(agent, "gofmt", "echo ./a.go")
    put(project, "a.go")
    assert rows(agent, status=1)["format", "go"]["state"] == "failed"
    program(agent, "gofmt", "true")
    assert rows(agent)["format", "go"]["state"] == "passed"


@pytest.mark.parametrize("script, runs", [('"node x"', True), ('"echo no test specified && exit 1"', False), ("7", False)])
def test_tests_of_a_package(agent, project, script, runs):
    program(agent, "npm", 'printf "%s " "$@"')
    put(project, "a.js")
    put(project, "package.json", '{"scripts": {"test": %s}}' % script)
    found = rows(agent)
    assert (found.get(("test", "javascript"), {}).get("output") == "--silent test ") == runs


def test_a_makefile_with_tests(agent, project):
    program(agent, "make", 'echo "$PWD" "$@"')
    put(project, "below/Makefile", "test:\n")
    put(project, "Makefile", "test := 1\nall:\n")
    assert ("test", "make") not in rows(agent, status=3)
    put(project, "Makefile", "all:\ntest: all\n\tfalse\n")
    assert rows(agent)["test", "make"]["output"] == f"{project} -s test\n"


def test_one_file(agent, project):
    put(project, "test_a.py", "x = (")
    put(project, "b.sh", "(")
    program(agent, "pytest", "exit 1")
    done = agent.creel("check", "project/test_a.py", "--json")
    assert done.returncode == 1 and [row["kind"] for row in json.loads(done.stdout)["checks"]] == ["format", "lint"]


def test_json_files(agent, project):
    put(project, "a.json", "{}")
    assert rows(agent)["lint", "json"]["program"] == "python"
    put(project, "b.json", "[" * 100000)
    put(project, "c.json", "{,}")
    row = rows(agent, status=1)["lint", "json"]
    assert "./b.json" in row["output"] and "./c.json" in row["output"] and "./a.json" not in row["output"]


def test_output_drives_no_terminal_and_is_bounded(agent, project):
    program(agent, "flake8", r"printf '\033[31mred\n'; for i in $(/usr/bin/seq 100); do echo line $i; done; exit 1")
    put(project, "a.py")
    told = check(agent, "--only", "lint", status=1)
    assert "\033" not in told and "    red\n" in told and told.count("    line") == 39 and "... and 61 more lines" in told


def test_a_check_that_takes_too_long(agent, project):
    program(agent, "flake8", "while :; do read -t 60 <> <(:); done")
    put(project, "a.py")
    row = rows(agent, "--only", "lint", "--timeout", "500ms", status=1)["lint", "python"]
    assert (row["reason"], row["state"]) == ("timeout", "failed")


def test_many_files(agent, project):
    for number in range(3000):
        put(project, f"a-rather-long-name-for-a-file-so-that-the-names-are-many-{number:04}.py")
    row = rows(agent, "--only", "lint")["lint", "python"]
    assert (row["files"], row["state"]) == (3000, "passed")


@pytest.mark.parametrize("words, said", [
    (["--only"], b"format, lint or test"), (["--only", "all"], b"format, lint or test"), (["--timeout", "soon"], b"--timeout"),
    (["a", "b"], b"one path"), (["--fix"], b"no such option")])
def test_words_that_are_wrong(agent, words, said):
    done = agent.creel("check", *words)
    assert done.returncode == 2 and said in done.stderr and b"usage: creel check" in done.stderr and not done.stdout


def test_paths_that_are_wrong(agent, project):
    os.mkfifo(project / "fifo")
    for path, said in (("project/none", b"No such file"), ("project/fifo", b"neither a folder nor a regular file")):
        done = agent.creel("check", path)
        assert done.returncode == 125 and said in done.stderr and not done.stdout
