# make demo, make test, make test-all: each sets up what it needs first. See README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEMO := build/nemo_toolkit-1.23.0
# TensorRT's headers as the PyPI package kernel-lens carries them; set TensorRT_ROOT to build for another version.
HEADERS := build/tensorrt-headers-10.14
ifndef TensorRT_ROOT
FETCHED := $(HEADERS)
export TensorRT_ROOT := $(abspath $(HEADERS))
endif
CXX_BUILD := build/cpp
# What the C++ tests are compiled for: this machine's GPU, or Hopper where there is none. The package has all.
ARCHITECTURE = $(or $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -1 | tr -d .),90)
# The package's own files; a change in any of them rebuilds and reinstalls it.
SOURCES := $(shell find csrc cmake python/nmt_trt -type f -not -name '*.pyc') CMakeLists.txt pyproject.toml
CXX_FILES = $$(git ls-files 'csrc/*.h' 'csrc/*.cc' 'csrc/*.cu' 'csrc/*.cuh' 'tests/cpp/*.cc' 'tests/cpp/*.h' 'tests/cpp/*.cu')

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-cpp test-python lint format clean apt

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/package.stamp  ## Set up, then translate the sample text with the bundled model
	$(BIN)/nmt-trt demo

test: lint test-cpp test-python  ## Set up, then run every suite

test-all: export NMT_TRT_TEST_ALL = 1
test-all: test  ## The same with the long versions of the tests

test-cpp: apt $(VENV)/tests.stamp  ## The C++ suite
	$(BIN)/cmake -S . -B $(CXX_BUILD) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	    -DPython3_EXECUTABLE=$(abspath $(BIN))/python -DNMT_TRT_BUILD_TESTS=ON -DNMT_TRT_BUILD_BINDINGS=OFF \
	    -DCMAKE_CUDA_ARCHITECTURES=$(ARCHITECTURE)
	$(BIN)/cmake --build $(CXX_BUILD)
	$(BIN)/ctest --test-dir $(CXX_BUILD) --output-on-failure

test-python: $(VENV)/tests.stamp $(NEMO)  ## The Python suite
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

lint: $(VENV)/tests.stamp  ## Formatting, lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest nmt_trt._core
	$(BIN)/codespell

format: $(VENV)/tests.stamp  ## Format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

clean:  ## Remove everything that was built
	rm -rf $(VENV) build dist

# GoogleTest, and valgrind, which counts instructions, are all that comes from the system's packages.
apt:
	@test -e /usr/include/gtest/gtest.h -a -e /usr/bin/valgrind || { \
	    sudo=$$(command -v sudo || true); \
	    $$sudo apt-get update -q && $$sudo apt-get install -y -q --no-install-recommends libgtest-dev valgrind; }

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(HEADERS): | $(VENV)/bin/python
	$(BIN)/python -m pip download -q --no-deps -d build/kernel-lens kernel-lens==2.0.1
	$(BIN)/python -m zipfile -e build/kernel-lens/kernel_lens-2.0.1-py3-none-any.whl build/kernel-lens
	mv build/kernel-lens/kernel_lens/include/tensorrt $@

$(VENV)/package.stamp: $(VENV)/bin/python constraints.txt $(SOURCES) | $(FETCHED)
	$(BIN)/python -m pip install -q -c constraints.txt .
	touch $@

$(VENV)/tests.stamp: $(VENV)/package.stamp
	$(BIN)/python -m pip install -q -c constraints.txt '.[torch,zh,ja,documents,test,dev]'
	touch $@

# The reference that the tests compare with: the real NeMo 1.23 transformer modules.
$(NEMO): tools/fetch_nemo.py | $(VENV)/tests.stamp
	$(BIN)/python tools/fetch_nemo.py $@
