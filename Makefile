# Two commands on a fresh machine that has Python, make and pip: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# The versions of every package that the tests passed with. `make test VERSIONS=` takes the newest ones instead.
VERSIONS ?= --constraint constraints.txt

.PHONY: demo test docs lint lock audit clean

demo: .venv/demo.stamp
	$(BIN)/python run.py demo

# Tests are small: one thread each, and as many processes as there are cores. Neighbors go to the same process.
test: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# The documentation site, from index.html of the folder build/docs on. Warnings are errors.
docs: .venv/docs.stamp
	$(BIN)/python -m sphinx -W --keep-going --quiet --fresh-env --conf-dir docs/site . build/docs

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# Takes the newest versions that pyproject.toml allows, for every system and Python.
lock:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --upgrade --extra dev --extra docs pyproject.toml \
		--no-annotate --custom-compile-command 'make lock' --output-file constraints.txt

# Looks for known faults of these versions; SECURITY.md names those that stay.
audit:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install pip-audit
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

.venv/demo.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(VERSIONS) --editable '.[demo]'
	touch $@

.venv/dev.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(VERSIONS) --editable '.[dev]'
	touch $@

.venv/docs.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(VERSIONS) --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv build
