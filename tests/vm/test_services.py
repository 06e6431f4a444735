# SPDX-License-Identifier: MIT
"""creel service and creel serve, as an agent uses them; servers are asked from outside of the VM."""

import json
import shlex
import urllib.error
import urllib.request

import pytest

from harness import Result, manager_is_up, marker, python, wait_until
from machine import forwarded

UNITS = ".config/systemd/user"
TIME = 240

# Answers 200, on /bad 500; says on stdout when it listens. Arguments: the address, and the port instead of PORT.
SERVER = """import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if self.path == "/bad" else 200)
        self.end_headers()
        self.wfile.write(os.environ.get("WORD", "-").encode())
    def log_message(self, *_):
        pass
host, port = (sys.argv[1:] + ["0.0.0.0"])[0], int((sys.argv[2:] + [os.environ.get("PORT", "1")])[0])
server = http.server.HTTPServer((host, port), Handler)
print("listening on", port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module", autouse=True)
def project(vm):
    vm.agent.sh("mkdir -p project && cat > project/server.py", SERVER)
    yield
    vm.agent.sh(f"cd {UNITS} && systemctl --user disable --now *.service; rm -f *.service; "
                "systemctl --user daemon-reload; systemctl --user reset-failed; rm -r ~/project", timeout=TIME)


def service(vm, *words, verb="service"):
    return vm.agent("cd project && creel " + " ".join(map(shlex.quote, (verb, *words))), timeout=TIME)


# Several at a time: a list of words each, as JSON on stdin; what came of each, in that order.
MANY = """import concurrent.futures, json, subprocess, sys
def run(words):
    done = subprocess.run(["creel", *words], cwd="project", capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr
with concurrent.futures.ThreadPoolExecutor(5) as pool:
    print(json.dumps(list(pool.map(run, json.load(sys.stdin)))))
"""


def many(vm, rows):
    out = vm.agent(python(MANY), json.dumps([list(row) for row in rows]), timeout=TIME).ok().out
    return [Result(rc, out.encode(), err.encode()) for rc, out, err in json.loads(out)]


def create(vm, name, *words):
    return service(vm, "create", name, "--timeout", "60s", *words)


def refused(done, *texts, rc=1):
    assert done.rc == rc, done
    for text in texts:
        assert text in done.errors, done
    return done


def remove(vm, name):
    service(vm, "rm", "--force", name)


def unit(vm, name):
    return vm.agent.sh(f"cat {UNITS}/{name}.service")


def fetch(vm, port, path="/"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{forwarded(vm, port)}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.code, ""


def seen(vm, name):
    return json.loads(vm.agent(f"creel service status {name} --json").out)


def healthy(vm, name):
    """One look gives a server two seconds."""
    return wait_until(lambda: (now := seen(vm, name))["healthy"] and now, 60, f"{name} is healthy", 1)


# ---- a whole life ---------------------------------------------------------------------------------------------------

def test_life(vm):
    """Created, seen, asked from outside, changed, stopped, started, removed."""
    done = create(vm, "api", "--port", "3000", "--health", "/health", "--env", "WORD=it's 100% $HOME \"q\"", "--", "python3", "server.py").ok()
    address = vm.agent.sh("hostname -I").split()[0]
    assert f"http://{address}:3000" in done.text and "creel service stop api" in done.text
    assert fetch(vm, 3000) == (200, "it's 100% $HOME \"q\"")
    text = unit(vm, "api")
    for line in ("# made by creel service create --health /health", "WorkingDirectory=/home/agent/project",
                 "ExecStart=/usr/bin/python3 server.py", "Restart=on-failure", "RestartSec=5", "Environment=PORT=3000",
                 "StandardOutput=journal", "WantedBy=default.target"):
        assert line in text.splitlines(), text
    api = healthy(vm, "api")
    assert (api["state"], api["healthy"], api["port"], api["enabled"], api["made_here"], api["edited"]) == \
        ("active", True, 3000, "enabled", True, False)
    assert api["pid"] == int(vm.agent.sh("systemctl --user show -P MainPID api"))
    assert f"PID   {api['pid']}" in done.text
    assert vm.cgroup(api["pid"]).endswith("/app.slice/api.service")
    assert "listening on 3000" in service(vm, "logs", "api", "-n", "5").ok().text

    create(vm, "api", "--port", "3001", "--env", "WORD=two").ok()
    assert fetch(vm, 3001) == (200, "two")
    assert unit(vm, "api") == text.replace("PORT=3000", "PORT=3001").replace(
        next(line for line in text.splitlines() if "WORD" in line), "Environment=WORD=two")

    assert not seen(vm, "api")["edited"]

    service(vm, "stop", "api").ok()
    assert service(vm, "status", "api").rc == 3
    assert "was not running" in service(vm, "stop", "api").ok().text
    started = json.loads(service(vm, "start", "api", "--timeout", "60s", "--json").ok().out)
    assert started["healthy"] and started["reason"] is None
    service(vm, "rm", "api").ok()
    assert vm.agent(f"ls {UNITS}/api.service {UNITS}/default.target.wants/api.service").rc != 0
    refused(service(vm, "status", "api"), "there is no such service")


def test_words_arrive_as_they_were(vm):
    words = ["a b", "", "100%", "$HOME", "${PATH}", "it's", '"q"', "\\", ";", "*", "h\u00e9", "-x", "two\nlines", "%h", "$$"]
    vm.agent.sh("cat > project/words.py", "import json, sys, time\nprint(json.dumps(sys.argv[1:]), flush=True)\ntime.sleep(10**6)\n")
    done = create(vm, "words", "--ready-log", r"^\[", "--", "/usr/bin/python3", "words.py", *words).ok()
    assert "  | [" in done.errors, "its log is shown meanwhile"
    lines = [json.loads(line)["message"] for line in service(vm, "logs", "words", "--json").ok().text.splitlines()]
    assert words in [json.loads(line) for line in lines if line.startswith("[")]
    remove(vm, "words")


def test_by_hand_is_kept(vm):
    seconds = marker()
    create(vm, "mine", "--", "sleep", seconds).ok()
    vm.agent.sh(f"sed -i 's/^Restart=.*/&\\nMemoryMax=77M/; 1a # a word of mine' {UNITS}/mine.service")
    refused(create(vm, "mine", "--", "sleep", seconds), "was edited by hand", "--replace")
    edited = unit(vm, "mine")
    create(vm, "mine", "--replace", "--restart", "always", "--", "sleep", seconds + "1").ok()
    assert unit(vm, "mine") == edited.replace("Restart=on-failure", "Restart=always").replace(f"sleep {seconds}", f"sleep {seconds}1")
    assert vm.agent.sh("systemctl --user show -P MemoryMax mine") == str(77 << 20)
    remove(vm, "mine")


def test_written_by_hand(vm):
    vm.agent.sh(f"cat > {UNITS}/hand.service", "[Service]\nExecStart=/usr/bin/python3 /home/agent/project/server.py\n"
                "Environment=PORT=3002\n[Install]\nWantedBy=default.target\n")
    assert "takes connections" in service(vm, "start", "hand", "--timeout", "60s").ok().text
    healthy(vm, "hand")
    rows = {row["name"]: row for row in json.loads(service(vm, "list", "--json").ok().out)}
    assert (rows["hand"]["healthy"], rows["hand"]["port"], rows["hand"]["made_here"]) == (True, 3002, False)
    assert "hand" in service(vm, "list").ok().text
    first = seen(vm, "hand")["pid"]
    service(vm, "restart", "hand.service", "--timeout", "60s").ok()
    assert seen(vm, "hand")["pid"] != first
    refused(create(vm, "hand", "--port", "3003", "--", "true"), "written by hand")
    refused(service(vm, "rm", "hand"), "written by hand", "--force")
    remove(vm, "hand")


def test_broken_file(vm):
    vm.agent.sh(f"cat > {UNITS}/broken.service", "[Service]\nExecStart=server.py \"open\nMemoryMax=lots\n")
    refused(service(vm, "start", "broken"), f"{UNITS}/broken.service:2:")
    assert "broken" in service(vm, "list").ok().text
    remove(vm, "broken")
    vm.agent.sh(f"head -c 3000 /dev/zero > {UNITS}/broken.service")
    refused(service(vm, "start", "broken"), "zero byte")
    vm.agent.sh(f"rm {UNITS}/broken.service; ln -s ~/project/server.py {UNITS}/broken.service")
    refused(create(vm, "broken", "--replace", "--", "true"), "symbolic link")
    vm.agent.sh(f"rm {UNITS}/broken.service")
    assert vm.agent.sh("cat project/server.py") == SERVER.strip()


# ---- refusals --------------------------------------------------------------------------------------------------------

def test_names_that_are_none(vm):
    names = ["../x", "a b", "", "x" * 300, ".x", "a\nb", "\u00e9"]
    for done in many(vm, [("service", "create", name, "--", "true") for name in names]):
        refused(done, "name", rc=2)


def test_refused_before_anything_is_written(vm):
    rows = [
        (("--port", "80", "--", "sleep", "9"), "3000-9000", 1),
        (("--port", "70000", "--", "sleep", "9"), "65535", 2),
        (("--port", "0", "--", "sleep", "9"), "65535", 2),
        (("--", "no-such-command"), "no-such-command: command not found", 1),
        (("--", "./server.py"), "cannot be executed", 1),
        (("--dir", "/nope", "--", "sleep", "9"), "/nope", 1),
        (("--health", "x", "--port", "3005", "--", "sleep", "9"), "begins with /", 2),
        (("--ready-log", "(", "--", "sleep", "9"), "--ready-log", 2),
        (("--restart", "maybe", "--", "sleep", "9"), "on-failure", 2),
        (("--env", "1=2", "--", "sleep", "9"), "NAME=VALUE", 1),
        (("--nope",), "no option", 2),
        (("--",), "behind --", 2),
        ((), "no such service yet", 1),
    ]
    for row, done in zip(rows, many(vm, [("service", "create", "never", *row[0]) for row in rows])):
        refused(done, row[1], rc=row[2])
    assert vm.agent(f"ls {UNITS}/never.service").rc != 0


def test_why_it_is_not_healthy(vm):
    """Each is told, stopped, and not enabled."""
    rows = [
        (("--port", "3011", "--", "python3", "server.py", "127.0.0.1"), ("listens on 127.0.0.1 only", "0.0.0.0")),
        (("--port", "3012", "--timeout", "40s", "--", "python3", "server.py", "0.0.0.0", "3013"),
         ("listens on port 3013 and not on 3012",)),
        (("--port", "3014", "--timeout", "40s", "--health", "/bad", "--", "python3", "server.py"), ("GET /bad: answered 500",)),
        (("--port", "3015", "--timeout", "3s", "--", "sleep", "1000"), ("did not listen on port 3015", "wrote nothing")),
        (("--port", "3016", "--", "sh", "-c", "echo a last word; exit 7"), ("| a last word", "status 7")),
        (("--port", "3017", "--", "sh", "-c", "kill -SEGV $$"), ("SIGSEGV",)),
        (("--port", "3018", "--", "sh", "-c", "no-such-command"), ("status 127", "command not found")),
        (("--port", "3019", "--", "python3", "server.py", "0.0.0.0", "80"), ("PermissionError", "3000-9000")),
        (("--timeout", "3s", "--ready-log", "never said", "--", "sleep", "1000"), ("no line of its log matches never said",)),
    ]
    names = [f"fails{i}" for i in range(len(rows))]
    for row, done in zip(rows, many(vm, [("service", "create", name, "--timeout", "60s", *row[0]) for name, row in zip(names, rows)])):
        refused(done, *row[1])
    assert not vm.agent("systemctl --user --no-legend list-units 'fails*' --state=active,activating").text
    assert set(vm.agent(f"systemctl --user is-enabled {' '.join(names)}").text.split()) == {"disabled"}


def test_port_that_is_taken(vm):
    create(vm, "first", "--port", "3008", "--", "python3", "server.py").ok()
    refused(create(vm, "second", "--port", "3008", "--", "python3", "server.py"), "taken by your service first", str(seen(vm, "first")["pid"]))
    # taken once it runs: another port was checked
    done = refused(create(vm, "second", "--port", "3009", "--json", "--", "python3", "server.py", "0.0.0.0", "3008"), "taken")
    answer = json.loads(done.out)
    assert not answer["healthy"] and "taken" in answer["reason"] and any("in use" in line for line in answer["tail"])
    remove(vm, "second")
    remove(vm, "first")


def test_user_manager_that_is_down(vm):
    uid = vm.uid()
    vm.root.sh(f"systemctl stop user@{uid}.service", timeout=TIME)
    try:
        refused(create(vm, "down", "--", "sleep", "9"), "user manager of agent does not answer", f"user@{uid}")
        refused(service(vm, "list"), "does not answer")
        assert vm.agent(f"ls {UNITS}/down.service").rc != 0
    finally:
        vm.root.sh(f"systemctl start user@{uid}.service", timeout=TIME)
        manager_is_up(vm)


# ---- creel serve -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def shared(vm, project):
    vm.agent.sh("mkdir -p project/shared/inner 'project/shared/a b' && cd project/shared && echo one > one.txt && echo two > inner/two.txt && "
                "echo hidden > .hidden && ln -s ../server.py out && ln -s / root && ln -s one.txt in && mkfifo fifo")


def test_serve_in_the_background(vm, shared):
    done = service(vm, "shared", "--port", "3010", "--background", "downloads", verb="serve").ok()
    assert ":3010" in done.text
    assert fetch(vm, 3010, "/one.txt") == fetch(vm, 3010, "/in") == (200, "one\n")
    assert fetch(vm, 3010, "/inner/two.txt") == (200, "two\n")
    status, page = fetch(vm, 3010)
    assert status == 200 and "one.txt" in page and "a%20b/" in page
    assert not any(word in page for word in (".hidden", "out", "root", "fifo"))
    for path in ("/out", "/root/etc/passwd", "/.hidden", "/fifo", "/../server.py", "/%2e%2e/server.py", "/inner/..%2f..%2fserver.py", "/%00"):
        assert fetch(vm, 3010, path)[0] in (403, 404), path
    refused(service(vm, "shared", "--port", "3010", verb="serve"), "taken by your service downloads")
    service(vm, "rm", "downloads").ok()


def test_serve_until_it_is_ended(vm, shared):
    with vm.agent.start("cd project && exec creel serve shared --port 3004 --json") as client:
        said = json.loads(client.stdout.readline())
        assert said["port"] == 3004 and said["url"].endswith(":3004")
        assert fetch(vm, 3004, "/one.txt") == (200, "one\n")
        vm.agent.sh(f"kill -INT {said['pid']}")
        assert client.wait(60) == 0
    wait_until(lambda: vm.agent(f"kill -0 {said['pid']}").rc != 0)


def test_serve_refuses(vm, shared):
    rows = [(("nope",), "nope", 1), (("server.py",), "no folder", 1), ((), "which folder", 2), (("shared", "--port", "80"), "3000-9000", 1),
            (("shared", "--port", "x"), "65535", 2), (("shared", "--background", "../x"), "slash", 2)]
    for row, done in zip(rows, many(vm, [("serve", *row[0]) for row in rows])):
        refused(done, row[1], rc=row[2])
