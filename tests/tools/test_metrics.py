# SPDX-License-Identifier: MIT
"""creelctl metrics and the record's way to another machine, with journald, its namespace `creel` and systemd-journal-remote of this one."""

import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess

import pytest

from conftest import BUILD, PATIENCE, WHY_NOT, wait_until

CREELCTL = BUILD / "creelctl"
ETC, STATE, TEXTFILES = map(pathlib.Path, ("/etc/creel", "/var/lib/creel", "/var/lib/prometheus/node-exporter"))
RECORD, LOGS = pathlib.Path("/run/systemd/journal.creel"), pathlib.Path("/var/log/journal")
SYSTEMD = pathlib.Path("/usr/lib/systemd")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Folders and a journald of this process's mount namespace."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    mounts = (ETC, STATE, TEXTFILES, RECORD, LOGS)
    for path in mounts:
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "creel", path], check=True)
    (ETC / "agents").mkdir()
    for name in ("zed", "may"):
        (ETC / "agents" / f"{name}.conf").touch()
    journald = subprocess.Popen([SYSTEMD / "systemd-journald", "creel"], stderr=subprocess.DEVNULL)
    wait_until((RECORD / "socket").exists, "the record's socket")
    yield tmp_path_factory.mktemp("metrics")
    journald.terminate()
    journald.wait(PATIENCE)
    for path in mounts:
        subprocess.run(["umount", "--lazy", path], check=True)


def write(kind, agent="zed", **fields):
    """An entry, as root writes it."""
    lines = {"MESSAGE": f"{agent}: {kind}", "CREEL_KIND": kind, "CREEL_AGENT": agent,
             **{f"CREEL_{key.upper()}": value for key, value in fields.items()}}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(str(RECORD / "socket"))
        one.send("".join(f"{key}={value}\n" for key, value in lines.items()).encode())


def entries():
    return len(subprocess.run([CREELCTL, "audit", "export"], capture_output=True, check=False).stdout.splitlines())


def there(n):
    wait_until(lambda: entries() == n, f"{n} entries")


