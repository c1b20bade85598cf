# Everything is set up on first use in .venv/, from hashed locks, with nothing but Python 3.11+ and make.
# Another interpreter: make test PYTHON=python3.12. One test: make test ARGS="tests/unit -k placement".

PYTHON ?= python3
ARGS ?=

FOUND := $(shell $(PYTHON) -c 'import sys; print(sys.executable, "%d.%d" % sys.version_info[:2], int(sys.version_info >= (3, 11)))' 2>/dev/null)
INTERPRETER := $(word 1,$(FOUND))
VERSION := $(word 2,$(FOUND))
ifneq ($(word 3,$(FOUND)),1)
ifneq ($(MAKECMDGOALS),help)
ifneq ($(MAKECMDGOALS),clean)
$(error '$(PYTHON)' is not a Python of version 3.11 or newer. Name one that is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11)
endif
endif
endif

VENV := .venv/$(VERSION)
UV := .venv/uv/bin/uv
CORE := $(VENV)/core/bin/python
DEV := $(VENV)/dev/bin/python
BENCH := $(VENV)/bench/bin/python
WORKERS ?= $(shell $(INTERPRETER) -c 'import os; print((os.cpu_count() or 1) + 1)') # many tests wait for processes
PYTEST := $(DEV) -m pytest --session-timeout=1200 --numprocesses=$(WORKERS) --dist=worksteal
PROJECT := pyproject.toml README.md src/plait/_version.py requirements/build.txt

export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help demo test test-quick test-nightly test-extra lint format bench bench-fit bench-flow bench-jobs dist lock clean
.DELETE_ON_ERROR:
.SECONDARY:

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: $(VENV)/core/.ready ## run Plait over real input and compare it with doing so serially
	$(CORE) examples/demo.py $(ARGS)

test: $(VENV)/dev/.ready ## every test that needs nothing but Python
	$(PYTEST) -m "not extra and not nightly" $(ARGS)

QUICK := tests/unit tests/architecture tests/contract/jobs tests/property/test_portable.py tests/property/test_wire.py \
	$(addprefix tests/contract/test_,meaning.py run.py flow.py failures.py context.py task.py resources.py warm_loops.py) \
	tests/faults/test_main_module.py
test-quick: $(VENV)/dev/.ready ## what tells most in the least time, for further interpreters
	$(PYTEST) -m "not extra and not slow and not nightly" $(QUICK) $(ARGS)

test-nightly: $(VENV)/dev/.ready ## those that take many minutes: more random flows, a hundred kills
	$(PYTEST) -m nightly $(ARGS)

test-extra: $(VENV)/dev/.ready ## those that need more than Python (tests/README.md)
	$(PYTEST) -m extra $(ARGS) || [ $$? -eq 5 ] # 5: there are none

lint: $(VENV)/dev/.ready ## style, format, layers, types
	$(VENV)/dev/bin/ruff check .
	$(VENV)/dev/bin/ruff format --check .
	$(VENV)/dev/bin/lint-imports
	$(DEV) -m mypy

format: $(VENV)/dev/.ready ## mend style and format where that can be done by a program
	$(VENV)/dev/bin/ruff check --fix .
	$(VENV)/dev/bin/ruff format .

bench: $(VENV)/bench/.ready ## measure against peers, side by side
	$(BENCH) -m benchmarks.run $(ARGS)

bench-fit: $(VENV)/bench/.ready ## measure how well auto chooses (benchmarks/fit/README.md)
	$(BENCH) -m benchmarks.fit $(ARGS)

bench-flow: $(VENV)/bench/.ready ## measure flows beside what people glue by hand, and peers (benchmarks/README.md)
	$(BENCH) -m benchmarks.flow $(ARGS)

bench-jobs: $(VENV)/bench/.ready ## measure the durable queue beside its peers (benchmarks/README.md)
	$(BENCH) -m benchmarks.jobs $(ARGS)

dist: $(UV) ## build wheel and sdist into dist/
	rm -rf dist
	$(UV) build --quiet --python $(INTERPRETER) --build-constraints requirements/build.txt --require-hashes

clean: ## forget every environment and cache
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# An environment holds exactly its lock, and this checkout. The stamp is made last, so that a broken set-up is redone.
$(VENV)/core/.ready $(VENV)/dev/.ready $(VENV)/bench/.ready: $(VENV)/%/.ready: requirements/%.txt $(PROJECT) $(UV)
	@rm -f $@
	$(UV) venv --quiet --allow-existing --python $(INTERPRETER) $(@D)
	$(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes $<
	$(UV) pip install --quiet --python $(@D)/bin/python --no-deps --build-constraints requirements/build.txt --editable .
	@touch $@

$(UV): requirements/uv.txt
	@rm -rf .venv/uv
	@$(INTERPRETER) -m venv .venv/uv || { echo "$(PYTHON) cannot make environments: install its venv package (Debian: apt-get install python3-venv)" >&2; exit 1; }
	.venv/uv/bin/python -m pip install --quiet --require-hashes --requirement requirements/uv.txt
	@touch $@

# Locks: for every platform and version, each file with the hash of what may be installed, and no registry named.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade

lock: $(UV) ## resolve requirements/*.txt anew
	$(COMPILE) pyproject.toml --output-file requirements/core.txt
	$(COMPILE) pyproject.toml --extra fast --extra jobs --extra parquet --extra plot --extra postgres --group dev --constraints requirements/core.txt --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --all-extras --constraints requirements/dev.txt --output-file requirements/bench.txt
	$(COMPILE) requirements/build.in --output-file requirements/build.txt
	$(COMPILE) requirements/uv.in --output-file requirements/uv.txt
