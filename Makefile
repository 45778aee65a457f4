# The commands people type. Everything is installed into .venv; a second call installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# How many processes the tests run in.
JOBS ?= 2

.PHONY: help study test lint faults bench bench-spectrum bench-force bench-orchestration bench-store clean

help:
	@echo "make study   set up, then run 'aelle study digits': ends with the path of a report"
	@echo "make test    set up what is missing, then run all tests, two at a time (JOBS=1: one by one)"
	@echo "make lint    ruff and mypy"
	@echo "make bench   training many networks against the ways of the frameworks: under 10 minutes"
	@echo "make bench-spectrum   the spectrum engine against its peers: about 10 minutes"
	@echo "make faults  20 small studies with workers, nodes, server and flow killed, compared row by row"
	@echo "make bench-orchestration   10,000 packs through flow, Ray and store, without their training"
	@echo "make bench-store   writing, asking, reading and merging 10,000 packs"
	@echo "make bench-force   FORCE in packs against the published program: half a minute"

# The stamp is newer than what it was made from, or the environment is made again.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || \
		{ echo "aelle needs Python 3.11 or 3.12: name one with 'make PYTHON=python3.12 ...'" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV): a few minutes, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[development]'
	@$(BIN)/python -m aelle_core.lyapunov.kernels.householder
	@touch $@

study: $(VENV)/installed
	@$(BIN)/aelle study digits

test: $(VENV)/installed
	@$(BIN)/python -m pytest --numprocesses $(JOBS)

lint: $(VENV)/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

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
	rm -rf $(VENV) runs
