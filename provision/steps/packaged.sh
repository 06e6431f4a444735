# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# creel as a Debian package (debian/): dpkg put the files where they are, and this script lies beside them in /usr/share. Run by hand it
# does the rest as ever. The package's postinst calls --configure after each upgrade: the same, but for what is the operator's alone to
# ask for - packages, which dpkg could not install meanwhile, and doors that move or open. Where nobody made the machine an agent VM
# yet, that is accounts and folders.

packaged_here=/usr/share/creel/provision
packaged_before=/var/lib/creel/removed # what ran before a removal: a line a thing
packaged_stopped=/run/creel/stopped
packaged_marks=/etc/creel/provisioned
# what make install puts below /usr/local, where a package has no files: a line a link
packaged_links='/usr/local/bin/crontab ../../bin/creel
/usr/local/share/bash-completion/completions/crontab /usr/share/bash-completion/completions/creel'

packaged_is()
{
	[ "$here" = "$packaged_here" ]
}

# dpkg knows creel: installed, or removed with its configuration left.
packaged_known()
{
	case $(dpkg-query -W -f '${db:Status-Status}' creel 2>/dev/null || :) in
	'' | not-installed) return 1 ;;
	esac
}

# Two owners of the same files would undo each other's work: what dpkg brought, only apt takes away or replaces.
packaged_refuse()
{
	packaged_known || return 0
	if [ -n "$removing" ]; then
		fail "creel is here by its Debian package, which apt removes: remove agents first (creelctl agent remove NAME), then" \
			"\`apt purge creel\`, which gives OpenSSH port 22 back; \`apt remove creel\` keeps configuration and record"
	fi
	packaged_is ||
		fail "creel is here by its Debian package: $packaged_here/provision.sh is this machine's, and apt upgrades it; for a release" \
			"instead, \`apt purge creel\` first (agents' accounts and homes stay; configuration and record go)"
}

# Which files are other ones than the last time, and so what must take effect. The list is that of files_install: a machine may go from
# one way of installing to the other.
packaged_files()
{
	local path hash names differ=0 list=''

	mapfile -t names < <(dpkg-query -L creel | while read -r path; do [ ! -f "$path" ] || [ -L "$path" ] || echo "$path"; done | sort)
	[ ${#names[@]} -gt 0 ] || fail "dpkg knows no package creel, whose files $here belongs to"
	files_read "${names[@]#/}"
	for path in "${names[@]}"; do
		hash=${files_hash[$path]:-}
		list+="$hash $path"$'\n'
		[ "${files_before[$path]:-}" != "$hash" ] || continue
		files_need "$path"
		differ=$((differ + 1))
	done
	apply text_put "${list%$'\n'}" "$files_list" 644 || [ $? = 1 ] || fail "$files_list cannot be written"
	if [ $differ -gt 0 ]; then
		changed "files: $differ of ${#names[@]} came by the package"
	else
		unchanged "files: ${#names[@]}, by the package"
	fi
	packaged_link
}

# What is somebody else's stays.
packaged_link()
{
	local link target

	while read -r link target; do
		[ ! -e "$link" ] && [ ! -L "$link" ] || continue
		[ -n "$dry_run" ] || { mkdir -p "${link%/*}" && ln -s "$target" "$link"; }
		changed "link: $link"
	done <<<"$packaged_links"
}

packaged_unlink()
{
	local link target

	while read -r link target; do
		[ "$(readlink "$link")" != "$target" ] || rm -f "$link"
	done <<<"$packaged_links"
}

# Agents that a removal stopped: those that the operator had stopped before stay so. And what the operator had enabled.
packaged_agents()
{
	local word name

	[ -f "$packaged_before" ] && [ -z "$offline$dry_run" ] || return 0
	while read -r word name; do
		[ "$word" = agent ] && getent passwd "$name" >/dev/null || continue
		loginctl enable-linger "$name" && /usr/sbin/creelctl agent start "$name" >/dev/null ||
			note "agent $name: see creelctl doctor --agent $name"
	done <"$packaged_before"
	rm -f "$packaged_before"
}

packaged_configure()
{
	[ -d /run/systemd/system ] || offline=1
	check_machine
	pending_read
	packaged_files
	check_libraries
	accounts_make
	hostkey_make
	manager_reload
	if [ ! -f "$config" ]; then
		say "creel is installed, and no door moved or opened: $packaged_here/provision.sh makes this machine an agent VM"
		return
	fi
	operator_port=$(config_front operator_port "$operator_port_wanted")
	doors_check
	switches_set
	enforce_start
	doors_close
	packaged_front
	packaged_units enable
	packaged_agents
	report_end
}

# What was switched off stays off.
packaged_front()
{
	if systemctl -q is-active creel-sshd.socket || grep -qsx front "$packaged_before"; then
		front_start
	elif front_enabled; then
		live systemctl start creel-sshd.socket || note "creel-sshd: see journalctl -u creel-sshd.socket"
	fi
}

# packaged_units disable|enable: those that somebody enabled, which an installation after the removal enables again. The front is
# packaged_front's.
packaged_units()
{
	local unit

	if [ "$1" = disable ]; then
		while read -r unit; do
			case $unit in
			creel-sshd.*) ;;
			*) echo "unit $unit" >>"$packaged_before" ;;
			esac
			systemctl disable -q "$unit" 2>/dev/null || :
		done < <(dpkg-query -L creel | made_units socket timer service | made_enabled)
	else
		while read -r _ unit; do
			systemctl enable -q "$unit" && live systemctl start --no-block "$unit" || note "$unit: it was enabled; see systemctl status $unit"
		done < <(grep -s '^unit ' "$packaged_before" || :)
	fi
}

