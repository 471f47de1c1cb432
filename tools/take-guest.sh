#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In the place of a script that builds a guest: takes its outputs from another build folder of the same sources. Guests are compiled
# alike whatever the sanitizers of the host side, and that takes a third of a build.
# usage: take-guest.sh BUILD OUTPUT... DEPFILE.d ANYTHING...
set -eu
build=$1
shift
taken=
for word in "$@"; do
        case $word in *.d)
                depfile=$word
                break ;;
        esac
        cp "$build/$word" "$word"
        taken="$taken $build/$word"
done
echo "$1:$taken" >"$depfile"
