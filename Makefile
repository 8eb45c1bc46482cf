# Everything a fresh clone needs, with nothing prepared but Python 3.11+, make and git.
# One environment, .venv: torch is installed once, and tox runs its factors in it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help quickstart dev test lint docs asv clean

help: ## Show what can be made.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

quickstart: $(VENV)/.run ## Install, compare the first models, and write a report.
	$(BIN)/ssm-bench run --preset quickstart
	$(BIN)/ssm-bench report

dev: $(VENV)/.dev ## Install what contributors need as well.

test: $(VENV)/.dev ## Run every check that a change must pass.
	@$(BIN)/tox run-parallel --parallel auto -e lint,types,imports,docs,asv; others=$$?; \
	$(BIN)/tox run -e tests,coverage && exit $$others

lint: $(VENV)/.dev ## Check style, types and who imports whom.
	$(BIN)/tox run -e lint,types,imports

docs: $(VENV)/.dev ## Build the documentation into site/.
	$(BIN)/tox run -e docs

asv: $(VENV)/.run ## Measure this commit and keep its results for comparison with others.
	$(BIN)/asv run --record-samples --interleave-rounds --show-stderr 'HEAD^!'

clean: ## Remove the environments and everything built, but no results.
	rm -rf $(VENV) .tox .asv/env site build *.egg-info

# The stamps say what was installed; a second make installs nothing. What contributors need includes
# what a run needs: who installed one after the other would compile the project twice.
$(VENV)/.run: EXTRA := asv
$(VENV)/.dev: EXTRA := dev
$(VENV)/.run $(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) '$(TORCH)' --editable '.[$(EXTRA)]'
	@test -f ~/.asv-machine.json || $(BIN)/asv machine --yes >/dev/null
	@touch $(VENV)/.run $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'ssm-bench needs Python 3.11 or newer, and $(PYTHON) is older or missing;' \
	    'name one that is, as in: make PYTHON=python3.12 quickstart' >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo '$(PYTHON) cannot make virtual environments;' \
	    'on Debian and Ubuntu, apt-get install python3-venv' >&2; exit 2; }
	@touch $@
