# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Where PYTHONDONTWRITEBYTECODE is set, every start would compile the modules again: 0.15 s of `prober once`.
COMPILE = $(BIN)/python -m compileall -q prober

.DEFAULT_GOAL := help
.PHONY: help bench demo test lint unit clean

help: ## list what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: $(VENV)/.runtime ## start the rehearsal ingress and the service on it; Ctrl-C ends both
	@PROBER=$(BIN)/prober sh deploy/demo.sh

test: $(VENV)/.test ## every check and every test
	$(MAKE) --no-print-directory lint unit

lint: $(VENV)/.test ## ruff, mypy --strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.test ## the tests alone
	$(BIN)/pytest

bench: $(VENV)/.bench ## prober beside its peers, 30 minutes; BENCH="--quick", "--only serve", "--minutes 10", ...
	$(BIN)/python -m tests.bench $(BENCH)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "prober needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Say: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@$(COMPILE)
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@$(COMPILE)
	@touch $@ $(VENV)/.runtime

# Apart from the tests, because the compiler of the Go clients is large.
$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,bench]'
	@touch $@

clean: ## remove the environment and what tools left
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
