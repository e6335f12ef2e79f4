# The interface to the house: `make run` opens the studio, `make test` checks it, `make help` lists the rest.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
VENV ?= .venv
BIN := $(VENV)/bin
# The build with a GPU is chosen by pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL); see docs/hosting.md.
TORCH ?= torch==2.13.0
HOST ?=
PORT ?=

# Installed again whenever the requirements change, and not otherwise.
KEY := $(shell cat pyproject.toml Makefile | cksum | tr ' ' '-')
INSTALLED := $(VENV)/.installed-$(KEY)
INSTALLED_DEV := $(VENV)/.installed-dev-$(KEY)

# How system packages may be installed here, if at all: as root, or with a sudo that asks for no password.
APT = $(shell if command -v apt-get >/dev/null 2>&1; then \
	if [ "$$(id -u)" = 0 ]; then echo "env DEBIAN_FRONTEND=noninteractive apt-get"; \
	elif sudo -n true 2>/dev/null; then echo "sudo -n DEBIAN_FRONTEND=noninteractive apt-get"; fi; fi)

.DEFAULT_GOAL := help
.PHONY: help run install dev test lint format ui bench gpu requirements test-packages clean

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

run: $(INSTALLED) ## open the studio on http://127.0.0.1:7860 (PORT=..., HOST=... choose another place)
	@$(BIN)/mien serve $(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST))

install: $(INSTALLED) ## create the environment in .venv

dev: $(INSTALLED_DEV) ## add what the tests and checks need

test: $(INSTALLED_DEV) test-packages ## run the tests
	$(BIN)/python -m pytest

lint: $(INSTALLED_DEV) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED_DEV) ## put all files into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(INSTALLED_DEV) test-packages ## run the browser tests
	$(BIN)/python -m pytest tests/ui

bench: $(INSTALLED_DEV) ## measure speed and memory
	$(BIN)/mien bench

gpu: $(INSTALLED_DEV) ## run the tests that need a GPU
	$(BIN)/python -m pytest -m gpu tests/gpu

requirements: $(INSTALLED) ## write requirements.txt from pyproject.toml
	$(BIN)/python .ci/requirements.py

clean: ## remove the environment
	rm -rf $(VENV)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot create environments yet; Debian keeps that in the package python3-venv."; \
		test -n "$(APT)" && $(APT) update -q && $(APT) install -q -y python3-venv; } \
		|| { echo "Install it (apt-get install python3-venv) and run make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): | $(BIN)/python
	@echo "Installing what Mien needs; this takes some minutes the first time."
	$(BIN)/pip install --quiet --disable-pip-version-check "pip>=25.1" "setuptools>=77"
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation -e .
	@rm -f $(VENV)/.installed-[0-9]* && touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@rm -f $(VENV)/.installed-dev-* && touch $@

test-packages:
	@missing=""; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| missing="$$missing chromium"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -z "$(APT)" ]; then echo "Tests that need$$missing are skipped: no system packages may be installed here."; exit 0; fi; \
	echo "Installing$$missing for the tests."; \
	{ $(APT) update -q && $(APT) install -q -y --no-install-recommends $$missing; } \
		|| echo "Tests that need$$missing are skipped: apt-get could not install them."
