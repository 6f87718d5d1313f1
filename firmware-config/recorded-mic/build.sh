#!/bin/sh
# Builds the recorded-microphone plug-in into the folder given (default: .build/alsa at the
# top of the tree). Needs a C compiler, pkg-config and the ALSA headers (libasound2-dev).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../.build/alsa}
library=$out/libasound_module_pcm_bayscribe.so
if [ -e "$library" ] && [ "$library" -nt "$here/pcm_bayscribe.c" ] &&
    [ "$library" -nt "$here/control.h" ]; then exit 0; fi
mkdir -p "$out"
# shellcheck disable=SC2046 # a list of flags
"${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -DPIC -shared \
    $(pkg-config --cflags alsa) -o "$library.$$" "$here/pcm_bayscribe.c" $(pkg-config --libs alsa)
mv "$library.$$" "$library"
echo "built $library"
