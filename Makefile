# Needs Python 3.11 and nothing else; everything goes into .venv. `make help` lists the tasks.
# make TORCH=cpu TORCH_INDEX=... takes another build of PyTorch (cpu, cu126, cu130) from another index: docs/install.md.
STUDY ?= pictograms
ROAR = $(if $(filter pictograms,$(STUDY)),roar_pictograms,$(STUDY))
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517
export STUDY ROAR
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help study roar plan test test-slurm lab lint docs front lock bench gpu-checks weights
.DEFAULT_GOAL := help

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

study: .venv/installed ## run a study and say where its report is (STUDY=pictograms; also smoke, photos, a ROAR study, or a YAML file)
	$(BIN)/snakemake --config study="$$STUDY"
	@$(BIN)/python -m xailib.workflow where "$$STUDY"

roar: .venv/installed ## run ROAR alone and say where its report is (STUDY=roar_pictograms; also roar_imagenette, ...)
	$(BIN)/snakemake --config study="$$ROAR"
	@$(BIN)/python -m xailib.workflow where "$$ROAR"

plan: .venv/installed ## say what a study will cost on this machine: passes, hours, memory (STUDY=imagenet)
	$(BIN)/python -m xailib.workflow plan "$$STUDY"

test: lint ## run the linters and the tests, a file at a time on each core (at most four: each takes some 2 GB)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-slurm: .venv/developer ## run the smoke study through a Slurm on this machine (root, Debian; nine minutes)
	$(BIN)/python -m tests.slurm.drive

LAB_SETTINGS = .venv/etc/jupyter/labconfig/page_config.json
KERNEL_SETTINGS = .venv/etc/ipython/ipython_kernel_config.py
lab: .venv/installed $(LAB_SETTINGS) $(KERNEL_SETTINGS) results/by_hand/explore.ipynb ## open JupyterLab on a copy of notebooks/explore.ipynb
	KERNEL_IMPORTS="xailib.explorer.widget torchvision matplotlib.pyplot" OMP_WAIT_POLICY=$${OMP_WAIT_POLICY:-PASSIVE} $(BIN)/jupyter lab --notebook-dir=. results/by_hand/explore.ipynb $(if $(filter 0,$(shell id -u)),--allow-root)

$(LAB_SETTINGS): .venv/installed # no news, which would be fetched from the network
	@mkdir -p $(@D) && echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' > $@

# Kernels load what the explorer needs while the notebook opens: seconds that Run would take.
$(KERNEL_SETTINGS): Makefile
	@mkdir -p $(@D) && printf '%s\n' 'import os' 'for name in os.environ.get("KERNEL_IMPORTS", "").split():' \
		'    c.IPKernelApp.exec_lines.append(f"__import__({name!r});")' > $@

# What is clicked and typed there is saved by JupyterLab: into the copy, which Git ignores. A newer original replaces it.
results/by_hand/explore.ipynb: notebooks/explore.ipynb
	@mkdir -p $(@D) && cp $< $@

lint: .venv/developer ## check code, types, notebooks and Snakefile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb docs/tutorials/*.ipynb
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

docs: .venv/developer ## build the site in build/site, tutorials executed, offline (EXECUTE=false leaves them as they are)
	$(BIN)/mkdocs build

front: .venv/installed ## write the front page's figure and numbers from docs/findings
	$(BIN)/python docs/front.py

# What is pinned stays, and what is new gets its newest version; UPGRADE=--upgrade renews everything.
LOCK = uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --fork-strategy fewest --no-annotate \
  --no-emit-index-url --custom-compile-command "make lock"
lock: ## write requirements*.lock anew from pyproject.toml (needs uv)
	@command -v uv > /dev/null || { echo "uv is needed: https://docs.astral.sh/uv"; exit 2; }
	$(LOCK) $(UPGRADE) --all-extras -o requirements-dev.lock
	$(LOCK) $(UPGRADE) --extra suite --extra photos --extra slurm -c requirements-dev.lock -o requirements.lock
	$(LOCK) $(UPGRADE) -c requirements-dev.lock -o requirements-core.lock

bench: .venv/developer ## race against other implementations (20 minutes; SAVE=docs/benchmarks keeps tables and pictures there)
	@for race in benchmarks/*.py; do echo "== $$race"; $(BIN)/python "$$race" $(if $(SAVE),--save "$(SAVE)") || exit 1; done

gpu-checks: .venv/developer ## test, race and time everything on a GPU (15 minutes; DEVICE=cpu QUICK=1 is a dry run)
	@sh benchmarks/gpu_checks.sh

weights: .venv/installed ## train the small networks of a study's data set: the missing, or all again (hours; goes on where it was stopped)
	$(BIN)/snakemake weights --config study="$$STUDY"

# Stamps are touched last, so that a broken installation is tried again and a whole one is not.
.venv/installed: requirements.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	"$(PYTHON)" -m venv .venv
	@echo "Installing into .venv: about $(if $(filter cpu,$(TORCH)),2,6) GB, most of it PyTorch; some minutes, once."
ifdef TORCH
	$(PIP) $(TORCH_INDEX:%=--index-url %) $$(sed -nE 's/^(torch|torchvision)==([^ ;]+).*/\1==\2+$(TORCH)/p' $<)
	grep -vE '^(torch|torchvision|triton|cuda-.*|nvidia-.*)==' $< > .venv/others.lock
endif
	$(PIP) --no-deps -r $(if $(TORCH),.venv/others.lock,$<)
	$(PIP) --no-deps -e .
	@touch $@

.venv/developer: .venv/installed requirements-dev.lock
	grep -vE '^(torch|torchvision|triton|cuda-.*|nvidia-.*)==' requirements-dev.lock > .venv/others.lock
	$(PIP) --no-deps -r .venv/others.lock
	@touch $@
