#!/bin/sh
# Counts the instructions that the controller takes for each upgrade of a fleet (valgrind; ROLLOUTS=20). The server in memory and its world
# run in the same thread and are left out; the network is not there.
set -eu
rollouts=${ROLLOUTS:-20}
target=${CARGO_TARGET_DIR:-target}
out=${OUT:-$target/callgrind.out}
# With symbols, by which callgrind tells what to count.
cargo rustc --release --locked -p kulta-seeds --bin kulta-seeds -- -C strip=none
valgrind --tool=callgrind --callgrind-out-file="$out" --collect-atstart=no \
    --toggle-collect='*kulta_seeds*fleet*measured*' --toggle-collect='*kulta_seeds*beside*work*' \
    "$target/release/kulta-seeds" --fleet "$rollouts"
callgrind_annotate --show=Ir "$out" | head -60
