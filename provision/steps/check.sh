# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Refuses machines that creel cannot protect, before anything is touched.

# The machine's release of Debian, by its name.
release=

check_machine()
{
	local system virt

	[ "$(id -u)" = 0 ] || fail "must run as root"
	# shellcheck disable=SC1091
	system=$(. /etc/os-release && echo "${ID:-an unknown system} ${VERSION_ID:-}")
	case $system in
	"debian 12") release=bookworm ;;
	"debian 13") release=trixie ;;
	*) fail "this is $system; only Debian 12 (bookworm) and 13 (trixie) are supported" ;;
	esac
	[ "$(dpkg --print-architecture)" = amd64 ] ||
		fail "this machine is $(dpkg --print-architecture); only amd64 is supported"
	[ -z "$offline" ] || return 0

	[ -d /run/systemd/system ] ||
		fail "systemd does not run here: creel needs it as process 1 (--offline is for building images)"
	virt=$(systemd-detect-virt --container || :)
	[ "$virt" = none ] || fail "this is a container ($virt): creel needs a machine with a kernel of its own"
	[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] ||
		fail "/sys/fs/cgroup is not the unified hierarchy (cgroup v2): remove systemd.unified_cgroup_hierarchy=0"
	for controller in cpu memory pids io; do
		grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers ||
			fail "the kernel offers no cgroup controller \`$controller\`"
	done
	[ -e /sys/fs/cgroup/init.scope/cgroup.kill ] ||
		fail "kernel $(uname -r) is too old: no cgroup.kill (5.14 or later is needed)"
}

# Finds the built files, or builds them.
check_build()
{
	local file source

	if packaged_is; then
		[ -z "$from" ] || fail "--from is not for creel's Debian package: its files are dpkg's work"
		return
	fi
	if [ -z "$from" ]; then
		source=$(dirname "$here")
		if [ -d "$source/dest" ]; then
			from=$source/dest
		elif [ -f "$source/Makefile" ] && command -v make >/dev/null && command -v gcc >/dev/null; then
			make -s -C "$source" dest >&2 || fail "building $source failed; \`make deps\` installs what it needs"
			from=$source/build/vm/dest
		else
			fail "nothing to install: unpack a release (make tarball), or name built files by --from"
		fi
	fi
	[ -d "$from" ] || fail "$from: no such folder"
	for file in usr/libexec/creel/creel-sshd usr/libexec/creel/creel-keeper usr/sbin/creelctl \
		usr/lib/systemd/system/creel-sshd.socket usr/share/pam-configs/creel; do
		[ -f "$from/$file" ] || fail "$from is no complete build: $file is missing"
	done
}

# Before any door is moved: the programs must find their libraries. Asked of the installed files, since the folder they
# come from may be one where nothing can be executed.
check_libraries()
{
	local missing

	needed libraries && [ -z "$dry_run" ] || return 0
	missing=$(ldd /usr/libexec/creel/creel-* /usr/sbin/creelctl | awk '/not found/ { print $1 }' | sort -u | paste -sd' ')
	[ -z "$missing" ] || fail "creel's programs lack libraries here: $missing"
	settled libraries
}
