#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vanish.py KEY HOW RUNS: how long a command outlives the moment at which the server noticed that its client is gone.

HOW: kill   the client is killed: the kernel closes its connection
     reset  the connection ends by a TCP reset
     stop   the client is stopped: its kernel acknowledges, nobody answers keepalives
     drop   the client's network is gone: nothing comes back at all

The server noticed when the worker of that connection was gone. Runs as root inside the VM, so that one clock sees both
ends. Prints one JSON object: {"after": [SECONDS, ...], "survivors": [...], "lost": [...]}.
"""

import json
import os
import pwd
import select
import signal
import socket
import struct
import subprocess
import sys
import time

from hangup import wait

NEAR, FAR, SPACE = "192.0.2.1", "192.0.2.2", "creel-far"
KINDS = ("nohup", "setsid", "screen", "service")


def sh(command):
    subprocess.run(command, shell=True, check=True)


def alive(seconds):
    """Some process sleeps for that long; a service's program has its whole path on its command line."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == b"sleep" and words[1:2] == [seconds.encode()]:
            return True
    return False


def workers():
    """Those that have a connection: one waits for the next (creel-spare), and is a worker from then on."""
    uid, found = pwd.getpwnam("creel-sshd").pw_uid, set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                head, _, rest = file.read().rpartition(b")")
            waits = head.partition(b"(")[2] == b"creel-spare"
            if os.stat(f"/proc/{name}").st_uid == uid and rest.split()[0] != b"Z" and not waits:
                found.add(int(name))
        except OSError:
            pass
    return found


class Relay:
    """Between client and server, a process; when it is killed its connections end by a reset."""

    def __init__(self):
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self.pid = os.fork()
        if self.pid == 0:
            self.serve(listening)
            os._exit(0)
        listening.close()

    @staticmethod
    def serve(listening):
        peers = [listening.accept()[0], socket.create_connection(("127.0.0.1", 22))]
        for peer in peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while True:
            for one in select.select(peers, [], [])[0]:
                data = one.recv(65536)
                if not data:
                    return
                peers[one is peers[0]].sendall(data)

    def reset(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def network(up):
    """A client's side of its own, with one cable to this machine."""
    subprocess.run(f"ip netns del {SPACE}; ip link del creel-near", shell=True, check=False, stderr=subprocess.DEVNULL)
    if up:
        sh(f"ip netns add {SPACE} && ip link add creel-near type veth peer name creel-cable netns {SPACE} && "
           f"ip addr add {NEAR}/24 dev creel-near && ip link set creel-near up && "
           f"ip -n {SPACE} addr add {FAR}/24 dev creel-cable && ip -n {SPACE} link set creel-cable up")


def command(mark):
    """What dies with the client, and what asked to live on."""
    lives = {kind: f"{mark}{i}" for i, kind in enumerate(KINDS, 1)}
    text = (f"nohup sleep {lives['nohup']} >/dev/null 2>&1 & setsid sleep {lives['setsid']} >/dev/null 2>&1 & "
            f"screen -dmS v{mark} sleep {lives['screen']}; systemd-run --user -q --collect sleep {lives['service']}; "
            f"(trap '' TERM INT PIPE; sleep {mark}; :) & sleep {mark}; :")
    return text, lives


def go(how, client, relay):
    if how == "kill":
        client.kill()
    elif how == "stop":
        client.send_signal(signal.SIGSTOP)
    elif how == "drop":
        sh(f"ip -n {SPACE} link set creel-cable down")
    else:
        relay.reset()


def run(key, how, mark):
    before = workers()
    relay = Relay() if how == "reset" else None
    argv = ["ssh", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-p", str(relay.port if relay else 22), f"agent@{NEAR if how == 'drop' else '127.0.0.1'}"]
    if how == "drop":
        argv = ["ip", "netns", "exec", SPACE, *argv]
    text, lives = command(mark)
    client = subprocess.Popen([*argv, text], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait(lambda: all(alive(seconds) for seconds in [mark, *lives.values()]))
        mine = workers() - before
        go(how, client, relay)
        wait(lambda: not mine & workers(), 120)
        noticed = time.monotonic()
        wait(lambda: not alive(mark))
        after = time.monotonic() - noticed
    finally:
        client.kill()
        client.wait()
    kept = [kind for kind, seconds in lives.items() if alive(seconds)]
    for seconds in lives.values():
        subprocess.run(["pkill", "-KILL", "-fx", f"(/usr/bin/)?sleep {seconds}"], check=False)
    wait(lambda: not any(alive(seconds) for seconds in lives.values()))
    return after, kept


def main():
    key, how, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answer = {"after": [], "survivors": [], "lost": []}
    for number in range(runs):
        if how == "drop":
            network(True)
        try:
            after, kept = run(key, how, f"{os.getpid()}{number}0")
        finally:
            if how == "drop":
                network(False)
        answer["after"].append(round(after, 3))
        answer["survivors"] += kept
        answer["lost"] += [kind for kind in KINDS if kind not in kept]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
