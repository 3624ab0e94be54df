# Needs only Python 3.11 or newer and make. Everything is installed into .venv, nothing outside this folder.
#   make demo    install, then the whole story on a simulated log: read demo/ afterwards
#   make test    install, then every test
#   make help    the rest

PYTHON ?= python3
WORKERS ?= auto
# A group of tests that share something costly (Spark) stays in one process.
POOL := -n $(WORKERS) --dist loadgroup
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --quiet
# The pool of test processes already fills the cores; threads inside each would only get in each other's way.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test quick property repetitions torture lint format floors build clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | sort | expand -t 12

demo: $(VENV)/.crmml  ## install and run the main job on a simulated log
	$(RUN) -m crmml demo --out demo

test: $(VENV)/.dev  ## install and run the whole test suite
	$(RUN) -m pytest $(POOL) --durations=10

quick: $(VENV)/.dev  ## the tests that take seconds
	$(RUN) -m pytest $(POOL) -m "not slow and not real"

property: $(VENV)/.dev  ## the property tests, with many more examples
	$(RUN) -m pytest $(POOL) -m hypothesis --hypothesis-profile=property

repetitions: $(VENV)/.dev  ## the error rates that are stated, over 200 repetitions each
	$(RUN) -m pytest $(POOL) -m repetitions -rP

torture: $(VENV)/.dev  ## kills, faults, full disks, hostile files: writes docs/reliability.md
	$(RUN) -m tests.torture

lint: $(VENV)/.dev  ## ruff and mypy --strict
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(VENV)/.dev  ## let ruff fix and format
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# Without the property tests and the mutants, which look for mistakes of ours, and with warnings that are not errors:
# what an old release of numpy says about itself is not news. Of the cases of a test, the first and the last: a version
# breaks a way of calling, not one value of many. Each case of the contract with scikit-learn is a check of its own.
floors: .venv-floors/.ready  ## the quick tests on the lowest versions that pyproject.toml promises
	.venv-floors/bin/python -m pytest $(POOL) -W default tests/models/test_contract.py
	.venv-floors/bin/python -m pytest $(POOL) -W default -m "not slow and not real and not hypothesis" --ends \
		-k "not mutant" tests --ignore=tests/test_docs.py --ignore=tests/test_features_page.py

build: $(VENV)/.dev  ## the wheel and the source archive, in dist/
	$(PIP) install build
	$(RUN) -m build

clean:  ## remove what the other commands made
	rm -rf .venv .venv-floors demo dist build scores .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.crmml: pyproject.toml
	@$(call make_venv,$(VENV))
	$(PIP) install --editable ".[all]"
	@touch $@

$(VENV)/.dev: pyproject.toml
	@$(call make_venv,$(VENV))
	$(PIP) install --editable ".[all,spark,dev]"
	@touch $@ $(VENV)/.crmml

.venv-floors/.ready: pyproject.toml tools/floors.py
	@$(call make_venv,.venv-floors)
	.venv-floors/bin/python tools/floors.py all > .venv-floors/floors.txt
	.venv-floors/bin/python -m pip --disable-pip-version-check --quiet install \
		--requirement .venv-floors/floors.txt --editable . "pytest<9.2" pytest-xdist hypothesis
	@touch $@

define make_venv
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "crmml needs Python 3.11 or newer, and '$(PYTHON)' is" \
		"$$($(PYTHON) -V 2>&1 || true). Name another: make PYTHON=python3.12"; exit 1; }; \
test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef
