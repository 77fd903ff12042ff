#!/usr/bin/env bash
# Builds KULTA's image and runs it in a kind cluster with Gateway API's CRDs. Needs docker (or podman), kind and kubectl.
# The project's tests have none of these: they run the image's final stage and the same manifests on a node (make node-test).
#
#   deploy/kind.sh [CLUSTER]        default cluster: kulta; created if it does not exist
#   GATEWAY_API=<file or URL>       the CRDs of Gateway API, such as a release's standard-install.yaml; if unset, none are applied
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=${1:-kulta}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The full name: podman would otherwise build localhost/kulta, which the kubelet of the manifests does not look for.
image=docker.io/library/kulta:$version
engine=$(command -v docker || command -v podman) || { echo "deploy/kind.sh: docker or podman is needed" >&2; exit 1; }
for tool in kind kubectl; do
  command -v "$tool" >/dev/null || { echo "deploy/kind.sh: $tool is needed" >&2; exit 1; }
done

"$engine" build -f deploy/Containerfile --build-arg "VERSION=$version" -t "$image" .
kind get clusters | grep -qx "$cluster" || kind create cluster --name "$cluster"
archive=$(mktemp --suffix .tar)
trap 'rm -f "$archive"' EXIT
"$engine" save -o "$archive" "$image"
kind load image-archive "$archive" --name "$cluster"

context=kind-$cluster
[ -z "${GATEWAY_API:-}" ] || kubectl --context "$context" apply --server-side -f "$GATEWAY_API"
kubectl --context "$context" apply --server-side -k deploy
kubectl --context "$context" -n kulta-system rollout status deployment/kulta --timeout 120s
