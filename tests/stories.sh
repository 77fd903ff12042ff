#!/bin/sh
# Inside a cluster of `make cluster-test`.
#
#   tests/stories.sh              the stories side by side, then those that load the machine, then the look back at rights
#   tests/stories.sh stock-crd    those that replace the cluster's Rollout CRD, in a cluster of their own: by Argo's, then by a loose one
#
# The whole workspace is named each time, so that cargo reuses what `make test` built.
set -eu
# It was meant for the program that started this; to cargo it is a change, and a reason to build anew.
unset CARGO_MANIFEST_DIR
cd "$(dirname "$0")/.."

if [ "${1:-}" = stock-crd ]; then
    cargo test --locked --workspace --test stock_crd -- --nocapture --ignored
    exec cargo test --locked --workspace --test loose_crd -- --nocapture --ignored
fi

side_by_side=
for entry in tests/tests/*; do
    name=$(basename "$entry" .rs)
    case $name in
    figures | analysis_figures | rights | stock_crd | loose_crd) ;;
    *) side_by_side="$side_by_side --test $name" ;;
    esac
done

# shellcheck disable=SC2086 # a list of words
cargo test --locked --workspace $side_by_side -- --nocapture --include-ignored --test-threads 3
cargo test --locked --workspace --test figures --test analysis_figures -- --nocapture --include-ignored --test-threads 1
cargo test --locked --workspace --test rights -- --nocapture --ignored
