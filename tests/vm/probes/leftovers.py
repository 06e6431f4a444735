#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints as JSON what the agents and creel's own programs hold: processes, leaves, descriptors. Run as root."""

import json
import os
import pwd
import re
import sys

CGROUP = "/sys/fs/cgroup"
STANDING = {"systemd", "(sd-pam)", "dbus-daemon"}  # what lingering keeps up


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def processes():
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            uid = os.stat(f"/proc/{name}").st_uid
        except OSError:
            continue
        comm = read(f"/proc/{name}/comm").strip()
        if comm:
            yield int(name), uid, comm


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""  # closed meanwhile


def descriptors(pid):
    """What each is, without its numbers."""
    folder = f"/proc/{pid}/fd"
    try:
        links = [link(f"{folder}/{fd}") for fd in os.listdir(folder)]
    except OSError:
        return []
    return sorted(re.sub(r"\d+", "N", target) for target in links if target)


def leaves(top):
    """Folders below a delegated unit, without the holder's."""
    found = []
    for folder, _, _ in os.walk(top):
        name = os.path.relpath(folder, top)
        if name not in (".", "hold", "kept"):
            found.append(name)
    return sorted(found)


def main():
    agents = {pwd.getpwnam(name).pw_uid: name for name in sys.argv[1:]}
    front = pwd.getpwnam("creel-sshd").pw_uid
    answer = {"processes": [], "leaves": {}, "rescue": {}, "front": 0, "front_fds": 0, "keeper_fds": {}}
    for pid, uid, comm in processes():
        if uid in agents and comm not in STANDING:
            command = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            answer["processes"].append(f"{agents[uid]}: {command or comm}")
        if uid == front:
            answer["front"] += 1
            answer["front_fds"] += len(descriptors(pid))
        if comm.startswith("creel-keeper"):
            unit = read(f"/proc/{pid}/cgroup").strip().rpartition("/")[2]
            answer["keeper_fds"][unit] = descriptors(pid)
    for uid, name in agents.items():
        answer["leaves"][name] = leaves(f"{CGROUP}/user.slice/user-{uid}.slice/creel-leaves@{uid}.service")
        answer["rescue"][name] = leaves(f"{CGROUP}/creel.slice/creel-rescue@{uid}.service")
    json.dump(answer, sys.stdout)


main()
