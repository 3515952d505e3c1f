# make demo: installs, then the main job on embedded data, ending in a report.
# make test: installs, then everything CI checks.
# make bench: installs, then rewrites the figures of speed in benchmarks/*.md.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test lint bench clean
.DEFAULT_GOAL := install

install: .venv/installed

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gantune needs Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/gantune tune cyclegan --study demo --timeout 10m --pruner asha \
		--space search_spaces/cyclegan_small.json --discriminator projected --size 64 --width 16 \
		--blocks 2 --batch-size 2 --upsample resize --skip add --norm none --ema 0.995 \
		--compile off

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

bench: install
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.processes
	$(BIN)/python -m benchmarks.epoch
	$(BIN)/python -m benchmarks.conclusions
	$(BIN)/python -m benchmarks.startup

clean:
	rm -rf .venv build *.egg-info
