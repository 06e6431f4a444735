#!/bin/bash
# SPDX-License-Identifier: MIT
#
# machine.sh FOLDER DEST NODE [CODENAME]: an image of an agent VM for providers that take one, without anybody's key in it:
#
#   FOLDER/creel-CODENAME.qcow2    a disk that starts by BIOS and by EFI, and grows to the machine's at the first boot
#   FOLDER/creel-CODENAME.tar.gz   the same tree, for providers that bring disk and kernel parameters themselves
#
# Debian's packages, from where this machine's apt has them, then the operator's provision.sh, offline. cloud-init lets the
# operator in on port 2222; host keys are made at the first boot. DEST is what `make install DESTDIR=` gave, NODE what node.sh gave.
# No loop devices: file systems are made of folders, and GRUB is put in its place by its own documented offsets.

set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:?usage: machine.sh FOLDER DEST NODE [CODENAME]}
dest=${2:?usage: machine.sh FOLDER DEST NODE [CODENAME]}
node=${3:?usage: machine.sh FOLDER DEST NODE [CODENAME]}
release=${4:-bookworm}
# shellcheck source=../steps/lists.sh
. "$here/steps/lists.sh"
# shellcheck source=mirror.sh
. "$here/image/mirror.sh"
# shellcheck source=grub.sh
. "$here/image/grub.sh"

fail()
{
	printf 'machine.sh: %s\n' "$*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "must run as root: device nodes and owners of the tree"
# In a mount namespace of its own: when it is killed, no mount of the tree stays behind.
if [ -z "${CREEL_MACHINE_NAMESPACE:-}" ]; then
	export CREEL_MACHINE_NAMESPACE=1
	exec unshare --mount --propagation private -- "$0" "$@"
fi

sources=$(mirror_sources "$release")
[ -n "$sources" ] || fail "this machine's apt has no Debian source, or apt-get update never ran"
mkdir -p "$out"
work=$(mktemp -d -p "$out")
trap 'rm -rf "$work"' EXIT
tree=$work/tree
apt-config dump --no-empty Acquire >"$work/apt.conf"

# shellcheck disable=SC2016  # the hook is expanded by who gets it
printf '%s\n' "$sources" | mmdebstrap --quiet --mode=root --variant=apt \
	--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
	--aptopt="$work/apt.conf" --aptopt='APT::Install-Recommends "false"' \
	--include="$(list_packages "$release" "$here"/image/{stock,cloud,machine}.txt "$here"/packages/{runtime,agent,machine}.txt |
		sort -u | paste -sd,)" \
	"$release" "$tree" -
rm -f "$tree/etc/apt/apt.conf.d/99mmdebstrap" "$tree/usr/sbin/policy-rc.d"

uuid=$(cat /proc/sys/kernel/random/uuid)
printf 'UUID=%s / ext4 rw,errors=remount-ro 0 1\n' "$uuid" >"$tree/etc/fstab"
echo creel >"$tree/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 creel\n::1 localhost\n' >"$tree/etc/hosts"
echo LANG=C.UTF-8 >"$tree/etc/default/locale"
chroot "$tree" systemctl enable -q ssh.service
"$here/image/provision-tree.sh" "$tree" "$dest" "$node"

# The network, as cloud-init writes it for systemd-networkd, and its name servers (machine.txt).
install -m 644 "$here"/image/creel-names.{path,service,timer} "$tree/etc/systemd/system"
install -D -m 755 "$here/image/names.sh" "$tree/usr/local/libexec/creel-names"
chroot "$tree" systemctl enable -q systemd-networkd.service creel-names.{path,service,timer}
printf '%s\n' 'system_info: {network: {renderers: [networkd], activators: [networkd]}}' >"$tree/etc/cloud/cloud.cfg.d/90-creel.cfg"

# Nobody's machine yet: keys and names are made at the first boot.
rm -f "$tree"/etc/ssh/ssh_host_*_key* "$tree"/etc/creel/ssh_host_ed25519_key* "$tree/var/lib/systemd/random-seed"
install -m 644 "$here/image/creel-hostkey.service" "$tree/etc/systemd/system/creel-hostkey.service"
chroot "$tree" systemctl enable -q creel-hostkey.service
: >"$tree/etc/machine-id"
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/* "$tree"/var/log/*.log "$tree/etc/resolv.conf" "$tree"/tmp/*
mkdir -p "$tree/var/lib/apt/lists/partial" "$tree/var/log/journal"
grub_config "$tree" "$uuid"

tar --numeric-owner --xattrs --sort=name -C "$tree" -cf - . | gzip -n >"$out/creel-$release.tar.gz.new"
mv "$out/creel-$release.tar.gz.new" "$out/creel-$release.tar.gz"
disk_make "$work" "$tree" "$uuid"
qemu-img convert -O qcow2 -c "$work/disk.raw" "$out/creel-$release.qcow2.new"
mv "$out/creel-$release.qcow2.new" "$out/creel-$release.qcow2"
