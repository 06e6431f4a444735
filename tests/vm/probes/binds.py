#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tries to make sockets that others could reach. Each argument is one try; prints a JSON object: try -> "ok PORT" or errno name.

  tcp4 ADDRESS PORT, tcp6, udp4, udp6   bind, and listen where that is a word (joined by commas)
  ... with +listen, +reuseport, +freebind, +v6only, +noport behind: tcp4,0.0.0.0,3000,+listen
  listen4, listen6                                     listen without bind
  connected4                                            connect, disconnect, listen
  create,FAMILY,TYPE,PROTOCOL                           the socket alone, by numbers
  stay,...                                              any of the first kind; keeps it until the input ends
"""

import ctypes
import errno
import json
import socket
import sys

FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}
KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0)}
OPTIONS = {"+reuseport": (socket.SOL_SOCKET, socket.SO_REUSEPORT), "+freebind": (socket.SOL_IP, 15),
           "+v6only": (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), "+noport": (socket.SOL_IP, 24),
           "+transparent": (socket.SOL_IP, 19)}
KEPT = []


def bound(kind, address, port, *options):
    sock = socket.socket(FAMILIES[kind[-1]], *KINDS[kind[:-1]])
    for option in options:
        if option in OPTIONS:
            sock.setsockopt(*OPTIONS[option], 1)
    sock.bind((address, int(port)))
    if "+listen" in options:
        sock.listen()
    return sock


def listening(kind):
    sock = socket.socket(FAMILIES[kind[-1]], *KINDS["tcp"])
    sock.listen()
    return sock


def connected():
    server = bound("tcp4", "127.0.0.1", 0, "+listen")
    sock = socket.socket()
    sock.connect(server.getsockname())
    if ctypes.CDLL(None, use_errno=True).connect(sock.fileno(), bytes(16), 16) < 0:
        raise OSError(ctypes.get_errno(), "disconnect")
    sock.listen()
    return sock


def attempt(words):
    kind, *rest = words
    if kind == "stay":
        KEPT.append(attempt(rest))
        return KEPT[-1]
    if kind == "connected4":
        return connected()
    if "listen" in kind:
        return listening(kind)
    if kind == "create":
        return socket.socket(*map(int, rest))
    return bound(kind, *rest)


def outcome(words):
    try:
        sock = attempt(words)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    name = sock.getsockname() if words[0] != "create" else None
    if words[0] != "stay":
        sock.close()
    return f"ok {name[1]}" if isinstance(name, tuple) else "ok"


print(json.dumps({word: outcome(word.split(",")) for word in sys.argv[1:]}), flush=True)
if KEPT:
    sys.stdin.read()
