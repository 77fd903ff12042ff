#!/bin/sh
# Inside the cluster of `make cluster-test`: the stories side by side, then those that load the machine, then the look back at rights.
# The whole workspace is named each time, so that cargo reuses what `make test` built.
set -eu
cd "$(dirname "$0")/.."

side_by_side=
for file in tests/tests/*.rs; do
    name=$(basename "$file" .rs)
    case $name in
    figures | rights) ;;
    *) side_by_side="$side_by_side --test $name" ;;
    esac
done

# shellcheck disable=SC2086 # a list of words
cargo test --locked --workspace $side_by_side -- --nocapture --test-threads 3
cargo test --locked --workspace --test figures -- --nocapture --test-threads 1
cargo test --locked --workspace --test rights -- --nocapture --ignored
