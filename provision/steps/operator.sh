# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The operator's OpenSSH from port 22 to a port of its own.
#
# In two moves, so that there is no moment without a door: first OpenSSH listens on both ports and must answer on the
# new one; only then it leaves port 22, which the front takes over (front.sh). A reload keeps connections that stand,
# the one that this script runs over among them. Whatever fails puts the old files back and reloads again.
#
# Debian 12 runs OpenSSH as ssh.service, or socket-activated by ssh.socket where the operator chose so.

operator_dropin=/etc/ssh/sshd_config.d/00-creel.conf
operator_socket_dropin=/etc/systemd/system/ssh.socket.d/creel.conf
operator_backup=

# Who answers on a port of this machine: the first bytes of its banner, or nothing.
banner()
{
	timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && IFS= read -r -u 3 line && printf %s "${line%$'"'\r'"'}"' \
		- "$1" 2>/dev/null || :
}

# banner_wait PORT PATTERN: until it answers like that; one minute, as a machine may be slow
banner_wait()
{
	local end=$((SECONDS + 60))

	while [ $SECONDS -lt $end ]; do
		# shellcheck disable=SC2254
		case $(banner "$1") in
		$2) return 0 ;;
		esac
		sleep 0.5
	done
	return 1
}

# port_left PORT: until nobody listens there any more; a reload takes effect a little later than it returns
port_left()
{
	local tries

	for tries in $(seq 50); do
		[ -n "$(ss -Hltn "sport = :$1")" ] || return 0
		sleep 0.2
	done
	return 1
}

# Set when OpenSSH is socket-activated.
operator_socket=

operator_find()
{
	operator_socket=
	if [ -n "$offline" ]; then
		[ ! -e /etc/systemd/system/sockets.target.wants/ssh.socket ] ||
			[ -e /etc/systemd/system/multi-user.target.wants/ssh.service ] || operator_socket=1
	else
		! systemctl -q is-active ssh.socket || operator_socket=1
	fi
}

# The port on which OpenSSH answers now, or nothing.
operator_answers()
{
	local port

	for port in "$operator_port" 22; do
		case $(banner "$port") in
		SSH-2.0-OpenSSH*)
			echo "$port"
			return
			;;
		esac
	done
}

# The configuration files of sshd that name a port, other than ours.
operator_other_ports()
{
	grep -lisE '^[[:space:]]*Port[[:space:]]' /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf |
		grep -vxF "$operator_dropin" || :
}

# operator_check PORT: that OpenSSH can be moved there
operator_check()
{
	local holder file

	file=$(grep -lisE '^[[:space:]]*ListenAddress[[:space:]]+("?[^]:[[:space:]]+|"?\[[^]]*\]):[0-9]' \
		/etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf | head -n 1 || :)
	[ -z "$file" ] ||
		fail "$file: a ListenAddress names a port itself: take the port out of it, then run this again"
	grep -qisE '^[[:space:]]*Include[[:space:]]+/etc/ssh/sshd_config\.d/\*\.conf' /etc/ssh/sshd_config ||
		fail "/etc/ssh/sshd_config does not include /etc/ssh/sshd_config.d/*.conf: put Debian's Include line back"
	[ -z "$offline" ] || return 0
	holder=$(ss -Hltnp "sport = :$1" | grep -o '"[^"]*"' | sort -u | tr -d '"' | paste -sd, || :)
	case $holder in
	'' | sshd | sshd,systemd | systemd) ;;
	*) fail "port $1, where OpenSSH shall go, is held by $holder: choose another by --operator-port" ;;
	esac
	operator_check_firewall "$1"
}

# operator_check_firewall PORT: a firewall of the machine, creel's own apart, that would shut the operator out there.
operator_check_firewall()
{
	local family name rules=''

	command -v nft >/dev/null || return 0
	while read -r _ family name; do
		case $name in
		creel | creel_network) ;;
		*) rules+=$(nft list table "$family" "$name" 2>/dev/null || :) ;;
		esac
	done < <(nft list tables 2>/dev/null || :)
	case $rules in
	*"hook input"*"policy drop"*)
		grep -qE "dport.*[^0-9]$1([^0-9]|\$)" <<<"$rules" ||
			fail "this machine's firewall drops by default and has no rule for port $1: allow it first"
		;;
	esac
}

