# Offbook: `make run` starts an exchange with a demo market, `make test` runs every test that needs pip alone.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8700
DATA ?= .offbook
SEED ?= 1
SIZE ?= full
GOALS ?=
WORKERS ?= 3
MINUTES ?= 60
COMMANDS ?= 100000000
STEPS ?= 1000000
ACCOUNTS ?= 1000000
BATCHES ?= 5000
LOG ?=
FRAMES ?= 100000
CANARY ?=
CORE_SEARCHES := tests/property/test_order_book.py tests/differential/test_order_book.py
ENGINE_SEARCHES := tests/differential/test_compiled_engine.py tests/differential/test_engine_bytes.py \
  tests/differential/test_engine_batches.py
CODEC_SEARCHES := tests/unit/exchange/gateway/test_frames.py tests/differential/test_frames.py
PYTEST := $(BIN)/python -m pytest
# Without its bytecode every process of an exchange compiles a thousand modules at its start, and tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=
SOURCES := $(shell find matching_core exchange settlement/protocol settlement/onchain -name '*.pyx' -o -name '*.pxd' 2>/dev/null)

.PHONY: help setup dev judges sanitized build run reset test test-rules test-running check bench bench-smoke lint fmt types architecture contracts contracts-full packages artifacts forge node browser redis
.PHONY: gas slither halmos codec requirements typed-client risk disputes chain-faults sim canary core-canary sanitize fuzz fuzz-smoke hostile long-differential long-liquidation long-margin mutation clean lock

