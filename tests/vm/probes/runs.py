#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs code by a keeper, over its bus: for tests that want nothing in between.

  runs.py SOCKET < JSON      a list of orders; prints a list with an answer for each

An order: {"language": ..., "code": TEXT, "options": {...}} and, where wanted,
  "times": N             the code, so often
  "bytes": HEX           instead of the code: these bytes
  "input": TEXT          on stdin, by a pipe
  "open_input": true     stdin is a pipe that nobody writes to or closes
  "stop": TEXT           Stop, once its output has that text (it is followed)
  "beside": true         the next order does not wait for its end; its answer comes all the same
  "unsealed": true       a code that could still be changed
Or {"call": MEMBER, "signature": TEXT, "values": [...]}: another row of the table; the answer is its reply's values.

An answer: {"number", "reason", "error", "exit_code", "signal", "stdout", "stderr" (text, what is no UTF-8 escaped), ...}, or
{"refused": the error's name, "why": its text}. "followed" is what Output signals brought.
"""

import array
import fcntl
import json
import os
import socket
import sys

import keeperbus

F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE = 2, 4, 8
TYPES = {"label": "s", "arguments": "as", "timeout": "t", "memory": "t", "cpu": "t", "processes": "t", "output": "t",
         "network": "s", "independent": "b", "session": "s", "directory": "s", "follow": "b", "collect": "b", "figures": "b",
         "language": "s", "input": "h"}


def memory(data, sealed=True):
    fd = os.memfd_create("code", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data)
    if sealed:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
    return fd


class Client:
    def __init__(self, path, uid=None):
        self.peer = keeperbus.dial(path)
        self.data, self.fds, self.serial = keeperbus.authenticate(self.peer, uid), [], 0
        self.peer.settimeout(600)
        self.finished, self.followed = {}, {}

    def fill(self, n):
        while len(self.data) < n:
            more, control, _, _ = self.peer.recvmsg(1 << 18, socket.CMSG_SPACE(32 * 4), socket.MSG_CMSG_CLOEXEC)
            for level, kind, data in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.fds += array.array("i", data[:len(data) // 4 * 4])
            if not more:
                raise ConnectionResetError("closed")
            self.data += more

    def next(self):
        """One message: its kind, fields by number, body."""
        self.fill(16)
        self.fill(keeperbus.size(self.data))
        total = keeperbus.size(self.data)
        whole, self.data = self.data[:total], self.data[total:]
        head = keeperbus.Reader(whole)
        head.at = 12
        fields = dict(head.value("a(yv)"))
        body = keeperbus.Reader(whole[total - int.from_bytes(whole[4:8], "little"):])
        values = [body.value(kind) for kind in keeperbus.split(fields.get(8, ""))]
        fds, self.fds = self.fds[:fields.get(9, 0)], self.fds[fields.get(9, 0):]
        return whole[1], fields, values, fds

    def hear(self):
        """Handles one signal; returns an answer."""
        kind, fields, values, fds = self.next()
        if kind != 4:
            return kind, fields, values, fds
        if fields[3] == "Output":
            key = "stdout" if values[1] == 1 else "stderr"
            self.followed.setdefault(values[0], {"stdout": b"", "stderr": b""})[key] += values[2]
        if fields[3] == "Finished":
            number, result = values
            for name in ("stdout", "stderr"):
                result[name] = read_all(fds[result[name]]) if name in result else b""
            for fd in fds:
                os.close(fd)
            self.finished[number] = result
        return None

    def call(self, member, signature, values, fds=()):
        self.serial += 1
        data = keeperbus.message(member, signature, values, len(fds), serial=self.serial)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.peer.sendmsg([data], rights)
        self.peer.sendall(data[sent:])
        while not (answer := self.hear()):
            pass
        kind, fields, values, fds = answer
        for fd in fds:
            os.close(fd)
        if kind == 3:
            raise Refused(fields[4], values[0] if values else "")
        return values

    def run(self, language, code, options=None, input_fd=None, sealed=True):
        options = {"language": language, **(options or {})}
        fds = [memory(code, sealed)]
        if input_fd is not None:
            fds.append(input_fd)
            options["input"] = 1
        variants = [(name, (TYPES.get(name, "s"), value)) for name, value in options.items()]
        try:
            return self.call("Run", "ha{sv}", [0, variants], fds)[0]
        finally:
            os.close(fds[0])

    def wait(self, number):
        while number not in self.finished:
            self.hear()
        return self.finished.pop(number)


class Refused(Exception):
    pass


def read_all(fd):
    parts = []
    while part := os.pread(fd, 1 << 20, sum(map(len, parts))):
        parts.append(part)
    return b"".join(parts)


def begin(client, order):
    code = bytes.fromhex(order["bytes"]) if "bytes" in order else order["code"].encode() * order.get("times", 1)
    options = dict(order.get("options", {}))
    ends = ()
    if "stop" in order:
        options["follow"] = True
    if "input" in order or "open_input" in order:
        ends = os.pipe()
        if "input" in order:
            os.write(ends[1], order["input"].encode())
            os.close(ends[1])
    number = client.run(order["language"], code, options, ends[0] if ends else None, not order.get("unsealed"))
    if ends:
        os.close(ends[0])
    if "stop" in order:
        while order["stop"].encode() not in client.followed.get(number, {"stdout": b""})["stdout"]:
            client.hear()
        client.call("Stop", "t", [number])
    return number


def end(client, number):
    result = {"number": number, **client.wait(number)}
    if number in client.followed:
        result["followed"] = client.followed.pop(number)["stdout"]
    return {key: value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
            for key, value in result.items()}


def main():
    client = Client(sys.argv[1])
    answers, open_ends = [], []
    for order in json.load(sys.stdin):
        if "call" in order:
            answers.append(client.call(order["call"], order.get("signature", ""), order.get("values", [])))
            continue
        try:
            number = begin(client, order)
        except Refused as why:
            answers.append({"refused": why.args[0], "why": why.args[1]})
            continue
        answers.append({})
        open_ends.append((len(answers) - 1, number))
        if not order.get("beside"):
            for at, number in open_ends:
                answers[at] = end(client, number)
            open_ends = []
    for at, number in open_ends:
        answers[at] = end(client, number)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
