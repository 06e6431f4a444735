#!/bin/bash
# SPDX-License-Identifier: MIT
#
# provision.sh: makes a Debian 12 or 13 machine an agent VM, and gives it back.
#
#   --from FOLDER        the built files, as `make install DESTDIR=FOLDER` gives them. Default: the folder dest/ beside
#                        this one (a release), else this source tree is built. Node.js is in the folder node/ beside it
#   --operator-port N    where the operator's OpenSSH goes (default 2222), when /etc/creel/creel.conf is written first
#   --without-node       Node.js and its libraries are not brought
#   --remove             gives the machine back: OpenSSH where it was, nothing of creel; /etc/creel and the record stay
#   --agents             with --remove: agents are stopped and removed first, else they are a reason to refuse; their homes stay
#   --homes              with --remove --agents: their homes go as well
#   --purge              with --remove: /etc/creel, the record and creel's state go as well
#   --dry-run            says what would change, changes nothing
#   --offline            the tree is not running (an image being built, in a chroot): files only, nothing is started
#   --help
#
# Of a Debian package it is /usr/share/creel/provision/provision.sh, whose files are dpkg's work (steps/packaged.sh): where that package
# is, another provision.sh does nothing, and who removes is apt.
#
# Runs over the very OpenSSH that it moves: connections that stand stay, and the new port answers before port 22
# changes hands. What can fail comes before the move; behind it only the front starts. Run again, it changes only what
# differs. Exit status: 0 done, 1 refused or failed (with the reason), 2 usage. One step is one file in steps/.

set -eEuo pipefail
trap 'echo "provision: unexpected failure of \`$BASH_COMMAND\` in ${FUNCNAME[0]:-main}, line $LINENO" >&2' ERR
export LC_ALL=C.UTF-8
umask 022
# Half a move of the operator's door would be the worst end: a lost connection must not end this.
trap '' HUP PIPE

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
from=
operator_port_wanted=2222
dry_run=
offline=
step=
without_node=
removing=
remove_agents=
remove_homes=
purge=

# shellcheck source=steps/lib.sh
. "$here/steps/lib.sh"
# shellcheck source=steps/lists.sh
. "$here/steps/lists.sh"
# shellcheck source=steps/made.sh
. "$here/steps/made.sh"
# shellcheck source=steps/before.sh
. "$here/steps/before.sh"
# shellcheck source=steps/pending.sh
. "$here/steps/pending.sh"
# shellcheck source=steps/check.sh
. "$here/steps/check.sh"
# shellcheck source=steps/packages.sh
. "$here/steps/packages.sh"
# shellcheck source=steps/node.sh
. "$here/steps/node.sh"
# shellcheck source=steps/upkeep.sh
. "$here/steps/upkeep.sh"
# shellcheck source=steps/files.sh
. "$here/steps/files.sh"
# shellcheck source=steps/accounts.sh
. "$here/steps/accounts.sh"
# shellcheck source=steps/hostkey.sh
. "$here/steps/hostkey.sh"
# shellcheck source=steps/config.sh
. "$here/steps/config.sh"
# shellcheck source=steps/journal.sh
. "$here/steps/journal.sh"
# shellcheck source=steps/operator.sh
. "$here/steps/operator.sh"
# shellcheck source=steps/switches.sh
. "$here/steps/switches.sh"
# shellcheck source=steps/enforce.sh
. "$here/steps/enforce.sh"
# shellcheck source=steps/doors.sh
. "$here/steps/doors.sh"
# shellcheck source=steps/front.sh
. "$here/steps/front.sh"
# shellcheck source=steps/packaged.sh
. "$here/steps/packaged.sh"
# shellcheck source=steps/operator-back.sh
. "$here/steps/operator-back.sh"
# shellcheck source=steps/remove.sh
. "$here/steps/remove.sh"

usage()
{
	sed -n '/^#   --/,/^#   --help/s/^#   //p' "$here/provision.sh" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--from | --operator-port)
		[ $# -ge 2 ] || usage
		case $1 in
		--from) from=$2 ;;
		*) operator_port_wanted=$2 ;;
		esac
		shift
		;;
	--dry-run) dry_run=1 ;;
	--offline) offline=1 ;;
	--configure | --unconfigure) packaged_is || usage ;;&
	--configure) step=packaged_configure ;;
	--unconfigure) step=packaged_unconfigure ;;
	--without-node) without_node=1 ;;
	--remove) removing=1 ;;
	--agents) remove_agents=1 ;;
	--homes) remove_homes=1 ;;
	--purge) purge=1 ;;
	*) usage ;;
	esac
	shift
done
case $operator_port_wanted in
'' | *[!0-9]* | 0* | ??????*) fail "--operator-port: not a port number" ;;
esac

[ -n "$removing" ] || [ -z "$remove_agents$purge" ] || usage
[ -n "$remove_agents" ] || [ -z "$remove_homes" ] || usage
[ -z "$removing" ] || [ -z "$offline$from$without_node" ] || usage

if [ -n "$step" ]; then
	"$step"
	exit
fi
check_machine
packaged_refuse
if [ -n "$removing" ]; then
	remove_all
	exit 0
fi
check_build
node_check
doors_check
pending_read
packages_install
fonts_prepare
node_install
upkeep
if packaged_is; then
	packaged_files
else
	files_install
fi
check_libraries
accounts_make
hostkey_make
config_write
journal_keep
manager_reload
switches_set
enforce_start
doors_close
operator_move
front_start
packages_python
report_end
