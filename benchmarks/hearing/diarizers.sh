#!/bin/sh
# Make .venv-diarizers, the environment of the packaged diarizers that hearing is compared with.
# On demand, for it holds torch: ./run bench hearing has their rows when it is there.
# The list has torch's build for the CPU, which PyPI does not carry: pip is to know of a place
# that has it (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL).
# Does nothing when it is there and the list has not changed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
venv=$top/.venv-diarizers
want=$(sha256sum < "$here/diarizers.txt")
if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi

python=$top/.venv/bin/python
[ -x "$python" ] || { echo "diarizers.sh: say ./run setup first" >&2; exit 2; }
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
rm -f "$venv/.stamp"
"$venv/bin/python" -m pip install -q --disable-pip-version-check \
    --require-hashes -r "$here/diarizers.txt"
echo "$want" > "$venv/.stamp"
