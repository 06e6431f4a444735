#!/bin/bash
# SPDX-License-Identifier: MIT
#
# base.sh FOLDER [CODENAME]: builds the stock Debian tree that every VM of ours starts from, as a provider's image would be:
# Debian packages, OpenSSH on port 22, and nothing of creel. CODENAME: bookworm (Debian 12, the default) or trixie (13).
#
#   FOLDER/root/      the tree          FOLDER/vmlinuz, FOLDER/initrd   for qemu's direct kernel boot
#   FOLDER/root/var/lib/creel-pool/     the packages that provisioning installs later, as an apt source: a VM needs
#                                       no network for it
#
# Packages come from where this machine's own apt has its Debian, and from nowhere else. No loop devices, no KVM.

# shellcheck disable=SC2016  # hooks and formats are expanded by those who get them
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:?usage: base.sh FOLDER [CODENAME]}
release=${2:-bookworm}
# shellcheck source=../steps/lists.sh
. "$here/steps/lists.sh"
# shellcheck source=mirror.sh
. "$here/image/mirror.sh"

fail()
{
	printf 'base.sh: %s\n' "$*" >&2
	exit 1
}

joined()
{
	list_packages "$release" "$@" | sort -u | paste -sd,
}

[ "$(id -u)" = 0 ] || fail "must run as root: device nodes and owners of the tree"
[ "$(dpkg --print-architecture)" = amd64 ] || fail "only amd64 is supported"

# In a mount namespace of its own: when it is killed, no mount of the tree stays behind for the next one's rm.
if [ -z "${CREEL_BASE_NAMESPACE:-}" ]; then
	export CREEL_BASE_NAMESPACE=1
	exec unshare --mount --propagation private -- "$0" "$@"
fi

sources=$(mirror_sources "$release")
[ -n "$sources" ] || fail "this machine's apt has no Debian source, or apt-get update never ran"

rm -rf "$out.new"
mkdir -p "$out.new"
aptconf=$out.new/apt.conf
# How this machine reaches its mirror (proxy, date checks). Removed from the tree below.
apt-config dump --no-empty Acquire >"$aptconf"

root=$out.new/root
# The pool holds all that provisioning asks for and what that pulls in, as far as the stock tree lacks it.
pool_hook='set -e
	mkdir -p "$1/var/lib/creel-pool" "$1/var/cache/apt/archives/partial"
	rm -f "$1"/var/cache/apt/archives/*.deb
	APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq --yes --download-only --no-install-recommends install '"$(list_packages \
	"$release" "$here"/packages/{runtime,agent,machine}.txt "$here/image/cloud.txt" | paste -sd' ')"' >/dev/null
	mv "$1"/var/cache/apt/archives/*.deb "$1/var/lib/creel-pool/"'

# essential + apt: what debootstrap calls minbase. Modules that a virtual machine can never use stay out.
printf '%s\n' "$sources" | mmdebstrap --quiet --mode=root --variant=apt \
	--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
	--aptopt="$aptconf" --aptopt='APT::Install-Recommends "false"' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--include="$(joined "$here/image/stock.txt" "$here/image/instruments.txt")" \
	--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; echo MODULES=list >"$1/etc/initramfs-tools/conf.d/creel-vm"' \
	--essential-hook='printf "%s\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"' \
	--customize-hook="$pool_hook" \
	"$release" "$root" -

kernel=$(basename "$root"/lib/modules/*)
cp "$root/boot/vmlinuz-$kernel" "$out.new/vmlinuz"
cp "$root/boot/initrd.img-$kernel" "$out.new/initrd"
find "$root/lib/modules/$kernel/kernel/drivers" -name '*.ko' -o -name '*.ko.xz' |
	grep -vE '/(virtio[^/]*|net_failover|failover|dummy|ifb|veth|loop|rng-core|tun|button|evdev|isofs|cdrom)\.ko(\.xz)?$' |
	xargs -r rm -f
chroot "$root" depmod -a "$kernel"

# apt in the VM knows the pool alone: what a test installs there does not depend on any network.
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap
(cd "$root/var/lib/creel-pool" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
echo 'deb [trusted=yes] file:/var/lib/creel-pool ./' >"$root/etc/apt/sources.list.d/creel-pool.list"
# the disk is a copy that nobody misses: dpkg need not wait for it
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
echo 'APT::Install-Recommends "false";' >"$root/etc/apt/apt.conf.d/90norecommends"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "${root:?}"/boot/*
mkdir -p "$root/var/lib/apt/lists/partial"

# The machine: name, disk, network. Its id is made at boot; an empty file, unlike a missing one, does not mean "first
# boot", at which systemd would enable every service there is.
echo agent-vm >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 agent-vm\n::1 localhost\n' >"$root/etc/hosts"
echo '/dev/vda / ext4 rw,noatime 0 1' >"$root/etc/fstab"
: >"$root/etc/machine-id"
echo LANG=C.UTF-8 >"$root/etc/default/locale"
rm -f "$root/etc/resolv.conf"
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
cat >"$root/etc/systemd/network/10-eth.network" <<-'NETWORK'
	[Match]
	Name=eth0
	[Network]
	Address=10.0.2.15/24
	Gateway=10.0.2.2
	LinkLocalAddressing=no
	IPv6AcceptRA=no
NETWORK
chroot "$root" systemctl enable -q systemd-networkd.service ssh.service
# firstboot would wait for a key on the console; the others only cost time in an emulated machine (the upgrades' service, a Python,
# waits for the end of the machine).
chroot "$root" systemctl mask -q systemd-firstboot.service systemd-networkd-wait-online.service \
	apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service dpkg-db-backup.timer fstrim.timer \
	e2scrub_all.timer e2scrub_reap.service getty@tty1.service systemd-pstore.service

# The console belongs to whoever owns the emulator's process: root without a password, as `make console` needs.
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d"
cat >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf" <<-'GETTY'
	[Service]
	ExecStart=
	ExecStart=-/sbin/agetty --autologin root --keep-baud 115200,38400,9600 %I $TERM
GETTY

rm -f "$aptconf"
rm -rf "$out"
mv "$out.new" "$out"
