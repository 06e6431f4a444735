# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# creel-enforce: ports, processes, firewall, network, disk, before the front lets anybody in, and the units beside it. Run again,
# it replaces what an older build left in the kernel without a gap.

# What its run at boot and its last reload came to.
enforce_in_force()
{
	[ "$(systemctl show -p ActiveState,Result,ReloadResult creel-enforce.service | sort | paste -sd' ')" = \
		"ActiveState=active ReloadResult=success Result=success" ]
}

# What this machine cannot enforce is said at each login, and by the command's own lines. A machine that cannot is asked again
# each time: nothing of it changes by that.
enforce_apply()
{
	if needed enforce; then
		changed "creel-enforce: applied"
	elif enforce_in_force; then
		unchanged "creel-enforce: in force"
		return
	else
		unchanged "creel-enforce: not everything was in force, asked again"
	fi
	live systemctl reload-or-restart creel-enforce.service ||
		note "creel-enforce: not everything is in force: journalctl -u creel-enforce.service"
	settled enforce
}

# enforce_unit WORD VERB UNIT: when WORD is needed
enforce_unit()
{
	needed "$1" || return 0
	changed "$3: applied"
	live systemctl "$2" "$3" || note "$3: see journalctl -u $3"
	settled "$1"
}

# What listens for others than this machine and will not answer them: all but SSH, the agents' own, what creel.conf opens and DHCP.
enforce_closed()
{
	local mark agents=''

	for mark in /etc/creel/provisioned/*; do
		agents+=" ${mark##*/}"
	done
	ss -Hltun --cgroup | awk -v agents="$agents" -v operator="$operator_port" -v opened="$(config_value network operator_ports '')" '
		BEGIN {
			count = split(agents, uids, " ")
			for (i = 1; i <= count; i++)
				agent[uids[i]] = 1
			# 9100from192.0.2.7,2600-2610/udp: blanks are gone
			count = split(opened, openings, ",")
			for (i = 1; i <= count; i++) {
				kind = openings[i] ~ /^[0-9-]+\/udp/ ? "udp" : "tcp"
				sub(/[^0-9-].*/, "", openings[i])
				last = split(openings[i], ends, "-") > 1 ? ends[2] : ends[1]
				for (number = ends[1]; number <= last; number++)
					open[kind, number] = 1
			}
		}
		{
			port = address = $5
			sub(/.*:/, "", port)
			sub(/:[^:]*$/, "", address)
			owner = $7
			sub(/^cgroup:/, "", owner)
		}
		address ~ /^127\./ || address ~ /^\[::1\]/ || address ~ /%lo$/ { next }
		$1 == "tcp" && (port == 22 || port == operator || owner ~ /^\/system\.slice\/sshd?\.service$/) { next }
		$1 == "udp" && (port == 68 || port == 546) { next }
		($1, port) in open { next }
		match(owner, /^\/user\.slice\/user-[0-9]+\.slice/) {
			uid = substr(owner, 1, RLENGTH)
			gsub(/[^0-9]/, "", uid)
			if (uid in agent)
				next
		}
		{
			gsub(/.*\/|[^A-Za-z0-9@._-]/, "", owner)
			if (!seen[$1, port]++)
				print $1 "/" port (owner ~ /\.(service|scope|socket)$/ ? " (" owner ")" : "")
		}' | sort -t/ -k2n | paste -sd, | sed 's/,/, /g'
}

enforce_start()
{
	local closed unit units=(creel-enforce.service creel-quota.service creel-count.timer)

	for unit in "${units[@]}"; do
		! systemctl -q is-enabled "$unit" 2>/dev/null || continue
		apply systemctl enable -q "$unit"
		changed "$unit: enabled"
	done
	[ -z "$offline" ] || return 0

	closed=$(enforce_closed)
	[ -z "$closed" ] ||
		note "firewall: from outside these do not answer: $closed; only SSH and agents' ports do (creel-enforce(8), firewall)"
	systemctl -q is-active creel-count.timer || need timer
	# disks get quotas before they get limits
	enforce_unit screen reload-or-restart run-screen.mount
	enforce_unit quota reload-or-restart creel-quota.service
	enforce_apply
	systemctl -q is-active 'creel-resolver@*.service' || settled resolvers
	enforce_unit resolvers try-restart 'creel-resolver@*.service'
	enforce_unit timer restart creel-count.timer
}
