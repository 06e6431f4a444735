#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Sends well-formed SSH messages in the wrong order and state, over real encrypted connections, before and after login.

    hammer.py --port PORT --user NAME --key FILE [--seconds N] [--seed N]

All that it does follows from the seed, which it prints. It ends with status 0 when the server answered or ended every
connection; whether the server is well is for the caller to see.
"""

import argparse
import asyncio
import random
import time

import asyncssh
from asyncssh.packet import Boolean, Byte, MPInt, NameList, String, UInt32

TYPES = [b"session", b"direct-tcpip", b"forwarded-tcpip", b"x11", b"auth-agent@openssh.com", b"", b"nonsense"]
REQUESTS = [b"pty-req", b"x11-req", b"env", b"shell", b"exec", b"subsystem", b"window-change", b"xon-xoff", b"signal",
            b"exit-status", b"exit-signal", b"break", b"auth-agent-req@openssh.com", b"keepalive@openssh.com",
            b"eow@openssh.com", b"nonsense"]
GLOBALS = [b"tcpip-forward", b"cancel-tcpip-forward", b"keepalive@openssh.com", b"no-more-sessions@openssh.com",
           b"hostkeys-prove-00@openssh.com", b"streamlocal-forward@openssh.com", b"nonsense"]
METHODS = [b"none", b"publickey", b"password", b"hostbased", b"keyboard-interactive", b"gssapi-with-mic", b"nonsense"]
NUMBERS = [0, 1, 2, 10, 80, 255, 32768, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]


class Words:
    """Parts of messages, by one random generator."""

    def __init__(self, rng, user):
        self.rng, self.user = rng, user

    def number(self):
        return UInt32(self.rng.choice(NUMBERS) if self.rng.random() < 0.5 else self.rng.randrange(4))

    def text(self):
        return String(self.rng.choice([b"", b"x", b"true", b"\0", b"\xff\xfe", b"a" * 255, b"b" * 4096, b"sftp", b"TERM", b"127.0.0.1"]))

    def flag(self):
        return Boolean(self.rng.random() < 0.5)

    def data(self):
        return String(self.rng.randbytes(self.rng.choice([0, 1, 100, 5000, 32768])))

    def names(self):
        return NameList([self.rng.choice([b"curve25519-sha256", b"none", b"ssh-ed25519", b"x", b"aes256-gcm@openssh.com"])
                         for _ in range(self.rng.randrange(4))])

    def kexinit(self):
        return self.rng.randbytes(16) + b"".join(self.names() for _ in range(10)) + self.flag() + UInt32(0)

    def userauth(self):
        method = self.rng.choice(METHODS)
        rest = {b"publickey": lambda: self.flag() + String(b"ssh-ed25519") +
                String(String(b"ssh-ed25519") + String(self.rng.randbytes(32))) +
                (String(String(b"ssh-ed25519") + String(self.rng.randbytes(64))) if self.rng.random() < 0.5 else b""),
                b"password": lambda: self.flag() + self.text()}.get(method, self.text)()
        return self.rng.choice([String(self.user), self.text()]) + String(b"ssh-connection") + String(method) + rest

    def channel_open(self):
        return String(self.rng.choice(TYPES)) + self.number() + self.number() + self.number() + \
            (self.text() + self.number() + self.text() + self.number() if self.rng.random() < 0.5 else b"")

    def channel_request(self):
        name = self.rng.choice(REQUESTS)
        rest = {b"pty-req": lambda: self.text() + self.number() * 2 + self.number() * 2 + self.text(),
                b"env": lambda: self.text() + self.text(), b"exec": self.text, b"subsystem": self.text, b"signal": self.text,
                b"window-change": lambda: self.number() * 4, b"break": self.number,
                b"exit-signal": lambda: self.text() + self.flag() + self.text() + self.text()}.get(name, lambda: b"")()
        return UInt32(self.rng.randrange(3)) + String(name) + self.flag() + rest

    def message(self):
        """A message number and a body that fits it."""
        makers = [
            (1, lambda: self.number() + self.text() + self.text()), (2, self.data), (3, self.number),
            (4, lambda: self.flag() + self.text() + self.text()), (5, self.text), (6, self.text),
            (7, lambda: UInt32(1) + self.text() + self.text()), (20, self.kexinit), (21, lambda: b""),
            (30, lambda: String(self.rng.randbytes(32))), (31, lambda: self.text() + self.data() + self.text()),
            (32, lambda: MPInt(self.rng.getrandbits(2048))), (33, lambda: self.text()), (34, lambda: self.number() * 3),
            (50, self.userauth), (51, lambda: self.names() + self.flag()), (52, lambda: b""), (53, lambda: self.text() + self.text()),
            (60, lambda: self.text() + self.text()), (61, lambda: self.number() + self.text()),
            (80, lambda: String(self.rng.choice(GLOBALS)) + self.flag() + self.text() + self.number()), (81, lambda: b""), (82, lambda: b""),
            (90, self.channel_open), (91, lambda: self.number() * 4), (92, lambda: self.number() * 2 + self.text() + self.text()),
            (93, lambda: UInt32(self.rng.randrange(3)) + self.number()), (94, lambda: UInt32(self.rng.randrange(3)) + self.data()),
            (95, lambda: UInt32(self.rng.randrange(3)) + self.number() + self.data()), (96, lambda: UInt32(self.rng.randrange(3))),
            (97, lambda: UInt32(self.rng.randrange(3))), (98, self.channel_request), (99, lambda: UInt32(self.rng.randrange(3))),
            (100, lambda: UInt32(self.rng.randrange(3))), (self.rng.randrange(256), self.text),
        ]
        kind, maker = self.rng.choice(makers)
        body = maker()
        if self.rng.random() < 0.05:  # cut short
            body = body[:self.rng.randrange(len(body) + 1)]
        return kind, body


async def one_connection(arguments, rng):
    """One connection: some messages at one of the states that a connection goes through."""
    words = Words(rng, arguments.user.encode())
    state = rng.choice(["auth", "auth", "open", "open", "channel", "channel"])
    count = rng.randrange(1, 40)
    from asyncssh.connection import SSHClientConnection

    ended = asyncio.get_running_loop().create_future()

    class Connection(SSHClientConnection):
        """asyncssh's, except that what it did not expect does not end it."""
        hammered = False

        def hammer(self):
            self.hammered = True
            for _ in range(count):
                kind, body = words.message()
                self.send_packet(kind, body)

        def try_next_auth(self):
            if state == "auth" and not self.hammered:
                self._auth_complete = True  # else asyncssh would hold messages back
                self.hammer()
                self._auth_complete = False
            super().try_next_auth()

        def connection_lost(self, exc=None):
            if not ended.done():
                ended.set_result(None)
            super().connection_lost(exc)

    options = asyncssh.SSHClientConnectionOptions(
        username=arguments.user, known_hosts=None, config=None, client_keys=[arguments.key], login_timeout=15)
    loop = asyncio.get_running_loop()
    options.waiter = entered = loop.create_future()
    connection = None
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(loop, options, wait="auth"), "127.0.0.1", arguments.port)
        await asyncio.wait_for(entered, 15)
        if state == "channel":
            for command in rng.sample(["cat", "sleep 0.05", "exit 3", "yes | head -c 300000"], 2):
                await asyncio.wait_for(connection.create_process(command), 15)
        connection.hammer()
        await asyncio.wait_for(asyncio.shield(ended), rng.choice([0.01, 0.1, 0.5]))
    except (asyncssh.Error, OSError, asyncio.TimeoutError, asyncio.CancelledError, ValueError, KeyError):
        pass
    finally:
        if connection:
            connection.abort()


async def run(arguments):
    end, n = time.monotonic() + arguments.seconds, 0
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    while time.monotonic() < end:
        # each connection from a seed of its own, so that one can be run again alone
        await asyncio.wait_for(one_connection(arguments, random.Random(f"{arguments.seed}/{n}")), 60)
        n += 1
    print(f"hammer: seed {arguments.seed}, {n} connections")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
