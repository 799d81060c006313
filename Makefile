# Every target works as the first command after a clone: it makes .venv once, then does its work.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.audiotok-ready
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -q -c constraints.txt --build-constraint constraints.txt

.PHONY: setup bench test fuzz lint format

setup: $(READY)

$(READY): pyproject.toml constraints.txt hatch_build.py $(wildcard audiotok/kernels/csrc/*)
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) was not found: install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "make: $(PYTHON) is Python %d.%d, audiotok needs 3.11 or newer: say make PYTHON=python3.11" % v[:2])'
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@echo "Installing audiotok and what it needs into .venv (once; some minutes, about 6 GB) ..."
	@$(PIP) install -q "$$(grep '^pip==' constraints.txt)"
	@$(INSTALL) -e '.[asr,mos,lyra,train,dev]'
	@$(INSTALL) -e '.[bench]' || echo "make: pesq and Resemblyzer did not build (they need a C compiler and Python's headers): PESQ and speaker similarity will be shown as missing" >&2
	@touch $@

bench: setup
	$(BIN)/audiotok bench --tokenizer wavtokenizer --out runs/bench

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

# Mutated files for every reader, FUZZ_SECONDS for each target, and a table of what came of them;
# another FUZZ_SEED gives other files.
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 0
fuzz: setup
	AUDIOTOK_FUZZ_SECONDS=$(FUZZ_SECONDS) AUDIOTOK_FUZZ_SEED=$(FUZZ_SEED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto tests/fuzz

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
