#!/bin/sh
# Builds the examples as components: examples/build.sh <kulta> <folder for the components> [python]
# With a third argument only the example in that language is built.
# The build tools are installed once per version, in the user's cache folder.
set -eu
kulta=$1
out=$2
only=${3:-}
cd "$(dirname "$0")"

componentize_py=0.25.1
componentize_js=0.23.0
tools=${XDG_CACHE_HOME:-$HOME/.cache}/kulta/tools
python=$tools/componentize-py-$componentize_py
javascript=$tools/componentize-js-$componentize_js

if [ ! -x "$python/bin/componentize-py" ]; then
    rm -rf "$python"
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet "componentize-py==$componentize_py"
fi
(cd python-analyzer && python3 -m unittest)
PATH="$python/bin:$PATH" "$kulta" plugin build python-analyzer -o "$out/quantile.wasm"
[ "$only" != python ] || exit 0

if [ ! -d "$javascript/node_modules/@bytecodealliance/componentize-js" ]; then
    mkdir -p "$javascript"
    # Installed in a temporary folder and then renamed: an interrupted install must not look like a complete one.
    rm -rf "$javascript/partial"
    npm install --silent --no-audit --no-fund --prefix "$javascript/partial" \
        "@bytecodealliance/componentize-js@$componentize_js"
    mv "$javascript/partial/node_modules" "$javascript/node_modules"
fi
ln -sfn "$javascript/node_modules" js-enricher/node_modules

(cd js-enricher && node --test)
"$kulta" plugin build js-enricher -o "$out/ticket.wasm"
