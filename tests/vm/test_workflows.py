# SPDX-License-Identifier: MIT
"""The four workflows that agents were taught - quick script, API server, data pipeline, cron job - each in the fewest commands, by ssh
and by the tools of the Model Context Protocol."""

import json
import re

import pytest

from harness import between_half_hours, manager_is_up, policy, wait_until
from living_blocks import SLOW, answers, get
from test_mcp import STATELESS, connected

SERVER = """import http.server, json, os

class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = {"/health": {"status": "ok"}, "/api/items": {"items": [1, 2]}}.get(self.path)
        body = json.dumps(known).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("listening", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Api).serve_forever()
"""

PIPELINE = """import pandas as pd
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

df = pd.read_csv("sales.csv").drop_duplicates().dropna()
print(df.shape, int(df["revenue"].sum()))
monthly = df.groupby("month")["revenue"].sum()
monthly.to_csv("output/monthly.csv")
monthly.plot(kind="bar")
plt.savefig("output/monthly.png")
"""
SALES = "month,revenue\n2026-01,10\n2026-01,20\n2026-01,20\n2026-02,\n2026-02,5\n"

SCRIPT = "#!/bin/bash\nset -euo pipefail\necho checked \"$HOME\"\n"


@pytest.fixture(scope="module", autouse=True)
def place(vm):
    with policy(vm, "[exec]\ntimeout = 120s\nmax_timeout = 200s\n"):
        manager_is_up(vm)
        vm.agent.sh("mkdir -p ~/project/api && cat > ~/project/api/server.py", SERVER)
        vm.agent.sh("cat > ~/scripts/health.sh && chmod +x ~/scripts/health.sh", SCRIPT)
        vm.agent.sh("mkdir -p ~/workspace/output && cat > ~/workspace/sales.csv", SALES)
        yield
        vm.agent("rm -rf ~/project ~/scripts/* ~/workspace/* ~/logs/* ~/pids/*", timeout=SLOW)
        for session in json.loads(vm.agent.sh("creel sessions --json")):
            vm.agent.sh(f"creel sessions reset {session['language']} {session['name']}")


# ---- quick script: write, run, return what it said ----

def test_quick_script(vm):
    done = vm.agent("creel run - --timeout 100s", "import sys\nprint(6 * 7)\nprint('careful', file=sys.stderr)\n", timeout=SLOW)
    assert (done.ok().text, done.errors) == ("42", "careful")
    assert len(vm.agent.sh("ls ~/workspace/scripts").split()) == 1, "it is kept"


def test_quick_script_by_mcp(vm):
    with connected(vm, STATELESS) as client:
        result = client.call("execute_shell", command="echo $((6 * 7))", timeout=100)
    assert (result["stdout"], result["error"]) == ("42\n", None), result


# ---- API server: scaffold is the agent's; start, test, return the URL, stop ----

def test_api_server(vm):
    done = vm.agent("creel service create api --port 3000 --health /health --dir ~/project/api --timeout 200s -- python3 server.py",
                    timeout=SLOW)
    url = re.search(r"http://[0-9.]+:3000", done.ok().text)
    assert url, done
    assert vm.agent.sh(f"curl -s {url[0]}/api/items") == '{"items": [1, 2]}'
    assert answers(vm, 3000, "/health") == '{"status": "ok"}', "from outside"
    vm.agent.sh("creel stop api", timeout=SLOW)
    wait_until(lambda: get(vm, 3000, "/health") is None, 60, "it ended")
    vm.agent.sh("creel service rm api", timeout=SLOW)
    assert vm.agent("test -e ~/.config/systemd/user/api.service").rc == 1


