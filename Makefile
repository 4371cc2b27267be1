# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
# The build of torch that is installed first. Another one: make demo TORCH="torch --index-url URL"
TORCH ?= torch==2.13.0
VENV := .venv
RUN := $(VENV)/bin/python -m
OUT ?= demo
# What pip would compile file after file is compiled by all processors together.
INSTALL := $(RUN) pip install --quiet --disable-pip-version-check --no-compile
COMPILE := $(RUN) compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true

.PHONY: demo test lint test-slow bench clean

demo: $(VENV)/.installed
	$(RUN) graphtide demo --out $(OUT)

test: lint
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2 --dist loadfile $(PYTEST)

# Tests of pages need Chromium on the path besides; they are skipped where it is missing.
test-slow: $(VENV)/.installed-dev
	$(INSTALL) --editable '.[browser,bench,symbolic,ray]'
	OMP_NUM_THREADS=1 $(RUN) pytest -m "slow or browser or peer" $(PYTEST)

lint: $(VENV)/.installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) pyright

# The timings compare with other packages: nothing else should run meanwhile.
bench: $(VENV)/.installed-dev
	$(RUN) pip install --quiet --editable '.[bench]'
	$(RUN) graphtide doctor
	cd benchmarks && for script in accuracy ode simulate flows recurrent spread training_step distil discovery_conditions; do ../$(VENV)/bin/python $$script.py || exit 1; done

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "graphtide needs Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "no virtual environment could be made: on Debian, apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing graphtide into $(VENV) (a few minutes the first time)"
	$(INSTALL) $(TORCH)
	$(INSTALL) --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	@$(COMPILE)
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist
