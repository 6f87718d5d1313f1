#!/bin/sh
# The known answer of the fixed-point beam on aarch64, under qemu-user.
#
#   tests/hil/aarch64_beam.sh [SCRATCH]
#
# Unpacks a Debian 12 arm64 Python and the aarch64 wheel of numpy into SCRATCH (a
# temporary directory by default; a kept one makes the next run quick), runs
# tests/dsp/beam_golden.py there and exits 0 when its hash is the committed one.
# Runs as root on Debian 12; installs qemu-user-static and mmdebstrap where missing.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
numpy="numpy==2.2.6"
if [ $# -gt 0 ]; then
    scratch=$1
    mkdir -p "$scratch"
else
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
fi

missing=
command -v qemu-aarch64-static >/dev/null || missing="$missing qemu-user-static"
command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
command -v unzip >/dev/null || missing="$missing unzip"
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

root=$scratch/root
if [ ! -e "$scratch/root.done" ]; then
    rm -rf "$root"
    # Unpacked only: nothing of arm64 is run by the packager, so binfmt is not needed.
    mmdebstrap --quiet --architectures=arm64 --variant=extract \
        --include=python3.11-minimal,libpython3.11-minimal,libpython3.11-stdlib,libstdc++6,zlib1g \
        bookworm "$root"
    touch "$scratch/root.done"
fi
if [ ! -e "$scratch/numpy.done" ]; then
    rm -rf "$scratch/wheels" "$scratch/site"
    python=$repo/.venv/bin/python
    [ -x "$python" ] || python=python3
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
        --implementation cp --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 \
        --dest "$scratch/wheels" "$numpy"
    unzip -q "$scratch"/wheels/numpy-*.whl -d "$scratch/site"
    touch "$scratch/numpy.done"
fi

echo "$(uname -m) host, $(qemu-aarch64-static --version | head -n 1)"
PYTHONPATH=$repo/daemon:$scratch/site PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 \
    qemu-aarch64-static -L "$root" "$root/usr/bin/python3.11" \
    -c "import platform, numpy; print('guest', platform.machine(), 'numpy', numpy.__version__)"
PYTHONPATH=$repo/daemon:$scratch/site PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 \
    qemu-aarch64-static -L "$root" "$root/usr/bin/python3.11" \
    "$repo/tests/dsp/beam_golden.py" --check
echo "aarch64 gives the committed hash"
