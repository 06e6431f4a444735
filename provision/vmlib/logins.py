# SPDX-License-Identifier: MIT
"""Logins to a VM: its ssh_config, waiting until it answers, its agents, a fresh build into it."""

import os
import socket
import subprocess
import time

from vmlib.image import dest_inputs
from vmlib.paths import AGENTS, DEST, KEYS, TOP, Failure, quote_tail, run, say
from vmlib.ports import FRONT, OPERATOR

BOOT_PATIENCE = 600  # seconds; an emulated machine on a busy host needs 20 to 60, one on a swamped host minutes


def ssh_config_write(machine):
    """One host a door. Host keys are pinned under names of their own, so that ports may change."""
    state = machine.state()
    ports, stock = state["ports"], state["kind"] != "creel"
    operator = ports[FRONT if stock else OPERATOR]
    hosts = [("agent", ports[FRONT], "agent", "creel-front"), ("bob", ports[FRONT], "bob", "creel-front"),
             ("root", operator, "root", "creel-operator"), ("operator", ports[OPERATOR], "root", "creel-operator"),
             ("openssh", ports[OPERATOR], "agent", "creel-operator")]
    text = "# Written by provision/vm. Use: ssh -F this-file HOST\n"
    for host, port, user, alias in hosts:
        text += (f"\nHost {host}\n\tHostName 127.0.0.1\n\tPort {port}\n\tUser {user}\n\tHostKeyAlias {alias}\n"
                 f"\tIdentityFile \"{KEYS[user]}\"\n")
    text += (f"\nHost *\n\tIdentitiesOnly yes\n\tIdentityAgent none\n\tUserKnownHostsFile \"{machine.folder}/known_hosts\"\n"
             "\tGlobalKnownHostsFile /dev/null\n\tStrictHostKeyChecking yes\n\tUpdateHostKeys no\n\tBatchMode yes\n"
             "\tConnectTimeout 30\n")
    (machine.folder / "ssh_config").write_text(text)


def ssh_argv(machine, host, *command, program="ssh"):
    return [program, "-F", str(machine.folder / "ssh_config"), host, *command]


def root_run(machine, script, **kwargs):
    """A shell script as the operator. Its output is returned."""
    done = subprocess.run(ssh_argv(machine, "root", script), stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **kwargs)
    if done.returncode:
        raise Failure(f"as root in the VM, status {done.returncode}: {script.strip().splitlines()[0]}\n{done.stdout}")
    return done.stdout


def banner_read(port):
    """Whether an SSH server answers on this port: qemu itself accepts long before the VM listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
            sock.settimeout(5)
            return sock.recv(4) == b"SSH-"
    except OSError:
        return False


def wait_ready(machine):
    """Until the operator can log in and, where creel is installed, its front answers."""
    state = machine.state()
    # one door after the other: every look at the front's is a refused login in the VM's journal
    wanted = [state["ports"][FRONT]] if state["kind"] != "creel" else [state["ports"][OPERATOR], state["ports"][FRONT]]
    start = shown = time.monotonic()
    while wanted:
        if banner_read(wanted[0]):
            del wanted[0]
            continue
        now = time.monotonic()
        if not machine.pid():
            raise Failure(f"the VM ended while booting:\n{quote_tail(machine.folder / 'qemu.log')}")
        if now - start > BOOT_PATIENCE:
            raise Failure(f"no answer after {BOOT_PATIENCE} s; the console says:\n"
                          f"{quote_tail(machine.folder / 'console.log')}")
        if now - shown >= 5:
            say(f"  BOOT     {now - start:3.0f} s")
            shown = now
        time.sleep(0.2)
    root_run(machine, "true")
    say(f"  BOOT     answers after {time.monotonic() - start:.1f} s")


def clock_set(machine):
    """A restored snapshot believes that it is still the time at which it was taken."""
    root_run(machine, f"date -s @{time.time():.3f} >/dev/null")


def host_keys_refresh(machine):
    """Reads the VM's host keys again, over the operator's login, whose key is pinned already."""
    text = root_run(machine, "for f in /etc/ssh/ssh_host_*_key.pub; do echo creel-operator $(cat $f); done; "
                             "f=/etc/creel/ssh_host_ed25519_key.pub; [ ! -e $f ] || echo creel-front $(cat $f)")
    keys = {}
    for line in text.splitlines():
        alias, key = line.split(" ", 1)
        keys.setdefault(alias, []).append(key)
    machine.known_hosts_write(keys)


def agents_add(machine):
    """The VM's two agents, by the operator's own command; lingering waits until their user managers are up."""
    have = machine.state().get("agents", [])
    for name in AGENTS:
        if name in have:
            continue
        say(f"  AGENT    {name}")
        with open(KEYS[name].with_suffix(".pub")) as key:
            root_run(machine, f"creelctl agent add {name} --key -", stdin=key)
        have.append(name)
        machine.state_update(agents=have)


def push(machine):
    """The build in DEST into the running VM, by the operator's script: it changes and restarts what differs."""
    folder = "/root/.creel-push"
    tar = subprocess.Popen(["tar", "--owner=0", "--group=0", "-cf", "-", "-C", str(TOP), "provision",
                            "-C", str(DEST.parent), DEST.name], stdout=subprocess.PIPE)
    with tar.stdout:
        root_run(machine, f"rm -rf {folder}; mkdir -p {folder}; tar -xf - -C {folder}", stdin=tar.stdout)
    if tar.wait():
        raise Failure("tar failed")
    report = root_run(machine, f"{folder}/provision/provision.sh --from {folder}/{DEST.name}")
    root_run(machine, f"rm -rf {folder}")
    machine.state_update(build=dest_inputs())
    return report


def ssh_exec(machine, host, command):
    """Becomes ssh."""
    argv = ssh_argv(machine, host, *command)
    os.execvp(argv[0], argv)


def demonstrate(machine):
    """What `make up` shows: a login, a command, a fetched file. Raises when any of it does not work."""
    fetched = machine.folder / "fetched.txt"
    fetched.unlink(missing_ok=True)
    steps = [
        ("a login", ssh_argv(machine, "agent", "-tt", "id -un; tty; exit")),
        ("a command", ssh_argv(machine, "agent", "uname -sr; uptime -p; echo made on $(hostname) > fetched.txt")),
        ("a file", ["scp", "-q", "-F", str(machine.folder / "ssh_config"), "agent:fetched.txt", str(fetched)]),
    ]
    for what, argv in steps:
        start = time.monotonic()
        done = run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        text = fetched.read_text() if what == "a file" else done.stdout
        lines = ", ".join(line.strip() for line in text.splitlines() if line.strip())
        say(f"  SHOW     {what}: {lines} ({time.monotonic() - start:.1f} s)")
    # its exit status tells how grave the worst is, and the verdict says it
    for line in root_run(machine, "creelctl doctor --brief || :").splitlines():
        say(f"  SHOW     {line.strip()}")
