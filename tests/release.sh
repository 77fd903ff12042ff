#!/usr/bin/env bash
# Packages a release twice, from two clones of the commit and over the binary that is already built ($KULTA_BIN), and checks that both
# have the same bytes and that each part can be used. The image's base is the one that `tests/tools/build.sh node` has made.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$PWD/tests/tools/bin
base=$(realpath "$bin/base-image")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "tests/release.sh: line $LINENO: $BASH_COMMAND" >&2' ERR

package() {
  git clone --quiet . "$work/$1"
  (
    cd "$work/$1"
    export CARGO_TARGET_DIR=$work/$1/target HELM=$bin/helm
    export BUILDAH="buildah --root $work/store-$1 --runroot $work/state-$1 --storage-driver overlay --storage-opt overlay.imagestore=$base"
    deploy/release.sh
  )
}

package one
package two >/dev/null
diff --recursive --brief "$work/one/target/dist" "$work/two/target/dist"

cd "$work/one/target/dist"
sha256sum --check --quiet SHA256SUMS-*
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$work/one/Cargo.toml" | head -n 1)
mkdir "$work/unpacked"
tar --extract --file "kulta-$version"-linux-*.tar.gz --directory "$work/unpacked"
"$work/unpacked/kulta" --version | grep --fixed-strings "$version" >/dev/null
"$bin/helm" template kulta "kulta-$version.tgz" | grep --fixed-strings "image: docker.io/library/kulta:$version" >/dev/null
grep --quiet --fixed-strings "image: docker.io/library/kulta:$version" "kulta-$version-install.yaml"
mkdir "$work/image"
tar --extract --file "kulta-$version"-image-linux-*.tar --directory "$work/image"
# blob QUERY < DOCUMENT: the blob whose digest the query finds in an image's document.
blob() { cat "$work/image/blobs/$(jq --raw-output "$1" | tr : /)"; }
labels=$(blob '.manifests[0].digest' <"$work/image/index.json" | blob .config.digest | jq .config.Labels)
[ "$(jq --raw-output '."org.opencontainers.image.version"' <<<"$labels")" = "$version" ]
[ "$(jq --raw-output '."org.opencontainers.image.revision"' <<<"$labels")" = "$(git -C "$work/one" rev-parse HEAD)" ]
# wasmtime is in the binary, serde only in what the plugins are built from and in the binary.
grep --quiet '"name": "wasmtime"' "kulta-$version"-linux-*.cdx.json
grep --quiet '"name": "serde"' "kulta-$version-plugins.cdx.json"
[ "$(ls | wc -l)" = 7 ]
echo "release: 7 files, the same bytes from two clones"
