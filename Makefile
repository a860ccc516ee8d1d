# Every target makes .venv on first use and reuses it until pyproject.toml changes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STATE := $(if $(DAGSTER_HOME),$(abspath $(DAGSTER_HOME)),$(CURDIR)/.dagster)
PYTEST_ARGS ?=
# Groups of measurements; all groups if none is named.
BENCH ?=
# Two workers on two cores: each test process uses one thread, so that they do not slow each other down.
TEST_WORKERS ?= 2
SEED ?=
UI_PORT ?= 3000
MLFLOW_PORT ?= 5000

export DAGSTER_HOME := $(STATE)
export PYTHONHASHSEED := 0
# Switch off the telemetry of Dagster and MLflow for everything that is started below.
export DAGSTER_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# Links between Dagster and MLflow use the addresses of `make ui` and `make mlflow`.
export DRSHYM_DAGSTER_UI ?= http://127.0.0.1:$(UI_PORT)
export DRSHYM_MLFLOW_UI ?= http://127.0.0.1:$(MLFLOW_PORT)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo test fuzz test-system lint ui mlflow bench card clean-state

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.product: pyproject.toml
	@echo "Installing into $(VENV) (once; torch and the geospatial stack take some minutes) ..."
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not on the PATH. Install Python 3.11, or name yours: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.product
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	# Without its dependencies: its trainers, which are not used, need a parser that breaks Dagster and pytest.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'torchgeo>=0.8.1,<0.9'
	# pyproject.toml declares what torchgeo imports. A missing package is found here, not after an hour of measuring.
	$(BIN)/python -c 'import torchgeo.datasets, torchgeo.samplers'
	touch $@

$(STATE)/dagster.yaml: dagster.yaml
	mkdir -p $(STATE)
	ln -sf $(CURDIR)/dagster.yaml $@

setup: $(VENV)/.product $(STATE)/dagster.yaml ## make .venv and the local Dagster instance

demo: setup ## train, copy two scenes into the watched folder, map them; under six minutes
	$(BIN)/python demo.py

test: $(VENV)/.dev $(STATE)/dagster.yaml ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not system' -n $(TEST_WORKERS) --dist loadfile \
		--cov --cov-report=term:skip-covered $(if $(PYTEST_ARGS),--cov-fail-under=0 $(PYTEST_ARGS))

# These tests run one after the other, because they start real services and observe them.
test-system: $(VENV)/.dev $(STATE)/dagster.yaml ## run the long tests, and those that need system packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m system $(PYTEST_ARGS)

fuzz: $(VENV)/.dev $(STATE)/dagster.yaml ## try many random examples in the property tests; SEED=n repeats a run
	@seed=$(SEED); seed=$${seed:-$$($(BIN)/python -c 'import secrets; print(secrets.randbits(32))')}; \
	echo "seed $$seed: repeat this run with make fuzz SEED=$$seed"; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile -m hypothesis \
		--hypothesis-profile=fuzz --hypothesis-seed=$$seed $(PYTEST_ARGS)

lint: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ui: setup ## open Dagster on the local instance: http://127.0.0.1:3000
	@echo "Dagster: http://127.0.0.1:$(UI_PORT)   (Ctrl+C stops the web server and the daemon)"
	@$(BIN)/python -m deploy.local ui --port $(UI_PORT)

mlflow: setup ## open the model registry: http://127.0.0.1:5000
	@echo "MLflow: http://127.0.0.1:$(MLFLOW_PORT)   (Ctrl+C stops it)"
	@$(BIN)/python -m deploy.local mlflow --port $(MLFLOW_PORT)

bench: $(VENV)/.bench $(STATE)/dagster.yaml ## measure, and write docs/benchmarks.md; BENCH='load chip' for some groups
	$(BIN)/python -m benchmarks $(BENCH)

card: setup ## score the shipped checkpoint, its seeds and every opponent, and write docs/card
	$(BIN)/python -m experiments card

clean-state: ## delete all runs, maps and models of the local instance (.dagster)
	rm -rf $(CURDIR)/.dagster
