# Everything that a person or CI does, each one command. `make` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# How many processes run the tests.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# On a machine without an NVIDIA card, `make demo TORCH=cpu` fetches the much smaller CPU build of PyTorch.
TORCH ?= default
PIP_FLAGS = $(if $(filter cpu,$(TORCH)),--extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: help install demo test check bench screenshots wheel clean
help:
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 18

install: $(VENV)/installed ## set up a virtual environment in .venv with all that is needed
$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Manako needs Python 3.11 or later: make demo PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --editable '.[dev]'
	touch $@

demo: install ## train on real images that come with Manako and open the eyes: report, predictions, export
	$(BIN)/manako demo

test: install ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadscope --cov --cov-report=term:skip-covered
	@echo "All tests passed. Next: make demo, or manako train YOUR_FOLDER (activate with: source $(BIN)/activate)"

check: install ## lint, types, the border between the two halves
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What compares with other tools needs data and those tools: see the head of each benchmarks/*_peers.py.
bench: install ## measure speed and scores; slow
	set -e; for file in $(filter-out %_peers.py,$(wildcard benchmarks/*.py)); do echo "== $$file"; $(BIN)/python $$file; done

screenshots: install ## draw the pictures of the README again
	$(BIN)/python tools/screenshots.py

wheel: install ## build the wheel and try it in fresh environments, with and without PyTorch
	bash tools/try_wheel.sh $(BIN)/python

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
