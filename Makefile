# One command set, the same on a laptop and in CI. `make help` lists it.
include install.mk
include images.mk

STATE ?= .presage
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help up down demo test test-long test-slow test-plane test-faults test-fuzz test-durability test-kills check bench bench-peers tools

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

up: install ## train, package, serve and watch: the main job
	@$(BIN)/presage --state $(STATE) up

down: ## stop what `make up` left running
	@$(BIN)/presage --state $(STATE) down

FAST ?=
demo: install ## what presage promises, in five minutes on real processes, each claim beside its evidence (FAST=1: a smaller fleet, for CI)
	@$(BIN)/python -m demo $(if $(FAST),--fast)

test: install ## the test suite
	@$(BIN)/pytest -n 2 --no-loadscope-reorder

test-long: install ## what stands on a trained release (pipeline, plane, trace), and single tests that take seconds
	@$(BIN)/pytest -n 2 --no-loadscope-reorder -m "long and not slow and not images and not durability"

test-slow: install ## what is too long for every commit: calibration over ten fleets, long properties, kills of long jobs, the notebook
	@$(BIN)/python benchmarks/calibration.py
	@$(BIN)/pytest -n 2 --no-loadscope-reorder -m "slow and not durability" --timeout 900 --ignore tests/plane --ignore tests/faults

test-plane: install ## the plane's long lane: every process killed under load, 20 000 requests split by a canary
	@$(BIN)/pytest -n 0 -m slow --timeout 1500 -s tests/plane

test-faults: install ## what the path calls misbehaves under load; prints recovery times
	@$(BIN)/pytest -n 0 -m slow --timeout 600 -s tests/faults

FUZZ_SECONDS ?= 600
test-fuzz: install ## coverage-guided fuzzing of what the server reads from anybody, for FUZZ_SECONDS
	@$(BIN)/python tests/fuzz $(FUZZ_SECONDS)

test-durability: install ## each level of the journal killed (21 times), cut off from power, starved of disk
	@$(BIN)/pytest -n 2 --no-loadscope-reorder -m 'durability and not slow' --timeout 900 tests/durability

test-kills: install ## 200 kills of one journal, a level each: an hour
	@$(BIN)/pytest -n 0 -m 'durability and slow' --timeout 6000 -s tests/durability

TOOLS := promtool:prometheus redis-server:redis-server go:golang-go curl:curl
tools: ## what tests can use and need not have: promtool for the alerts, Redis, Go for the snippets (Debian, where this user may install)
	@missing=; for pair in $(TOOLS); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair#*:}"; done; \
	if [ -n "$$missing" ]; then \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } || \
	  echo "not here and not installed:$$missing; the tests that need them will skip and say so"; \
	fi

check: install ## lint, strict types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --verbose --no-cache | tail -12
	@$(BIN)/presage policies render --check
	@$(BIN)/presage manifests render --check
	@$(BIN)/presage verify > .verify.out 2>&1 || { cat .verify.out; rm .verify.out; exit 1; }; tail -1 .verify.out; rm .verify.out

# MLServer asks for old packages: it has an environment of its own, only to be measured against.
bench-peers: install ## what the benchmarks can compare with beyond the lock: MLServer
	@$(UV) venv --clear --python $(BIN)/python $(VENV)/mlserver && $(UV) pip install --python $(VENV)/mlserver mlserver==1.7.1 onnxruntime==1.31.1

bench: install ## side-by-side measurements, each printing a ratio
	@$(BIN)/python benchmarks/server.py
