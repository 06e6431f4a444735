# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Package lists: one package a line, from a # on a comment. `NAME [CODENAME]` is of that release of Debian alone. Used by
# provision.sh and by image/base.sh.

# list_packages CODENAME FILE...
list_packages()
{
	local release=$1

	shift
	sed 's/#.*//' "$@" | awk -v release="[$release]" 'NF == 1 || $2 == release { print $1 }'
}
