#!/bin/sh
# Installs what this machine needs to build the plugins for wasm32-unknown-unknown.
# rustup adds the target. If rustup cannot fetch it, Debian's rustc-web packages provide it.
set -eu
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown

has_target() {
    libdir=$(rustc --print target-libdir --target "$target" 2>/dev/null) && [ -d "$libdir" ]
}

if has_target; then
    echo "plugins: $target is installed"
    exit 0
fi

if command -v rustup >/dev/null && rustup target add "$target" && has_target; then
    exit 0
fi

if command -v apt-get >/dev/null; then
    echo "plugins: rustup could not add $target; installing Debian's rustc-web"
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    $as_root apt-get update
    $as_root apt-get install --yes --no-install-recommends rustc-web cargo-web rust-web-src
    exit 0
fi

echo "plugins: install the Rust target $target (rustup target add $target)" >&2
exit 1
