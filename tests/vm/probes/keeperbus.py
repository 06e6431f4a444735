#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Speaks D-Bus to a keeper's socket without a bus library, so that it can also speak it wrongly.

  keeperbus.py SOCKET call MEMBER SIGNATURE JSON-ARGUMENTS [DESCRIPTORS [INTERFACE]]
  keeperbus.py SOCKET raw HEX          after authentication, send these bytes as they are
  keeperbus.py SOCKET early HEX        the same before authentication
  keeperbus.py SOCKET flood N          open N connections, speak on the last one, then close all
  keeperbus.py SOCKET hold             authenticate, print "ready", wait for the end of stdin
  keeperbus.py SOCKET unread N         the same, but before it is ready it asks for the limits N times and for what there is not;
                                       reads none of the answers

Prints one JSON object: {"reply": signature}, {"error": name, "text": ...}, {"errno": name}, or {"closed": true}.
"""

import array
import errno
import json
import os
import re
import socket
import struct
import sys

OBJECT = "/org/creel/Keeper"
INTERFACE = "org.creel.Keeper1"
TIMEOUT = 20


class Writer:
    """Marshals values (D-Bus specification, "Marshaling")."""

    FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "h": "I"}

    def __init__(self):
        self.data = bytearray()

    def align(self, n):
        self.data += b"\0" * (-len(self.data) % n)

    def fixed(self, code, value):
        self.align(struct.calcsize(code))
        self.data += struct.pack("<" + code, int(value))

    def value(self, kind, value):
        if kind in self.FIXED:
            self.fixed(self.FIXED[kind], value)
        elif kind in "so":
            raw = value.encode("utf-8", "surrogateescape")
            self.fixed("I", len(raw))
            self.data += raw + b"\0"
        elif kind == "g":
            raw = value.encode()
            self.data += bytes([len(raw)]) + raw + b"\0"
        elif kind == "v":
            self.value("g", value[0])
            self.value(value[0], value[1])
        elif kind[0] == "a":
            if isinstance(value, str):  # bytes written as text
                value = value.encode()
            element = kind[1:]
            self.fixed("I", 0)
            at = len(self.data) - 4
            self.align(8 if element[0] in "({xt" else {"y": 1, "g": 1, "v": 1}.get(element[0], 4))
            begin = len(self.data)
            for item in value:
                self.value(element, item)
            struct.pack_into("<I", self.data, at, len(self.data) - begin)
        elif kind[0] in "({":
            self.align(8)
            for part, item in zip(split(kind[1:-1]), value):
                self.value(part, item)
        else:
            raise ValueError(kind)


def split(signature):
    """One complete type at a time."""
    kinds, i = [], 0
    while i < len(signature):
        start = i
        while signature[i] == "a":
            i += 1
        if signature[i] in "({":
            depth = 1
            while depth:
                i += 1
                depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[i], 0)
        i += 1
        kinds.append(signature[start:i])
    return kinds


class Reader:
    """The other way round. A descriptor is its index in the message."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def fixed(self, code):
        n = struct.calcsize(code)
        self.at += -self.at % n
        self.at += n
        return struct.unpack_from("<" + code, self.data, self.at - n)[0]

    def text(self, n):
        self.at += n + 1
        return self.data[self.at - n - 1:self.at - 1].decode("utf-8", "surrogateescape")

    def value(self, kind):
        if kind == "b":
            return bool(self.fixed("I"))
        if kind in Writer.FIXED:
            return self.fixed(Writer.FIXED[kind])
        if kind in "so":
            return self.text(self.fixed("I"))
        if kind == "g":
            return self.text(self.fixed("B"))
        if kind == "v":
            return self.value(self.value("g"))
        if kind[0] == "a":
            n, element = self.fixed("I"), kind[1:]
            if element[0] in "({xtd":
                self.at += -self.at % 8
            end = self.at + n
            if element == "y":
                self.at = end
                return self.data[end - n:end]
            items = []
            while self.at < end:
                items.append(self.value(element))
            return dict(items) if element[0] == "{" else items
        if kind[0] in "({":
            self.at += -self.at % 8
            return [self.value(part) for part in split(kind[1:-1])]
        raise ValueError(kind)


