#!/usr/bin/env bash
# Brings a fresh Debian or Ubuntu with Rust to where `make demo` (tools/setup.sh demo), `make test` (tools/setup.sh test)
# `make test-consensus` (tools/setup.sh consensus) or `make test-arm` (tools/setup.sh arm) can work. What is missing is installed when it can be: as root, or
# with a sudo that asks no password. Else it is named with the command to type. `tools/setup.sh has-node` only says whether
# Node is new enough.
set -euo pipefail

node_major_min=20
arm_target=aarch64-unknown-linux-gnu
arm_root=/usr/aarch64-linux-gnu

has() { command -v "$1" >/dev/null 2>&1; }

has_node() {
    local version
    has node && has npm || return 1
    version=$(node --version) && version=${version#v}
    [ "${version%%.*}" -ge "$node_major_min" ]
}

# The browser test takes the path in CHROMIUM, by default /usr/bin/chromium.
has_browser() { [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; }

# Headers of Boost, which Bitcoin Core's consensus code is compiled with.
has_boost() { has g++ && echo '#include <boost/version.hpp>' | g++ -E -x c++ - >/dev/null 2>&1; }

# Debian packages that the goal needs and that are not there.
missing_packages() {
    # libzmq is compiled with g++, TLS and others with cc; both come with the package g++ and libc6-dev.
    if ! has g++ || ! has cc; then echo g++; fi
    if ! has make; then echo make; fi
    if [ "$1" = test ] && has_node && ! has_browser; then echo chromium; fi
    if [ "$1" = consensus ]; then
        if ! has cmake; then echo cmake; fi
        if ! has_boost; then echo libboost-dev; fi
    fi
    if [ "$1" = arm ]; then
        # The package of the compiler brings the libraries that the emulator loads only as a recommendation.
        if ! has aarch64-linux-gnu-gcc; then echo gcc-aarch64-linux-gnu; fi
        if [ ! -e "$arm_root/lib/libc.so.6" ]; then echo libc6-dev-arm64-cross; fi
        if ! has qemu-aarch64; then echo qemu-user; fi
    fi
}

# How to run a command as root without being asked for a password; fails when there is no way.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

install_packages() {
    has apt-get || return 1
    echo "setup: installing the Debian packages: $*"
    # A mirror that is out of reach need not be the one with the package.
    as_root apt-get -o DPkg::Lock::Timeout=300 update </dev/null || true
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@" </dev/null
}

require_rust() {
    if ! has cargo; then
        echo "setup: Rust is missing. Install it with rustup, see https://rustup.rs, then open a new shell." >&2
        exit 1
    fi
    # The version is pinned in rust-toolchain.toml; rustup fetches it when it is not there yet.
    if ! cargo --version >/dev/null 2>&1; then
        echo "setup: fetching the pinned Rust"
        rustup toolchain install
    fi
}

require_arm_target() {
    if [ ! -d "$(rustc --print target-libdir --target "$arm_target")" ]; then
        echo "setup: fetching Rust's libraries for $arm_target"
        rustup target add "$arm_target" || {
            echo "setup: they are missing; type: rustup target add $arm_target" >&2
            exit 1
        }
    fi
}

require_packages() {
    local packages
    mapfile -t packages < <(missing_packages "$1")
    [ "${#packages[@]}" = 0 ] && return
    install_packages "${packages[@]}" || true
    mapfile -t packages < <(missing_packages "$1")
    [ "${#packages[@]}" = 0 ] && return
    echo "setup: these Debian packages are missing: ${packages[*]}" >&2
    echo "setup: type: sudo apt-get update && sudo apt-get install --yes ${packages[*]}" >&2
    if [[ " ${packages[*]} " == *" chromium "* ]]; then
        echo "setup: where the package chromium brings no /usr/bin/chromium (Ubuntu), install any Chromium or Chrome" >&2
        echo "setup: and set CHROMIUM to its path, such as: make test CHROMIUM=/snap/bin/chromium" >&2
    fi
    exit 1
}

case "${1:-}" in
    has-node) has_node ;;
    demo | test | consensus)
        require_packages "$1"
        require_rust
        ;;
    arm)
        require_packages arm
        require_rust
        require_arm_target
        ;;
    *)
        echo "usage: tools/setup.sh demo | test | consensus | arm | has-node" >&2
        exit 2
        ;;
esac
