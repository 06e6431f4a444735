# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the steps share: saying what changed, and changing only what differs.
#
# A step asks first, then acts inside `apply`, so that --dry-run reports and does nothing. `changed` and `unchanged` are
# the report; exactly one of them a thing.

changes=0

# say LINE: to whoever called, and what matters to the journal too. The connection that this runs over may go away; the
# work is finished all the same.
say()
{
	printf '%s\n' "$1" 2>/dev/null || :
}

log()
{
	[ -n "$offline$dry_run" ] || logger -t creel-provision -- "$*" || :
}

fail()
{
	printf 'provision: %s\n' "$*" >&2 2>/dev/null || :
	log "failed: $*"
	exit 1
}

# changed THING: WHAT WAS DONE
changed()
{
	changes=$((changes + 1))
	if [ -n "$dry_run" ]; then
		say "  would do   $*"
	else
		say "  changed    $*"
		log "$*"
	fi
}

unchanged()
{
	say "  unchanged  $*"
}

note()
{
	say "  note       $*"
	log "$*"
}

# apply COMMAND...: not in a dry run
apply()
{
	[ -n "$dry_run" ] || "$@"
}

# live COMMAND...: not in a dry run, and only where the machine runs
live()
{
	[ -n "$dry_run" ] || [ -n "$offline" ] || "$@"
}

# quietly COMMAND...: its words count only when it fails
quietly()
{
	local words

	words=$("$@" 2>&1) || fail "\`$*\` failed: $words"
}

# file_put SOURCE DESTINATION: by rename, so that no reader ever sees half a file and a running program keeps its own
file_put()
{
	local new="$2.creel-new"

	mkdir -p "$(dirname "$2")"
	rm -f "$new"
	cp -P --preserve=mode "$1" "$new"
	[ -L "$new" ] || chown 0:0 "$new"
	mv -fT "$new" "$2"
}

# text_put TEXT DESTINATION MODE: returns 1 when nothing differed, 2 when it could not be written (said on stderr). Callers
# tell them apart, and so the shell does not end at the first failure in here: each has its own `|| return`.
text_put()
{
	if [ -f "$2" ] && [ "$(cat "$2")" = "$1" ] && [ "$(stat -c %a "$2")" = "$3" ]; then
		return 1
	fi
	[ -z "$dry_run" ] || return 0
	mkdir -p "$(dirname "$2")" || return 2
	printf '%s\n' "$1" >"$2.creel-new" || return 2
	chmod "$3" "$2.creel-new" || return 2
	mv -fT "$2.creel-new" "$2" || return 2
}

# What the machine enforces now, in the operator's own words: only what is not as it should be, and the verdict. It ends
# nothing: what is degraded was so before, or is said with its remedy.
report_doctor()
{
	local line

	[ -z "$offline$dry_run" ] && [ -x /usr/sbin/creelctl ] || return 0
	while IFS= read -r line; do
		say "  $line"
	done < <(timeout 120 /usr/sbin/creelctl doctor --brief || :)
}

report_end()
{
	report_doctor
	case $changes in
	0) say "provision: nothing to change" ;;
	*) say "provision: $changes ${dry_run:+to be }changed" ;;
	esac
}
