# The two commands to begin with: `make demo` and `make test`. Each does its own set-up.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-consensus test-arm ui build run bench measure sim fuzz fuzz-short tidy clean sim-mutants

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
WARPPOOL := $(TARGET_DIR)/release/warppool

# The browser of the dashboard's test; empty means /usr/bin/chromium.
ifdef CHROMIUM
export CHROMIUM
endif

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Start the pool with a simulated node and simulated miners; ARGS="--blocks 3 --exit" ends by itself
	@tools/setup.sh demo
	@$(MAKE) --no-print-directory build
	@$(WARPPOOL) demo $(ARGS)

test: ## Everything that must be green: format, rules, dashboard, clippy, tests, documentation
	@tools/setup.sh test
	@cargo xtask ci

JUDGE := --workspace --features warppool-consensus/judge --locked

test-consensus: ## Judge the pool's blocks by Bitcoin Core's own consensus code; FULL=1 also on very long chains
	@tools/setup.sh consensus
	@cargo clippy $(JUDGE) --all-targets -- -D warnings
	@WARPPOOL_JUDGE_HIGH=$(if $(FULL),1,0) cargo test $(JUDGE) --test consensus -- --nocapture

# Optimised, because an emulator makes it ten times as slow again.
ARM := CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"

test-arm: ## The vocabulary and the systems, hashing with them, compiled for 64-bit ARM and tested in an emulator
	@tools/setup.sh arm
	@$(ARM) cargo test --locked --target aarch64-unknown-linux-gnu -p warppool-components -p warppool-systems

ui: ## Build the dashboard into ui/dist, which the program embeds
	@if tools/setup.sh has-node; then \
	    cd ui && npm ci --prefer-offline --no-audit --no-fund && npm run build; \
	else \
	    echo "The dashboard is not built, because Node 20 or newer is missing: the program will show a page that says so."; \
	fi

build: ui ## Build the dashboard and the program, optimised
	@cargo build --release --locked --package warppool-engine --bin warppool

run: ## Run against your own node: make run CONFIG=/etc/warppool/config.toml
	@test -n "$(CONFIG)" || { echo "Say which configuration: make run CONFIG=config.toml" >&2; exit 2; }
	@tools/setup.sh demo
	@$(MAKE) --no-print-directory build
	@$(WARPPOOL) run --config "$(CONFIG)" $(ARGS)

bench: ## Run the benchmarks; ARGS=--record writes a record
	@cargo xtask bench $(ARGS)

measure: ## Measure the pool under load on this machine
	@tools/measure.sh

sim: ## Play the whole pool in simulated time: make sim ARGS="--seeds 1000 --from 1", or ARGS="--seed 7"
	@cargo run --profile sim --locked --quiet --package warppool-sim -- $(ARGS)

sim-mutants: ## Break the pool on purpose, one defect at a time, and see whether the simulation finds each; ARGS="credit" for some
	@cargo run --locked --quiet --package warppool-sim -- mutants $(ARGS)

fuzz: ## Make up inputs for one target: make fuzz TARGET=v1_lines ARGS="-runs=10000000"; without a TARGET they are named
	@tools/setup.sh demo
	@tools/fuzz.sh run "$(TARGET)" $(ARGS)

fuzz-short: ## The fuzz targets over their corpora and some thousand inputs more
	@tools/setup.sh demo
	@tools/fuzz.sh short

tidy: ## Check the rules of the repository only
	@cargo xtask tidy

clean: ## Remove what was built
	@cargo clean
	@rm -rf ui/dist ui/test-results
