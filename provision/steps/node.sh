# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Node.js 22, npm and the libraries that agents were told are there, from the release's folder node/ (image/node.sh made it), into
# /opt/node. Debian's is older. A tree there that is not ours stays, and so does another node in /usr/bin.

node_tree=/opt/node
node_stamp=

# The first major version that will do; code of agents in TypeScript needs 22.
node_enough()
{
	local version

	version=$("$1" --version 2>/dev/null) || return 1
	version=${version#v}
	[ "${version%%.*}" -ge 22 ] 2>/dev/null
}

# Before anything is changed: where it comes from.
node_check()
{
	local source none

	[ -z "$without_node" ] || return 0
	source=$(dirname "$from")/node
	none="none in $source: use a release (make tarball), \`make node\`, or --without-node"
	if packaged_is; then
		source=
		none="creel's Debian package brings none: put one there (/opt/node or /usr/bin/node), or say --without-node"
	fi
	if [ -n "$source" ] && [ -f "$source/node.tar.gz" ] && [ -f "$source/stamp" ]; then
		node_stamp=$(cat "$source/stamp")
		node_source=$source/node.tar.gz
	elif [ ! -f "$node_tree/creel-stamp" ] && ! node_enough "$node_tree/bin/node" && ! node_enough /usr/bin/node; then
		fail "there is no Node.js 22 here, and $none"
	fi
}

node_link()
{
	local name made=''

	for name in node npm npx; do
		[ ! -e "/usr/bin/$name" ] && [ ! -L "/usr/bin/$name" ] || continue
		apply ln -s "../../opt/node/bin/$name" "/usr/bin/$name"
		made+=" $name"
	done
	[ -z "$made" ] || changed "Node.js: in /usr/bin:$made"
}

# The new tree takes the old one's place at once; programs that run keep theirs. What npm was set up for on this machine stays.
node_put()
{
	local new=$node_tree.creel-new old=$node_tree.creel-old

	rm -rf "$new" "$old"
	mkdir -p "$new"
	quietly tar -xzf "$node_source" -C "$new" --no-same-owner
	[ ! -d "$node_tree/etc" ] || cp -a "$node_tree/etc" "$new/"
	[ ! -e "$node_tree" ] || mv "$node_tree" "$old"
	mv "$new" "$node_tree"
	rm -rf "$old"
}

node_install()
{
	if [ -n "$without_node" ]; then
		unchanged "Node.js: not asked for"
		return
	fi
	if [ -e "$node_tree" ] && [ ! -f "$node_tree/creel-stamp" ]; then
		note "Node.js: $node_tree is yours and stays; the libraries of agents are yours to bring"
	elif [ -z "$node_stamp" ] && [ ! -f "$node_tree/creel-stamp" ]; then
		note "Node.js: $(readlink -f /usr/bin/node) is yours and stays; the libraries of agents are yours to bring"
	elif [ -n "$node_stamp" ] && [ "$(cat "$node_tree/creel-stamp" 2>/dev/null)" != "$node_stamp" ]; then
		apply node_put
		changed "Node.js: in $node_tree, with npm and libraries"
	else
		unchanged "Node.js: $("$node_tree/bin/node" --version) in $node_tree"
	fi
	[ ! -d "$node_tree" ] && [ -z "$dry_run" ] || node_link
}
