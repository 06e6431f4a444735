# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What creel found, or brought that is not its own: a line a thing, KIND VALUE, written down before the change is made. So --remove
# can give the machine back (remove.sh). What was noted once stays: a second run finds what the first one made.

before_list=/var/lib/creel/before

# before_note KIND VALUE...
before_note()
{
	[ -z "$dry_run" ] || return 0
	! grep -qsxF -- "$*" "$before_list" || return 0
	mkdir -p "${before_list%/*}" && printf '%s\n' "$*" >>"$before_list" || fail "$before_list cannot be written"
}

# before_values KIND: what was noted of that kind
before_values()
{
	[ ! -f "$before_list" ] || sed -n "s/^$1 //p" "$before_list"
}