def message(member, signature, arguments, descriptors=0, interface=INTERFACE, serial=1):
    body = Writer()
    for kind, value in zip(split(signature), arguments):
        body.value(kind, value)
    fields = [(1, ("o", OBJECT)), (2, ("s", interface)), (3, ("s", member))]
    if signature:
        fields.append((8, ("g", signature)))
    if descriptors:
        fields.append((9, ("u", descriptors)))
    head = Writer()
    head.data += b"l" + bytes([1, 0, 1])
    head.fixed("I", len(body.data))
    head.fixed("I", serial)
    head.value("a(yv)", fields)
    head.align(8)
    return bytes(head.data + body.data)


def dial(path):
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(TIMEOUT)
    peer.connect(path)
    return peer


def authenticate(peer, uid=None):
    uid = os.getuid() if uid is None else uid
    peer.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
    answer = b""
    while answer.count(b"\r\n") < 2:
        data = peer.recv(1024)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "closed")
        answer += data
    if not answer.startswith(b"OK "):
        raise PermissionError(errno.EPERM, answer.decode(errors="replace"))
    return answer.split(b"\r\n", 2)[2]


def receive(peer, data=b""):
    """The next answer (method return or error); signals are passed over."""
    while True:
        while len(data) < 16 or len(data) < size(data):
            more = peer.recv(65536)
            if not more:
                return {"closed": True}
            data += more
        kind, total = data[1], size(data)
        fields = struct.unpack_from("<I", data, 12)[0]
        text = data[16:16 + fields]
        body = data[total - struct.unpack_from("<I", data, 4)[0]:total]
        data = data[total:]
        if kind == 2:
            found = re.search(rb"\x08\x01g\0(.)", text, re.S)
            length = found.group(1)[0] if found else 0
            return {"reply": text[found.end():found.end() + length].decode() if found else "",
                    "body": body.hex()}
        if kind == 3:
            found = re.search(rb"\x04\x01s\0", text)
            at = (found.end() + 3) & ~3
            length = struct.unpack_from("<I", text, at)[0]
            said = ""
            if len(body) > 4:
                said = body[4:4 + struct.unpack_from("<I", body, 0)[0]].decode(errors="replace")
            return {"error": text[at + 4:at + 4 + length].decode(), "text": said}


def size(data):
    body, _, fields = struct.unpack_from("<III", data, 4)
    return 16 + (fields + 7 & ~7) + body


def flood(path, n):
    kept, refused = [], 0
    for _ in range(n):
        try:
            kept.append(dial(path))
        except OSError:
            refused += 1
    live = 0
    for peer in kept:  # a keeper that is full accepts and closes, or does not accept at all
        peer.settimeout(1)
        try:
            authenticate(peer)
            live += 1
        except OSError:
            pass
    return {"opened": len(kept), "refused": refused, "live": live}


def speak(path, verb, arguments):
    if verb == "flood":
        return flood(path, int(arguments[0]))
    peer = dial(path)
    if verb == "early":
        peer.sendall(bytes.fromhex(arguments[0]))
        return {"closed": True} if not peer.recv(1024) else {"answered": True}
    rest = authenticate(peer)
    if verb == "unread":
        for serial in range(1, int(arguments[0]) + 1):
            peer.sendall(message("Limits", "", [], serial=serial))
        peer.sendall(message("NoSuch", "", [], serial=serial + 1))
    if verb in ("hold", "unread"):
        print("ready", flush=True)
        sys.stdin.read()
        return {"closed": False}
    if verb == "raw":
        peer.sendall(bytes.fromhex(arguments[0]))
        return receive(peer, rest)
    member, signature, values = arguments[0], arguments[1], json.loads(arguments[2])
    count = int(arguments[3]) if len(arguments) > 3 else 0
    data = message(member, signature, values, count, arguments[4] if len(arguments) > 4 else INTERFACE)
    rights = []
    if count:
        null = os.open("/dev/null", os.O_RDONLY)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * count))]
    sent = peer.sendmsg([data], rights)
    peer.sendall(data[sent:])
    return receive(peer, rest)


def failure(problem):
    """What an OSError says of the other end."""
    if isinstance(problem, (ConnectionResetError, BrokenPipeError)):
        return {"closed": True}
    if isinstance(problem, TimeoutError):
        return {"timeout": True}
    return {"errno": errno.errorcode.get(problem.errno, str(problem.errno)), "text": str(problem)}


def main():
    try:
        answer = speak(sys.argv[1], sys.argv[2], sys.argv[3:])
    except OSError as problem:
        answer = failure(problem)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
