# SPDX-License-Identifier: MIT
"""A network behind the VM's own: a namespace with a name server and other servers, as far away as a firewall can tell."""

import contextlib

import pytest

from harness import PROBE_DIR, python, wait_until

HERE, HERE6 = "198.18.0.1", "2001:db8:18::1"
OK, OK6 = "198.18.0.10", "2001:db8:18::10"        # ok.example
WILD = "198.18.0.11"                              # any.wild.example
LISTED, LISTED6 = "198.18.0.12", "2001:db8:18::12"  # allowed by address
OTHER, OTHER6 = "198.18.0.66", "2001:db8:18::66"  # bad.example, nobody allows it
MOVED = "198.18.0.20"                             # where ok.example goes
PORT = 7000

ADDRESSES = ["198.18.0.2/24", "2001:db8:18::2/64"] + [f"198.18.0.{n}/24" for n in (10, 11, 12, 20, 66)] + \
            [f"2001:db8:18::{n}/64" for n in (10, 12, 20, 66)]
HOSTS = f"{OK} ok.example sub.ok.example\n{OK6} ok.example\n{WILD} any.wild.example wild.example\n{OTHER} bad.example\n" \
        f"{OTHER6} bad.example\n{LISTED} listed.example\n"

START = f"""set -e
ip netns add outside
ip link add away0 type veth peer name away1 netns outside
ip address add {HERE}/24 dev away0
ip address add {HERE6}/64 dev away0 nodad
ip link set away0 up
for a in {' '.join(ADDRESSES)}; do
	case $a in *:*) ip -n outside address add $a dev away1 nodad;; *) ip -n outside address add $a dev away1;; esac
done
ip netns exec outside sysctl -qw net.ipv4.ping_group_range="0 2147483647"
ip -n outside link set lo up
ip -n outside link set away1 up
cp -L --remove-destination /etc/resolv.conf /root/resolv.conf.before
printf 'nameserver 198.18.0.2\\noptions timeout:2 attempts:2\\n' > /root/resolv.conf
cat /root/resolv.conf > /etc/resolv.conf
printf '%s' '{HOSTS}' > /run/outside.hosts
chmod 644 /run/outside.hosts
systemd-run -q --unit=outside-names ip netns exec outside dnsmasq -k -C /dev/null --no-resolv --no-hosts \
	--addn-hosts=/run/outside.hosts --listen-address=198.18.0.2 --bind-interfaces --pid-file= --log-facility=- \
	--txt-record=bad.example,leak --txt-record=ok.example,fine --user=root
systemd-run -q --unit=outside-servers ip netns exec outside python3 {PROBE_DIR}/outside.py {PORT} 80
"""
STOP = """systemctl stop outside-names outside-servers
ip netns delete outside
cat /root/resolv.conf.before > /etc/resolv.conf
"""


class Outside:
    def __init__(self, vm):
        self.vm = vm

    def reach(self, *words, seconds=8):
        """From outside to the VM."""
        return self.vm.root.sh(f"SECONDS={seconds} ip netns exec outside python3 {PROBE_DIR}/reach.py {' '.join(words)}",
                               timeout=120).splitlines()

    def names(self, hosts):
        self.vm.write("/run/outside.hosts", hosts)
        self.vm.root.sh("systemctl kill -s HUP outside-names")


def reach(host, *words, seconds=30):
    return host.sh(f"SECONDS={seconds} python3 {PROBE_DIR}/reach.py {' '.join(words)}", timeout=240).splitlines()


@pytest.fixture(scope="module")
def outside(vm):
    vm.root.sh(START)
    there = Outside(vm)
    try:
        wait_until(lambda: reach(vm.root, f"tcp:{OK},{PORT}", f"name:ok.example,4") == ["ok hello", f"ok {OK}"], 60)
        yield there
    finally:
        vm.root.sh(STOP)


RESTRICTED = "[network]\nmode = restricted\nallowed_hosts = ok.example, *.wild.example, " \
             f"{LISTED}, {LISTED6}/128\n"
REFUSED = {"EHOSTUNREACH", "EACCES", "EPERM", "ECONNREFUSED", "ENETUNREACH"}


TALK = """import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
f = s.makefile("rw")
print(f.readline().strip(), flush=True)
for line in sys.stdin:
    try:
        f.write(line)
        f.flush()
        said = f.readline().strip()
        print(said or "closed", flush=True)
    except OSError as problem:
        print(problem.__class__.__name__, flush=True)
"""


@contextlib.contextmanager
def talking(host, address, port=PORT):
    with host.start(python(TALK, address, str(port))) as client:
        def say(word):
            client.stdin.write(word.encode() + b"\n")
            client.stdin.flush()
            return client.stdout.readline().decode().strip()

        assert client.stdout.readline() == b"hello\n"
        yield say
