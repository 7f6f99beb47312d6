# make demo   set everything up and run the main job
# make test   set everything up and run all checks and tests
# make peers  install the programs that scenarios run, and that tests and benchmarks use (Debian, root)
# make ladders  draw the ladders of docs/ladders.md again
# make bench  measure churn beside them, in a quarter of an hour; bench/results/ has tables and figures

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --editable
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready
# For the tests: iproute2 and util-linux. For the floor of the bench, a C program: gcc, libc6-dev, liburing-dev.
PEERS := wrk apache2-utils nghttp2-client hey httperf curl nginx-light haproxy redis-server postgresql openssl iproute2 util-linux tshark gcc libc6-dev liburing-dev

NEEDS := churn needs Python 3.11 or newer; try: make PYTHON=python3.12 demo

.PHONY: demo test runs commands sockets others lint peers bench ladders clean

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
	$(BIN)/pyright --pythonpath $(BIN)/python

# Four parts at once on two cores, since most of the tests wait: whole runs, commands and cases, other tests with
# sockets, and all others.
COMMANDS := tests/cases tests/programs
# Of the whole runs, those with faults: with them all parts take about as long.
FAULTS := $(addprefix tests/runs/test_,drop.py script.py stages.py nat.py)
SOCKETS := $(FAULTS) $(addprefix tests/,drivers kernel lab ledger observe servers uring)

test: $(DEV_READY)
	$(MAKE) --no-print-directory --jobs=4 lint runs commands sockets others

runs: $(DEV_READY)
	$(BIN)/pytest tests/runs $(addprefix --ignore=,$(FAULTS))

commands: $(DEV_READY)
	$(BIN)/pytest $(COMMANDS)

sockets: $(DEV_READY)
	$(BIN)/pytest $(SOCKETS)

others: $(DEV_READY)
	$(BIN)/pytest $(addprefix --ignore=,tests/runs $(COMMANDS) $(SOCKETS))

peers:
	sh tests/peers.sh $(PEERS)

bench: $(READY)
	$(BIN)/python -m bench $(BENCH)

ladders: $(READY)
	runs=$$(mktemp -d) && $(BIN)/churn run ladders --no-figures -o $$runs && $(BIN)/churn ladder last -o $$runs \
		&& $(BIN)/churn run lost --variant answered --variant reset --no-figures -o $$runs && $(BIN)/churn ladder last --connection 3 -o $$runs \
		&& $(BIN)/churn run keepalive --variant crashed --variant rebooted --no-figures -o $$runs \
		&& $(BIN)/churn ladder last -o $$runs \
		&& cp $$runs/*/figures/ladder-*.png docs/ && rm -r $$runs

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