def test_api_server_by_mcp(vm):
    with connected(vm, STATELESS) as client:
        made = client.call("service_create", name="api", port=3001, health="/health", directory="/home/agent/project/api", timeout=200,
                           command=["python3", "server.py"])
        assert made["error"] is None and made["result"]["url"].endswith(":3001"), made
        assert answers(vm, 3001, "/api/items") == '{"items": [1, 2]}'
        listed = client.call("service_list")["result"]
        assert [row["name"] for row in listed] == ["api"], listed
        rows = {row["name"]: row for row in client.call("ps")["result"]}
        assert rows["api"]["kind"] == "service" and rows["api"]["pid"] == made["result"]["pid"], rows
        again = client.call("service_create", name="other", port=3001, directory="/home/agent/project/api", command=["python3", "server.py"])
        assert again["exit_code"] == 1 and "3001" in again["error"], again
        assert client.call("execute_shell", command="creel service rm --force api", timeout=100)["error"] is None
        assert client.call("service_list")["result"] == []


# ---- data pipeline: ingest, transform, visualize, deliver ----

def test_data_pipeline(vm):
    vm.agent.sh("cat > ~/workspace/pipeline.py", PIPELINE)
    done = vm.agent("creel run ~/workspace/pipeline.py --json --timeout 190s", timeout=SLOW)
    result = json.loads(done.ok().text)
    assert result["stdout"] == "(3, 2) 35\n", result
    files = {file["name"]: file["path"] for file in result["files"]}
    assert set(files) == {"monthly.csv", "monthly.png"}, result
    fetched = vm.agent(f"cat {files['monthly.png']}")
    assert fetched.out.startswith(b"\x89PNG")
    assert vm.agent.sh(f"cat {files['monthly.csv']}") == "month,revenue\n2026-01,30.0\n2026-02,5.0"


def test_data_pipeline_by_mcp(vm):
    vm.agent.sh("rm -f ~/workspace/output/*")
    with connected(vm, STATELESS) as client:
        result = client.call("execute_python", code=f"import os\nos.chdir('/home/agent/workspace')\n{PIPELINE}", timeout=190)
        assert result["stdout"] == "(3, 2) 35\n" and {file["name"] for file in result["files"]} == {"monthly.csv", "monthly.png"}, result
        text = client.request("resources/read", uri="creel://output/monthly.csv")["contents"][0]["text"]
        assert text.splitlines()[0] == "month,revenue"


# ---- a job that goes on: the pipeline's longer sister ----

def test_a_job_by_mcp(vm):
    with connected(vm, STATELESS) as client:
        made = client.call("job_start", name="count", command=["bash", "-c", "echo begun; exec sleep 6000"])
        assert made["error"] is None and made["result"]["name"] == "count", made
    with connected(vm, STATELESS) as client:
        wait_until(lambda: "begun" in (client.call("job_logs", name="count", lines=5)["result"] or ""), 60, "its log")
        assert "count" in [row["name"] for row in client.call("ps")["result"]]
        status = client.call("status")
        assert status["error"] is None and status["result"], status
    vm.agent.sh("creel job stop count && creel job rm count", timeout=SLOW)


# ---- cron job: script, schedule, trial ----

def test_cron_job(vm):
    between_half_hours(vm)
    done = vm.agent('creel cron add "*/30 * * * *" ~/scripts/health.sh --run-now', timeout=SLOW)
    assert "checked /home/agent" in done.ok().text + done.errors, done
    assert "*/30 * * * *" in vm.agent.sh("crontab -l")
    assert "checked /home/agent" in vm.agent.sh("cat ~/logs/health.log")
    assert vm.agent.sh("creel cron list | grep -c health") == "1"
    vm.agent.sh("creel cron rm health", timeout=SLOW)
    assert "health" not in vm.agent("crontab -l").text


def test_cron_job_by_mcp(vm):
    between_half_hours(vm)
    with connected(vm, STATELESS) as client:
        added = client.call("cron_add", schedule="*/30 * * * *", script="/home/agent/scripts/health.sh", name="tidy", run_now=True)
        assert added["error"] is None, added
        rows = {row["name"]: row for row in client.call("cron_list")["result"]}
        assert "tidy" in rows and rows["tidy"]["next"], rows
        wrong = client.call("cron_add", schedule="61 * * * *", script="/home/agent/scripts/health.sh", name="never")
        assert wrong["exit_code"] and "61" in wrong["error"], wrong
        assert len(client.call("cron_list")["result"]) == len(rows)
    vm.agent.sh("creel cron rm tidy", timeout=SLOW)
