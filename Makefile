# `make demo` and `make test` are all a newcomer types; both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CELLS := askew-demo/cells.csv

.PHONY: bench-loop bench-review help setup demo review fmt lint type test check docs bench-speed bench-growth bench-tried bench-outside bench-quality bench-methods bench-active screenshots soak paper paper-quick clean
.DEFAULT_GOAL := help

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# Rebuilt only when it is missing or the lock has changed.
$(READY): constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Askew needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(READY)  ## build .venv

demo: $(READY)  ## rank a real table and look at the result
	$(BIN)/askew demo
	@echo 'From this folder: make review'

review: $(READY) | $(CELLS)  ## judge the rows of the demo's table on a page in the browser
	$(BIN)/askew review $(CELLS) --label verdict --id id

$(CELLS): | $(READY)
	$(BIN)/askew demo --json > /dev/null

fmt: $(READY)  ## format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

type: $(READY)
	$(BIN)/mypy

test: $(READY) lint type  ## lint, types and the quick suite: what CI runs
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto

screenshots: $(READY)  ## take the pictures in docs/img anew
	ASKEW_WRITE_IMAGES=1 $(BIN)/pytest -q tests/browser/test_images.py

docs: $(READY)  ## write docs/methods.md from the methods' own files
	$(BIN)/python docs/generate.py

# Peers to measure against live in an environment of their own.
BENCH := .venv-bench
$(BENCH)/.ready: constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv --clear $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt --editable . pandas
	$(BENCH)/bin/python -m pip install --quiet --no-deps --requirement benchmarks/requirements.txt
	@touch $@

bench-speed: $(BENCH)/.ready  ## ours beside DeepOD's and PyOD's as ratios, to docs/results/speed.md
	OMP_NUM_THREADS=1 $(BENCH)/bin/python benchmarks/speed.py
	$(BENCH)/bin/python benchmarks/speed.py --report

bench-growth: $(BENCH)/.ready  ## time and memory against rows, columns and members, to docs/results/growth.md
	$(BENCH)/bin/python benchmarks/growth.py
	$(BENCH)/bin/python benchmarks/growth.py --report

bench-quality: $(READY) $(BENCH)/.ready  ## the default and its peers over the real tables, to docs/results/quality.md
	OMP_NUM_THREADS=1 $(BENCH)/bin/python benchmarks/quality.py --who peers
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quality.py --who askew
	$(BIN)/python benchmarks/quality.py --report

bench-outside: $(BENCH)/.ready  ## the default and some peers on tables that are not in the panel
	OMP_NUM_THREADS=1 $(BENCH)/bin/python benchmarks/outside.py
	$(BENCH)/bin/python benchmarks/outside.py --report

bench-tried: $(READY)  ## ideas for the default on splits of their own, to benchmarks/tried.jsonl
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tried.py
	$(BIN)/python benchmarks/tried.py --report

bench-market: $(READY)  ## 300 verdicts on 45,211 rows of text and numbers, file to file
	$(BIN)/python benchmarks/market.py

bench-methods: $(BENCH)/.ready  ## each method beside its namesakes in DeepOD and PyOD, one JSON line a run
	$(BENCH)/bin/python benchmarks/methods.py

bench-active: $(READY) $(BENCH)/.ready  ## asking beside what else asks, to docs/results/active.md
	$(BIN)/python benchmarks/active.py
	$(BENCH)/bin/python benchmarks/active.py --who coniferest
	$(BIN)/python benchmarks/active.py --report

bench-loop: $(READY)  ## a verdict, a refit and the next question on 10,000 to 1,000,000 rows
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/loop.py

bench-review: $(READY)  ## eight reviewers at one page on 100,000 rows for two minutes, one JSON line
	$(BIN)/python benchmarks/review_load.py

bench-serving: $(READY)  ## score rows over HTTP: one, a thousand, sixteen callers at once
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/serving.py

soak: $(READY)  ## kill and crowd the verdict store and the page's server: 200 and 50 rounds
	$(BIN)/python benchmarks/soak.py --rounds 200 --seconds 60
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/review_kills.py --rounds 50

paper: $(READY)  ## the papers' figures, to docs/results/papers.md; full image sets with DATA=DIR
	$(BIN)/python benchmarks/paper $(if $(DATA),--data $(DATA))

paper-quick: $(READY)  ## a few runs of each, to benchmarks/runs/papers-quick.md
	$(BIN)/python benchmarks/paper --quick

clean:  ## remove what the targets above made
	rm -rf $(VENV) $(BENCH) .mypy_cache .ruff_cache .pytest_cache askew-demo
