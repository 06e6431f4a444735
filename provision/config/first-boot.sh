# shellcheck shell=bash disable=SC2154
# What a VM does at its first boot when provision/cloud-init wrote its user data, which puts $release, $sum, $operator_port and
# $agents before these lines. Run again, it goes on where it stopped.

set -eEuo pipefail
state=/var/lib/creel
exec >>/var/log/creel-provision.log 2>&1
mkdir -p "$state"
trap 'echo failed >"$state/cloud-init"' ERR
cd "$state"

if ! command -v curl >/dev/null; then
	apt-get -q update
	DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install ca-certificates curl
fi
curl -fsSL --retry 5 --retry-delay 3 --retry-connrefused -o release.tar.gz "$release"
echo "$sum  release.tar.gz" | sha256sum -c -
rm -rf release
mkdir release
tar -xzf release.tar.gz -C release --no-same-owner
rm -f release.tar.gz
release/creel/provision/provision.sh --operator-port "$operator_port"
rm -rf release

# creelctl makes the agent and its policy file; the policy that was asked for then takes that file's place
for name in "${agents[@]}"; do
	[ -e "/etc/creel/agents/$name.conf" ] || creelctl agent add "$name" --key "$state/first-boot/$name.keys"
	[ -f "$state/first-boot/$name.conf" ] || continue
	creelctl policy check "$state/first-boot/$name.conf"
	cp "$state/first-boot/$name.conf" "/etc/creel/agents/$name.conf"
done
creelctl policy apply
rm -rf "$state/first-boot" "$state/first-boot.sh"
creelctl doctor --brief || :
echo ready >"$state/cloud-init"
