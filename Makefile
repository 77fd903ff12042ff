# Every target works from a clean clone; `make setup` installs what a fresh machine lacks.
.PHONY: help demo setup build test languages lint seeds seeds-nightly cluster cluster-test node node-test bench manifests release release-test clean

TARGET := $(or $(CARGO_TARGET_DIR),target)
# CARGO_MANIFEST_DIR is set because several checkouts may share a target folder: the program may have been built in another one.
CLUSTER := CARGO_MANIFEST_DIR=$(CURDIR)/tests $(TARGET)/debug/kulta-cluster
NODE := CARGO_MANIFEST_DIR=$(CURDIR)/tests $(TARGET)/debug/kulta-node
# Number of scenarios of `make seeds`, and minutes of `make seeds-nightly`.
SEEDS ?= 2000
MINUTES ?= 480
# Built together with kulta, so that both share its features and the plugin runtime is compiled only once.
BUILD_SEEDS := cargo build --release --locked -p kulta -p kulta-seeds --bin kulta-seeds

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: setup ## Show a good and a bad rollout in the terminal (flags: DEMO_ARGS="--speed 2 --keep")
	@[ -x $(TARGET)/debug/kulta ] || echo "make demo: the first build compiles about 600 crates and takes about 12 minutes of CPU: 6 minutes on 2 cores" >&2
	cargo build --locked --workspace --bin kulta
	$(TARGET)/debug/kulta demo $(DEMO_ARGS)

setup: ## Install the Rust target for plugins
	plugins/setup.sh

build: setup ## Build the release binary, plugins included
	cargo build --release --locked -p kulta

test: setup ## Run every test that needs no cluster
	cargo test --locked --workspace
	cd plugins && cargo test --locked --workspace

languages: build ## Build and run the example plugins in Python and JavaScript (needs python3, node and npm)
	KULTA_BIN=$(abspath $(TARGET))/release/kulta cargo test --locked --workspace --bins --test plugin -- --ignored --nocapture

lint: setup ## Check format and lints
	cargo fmt --all --check
	cd plugins && cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

.PHONY: workflows docs
workflows: ## Check the GitHub Actions workflows (needs Go)
	tests/tools/build.sh actionlint
	tests/tools/bin/actionlint

docs: ## Build the documentation as a site into target/book (installs mdBook once)
	docs/build.sh

seeds: setup ## Run the controller against the embedded cluster with faults, by seed (SEEDS=2000)
	$(BUILD_SEEDS)
	$(TARGET)/release/kulta-seeds --count $(SEEDS)

seeds-nightly: setup ## Run `make seeds` from a new first seed for some minutes (MINUTES=480)
	$(BUILD_SEEDS)
	cargo test --locked --workspace --bins --test churn -- --ignored
	$(TARGET)/release/kulta-seeds --first $$(date +%s)0000 --count 100000000 --minutes $(MINUTES)

cluster: build ## Start a real control plane with a gateway and leave it running (needs root)
	tests/tools/build.sh
	cargo test --locked --workspace --no-run
	$(CLUSTER) up

cluster-test: build ## Run the scenarios on a real control plane (needs root)
	tests/tools/build.sh
	cargo test --locked --workspace --no-run
	$(CLUSTER) run -- tests/scenarios.sh
	$(CLUSTER) run -- tests/scenarios.sh stock-crd

node: build ## Start a control plane and a node with real pods, and leave them running (needs root)
	KULTA_BIN=$(abspath $(TARGET))/release/kulta tests/tools/build.sh node
	cargo test --locked --workspace --no-run
	$(NODE) up

node-test: build ## Build the image and run it, and the scenarios with real pods, on a node (needs root)
	KULTA_BIN=$(abspath $(TARGET))/release/kulta tests/tools/build.sh node
	cargo test --locked --workspace --no-run
	KULTA_BIN=$(abspath $(TARGET))/release/kulta $(NODE) run -- tests/node.sh

bench: setup ## Measure the cost of a decision, of a measurement and of a reconciliation (installs valgrind)
	cargo build --release --locked -p kulta -p kulta-wasm --bins --example call_cost
	$(TARGET)/release/examples/call_cost
	cargo build --release --locked -p kulta-core --example reconciliations
	tests/instructions.sh $(TARGET)/release/examples/reconciliations

manifests: ## Generate the manifests in deploy/ and the chart's copy of crds/ (needs Go, which builds helm)
	tests/tools/build.sh helm
	deploy/manifests.sh

release: setup ## Build what a release consists of into target/dist (needs buildah, jq and Go, which builds helm)
	tests/tools/build.sh helm
	deploy/release.sh

release-test: build ## Package a release twice over the built binary and compare the bytes (needs root)
	KULTA_BIN=$(abspath $(TARGET))/release/kulta tests/tools/build.sh node
	KULTA_BIN=$(abspath $(TARGET))/release/kulta tests/release.sh

clean: ## Remove all build output
	cargo clean
	cd plugins && cargo clean
	rm -rf tests/tools/bin tests/.run
