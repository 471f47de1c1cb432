#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compile sources to one WebAssembly module and translate it to C.
# usage: build-wasm.sh OUTPUT.c OUTPUT.h DEPFILE CLANG WASM2C NAME FLAG... -- SOURCE...
set -eu
output=$1 header=$2 depfile=$3 clang=$4 wasm2c=$5 name=$6
shift 6
flags=
while [ "$1" != -- ]; do
        flags="$flags $1"
        shift
done
shift
objects=$(mktemp -d "$output.XXXXXX")
trap 'rm -rf "$objects"' EXIT
n=0
for source in "$@"; do
        n=$((n + 1))
        # shellcheck disable=SC2086 # the flags are words
        "$clang" --target=wasm32-wasi $flags -MD -MT "$output" -MF "$objects/$n.d" -c "$source" -o "$objects/$n.o"
done
cat "$objects"/*.d >"$depfile"
# The stack first, so that running over it is an access outside of the memory and not into data.
"$clang" --target=wasm32-wasi -nostartfiles -Wl,--no-entry,--strip-all,--gc-sections,--stack-first,-z,stack-size=1048576 \
        -Wl,--max-memory=4294901760 "$objects"/*.o -o "$objects/module.wasm"
"$wasm2c" --no-debug-names -n "$name" "$objects/module.wasm" -o "$objects/$(basename "$output")"
mv "$objects/$(basename "$output")" "$output"
mv "$objects/$(basename "$header")" "$header"
