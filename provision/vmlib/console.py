# SPDX-License-Identifier: MIT
"""The serial console on this terminal."""

import os
import select
import sys
import termios
import tty

ESCAPE = b"\x1d"  # Ctrl-]


def console_attach(sock):
    """Copies between the terminal and the console until Ctrl-] or the VM's end."""
    inputs, saved = [sock, sys.stdin], None
    if sys.stdin.isatty():
        saved = termios.tcgetattr(sys.stdin)
        tty.setraw(sys.stdin)
    try:
        while True:
            ready = select.select(inputs, [], [])[0]
            if sock in ready:
                data = sock.recv(4096)
                if not data:
                    return
                os.write(1, data)
            if sys.stdin in ready:
                data = os.read(0, 4096)
                if ESCAPE in data:
                    return
                if data:
                    sock.sendall(data)
                else:
                    inputs.remove(sys.stdin)
    finally:
        if saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
