#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compile sources into one relocatable object, whatever the rest of the build uses.
# usage: build-relocatable.sh OUTPUT DEPFILE COMPILER FLAG... -- SOURCE...
set -eu
output=$1 depfile=$2 compiler=$3
shift 3
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
        "$compiler" $flags -MD -MT "$output" -MF "$objects/$n.d" -c "$source" -o "$objects/$n.o"
done
cat "$objects"/*.d >"$depfile"
ld -r -o "$output" "$objects"/*.o
