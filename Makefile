# The commands people type. Everything is installed into .venv; a second call installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# How many processes the tests run in.
JOBS ?= 2

.PHONY: help study test test-all test-oldest test-newest lint faults docs bench bench-spectrum bench-force bench-orchestration bench-store clean

help:
	@echo "make study   set up, then run 'aelle study digits': ends with the path of a report"
	@echo "make test    set up what is missing, then run the quick tests, two at a time (JOBS=1: one by one)"
	@echo "make test-all     the quick tests, then all others: served flows, faults, browser, nights, deployments, the wheel"
	@echo "make test-oldest  the quick tests of the core with the oldest allowed torch, numpy and scikit-learn"
	@echo "make test-newest  the same with the newest that the package index has"
	@echo "make lint    ruff, mypy and the spelling"
	@echo "make docs    the documentation as a site in site/, which opens from the file system"
	@echo "make bench   training many networks against the ways of the frameworks: under 10 minutes"
	@echo "make bench-spectrum   the spectrum engine against its peers: about 10 minutes"
	@echo "make faults  20 small studies with workers, nodes, server and flow killed, compared row by row"
	@echo "make bench-orchestration   10,000 packs through flow, Ray and store, without their training"
	@echo "make bench-store   writing, asking, reading and merging 10,000 packs"
	@echo "make bench-force   FORCE in packs against the published program: half a minute"

# The stamp is newer than what it was made from, or the environment is made again.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "aelle needs Python 3.11, 3.12 or 3.13: name one with 'make PYTHON=python3.12 ...'" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV): a few minutes, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[development]'
	@$(BIN)/python -m aelle_core.lyapunov.kernels.householder
	@touch $@

study: $(VENV)/installed
	@$(BIN)/aelle study digits

test: $(VENV)/installed
	@$(BIN)/python -m pytest --numprocesses $(JOBS) -m "not whole"

test-all: test
	@$(BIN)/python -m pytest --numprocesses $(JOBS) -m whole

# Environments of their own beside .venv: what the core's numbers depend on, at both ends of what pyproject allows.
OF_CORE := tests/aelle_core tests/contracts
$(VENV)-oldest/installed: pyproject.toml tools/oldest_versions.py
	@test -x $(VENV)-oldest/bin/python || $(PYTHON) -m venv $(VENV)-oldest
	@$(PYTHON) tools/oldest_versions.py > $(VENV)-oldest/constraints.txt
	@$(VENV)-oldest/bin/python -m pip install --quiet --constraint $(VENV)-oldest/constraints.txt --editable '.[development]'
	@touch $@

$(VENV)-newest/installed: pyproject.toml
	@test -x $(VENV)-newest/bin/python || $(PYTHON) -m venv $(VENV)-newest
	@$(VENV)-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[development]'
	@touch $@

test-oldest test-newest: test-%: $(VENV)-%/installed
	@$(VENV)-$*/bin/python -m pytest --numprocesses $(JOBS) -m "not whole" $(OF_CORE)

lint: $(VENV)/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/codespell

$(VENV)/docs: $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(VENV)/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html"

$(VENV)/benchmarks: $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[benchmarks]'
	@touch $@

bench: $(VENV)/benchmarks
	@$(BIN)/python -m benchmarks.training

bench-spectrum: $(VENV)/benchmarks
	@$(BIN)/python -m benchmarks.spectrum

bench-force: $(VENV)/benchmarks
	@$(BIN)/python -m benchmarks.training.force

bench-orchestration: $(VENV)/benchmarks
	@$(BIN)/python -m benchmarks.orchestration

bench-store: $(VENV)/benchmarks
	@$(BIN)/python -m benchmarks.store

faults: $(VENV)/installed
	@$(BIN)/python -m fault_injection

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-newest runs
