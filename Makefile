# Everything from nothing: `make bench` needs a checkout and Python >= 3.11, and says what it installs.

PYTHON ?= python3
SCENARIO ?= quick
ARGS ?=
TESTS ?= tests
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help bench test nightly lint audit benchmarks coverage clean server programs emulator
.SUFFIXES:

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-11s %s\n", $$1, $$2}'

bench: $(VENV)/.bench server  ## run a scenario against a real MySQL: make bench SCENARIO=burst ARGS="--seed 2"
	@$(BIN)/loadtest bench $(SCENARIO) $(ARGS)

test: programs $(VENV)/.dev server emulator  ## run the tests on real servers, and each benchmark in short
	@./.ci/setup tests $(BIN)/python $(TESTS)

nightly: programs $(VENV)/.dev server  ## run the tests that make test leaves out, which take long
	@./.ci/setup nightly $(BIN)/python $(TESTS)

lint: $(VENV)/.dev  ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(VENV)/.dev  ## ask whether a package that we depend on is known to be vulnerable; needs the network
	@./.ci/setup audit $(BIN)/python

benchmarks: programs $(VENV)/.dev server  ## measure the harness itself; each prints its ratio
	$(BIN)/python -m pytest -s tests/benchmarks

coverage: programs $(VENV)/.dev server emulator  ## the tests with the lines of loadtest/ that none of them reaches
	@./.ci/setup coverage $(BIN)/python $(TESTS)

clean:  ## remove .venv and caches; results stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@./.ci/setup python "$(PYTHON)" $(VENV)

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	@echo "make: installing loadtest into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "make: installing loadtest and what its tests need into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.bench

server: | $(BIN)/python
	@./.ci/setup server $(BIN)/python

programs:
	@./.ci/setup programs

emulator: | $(BIN)/python
	@./.ci/setup emulator $(BIN)/python
