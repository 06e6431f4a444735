# shellcheck shell=bash disable=SC2016,SC2034,SC2059,SC2064,SC2154
# SPDX-License-Identifier: MIT
#
# A bash session: runs in the shell whose state it keeps, as the agent, and answers the keeper on descriptor 3. The frames are
# those of python-repl.py; code with a NUL in it, which no variable holds, does not get here. For the lines that bash names in
# its messages to be the code's, the loop must be in the first line that it reads:
#
#   bash --noprofile --norc -c 'eval -- "$(<bash-repl.sh)"; eval -- "$_creel_loop"' '<run>'
#
# The code is evaluated there and not in a function, so that `declare` means what it means in a script. It may leave every
# loop that there is; so what follows a call is done before the next one, and the loop begins anew when it was left. An
# interrupt is a `break` out of everything, and in functions a debugger's answer that ends each of them; a DEBUG trap of the
# code's is lost by that. `set -e` and its like hold for one call. A shell that exits, which `set -e` may be the reason for, ends
# its session.

_creel_byte()
{
	local LC_ALL=C byte
	IFS= builtin read -r -d '' -n 1 -u 63 byte || builtin exit 0
	builtin printf -v "$1" %d "'$byte"
}

_creel_read()
{
	local LC_ALL=C type a b c d label sent
	_creel_byte type
	_creel_byte a
	_creel_byte b
	_creel_byte c
	_creel_byte d
	[[ $type == 82 ]] || builtin exit 1
	_creel_byte sent
	IFS= builtin read -r -d '' -u 63 label || builtin exit 0
	a=$((((a & 255) << 24 | (b & 255) << 16 | (c & 255) << 8 | d & 255) - ${#label} - 2))
	_creel_text=
	((a == 0)) || IFS= builtin read -r -d '' -N "$a" -u 63 _creel_text || builtin exit 0
	BASH_ARGV0=${label:-<run>}
	_creel_sent=$(((sent & 255) >> 2))
}

_creel_answer()
{
	local status
	builtin printf -v status '\\x%02x' "$2"
	builtin printf "D\\0\\0\\0\\2$1$status" >&63
}

# Between two calls: the end of the one, what it may have left behind for the driver, and the beginning of the other.
_creel_next()
{
	local status=$? was=$_creel_state
	# from here on an interrupt is none of that call
	_creel_state=idle
	builtin set +efnuvx
	if [[ $was == caught ]]; then
		_creel_answer i 0
	elif [[ $was == busy ]]; then
		if ((status == 0)); then
			_creel_answer o 0
		else
			_creel_answer x "$status"
		fi
	fi
	builtin trap "$_creel_on_interrupt" INT
	_creel_read
	_creel_account
	_creel_state=busy
	# it came before the code begins
	((_creel_came == 0)) || { _creel_state=caught && return 1; }
	return 0
}

# Of the interrupts that came since the call before, those that were sent before this one are none of its own. What traps of the
# code's took did not come here.
_creel_account()
{
	local before=$(((_creel_sent - _creel_sent_before + 64) % 64))

	_creel_sent_before=$_creel_sent
	((_creel_came = _creel_came > before ? _creel_came - before : 0))
	return 0
}

# Without a function of ours where SIGINT is taken: bash 5.2 crashes when one is called between the commands of a loop.
_creel_on_interrupt='{
	((++_creel_came))
	if [[ $_creel_state != busy ]]; then
		:
	elif ((${#FUNCNAME[@]})); then
		_creel_state=caught
		builtin set +e
		builtin trap "$_creel_on_command" DEBUG
		builtin shopt -s extdebug
	else
		_creel_state=caught
		break 999
	fi
} 2>/dev/null'
# Before each command, and extdebug asks what to do with it: 2 ends the function, 1 leaves it out, and `break 0` says 1 and
# leaves all loops.
_creel_on_command='{
	if [[ $BASH_COMMAND == _creel_next || $BASH_COMMAND == *\ \"\$_creel_loop\" ]]; then
		builtin trap - DEBUG
		builtin shopt -u extdebug
	elif ((${#FUNCNAME[@]})); then
		_creel_leave
	else
		break 0
	fi
} 2>/dev/null'

_creel_leave()
{
	return 2
}

_creel_loop='while { _creel_next; } 2>/dev/null; do eval -- "$_creel_text" 63>&-; done; eval -- "$_creel_loop"'
_creel_state=idle
_creel_came=0
_creel_sent_before=0
exec 63<&3 3<&-
builtin printf 'H\0\0\0\0' >&63
