#!/bin/sh
# Builds the documentation as a site into target/book. mdBook is installed once, into KULTA_CACHE (default: $XDG_CACHE_HOME/kulta,
# ~/.cache/kulta), with search and without its server and watcher.
set -eu

MDBOOK_VERSION=0.5.4

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=${KULTA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kulta}/tools/mdbook-$MDBOOK_VERSION

if [ ! -x "$root/bin/mdbook" ]; then
    echo "docs/build.sh: installing mdBook $MDBOOK_VERSION, which takes some minutes" >&2
    # Outside the repository, whose target folder and toolchain are not for other programs.
    (cd "$HOME" && env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$root" --no-default-features --features search \
        --version "$MDBOOK_VERSION" mdbook)
fi
exec "$root/bin/mdbook" build "$here"
