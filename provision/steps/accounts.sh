# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# System accounts and folders, from the sysusers.d and tmpfiles.d files that were installed.

accounts_make()
{
	local users folders missing='' name

	users=$from/usr/lib/sysusers.d/creel.conf
	folders=$from/usr/lib/tmpfiles.d/creel.conf
	while read -r name; do
		getent passwd "$name" >/dev/null || missing+=" $name"
	done < <(awk '$1 ~ /^u/ { print $2 }' "$users")
	while read -r name; do
		getent group "$name" >/dev/null || missing+=" $name"
	done < <(awk '$1 ~ /^g/ { print $2 }' "$users")
	if [ -n "$missing" ]; then
		apply quietly systemd-sysusers /usr/lib/sysusers.d/creel.conf
		changed "accounts:$missing"
	else
		unchanged "accounts: present"
	fi

	missing=
	while read -r name; do
		# /run of an image is not part of it
		case $offline$name in
		1/run/*) continue ;;
		esac
		[ -d "$name" ] || missing+=" $name"
	done < <(awk '$1 ~ /^d/ { print $2 }' "$folders")
	if [ -n "$missing" ]; then
		apply quietly systemd-tmpfiles --create /usr/lib/tmpfiles.d/creel.conf
		changed "folders:$missing"
	else
		unchanged "folders: present"
	fi
}
