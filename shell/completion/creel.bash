# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# bash(1) completes creel and crontab. Verbs, their own verbs and their options are what `creel help` and `creel VERB --help` say,
# so that there is no second list of them; names are files that jobs, services and crontabs leave.

# Verbs of creel, or of one of its verbs. A line of help begins with "creel", after blanks or "usage:".
_creel_verbs()
{
	local how=('help')
	[ $# = 0 ] || how=("$1" --help)
	creel "${how[@]}" 2>/dev/null </dev/null | sed -nE "s/^(usage:)? *creel ${1:+$1 }([a-z][a-z|-]*).*/\\2/p" | tr '|' '\n'
}

_creel_options()
{
	creel "$1" --help 2>/dev/null </dev/null | grep -oE -- '--[a-z][a-z-]*'
}

# Names of files without what stands around them: FOLDER PREFIX SUFFIX
_creel_files()
{
	local file
	for file in "$1/$2"*"$3"; do
		[ -e "$file" ] || continue
		file=${file##*/}
		file=${file#"$2"}
		printf '%s\n' "${file%"$3"}"
	done
}

_creel_names()
{
	case $1 in
	job | logs | stop) _creel_files "$HOME/.creel/jobs" '' .json ;;&
	service | logs | stop) _creel_files "${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user" '' .service ;;&
	screen | logs | stop) screen -ls 2>/dev/null | sed -nE 's/^\t[0-9]+\.([^\t]*)\t.*/\1/p' ;;&
	cron | logs) sed -nE 's/^# creel: ([A-Za-z0-9._-]+)$/\1/p' "$HOME/.config/creel/crontab" 2>/dev/null ;;
	esac | sort -u
}

_creel()
{
	local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} i
	COMPREPLY=()

	# what is behind `--` is a command of somebody else's
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [ "${COMP_WORDS[i]}" = -- ]; then
			mapfile -t COMPREPLY < <(compgen -A file -A command -- "$word")
			return
		fi
	done
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_creel_verbs) --version" -- "$word")
	elif [ "$verb" = help ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_creel_verbs)" -- "$word")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_creel_options "$verb") --help" -- "$word")
	else
		case $verb in
		job | service | screen | cron | sessions)
			if [ "$COMP_CWORD" = 2 ]; then
				mapfile -t COMPREPLY < <(compgen -W "$(_creel_verbs "$verb")" -- "$word")
				return
			elif [ "$COMP_CWORD" = 3 ] && [[ ${COMP_WORDS[2]} != @(start|create|add|next) || $verb = service && ${COMP_WORDS[2]} = start ]]; then
				mapfile -t COMPREPLY < <(compgen -W "$(_creel_names "$verb")" -- "$word")
				return
			fi
			;;
		logs | stop)
			mapfile -t COMPREPLY < <(compgen -W "$(_creel_names "$verb")" -- "$word")
			return
			;;
		esac
		mapfile -t COMPREPLY < <(compgen -A file -- "$word")
	fi
}

_creel_crontab()
{
	local word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '-l -e -r -i' -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -A file -- "$word")
	fi
}

complete -o filenames -F _creel creel
complete -o filenames -F _creel_crontab crontab
