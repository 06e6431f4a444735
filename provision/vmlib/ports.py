# SPDX-License-Identifier: MIT
"""Loopback ports of the host that lead into a VM. Two VMs never fight: what is taken by anybody is not used."""

import random
import socket

FRONT, OPERATOR = 22, 2222
SERVED = range(3000, 3011)


def port_is_free(port):
    """As qemu will ask: connections that ended a moment ago do not matter to it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def port_pick(wanted, taken):
    """`wanted` when it is free, else some free port below the range that outgoing connections use."""
    if wanted and wanted not in taken and port_is_free(wanted):
        return wanted
    while True:
        port = random.randrange(20000, 32000)
        if port not in taken and port_is_free(port):
            return port


def ports_allocate(kept):
    """{guest port: host port}. Served ports have their own number where it is free; others keep that of `kept`, an earlier
    allocation, where that is free."""
    chosen = {}
    for guest in (FRONT, OPERATOR, *SERVED):
        wanted = guest if guest in SERVED and port_is_free(guest) else kept.get(guest)
        chosen[guest] = port_pick(wanted, chosen.values())
    return chosen
