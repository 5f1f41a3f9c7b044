# make report: the environment and the default run. make test: the environment and every test
# that needs neither root nor other software. make help lists the rest.

PYTHON ?= python3
VENV := .venv
# The lock that .venv was made from stays in use until another is named.
INSTALLED := $(VENV)/installed
MADE_FROM := $(or $(shell cat $(INSTALLED) 2>/dev/null),envs/cpu.txt)
LOCK ?= $(MADE_FROM)
CORES ?= all
TEST_PROCESSES ?= auto
SYSTEM_TESTS ?= tests/system
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: another-lock help env report test test-system test-recovery plan lint lock sbom clean

help: ## list the targets
	@grep -hE '^[a-z./-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

env: $(INSTALLED) ## the pinned environment in .venv (GPU: make env LOCK=envs/cuda.txt)

$(INSTALLED): $(LOCK) envs/install.sh $(if $(filter-out $(MADE_FROM),$(LOCK)),another-lock)
	bash envs/install.sh $(VENV) $(LOCK) $(PYTHON)
	echo $(LOCK) >$@

report: env ## the default run, ends at results/report.html
	snakemake --cores $(CORES) results/report.html

# It starts nothing, so where another environment is active it makes none.
plan: $(if $(VIRTUAL_ENV),,env) ## what a run would do, and why (another run: make plan CONFIG=config/smollm2.yaml)
	snakemake results/report.html --cores $(CORES) --dry-run --logger reasons \
	  $(if $(CONFIG),--configfile $(CONFIG))

test: env lint ## every test that needs neither root nor other software
	pytest -n $(TEST_PROCESSES) tests/unit
	pytest -n $(TEST_PROCESSES) --maxprocesses 4 --dist loadfile tests/workflow

test-system: env ## a real Slurm, browser and S3, the image, hostile texts, real models (needs root: Debian packages)
	bash tests/system/install.sh
	pytest --durations=5 $(SYSTEM_TESTS)

test-recovery: env ## break every stage at random moments: the results must be the same (needs root)
	python tests/recovery/break_it.py

docs/report.png: results/report.html ## the README's picture of a run's page (needs Chromium)
	chromium --headless --no-sandbox --disable-gpu --disable-background-networking \
	  --user-data-dir=$(shell mktemp -d) --hide-scrollbars --force-prefers-color-scheme=light \
	  --window-size=1280,850 --virtual-time-budget=20000 --screenshot=$@ file://$(CURDIR)/$<

lint: env ## format, lint, types
	ruff format --check workflow tests
	ruff check workflow tests
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint

lock: ## resolve envs/*.txt again
	bash envs/lock.sh

sbom: ## list what both locks install, as CycloneDX JSON under results/
	for lock in cpu cuda; do $(PYTHON) envs/sbom.py envs/$$lock.txt >results/sbom-$$lock.json || exit; done

clean: ## remove what runs have made
	find results -mindepth 1 ! -name README.md -delete
