# SPDX-License-Identifier: MIT
"""creel serve: a folder for download, and nothing beside it.

serve.py PORT FOLDER URL [--json]. Only GET and HEAD. Nothing is written, no name that begins with a dot is there, only folders and
regular files are shown, and what a symbolic link leads to only when it lies in the folder: the path is resolved first, and then
opened name by name without following anything, so that a link that appears in between leads nowhere.
"""

import contextlib
import errno
import html
import http.server
import json
import os
import signal
import socket
import stat
import sys
import threading
import urllib.parse

CONNECTIONS = 24  # at a time, a thread each, which count against the agent's limit; others wait
IDLE_SECONDS = 15
PIECE = 256 * 1024


class Folder:
    """What lies below one folder."""

    def __init__(self, path):
        self.path = os.path.realpath(path)

    def open(self, names):
        """A descriptor of what has that path, or OSError."""
        if any(name.startswith(".") or "/" in name or "\0" in name for name in names):
            raise FileNotFoundError
        real = os.path.realpath(os.path.join(self.path, *names))
        if real != self.path and not real.startswith(self.path.rstrip("/") + "/"):
            raise PermissionError
        below = [name for name in real[len(self.path):].split("/") if name]
        if any(name.startswith(".") for name in below):
            raise FileNotFoundError
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in below:
                inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = inner
            return fd
        except BaseException:
            os.close(fd)
            raise

    def list(self, fd, names):
        """Names that can be opened; those of folders end with a slash."""
        for name in sorted(os.listdir(fd)):
            with contextlib.suppress(OSError):
                inner = self.open([*names, name])
                mode = os.fstat(inner).st_mode
                os.close(inner)
                if stat.S_ISDIR(mode):
                    yield name + "/"
                elif stat.S_ISREG(mode):
                    yield name


def piece_of(header, size):
    """One range of bytes (RFC 9110, section 14.1.2): (first, behind the last), None for all of it; ValueError: it is outside."""
    unit, _, text = header.partition("=")
    first, dash, last = text.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isascii() or not (first + last).isdigit() or len(first + last) > 40:
        return None
    if not first:
        if not int(last):
            raise ValueError
        return max(0, size - int(last)), size
    end = min(size, int(last) + 1) if last else size
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise ValueError
    return int(first), end


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "creel-serve"
    sys_version = ""
    timeout = IDLE_SECONDS
    head_only = False
    begun = False  # of an answer the head is out: what goes wrong from then on can only break it off

    def address_string(self):
        """As people write it: who came by IPv4 has such an address."""
        return super().address_string().removeprefix("::ffff:")

    def end_headers(self):
        self.begun = True
        super().end_headers()

    def do_GET(self):
        self.head_only = False
        self.answer()

    def do_HEAD(self):
        self.head_only = True
        self.answer()

    def answer(self):
        path = urllib.parse.unquote(self.path.partition("?")[0], errors="surrogateescape")
        names = [name for name in path.split("/") if name]
        fd = -1
        self.begun = False
        try:
            fd = self.server.folder.open(names)
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode) and not path.endswith("/"):
                self.send_response(301)
                self.send_header("Location", urllib.parse.quote("/" + "/".join(names) + "/", errors="surrogateescape"))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif stat.S_ISDIR(status.st_mode):
                self.send_list(fd, names)
            elif stat.S_ISREG(status.st_mode) and not path.endswith("/"):
                self.send_file(fd, status.st_size)
            else:
                self.send_error(404)
        except (OSError, ValueError) as problem:
            if self.begun or isinstance(problem, (ConnectionError, TimeoutError)):
                self.close_connection = True
            elif isinstance(problem, (FileNotFoundError, NotADirectoryError, ValueError)):
                self.send_error(404)
            else:
                self.send_error(403)
        finally:
            if fd >= 0:
                os.close(fd)

    def send_list(self, fd, names):
        title = html.escape("/" + "".join(name + "/" for name in names)).encode(errors="replace").decode()
        rows = ["../"] if names else []
        rows += self.server.folder.list(fd, names)
        items = "".join(f'<li><a href="{urllib.parse.quote("./" + row, errors="surrogateescape")}">'
                        f'{html.escape(row.encode(errors="replace").decode())}</a>\n' for row in rows)
        page = (f'<!DOCTYPE html>\n<meta charset="utf-8">\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n{items}</ul>\n').encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if not self.head_only:
            self.wfile.write(page)

    def send_file(self, fd, size):
        first, end = 0, size
        try:
            part = piece_of(self.headers.get("Range", ""), size)
        except ValueError:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if part:
            first, end = part
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        # nothing that is shared is run by a browser in the name of this server
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", "attachment")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - first))
        self.end_headers()
        while first < end and not self.head_only:
            data = os.pread(fd, min(PIECE, end - first), first)
            if not data:  # it became shorter meanwhile: the client must not take it for whole
                self.close_connection = True
                return
            self.wfile.write(data)
            first += len(data)


class Server(http.server.ThreadingHTTPServer):
    """On the port of every address, of IPv6 as well where the machine has that."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port, folder):
        self.folder = folder
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        try:
            self.address_family = socket.AF_INET6
            super().__init__(("::", port), Handler)
        except OSError as problem:
            if problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM):
                raise
            self.address_family = socket.AF_INET
            super().__init__(("0.0.0.0", port), Handler)

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]

    def process_request(self, request, client_address):
        self.places.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self.places.release()
            raise

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


def main(port, path, url, how=""):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server = Server(int(port), Folder(path))
    except OSError as problem:
        sys.exit(f"creel serve: port {port}: {problem.strerror}")
    if how == "--json":
        print(json.dumps({"url": url, "port": int(port), "pid": os.getpid(), "directory": server.folder.path}), flush=True)
    else:
        print(f"serving {server.folder.path!r} at {url} until Ctrl-C", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


main(*sys.argv[1:])
