# Two commands: `make demo` and `make test`. Each creates .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -n)

.PHONY: demo test lint bench page types page-checks browser clean
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

# The page's types, linter and unit tests need Node 20.19 or later; without it they are left out, and that is said.
page-checks:
	@if node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null; \
	then cd web && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund; } && \
	npm run --silent check; \
	elif [ "$$CARDIOMORPH_NODE" = required ]; then echo "Node 20.19 or later is required here and missing."; exit 1; \
	else echo "Node 20.19 or later is missing: the viewer's page is not checked."; fi

test: lint page-checks browser
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

bench: $(BIN)/cardiomorph
	$(BIN)/python benchmarks/run.py acdc-small

# Builds the viewer's page; only who changes web/ needs Node.
page: types
	cd web && npm ci --ignore-scripts && npm run build

# The page's types come from the server's description.
types: $(BIN)/cardiomorph
	$(BIN)/python -m cardiomorph.viewer.openapi > web/openapi.json
	cd web && npm ci --ignore-scripts && npm run types

clean:
	rm -rf out $(VENV)
