# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A journal that survives a reboot: journald keeps one as soon as its folder exists.

journal_keep()
{
	if [ -d /var/log/journal ]; then
		unchanged "journal: persistent"
		return
	fi
	before_note journal made
	apply mkdir -p /var/log/journal
	live quietly systemd-tmpfiles --create --prefix /var/log/journal
	live journalctl --flush
	changed "journal: persistent"
}
