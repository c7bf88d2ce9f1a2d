# Every target works from a bare clone with Python and make alone: the first one that you run creates .venv and installs
# the versions in constraints.txt; later ones install again only when constraints.txt or pyproject.toml has changed.
#
#   make PYTHON=python3.12 test      another Python (3.11 or newer; remove .venv to change it later)
#   make PYTEST_JOBS=8 test          more tests at a time
#   make ARGS='-k registry' test     further arguments for pytest

PYTHON ?= python3
PYTEST_JOBS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
READY := $(VENV)/.ready

# Each test process computes with one thread, so that PYTEST_JOBS says how many processors are busy. One that dies ends
# the run and is told of by the test that it was at: pytest-xdist may wait for ever for one that is started in its place.
test docs: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types contract docs format bench-setup clean

help:
	@echo "make demo          the main job, from beginning to end"
	@echo "make test          all tests"
	@echo "make check         lint, types, contract, docs"
	@echo "make format        put the source into its one format"
	@echo "make bench-setup   add what benchmarks/ needs beyond the tests"
	@echo "make clean         remove .venv and all caches"

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: $(READY)
	$(PY) -m pytest -q -n $(PYTEST_JOBS) --dist loadfile --max-worker-restart=0 $(ARGS)

check: lint types contract docs

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

contract: $(READY)
	$(BIN)/lint-imports --no-logo

docs: $(READY)
	$(PY) -m pytest -q tests/docs

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench-setup: $(READY)
	$(PY) -m pip install --quiet --no-deps --constraint constraints.txt --requirement benchmarks/requirements.txt

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: name one with make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[search,quantize,serve,web,openvino,dev]'
	@touch $@
