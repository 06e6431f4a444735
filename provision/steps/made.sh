# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What must go for creel to be gone. Paths stand in made.txt; units are those among the files that were installed, so a new one
# is stopped and disabled without being named anywhere else.

# made_paths WHEN: those that are there
made_paths()
{
	local path

	while read -r path; do
		# a pattern, which names nothing as a rule
		compgen -G "$path" || :
	done < <(sed 's/#.*//' "$here/steps/made.txt" | awk -v when="$1" '$1 == when { print $2 }')
}

# made_units TYPE...: of the paths on stdin the units of these types, in their order; a template is TEMPLATE@*.TYPE
made_units()
{
	local type paths

	paths=$(cat)
	for type in "$@"; do
		sed -nE "s|^/usr/lib/systemd/system/([^/@]+@?)(\.$type)\$|\1\2|p" <<<"$paths" | sed 's/@\./@*./' | sort
	done
}

# made_enabled: of the units on stdin those that somebody enabled
made_enabled()
{
	local unit

	while read -r unit; do
		case $unit in
		*@*) continue ;;
		esac
		case $(systemctl is-enabled "$unit" 2>/dev/null || :) in
		enabled* | linked*) echo "$unit" ;;
		esac
	done
}

# What the node exporter would show for ever. Another file in its folder is not ours.
made_metrics()
{
	local file

	file=$(config_value metrics textfile /var/lib/prometheus/node-exporter)/creel.prom
	[ -f "$file" ] || return 0
	apply rm -f "$file"
	changed "metrics: $file is gone"
}
