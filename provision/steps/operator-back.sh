# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The operator's OpenSSH back to where it was, when creel goes. As on the way there (operator.sh), there is no moment without a
# door: it answers on its old port before it leaves the new one. Whatever fails leaves it on the new one.

# The files whose Port lines were commented out.
operator_commented()
{
	grep -lsE '^[[:space:]]*# creel: +[Pp][Oo][Rr][Tt][[:space:]]' /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf || :
}

# Where it will be: as its own configuration says.
operator_old_ports()
{
	local file ports=''

	if [ -n "$operator_socket" ]; then
		ports=$(find /etc/systemd/system/ssh.socket.d -name '*.conf' ! -path "$operator_socket_dropin" -exec \
			sed -nE 's/^ListenStream=(.*:)?([0-9]+)$/\2/p' {} + | paste -sd' ')
	fi
	[ -n "$operator_socket" ] || while read -r file; do
		[ -z "$file" ] || ports+=" $(sed -nE 's/^[[:space:]]*# creel: +Port[[:space:]]+([0-9]+).*/\1/Ip' "$file" | paste -sd' ')"
	done < <(operator_commented)
	[ -n "${ports// /}" ] || ports=22
	tr ' ' '\n' <<<"$ports" | sed '/^$/d' | sort -un | paste -sd' '
}

# Both of its files are as provision.sh found them.
operator_files_back()
{
	local file

	rm -f "$operator_dropin" "$operator_socket_dropin"
	rmdir --ignore-fail-on-non-empty "${operator_socket_dropin%/*}" 2>/dev/null || :
	while read -r file; do
		[ -z "$file" ] || sed -i -E 's/^([[:space:]]*)# creel: ( *[Pp][Oo][Rr][Tt][[:space:]])/\1\2/' "$file"
	done < <(operator_commented)
}

operator_moved()
{
	[ -e "$operator_dropin" ] || [ -e "$operator_socket_dropin" ]
}

# Before anything is changed: the way back is open.
operator_back_check()
{
	local port

	operator_find
	! operator_moved || for port in $(operator_old_ports); do
		operator_check_firewall "$port"
	done
}

operator_back()
{
	local port ports

	if ! operator_moved; then
		unchanged "operator's OpenSSH: where its own configuration says"
		return
	fi
	ports=$(operator_old_ports)
	changed "operator's OpenSSH: back to port ${ports// /, }"
	[ -z "$dry_run" ] || return 0
	operator_remember
	# shellcheck disable=SC2086
	operator_listen $ports "$operator_port" || operator_undo "OpenSSH does not take its old configuration beside the new one"
	for port in $ports; do
		banner_wait "$port" 'SSH-2.0-OpenSSH*' || operator_undo "OpenSSH does not answer on port $port"
	done
	operator_files_back
	sshd -t || operator_undo "OpenSSH does not take its old configuration"
	operator_reload || operator_undo "OpenSSH cannot be reloaded"
	for port in $ports; do
		banner_wait "$port" 'SSH-2.0-OpenSSH*' || operator_undo "OpenSSH does not answer on port $port"
	done
	rm -rf "$operator_backup"
}
