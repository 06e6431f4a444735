# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Debian packages: what creel needs to run, and what agents find on their VM.

packages_install()
{
	local wanted missing log

	mapfile -t wanted < <(list_lines "$here/packages/runtime.txt" "$here/packages/agent.txt")
	missing=$({
		printf '%s\n' "${wanted[@]}"
		# What is installed is listed twice, and so drops out below.
		{ dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || :; } |
			awk '$1 == "installed" { print $2; print $2 }'
	} | sort | uniq -u | paste -sd' ')
	if [ -z "$missing" ]; then
		unchanged "packages: all ${#wanted[@]} are installed"
		return
	fi
	changed "packages: $missing"
	[ -z "$dry_run" ] || return 0
	log=$(mktemp)
	# shellcheck disable=SC2086
	if ! {
		apt-get -q update &&
			DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y --no-install-recommends \
				-o Dpkg::Options::=--force-confold install $missing
	} >"$log" 2>&1; then
		tail -n 25 "$log" >&2
		fail "apt-get failed: see above; the whole of it is in $log"
	fi
	rm -f "$log"
}

# What matplotlib found out about the machine's fonts, for the homes of agents to come: it looks at all of them where that is
# missing, which takes seconds, and an independent run keeps nothing for the next one.
fonts_prepare()
{
	local folder=/etc/skel/.cache/matplotlib

	list_lines "$here/packages/agent.txt" | grep -qx python3-matplotlib || return 0
	if compgen -G "$folder/fontlist-*.json" >/dev/null; then
		unchanged "fonts: matplotlib's list is in /etc/skel"
		return
	fi
	apply quietly env HOME=/nonexistent MPLCONFIGDIR="$folder" MPLBACKEND=Agg /usr/bin/python3 -c 'import matplotlib.font_manager'
	changed "fonts: matplotlib's list into /etc/skel, for new homes"
}
