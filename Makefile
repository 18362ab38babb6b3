# make demo: environment, then the default study. make test: environment, then every test.
.PHONY: demo gallery test lint words reference dali clean
.DEFAULT_GOAL := demo
SHELL := /bin/bash

PYTHON ?= python3
DALI ?= nvidia-dali-cuda110==1.34.0
BIN := $(CURDIR)/.venv/bin
READY := .venv/ready
STUDY := results/studies/digits
CORES := $(shell nproc 2>/dev/null || echo 2)
export PATH := $(BIN):$(PATH)

demo: $(READY)
	@start=$$(date +%s); snakemake --cores all && cassle show $(STUDY) --since $$start --cores $(CORES)

test: $(READY)
	pytest tests/unit tests/golden tests/workflow -n 2 --dist loadfile --cov --cov-report=term --cov-fail-under=90

# the figures in docs/images, from the default study with three seeds
gallery: $(READY)
	snakemake --cores all --config 'seeds=[0,1,2]' 'features=[tsne,cka]'
	python docs/gallery.py $(STUDY)

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy
	codespell
	snakefmt --check workflow
	snakemake --lint
	$(MAKE) --no-print-directory words

# words that a reader has to look up; each line printed is file:line:word
WORDS := data[ _-]sets?|whoever|nobody|somebody|goes on|told|if so|misfits?|taught|lies in|stands in|stands beside
words:
	@git grep -nIiowE '$(WORDS)' -- '*.py' '*.smk' '*Snakefile' '*.md' '*.yaml' '*.html' '*.rst' ':!CHANGELOG.md'; test $$? -eq 1

# the generated pages and schemas, from the typed settings
reference: $(READY)
	cassle schema --out config
	python docs/make_reference.py

dali: $(READY)
	uv pip install --python $(BIN)/python --compile-bytecode $(DALI)

clean:
	rm -rf .venv .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version); choose one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "the venv module is missing: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r requirements.txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .
	@touch $@
