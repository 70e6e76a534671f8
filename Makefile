PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.installed
# Bytecode is compiled when a module is first imported: for the packages never imported it would be time for nothing.
INSTALL := $(BIN)/python -m pip install -qq --no-compile --constraint constraints.txt

# Nine tenths of what is installed. One pip fetches and unpacks file after file on one core, so two of it, with a half
# each, need little more than half the time. Elsewhere torch comes without what GPUs need, and is smaller.
FOR_GPUS := $(shell grep -E '^(nvidia-.*|triton)==' constraints.txt)
LARGE := $(shell grep -E '^(torch|ray|polars-runtime-32|pyarrow|opencv-python|scipy|faiss-cpu|pandas)==' constraints.txt)

# Without it, where the environment forbids it, each of the hundreds of processes that the tests start compiles torch.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check fast docs clean install-for-gpus install-large

$(RUNTIME): pyproject.toml constraints.txt
	@echo "setting up $(VENV): some 6 GB with torch, a minute or two, more where the network or the machine is slow"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "  1 of 3: pip"
	@$(BIN)/python -m pip install -qq --upgrade pip
	@echo "  2 of 3: torch, ray and the other large packages, nine tenths of it"
	@test "$$(uname -sm)" != 'Linux x86_64' || $(MAKE) --no-print-directory -j 2 install-for-gpus install-large
	@echo "  3 of 3: the rest"
	@$(INSTALL) --editable .
	@touch $@

install-for-gpus:
	@$(INSTALL) --no-deps $(FOR_GPUS)

install-large:
	@$(INSTALL) --no-deps $(LARGE)

$(STAMP): $(RUNTIME)
	$(INSTALL) --editable '.[dev]'
	touch $@

demo: $(RUNTIME)  ## set everything up and run the main job
	@$(BIN)/python -m benchmarks.demo

check: $(STAMP)  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Those of the browser all want the machine to themselves, and importing them takes seconds in every worker.
WORKERS := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --ignore tests/browser

fast: $(STAMP)  ## the tests that take under three minutes in all
	$(WORKERS) -m 'not slow and not alone'

# The last start clusters and browsers, or count seconds: they want the machine to themselves.
test: check fast  ## set everything up and pass every check and test
	$(WORKERS) --durations=10 -m 'slow and not alone'
	$(BIN)/pytest --durations=20 -m alone

clean:
	rm -rf $(VENV) build *.egg-info
