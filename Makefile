# Targets work in .venv, created when missing or older than the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export GX_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
READY := $(VENV)/.ready
TEAM := $(VENV)/.team
TEAM_LOCKS := requirements-team.lock tests/team/requirements.lock

.DEFAULT_GOAL := help
.PHONY: help setup demo test chaos check fast slow serve ui up down bench clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Give another: make PYTHON=python3.11 ..."; exit 2; }
	@echo "Installing into $(VENV): some minutes, 6.5 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(TEAM): $(READY) $(TEAM_LOCKS)
	$(BIN)/python -m pip install --quiet --no-deps $(TEAM_LOCKS:%=--requirement %)
	@touch $@

setup: $(READY)  ## Create or refresh .venv from the lock file

demo: $(READY)  ## Sample data, retrain, register, score the sample test set, print the results
	python -m flows.demo

test: $(TEAM)  ## Run the tests, files shared out to three processes
	python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

chaos: $(READY)  ## The tests that bring up the whole stack and kill its processes
	python -m pytest -m stack

check: $(READY)  ## Lint, formatting, types, dead code
	ruff check .
	ruff format --check .
	mypy
	vulture

fast: $(READY)  ## The fast tests
	python -m pytest -m "not slow and not stack"

slow: $(TEAM)  ## Exhaustive runs: drawn and hostile files by the thousand, kills by the twenty (hours)
	python -m tests.differential --n 5838
	python -m tests.hostile --n 1000 --way score
	python -m tests.hostile --n 1000 --way inbox
	HMS_KILLS=20 python -m pytest tests/pipeline/test_registry.py
	HMS_FLIPS=20 python -m pytest tests/pipeline/test_bit_flips.py
	HMS_TEAM=whole python -m pytest tests/team
	python -m benchmarks.chaos --kills 20
	python -m benchmarks.faults
	HMS_DECISIONS=5 python -m pytest tests/unit/registry/test_machines.py
	HMS_SAMPLES=2 python -m pytest tests/unit/validation/test_stage.py

serve: $(READY)  ## Serve the champion on http://127.0.0.1:8080
	hms serve

up: $(READY)  ## Start the local stack: Prefect server, worker, MLflow server
	python -m flows.stack up

ui: up  ## The same; prints where the pages of MLflow and Prefect are

down: $(READY)  ## Stop the local stack
	python -m flows.stack down

bench: $(READY)  ## Run the benchmarks that fit two cores
	python -m benchmarks

clean:  ## Remove .venv (data, artifacts and registry stay)
	rm -rf $(VENV)
