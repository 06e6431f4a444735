#!/bin/bash
# SPDX-License-Identifier: MIT
#
# creel-names [FILE]: the name servers that systemd-networkd was told of, for resolv.conf(5), where systemd-resolved is not wanted: of
# each link's state, as systemd-resolved reads it. networkctl(1) asks by the bus, which is not there yet when cloud-init asks for names.
# A file in which somebody else wrote, a link, and a network without any name server leave all as it is.

set -euo pipefail

links=${CREEL_LINKS:-/run/systemd/netif/links} # a file each; its name is the link's number
file=${1:-/etc/resolv.conf}
first='# Written by creel-names.service, of what systemd-networkd was told. Without this line the file is yours.'

# values KEY NUMBER: blanks between them
values()
{
	sed -n "s/^$1=//p" "$links/$2"
}

# servers NUMBER: a line each. resolv.conf has no word for another port than 53, nor for the name in a certificate.
servers()
{
	local words word name

	read -ra words <<<"$(values DNS "$1")"
	for word in "${words[@]}"; do
		word=${word%%#*}
		case $word in
		\[*]:53) word=${word#[} word=${word%]:53} ;;
		*.*.*.*:53) word=${word%:53} ;;
		\[* | *.*.*.*:*) continue ;;
		esac
		word=${word%%\%*}
		# one of a link's own is nothing without the link
		if [[ $word = fe[89ab]?:* ]]; then
			name=$(ip -o link | sed -n "s/^$1: \([^:@]*\).*/\1/p")
			[ -n "$name" ] || continue
			word+=%$name
		fi
		printf 'nameserver %s\n' "$word"
	done
}

# text: of the whole file; nothing without a name server
text()
{
	local numbers number found domains

	numbers=$(find "$links" -type f -name '[0-9]*' -printf '%f\n' | sort -n)
	found=$(for number in $numbers; do servers "$number"; done | awk '!seen[$0]++')
	domains=$(for number in $numbers; do values DOMAINS "$number"; done | paste -sd ' ')
	[ -n "$found" ] || return 0
	printf '%s\n' "$first" "$found" ${domains:+"search $domains"}
}

[ -d "$links" ] && [ ! -L "$file" ] || exit 0
before=$(cat "$file" 2>/dev/null || :)
case $before in
'' | "$first"*) ;;
*) exit 0 ;;
esac
now=$(text)
if [ -n "$now" ] && [ "$now" != "$before" ]; then
	printf '%s\n' "$now" >"$file.new"
	chmod 644 "$file.new"
	mv "$file.new" "$file"
fi
