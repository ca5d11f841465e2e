# `make` lists what can be made.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help questions images image-check setup demo test lint types unit chain pipelines seeds lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready  ## make the virtual environment from requirements.lock

$(VENV)/.ready: requirements.lock pyproject.toml
	scripts/setup.sh $(VENV)
	@touch $@

demo: setup  ## run the whole chain on the OpenMoji benchmark, then answer three queries
	scripts/demo.sh

test: setup lint types unit  ## lint, types and all tests

lint: setup
	ruff check .
	ruff format --check .

types: setup
	mypy

unit: setup
	scripts/system.sh
	pytest

chain: setup  ## run the chain on the very small profile in a copy of the checkout
	scripts/chain.sh

pipelines: setup  ## compile the pipelines, write the components' pages, lint both
	trace pipeline compile
	python -m trace_retriever.kubeflow.pages
	trace pipeline compile --check

seeds: setup  ## train and evaluate further seeds; writes results/seeds.json
	python benchmarks/seeds.py --seed 2 --seed 3

questions: setup  ## rerun the study of the paper's questions on what `make demo` made: an hour and a half on two cores
	python experiments/run.py

images:  ## build the container images with buildah, podman or docker
	scripts/images.sh

image-check: setup  ## run every command and component in the built CPU image: no root, network only where a task needs it
	scripts/image_check.sh
	work=$$(mktemp -d) && python -m scripts.image_components $$work && rm -rf $$work

lock: setup  ## resolve pyproject.toml again into requirements.lock
	scripts/lock.sh

clean:  ## remove what was made (not the DVC cache)
	rm -rf .trace .pytest_cache .mypy_cache .ruff_cache dist
