# Verbs for people and for CI. `make help` lists them; each makes the environment first if it has to.
#
# Paths are relative, so that a checkout may live in a directory with spaces in its name.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV_VERSION := 0.13.9

# The environment is made for this lock, this project file and this place (an environment cannot be moved):
# a stamp in it says for which, so that nothing is done when nothing changed.
MADE_FOR := $(shell { pwd; cat requirements/dev.txt pyproject.toml; } | cksum | cut -d' ' -f1)
STAMP := $(VENV)/made-for-$(MADE_FOR)

# What is compared with, or checked against, in an environment of its own; made for this lock and this place.
COMPARED := build/compare/made-for-$(shell { pwd; cat requirements/compare.txt; } | cksum | cut -d' ' -f1)

# Locks are whole: pip installs what they name and resolves nothing. (Left to resolve, an older pip looks for the newest
# release of a package that is wanted with an extra, "x[extra]", and then refuses it for want of a hash.)
INSTALL := install --disable-pip-version-check --no-deps --require-hashes

# What the tests start. A first run builds what neither KUBEBUILDER_ASSETS nor the cache has, before
# pytest, which would hide the progress.
PROGRAMS := kube-apiserver etcd kubectl helm kube-controller-manager

COMPILE := compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help env demo test test-mutants soak lint format lock chart bench-operator bench-sdk bench-store bench-ingest bench-sidecar bench-parsing compare clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

env: $(STAMP) ## make .venv with the locked dependencies (PYTHON=python3.12 chooses another Python)

demo: env ## a real API server, the operator, the control plane and sample agents: live tables until Ctrl-C, or for DEMO_SECONDS=60
	@$(PY) -m examples.demo

test: env $(COMPARED) ## run every test (PYTEST="-k name" chooses); the first run builds what the tests start
	@$(PY) -m agentspec_usage.cli.main devcluster build $(PROGRAMS)
	$(PY) -m pytest $(PYTEST)

lint: env ## check format, lint, types and layers; what fails says how to repair it
	@$(call check,$(PY) -m ruff format --check .,make format)
	@$(call check,$(PY) -m ruff check .,make format (what it cannot repair it shows))
	@$(call check,$(PY) -m mypy,edit what is named above and run: $(PY) -m mypy)
	@$(call check,$(VENV)/bin/lint-imports,move the import; pyproject.toml [tool.importlinter] has the layers; then run: $(VENV)/bin/lint-imports)

format: env ## repair format and what the linter can repair
	$(PY) -m ruff check --fix --show-fixes .
	$(PY) -m ruff format .

lock: env build/uv ## compile requirements/*.in into locks with hashes and without addresses
	cd requirements && ../build/uv/bin/uv pip $(COMPILE) dev.in --output-file dev.txt
	cd requirements && ../build/uv/bin/uv pip $(COMPILE) image.in --output-file image.txt
	cd requirements && ../build/uv/bin/uv pip $(COMPILE) compare.in --output-file compare.txt

chart: env ## generate the chart's copies, its table of values and charts/install.yaml
	$(PY) charts/generate.py

test-mutants: env ## break the accounting in each known way and see that a law is broken; a table, exit code 1 if one lives
	$(PY) -m tests.simulation.mutants

soak: env ## the accounting's simulation with a hundred times the programs, and a hundred times the power losses
	HYPOTHESIS_PROFILE=soak $(PY) -m pytest tests/simulation/test_programs.py tests/simulation/test_power_loss.py

bench-operator: env ## measure the operator with 100 to 10,000 agents (BENCH="--quick" chooses); writes build/bench/operator.json
	@$(PY) -m agentspec_usage.cli.main devcluster build kube-apiserver etcd kubectl
	$(PY) -m bench.operator_bench $(BENCH)

bench-sdk: env ## what metering a call costs its agent; writes build/bench/sdk.json
	$(PY) bench/sdk_bench.py

compare: $(COMPARED) ## make build/compare: what is compared with, or checked against (litellm, botocore)

bench-store: env ## durable records a second, queries and proof; BENCH="--rows 10000000" fills the store first; writes build/bench/store.json
	$(PY) -m bench.store_bench $(BENCH)

bench-ingest: env ## the same over HTTP, at the real control plane; BENCH="--database postgresql://..." chooses; writes build/bench/ingest.json
	$(PY) bench/ingest_bench.py $(BENCH)

bench-sidecar: env $(COMPARED) ## what the sidecar adds to a model call, beside litellm; writes build/bench/sidecar.json
	$(PY) -m bench.sidecar_bench $(BENCH)

bench-parsing: env ## how fast responses are parsed; writes build/bench/parsing.json
	$(PY) bench/parsing_bench.py $(BENCH)

clean: ## remove what was made here: environment, builds, caches (not the per-user cache of programs)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make env: there is no $(PYTHON). Install Python 3.11 or newer, or name one: make env PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make env: $(PYTHON) is $$($(PYTHON) --version 2>&1), and 3.11 or newer is needed. Name one: make env PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make env: $(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV) from $$($(PYTHON) --version): about 150 packages, a minute"
	@rm -f $(VENV)/made-for-*
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip $(INSTALL) -r requirements/dev.txt || { \
	  echo "make env: the locked dependencies could not be installed (see above). They come from pip's index:"; \
	  echo "  is there a network? Behind a proxy set HTTPS_PROXY, with a mirror set PIP_INDEX_URL. Then again: make env"; exit 1; }
	@$(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(PY) -m pip check || { echo "make env: the lock is not whole (see above). Compile it again: make lock"; exit 1; }
	@touch $@

$(COMPARED):
	rm -rf build/compare
	@echo "making build/compare with what is compared with (about a minute)"
	$(PYTHON) -m venv build/compare
	build/compare/bin/python -m pip $(INSTALL) --quiet -r requirements/compare.txt
	@touch $@

build/uv:
	$(PY) -m pip install --disable-pip-version-check --target build/uv uv==$(UV_VERSION)

# $(call check,command,repair)
check = echo "$(1)"; $(1) || { echo; echo "repair with: $(2)"; exit 1; }
