#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A machine outside of the VM, for tests: in a network namespace, on every address, TCP and UDP ports PORT ...

TCP: says "hello", then does what each line asks: `bytes N` sends N bytes, `read N` reads N and says "read", anything else is
said back. UDP: says back what came.
"""

import socket
import socketserver
import sys
import threading


class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"hello\n")
        for line in self.rfile:
            word, _, number = line.decode(errors="replace").strip().partition(" ")
            if word == "bytes":
                self.wfile.write(bytes(int(number)))
            elif word == "read":
                self.rfile.read(int(number))
                self.wfile.write(b"read\n")
            else:
                self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients may be cut off


def echo(port):
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    udp.bind(("::", port))
    while True:
        data, control, _, peer = udp.recvmsg(65536, 256)
        udp.sendmsg([data], control, 0, peer)


for wanted in map(int, sys.argv[1:]):
    threading.Thread(target=Server(("::", wanted), Stream).serve_forever).start()
    threading.Thread(target=echo, args=(wanted,), daemon=True).start()
print("ready", flush=True)
