# Two commands: `make demo` and `make test`. Each creates .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -n)

.PHONY: demo test lint bench page browser clean
.DEFAULT_GOAL := demo

$(BIN)/cardiomorph: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(BIN)/cardiomorph
	$(BIN)/cardiomorph demo --output out/demo

lint: $(BIN)/cardiomorph
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# The viewer's page is tested in Debian's Chromium; without it those tests skip and say so.
browser:
	@command -v chromium >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium; } >/dev/null 2>&1 || \
	echo "Chromium is missing and could not be installed: the viewer's page is not tested."

test: lint browser
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

bench: $(BIN)/cardiomorph
	$(BIN)/python benchmarks/run.py acdc-small

# Builds the viewer's page; only who changes web/ needs Node.
page:
	cd web && npm ci && npm run build

clean:
	rm -rf out $(VENV)
