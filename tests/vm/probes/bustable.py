#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bustable.py SOCKET: a conversation with a keeper, by several connections of several users at once.

Run as root. Reads a JSON list of steps from stdin, prints a JSON list with an answer for each:

  {"as": USER, "on": NAME, "call": [MEMBER, SIGNATURE, ARGUMENTS], "keep": WORD}
      on the connection NAME, made by USER when it is first named; a session id in the answer is kept as WORD
  {"closed": NAME}     has the keeper closed that connection? waits for it
  {"close": NAME}      close it
  {"kill": PID}        SIGKILL, and waits until that process is gone
  {"ended": [SESSION, NUMBER]}  waits until the keeper knows that the process of that channel ended

An argument "$WORD" stands for what was kept. Answers are those of keeperbus.py.
"""

import array
import contextlib
import glob
import json
import os
import pwd
import signal
import socket
import sys
import time

import keeperbus


@contextlib.contextmanager
def identity(user):
    """What the kernel notes of whoever connects. Root again afterwards."""
    entry = pwd.getpwnam(user)
    groups = os.getgroups()
    os.setgroups(os.getgrouplist(user, entry.pw_gid))
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield entry.pw_uid
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def connect(path, user):
    with identity(user) as uid:
        peer = keeperbus.dial(path)
    keeperbus.authenticate(peer, uid)
    return peer


def text_of(answer):
    """The first value of an answer whose signature begins with a text."""
    body = bytes.fromhex(answer["body"])
    return body[4:4 + int.from_bytes(body[:4], "little")].decode()


def is_closed(peer):
    try:
        while peer.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def wait_ended(session, number):
    """Its leaf is marked, or gone because nothing was left in it."""
    pattern = f"/sys/fs/cgroup/user.slice/user-*.slice/creel-leaves@*.service/session-{session}/exec-{number}"
    while True:
        leaf = next(iter(glob.glob(pattern)), None)
        with contextlib.suppress(OSError):
            if leaf is None or os.getxattr(leaf, "user.creel.ended"):
                return
        time.sleep(0.01)


def step(path, order, connections, kept):
    if "close" in order:
        connections.pop(order["close"]).close()
        return {}
    if "closed" in order:
        return {"closed": is_closed(connections.pop(order["closed"]))}
    if "kill" in order:
        os.kill(order["kill"], signal.SIGKILL)
        while os.path.exists(f"/proc/{order['kill']}"):
            time.sleep(0.01)
        return {}
    if "ended" in order:
        session, number = order["ended"]
        wait_ended(kept[session[1:]], number)
        return {}
    name = order["on"]
    if name not in connections:
        connections[name] = connect(path, order["as"])
    member, signature, arguments = order["call"]
    arguments = [kept[value[1:]] if isinstance(value, str) and value[:1] == "$" else value for value in arguments]
    peer = connections[name]
    # whoever may send none gets to the table without
    count = signature.count("h") if order["as"] == "agent" else 0
    if count:
        with open("/dev/null", "rb") as null:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()] * count))]
            peer.sendmsg([keeperbus.message(member, signature, arguments, count)], rights)
    else:
        peer.sendall(keeperbus.message(member, signature, arguments))
    answer = keeperbus.receive(peer)
    if "keep" in order and "reply" in answer:
        kept[order["keep"]] = text_of(answer)
    return answer


def main():
    answers, connections, kept = [], {}, {}
    for order in json.load(sys.stdin):
        try:
            answers.append(step(sys.argv[1], order, connections, kept))
        except OSError as problem:
            answers.append(keeperbus.failure(problem))
    json.dump(answers, sys.stdout)


main()
