# Set-up, the quickstart and the checks. Everything runs in .venv, which the first target makes; see `make help`.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CIFAR10_PUBLISHED := ecc_deploy/zoo/weights/cifar10/headline.json
# What the quickstart needs, and what the tests need beside: every toolchain that runs here, about 3 GB.
EXTRAS := train,onnxruntime,report
DEVELOPED := $(VENV)/.developed
DEV_EXTRAS := toolchains,report,dev
# An interpreter of your choice: make quickstart PYTHON=/usr/bin/python3.12
PYTHON ?=

.DEFAULT_GOAL := help
.PHONY: help install quickstart train-cifar10 reproduce-cifar10 test test-all soak fuzz test-arm test-ssh test-servers test-report lint types wheel wheel-check clean

help: ## Show the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 26

install: $(INSTALLED) ## Make .venv and install the pinned versions into it

quickstart: $(INSTALLED) ## Train, export, serve, measure and report on the embedded sample
	@$(BIN)/ecc-deploy quickstart

reproduce-cifar10: $(INSTALLED) ## Export, evaluate and measure the shipped CIFAR-10 system; compare with what is published
	@test -n "$$ECC_DEPLOY_CIFAR10" || $(BIN)/ecc-deploy data fetch cifar10
	@$(BIN)/python benchmarks/headline.py shipped:cifar10 --out reproduced/cifar10 \
		$(if $(wildcard $(CIFAR10_PUBLISHED)),--published $(CIFAR10_PUBLISHED))

# One seed, or several: make train-cifar10 SEEDS="1 2 3". Interrupted, it goes on by the same command.
SEEDS := 1
train-cifar10: $(INSTALLED) ## Train the CIFAR-10 system from scratch, resumable (hours on a CPU)
	@test -n "$$ECC_DEPLOY_CIFAR10" || $(BIN)/ecc-deploy data fetch cifar10
	@test -f runs/cifar10-backbones/system.safetensors || $(BIN)/ecc-deploy train cifar10-backbones --out runs/cifar10-backbones
	@for seed in $(SEEDS); do \
		test -f runs/cifar10-seed-$$seed/system.safetensors || \
			$(BIN)/ecc-deploy train cifar10 --seed $$seed --out runs/cifar10-seed-$$seed || exit $$?; \
	done

# Processes that share the tests; files are never divided. With one: make test WORKERS=0
# One that crashes is not started again: pytest-xdist would give it the same test once more, and may then wait for ever.
WORKERS ?= 2
test: $(DEVELOPED) ## Run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 -m "not slow"

test-all: $(DEVELOPED) ## Run the tests, and those that only compile for minutes
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# How many requests, and how many a second: make soak REQUESTS=1000000 RATE=200
REQUESTS ?= 10000
RATE ?= 80
soak: $(DEVELOPED) ## Answer 10,000 samples while a fault happens every second, and judge what became of each (2 minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.run --requests $(REQUESTS) --rate $(RATE)

# One target, for long: make fuzz SECONDS_EACH=3600 FUZZ="'decode png'"
SECONDS_EACH ?= 30
FUZZ ?=
fuzz: $(DEVELOPED) ## Fuzz what reads bytes of others, guided by coverage, half a minute each
	@$(call pip-install,fuzz)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.run --seconds $(SECONDS_EACH) $(FUZZ)

test-arm: $(DEVELOPED) ## Run the edge halves on emulated Arm boards, and compare with this machine
	@$(BIN)/python .ci/arm_check.py

test-servers: $(DEVELOPED) ## Run the client against Triton, Ray Serve and KServe, each in .servers/
	@$(BIN)/python .ci/servers_env.py
	@OMP_NUM_THREADS=1 ECC_DEPLOY_SERVERS=$(CURDIR)/.servers $(BIN)/python -m pytest tests/servers

test-ssh: $(DEVELOPED) ## Benchmark over ssh: a user and an sshd on this machine's loopback, for a while (needs root)
	@$(BIN)/python .ci/ssh_check.py

test-report: $(DEVELOPED) ## Open the report in headless Chromium, in several widths, light and dark, and use its controls
	@$(BIN)/python .ci/report_check.py

lint: $(DEVELOPED) ## Check style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint docker/*.Dockerfile; else echo "Dockerfiles are not checked: hadolint is for x86-64 Linux"; fi

types: $(DEVELOPED) ## Check the types
	@$(BIN)/mypy

wheel: $(DEVELOPED) ## Build dist/*.whl
	@rm -rf dist && $(BIN)/python -m hatchling build -t wheel

wheel-check: wheel ## Install the wheel, base dependencies only, into an empty environment and use it
	@$(BIN)/python .ci/wheel_check.py dist/*.whl

clean: ## Remove .venv and everything that was built
	@rm -rf $(VENV) .arm .servers .sshd .report dist build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first of these that is Python 3.11 or newer and can make a virtual environment.
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11
FIND_PYTHON = for python in $(CANDIDATES); do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	python=; \
done

$(INSTALLED): pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		$(FIND_PYTHON); \
		if [ -z "$$python" ]; then \
			echo "Error: no Python 3.11 or newer that can make a virtual environment was found." >&2; \
			echo "On Debian and Ubuntu: apt install python3 python3-venv. Or name one: make PYTHON=/path/to/python3.12" >&2; \
			exit 2; \
		fi; \
		echo "Making $(VENV) with $$($$python --version)"; \
		$$python -m venv --clear $(VENV) || exit 2; \
	fi
	@echo "Installing the pinned versions into $(VENV). The first time this downloads about 350 MB; where pip finds"
	@echo "only the CUDA build of torch, about 3 GB (PIP_EXTRA_INDEX_URL can name PyTorch's index of CPU builds)."
	@$(call pip-install,$(EXTRAS))
	@touch $@
	@echo "Installed."

$(DEVELOPED): $(INSTALLED)
	@echo "Adding the toolchains of all targets and the tools for development: about 1.5 GB to download."
	@$(call pip-install,$(DEV_EXTRAS))
	@touch $@
	@echo "Installed."

define pip-install
PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
	-e '.[$(1)]' >$(VENV)/install.log 2>&1 || { \
		tail -n 20 $(VENV)/install.log >&2; \
		echo "Error: the installation failed; all of its output is in $(VENV)/install.log" >&2; \
		exit 2; \
	}
endef
