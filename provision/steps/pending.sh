# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What must still take effect because of what changed: a word a thing, written down before the change is made. So a run that
# failed is finished by the next one, which finds the files as built. An image has none: its first boot does it all.

pending_list=/var/lib/creel/pending
declare -A pending=()

pending_read()
{
	local word

	[ -z "$offline" ] && [ -f "$pending_list" ] || return 0
	while read -r word; do
		[ -z "$word" ] || pending[$word]=1
	done <"$pending_list"
}

# need WORD...: to be done by a later step
need()
{
	local word

	for word in "$@"; do
		[ -z "${pending[$word]:-}" ] || continue
		pending[$word]=1
		[ -z "$dry_run$offline" ] || continue
		mkdir -p "${pending_list%/*}" && printf '%s\n' "$word" >>"$pending_list" || fail "$pending_list cannot be written"
	done
}

needed()
{
	[ -n "${pending[$1]:-}" ]
}

# settled WORD: it is done
settled()
{
	needed "$1" || return 0
	unset "pending[$1]"
	[ -z "$dry_run$offline" ] || return 0
	if [ ${#pending[@]} = 0 ]; then
		rm -f "$pending_list"
	else
		text_put "$(printf '%s\n' "${!pending[@]}")" "$pending_list" 644 || [ $? = 1 ] ||
			fail "$pending_list cannot be written"
	fi
}
