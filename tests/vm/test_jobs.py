# SPDX-License-Identifier: MIT
"""creel job: commands that outlive the session, as an agent drives them."""

import json
import shlex

import pytest

from harness import manager_is_up, marker, wait_until

LOST = "the machine or the user manager went down"


@pytest.fixture(autouse=True)
def nothing_stays(vm):
    yield
    vm.agent("""for name in $(creel job list --json | python3 -c 'import json,sys; print(*(j["name"] for j in json.load(sys.stdin)))'); do
            creel job stop $name; creel job rm $name; done""", timeout=240).ok()
    assert vm.agent.sh("ls -A pids logs .creel/jobs") == ".creel/jobs:\n\nlogs:\n\npids:", "what is taken away leaves nothing"


def start(vm, name, command, *options, **keywords):
    """Command: for sh -c."""
    words = ["creel", "job", "start", name, *options, "--", "sh", "-c", command]
    return vm.agent(shlex.join(words), timeout=120, **keywords)


def status(vm, name):
    done = vm.agent(f"creel job status {name} --json")
    job = json.loads(done.out)
    assert done.rc == (0 if job["ended"] is None and job["state"] != "lost" else 3), done
    return job


def wait(vm, name):
    return vm.agent(f"creel job wait {name} --timeout 100s", timeout=120)


def ended(vm, name, command, *options):
    start(vm, name, command, *options).ok()
    return wait(vm, name), status(vm, name)


def test_one_step_gives_pid_log_and_status(vm):
    command = 'pwd; echo "$FOO|$PATH|%h|"; echo $$ >&2; cat /proc/self/cgroup; umask; while ! test -e /tmp/go; do sleep 0.2; done; exit 3'
    words = shlex.join(["creel", "job", "start", "one", "--env", "FOO=a b", "--json", "--", "sh", "-c", command, "$HOME"])
    job = json.loads(vm.agent.sh(f"rm -f /tmp/go; cd /tmp && umask 027 && {words}", timeout=120))
    assert (job["name"], job["state"], job["directory"], job["command"][-1]) == ("one", "running", "/tmp", "$HOME"), job
    assert vm.agent.sh("cat pids/one.pid") == str(job["pid"]) and vm.agent.sh(f"ps -o comm= -p {job['pid']}") == "sh"
    lines = wait_until(lambda: (seen := vm.agent.sh("creel job logs one").splitlines())[4:] and seen, 60)
    path = vm.agent.sh("echo $PATH")
    uid = vm.uid()
    assert lines[:3] == ["/tmp", f"a b|{path}|%h|", str(job["pid"])] and lines[4] == "0027", lines
    assert lines[3].endswith(f"/user-{uid}.slice/user@{uid}.service/app.slice/creel-job-one.service"), "inside the limits"
    assert vm.agent("creel job wait one --timeout 1s").rc == 124
    assert vm.agent("creel job rm one").rc == 1, "what runs is not taken away"
    vm.agent.sh("touch /tmp/go")
    done, job = wait(vm, "one"), status(vm, "one")
    assert (done.rc, done.text) == (3, "one: exit 3") and (job["state"], job["exit_code"], job["pid"]) == ("failed", 3, None)
    assert job["duration_ms"] > 0 and job["memory_peak"] > 0 and job["cpu_ms"] > 0 and job["ended"] >= job["started"], job
    assert vm.agent("test -e pids/one.pid").rc == 1, "no PID file without its process"
    assert "exit 3" in vm.agent.sh("creel job list") and "creel-job" not in vm.agent.sh("systemctl --user list-units --all")


