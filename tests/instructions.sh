#!/usr/bin/env bash
# Prints how many instructions one reconciliation costs, by kind. Two counts are run, so that the cost of the start is left out.
# Usage: tests/instructions.sh PROGRAM
set -euo pipefail
program=$1
few=10
many=1010

if ! command -v valgrind >/dev/null; then
  as_root=
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  $as_root apt-get update >&2
  $as_root apt-get install --yes --no-install-recommends valgrind >&2
fi

instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' | grep .
}

for case in idle step abort; do
  first=$(instructions "$case" "$few")
  second=$(instructions "$case" "$many")
  printf '%-6s %8d instructions a reconciliation\n' "$case" "$(((second - first) / (many - few)))"
done
