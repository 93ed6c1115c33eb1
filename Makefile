# People and CI type the same few commands. `make demo` and `make test` do everything on a fresh machine.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/demo
ARGS   ?=
MAKEFLAGS += --no-print-directory
TORCH  := $(shell sed -n 's/^torch==//p' constraints.txt)
# tests/training is all slow or model; to look into it takes importing torch and TRL, in every process.
FAST   := -n auto -m "not model and not slow" --ignore=tests/training
CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: help env demo test test-fast check bench bench-judge replicate clean
help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## */\1\t/p' $(MAKEFILE_LIST) | expand -t 12

# The stamp is newer than the files that decide what is installed, so a second run re-uses the environment.
env: $(VENV)/.installed  ## make .venv with everything the project needs
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "inkfire needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) >&2
# Torch first and by itself: without a GPU take the CPU build (from pip's own places, else PyTorch's CPU index),
# since the default wheel brings gigabytes of CUDA libraries.
	@if command -v nvidia-smi >/dev/null 2>&1; then $(BIN)/python -m pip install -q torch==$(TORCH) >&2; \
	 else $(BIN)/python -m pip install -q --no-deps --no-index torch==$(TORCH) >&2 2>/dev/null \
	   || $(BIN)/python -m pip install -q --retries 1 --timeout 15 --index-url $(CPU_INDEX) torch==$(TORCH) >&2 2>/dev/null \
	   || $(BIN)/python -m pip install -q torch==$(TORCH) >&2; fi
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all,dev]' >&2
	@touch $@

demo: env        ## the whole pipeline on embedded models; the last line printed is the report's path (English: make demo ARGS='--lang en' OUT=runs/demo-en)
	@$(BIN)/inkfire demo --out $(OUT) $(ARGS)

test: env        ## all tests: the fast ones, the slow ones, then those that run real models
	$(BIN)/pytest -q $(FAST)
	$(BIN)/pytest -q -m slow
	$(BIN)/pytest -q -m model --durations=15

test-fast: env   ## the tests that need neither a model nor patience
	$(BIN)/pytest -q $(FAST)

check: env       ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: env       ## the benchmarks without a model (three quarters of an hour); each prints a ratio against a named peer of the same run
	@set -e; for name in startup coverage checks collapse client curate memory kill serve distilabel; do echo "== $$name"; $(BIN)/python benchmarks/bench_$$name.py; done

bench-judge: env ## the judge against the field, on an embedded model (hours; resumes) and the data of INKFIRE_RELEASE_DATA
	@set -e; for name in judge judge_modes; do echo "== $$name"; $(BIN)/python benchmarks/bench_$$name.py; done

# The release lies where INKFIRE_RELEASE_DATA says, or is fetched; the folder is the last line that the command prints.
replicate: env   ## the paper's comparison at 0.5B, in parts that resume (five hours of two cores); PARTS="start rewards" does some
	@data="$${INKFIRE_RELEASE_DATA:-$$($(BIN)/inkfire data pull greetings-zh | tail -n 1)}"; \
	  $(BIN)/python benchmarks/replicate.py --data "$$data" --out runs/replicate $(if $(PARTS),--only $(PARTS))

clean:           ## remove what make made (not the runs, not the weights)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