operator_remember()
{
	operator_backup=$(mktemp -d)
	tar -C / -cf "$operator_backup/files.tar" --ignore-failed-read etc/ssh/sshd_config etc/ssh/sshd_config.d
	[ ! -e "$operator_socket_dropin" ] || cp -a "$operator_socket_dropin" "$operator_backup/socket"
}

# Back to how it was, then the reason.
operator_undo()
{
	rm -f "$operator_dropin" "$operator_socket_dropin"
	tar -C / -xf "$operator_backup/files.tar"
	[ ! -e "$operator_backup/socket" ] || cp -a "$operator_backup/socket" "$operator_socket_dropin"
	operator_reload || :
	fail "$*; OpenSSH's configuration is as it was before"
}

# Connections are processes of their own, which neither a reload nor a stop of ssh.service touches (KillMode=process).
operator_reload()
{
	systemctl daemon-reload
	if [ -n "$operator_socket" ]; then
		# a socket can be opened again only while nobody has it; the service comes back with the next connection
		systemctl -q stop ssh.service 2>/dev/null && systemctl restart ssh.socket
	else
		systemctl reload-or-restart ssh.service
	fi
}

# The same ports, other files. With socket activation a connection of its own reads them anew (Debian 12), or the service that the
# first one started must be started anew, as it cannot open a socket that systemd has (Debian 13).
operator_reread()
{
	if [ -n "$operator_socket" ]; then
		systemctl try-restart ssh.service
	else
		systemctl reload-or-restart ssh.service
	fi
}

# operator_listen PORT...: writes the configuration, and has it read
operator_listen()
{
	local port lines='# Written by provision.sh: port 22 belongs to creel-sshd.' sockets=$'[Socket]\nListenStream='

	for port in "$@"; do
		lines+=$'\n'"Port $port"
		sockets+=$'\n'"ListenStream=$port"
	done
	text_put "$lines" "$operator_dropin" 644 || [ $? = 1 ] || return 1
	# also where ssh.service is in use: an ssh.socket that is enabled besides must not race for port 22 at boot
	text_put "$sockets" "$operator_socket_dropin" 644 || [ $? = 1 ] || return 1
	[ -z "$offline" ] || return 0
	mkdir -p /run/sshd
	sshd -t || return 1
	operator_reload
}

# Whether all is as it shall be already.
operator_done()
{
	[ -z "$(operator_other_ports)" ] && [ -f "$operator_dropin" ] &&
		[ "$(awk '$1 == "Port" { print $2 }' "$operator_dropin")" = "$operator_port" ] || return 1
	grep -qsx "ListenStream=$operator_port" "$operator_socket_dropin" || return 1
	[ -n "$offline" ] || case $(banner "$operator_port") in
	SSH-2.0-OpenSSH*) ;;
	*) return 1 ;;
	esac
}

operator_move()
{
	local file

	operator_find
	if operator_done; then
		unchanged "operator's OpenSSH: on port $operator_port"
		return
	fi
	operator_check "$operator_port"
	changed "operator's OpenSSH: to port $operator_port"
	[ -z "$dry_run" ] || return 0

	operator_remember
	while read -r file; do
		[ -n "$file" ] || continue
		sed -i -E 's/^([[:space:]]*Port[[:space:]])/# creel: \1/I' "$file"
		note "operator's OpenSSH: the Port line of $file is commented out"
	done < <(operator_other_ports)
	if [ -z "$offline" ]; then
		if [ -z "$(ss -Hltn 'sport = :22')" ] || systemctl -q is-active creel-sshd.socket; then
			# port 22 is not OpenSSH's (any more): one move is enough
			operator_listen "$operator_port" || operator_undo "OpenSSH does not take its new configuration"
		else
			operator_listen 22 "$operator_port" || operator_undo "OpenSSH does not take its new configuration"
			banner_wait "$operator_port" 'SSH-2.0-OpenSSH*' ||
				operator_undo "OpenSSH does not answer on port $operator_port"
		fi
	fi
	operator_listen "$operator_port" || operator_undo "OpenSSH does not take its new configuration"
	[ -z "$offline" ] || return 0
	systemctl -q is-active creel-sshd.socket || port_left 22 || operator_undo "OpenSSH does not leave port 22"
	banner_wait "$operator_port" 'SSH-2.0-OpenSSH*' || operator_undo "OpenSSH does not answer on port $operator_port"
}
