# Every chore of the project; CI calls the same targets.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check --no-input

.PHONY: help setup run test test-all soak sabotage image lint fmt docs constraints

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/installed ## The virtual environment, with everything a developer needs

run: .venv/usable ## Try it: a private RabbitMQ and the observer, on this machine only, until Ctrl-C
	@exec $(BIN)/observer run --local

# Without --use-pep517 the pip of Debian 12 warns of a package that has no pyproject.toml.
.venv/installed: pyproject.toml constraints.txt | .venv/bin/pip
	@echo 'Installing the program and its development tools into .venv.'
	@$(PIP) install --constraint constraints.txt --use-pep517 --editable '.[dev]'
	@touch $@ .venv/usable

.venv/usable: pyproject.toml constraints.txt | .venv/bin/pip
	@echo 'Installing the program into .venv (a minute, once).'
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

# Debian and Ubuntu keep what `venv` needs in a package of its own.
.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is missing or older than 3.11: name another with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || \
	        { echo 'Python has no ensurepip: install python3-venv.' >&2; exit 1; }; \
	    echo 'Installing python3-venv (apt-get).'; \
	    apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
	        apt-get install -qq --no-install-recommends python3-venv >/dev/null </dev/null; }
	@$(PYTHON) -m venv .venv

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

# In a fresh environment, so that nothing is pinned that nobody asked for; by the oldest Python that we support.
constraints: ## Pin the newest versions that fit: writes constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	    { echo 'Pin with Python 3.11, the oldest one: make constraints PYTHON=python3.11' >&2; exit 1; }
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(PYTHON) -m venv "$$fresh"; \
	"$$fresh/bin/pip" --quiet --disable-pip-version-check install --use-pep517 --editable '.[dev]'; \
	{ grep '^#' constraints.txt; "$$fresh/bin/pip" freeze --exclude-editable; } > constraints.txt.new; \
	mv constraints.txt.new constraints.txt

test: setup ## The suite that this machine can run; says what it skipped and why
	$(BIN)/pytest

test-all: setup ## The whole suite: what cannot run here is a failure
	OBSERVER_TEST_REQUIRE=rabbitmq,mongo,docker,node $(BIN)/pytest

soak: setup ## A hundred random faults under load, then the account; about half an hour a store
	OBSERVER_TEST_STORM_FAULTS=$${OBSERVER_TEST_STORM_FAULTS:-100} \
	    $(BIN)/pytest tests/integration/test_storm.py --log-cli-level=INFO

sabotage: setup ## Break each promise on purpose, and see its test fail; some ten minutes
	$(BIN)/python -m tests.sabotage

image: ## The container image, inbox-observer
	docker build --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" --tag inbox-observer .
