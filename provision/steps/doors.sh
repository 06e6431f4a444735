# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Doors beside the front: what agents may not do by PAM services, login shells, OpenSSH and the system bus. The files were
# installed before; here they take effect.
#
# The module's line in common-session lets everybody pass who is no agent, also where the module itself is gone: root's
# login must never depend on creel. creel-shell refuses agents then.

agent_shell=/usr/libexec/creel/creel-shell
agent_group=creel-agents
doors_dropin=/etc/ssh/sshd_config.d/10-creel-agents.conf

# pam_line FILE: control and module of pam_creel.so's line in FILE
pam_line()
{
	sed -nE '/^[^#]*pam_creel\.so/{ s/^(session)?[[:space:]]+//; s/(pam_creel\.so).*/\1/; s/[[:space:]]+/ /g; p }' \
		"$1" 2>/dev/null || :
}

# pam_lacks FOLDER: a file below FOLDER without the line of this build, or nothing
pam_lacks()
{
	local file wanted

	wanted=$(pam_line "$from/usr/share/pam-configs/creel")
	for file in /etc/pam.d/common-session /etc/pam.d/common-session-noninteractive; do
		if [ "$(pam_line "$1$file")" != "$wanted" ]; then
			echo "$file"
			return
		fi
	done
}

# Debian's way to edit common-session: `pam-auth-update --package --remove creel` takes the line out again. It leaves files
# alone that were edited by hand, without an error. So it is tried on copies first, before any door is moved.
doors_check()
{
	local folder file

	[ -n "$(pam_lacks '')" ] || return 0
	folder=$(mktemp -d)
	mkdir -p "$folder/etc" "$folder/var/lib" "$folder/usr/share"
	cp -a /etc/pam.d "$folder/etc/"
	[ ! -d /var/lib/pam ] || cp -a /var/lib/pam "$folder/var/lib/"
	cp -a /usr/share/pam-configs "$folder/usr/share/"
	cp "$from/usr/share/pam-configs/creel" "$folder/usr/share/pam-configs/creel"
	# answers of debconf go into the folder, too
	printf '%s\n' 'Config: answers' 'Templates: questions' '' \
		'Name: answers' 'Driver: File' "Filename: $folder/answers" '' \
		'Name: questions' 'Driver: File' "Filename: $folder/questions" >"$folder/debconf.conf"
	DEBCONF_SYSTEMRC=$folder/debconf.conf DEBIAN_FRONTEND=noninteractive \
		quietly pam-auth-update --root "$folder" --package --enable creel
	file=$(pam_lacks "$folder")
	rm -rf "$folder"
	[ -z "$file" ] || doors_edited "$file"
}

doors_edited()
{
	fail "$1 was edited here, so \`pam-auth-update\` leaves it alone: give it and its sibling behind pam_systemd.so the line" \
		"\`session $(pam_line "$from/usr/share/pam-configs/creel")\`, then run this again"
}

doors_pam()
{
	local file

	if [ -z "$(pam_lacks '')" ]; then
		unchanged "PAM: sessions of agents pass pam_creel.so"
		return
	fi
	changed "PAM: sessions of agents pass pam_creel.so"
	[ -z "$dry_run" ] || return 0
	DEBIAN_FRONTEND=noninteractive quietly pam-auth-update --package --enable creel
	file=$(pam_lacks '')
	[ -z "$file" ] || doors_edited "$file"
}

# Agents of an earlier version of creel.
doors_users()
{
	local mark name uid shell groups

	if grep -qsxF "$agent_shell" /etc/shells; then
		unchanged "login shell: known"
	else
		apply add-shell "$agent_shell"
		changed "login shell: known"
	fi
	for mark in /etc/creel/provisioned/*; do
		[ -f "$mark" ] || continue
		name=$(getent passwd "$(basename "$mark")" | cut -d: -f1)
		[ -n "$name" ] || continue
		IFS=: read -r _ _ uid _ _ _ shell < <(getent passwd "$name")
		groups=$(id -Gn "$name")
		if [ "$shell" != "$agent_shell" ] || ! grep -qw -- "$agent_group" <<<"$groups"; then
			# births have the groups that the keeper read at its start
			need keepers
			apply quietly usermod --shell "$agent_shell" --append --groups "$agent_group" "$name"
			changed "agent $name (uid $uid): login shell and group"
		fi
	done
}

doors_live()
{
	[ -z "$offline" ] || return 0
	! needed bus || {
		live quietly systemctl reload dbus.service
		changed "system bus: policy of agents read"
		settled bus
	}
	! needed sshd || doors_sshd
}

# What agents get of OpenSSH. A configuration that it does not take is taken out again, or it would not come back at the next
# boot.
doors_sshd()
{
	local port words

	changed "operator's OpenSSH: agents get what creel-sshd gives"
	[ -z "$dry_run" ] || return 0
	operator_find
	port=$(operator_answers)
	mkdir -p /run/sshd
	words=$(sshd -t 2>&1) || doors_sshd_undo "OpenSSH does not take it: $words"
	operator_reread || doors_sshd_undo "OpenSSH cannot be reloaded"
	[ -z "$port" ] || banner_wait "$port" 'SSH-2.0-OpenSSH*' ||
		doors_sshd_undo "OpenSSH does not answer on port $port with it"
	settled sshd
}

doors_sshd_undo()
{
	rm -f "$doors_dropin"
	operator_reread || :
	fail "$doors_dropin: $*; it is removed again"
}

doors_close()
{
	doors_pam
	doors_users
	doors_live
}