help: ## show this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/:.*?## /\t/' | expand -t 16

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "offbook needs Python 3.11 or newer: install it or name one, e.g. make PYTHON=python3.12 run"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "offbook needs a C compiler for its matching core: install gcc or clang (Debian: apt-get install gcc python3-dev)"; exit 1; }
	@$(PYTHON) -c 'import sysconfig, os, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' || { echo "offbook needs the Python headers: install python3-dev (Debian) or python3-devel (Fedora)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "cannot create $(VENV): install python3-venv"; exit 1; }

$(VENV)/.locked: requirements.lock | $(VENV)/bin/python
	@echo "setup: installing the locked dependencies"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.setup: $(VENV)/.locked pyproject.toml $(SOURCES)
	@echo "setup: compiling the matching core and the engine"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . > $(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@touch $@

$(VENV)/.tools: requirements-dev.lock $(VENV)/.locked
	@echo "setup: installing the locked test tools"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-dev.lock
	@touch $@

# Judges of the arithmetic are large and only `make risk` and the benchmarks ask them: `make test` installs none.
$(VENV)/.judges: requirements-judges.lock $(VENV)/.tools
	@echo "setup: installing the locked judges"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-judges.lock
	@touch $@

# derive-py pins a web3 older than ours: it gets an environment of its own inside ours.
$(VENV)/.typed-client: requirements-typed-client.lock | $(VENV)/bin/python
	@echo "setup: installing the locked typed client"
	@$(PYTHON) -m venv $(VENV)/typed-client
	@$(VENV)/typed-client/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-typed-client.lock
	@touch $@

# The compiler and the installer of the tools wait for different things: a developer's set-up runs both at once.
$(VENV)/.dev: $(VENV)/.locked pyproject.toml requirements-dev.lock $(SOURCES)
	@$(MAKE) --no-print-directory -j 2 $(VENV)/.setup $(VENV)/.tools
	@touch $@

# slither pins a web3 of its own: it gets an environment of its own inside ours.
$(VENV)/.slither: requirements-slither.lock | $(VENV)/bin/python
	@echo "setup: installing the locked slither"
	@$(PYTHON) -m venv $(VENV)/slither
	@$(VENV)/slither/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-slither.lock
	@touch $@

# halmos and its solvers are large, and nothing else asks them: an environment of their own.
$(VENV)/.halmos: requirements-halmos.lock | $(VENV)/bin/python
	@echo "setup: installing the locked halmos"
	@$(PYTHON) -m venv $(VENV)/halmos
	@$(VENV)/halmos/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-halmos.lock
	@touch $@

setup: $(VENV)/.setup ## .venv, locked dependencies, compiled core
dev: $(VENV)/.dev ## setup and the test tools
judges: dev $(VENV)/.judges ## QuantLib, beside which prices and margin are judged
build: setup ## compile the extensions again when a source changed

run: setup ## a live exchange with a demo market on http://127.0.0.1:8700
	@exec $(BIN)/offbook up --demo --data $(DATA) --port $(PORT) --seed $(SEED)

reset: setup ## clear the data directory
	@$(BIN)/offbook reset --data $(DATA)

test: dev ## every test that needs pip alone, in two parts: rules in one process, then whole exchanges in processes of their own
	@$(MAKE) --no-print-directory test-rules && $(MAKE) --no-print-directory test-running

# Whatever needs more than pip, or has a part of its own in `make check`, is left out here.
PIP_ALONE := -m "not needs_node and not needs_browser and not needs_redis and not risk_search and not dispute_search"
PARTED := architecture fuzz sanitizers requirements typed_client
RUNNING := tests/e2e tests/faults tests/conformance/test_ccxt_derive.py
SPREAD := --timeout 300 -p no:benchmark -n $(WORKERS) --dist loadscope --no-loadscope-reorder

test-rules: dev
	@start=$$(date +%s); $(PYTEST) -q $(PIP_ALONE) $(SPREAD) $(PARTED:%=--ignore=tests/%) $(RUNNING:%=--ignore=%) tests \
	  && echo "test-rules: green after $$(($$(date +%s) - start)) s"

test-running: dev
	@start=$$(date +%s); $(PYTEST) -q $(PIP_ALONE) $(SPREAD) $(RUNNING) \
	  && echo "test-running: green after $$(($$(date +%s) - start)) s"

PARTS := forge risk halmos slither codec artifacts lint types architecture requirements typed-client disputes chain-faults sim canary core-canary sanitize fuzz-smoke hostile node browser redis

# Two parts at a time, each printed when it ends; the benchmarks alone, so that nothing of ours runs beside them.
check: dev ## lint, types, architecture and what needs more tools
	@start=$$(date +%s); $(MAKE) --no-print-directory -j 2 --output-sync=target $(PARTS) \
	  && $(MAKE) --no-print-directory bench-smoke && echo "check: all parts after $$(($$(date +%s) - start)) s"
	@.ci/skipped

lint: dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/cython-lint --no-pycodestyle $(SOURCES) && echo "lint: green"

fmt: dev ## format the Python code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

types: dev
	@$(BIN)/mypy && echo "types: green"

architecture: dev
	@$(BIN)/lint-imports && $(PYTEST) -q tests/architecture && echo "architecture: green"

typed-client: dev $(VENV)/.typed-client ## unmodified derive-py against a running exchange
	@$(PYTEST) -q --timeout 300 -p no:benchmark tests/typed_client && echo "typed-client: green"

risk: judges ## how sharp the risk vectors are, QuantLib as a judge, margin of 100,000 accounts, long searches
	@$(PYTEST) -q -m risk_search --timeout 300 -p no:benchmark -n 2 --dist worksteal tests/property tests/conformance tests/unit/exchange/pricing tests/unit/exchange/risk \
	  && echo "risk: green"

requirements: dev ## P1 to P60 against a running exchange; `python -m tests.requirements` prints the table
	@$(PYTEST) -q --timeout 300 -p no:benchmark tests/requirements && echo "requirements: green"

disputes: dev ## random batches and forged ones against the contract on a chain in Python, exits without an operator
	@$(PYTEST) -q -m dispute_search --timeout 300 -p no:benchmark -n 2 --dist worksteal tests/differential tests/unit/settlement/escape tests/e2e && echo "disputes: green"

chain-faults: dev ## 200 seeded chain-fault scenarios; 20,000: `offbook chaos chain --n 20000 --log FILE`
	@$(BIN)/offbook chaos chain --n 200 --seed $(SEED) && echo "chain-faults: green"

sim: dev ## the whole exchange on fixed seeds
	@for seed in 1 2 3; do $(BIN)/python -m tests.simulation --seed $$seed || exit 1; done && echo "sim: green"

canary: dev ## each deliberate defect must be caught
	@for name in early-ack lost-fill unbalanced; do \
	  if $(BIN)/python -m tests.simulation --seed 1 --canary $$name > $(VENV)/canary.out 2>&1; then \
	    echo "canary $$name was not caught"; cat $(VENV)/canary.out; exit 1; fi; \
	  grep -q "caught" $(VENV)/canary.out || { echo "canary $$name failed for another reason"; cat $(VENV)/canary.out; exit 1; }; \
	  echo "canary $$name: caught"; done

sanitized: dev
	@$(BIN)/python -c "from tests.sanitizers.build import compile_codec, compile_engine, compile_sanitized; compile_sanitized(); compile_engine(); compile_codec()"

core-canary: sanitized ## each deliberate defect of a book must be found by suite, differential and fuzz run
	@$(PYTEST) -q -p no:benchmark -n 2 tests/fuzz
	@$(BIN)/python -m tests.fuzz.canaries && echo "core canary: green"

sanitize: sanitized ## tests of core, engine and frame codec under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(BIN)/python -m tests.sanitizers -q -p no:cacheprovider $(CORE_SEARCHES) & searches=$$!; \
	  $(BIN)/python -m tests.sanitizers -q -p no:cacheprovider tests/unit/matching_core tests/sanitizers \
	  && $(BIN)/python -m tests.sanitizers --engine -q -p no:cacheprovider $(ENGINE_SEARCHES) \
	  && $(BIN)/python -m tests.sanitizers --codec -q -p no:cacheprovider $(CODEC_SEARCHES); tables=$$?; \
	  wait $$searches && [ $$tables = 0 ] && echo "sanitize: green"

fuzz: dev ## MINUTES=60 SEED=1: the core on hostile input under the sanitizers; stop with Ctrl-C, the same command goes on
	@exec $(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED) $(if $(CANARY),--canary $(CANARY))

fuzz-smoke: sanitized
	@$(BIN)/python -m tests.fuzz --minutes 2 --seed $(SEED) --fresh --folder build/fuzz-smoke && echo "fuzz: green"

hostile: dev ## FRAMES=100000 SEED=1: malformed and hostile frames against a live gateway; 10,000,000: with LOG=FILE, which the same command goes on from
	@$(BIN)/python -m tests.faults.hostile_run --frames $(FRAMES) --seed $(SEED) $(if $(LOG),--log $(LOG)) && echo "hostile: green"

long-differential: dev ## COMMANDS=100000000 SEED=1: both books to the byte; stop with Ctrl-C, the same command goes on
	@exec $(BIN)/python -m tests.differential.long_run --commands $(COMMANDS) --seed $(SEED)

long-liquidation: dev ## STEPS=1000000 SEED=1: crashes, all sums after each step; stop with Ctrl-C, the same command goes on
	@exec $(BIN)/python -m tests.property.liquidation_run --steps $(STEPS) --seed $(SEED)

long-margin: dev ## ACCOUNTS=1000000 SEED=1: what accounts are told of their margin decides; the same command goes on
	@exec $(BIN)/python -m tests.property.margin_accounts --accounts $(ACCOUNTS) --seed $(SEED)

mutation: dev ## do the tests of margin and liquidation notice a slip? the same command goes on after what is judged
	@exec nice -n 19 $(BIN)/python -m tests.mutation

contracts: artifacts forge ## contracts: artefacts reproduced, forge tests (needs node)

contracts-full: artifacts ## contracts as they are shipped under 10,000 fuzz runs: a quarter of an hour
	@PIPELINE=shipped FUZZ_RUNS=10000 settlement/contracts/tools/check forge

packages: dev
	@.ci/with node "node packages" settlement/contracts/tools/setup

artifacts: packages
	@.ci/with node "artifacts" "settlement/contracts/tools/check artifacts"

forge: packages
	@.ci/with node "forge" "settlement/contracts/tools/check forge"

slither: packages $(VENV)/.slither ## contracts: every high or medium finding of slither has a written reason (needs node)
	@.ci/with node "slither" "$(BIN)/python -m tests.slither $(CURDIR)/$(VENV)/slither/bin/slither"

halmos: packages $(VENV)/.halmos ## contracts: codec and conservation proven for all inputs of small shapes; breaks must be found (needs node)
	@.ci/with node "halmos" "$(BIN)/python -m tests.symbolic $(CURDIR)/$(VENV)/halmos/bin/halmos"

codec: packages judges ## BATCHES=5000 SEED=1: batches and multiproofs read alike in Python and Solidity; 100,000: settlement/VERIFICATION.md
	@.ci/with node "codec" "$(BIN)/python -m tests.differential.codec_run --batches $(BATCHES) --seed $(SEED) $(if $(LOG),--log $(LOG))"

node: dev forge
	@.ci/with node "tests on anvil" "$(PYTEST) -q -m needs_node --timeout 300 tests"

browser: dev ## the page in a real browser (needs chromium)
	@.ci/with chromium "page in a browser" "$(PYTEST) -q -m needs_browser --timeout 300 tests"

redis: dev ## gateways behind a Redis that is killed, paused, flushed and full (needs redis-server)
	@.ci/with redis-server "gateways behind Redis" "$(PYTEST) -q -m needs_redis -p no:benchmark --timeout 300 tests"

gas: packages judges ## gas and bytes per fill beside a contract that verifies each trade, gas of a proof of F1, post latency (needs node)
	@$(BIN)/python -m bench --size $(SIZE) --goals "S1 S2 S3 S-trade S-post"
	@.ci/with node "gas of F1" "$(PYTEST) -q -s --timeout 300 -p no:benchmark tests/differential/test_wrong_root_size.py"

bench: judges ## every figure; GOALS="M1 G5" runs just those, SIZE=small the CI size
	@$(BIN)/python -m bench --size $(SIZE) --goals "$(GOALS)"

bench-smoke: judges
	@$(BIN)/python -m bench --size small --goals "$(GOALS)"

lock: dev ## resolve the lock files again
	@.ci/lock

clean: ## remove what was built, keep .venv
	@rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis bench/results
	@find matching_core exchange settlement -name '*.so' -delete -o -name '*.c' -delete -o -name __pycache__ -prune -exec rm -rf {} +
	@rm -f $(VENV)/.setup $(VENV)/.dev
