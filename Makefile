PYTHON ?= python3
BIN := .venv/bin
MODULE := $(or $(CARGO_TARGET_DIR),target)/release/librapyer.so
export RAPYER_MODULE ?= $(abspath $(MODULE))

.DEFAULT_GOAL := help
.PHONY: help demo test soak check bench counts docs builders notices image build extension module servers clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: extension ## A session store's story: in process first, then on a real server where one is installed
	$(BIN)/python examples/session_store.py
	@if command -v redis-server valkey-server >/dev/null || ls -d .cache/servers/*-server >/dev/null 2>&1; \
	  then $(MAKE) --no-print-directory module; fi
	$(BIN)/python tests/_servers.py $(BIN)/python examples/session_store.py --server

test: extension module ## Every test; gets what it needs
	-scripts/servers
	scripts/cargo test --quiet -p rapyer-engine -p rapyer-module
	$(BIN)/python -m pytest

soak: extension module ## Minutes of chaos on every server, which no other target takes the time for
	-scripts/servers
	$(BIN)/python -m pytest -m soak

check: .venv/ready ## Formatting, lints, types and imports of Rust and Python
	cargo fmt --all --check
	scripts/cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/basedpyright
	PYTHONPATH=python $(BIN)/lint-imports --no-logo --no-cache

bench: extension module ## Measured ratios against the server's own commands and redis-py
	-scripts/servers
	PYTHONPATH=tests $(BIN)/python -m benchmarks

counts: extension module ## Instructions of each command against benchmarks/instructions.json; RECORD=1 writes it anew
	PYTHONPATH=tests $(BIN)/python -m benchmarks.instructions $(if $(RECORD),--record,--check)

docs: builders ## Writes docs/commands.md and the builders anew from the command table
	$(BIN)/python scripts/reference.py

builders: extension ## Writes python/rapyer/_commands.py anew from the command table
	$(BIN)/python scripts/builders.py

notices: .venv/ready ## Writes THIRD-PARTY-NOTICES anew from the crates that are linked in
	$(BIN)/python scripts/notices.py

image: ## The images rapyer-native:redis and rapyer-native:valkey
	docker build --force-rm --file docker/Dockerfile --target redis --tag rapyer-native:redis .
	docker build --force-rm --file docker/Dockerfile --target valkey --tag rapyer-native:valkey .

build: extension module ## The Python extension and the server module

extension: .venv/ready ## The Python extension, into .venv
	VIRTUAL_ENV=$(abspath .venv) PYO3_PYTHON=$(abspath $(BIN)/python) $(BIN)/maturin develop --quiet --release >/dev/null

module: .venv/ready ## The server module: target/release/librapyer.so
	scripts/cargo build --quiet --release -p rapyer-module

servers: ## The servers the tests run on, without root
	scripts/servers

clean: ## Removes everything built; fetched servers stay
	cargo clean
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis python/rapyer/_native*.so

.venv/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group dev
	touch $@