# Before the files go: nothing of an agent's may run without them, and nobody may wait for them.
packaged_unconfigure()
{
	local left=''

	[ -d /run/systemd/system ] || offline=1
	: >"$packaged_before"
	! front_enabled || echo front >>"$packaged_before"
	packaged_units disable
	made_metrics
	[ -n "$offline" ] || packaged_doors
	packaged_agents_stop || left=1
	DEBIAN_FRONTEND=noninteractive pam-auth-update --package --remove creel || note "PAM: the line of pam_creel.so is still there"
	remove-shell "$agent_shell" || :
	packaged_unlink
	[ -n "$offline" ] || packaged_kernel "$left"
	# what is installed next must take effect
	rm -f "$files_list"
}

# Fails where something of an agent's may still run.
packaged_agents_stop()
{
	local mark name left=''

	for mark in "$packaged_marks"/*; do
		[ -f "$mark" ] || continue
		name=$(getent passwd "${mark##*/}" | cut -d: -f1)
		[ -n "$name" ] || continue
		if [ -f "/var/lib/systemd/linger/$name" ]; then
			[ -f "$packaged_stopped/${mark##*/}" ] || echo "agent $name" >>"$packaged_before"
			rm -f "/var/lib/systemd/linger/$name"
		fi
		if [ -n "$offline" ] || /usr/sbin/creelctl agent stop "$name"; then
			say "agent $name is stopped; its account and its home stay"
		else
			note "agent $name: not all that it runs could be ended"
			left=1
		fi
	done
	[ -z "$left" ]
}

# Connections that stand have processes of their own, which a stop of the service leaves alone.
packaged_doors()
{
	local units

	mapfile -t units < <(dpkg-query -L creel | made_units timer)
	systemctl stop creel-sshd.socket "${units[@]}" || :
	systemctl kill --kill-whom=all creel-sshd.service 2>/dev/null || :
	systemctl stop creel-sshd.service || :
}

# packaged_kernel LEFT: what creel-enforce left. It stays for what is left of an agent's processes.
packaged_kernel()
{
	local table

	systemctl stop 'creel-*.service' 'creel-keeper@*.socket' creel-enforce.service creel-quota.service || :
	systemctl reset-failed 'creel-*' 2>/dev/null || :
	systemctl stop creel.slice || :
	if [ -n "$1" ]; then
		note "kernel: the firewall's tables and programs that hold for agents stay until the next boot"
		return
	fi
	for table in creel creel_network; do
		! nft list table inet $table >/dev/null 2>&1 || nft delete table inet $table || :
	done
	rm -rf /sys/fs/bpf/creel
	switches_back
}
