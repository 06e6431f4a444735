# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# /etc/creel/creel.conf: written once, then the operator's.

config=/etc/creel/creel.conf

# config_value SECTION KEY DEFAULT
config_value()
{
	local value=

	[ ! -f "$config" ] || value=$(awk -F= -v section="$1" -v key="$2" '
		/^[ \t]*\[/ { inside = $0 ~ "^[ \t]*\\[" section "\\]" }
		inside && $1 ~ "^[ \t]*" key "[ \t]*$" { sub(/[;#].*/, "", $2); gsub(/[ \t]/, "", $2); value = $2 }
		END { print value }' "$config")
	echo "${value:-$3}"
}

# Value of KEY in [front], or the default.
config_front()
{
	config_value front "$1" "$2"
}

config_write()
{
	if [ -f "$config" ]; then
		if [ -x /usr/sbin/creelctl ] && [ -z "$dry_run" ]; then
			quietly /usr/sbin/creelctl policy check "$config"
		fi
		unchanged "configuration: $config is yours"
	else
		# the generator reads it
		need manager
		[ -n "$dry_run" ] || {
			sed "s/@operator_port@/$operator_port_wanted/" "$here/config/creel.conf" >"$config.creel-new"
			chmod 644 "$config.creel-new"
			mv -fT "$config.creel-new" "$config"
		}
		changed "configuration: $config"
	fi
	operator_port=$(config_front operator_port "$operator_port_wanted")
	case $operator_port in
	'' | *[!0-9]*) fail "$config: operator_port is not a number" ;;
	22) fail "$config: operator_port is 22, which is the agents' port" ;;
	esac
}
