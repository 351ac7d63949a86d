# One command set, the same on a laptop and in CI. `make help` lists it.
include install.mk
include images.mk

STATE ?= .presage
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help up down test test-slow test-plane check bench tools

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

up: install ## train, package, serve and watch: the main job
	@$(BIN)/presage --state $(STATE) up

down: ## stop what `make up` left running
	@$(BIN)/presage --state $(STATE) down

test: install ## the whole test suite
	@$(BIN)/pytest -n 2 --no-loadscope-reorder

test-slow: install ## the lanes too long for every commit: calibration of the interval over ten fleets
	@$(BIN)/python benchmarks/calibration.py

test-plane: install ## the plane's long lane: every process killed under load, 20 000 requests split by a canary
	@$(BIN)/pytest -n 0 -m slow --timeout 1500 -s tests/plane

tools: ## what tests can use and need not have: promtool for the alerts (Debian, where this user may install)
	@command -v promtool >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null; } || \
	  echo 'promtool is not here and cannot be installed: the tests of alerts will skip'

check: install ## lint, strict types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --verbose --no-cache | tail -12
	@$(BIN)/presage policies render --check
	@$(BIN)/presage manifests render --check
	@$(BIN)/presage verify > .verify.out 2>&1 || { cat .verify.out; rm .verify.out; exit 1; }; tail -1 .verify.out; rm .verify.out

bench: install ## side-by-side measurements, each printing a ratio
	@$(BIN)/python benchmarks/server.py
