#!/usr/bin/env bash
# Asks a real Prometheus (Debian's package, 2.42) what queries.txt asks, over the samples of samples.om, and prints the answers as one
# JSON line each: {"query", "time" or "start"/"end"/"step", "status", "answer"}. Run as: ./record.sh > answers.jsonl
set -euo pipefail
cd "$(dirname "$0")"
readonly ADDRESS=127.0.0.1:29090
folder=$(mktemp -d)
promtool tsdb create-blocks-from openmetrics samples.om "$folder/data" >/dev/null
echo '{}' > "$folder/prometheus.yml"
# The samples are of 2023 and would be dropped by the usual retention.
prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/data" --storage.tsdb.retention.time=100y \
  --web.listen-address="$ADDRESS" --log.level=warn 2> "$folder/log" &
server=$!
trap 'kill $server; wait $server || true; rm -r "$folder"' EXIT
until curl --silent --fail "http://$ADDRESS/-/ready" >/dev/null; do sleep 0.2; done

ask() { # path, then name=value…
  local path=$1 arguments=() parameter
  shift
  for parameter in "$@"; do arguments+=(--data-urlencode "$parameter"); done
  curl --silent --write-out '\n%{http_code}' "${arguments[@]}" "http://$ADDRESS/api/v1/$path" |
    jq --compact-output --slurp --arg path "$path" '{path: $path, asked: ($ARGS.positional | map(capture("^(?<key>[a-z]+)=(?<value>(.|\n)*)$")) | from_entries), status: .[1], answer: .[0]}' --args -- "$@"
}

while IFS= read -r query; do
  # Off the samples' grid, on it, just after a reset, and long after the last sample.
  for time in 1700000595.5 1700000600 1700000340 1700000904; do
    ask query "query=$query" "time=$time"
  done
  ask query_range "query=$query" start=1700000270 end=1700000390 step=15
done < queries.txt
