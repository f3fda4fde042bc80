# Every chore of the project; CI calls the same targets.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run test test-all lint fmt docs clean

setup: .venv/installed ## The virtual environment, with everything a developer needs

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

lint: setup ## ruff, mypy (strict, tests too), import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup ## The suite that this machine can run; says what it skipped and why
	$(BIN)/pytest
