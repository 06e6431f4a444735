#!/bin/bash
# SPDX-License-Identifier: MIT
#
# cloud-tree.sh TREE: what a provider's image has for its first boot (cloud.txt), from the tree's own package pool.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tree=${1:?usage: cloud-tree.sh TREE}
# shellcheck source=../steps/lists.sh
. "$here/steps/lists.sh"

# In a mount namespace of its own: whatever happens here, no mount stays behind.
if [ -z "${CREEL_TREE_NAMESPACE:-}" ]; then
	export CREEL_TREE_NAMESPACE=1
	exec unshare --mount --propagation private -- "$0" "$@"
fi

# shellcheck disable=SC1091
release=$(. "$tree/etc/os-release" && echo "$VERSION_CODENAME")
mount -t proc proc "$tree/proc"
trap 'rm -f "$tree/usr/sbin/policy-rc.d"' EXIT
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"
mapfile -t packages < <(list_packages "$release" "$here/image/cloud.txt")
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$tree" \
	sh -c 'apt-get -q update && apt-get -q -y --no-install-recommends install "$@"' - "${packages[@]}"
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*
mkdir -p "$tree/var/lib/apt/lists/partial"
# The one source that there is here: a drive with the name CIDATA, which a provider attaches. Host keys stay, since they are pinned,
# and so does root's login.
mkdir -p "$tree/etc/cloud/cloud.cfg.d"
printf '%s\n' 'datasource_list: [ NoCloud, None ]' 'ssh_deletekeys: false' 'disable_root: false' \
	>"$tree/etc/cloud/cloud.cfg.d/90-creel-test.cfg"
