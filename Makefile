# One command set, the same on a laptop and in CI. `make help` lists it.
include install.mk

STATE ?= .presage
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help up down test test-slow check bench

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

check: install ## lint, strict types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --verbose --no-cache | tail -12

bench: install ## side-by-side measurements, each printing a ratio
	@$(BIN)/python benchmarks/server.py
