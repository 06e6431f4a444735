# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The machine as it was before creel (--remove). The same order as provisioning, the other way round: the front leaves port 22,
# OpenSSH gets it back, and only then the other doors and the kernel's part go: while an agent could log in, it is confined.
#
# What the operator may have put to use since stays: packages that others need by now, the journal's folder, the homes of agents.
# Without --purge also /etc/creel, the record and what agents are remembered by.

# user names of agents, as the kernel's part and the generator know them
remove_agents_left()
{
	local mark name

	for mark in /etc/creel/provisioned/* /etc/creel/agents/*.conf; do
		[ -f "$mark" ] || continue
		name=${mark##*/}
		case $name in
		*.conf) name=${name%.conf} ;;
		*) name=$(getent passwd "$name" | cut -d: -f1) ;;
		esac
		[ -z "$name" ] || echo "$name"
	done | sort -u
}

remove_each_agent()
{
	local agents name running

	agents=$(remove_agents_left)
	[ -n "$agents" ] || return 0
	[ -n "$remove_agents" ] ||
		fail "there are agents: $(paste -sd' ' <<<"$agents"): remove them first (creelctl agent remove NAME), or say --agents:" \
			"they go, their homes stay and become root's (--homes: they go as well)"
	for name in $agents; do
		[ -x /usr/sbin/creelctl ] || fail "agent $name: creelctl, which removes agents, is gone: install creel anew, then remove it"
		running=$(pgrep -c -u "$name" 2>/dev/null || :)
		if [ "${running:-0}" -gt 0 ]; then
			# nobody comes in meanwhile; one without a policy file cannot be stopped apart, and ends with its removal
			apply creelctl agent stop "$name" >/dev/null 2>&1 || :
			changed "agent $name: stopped; it ran $running processes"
		fi
		if [ -n "$remove_homes" ]; then
			apply quietly creelctl agent remove "$name"
			changed "agent $name: removed with its home"
		else
			apply quietly creelctl agent remove "$name" --keep-home
			changed "agent $name: removed; its home stays"
		fi
	done
}

# paths of files that were installed
remove_paths()
{
	[ ! -f "$files_list" ] || cut -d' ' -f2- "$files_list"
}

# Who is started is asked by name: patterns match loaded units alone, and so nothing where creel is gone.
remove_units()
{
	local unit units gone=''

	mapfile -t units < <(remove_paths | made_units socket timer service mount slice)
	for unit in "${units[@]}"; do
		case $unit in
		*@* | *.mount | *.slice) continue ;;
		esac
		[ -n "$(made_enabled <<<"$unit")" ] || systemctl -q is-active "$unit" || continue
		gone+=" $unit"
		apply quietly systemctl disable -q --now "$unit"
	done
	[ ${#units[@]} = 0 ] || live systemctl -q stop "${units[@]}" 2>/dev/null || :
	[ -z "$gone" ] || changed "units: stopped and disabled:$gone"
}

# The front first, so that port 22 is free; the agents' other doors stay closed.
remove_front()
{
	systemctl -q is-active creel-sshd.socket || return 0
	apply quietly systemctl stop creel-sshd.socket creel-sshd.service
	changed "creel-sshd: off port 22"
	[ -n "$dry_run" ] || port_left 22 || fail "creel-sshd does not leave port 22"
}

remove_doors()
{
	if [ -n "$(pam_line /etc/pam.d/common-session)$(pam_line /etc/pam.d/common-session-noninteractive)" ]; then
		DEBIAN_FRONTEND=noninteractive apply quietly pam-auth-update --package --remove creel
		changed "PAM: without pam_creel.so"
		if [ -z "$dry_run" ] && [ -n "$(pam_line /etc/pam.d/common-session)" ]; then
			note "PAM: /etc/pam.d/common-session was edited: take pam_creel.so's line out; it does nothing now"
		fi
	fi
	if grep -qsxF "$agent_shell" /etc/shells; then
		apply remove-shell "$agent_shell"
		changed "login shell: unknown"
	fi
}

# What the kernel holds: programs go with the files that keep them.
remove_kernel()
{
	local table number device folder options seen=' '

	for table in creel creel_network; do
		nft list table inet "$table" >/dev/null 2>&1 || continue
		apply quietly nft delete table inet "$table"
		changed "firewall: table inet $table is gone"
	done
	if [ -d /sys/fs/bpf/creel ]; then
		apply rm -rf /sys/fs/bpf/creel
		changed "kernel: programs are gone"
	fi
	while read -r number device folder options; do
		case $seen,$options, in
		*" $number "*) continue ;;
		*,usrjquota=aquota.user,*) ;;
		*) continue ;;
		esac
		seen+="$number "
		# mounted like that by the operator
		! findmnt -rn --fstab -o OPTIONS "$folder" | grep quota >/dev/null || continue
		live quotaoff -u "$folder" 2>/dev/null || :
		live mount -o remount,usrjquota= "$folder" 2>/dev/null || note "quotas: $folder keeps its option usrjquota until it is mounted anew"
		[ -n "$dry_run" ] || chattr -i "$folder/aquota.user" 2>/dev/null || :
		apply rm -f "$folder/aquota.user"
		changed "quotas: off on $folder ($device)"
	done < <(findmnt -rnv -t ext4 -o MAJ:MIN,SOURCE,TARGET,OPTIONS || :)
	switches_back
}

