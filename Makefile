# make setup  the environment in .venv        make demo  the whole of edet in minutes
# make test   tests, linting, import rules    make lint  linting and import rules only
#
# TF=cpu (default), gpu or tpu picks the TensorFlow wheel; PYTHON the interpreter.
PYTHON ?= python3
TF ?= cpu
BIN := .venv/bin

.PHONY: setup demo test lint

setup: .venv/ready-$(TF)

# The stamp is written last: an installation that was interrupted is done again.
.venv/ready-$(TF): pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"edet needs Python 3.11 to 3.13, and $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[$(TF),dev]'
	rm -f .venv/ready-*
	touch $@

demo: setup
	$(BIN)/python -m tools.demo --output=runs/demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile
