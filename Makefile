# `make demo` and `make test` are all a fresh machine needs: python3, make and pip.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FORMATS := $(VENV)-formats
TRAIN := $(BIN)/torchrun --nproc-per-node 2 -m maskpilot.segmenters.nano.train

.PHONY: help install demo nano test test-full test-foreign test-formats test-ray soak chaos check lint types bench clean
.DEFAULT_GOAL := help

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Set up the virtual environment

# pip shows its own progress: torch with its CUDA libraries is some gigabytes, and silence looks like a hang.
$(STAMP): pyproject.toml constraints.txt
	@echo "==> Python environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "maskpilot needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "==> Installing maskpilot (the first time, torch makes this a download of some gigabytes)"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(STAMP) ## The main job, offline: eight scenes, one shot against the loop
	$(BIN)/maskpilot demo

test: $(STAMP) ## The tests
	$(BIN)/python -m pytest

test-full: $(STAMP) ## Also the full-size architecture: 6 GB, some minutes
	$(BIN)/python -m pytest -m full

soak: $(STAMP) ## A thousand sessions against an endpoint that fails; some minutes
	$(BIN)/python -m pytest -m soak -s

chaos: $(STAMP) ## A run of labeling killed thirty times, a full disk, a Ctrl-C; some minutes
	$(BIN)/python -m pytest -m chaos -s

test-foreign: $(STAMP) ## Against a real llama.cpp server (xllamacpp, 100 MB)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test,foreign]'
	$(BIN)/python -m pytest -m foreign

test-formats: $(STAMP) $(FORMATS)/.installed ## Exports read back by other people's libraries (1.4 GB)
	FORMATS_PYTHON=$(FORMATS)/bin/python $(BIN)/python -m pytest -m foreign_formats tests/labeling/export/foreign

# An environment of their own: their versions of Pillow and OpenCV are not ours, and labelme is GPL.
$(FORMATS)/.installed: tests/labeling/export/foreign/requirements.txt
	$(PYTHON) -m venv $(FORMATS)
	$(FORMATS)/bin/python -m pip install --disable-pip-version-check -q -r $<
	@touch $@

test-ray: $(STAMP) ## Labeling on a Ray of this machine's own
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test,ray]'
	$(BIN)/python -m pytest -m ray

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

check: lint types test ## All that must hold before a commit

bench: $(STAMP) ## Ours beside a peer, as ratios; some minutes
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test,bench]'
	$(BIN)/python -m benchmarks

nano: $(STAMP) ## Train the small SAM 3 from scratch, then hold it against its gates; hours
	$(TRAIN) --out runs/nano-coarse --resolution 224 --minutes 85
	$(TRAIN) --out runs/nano --from runs/nano-coarse/model.pt --first-seed 2000000 --images 6 --minutes 50
	$(BIN)/python -m maskpilot.segmenters.nano.evaluate --checkpoint runs/nano/nano.safetensors

clean: ## Remove the environment and the caches; runs stay
	rm -rf $(VENV) $(FORMATS) .mypy_cache .ruff_cache .pytest_cache