remove_files()
{
	local path folder removed=0
	local -A folders=()

	[ -f "$files_list" ] || return 0
	while read -r _ path; do
		[ -e "$path" ] || [ -L "$path" ] || continue
		apply rm -f "$path"
		removed=$((removed + 1))
		folders[${path%/*}]=1
	done <"$files_list"
	# folders that only creel had something in; others are the machine's, empty or not
	for folder in "${!folders[@]}"; do
		case $folder in
		*/creel/* | */creel | /usr/lib/systemd/*.d | /etc/systemd/*.d) apply rmdir -p --ignore-fail-on-non-empty "$folder" ;;
		/usr/local/share/bash-completion/*) apply rmdir --ignore-fail-on-non-empty "$folder" "${folder%/*}" ;;
		esac
	done
	while read -r folder; do
		[ -d "$folder" ] || continue
		apply rm -rf "$folder"
		apply rmdir --ignore-fail-on-non-empty "${folder%/*}"
		changed "fonts: matplotlib's list is gone from /etc/skel"
	done < <(before_values fonts)
	[ $removed = 0 ] || changed "files: $removed removed"
	live systemctl daemon-reload
	live systemctl -q reset-failed 'creel-*' 2>/dev/null || :
	live quietly systemctl reload dbus.service
	live quietly operator_reread
}

# remove_made WHEN
remove_made()
{
	local path

	while read -r path; do
		apply rm -rf "$path"
		case $1,$path in
		purge,*) changed "$path: gone" ;;
		*/etc/systemd/*) apply rmdir --ignore-fail-on-non-empty "${path%/*}" ;;
		esac
	done < <(made_paths "$1")
}

remove_node()
{
	local name

	[ -f "$node_tree/creel-stamp" ] || return 0
	for name in node npm npx; do
		[ "$(readlink "/usr/bin/$name")" != "../../opt/node/bin/$name" ] || apply rm -f "/usr/bin/$name"
	done
	apply rm -rf "$node_tree"
	changed "Node.js: $node_tree is gone"
}

# Those that came with creel and that nothing else needs by now. They are marked as such; of what Debian's own tool would take, what
# came with creel goes, and nothing that it would take with them.
remove_packages()
{
	local came mine

	# the operator's way in stays, whatever it came with
	came=$(comm -12 <(before_values package | sed '/^openssh/d' | sort -u) <(packages_installed))
	[ -n "$came" ] || return 0
	if [ -n "$dry_run" ]; then
		changed "packages: those that came with creel and that nothing else needs"
		return
	fi
	# shellcheck disable=SC2086
	quietly apt-mark auto $came
	mine=$(comm -12 <(apt-get -s -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false \
		autoremove 2>/dev/null | awk '$1 == "Remv" { print $2 }' | sort -u) <(printf '%s\n' "$came"))
	# shellcheck disable=SC2086
	if [ -n "$mine" ] && comm -13 <(printf '%s\n' "$came") \
		<(apt-get -s remove $mine 2>/dev/null | awk '$1 == "Remv" { print $2 }' | sort -u) | grep . >/dev/null; then
		note "packages: others need what came with creel; they stay"
		return
	fi
	[ -n "$mine" ] || return 0
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y -o DPkg::Lock::Timeout=600 purge $mine
	changed "packages: $(paste -sd' ' <<<"$mine")"
	came=$(comm -12 <(printf '%s\n' "$came") <(packages_installed) | paste -sd' ')
	[ -z "$came" ] || note "packages: these came with creel, and others need them: $came"
}

remove_accounts()
{
	local name gone=''

	for name in creel-sshd creel-packages creel-resolver; do
		getent passwd "$name" >/dev/null || continue
		apply quietly userdel "$name"
		gone+=" $name"
	done
	for name in creel-agents creel-sshd creel-packages creel-resolver; do
		getent group "$name" >/dev/null || continue
		[ -n "$dry_run" ] || groupdel "$name" 2>/dev/null || :
		case "$gone " in
		*" $name "*) ;;
		*) gone+=" $name" ;;
		esac
	done
	[ -z "$gone" ] || changed "accounts:$gone"
}

# The record's own journal ends with creel; what is in it stays without --purge.
remove_state()
{
	local path

	live systemctl -q stop 'systemd-journald@creel.service' 'systemd-journald@creel.socket' \
		'systemd-journald-varlink@creel.socket' 2>/dev/null || :
	remove_made always
	if [ -n "$purge" ]; then
		remove_made purge
		return
	fi
	[ -z "$(before_values journal)" ] || note "/var/log/journal stays: the journal is kept over reboots"
	apply rm -f "$files_list" "$pending_list" "$before_list" /var/lib/creel/quota-files
	[ -n "$dry_run" ] || rmdir --ignore-fail-on-non-empty /etc/creel/agents /etc/creel/provisioned /etc/creel \
		/var/lib/creel/packages /var/lib/creel/secrets /var/lib/creel /var/log/creel 2>/dev/null || :
	while read -r path; do
		note "$path stays; --remove --purge takes it as well"
	done < <(made_paths purge)
}

remove_all()
{
	operator_port=$(config_front operator_port "$operator_port_wanted")
	operator_back_check
	remove_each_agent
	remove_front
	operator_back
	remove_units
	remove_doors
	remove_kernel
	made_metrics
	remove_files
	remove_node
	remove_packages
	remove_accounts
	remove_state
	case $changes in
	0) say "provision: nothing to remove" ;;
	*) say "provision: $changes ${dry_run:+to be }changed; the machine is yours again" ;;
	esac
}
