#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compile sources into one static program without a sanitizer, whatever the rest of the build uses.
# usage: build-guest.sh OUTPUT DEPFILE COMPILER FLAG... -- SOURCE...
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
        case $source in *.a)
                archives="$archives $source"
                continue ;;
        esac
        n=$((n + 1))
        case $source in *.o) # compiled before
                cp "$source" "$objects/$n.o"
                : >"$objects/$n.d"
                continue ;;
        esac
        # shellcheck disable=SC2086 # the flags are words
        "$compiler" $flags -MD -MT "$output" -MF "$objects/$n.d" -c "$source" -o "$objects/$n.o"
done
cat "$objects"/*.d >"$depfile"
# shellcheck disable=SC2086
"$compiler" $flags -static -no-pie -s -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--build-id=none "$objects"/*.o $archives \
        -o "$output"
