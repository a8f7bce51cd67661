# `make run` and `make test` need Python 3.11 or newer and nothing else. What else there is: `make help`.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
PY := $(VENV)/bin/python
SETTINGS_FOR_CHECKS := DATABASE_URL=postgres://nobody:none@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1/0 ALLOWED_HOSTS=example.com PROXY_COUNT=1
UV := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help run test test-browser check format demo code manage screenshots fuzz races chaos failpoints month bench lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.runtime ## bring everything up on this machine, and take a first payment
	@exec $(PY) -m checkout.launch run

test: $(VENV)/.dev ## run the tests, e.g. make test ARGS="payments -k capture"
	@exec $(PY) -m checkout.launch test -- $(ARGS)

test-browser: $(VENV)/.dev ## walk the desk in a real Chromium; SCREENSHOTS=docs/screenshots keeps what is seen
	@SCREENSHOTS=$(SCREENSHOTS) exec $(PY) -m checkout.launch test -- tests/browser -n 0 $(ARGS)

chaos: $(VENV)/.dev ## kill and starve everything while money moves: make chaos ROUNDS=30 SEED=1 PAYMENTS=1000
	@exec $(PY) -m tests.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(PAYMENTS),--payments $(PAYMENTS))

check: $(VENV)/.dev ## what must hold before a commit: style, types, imports, migrations, settings
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(SETTINGS_FOR_CHECKS) $(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	@set -a; eval "$$($(PY) -m checkout.launch secrets)"; $(SETTINGS_FOR_CHECKS); set +a; set -x; \
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run && \
	DJANGO_SETTINGS_MODULE=checkout.settings.production $(PY) manage.py check --deploy --fail-level WARNING

format: $(VENV)/.dev ## put the code into its usual form
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

demo: $(VENV)/.runtime ## tell a story of payments on the platform that `make run` keeps running
	@exec $(PY) -m checkout.launch demo

code: $(VENV)/.runtime ## print the one-time codes that the demo people log in with
	@exec $(PY) -m checkout.launch code

manage: $(VENV)/.runtime ## run a management command there, e.g. make manage ARGS=list_merchants
	@exec $(PY) -m checkout.launch manage -- $(ARGS)

screenshots: $(VENV)/.dev ## photograph the pages of the platform that runs
	@exec $(PY) -m tests.screenshots

fuzz: $(VENV)/.dev ## events in any order, for long: make fuzz EXAMPLES=300 STEPS=40
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),300) FUZZ_STEPS=$(or $(STEPS),40) $(PY) -m checkout.launch test -- tests/properties -n 0 --timeout 7200

races: $(VENV)/.dev ## a hundred refunds by ten processes, again and again: make races ROUNDS=1000
	@REFUND_ROUNDS=$(or $(ROUNDS),1000) $(PY) -m checkout.launch test -- tests/races -n 0 --timeout 7200

failpoints: $(VENV)/.dev ## die, or be overtaken, at every point, whatever the gateway does
	@FAILPOINT_BEHAVIOURS=all $(PY) -m checkout.launch test -- tests/failpoints --timeout 7200

month: $(VENV)/.runtime ## a month of books with planted errors: make month DAYS=30 PAYMENTS=100000 SEED=1
	@exec $(PY) -m checkout.launch alone -- simulate_month $(if $(DAYS),--days $(DAYS)) $(if $(PAYMENTS),--payments $(PAYMENTS)) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.dev ## measure, as ratios taken on this machine
	@exec $(PY) -m bench

lock: $(VENV)/.dev ## pin what pyproject.toml asks for; UPGRADE=--upgrade for newer versions
	$(UV) --output-file requirements.txt pyproject.toml
	$(UV) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean: ## remove what can be made again; data in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache var/test
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found on PATH." >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) …"
	@$(PYTHON) -I checkout/launch/venv.py $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: requirements.txt | $(PY)
	@echo "Installing what requirements.txt pins …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt | $(PY)
	@echo "Installing what requirements-dev.txt pins …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	@touch $@ $(VENV)/.runtime
