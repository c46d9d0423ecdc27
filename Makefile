# Builds and checks the book. `make help` lists what there is.

PYTHON ?= python3
PROFILE ?= quick
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

PYTHON_RANGE := (3, 11) <= sys.version_info < (3, 15)
VERSION := import sys; print(*sys.version_info[:3], sep=".")
SEED_OPTION = $(if $(SEED),--seed "$(SEED)")
MNIST_OPTION = $(if $(MNIST),-p mnist_folder "$$(cd "$(MNIST)" && pwd)")
EXECUTE = $(BIN)/python -m tools.execute --profile "$(PROFILE)" $(SEED_OPTION) $(MNIST_OPTION)

.PHONY: help install book notebook mnist-folder test lint records stability bench pair problems course check-browser clean
.PHONY: figures check-figures check-links pdf pins

# No pip: the environment is half made (python3-venv was missing), or its Python is gone.
$(shell $(BIN)/python -c 'import pip' 2>/dev/null || rm -f $(STAMP))

ifneq ($(origin PYTHON),file) # PYTHON= was given, but an environment stays what it is
has := $(shell $(BIN)/python -c '$(VERSION)' 2>/dev/null)
wanted := $(shell $(PYTHON) -c '$(VERSION)')
ifneq ($(has),$(filter $(wanted),$(has)))
$(info $(VENV) has Python $(has) and keeps it. For $(PYTHON), remove $(VENV) first.)
endif
endif

help:
	@awk -F ':.* ## ' '/^[a-z-]+:.* ## / {printf "make %-14s %s\n", $$1, $$2}' Makefile
	@echo "PROFILE=paper: full size, from records; SEED=1: another seed, trained; MNIST=folder: IDX files"

install: $(STAMP)

$(STAMP): constraints.txt pyproject.toml
	@$(BIN)/python -c 'import pip' 2>/dev/null || { \
		$(PYTHON) -c 'import sys; ok = $(PYTHON_RANGE); \
			sys.exit(0 if ok else "Python 3.11 to 3.14 is needed, $(PYTHON) is " \
			+ sys.version.split()[0] + "; choose another: make PYTHON=python3.12 ...")' && \
		{ $(PYTHON) -m venv --clear $(VENV) || { echo "The environment could not be made." \
			"On Debian and Ubuntu, install the package python3-venv, then run make again."; exit 2; }; }; }
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[build,dev]'
	@touch $@

book: $(STAMP) mnist-folder ## execute the notebooks that changed and render the book
	$(EXECUTE) || test $$? -eq 1 # a chapter that failed says so on its page
	$(BIN)/python -m tools.render --profile "$(PROFILE)"

notebook: $(STAMP) mnist-folder ## execute one notebook, with the same options: N=02
	@test -n "$(N)" || { echo "which notebook? make notebook N=02"; exit 2; }
	$(EXECUTE) $(N)

mnist-folder:
	@test -z "$(MNIST)" || test -d "$(MNIST)" || { echo "MNIST=$(MNIST) is no folder"; exit 2; }

test: lint ## formatting, types, spelling, notebook pairs, tests and doctests
	$(BIN)/python -m pytest

lint: $(STAMP) ## the quick part of make test: all but the tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tools.pair --check
	$(BIN)/python -m tools.problems --check

records: $(STAMP) ## keep the finished full-size runs of make book PROFILE=paper in records/
	$(BIN)/python -m tools.keep_records

stability: $(STAMP) ## build the quick edition with 5 seeds and 3 ways of rounding, keep the verdicts
	$(BIN)/python -m tools.stability $(N)

bench: $(STAMP) ## measure speed and memory against the peers, write records/90_performance
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.network

pair: $(STAMP) ## write notebooks/*.ipynb from notebooks/*.md
	$(BIN)/python -m tools.pair

problems: $(STAMP) ## write problems/student/*.ipynb from problems/*.md, without solutions
	$(BIN)/python -m tools.problems

course: $(STAMP) ## make a course folder for nbgrader from them: _build/course
	$(BIN)/python -m tools.course

check-browser: $(STAMP) ## open each page in headless Chromium; SHOTS=folder: take pictures
	$(BIN)/python -m tools.check_browser $(if $(SHOTS),--screenshots "$(SHOTS)")

check-figures: $(STAMP) ## compare the figures of the paper edition with the accepted ones
	$(BIN)/python -m tools.compare_figures

figures: $(STAMP) ## accept the figures of the paper edition as they are now
	$(BIN)/python -m tools.compare_figures --accept

check-links: $(STAMP) ## ask every address outside that the rendered book links to
	PYTHONPATH=. $(BIN)/jupyter-book build _build/source --builder linkcheck

pins: $(STAMP) ## renew every version in constraints.txt, for all supported Pythons at once
	$(BIN)/python -m pip install --quiet uv
	@mkdir -p _build && rm -f _build/pins.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--no-header --no-annotate --quiet --output-file _build/pins.txt
	{ grep '^#' constraints.txt; sed 's/ *;.*//' _build/pins.txt | LC_ALL=C sort -t= -k1,1 -u; } > _build/constraints.txt
	mv _build/constraints.txt constraints.txt

pdf: $(STAMP) ## print the rendered book to _build/book.pdf, by Chromium
	$(BIN)/python -m tools.pdf

clean: ## remove what was built; the environment and full-size runs stay
	rm -rf _build/executed _build/failed _build/source _build/html _build/book.pdf
