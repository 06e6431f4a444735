#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""reach.py KIND:HOST,PORT ...: one line each: "ok" and what came, or the name of the error. KIND: tcp, udp, ping, name.

SECONDS (environment): how long is waited for an answer; then "timeout".
"""

import errno
import os
import socket
import struct
import sys

SECONDS = float(os.environ.get("SECONDS", "8"))


def open_socket(host, kind, protocol=0):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind, protocol)
    sock.settimeout(SECONDS)
    return sock


def tcp(host, port):
    with open_socket(host, socket.SOCK_STREAM) as sock:
        sock.connect((host, port))
        return sock.recv(100)


def udp(host, port):
    with open_socket(host, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        sock.send(b"hello")
        return sock.recv(100)


def ping(host, _):
    six = ":" in host
    with open_socket(host, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as sock:
        sock.connect((host, 0))
        sock.send(struct.pack("!BBHHH", 128 if six else 8, 0, 0, 0, 1) + b"hello")
        return sock.recv(100)[8:]


def name(host, port):
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[port]
    return " ".join(sorted({row[4][0] for row in socket.getaddrinfo(host, None, family)})).encode()


for word in sys.argv[1:]:
    asked, _, rest = word.partition(":")
    where, _, number = rest.rpartition(",")
    try:
        print("ok", globals()[asked](where, int(number)).decode().strip(), flush=True)
    except socket.gaierror as problem:
        print({getattr(socket, k): k for k in dir(socket) if k.startswith("EAI_")}[problem.errno], flush=True)
    except socket.timeout:
        print("timeout", flush=True)
    except OSError as problem:
        print(errno.errorcode.get(problem.errno, problem.errno), flush=True)
