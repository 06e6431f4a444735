# SPDX-License-Identifier: MIT
"""The operator's view of the record: filters, following, exporting, what was executed, what was left out, and floods."""

import json
import shlex

import pytest

from harness import Terminal, marker, policy, wait_until

SECRET = "hunter2hunter2"


def entries(vm, words=""):
    return [json.loads(line) for line in vm.root.sh(f"creelctl audit list --json {words}").splitlines()]


def command_entry(vm, text, since=0):
    """The entry of the command with that text, once it is there."""
    found = wait_until(lambda: [e for e in entries(vm, "--kind command -n all --since 1h")
                                if text in e.get("command", "") and e["time_usec"] >= since])
    return found[-1]


@pytest.fixture
def typed(vm):
    """Types lines into a shell on a terminal, which ends; returns the session's id."""
    def type_lines(*lines):
        since = vm.now()
        with Terminal(vm.agent.argv(options=["-tt"])) as terminal:
            terminal.expect(r"\$ ")
            for line in lines:
                terminal.line(line)
                terminal.expect(r"\$ ")
            terminal.line("exit 0")
            terminal.finish()
        # by its session: the end of the connection before may come to the record later than this one's beginning
        session = vm.record(since, "login", agent="agent")["CREEL_SESSION"]
        vm.record(since, "logout", session=session)
        return session
    return type_lines


def test_filters(vm):
    one, two = marker(), marker()
    vm.agent.sh(f"echo {one}")
    vm.agent(f"echo {two}; false")
    vm.bob.sh(f"echo {one}")
    good, bad = command_entry(vm, f"echo {one}"), command_entry(vm, two)
    assert {e["agent"] for e in entries(vm, "--agent bob -n 20")} == {"bob"}
    assert {e["kind"] for e in entries(vm, "--kind login -n 20")} == {"login"}
    assert {e["session"] for e in entries(vm, f"--session {bad['session']}")} == {bad["session"]}
    failed = entries(vm, "--result failed --kind command -n all")
    assert two in str(failed) and f"echo {one}\"" not in str(failed) and all(e.get("exit") != 0 for e in failed)
    assert two not in str(entries(vm, "--result ok -n all"))
    assert len(entries(vm, "-n 3")) == 3
    late = [e for e in entries(vm, "-n all --since 1h") if e["time_usec"] >= good["time_usec"]]
    assert late and entries(vm, "-n all --until '2020-01-01'") == []
    assert good["by"] == "keeper" and good["result"] == "exit"


@pytest.mark.parametrize("words,named", [
    ("--since nonsense", "nonsense"), ("--kind nosuch", "nosuch"), ("--agent ../x", "../x"), ("--session 'a b'", "a b"),
    ("--since now --until yesterday", "later"), ("-n many", "many"), ("--result 'x y'", "x y")])
def test_what_cannot_be_a_filter(vm, words, named):
    done = vm.root(f"creelctl audit list {words}")
    assert done.rc != 0 and named in done.errors and done.text == ""


def test_export_is_json_lines_and_usage_counts(vm):
    vm.agent.sh("true")
    lines = vm.root.sh("creelctl audit export --since 1h").splitlines()
    assert all(json.loads(line)["time_usec"] for line in lines)
    usage = json.loads(vm.root.sh("creelctl audit usage --json"))
    row = next(row for row in usage["agents"] if row["agent"] == "agent")
    assert row["commands"] >= 1 and row["logins"] >= 1 and usage["disk_bytes"] > 0
    assert "agent" in vm.root.sh("creelctl audit usage")


def test_show_has_code_and_output_of_a_run(vm):
    number = marker()
    vm.agent.sh("creel run - --lang python", stdin=f"print({number})")
    run = wait_until(lambda: [e for e in entries(vm, "--kind run -n all --since 1h") if number in e.get("stdout", "")])[-1]
    shown = vm.root.sh(f"creelctl audit show {run['run']}")
    assert f"    print({number})" in shown and "kind: run-start" in shown
    assert vm.root("creelctl audit show nosuch").rc == 1