def test_bad_input_is_told_and_leaves_nothing(vm):
    vm.agent.sh("printf '#!/no/such\\n' >script.x; chmod +x script.x; touch plain.py")
    start(vm, "taken", "exec sleep 1000").ok()
    for words, rc, what in (
            ("start a/b -- true", 2, "slash"), ("start 'a b' -- true", 2, "space"), ("start -a -- true", 2, "no option -a"),
            ("start .a -- true", 2, "does not begin"), (f"start {'n' * 300} -- true", 2, "300 characters"),
            ("start x", 2, "a command is needed"), ("start x --", 2, "a command is needed"), ("start", 2, "a name is needed"),
            ("start x --timeout soon -- true", 2, "--timeout soon"), ("start x --env 1=2 -- true", 2, "NAME=VALUE"),
            ("start x -- no-such-program", 1, "no-such-program: command not found"),
            ("start x -- ./plain.py", 1, "chmod +x"), ("start x -- /etc", 1, "Is a directory"),
            ("start x -- ./script.x", 1, "interpreter"), ("start x --restart -- ./script.x", 1, "interpreter"),
            ("start taken -- true", 1, "there is a job of that name (PID"),
            ("status x", 1, "no job of that name"), ("wait x", 1, "no job"), ("stop x", 1, "no job"), ("rm x", 1, "no job"),
            ("logs x", 1, "no job"), ("logs taken -n few", 2, "-n"), ("start one two -- true", 2, "`two`"), ("dance", 2, "verb")):
        done = vm.agent(f"creel job {words}", timeout=120)
        assert done.rc == rc and what in done.errors and done.errors.startswith("creel job: ") and not done.out, (words, done)
    assert vm.agent.sh("ls pids logs .creel/jobs").split() == [".creel/jobs:", "taken.json", "logs:", "taken.log", "pids:", "taken.pid"]
    vm.agent.sh("rm script.x plain.py")


def test_pid_files_of_others(vm):
    vm.agent.sh("mkdir -p pids; sleep 1000 & echo $! >pids/hand.pid")
    done = start(vm, "hand", "true")
    assert done.rc == 1 and "pids/hand.pid belongs to process" in done.errors, done
    vm.agent.sh("kill $(cat pids/hand.pid); rm pids/hand.pid")
    # a number of a process that is younger than the file, or another user's, is nobody's
    vm.agent.sh("sleep 1000 & echo $! >pids/young.pid; touch -d 2020-01-01 pids/young.pid; echo 1 >pids/init.pid; echo x >pids/bad.pid")
    pid = vm.agent.sh("cat pids/young.pid")
    for name in ("young", "init", "bad"):
        start(vm, name, "exec sleep 1000").ok()
        assert vm.agent.sh(f"cat pids/{name}.pid") == str(status(vm, name)["pid"])
    vm.agent.sh(f"kill {pid}")


def test_how_jobs_end(vm):
    done, job = ended(vm, "good", "exit 0")
    assert (done.rc, job["state"], job["exit_code"]) == (0, "done", 0)
    done, job = ended(vm, "signal", "kill -SEGV $$")
    assert (done.rc, job["state"], job["signal"], job["exit_code"]) == (139, "killed", "SIGSEGV", None)
    done, job = ended(vm, "limit", "echo begun; exec sleep 1000", "--timeout", "10s")
    assert (done.rc, job["state"], job["timeout_ms"]) == (124, "timeout", 10000)
    start(vm, "stubborn", "trap '' TERM; echo ready; while :; do sleep 1; done").ok()
    wait_until(lambda: vm.agent.sh("creel job logs stubborn") == "ready", 60)
    assert "SIGKILL" in vm.agent.sh("creel job stop stubborn", timeout=120) and status(vm, "stubborn")["state"] == "killed"
    assert vm.agent.sh("creel job stop stubborn") == "stubborn: ended already (SIGKILL)"
    start(vm, "soft", "exec sleep 1000").ok()
    vm.agent.sh("kill $(cat pids/soft.pid)")
    assert wait(vm, "soft").rc == 143 and status(vm, "soft")["state"] == "stopped"


def test_restart_until_it_is_good(vm):
    done, job = ended(vm, "again", "echo try; test -e /tmp/again && exit 0; touch /tmp/again; exit 1", "--restart")
    assert (done.rc, job["state"], job["restarts"]) == (0, "done", 1), job
    assert vm.agent.sh("creel job logs again; rm /tmp/again") == "try\ntry"


def test_a_program_that_goes_into_the_background(vm):
    seconds = marker()
    start(vm, "daemon", f"(setsid sleep {seconds} </dev/null >/dev/null 2>&1 &) ; exit 0").ok()
    wait_until(lambda: status(vm, "daemon")["state"] == "background", 60)
    pid = wait_until(lambda: vm.agent(f"pgrep -xf 'sleep {seconds}'").text, 60)
    assert int(pid) in status(vm, "daemon")["processes"]
    wait_until(lambda: vm.agent.sh("cat pids/daemon.pid") == pid, 60)
    assert "others that it started go on" in vm.agent.sh("creel job status daemon")
    vm.agent.sh("creel job stop daemon", timeout=120)
    assert vm.agent(f"pgrep -xf 'sleep {seconds}'").rc == 1 and status(vm, "daemon")["state"] == "done"