def metrics(*words):
    done = subprocess.run([CREELCTL, "metrics", *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout


def parse(text):
    """The format, strictly: HELP and TYPE before each name's lines, no series twice."""
    values, types = {}, {}
    for line in text.splitlines():
        if match := re.fullmatch(r"# (HELP|TYPE) (creel_\w+) (.+)", line):
            if match[1] == "TYPE":
                assert match[2] not in types
                types[match[2]] = match[3]
            continue
        match = re.fullmatch(r'(creel_\w+)(\{(?:\w+="[^"\\\n]*",?)+\})? (\d+(?:\.\d+)?)', line)
        assert match, line
        family = re.sub("_(bucket|sum|count)$", "", match[1]) if match[1] not in types else match[1]
        assert family in types, line
        assert match[1] + (match[2] or "") not in values, line
        values[match[1] + (match[2] or "")] = float(match[3])
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
    return values


def test_counted_once(machine):
    write("login", door="ssh")
    there(1)
    values = parse(metrics())
    assert values['creel_logins_total{agent="zed",door="ssh"}'] == values['creel_logins_total{agent="may",door="ssh"}'] == 0
    assert not list(STATE.iterdir()), "who looks changes nothing"
    # counting begins here
    assert metrics("--write") == ""
    file = TEXTFILES / "creel.prom"
    assert file.stat().st_mode & 0o777 == 0o644 and [path.name for path in TEXTFILES.iterdir()] == ["creel.prom"]
    assert parse(file.read_text())['creel_logins_total{agent="zed",door="ssh"}'] == 0
    write("login", door="ssh")
    write("login", agent="stranger", door="ssh")
    write("run", language="python", result="completed", duration_usec=30000)
    write("run", language="python", result="timeout", duration_usec=61000000)
    write("run", language="python", result="refused")
    write("command", agent="may", result="exit", exit=0, duration_usec=1500)
    write("refusal", agent="nobody-at-all")
    write("secret", result="refused", reason="there is no such secret", secret="X")
    write("lost", lost=7)
    write("nonsense", result="refused")
    there(1 + 9)
    expected = {
        'creel_logins_total{agent="zed",door="ssh"}': 1, 'creel_logins_total{agent="",door="ssh"}': 1,
        'creel_runs_total{agent="zed",language="python",result="completed"}': 1,
        'creel_refusals_total{agent="zed",kind="run"}': 1, 'creel_refusals_total{agent="zed",kind="secret"}': 1,
        'creel_run_duration_seconds_bucket{agent="zed",le="60"}': 1, 'creel_run_duration_seconds_bucket{agent="zed",le="300"}': 2,
        'creel_run_duration_seconds_sum{agent="zed"}': 61.03, 'creel_command_duration_seconds_count{agent="may"}': 1,
        'creel_login_refusals_total{agent=""}': 1, 'creel_record_lost_total{agent="zed"}': 7,
        'creel_record_entries_total{kind="run"}': 3, 'creel_agents{state="no user"}': 2,
    }
    for _ in range(2):
        values = parse(metrics())
        assert {key: values.get(key) for key in expected} == expected
    for _ in range(3):
        metrics("--write")
        values = parse(file.read_text())
        assert {key: values.get(key) for key in expected} == expected
    assert values["creel_record_disk_bytes"] > 0
    write("login", door="ssh")
    there(1 + 10)
    metrics("--write")
    assert parse(file.read_text())['creel_logins_total{agent="zed",door="ssh"}'] == 2


def test_an_agent_that_is_gone(machine):
    (ETC / "agents" / "may.conf").unlink()
    metrics("--write")
    assert "may" not in (TEXTFILES / "creel.prom").read_text()
    (ETC / "agents" / "may.conf").touch()
    assert parse(metrics())['creel_logins_total{agent="may",door="ssh"}'] == 0


def refused(*words):
    done = subprocess.run([CREELCTL, "metrics", "--write"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and all(word in done.stderr for word in words), done


def test_where_it_is_written(machine):
    before = (TEXTFILES / "creel.prom").read_text()
    TEXTFILES.chmod(0o777)
    refused(str(TEXTFILES), "others than root")
    TEXTFILES.chmod(0o755)
    os.chown(TEXTFILES, 1, 1)
    refused("others than root")
    os.chown(TEXTFILES, 0, 0)
    assert (TEXTFILES / "creel.prom").read_text() == before
    (ETC / "creel.conf").write_text(f"[metrics]\ntextfile = {machine}/nosuch\n")
    refused("nosuch", "[metrics] textfile")
    (ETC / "creel.conf").write_text("[metrics]\ntextfile = relative\n")
    refused("creel.conf:2", "absolute")
    (ETC / "creel.conf").write_text(f"[metrics]\ntextfile = {machine}\n")
    machine.chmod(0o755)
    metrics("--write")
    assert parse((machine / "creel.prom").read_text())
    (ETC / "creel.conf").unlink()


def test_a_state_that_is_none(machine):
    state = STATE / "metrics" / "state"
    assert state.stat().st_mode & 0o777 == 0o600
    kept = state.read_text()
    state.write_text("nonsense\n")
    done = subprocess.run([CREELCTL, "metrics"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "counted anew" in done.stderr and parse(done.stdout)['creel_record_lost_total{agent="zed"}'] == 0
    state.write_text(re.sub("cursor .*", "cursor nonsense", kept))
    done = subprocess.run([CREELCTL, "metrics"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "from now on" in done.stderr and parse(done.stdout)
    state.write_text(kept)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def arguments(unit, url, folder):
    """What the unit executes, with this test's server and state."""
    (line,) = re.findall("^ExecStart=(.*)", (BUILD / "units" / unit).read_text(), re.M)
    words = shlex.split(line.replace("%m", pathlib.Path("/etc/machine-id").read_text().strip()))
    return [word.replace("/var/lib/creel-upload", str(folder)) for word in words] + [f"--url={url}"]


def test_the_record_on_another_machine(machine):
    if not (SYSTEMD / "systemd-journal-upload").exists():
        pytest.skip("this machine has no systemd-journal-remote")
    far, port = machine / "far", free_port()
    far.mkdir()

    def receive():
        one = subprocess.Popen([SYSTEMD / "systemd-journal-remote", f"--listen-http=127.0.0.1:{port}", f"--output={far}",
                                "--split-mode=host"], stderr=subprocess.DEVNULL)
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the receiver")
        return one

    def arrived():
        text = subprocess.run(["journalctl", f"--directory={far}", "-o", "json", "--quiet"], capture_output=True, text=True, check=False).stdout
        return [json.loads(line) for line in text.splitlines()]

    def end(*programs):
        for one in programs:
            one.terminate()
            one.wait(PATIENCE)

    argv = arguments("creel-upload.service", f"http://127.0.0.1:{port}", machine)
    here = entries()
    receiver = receive()
    sender = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    wait_until(lambda: len([one for one in arrived() if "CREEL_KIND" in one]) >= here, "what was there")
    write("login", door="ssh", session="0123456789abcdef")
    wait_until(lambda: any(one.get("CREEL_SESSION") == "0123456789abcdef" for one in arrived()), "what came then")
    end(sender, receiver)
    # while nobody listened: it goes on behind the last that arrived
    write("login", door="ssh", session="fedcba9876543210")
    receiver = receive()
    sender = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(one.get("CREEL_SESSION") == "fedcba9876543210" for one in arrived()), "what came meanwhile")
    end(sender, receiver)
    sessions = [one["CREEL_SESSION"] for one in arrived() if "CREEL_SESSION" in one]
    # what was on its way when the sender ended may come twice, nothing is missing
    assert set(sessions) == {"0123456789abcdef", "fedcba9876543210"} and len(sessions) <= 4
    assert {one["_UID"] for one in arrived() if "CREEL_KIND" in one} == {"0"}


def test_watch_of_a_session(machine):
    number = entries()
    for kind in ("login", "command-start", "logout"):
        write(kind, session="00112233445566aa")
    there(number + 3)
    done = subprocess.run([CREELCTL, "session", "watch", "00112233445566aa"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["login", "command-start", "logout"]
    for word in ("00112233445566ab", "nosuch"):  # which would be waited for without an end
        done = subprocess.run([CREELCTL, "session", "watch", word], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 1 and not done.stdout and word in done.stderr and "creelctl session list" in done.stderr
