# `make` without a target lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup demo dev test tasks lint style types imports migrations pytest queries bench screenshots generators plants lock

# Python 3.11 or newer. Choose one with `make setup PYTHON=/path/to/python3`.
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with the locked dependencies

demo: $(READY) ## run a campaign against the simulator
	@$(BIN)/outdial demo

dev: $(READY) ## start the local stack
	@$(BIN)/outdial dev

# Tests start hundreds of processes, each of which would compile the package again.
export PYTHONDONTWRITEBYTECODE :=

LINTERS := types style imports migrations

# The linters run beside the first tests, which wait for browsers and processes a part of their time. What a failing
# linter prints comes again at the end, because 20 minutes of tests follow it.
LINTED := .artifacts/linted
test: $(READY) ## lint, and run every test except the long chaos test
	@rm -rf $(LINTED); mkdir -p $(LINTED)
	@$(MAKE) --no-print-directory --keep-going -j 2 pytest $(addprefix beside-,$(LINTERS)) || { \
	  status=$$?; for failed in $(LINTED)/*; do [ ! -e "$$failed" ] || cat "$$failed"; done; exit $$status; }

beside-%:
	@if $(MAKE) --no-print-directory $* >$(LINTED)/$* 2>&1; then cat $(LINTED)/$*; rm $(LINTED)/$*; \
	else cat $(LINTED)/$*; exit 1; fi

# A file stays on one worker, which fills the databases of its tests once. tests/conftest.py puts long files first.
pytest: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not chaos"

tasks: $(READY) ## do the tasks of a campaign manager in a browser, and print their clicks
	$(BIN)/pytest -q -m tasks tests/browser

lint: $(READY) ## check style, types, imports and migrations
	@$(MAKE) --no-print-directory -j 2 $(LINTERS)

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy
	for function in supabase/functions/*/index.py; do $(BIN)/mypy "$$function" || exit 1; done

imports: $(READY)
	$(BIN)/lint-imports --no-logo

migrations: $(READY)
	$(BIN)/squawk --pg-version 15 --assume-in-transaction $(addprefix --exclude ,$(SQUAWK_EXCLUDES)) supabase/migrations/*.sql

# The migration runner sets the lock timeout and wraps every file in a transaction. Small numbers may be smallint.
SQUAWK_EXCLUDES := require-lock-timeout require-statement-timeout prefer-bigint-over-int prefer-bigint-over-smallint

queries: $(READY) ## write the typed functions of the SQL files
	$(BIN)/python -m tools.generate_queries

bench: $(READY) ## run every benchmark
	$(BIN)/python -m benchmarks all

# For people to look at; no test compares pictures. TO or OUTDIAL_SCREENSHOTS names a directory outside the repository.
screenshots: $(READY) ## photograph every page of the studio: make screenshots TO=directory ONLY=calls
	$(BIN)/python -m tests.screenshots $(TO) --only '$(ONLY)'

generators: .venv-generators/.ready ## install what generates clients from the OpenAPI document, for its test

# A venv of its own: the generator needs an older Typer than Outdial.
.venv-generators/.ready: requirements.generators.lock $(READY)
	@rm -rf .venv-generators; $(BIN)/python -m venv --without-pip .venv-generators; \
	pip="$(BIN)/python -m pip"; $$pip --version >/dev/null 2>&1 || { $(find_python); pip="$$python -m pip"; }; \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $$pip --python .venv-generators/bin/python install --quiet --require-hashes -r $<
	@touch $@

plants: $(READY) ## plant known bugs in a copy, and check that tests find each
	$(BIN)/python -m tools.plant_bugs

lock: ## resolve the dependencies again and write the lock files
	@$(find_python); tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	"$$python" -m venv "$$tools" && "$$tools/bin/pip" install --quiet uv && \
	compile="$$tools/bin/uv pip compile --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header"; \
	$$compile pyproject.toml --extra embedded --group dev -o requirements.lock && \
	$$compile pyproject.toml --constraint requirements.lock -o requirements.runtime.lock && \
	printf '%s\n' hatchling brotli fontpkg-inter fonttools lucide | $$compile - --constraint requirements.lock -o requirements.build.lock && \
	echo openapi-python-client | $$compile - -o requirements.generators.lock

# Debian ships Python without ensurepip (it is in python3-venv). In that case, fill the environment with the outer pip.
$(READY): requirements.lock pyproject.toml
	@set -e; export PIP_DISABLE_PIP_VERSION_CHECK=1; \
	pip="$(BIN)/python -m pip"; \
	if ! { $(BIN)/python -c $(NEW_ENOUGH) && $$pip --version; } >/dev/null 2>&1; then \
	  $(find_python); echo "Creating $(VENV) with $$python"; rm -rf $(VENV); \
	  if "$$python" -c 'import ensurepip; ensurepip.version()' 2>/dev/null; then "$$python" -m venv $(VENV); \
	  elif "$$python" -m pip --version >/dev/null 2>&1; then \
	    "$$python" -m venv --without-pip $(VENV); pip="$$python -m pip --python $(BIN)/python"; \
	  else echo "$$python has no pip. On Debian or Ubuntu, run: apt install python3-venv" >&2; exit 1; fi; \
	fi; \
	echo "Installing the locked dependencies into $(VENV). This takes a minute or two."; \
	$$pip install --quiet --require-hashes -r requirements.lock; \
	$$pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

NEW_ENOUGH := 'import sys; sys.exit(sys.version_info < (3, 11))'
define find_python
python=; for candidate in $(PYTHONS); do \
  if "$$candidate" -c $(NEW_ENOUGH) 2>/dev/null; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo "Outdial needs Python 3.11 or newer. Choose one with: make setup PYTHON=/path/to/python3" >&2; exit 1; \
fi
endef
