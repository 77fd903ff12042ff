#!/bin/sh
# Inside a cluster of `make node-test`: scenarios with real pods. First the installation, which they all share; then those that
# leave it as it is, in parallel; then those that change it.
#
# Each command names the whole workspace and its binaries, so that cargo resolves the same features and reuses the build of `make test`.
set -eu
# The variable is meant for the program that started this script. Cargo would rebuild because of the changed value.
unset CARGO_MANIFEST_DIR
cd "$(dirname "$0")/.."

run() {
    threads=$1
    shift
    cargo test --locked --workspace --bins --test node -- --nocapture --ignored --test-threads "$threads" "$@"
}

run 1 install::
run 3 rollouts:: traffic:: plugins:: roles::
run 1 certificates:: registry:: replaced:: drain:: removal:: chart::
# Last: it empties the cluster, CRDs included.
run 1 quick_start::
