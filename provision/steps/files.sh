# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The built files into the system. /var/lib/creel/installed remembers path and hash of each, so that files of an
# older version go away, and a file below /etc that the operator edited stays as it is.

files_list=/var/lib/creel/installed

# files_need PATH: what later steps must do because of it
files_need()
{
	case $1 in
	/usr/libexec/creel/* | /usr/sbin/*) need libraries ;;
	/usr/lib/systemd/* | /etc/systemd/*) need manager ;;
	esac
	case $1 in
	*/creel-enforce | */creel-enforce.service) need enforce ;;
	*/quota-on | */creel-quota.service) need quota enforce ;;
	*/creel-resolver@.service) need resolvers ;;
	*/creel-count.timer) need timer ;;
	*/run-screen.mount) need screen ;;
	*/creel-confine) need managers ;;
	*/creel-sshd | */creel-sshd.service) need front ;;
	*/creel-keeper | */creel-keeper@.service) need keepers ;;
	/usr/share/creel/profiles/*) need enforce keepers ;;
	# an agent's part of what the kernel remembers depends on its switches
	/usr/lib/sysctl.d/* | /usr/lib/modules-load.d/*) need switches enforce ;;
	/etc/ssh/*) need sshd ;;
	/usr/share/dbus-1/*) need bus ;;
	esac
}

# What is there now and what was put there last time, by path.
declare -A files_hash files_meta files_before

# One process for all files: a machine under load, or an emulated one, feels every one saved.
files_read()
{
	local hash path meta

	while read -r hash path; do
		files_hash[/$path]=$hash
	done < <(cd / && sha256sum -- "$@" 2>/dev/null | tr -d '\\' || :)
	while read -r path meta; do
		files_meta[/$path]=$meta
	done < <(cd / && stat -c '%n %F %a %u %g' -- "$@" 2>/dev/null || :)
	[ -f "$files_list" ] || return 0
	while read -r hash path; do
		files_before[$path]=$hash
	done <"$files_list"
}

files_install()
{
	local path hash mode target names written=0 kept=0 removed=0 list=''
	local -A wanted=()

	mapfile -t names < <(cd "$from" && find . \( -type f -o -type l \) -printf '%P\n' | sort)
	files_read "${names[@]}"

	while read -r hash path; do
		wanted[/$path]=$hash
	done < <(cd "$from" && sha256sum -- "${names[@]}")
	while read -r path mode target; do
		list+="${wanted[$path]} $path"$'\n'
		if [ -n "$target" ]; then
			[ ! -L "$path" ] || [ "$(readlink "$path")" != "$target" ] || continue
		elif [ "${files_hash[$path]:-} ${files_meta[$path]:-}" = "${wanted[$path]} regular file $mode 0 0" ]; then
			continue
		fi
		case $path in
		/etc/*)
			if [ -n "${files_hash[$path]:-}" ] && [ "${files_hash[$path]}" != "${wanted[$path]}" ] &&
				[ "${files_hash[$path]}" != "${files_before[$path]:-}" ]; then
				note "files: $path was edited here and stays"
				kept=$((kept + 1))
				continue
			fi
			;;
		esac
		files_need "$path"
		apply file_put "$from$path" "$path"
		written=$((written + 1))
	done < <(cd "$from" && find . \( -type f -o -type l \) -printf '/%P %m %l\n' | sort)

	for path in "${!files_before[@]}"; do
		[ -z "${wanted[$path]:-}" ] || continue
		[ -e "$path" ] || [ -L "$path" ] || continue
		files_need "$path"
		apply rm -f "$path"
		removed=$((removed + 1))
	done

	apply text_put "${list%$'\n'}" "$files_list" 644 || [ $? = 1 ] || fail "$files_list cannot be written"
	if [ $((written + removed)) -gt 0 ]; then
		changed "files: $written of ${#names[@]} installed, $removed removed"
	else
		unchanged "files: $((${#names[@]} - kept)) of ${#names[@]} as built"
	fi
}

# Units and generators are read again at most once.
manager_reload()
{
	needed manager && [ -z "$offline" ] || return 0
	live systemctl daemon-reload
	changed "service manager: reloaded"
	settled manager
}
