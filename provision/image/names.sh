#!/bin/bash
# SPDX-License-Identifier: MIT
#
# creel-names [FILE]: the name servers that systemd-networkd was told of, for resolv.conf(5), where systemd-resolved is not wanted. Of
# networkd's own state, as systemd-resolved has them: networkctl(1) asks by the bus, which is not there yet when cloud-init asks for
# names. A file that somebody else wrote, a link, and a network without any name server leave all as it is.

set -euo pipefail

state=/run/systemd/netif/state
file=${1:-/etc/resolv.conf}
first='# Written by creel-names.service, of what systemd-networkd was told. Without this line the file is yours.'

# text: of the whole file; nothing without a name server
text()
{
	local servers domains server

	servers=$(sed -n 's/^DNS=//p' "$state")
	domains=$(sed -n 's/^DOMAINS=//p' "$state")
	[ -n "$servers" ] || return 0
	printf '%s\n' "$first"
	for server in $servers; do
		printf 'nameserver %s\n' "${server%%#*}"
	done
	[ -z "$domains" ] || printf 'search %s\n' "$domains"
}

# Again until both are the same: what the network says while this is written would be missed.
while [ -e "$state" ] && [ ! -L "$file" ]; do
	before=$(cat "$file" 2>/dev/null || :)
	now=$(text)
	case $before in
	'' | "$first"*) ;;
	*) exit 0 ;;
	esac
	[ -n "$now" ] && [ "$now" != "$before" ] || exit 0
	printf '%s\n' "$now" >"$file.new"
	chmod 644 "$file.new"
	mv "$file.new" "$file"
done
