# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A machine that nobody looks at each day: its clock is kept, by which records and expiry dates go, and security updates come by
# themselves. What the operator chose for either stays.

upkeep_apt=/etc/apt/apt.conf.d/52creel

upkeep_clock()
{
	local keeper

	keeper=$(packages_clock)
	if [ "${keeper:-systemd-timesyncd}" != systemd-timesyncd ]; then
		unchanged "clock: kept by $keeper"
	elif systemctl -q is-enabled systemd-timesyncd.service 2>/dev/null; then
		unchanged "clock: kept by systemd-timesyncd"
	else
		before_note clock disabled
		apply quietly systemctl enable -q systemd-timesyncd.service
		live quietly systemctl start systemd-timesyncd.service
		changed "clock: kept by systemd-timesyncd"
	fi
}

upkeep_upgrades()
{
	local unit text='// Written by provision.sh, then yours: security updates come by themselves.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";'

	if [ -f "$upkeep_apt" ]; then
		unchanged "upgrades: $upkeep_apt is yours"
	elif text_put "$text" "$upkeep_apt" 644; then
		changed "upgrades: $upkeep_apt"
	else
		fail "$upkeep_apt cannot be written"
	fi
	[ -z "$offline$dry_run" ] || return 0
	for unit in apt-daily.timer apt-daily-upgrade.timer; do
		systemctl -q is-enabled "$unit" 2>/dev/null ||
			note "upgrades: $unit is $(systemctl is-enabled "$unit" 2>/dev/null || :): no updates come by themselves"
	done
}

upkeep()
{
	upkeep_clock
	upkeep_upgrades
}