def test_logs_are_bounded_and_followed(vm):
    start(vm, "talk", "for i in 1 2 3; do printf 'line %s\\033[2J\\n' $i; sleep 1; done").ok()
    assert vm.agent.sh("creel job logs -f talk", timeout=120).splitlines() == [f"line {i}\033[2J" for i in (1, 2, 3)], "it ends with the job"
    assert vm.agent.sh("creel job logs talk -n 1") == "line 3\033[2J"
    assert "\\x1b[2J" in vm.agent("creel job logs talk", options=["-tt"]).ok().text, "a terminal is not driven by it"
    done, _ = ended(vm, "big", "yes 123456789012345678901234567890 | head -c 32M; echo last")
    assert done.rc == 0 and vm.agent.sh("creel job logs big -n 1").endswith("last")
    sizes = [int(n) for n in vm.agent.sh("stat -c %s logs/big.log logs/big.log.1").split()]
    assert max(sizes) <= 10 << 20 and sizes[1] > 9 << 20, sizes
    # a new one begins anew, and the old one is still there
    ended(vm, "big", "echo short")
    assert vm.agent.sh("cat logs/big.log; ls logs/big*; wc -l <logs/big.log.old").split()[:3] == ["short", "logs/big.log", "logs/big.log.old"]


def test_a_full_disk(vm):
    vm.root.sh("mkdir /home/agent/small && mount -t tmpfs -o size=256k,uid=1000,gid=1000 tmpfs /home/agent/small")
    try:
        vm.agent.sh("HOME=$HOME/small creel job start full -- sh -c 'head -c 1M /dev/zero | tr \"\\0\" x; echo end; exit 5'", timeout=120)
        done = vm.agent("HOME=$HOME/small creel job wait full --timeout 100s", timeout=120)
        assert done.rc == 5, "it is neither blocked nor killed, and how it ended is kept"
        done = vm.agent("HOME=$HOME/small creel job start another -- true", timeout=120)
        assert done.rc == 1 and "No space left on device" in done.errors and "creel status" in done.errors, done
        assert "another" not in vm.agent.sh("ls small/pids small/.creel/jobs")
        vm.agent.sh("rm small/logs/full.log")
        command = "head -c 1M /dev/zero | tr '\\0' x; while test -e $HOME/hold; do sleep 0.2; done; echo after"
        vm.agent.sh(f"touch small/hold; HOME=$HOME/small creel job start later -- sh -c {shlex.quote(command)}", timeout=120)
        wait_until(lambda: vm.agent.sh("df --output=avail small | tail -1") == "0", 60)
        vm.agent.sh("truncate -s 0 small/logs/later.log; rm small/hold; HOME=$HOME/small creel job wait later --timeout 100s", timeout=120)
        assert "bytes were not written: No space left on device" in vm.agent.sh("cat small/logs/later.log")
    finally:
        vm.root.sh("umount -l /home/agent/small; rmdir /home/agent/small")


def test_it_outlives_session_and_keeper(vm):
    start(vm, "long", "exec sleep 1000").ok()
    pid = status(vm, "long")["pid"]
    vm.root.sh(f"systemctl restart creel-keeper@{vm.uid()}.service")
    assert status(vm, "long")["pid"] == pid and vm.alive("sleep 1000")


def test_a_file_broken_by_hand(vm):
    start(vm, "broken", "exec sleep 1000").ok()
    vm.agent.sh("echo '{' >.creel/jobs/broken.json")
    assert "running" in vm.agent.sh("creel job list")
    vm.agent("creel job stop broken", timeout=120)
    done = vm.agent("creel job status broken")
    assert done.rc == 1 and "~/.creel/jobs/broken.json" in done.errors, done
    vm.agent.sh("creel job rm broken")


def test_the_user_manager_goes_down(vm):
    uid = vm.uid()
    start(vm, "lost", "exec sleep 1000").ok()
    vm.root.sh(f"systemctl kill -s KILL user@{uid}.service; systemctl stop user@{uid}.service")
    try:
        done = vm.agent("creel job list")
        assert done.rc == 1 and "the user manager of agent does not answer" in done.errors and f"user@{uid}" in done.errors, done
    finally:
        vm.root.sh(f"systemctl start user@{uid}.service", timeout=120)
        manager_is_up(vm)
    job = status(vm, "lost")
    assert (job["state"], job["exit_code"]) == ("lost", None) and LOST in vm.agent.sh("creel job list")
    assert vm.agent("test -e pids/lost.pid").rc == 1 and wait(vm, "lost").rc == 1