def test_follow(vm):
    number = marker()
    with vm.operator.start("creelctl audit follow --agent agent -n 0") as follower:
        # what was there before is not told; it listens when the first came
        def heard():
            vm.agent.sh(f"echo {number}")
            import select
            return select.select([follower.stdout], [], [], 1)[0]
        wait_until(heard)
        assert number.encode() in b"".join(follower.stdout.readline() for _ in range(2))


def test_what_a_shell_on_a_terminal_executes(vm, typed):
    number = marker()
    session = typed(f"ls /nosuch{number}", "echo builtin", f"python3 -c 'pass  # {number}'")
    found = [e for e in entries(vm, f"--session {session}") if e["kind"] == "exec"]
    arguments = [e["arguments"] for e in found]
    assert any(f"/nosuch{number}" in a for a in arguments)
    assert any(a == f"python3 -c 'pass  # {number}'" for a in arguments)
    assert "builtin" not in str(arguments)
    kinds = [e["kind"] for e in entries(vm, f"--session {session} -n all")]
    assert kinds[0] == "login" and kinds[-1] == "logout" and kinds[-2] == "command"


def test_which_executions_are_recorded(vm):
    number = marker()
    command = f"/bin/true {number}; :"

    def seen():
        return [e for e in entries(vm, "--kind exec -n all --since 1h") if number in e["arguments"]]
    since = vm.now()
    vm.agent.sh(command)
    command_entry(vm, number, since)
    assert not [e for e in seen() if e["program"].endswith("true")]
    with policy(vm, "[audit]\nprograms = all\n"):
        vm.agent.sh(command)
        wait_until(lambda: [e for e in seen() if e["program"].endswith("true")])
    with policy(vm, "[audit]\nprograms = no\n"):
        before = len(seen())
        since = vm.now()
        vm.agent.sh(command)
        command_entry(vm, number, since)
        assert len(seen()) == before


def test_jobs_services_and_cron(vm):
    """What the user manager starts, how it ended and what it used: from the kernel, with programs = no as well."""
    job, service, cron = (f"{kind}{marker()}" for kind in "jsc")

    def seen(kind, name):
        return wait_until(lambda: [e for e in entries(vm, f"--kind {kind} -n all --since 1h") if e["label"] == name])
    with policy(vm, "[audit]\nprograms = no\n"):
        vm.agent.sh(f"creel job start {job} -- sh -c 'sleep 1; exit 3'", timeout=120)
        vm.agent.sh(f"systemd-run --user --quiet --wait --unit={service} sh -c 'kill -TERM 0; sleep 100' || :", timeout=120)
        vm.agent.sh(f"systemd-run --user --quiet --unit=creel-cron-{cron} /bin/true --token=hunter2hunter2", timeout=120)
        start = seen("job-start", job)[0]
        assert start["unit"] == f"creel-job-{job}.service" and "sleep 1; exit 3" in start["arguments"]
        end = [e for e in seen("job", job) if e["pid"] == start["pid"]]
        assert len(end) == 1 and (end[0]["result"], end[0]["exit"]) == ("exit", 3)
        assert end[0]["duration_usec"] >= 900_000 and end[0]["cpu_usec"] > 0 and end[0]["memory_peak"] > 100_000
        assert (seen("service", service)[0]["result"], seen("service", service)[0]["signal"]) == ("signal", "TERM")
        assert seen("cron", cron)[0]["exit"] == 0 and "[redacted]" in seen("cron-start", cron)[0]["arguments"]
    usage = json.loads(vm.root.sh("creelctl audit usage --json --since 1h"))
    assert next(row for row in usage["agents"] if row["agent"] == "agent")["units"] >= 3


def test_enabled_no(vm):
    number = marker()
    since = vm.now()
    with policy(vm, "[audit]\nenabled = no\n"):
        vm.agent.sh(f"echo {number}; creel run - --lang bash", stdin="true")
        wait_until(lambda: vm.records(since, "logout", agent="agent"))
        assert vm.records(since, "login", agent="agent") and vm.records(since, "policy", agent="agent")
        assert not vm.records(since, "command", agent="agent") and not vm.records(since, "run", agent="agent")
        assert not vm.records(since, "exec", agent="agent")
    vm.agent.sh(f"echo {number}")
    command_entry(vm, f"echo {number}", since)


def test_retention(vm):
    """The longest that a policy asks for holds; creel's own file is behind the shipped one, and goes with what asked for it."""
    conf = "/etc/systemd/journald@creel.conf.d/policy.conf"
    number = marker()
    vm.agent.sh(f"echo {number}")
    command_entry(vm, f"echo {number}")
    before = vm.root(f"cat {conf}").text
    assert "MaxRetentionSec=5356800" not in before
    with policy(vm, "[audit]\nretention = 60d\n"):
        assert "MaxRetentionSec=5356800" in vm.root.sh(f"cat {conf}")
        assert "OK: 1 of 1" in vm.root.sh("creelctl doctor --check record.kept")
        assert number in str(entries(vm, "-n all --since 1h"))
        vm.root.sh("echo '[Journal]' > " + conf)
        assert vm.root("creelctl doctor --check record.kept").rc == 1
    # none where the shipped settings do
    assert vm.root(f"cat {conf}").text == before and "OK: 1 of 1" in vm.root.sh("creelctl doctor --check record.kept")
    vm.agent.sh(f"echo again {number}")
    command_entry(vm, f"echo again {number}")


def test_secrets_are_left_out(vm, typed):
    since = vm.now()
    vm.agent(f"API_KEY={SECRET} true; curl -su me:{SECRET} -H 'Authorization: Bearer {SECRET}{SECRET}' http://127.0.0.1:1/")
    entry = vm.record(since, "command", agent="agent")
    assert int(entry["CREEL_REDACTED"]) >= 3 and "[redacted]" in entry["CREEL_COMMAND"]
    vm.agent.sh("creel run - --lang python", stdin=f"password = '{SECRET}'\nprint('token={SECRET}')")
    typed(f"/bin/true --token {SECRET}")
    vm.root(f"creelctl agent set agent 'nosuch.password={SECRET}'")
    wait_until(lambda: vm.records(since, "operator"))
    assert SECRET not in json.dumps(vm.journal(since, namespace="creel"))


def test_changes_of_policies_and_by_operators(vm):
    since = vm.now()
    with policy(vm, "[limits]\nprocesses = 77\n"):
        change = wait_until(lambda: vm.records(since, "policy", agent="agent"))[-1]
        assert "limits.processes:" in change["CREEL_CHANGE"] and "-> 77" in change["CREEL_CHANGE"]
        vm.root("creelctl agent set agent limits.processes=abc")
        operator = wait_until(lambda: vm.records(since, "operator", agent="agent"))[-1]
        assert operator["CREEL_COMMAND"] == "creelctl agent set agent limits.processes=abc"
        assert operator["CREEL_EXIT"] == "1" and operator["CREEL_USER"] == "root"
    since = vm.now()
    with policy(vm, "nonsense\n", apply=False):
        vm.agent("true")
        refused = wait_until(lambda: vm.records(since, "policy", agent="agent"))
        assert len(refused) == 1 and refused[0]["CREEL_RESULT"] == "refused"
    vm.agent.sh("true")
    again = wait_until(lambda: vm.records(since, "policy", agent="agent")[1:])[0]
    assert "good again" in again["MESSAGE"] and again["CREEL_RESULT"] == "done"


def test_history_is_ones_own(vm):
    number = marker()
    vm.agent.sh(f"echo {number}")
    command_entry(vm, number)
    own = [json.loads(line) for line in vm.agent.sh("creel history --json -n all").splitlines()]
    assert number in str(own) and {e["agent"] for e in own} == {"agent"} and "operator" not in {e["kind"] for e in own}
    assert number not in vm.bob.sh("creel history -n all")
    assert vm.agent.sh("creel history -n 2 --kind login").count("login") == 2
    uid = vm.uid("bob")
    assert vm.agent(f"/usr/libexec/creel/creel-history {uid} bob 0 9 lines - -").text == ""
    for words in ("--kind 'a b'", "--session -x", "-n x", "--since yesterday", "--kind"):
        done = vm.agent(f"creel history {words}")
        assert done.rc != 0 and done.errors and done.text == ""


