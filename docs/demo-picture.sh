#!/bin/sh
# Regenerates docs/demo.svg from a real run: the last screen before the bad version is rolled back.
# Needs tmux, python3 and a binary: the one of `make build`, or the one that the first argument names.
set -eu
cd "$(dirname "$0")/.."

kulta=${1:-${CARGO_TARGET_DIR:-target}/release/kulta}
session=kulta-demo-picture-$$
columns=110
rows=34
folder=$(mktemp -d)
trap 'tmux kill-session -t "$session" 2>/dev/null || true; rm -rf "$folder"' EXIT

tmux new-session -d -s "$session" -x "$columns" -y "$rows" "$kulta demo"
while tmux capture-pane -e -p -t "$session" >"$folder/now" 2>/dev/null; do
    if grep -q 'back to v2' "$folder/now"; then
        python3 docs/terminal-svg.py "kulta demo: a bad version takes a tenth of the requests" <"$folder/before" >docs/demo.svg
        exit 0
    fi
    if grep -q 'a bad version, v3' "$folder/now"; then
        cp "$folder/now" "$folder/before"
    fi
    sleep 0.2
done
echo "demo-picture: the demo ended before its last part" >&2
exit 1
