# make setup  the environment in .venv        make demo  the whole of edet in minutes
# make test   tests, linting, import rules    make lint  linting and import rules only
# make test-all  the same with what is marked thorough, as .ci/run does
# make quick  the tests without processes, training and large networks, in under two minutes
# make test-beam  the tests of Apache Beam, in .venv-beam (docs/large_scale.md)
# make docs   the documentation as a site, in site/ (a warning is an error)
# make tpu-env  .venv-tpu, which compiles for TPUs without one (tpu/README.md)
# make peers  .venv-peers: what tools/compare_speed.py compares with (docs/speed.md)
# make annotation-tools  .venv-annotations: what tools of others write, as the tests read it
# make consumers  .venv-consumers: what tools of others make of exported files (docs/consumers.md)
# make nightly  every compilation of tpu/README.md that these versions have not done, make fuzz, make soak: hours
# make fuzz   100,000 damaged pictures and 40,000 damaged records, COCO files, label maps and data sets: SEED=1
# make soak   4,000 steps, 10,000 predictions and 10,000 requests: does memory stay flat?
#
# TF=cpu (default), gpu or tpu picks the TensorFlow wheel; PYTHON the interpreter.
PYTHON ?= python3
TF ?= cpu
SEED ?= 1
BIN := .venv/bin

.PHONY: docs setup demo test test-all quick lint test-beam tpu-env nightly fuzz soak peers annotation-tools consumers

ifeq ($(filter cpu gpu tpu,$(TF)),)
$(error TF is "$(TF)"; give cpu, gpu or tpu)
endif

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
	$(BIN)/edet demo --output=runs/demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/shellcheck tpu/*.sh findings/*.sh

test: SELECT := -m 'not thorough'
test test-all: lint
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(SELECT)

quick: setup
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not slow'

test-beam: .venv-beam/ready
	.venv-beam/bin/python -m pytest tests/records/test_beam.py tests/inference/test_beam.py tests/cli/test_beam_predict.py

.venv-beam/ready: pyproject.toml
	$(PYTHON) -m venv .venv-beam
	.venv-beam/bin/python -m pip install --quiet --upgrade pip
	.venv-beam/bin/python -m pip install --quiet --editable '.[cpu,beam]' pytest
	touch $@

peers: .venv-peers/ready

# Only the packages: edet itself is not installed there.
.venv-peers/ready: pyproject.toml
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --upgrade pip
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])' | xargs .venv-peers/bin/python -m pip install --quiet
	touch $@

annotation-tools: setup
	$(BIN)/python -m tools.checks.annotation_tools --fixtures=tests/records/sources/fixtures --document=docs/data.md

docs: setup
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m tools.docs_site --output=site

consumers: setup
	$(BIN)/python -m tools.checks.consumers --document=docs/consumers.md

tpu-env: .venv-tpu/ready

.venv-tpu/ready: pyproject.toml
	$(PYTHON) -m venv .venv-tpu
	.venv-tpu/bin/python -m pip install --quiet --upgrade pip
	.venv-tpu/bin/python -m pip install --quiet --editable '.[tpu,tpu-compile]'
	touch $@

fuzz: setup
	$(BIN)/python -m tools.checks.fuzz --seed=$(SEED)

soak: setup
	$(BIN)/python -m tools.checks.soak

nightly: tpu-env fuzz soak
	.venv-tpu/bin/python -m tpu.compile_check.nightly
