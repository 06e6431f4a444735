# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The kernel's switches (sysctl.d), as the next boot sets them: creel's file among all others, so that what the operator set
# in /etc/sysctl.d stays.

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
	words=$(/usr/lib/systemd/systemd-modules-load /usr/lib/modules-load.d/creel.conf 2>&1) ||
		note "kernel modules: not all could be loaded: $words"
	words=$(/usr/lib/systemd/systemd-sysctl 2>&1) || note "kernel switches: not all files of sysctl.d could be applied: $words"
	settled switches
}
