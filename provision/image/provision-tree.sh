#!/bin/bash
# SPDX-License-Identifier: MIT
#
# provision-tree.sh TREE DEST NODE: runs the operator's provision.sh inside the Debian tree TREE, offline: no service
# manager runs there, so the script only puts files in place. DEST is what `make install DESTDIR=` gave, NODE what node.sh gave.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tree=${1:?usage: provision-tree.sh TREE DEST NODE}
dest=${2:?usage: provision-tree.sh TREE DEST NODE}
node=${3:?usage: provision-tree.sh TREE DEST NODE}

# In a mount namespace of its own: whatever happens here, no mount stays behind.
if [ -z "${CREEL_TREE_NAMESPACE:-}" ]; then
	export CREEL_TREE_NAMESPACE=1
	exec unshare --mount --propagation private -- "$0" "$@"
fi

mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
mkdir -p "$tree/run/creel-provision"
cp -r "$here" "$tree/run/creel-provision/provision"
cp -r "$dest" "$tree/run/creel-provision/dest"
cp -r "$node" "$tree/run/creel-provision/node"
# A package's postinst must not try to start anything.
trap 'rm -f "$tree/usr/sbin/policy-rc.d"' EXIT
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"

env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" \
	chroot "$tree" /run/creel-provision/provision/provision.sh --offline --from /run/creel-provision/dest

rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*
mkdir -p "$tree/var/lib/apt/lists/partial"
