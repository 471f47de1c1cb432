# SPDX-License-Identifier: Apache-2.0
# Sourced by ./try and ./check: packages that are missing are installed, nothing else is touched. Works offline when
# everything is there.
need_packages() {
        missing=
        for package in "$@"; do
                [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
        done
        [ -z "$missing" ] && return 0
        as_root=
        [ "$(id -u)" = 0 ] || as_root=sudo
        if [ -n "$as_root" ] && ! command -v sudo >/dev/null; then
                echo "missing packages:$missing" >&2
                echo "as root: apt-get install$missing" >&2
                return 1
        fi
        echo "installing:$missing"
        log=$(mktemp)
        if { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq \
             --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
                rm -f "$log"
                return 0
        fi
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
}
# As need_packages, but a failure is only reported: the tests that need them skip and say why.
want_packages() {
        need_packages "$@" || echo "going on without:$missing"
}
build_packages="gcc libc6-dev meson ninja-build pkg-config python3 musl-tools libssl-dev libcurl4-openssl-dev libedit-dev"
