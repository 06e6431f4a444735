# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The kernel's switches (sysctl.d), as the next boot sets them: creel's file among all others, so that what the operator set
# in /etc/sysctl.d stays.

# What the switches are now that creel's file sets.
switches_remember()
{
	local name value

	[ -z "$offline" ] || return 0
	while read -r name; do
		! value=$(sysctl -n "$name" 2>/dev/null) || before_note switch "$name" "$value"
	done < <(sed -nE 's/^-?([a-z][a-z0-9_.]*)[[:space:]]*=.*/\1/p' "$from/usr/lib/sysctl.d/60-creel.conf")
}

switches_set()
{
	local words

	[ -z "$offline" ] || return 0
	if ! needed switches; then
		unchanged "kernel switches: set"
		return
	fi
	changed "kernel switches: set"
	[ -z "$dry_run" ] || return 0
	[ -n "$(before_values switch)" ] || switches_remember
	words=$(/usr/lib/systemd/systemd-modules-load /usr/lib/modules-load.d/creel.conf 2>&1) ||
		note "kernel modules: not all could be loaded: $words"
	words=$(/usr/lib/systemd/systemd-sysctl 2>&1) || note "kernel switches: not all files of sysctl.d could be applied: $words"
	settled switches
}

# What they were before creel's file set them.
switches_back()
{
	local name value

	while read -r name value; do
		[ "$(sysctl -n "$name" 2>/dev/null | tr '\t' ' ')" != "$(tr '\t' ' ' <<<"$value")" ] || continue
		if apply sysctl -qw "$name=$value" >/dev/null 2>&1; then
			changed "kernel: $name = ${value//$'\t'/ }"
		else
			note "kernel: $name is as creel set it until the next boot"
		fi
	done < <(before_values switch)
}
