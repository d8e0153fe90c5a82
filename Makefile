# One machine, no account: `make demo` shows the product, `make test` proves it.
# Every target prepares what it needs; a later start costs a fraction of a second.
.DEFAULT_GOAL := help
.PHONY: help setup demo run test check fmt bench verify openapi scale nightly lock clean distclean
PY := .venv/bin/python
ARGS ?=
export PYTHONUNBUFFERED := 1

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  options for a target: ARGS="..."'

setup: ## Environment, packages and Azurite; quick when nothing changed
	@sh local/bootstrap.sh

demo: setup ## From nothing to a restored customer, in front of you
	@$(PY) -m local.demo $(ARGS)

run: setup ## Everything on this machine until Ctrl-C; WORKERS=2 starts that many
	@$(PY) -m local.run $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

test: setup ## All tests but the slow ones
	@$(PY) -m pytest -m "not scale" -n auto --maxprocesses 4 --dist loadfile $(ARGS) || { \
	  echo "what failed, once more and alone: side by side, suites that kill and wait disturb others"; \
	  $(PY) -m pytest -m "not scale" --last-failed --last-failed-no-failures none $(ARGS); }

check: setup ## Lint, format, types, import rule, house rules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -m pytest -q tests/house

fmt: setup ## Format, and fix what can be fixed
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: setup ## Figures of speed and size, as a table
	@$(PY) -m bench $(ARGS)

verify: setup ## Every balance told again from its ledger; HOLDFAST_STORAGE_CONNECTION says where
	@$(PY) -m local.verify

openapi: setup ## Write docs/openapi.json from the routes
	@$(PY) -m local.openapi $(ARGS)

scale: setup ## The slow tests
	@$(PY) -m pytest -m scale --timeout 1800 $(ARGS)

# Many times as many random programs of licensing and of backups as `make test`.
nightly: scale ## The slow tests, then many more random programs
	@HOLDFAST_MACHINE_STEPS=400 HOLDFAST_MACHINE_EXAMPLES=2000 \
	  $(PY) -m pytest tests/unit/licensing/test_machine.py
	@HOLDFAST_CHAOS_EXAMPLES=400 $(PY) -m pytest tests/contract/engine/test_delta_chaos.py

lock: setup ## Pin requirements*.in anew; needs uv
	uv pip compile -q --python-version 3.13 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --prerelease=if-necessary-or-explicit \
	  requirements.in -o requirements.txt
	uv pip compile -q --python-version 3.13 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --prerelease=if-necessary-or-explicit \
	  -c requirements.txt requirements-dev.in -o requirements-dev.txt
	$(PY) -m local.node npm install --prefix local --package-lock-only --ignore-scripts

clean: ## Remove caches and the data of local runs
	rm -rf .local .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -not -path './.venv/*' -not -path './local/node_modules/*' \
	  -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environment too
	rm -rf .venv local/node_modules
