# make demo   set everything up and run the main job
# make test   set everything up and run all checks and tests
# make peers  install the programs that scenarios run, and that tests and benchmarks compare with (Debian, root)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --editable
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready
NEEDS := churn needs Python 3.11 or newer; try: make PYTHON=python3.12 demo

.PHONY: demo test lint peers bench clean

$(VENV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(NEEDS)")'
	$(PYTHON) -m venv $(VENV)

$(READY): pyproject.toml | $(VENV)
	$(PIP) .
	touch $@

$(DEV_READY): pyproject.toml | $(VENV)
	$(PIP) '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/churn run scenarios/http10.yaml --quick

lint: $(DEV_READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

test: lint
	$(BIN)/pytest

peers:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
		wrk apache2-utils curl nginx-light redis-server iproute2 util-linux >/dev/null

bench: $(READY)
	$(BIN)/python -m bench.short

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