def test_a_flood_of_one_agents_does_not_lose_anothers(vm):
    """More executions than a keeper reads: bob's records come as ever, and how many of the agent's were lost is told."""
    go = f"/tmp/go-{marker()}"
    pid = vm.root.sh(f"systemctl show -P MainPID creel-keeper@{vm.uid()}.service")
    since = vm.now()
    with policy(vm, "[audit]\nprograms = all\n"):
        flood = (f"echo in; until test -e {go}; do read -t 0.2 <> <(:); done; x=$(printf %01900d 0); "
                 "for i in {1..200}; do /bin/true $x; done; echo over; sleep 1000")
        with vm.agent.start(f"bash -c {shlex.quote(flood)}") as flooding:
            assert flooding.stdout.readline() == b"in\n"
            vm.root.sh(f"kill -STOP {pid}; touch {go}")
            try:
                assert flooding.stdout.readline() == b"over\n"
                number = marker()
                vm.bob.sh(f"echo {number}")
                assert vm.record(since, "command", timeout=60, command=f"echo {number}")["CREEL_AGENT"] == "bob"
            finally:
                vm.root.sh(f"kill -CONT {pid}; rm -f {go}")
        # the ring has the number of lost ones in the next that fits
        vm.agent.sh("/bin/true")
        lost = wait_until(lambda: vm.records(since, "lost", agent="agent"), 90)
        recorded = [e for e in vm.records(since, "exec", agent="agent") if "0" * 1900 in e["CREEL_ARGUMENTS"]]
        assert len(recorded) < 200 and len(recorded) + sum(int(e["CREEL_LOST"]) for e in lost) >= 200


def test_values_of_creel_secret_are_nowhere(vm):
    since, value = vm.now(), f"{SECRET}{marker()}"
    vm.agent.sh("creel secret set AUDITED", stdin=value)
    vm.agent.sh("creel secret run AUDITED -- sh -c 'test -n \"$AUDITED\"'")
    assert vm.bob("creel secret run AUDITED -- true").rc == 1
    changes = wait_until(lambda: [entry for entry in vm.records(since, "secret") if entry["CREEL_SECRET"] == "AUDITED"][2:])
    assert changes and {entry["CREEL_AGENT"] for entry in vm.records(since, "secret")} == {"agent", "bob"}
    for namespace in (None, "creel"):
        assert value not in json.dumps(vm.journal(since, namespace=namespace))
    # at rest, too
    assert vm.root(f"grep -rlF {value} /var/lib/creel /home/agent /run/creel /tmp /etc/creel").rc == 1
    assert vm.agent("cat /var/lib/creel/secrets/*/*").rc != 0
    vm.agent.sh("creel secret rm AUDITED")


def test_metrics(vm):
    def counted():
        vm.root.sh("systemctl start creel-metrics.service", timeout=180)
        text = vm.root.sh("cat /var/lib/prometheus/node-exporter/creel.prom")
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    vm.root.sh("mkdir -p /var/lib/prometheus/node-exporter")
    before = counted()
    for agent in ("agent", "bob"):
        assert before[f'creel_keeper_up{{agent="{agent}"}}'] == "1" and float(before[f'creel_memory_bytes{{agent="{agent}"}}']) > 0
    since = vm.now()
    vm.agent.sh("true", options=["-o", "ControlPath=none"])
    vm.record(since, "command", agent="agent")
    after = counted()
    for name in ('creel_logins_total{agent="agent",door="ssh"}', 'creel_command_duration_seconds_count{agent="agent"}',
                 'creel_commands_total{agent="agent",result="exit"}'):
        assert int(after[name]) > int(before.get(name, 0)), name
    assert not [line for line in after if "AUDITED" in line]
    vm.root.sh("rm -r /var/lib/prometheus /var/lib/creel/metrics")
