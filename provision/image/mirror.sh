# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Where Debian is for this machine: the sources of its own apt, for whichever release.

# mirror_sources CODENAME: lines of a sources.list, or nothing. Every mirror has all releases beside each other. The archive's keys
# of releases to come are in the keyring of the one before.
mirror_sources()
{
	local wanted=$1 origin codename uri release component

	# shellcheck disable=SC2016  # apt's own variables
	apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		while read -r origin codename uri release component; do
			case $origin/$codename/$component in
			Debian/bookworm/main | Debian/bookworm-updates/main | Debian/bookworm-security/main) ;;
			*) continue ;;
			esac
			printf 'deb [signed-by=%s] %s %s %s\n' /usr/share/keyrings/debian-archive-keyring.gpg "$uri" \
				"${release/bookworm/$wanted}" "$component"
		done
}
