#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compile sources into one relocatable object, or an archive where the output ends in .a, whatever the rest of the build uses.
# usage: build-objects.sh OUTPUT DEPFILE COMPILER FLAG... -- SOURCE...
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
archives=
for source in "$@"; do
        case $source in *.a) # compiled before
                archives="$archives $source"
                continue ;;
        esac
        n=$((n + 1))
        # shellcheck disable=SC2086 # the flags are words
        "$compiler" $flags -MD -MT "$output" -MF "$objects/$n.d" -c "$source" -o "$objects/$n.o"
done
cat "$objects"/*.d >"$depfile"
case $output in
*.a)
        rm -f "$output"
        ar rcsD "$output" "$objects"/*.o ;;
*)
        # shellcheck disable=SC2086
        ld -r -o "$output" "$objects"/*.o $archives ;;
esac
