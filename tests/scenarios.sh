#!/bin/sh
# Inside a cluster of `make cluster-test`.
#
#   tests/scenarios.sh              scenarios in parallel, then those that load the machine, then the check for denied requests
#   tests/scenarios.sh stock-crd    scenarios that replace the cluster's CRDs, in a separate cluster: by the chart's, by Argo's, by a permissive one,
#                                   and those that replace its controller by Argo's
#
# Each command names the whole workspace and its binaries, so that cargo resolves the same features and reuses the build of `make test`.
set -eu
# The variable is meant for the program that started this script. Cargo would rebuild because of the changed value.
unset CARGO_MANIFEST_DIR
cd "$(dirname "$0")/.."

if [ "${1:-}" = stock-crd ]; then
    last=every_command_of_the_page_has_run
    cargo test --locked --workspace --bins --test migration -- --nocapture --ignored --test-threads 1 --skip "$last"
    cargo test --locked --workspace --bins --test migration -- --nocapture --ignored "$last"
    cargo test --locked --workspace --bins --test chart_crds -- --nocapture --ignored --test-threads 1
    cargo test --locked --workspace --bins --test stock_crd -- --nocapture --ignored
    exec cargo test --locked --workspace --bins --test loose_crd -- --nocapture --ignored
fi

parallel=
for entry in tests/tests/*; do
    name=$(basename "$entry" .rs)
    case $name in
    # The scenarios of a node have a cluster of their own: tests/node.sh.
    figures | analysis_figures | rights | stock_crd | loose_crd | chart_crds | migration | node) ;;
    *) parallel="$parallel --test $name" ;;
    esac
done

# shellcheck disable=SC2086 # a list of words
cargo test --locked --workspace --bins $parallel -- --nocapture --ignored --test-threads 3
cargo test --locked --workspace --bins --test figures --test analysis_figures -- --nocapture --ignored --test-threads 1
cargo test --locked --workspace --bins --test rights -- --nocapture --ignored
