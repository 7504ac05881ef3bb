# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
#
#   make demo                   a synthetic drive with its truth, into demo_out/
#   make demo SOURCE=drive.mp4  your own image, folder, video or bag
#   make gpu-check OUT=folder   what runs on this GPU, how fast and how exact
#   make test                   everything, PYTEST_ARGS='-k bags' for a part
#   make test-lowest            the base installation with the lowest versions that it allows
#   make fuzz MINUTES=10        damaged inputs by the thousand through the readers
#   make lint                   style, types, layers, declared dependencies
#
# Each sets up .venv as far as it needs it. PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
OUT ?= demo_out
SOURCE ?=
PYTEST_ARGS ?=
BENCHMARK_ARGS ?=
GPU_CHECK_ARGS ?=
MINUTES ?= 10
FUZZ_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
PACKAGING := pyproject.toml setup.py constraints.txt
# What works without torch.
LOWEST_TESTS := test/test_*.py test/core/test_*.py \
  $(addprefix test/core/,api evaluation inference io streaming workers)
ALL_EXTRAS := dev,train,export,plots,openvino,tensorrt-rtx,ray,viz

.PHONY: help demo test test-lowest fuzz lint benchmark gpu-check clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.installed-demo
	$(BIN)/panoptic-depth demo $(if $(SOURCE),--source '$(SOURCE)') --out '$(OUT)'

test: $(VENV)/.installed-all
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

test-lowest: $(LOWEST)/.installed
	PANOPTIC_DEPTH_LOWEST=1 $(LOWEST)/bin/python -m pytest --numprocesses auto \
	  --maxprocesses 8 --dist loadfile -m 'not slow' $(LOWEST_TESTS) $(PYTEST_ARGS)

fuzz: OUT = fuzz_out
fuzz: $(VENV)/.installed-all
	$(BIN)/python test/fuzz/fuzz_run.py --minutes '$(MINUTES)' --out '$(OUT)' $(FUZZ_ARGS)

lint: $(VENV)/.installed-all
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry panoptic_depth_core panoptic_depth_ros

benchmark: $(VENV)/.installed-all
	$(BIN)/panoptic-depth benchmark $(BENCHMARK_ARGS)

gpu-check: OUT = gpu_check_out
gpu-check: $(VENV)/.installed-all
	$(BIN)/panoptic-depth benchmark --what runtimes --device cuda --out '$(OUT)' $(GPU_CHECK_ARGS)

clean:
	rm -rf $(VENV) $(LOWEST) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian and Ubuntu split venv off into a package; where that is missing, virtualenv will do.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: $(PYTHON) is missing or older than 3.10; name a newer one: make PYTHON=..." >&2; \
	  exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); $(PYTHON) -m virtualenv --quiet $(VENV); } || \
	  { rm -rf $(VENV); \
	    echo "make: $(PYTHON) cannot make virtual environments;" \
	         "on Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed-demo: $(PACKAGING) | $(BIN)/python
	$(PIP) --editable '.[synthetic,plots]'
	@touch $@

# Where an interpreter has no wheel of the lowest version, it is the lowest one that has; a test
# names these.
$(LOWEST)/.installed: $(PACKAGING)
	@$(MAKE) --no-print-directory VENV=$(LOWEST) $(LOWEST)/bin/python
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check --quiet \
	  --constraint constraints.txt uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python \
	  --resolution lowest-direct --only-binary :all: --no-binary panoptic-depth \
	  --editable '.[test]'
	@touch $@

$(VENV)/.installed-all: $(PACKAGING) | $(BIN)/python
	$(PIP) --editable '.[$(ALL_EXTRAS)]'
# Only what the cross-checks of the metrics import: its dependencies include a "typing" of 2020.
	$(PIP) --no-deps cityscapesscripts pyquaternion
# What is used of full TensorRT is looked up in its modules, the oldest and the newest; they do
# nothing without its libraries. Where a wheel does not fit, a test says that it was skipped.
	-$(PIP) --no-deps --only-binary :all: --target $(VENV)/tensorrt-10.3 \
	  tensorrt_cu12_bindings==10.3.0
	-$(PIP) --no-deps --only-binary :all: --target $(VENV)/tensorrt-11.4 \
	  tensorrt_cu13_bindings==11.4.0.106
	@touch $@ $(VENV)/.installed-demo
