#!/bin/sh
# SPDX-License-Identifier: MIT
#
# deps.sh: installs the Debian packages of packages/build.txt that are missing. Says nothing when none is.

set -eu

list=$(dirname "$0")/packages/build.txt
missing=
# shellcheck disable=SC2013  # package names hold no blanks
for package in $(sed 's/#.*//' "$list"); do
	file=${package#*:}
	[ "$file" = "$package" ] || [ ! -e "$file" ] || continue
	package=${package%%:*}
	case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

# shellcheck disable=SC1091
if ! (. /etc/os-release && [ "$ID:$VERSION_ID" = debian:12 ]); then
	echo "deps: creel is built and tested on Debian 12 (bookworm), and this is another system; missing:$missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: must run as root to install:$missing" >&2
	exit 1
fi

printf "  DEPS    %s\n" "$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# The package lists of a fresh machine are empty, and those of an old one name versions that mirrors no longer have.
# shellcheck disable=SC2086
if ! { apt-get -q update && apt-get -q -y --no-install-recommends install $missing; } >"$log" 2>&1; then
	tail -n 25 "$log" >&2
	echo "deps: apt-get failed: see above" >&2
	exit 1
fi
printf '  DEPS     installed\n'
