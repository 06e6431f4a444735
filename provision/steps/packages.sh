# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Debian packages: what creel needs to run, what agents find on their VM, and what keeps the machine up to date. They come from the
# machine's own release of Debian, also where the operator has other sources beside it: a pin says so. What is newer already
# stays.

packages_pin=/etc/apt/preferences.d/creel

# Who keeps the clock already; two of them cannot be installed.
packages_clock()
{
	dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
		awk '$1 == "installed" && / time-daemon/ { print $2; exit }'
}

packages_wanted()
{
	local name clock

	clock=$(packages_clock)
	while read -r name; do
		[ "$name" != systemd-timesyncd ] || [ -z "$clock" ] || continue
		echo "$name"
	done < <(list_packages "$release" "$here"/packages/{runtime,agent,machine}.txt)
}

packages_installed()
{
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' | awk '$1 == "installed" { print $2 }' | sort
}

packages_pins()
{
	local suite names

	names=$(list_packages "$release" "$here"/packages/{runtime,agent,machine}.txt | sort -u | paste -sd' ')
	echo '# Written by provision.sh: what creel and its agents need comes from this release of Debian.'
	for suite in "$release" "$release-updates" "$release-security"; do
		printf '\nPackage: %s\nPin: release o=Debian,n=%s\nPin-Priority: 990\n' "$names" "$suite"
	done
}

packages_pin()
{
	local done=0

	text_put "$(packages_pins)" "$packages_pin" 644 || done=$?
	case $done in
	0) changed "packages: pinned to Debian's $release" ;;
	1) unchanged "packages: pinned to Debian's $release" ;;
	*) fail "$packages_pin cannot be written" ;;
	esac
}

packages_install()
{
	local wanted missing log had name

	packages_pin
	mapfile -t wanted < <(packages_wanted | sort -u)
	missing=$(comm -23 <(printf '%s\n' "${wanted[@]}") <(packages_installed) | paste -sd' ')
	if [ -z "$missing" ]; then
		unchanged "packages: all ${#wanted[@]} are installed"
		return
	fi
	changed "packages: $missing"
	[ -z "$dry_run" ] || return 0
	log=$(mktemp)
	had=$(packages_installed)
	# shellcheck disable=SC2086
	if ! {
		apt-get -q update &&
			DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y --no-install-recommends \
				-o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold install $missing
	} >"$log" 2>&1; then
		packages_remember "$had"
		tail -n 25 "$log" >&2
		fail "apt-get failed: see above; the whole of it is in $log"
	fi
	packages_remember "$had"
	rm -f "$log"
}

# What matplotlib found out about the machine's fonts, for the homes of agents to come: it looks at all of them where that is
# missing, which takes seconds, and an independent run keeps nothing for the next one.
fonts_prepare()
{
	local folder=/etc/skel/.cache/matplotlib

	# not grep -q: it would end before the list does, and pipefail take that for a list without it
	packages_wanted | grep -x python3-matplotlib >/dev/null || return 0
	if compgen -G "$folder/fontlist-*.json" >/dev/null; then
		unchanged "fonts: matplotlib's list is in /etc/skel"
		return
	fi
	before_note fonts "$folder"
	apply quietly env HOME=/nonexistent MPLCONFIGDIR="$folder" MPLBACKEND=Agg /usr/bin/python3 -c 'import matplotlib.font_manager'
	changed "fonts: matplotlib's list into /etc/skel, for new homes"
}

# packages_remember BEFORE: what came with it
packages_remember()
{
	local name

	while read -r name; do
		before_note package "$name"
	done < <(comm -13 <(printf '%s\n' "$1") <(packages_installed))
}

# What agents were told is there and this Debian does not have: named, with the way to it.
packages_python()
{
	local list=$from/usr/share/creel/requirements.txt missing

	[ -f "$list" ] && [ -x /usr/bin/python3 ] || return 0
	missing=$(sed -E 's/#.*//; s/[^A-Za-z0-9_].*//' "$list" | /usr/bin/python3 -Ic '
import importlib.util, sys
print(", ".join(name for name in sys.stdin.read().split() if importlib.util.find_spec(name) is None))')
	[ -z "$missing" ] ||
		note "Python: Debian has no $missing: an agent installs that itself, by /usr/share/creel/requirements.txt"
}
