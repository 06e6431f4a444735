# SPDX-License-Identifier: MIT
"""What somebody with root's rights can do to the programs in the kernel (bpf(2)).

bpf.py detach PIN         the program of a pinned link holds nothing any more, its file stays
bpf.py forget MAP UID     the pinned map has no entry of this uid any more
bpf.py put MAP UID VALUE  the pinned map has that number for it
"""

import ctypes
import os
import struct
import sys

SYS_BPF, MAP_UPDATE, MAP_DELETE, OBJ_GET, LINK_DETACH = 321, 2, 3, 7, 34
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    done = libc.syscall(SYS_BPF, command, buffer, len(attributes))
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


verb, path, *numbers = sys.argv[1:]
path = ctypes.create_string_buffer(os.fsencode(path))
found = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))
key, value, *_ = [ctypes.create_string_buffer(struct.pack("I", int(number)), 4) for number in [*numbers, 0, 0]]
if verb == "detach":
    bpf(LINK_DETACH, struct.pack("I", found))
elif verb == "forget":
    bpf(MAP_DELETE, struct.pack("IIQ", found, 0, ctypes.addressof(key)))
elif verb == "put":
    bpf(MAP_UPDATE, struct.pack("IIQQQ", found, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
else:
    sys.exit(__doc__)
