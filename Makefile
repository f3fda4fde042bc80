# Every chore of the project; CI calls the same targets.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup run test test-all lint fmt docs clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

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

fmt: setup ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## Write the pages that are made from the code
	$(BIN)/observer check-config --reference > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

test: setup ## The suite that this machine can run; says what it skipped and why
	$(BIN)/pytest
