# Every target first makes .venv and installs what is missing there: Python 3.11 or later is all that a machine needs.
PYTHON ?= python3
# Another build of torch, say torch==2.13.0+cpu with PIP_EXTRA_INDEX_URL set to where it is.
TORCH ?= torch==2.13.0

BIN := .venv/bin
READY := .venv/.installed
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
# Tests run in as many processes as this one may use cores.
WORKERS ?= $(shell $(BIN)/python -c 'from offbench.basis.cores import usable_cores; print(usable_cores())')
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
SELECT ?= tests $(if $(NOTEBOOKS),--nbmake --nbmake-timeout=600 $(NOTEBOOKS))
# Files whose names begin with _ are shared by the others; suite.py runs all tests several times, and is run by itself.
BENCHMARKS := $(filter-out benchmarks/suite.py benchmarks/updates.py,$(sort $(wildcard benchmarks/[!_]*.py)))

.DEFAULT_GOAL := help
.PHONY: help install demo docs results test suite test-slow lint bench clean

help:
	@echo "make demo       train BC and IQL on a built-in dataset, print the table, draw the curves"
	@echo "make results    make tables and figures of README and docs anew from their records"
	@echo "make test       lint, test, execute the notebooks"
	@echo "make test-slow  the tests that take minutes"
	@echo "make lint       ruff and mypy"
	@echo "make docs       the documentation as a site, build/docs/index.html"
	@echo "make bench      speed and memory against rivals in the same run; docs/speed.md anew"
	@echo "make clean      remove caches and built files; .venv and runs stay"

install: $(READY)

# Torch comes first and by itself, so that its build is decided by TORCH alone.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("offbench needs Python 3.11 or later; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt "$(TORCH)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@

# The maze's best way is in no episode: what only imitates cannot find it.
# Updates are not compiled: whether that pays is timed, and it changes rounding, so that the table would depend on the hour.
DEMO := offbench/pointmaze/crossing-v0 --seeds 5 --steps 1500 --evaluate-every 500 --compile never

demo: $(READY)
	rm -rf runs/demo
	$(BIN)/offbench train bc $(DEMO) --output runs/demo/bc
	$(BIN)/offbench train iql $(DEMO) --output runs/demo/iql
	$(BIN)/offbench report table runs/demo
	$(BIN)/offbench report curves runs/demo --output runs/demo/curves.png

# From committed records alone: nothing is trained.
results: $(READY)
	$(BIN)/python docs/results.py

# One thread a process, those that tests start included: threads that spin for each other are slow beside other work.
# Bytecode is kept, because the tests start a hundred processes.
suite test-slow: export OMP_NUM_THREADS := 1
suite test-slow: export PYTHONDONTWRITEBYTECODE :=

# Pytest comes last, so that its summary is the last line.
test: lint
	@$(MAKE) --no-print-directory suite

suite: $(READY)
	$(PYTEST) -m "not slow" $(SELECT)

test-slow: $(READY)
	$(PYTEST) -m slow tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The rates of updates are kept, and the page of speed shows them; the others are printed.
bench: $(READY)
	$(BIN)/python benchmarks/updates.py --record
	$(BIN)/python docs/results.py docs/speed.md
	@set -e; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script; done

# The generator of the site is not among what tests need.
.venv/.docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	@touch $@

# Warnings end it: a link that leads nowhere, a page that is in no menu.
docs: export NO_MKDOCS_2_WARNING := 1
docs: .venv/.docs
	$(BIN)/python -m mkdocs build --quiet --strict
	@echo "build/docs/index.html"

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path "./.venv/*" -prune -exec rm -rf {} +
