# SPDX-License-Identifier: MIT
"""The blocks of living/, and what they need of a machine that has no network: express for npm."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import urllib.request

import machine
from harness import BUILD, wait_until

LIVING = pathlib.Path(__file__).resolve().parent / "living"
SLOW = 280  # seconds, of an emulated VM


def block(name):
    return (LIVING / name).read_text()


def typed(vm, text, timeout=SLOW):
    """A session of the agent's in which that is typed; it goes on after a command that failed, as a shell does."""
    return vm.agent("bash -s", text, timeout=timeout)


def put(vm, **files):
    """Files of living/ into places of the agent's home: place=name, a slash in the place written as two underscores."""
    for place, name in files.items():
        place = place.replace("__", "/")
        vm.agent.sh(f"mkdir -p ~/{place} && cat > ~/{place}/{name}", block(name))


def npm_cache():
    """A folder with express in npm's cache, from the registry that this machine's npm is set up for; fetched once a build folder."""
    folder = BUILD / "npm-express"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "cache.tar").exists():
            shutil.rmtree(folder / "project", ignore_errors=True)
            (folder / "project").mkdir()
            npm = ["npm", "--cache", folder / "cache", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"]
            subprocess.run([*npm, "install", "express"], cwd=folder / "project", check=True, timeout=300,
                           stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            registry = subprocess.run(["npm", "--loglevel=error", "config", "get", "registry"], check=True, capture_output=True,
                                      text=True, timeout=60).stdout
            (folder / "npmrc").write_text(f"registry={registry}offline=true\naudit=false\nfund=false\nupdate-notifier=false\n")
            subprocess.run(["tar", "-C", folder / "cache", "-cf", folder / "cache.new", "_cacache"], check=True)
            os.replace(folder / "cache.new", folder / "cache.tar")
    return folder


@contextlib.contextmanager
def node(vm):
    """npm has express without a network."""
    folder = npm_cache()
    vm.agent.sh("mkdir -p ~/.npm && tar -C ~/.npm -xf -", (folder / "cache.tar").read_bytes(), timeout=SLOW)
    vm.agent.sh("cat > ~/.npmrc", (folder / "npmrc").read_text())
    try:
        yield
    finally:
        vm.agent("rm -rf ~/.npm ~/.npmrc")


def get(vm, port, path):
    """From this machine, which is outside for the VM: status and body; None where nobody answers."""
    url = f"http://127.0.0.1:{machine.forwarded(vm, port)}{path}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except OSError:
        return None


def answers(vm, port, path):
    """Waits for it, and returns the body."""
    return wait_until(lambda: get(vm, port, path), SLOW, f"port {port} answers", 1)[1]
