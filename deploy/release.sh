#!/usr/bin/env bash
# Builds what a release consists of, for this machine's architecture, into target/dist (`make release`):
#
#   kulta-VERSION-linux-ARCH.tar.gz        the binary
#   kulta-VERSION-image-linux-ARCH.tar     the image, as an OCI archive: skopeo copy oci-archive:FILE docker://...
#   kulta-VERSION.tgz                      the Helm chart
#   kulta-VERSION-install.yaml             the plain manifests with the CRDs: kubectl apply --server-side -f FILE
#   kulta-VERSION-linux-ARCH.cdx.json      SBOM of the binary (CycloneDX)
#   kulta-VERSION-plugins.cdx.json         SBOM of the plugins that the binary embeds
#   SHA256SUMS-linux-ARCH                  checksums of these files
#
# The same commit gives the same bytes: time stamps are the commit's, and no path of the machine is in the binary. The image also
# depends on the base that the Containerfile names.
#
#   deploy/release.sh                      needs git, rustup's toolchain, buildah, jq, and helm from tests/tools/build.sh
#   HELM=<program>                         default: tests/tools/bin/helm
#   BUILDAH=<command>                      default: buildah; may have arguments, such as --root
#   KULTA_BIN=<binary>                     packages this binary and builds none
set -euo pipefail
cd "$(dirname "$0")/.."

CYCLONEDX_VERSION=0.5.9

helm=${HELM:-tests/tools/bin/helm}
read -ra buildah <<<"${BUILDAH:-buildah}"
target=${CARGO_TARGET_DIR:-target}
dist=$target/dist
work=$target/dist-work

fail() {
  echo "deploy/release.sh: $1" >&2
  exit 1
}

[ -z "$(git status --porcelain)" ] || fail "the working tree differs from its commit: commit or stash the changes"
command -v "$helm" >/dev/null || fail "$helm is missing: run tests/tools/build.sh helm, or set HELM"
command -v "${buildah[0]}" >/dev/null || fail "${buildah[0]} is missing: install buildah, or set BUILDAH"
command -v jq >/dev/null || fail "jq is missing: install it"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) fail "no release is built for $(uname -m)" ;;
esac
image=docker.io/library/kulta:$version
name=kulta-$version

rm -rf "$dist" "$work"
mkdir -p "$dist" "$work"
# Relative paths stay valid in the folders that commands below change to.
dist=$(realpath "$dist") work=$(realpath "$work")

# archive FOLDER ENTRY...: a tar whose bytes depend on names and contents alone.
archive() {
  local folder=$1
  shift
  tar --directory "$folder" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode='u+rw,go+r-w,a+X' \
    --mtime="@$SOURCE_DATE_EPOCH" --create "$@"
}

if [ -n "${KULTA_BIN:-}" ]; then
  binary=$KULTA_BIN
else
  cargo_home=${CARGO_HOME:-$HOME/.cargo}
  # A folder of its own, so that these flags do not make the builds of other targets stale.
  remap=--remap-path-prefix
  flags=$(printf '%s\x1f' "$remap=$PWD=/kulta" "$remap=$cargo_home=/cargo" "$remap=$(realpath "$target")=/target")
  CARGO_ENCODED_RUSTFLAGS=${flags%$'\x1f'} \
    CARGO_TARGET_DIR=$target/dist-build cargo build --release --locked -p kulta
  binary=$target/dist-build/release/kulta
fi
mkdir "$work/binary"
install -m 0755 "$binary" "$work/binary/kulta"
cp LICENSE CHANGELOG.md "$work/binary/"
archive "$work/binary" CHANGELOG.md LICENSE kulta | gzip --no-name >"$dist/$name-linux-$arch.tar.gz"

# The Containerfile's final stage over this binary.
stage=$work/stage
install -D -m 0755 "$binary" "$stage/src/target/release/kulta"
install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$stage/etc/ssl/certs/ca-certificates.crt"
mkdir "$work/context"
"${buildah[@]}" build --quiet --file deploy/Containerfile --build-context "build=$stage" --timestamp "$SOURCE_DATE_EPOCH" \
  --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --tag "$image" "$work/context" >/dev/null
"${buildah[@]}" push --quiet "$image" "oci:$work/image:$image"
archive "$work/image" blobs index.json oci-layout >"$dist/$name-image-linux-$arch.tar"

# helm checks and selects the files; its package has the time of its making, so it is packed again.
"$helm" package deploy/chart --destination "$work" >/dev/null
mkdir "$work/chart"
tar --directory "$work/chart" --extract --file "$work/$name.tgz"
archive "$work/chart" kulta | gzip --no-name >"$dist/$name.tgz"

for file in deploy/namespace.yaml crds/*.yaml deploy/rbac.yaml deploy/aggregated-roles.yaml deploy/controller.yaml; do
  printf -- '---\n'
  cat "$file"
done >"$dist/$name-install.yaml"

cyclonedx=${KULTA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kulta}/tools/cargo-cyclonedx-$CYCLONEDX_VERSION
if [ ! -x "$cyclonedx/bin/cargo-cyclonedx" ]; then
  echo "deploy/release.sh: installing cargo-cyclonedx $CYCLONEDX_VERSION, which takes some minutes" >&2
  # Outside the repository, whose target folder and toolchain are not for other programs.
  (cd "$HOME" && env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$cyclonedx" --version "$CYCLONEDX_VERSION" cargo-cyclonedx)
fi

# The tool writes beside each Cargo.toml, so it reads a copy of the commit, whose folder is then taken out of the identifiers.
mkdir "$work/source"
git archive HEAD | tar --directory "$work/source" --extract
sbom() {
  (cd "$work/source/$1" && shift &&
    "$cyclonedx/bin/cargo-cyclonedx" cyclonedx -qq --format json --spec-version 1.5 --no-build-deps "$@")
}
sbom . --manifest-path host/cli/Cargo.toml --describe binaries
sbom plugins --target wasm32-unknown-unknown
# The embedded plugins, as the build script of host/wasm names them.
embedded=$(sed -n '/^const BUILT_IN/,/;/s/"\([a-z-]*\)"/\n\1\n/gp' host/wasm/build.rs | grep -E '^[a-z-]+$' || true)
[ -n "$embedded" ] || fail "host/wasm/build.rs names no built-in plugin in BUILT_IN"
plugins=()
for plugin in $embedded; do plugins+=("$work/source/plugins/$plugin/$plugin.cdx.json"); done
sed "s#$work/source#/kulta#g" "$work/source/host/cli/kulta_bin.cdx.json" >"$dist/$name-linux-$arch.cdx.json"
# One document whose component is all of them.
jq --slurp --arg version "$version" '
  map(.metadata.component) as $plugins
  | .[0]
  | .metadata.component = {type: "application", "bom-ref": "kulta-plugins", name: "kulta-plugins", version: $version, components: $plugins}
' "${plugins[@]}" >"$work/plugins.json"
jq --slurp '
  .[0].components = ([.[1:][].components[]?] | unique_by(."bom-ref"))
  | .[0].dependencies = ([.[1:][].dependencies[]?] | unique_by(.ref))
  | .[0]
' "$work/plugins.json" "${plugins[@]}" | sed "s#$work/source#/kulta#g" >"$dist/$name-plugins.cdx.json"

(cd "$dist" && sha256sum "$name"* >"SHA256SUMS-linux-$arch")
rm -rf "$work"
cat "$dist/SHA256SUMS-linux-$arch"
