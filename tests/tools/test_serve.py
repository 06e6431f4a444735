# SPDX-License-Identifier: MIT
"""creel serve: what answers, alone. Which ports and folders it is given is tests/vm/test_services.py's."""

import contextlib
import http.client
import json
import pathlib
import socket
import subprocess
import sys

import pytest

DRIVER = pathlib.Path(__file__).resolve().parent.parent.parent / "shell" / "drivers" / "serve.py"
PIECE = 256 * 1024

# Reads of files fail behind the first piece.
BROKEN_DISK = """import errno, os, sys
read = os.pread
def pread(fd, n, offset):
    if offset:
        raise OSError(errno.EIO, "the disk is broken")
    return read(fd, n, offset)
os.pread = pread
exec(compile(open(sys.argv[1]).read(), sys.argv.pop(1), "exec"))
"""


@pytest.fixture(autouse=True)
def needs_own_sockets():
    """Nothing here asks a keeper."""


@contextlib.contextmanager
def serving(folder, *before):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, *before, str(DRIVER), str(port), str(folder), "http://here", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
        try:
            assert json.loads(server.stdout.readline())["port"] == port
            yield port
        finally:
            server.terminate()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_both_families_answer(tmp_path):
    (tmp_path / "word").write_text("hello")
    with serving(tmp_path) as port:
        for host in ["127.0.0.1"] + ["::1"] * has_ipv6():
            connection = http.client.HTTPConnection(host, port, timeout=60)
            connection.request("GET", "/word")
            assert connection.getresponse().read() == b"hello"
            connection.close()


def test_a_file_that_breaks_off_is_not_taken_for_whole(tmp_path):
    """Behind the head of an answer there is no other answer: the connection ends."""
    (tmp_path / "large").write_bytes(b"x" * 2 * PIECE)
    with serving(tmp_path, "-c", BROKEN_DISK) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and b"Content-Length: %d" % (2 * PIECE) in head
    assert body == b"x" * PIECE
