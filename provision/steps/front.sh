# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# creel-sshd takes port 22, and what was replaced is restarted. Restarts keep connections and what agents run.

front_enabled()
{
	[ -e /etc/systemd/system/sockets.target.wants/creel-sshd.socket ]
}

front_answers()
{
	case $(banner 22) in
	SSH-2.0-OpenSSH*) return 1 ;;
	SSH-2.0-*) return 0 ;;
	*) return 1 ;;
	esac
}

# The front cannot have port 22: the operator gets it back, beside the new one.
front_undo()
{
	systemctl disable --now -q creel-sshd.socket || :
	systemctl stop creel-sshd.service || :
	operator_listen 22 "$operator_port" || :
	fail "$*; OpenSSH answers on ports 22 and $operator_port. See: journalctl -u creel-sshd.socket -u creel-sshd.service"
}

front_start()
{
	if ! front_enabled; then
		apply systemctl enable -q creel-sshd.socket || front_undo "creel-sshd.socket cannot be enabled"
		changed "creel-sshd.socket: enabled"
	fi
	[ -z "$offline" ] || return 0

	if ! systemctl -q is-active creel-sshd.socket; then
		changed "creel-sshd: on port 22"
		[ -z "$dry_run" ] || return 0
		systemctl start creel-sshd.socket || front_undo "port 22 cannot be opened"
		banner_wait 22 'SSH-2.0-[!O]*' || front_undo "creel-sshd does not answer on port 22"
		settled front
	elif needed front; then
		changed "creel-sshd: restarted"
		live systemctl try-restart creel-sshd.service
		[ -n "$dry_run" ] || banner_wait 22 'SSH-2.0-[!O]*' || fail "the new creel-sshd does not answer on port 22"
		settled front
	else
		unchanged "creel-sshd: on port 22"
	fi

	# a keeper goes on while something would be lost with it (creel-keeper(8), Restarts)
	if needed keepers && systemctl -q is-active 'creel-keeper@*.service'; then
		changed "keepers: renewed, each as soon as nothing of its agent's depends on it"
		live systemctl reload 'creel-keeper@*.service'
	fi
	settled keepers
	front_managers
}

# Agents' user managers are confined once, when they start; a restart would end the agents' services.
front_managers()
{
	local mark uid

	needed managers || return 0
	for mark in /etc/creel/provisioned/*; do
		[ -f "$mark" ] || continue
		uid=${mark##*/}
		! systemctl -q is-active "user@$uid.service" ||
			note "user@$uid.service: confined as it was; a restart confines it anew, and restarts the agent's services"
	done
	settled managers
}
