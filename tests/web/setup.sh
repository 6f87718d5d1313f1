#!/bin/sh
# Fetch the accessibility checker that the pages are tested with, into .build/web; needs the
# Node.js of tests/peers/setup.sh. Does nothing when it is there.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out=$top/.build/web
stamp=$out/.stamp

want=$(cd "$here" && cat package-lock.json setup.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi

mkdir -p "$out"
rm -f "$stamp"
cp "$here/package.json" "$here/package-lock.json" "$out/"
node=$(cat "$top/.build/peers/node-path")
npm=$(dirname "$node")/../lib/node_modules/npm/bin/npm-cli.js
(cd "$out" && PATH="$(dirname "$node"):$PATH" "$node" "$npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error)
echo "$want" > "$stamp"
