# `make serve` and `make test` need Python 3.11 or later with venv and pip, and nothing else. `make check` also
# fetches TypeScript through npm, which comes with a Python package; CLOZE_TYPESCRIPT=skip goes on where it cannot.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Two processes, each with whole files, so that what a file's tests share is made once.
# Tests start dozens of Python processes: each would compile app anew where its bytecode may not be kept.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
# The one list of what `make test-fast` leaves out: browsers, servers and workers, training, whole applications,
# every architecture in turn, damaged files by the hundred, and what starts many processes.
SLOW := api compat conformance contracts e2e evaluation shared_storage training web worker test_cli.py test_packaging.py test_serve.py \
	commands/test_hub_import.py datasets/test_fuzz_datasets.py media/test_fuzz.py \
	modalities/test_pickled_weights.py modalities/text/test_architectures.py modalities/text/test_pretrain.py \
	serving/test_packing.py serving/test_replicas.py store/test_hub_download.py store/test_push_over_http.py system/test_process_pool.py
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.PHONY: help serve test test-fast test-ray check format bench study clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

serve: .venv/installed ## the API, a worker and an embedded Redis on 127.0.0.1:8000
	@$(BIN)/cloze serve

test: .venv/installed-dev ## every test, those of the page in a browser
	@$(BIN)/python scripts/browser.py
	$(PYTEST)

test-fast: .venv/installed-dev ## units without a browser, a server or a worker, in less than a minute
	$(PYTEST) $(SLOW:%=--ignore=tests/%)

test-ray: .venv/installed-ray ## training on a cluster of Ray, in two minutes on a quiet machine; "check" leaves it out
	$(BIN)/python -m pytest -m ray tests/training/cluster

check: .venv/installed-clients ## lint, format and types of Python and JavaScript, then every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/page.py check
	@$(BIN)/python scripts/browser.py
	$(PYTEST)

format: .venv/installed-dev ## rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/page.py format

bench: .venv/installed-dev ## Cloze and its peers, side by side
	$(if $(wildcard benchmarks/__main__.py),$(BIN)/python -m benchmarks,@echo "There are no benchmarks yet.")

study: .venv/installed-dev ## labels against scores on tasks of every modality; DATA is the folder of its data sets
	$(if $(DATA),$(BIN)/python -m benchmarks.study $(DATA),@echo "Name the folder of the data sets: make study DATA=...")

clean: ## everything that can be made again; var/ and model_store/ stay
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# A stamp is younger than the two files that decide what is installed, or pip runs again.

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cloze needs Python 3.11 or later: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[dev]'
	@# A model for the tests of imports, whose package asks for an older transformers; a client that asks for an older hub.
	$(PIP) --quiet --no-deps --upgrade --target .venv/published rxnmapper langchain-huggingface
	@touch .venv/installed $@

# 500 MB that only the tests of these clients, and of object storage, need.
.venv/installed-clients: .venv/installed-dev tests/s3-server.txt
	$(PIP) --editable '.[dev,clients,deploy]'
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --upgrade --target .venv/s3-server --requirement tests/s3-server.txt
	@touch .venv/installed .venv/installed-dev $@

.venv/installed-ray: .venv/installed-dev
	$(PIP) --editable '.[dev,ray]'
	@touch .venv/installed .venv/installed-dev $@
