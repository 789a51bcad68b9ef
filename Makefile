SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCKS := $(addprefix requirements/, bootstrap.lock develop.lock models.lock)
# many tests wait for a broker: two at a time leave two cores half idle
WORKERS ?= 3
export PYTHON

.PHONY: help install demo test fuzz lint format check bench chaos simulate leak storm overhead screen context hear talk calibrate lock generate measure clean

help: ## Show this list
	@printf 'forgestream: questions on Kafka in, grounded answers out\n\n'
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@printf '\nEverything lands in %s; needs bash, make and Python >= 3.11 (PYTHON=/path/to/python to choose one).\n' '$(VENV)'

install: $(INSTALLED) ## Make the virtual environment from the locks (the others do it when needed)

$(INSTALLED): $(LOCKS) requirements/install.sh pyproject.toml
	@bash requirements/install.sh '$(VENV)'
	@touch $@

demo: $(INSTALLED) ## Run the main job on a real Kafka, vector store and language model, then stop
	@$(BIN)/forgestream demo $(ARGS)

test: lint check ## Everything CI runs: lint, types, boundaries, contracts, tests on a real broker
	$(BIN)/python -m pytest -n $(WORKERS) --maxschedchunk 4 --durations 15 $(ARGS)

fuzz: $(INSTALLED) ## Look for inputs that break an invariant: 50 times as many as the tests try, new ones each time
	$(BIN)/python -m pytest -n $(WORKERS) -m hypothesis --hypothesis-profile fuzz --timeout 1200 $(ARGS)

lint: $(INSTALLED) ## Style, types and import boundaries
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: $(INSTALLED) ## Do schemas/avsc and the generated documents match the code?
	$(BIN)/python -m schemas.generate --check
	$(BIN)/python -m docs.generate --check

format: $(INSTALLED) ## Mend what the formatter and the linter can mend
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

generate: $(INSTALLED) ## Write schemas/avsc, docs/errors.md and the README's generated parts anew
	$(BIN)/python -m schemas.generate
	$(BIN)/python -m docs.generate

bench: $(INSTALLED) ## Benchmarks beside their peers; results go to docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks $(ARGS)

chaos: $(INSTALLED) ## Faults under load, until MINUTES are over (SEED, KAFKA=3.9); results go to docs/chaos.md
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(KAFKA),--kafka $(KAFKA)) $(ARGS)

simulate: $(INSTALLED) ## Which rule chooses champions best, on models of known quality; writes docs/champions.md
	$(BIN)/python -m tests.benchmarks.champions $(ARGS)

leak: $(INSTALLED) ## How many calls reach a dead provider after its circuit has opened; writes docs/circuits.md
	$(BIN)/python -m tests.benchmarks.leak $(ARGS)

storm: $(INSTALLED) ## Providers on a bad day at 50 requests/s, weather by weather; writes docs/routing.md
	$(BIN)/python -m tests.benchmarks.storm $(ARGS)

overhead: $(INSTALLED) ## What routing adds to a call, beside LiteLLM's router; writes docs/routing.md
	$(BIN)/python -m tests.benchmarks.overhead $(ARGS)

screen: $(INSTALLED) ## Train and measure the prompt-injection screen; results go to docs/screen.md
	$(BIN)/python -m tests.screening.train
	$(BIN)/python -m tests.screening.measure

context: $(INSTALLED) ## How often a pack is cached, how well passages are found; writes docs/context.md
	$(BIN)/python -m tests.benchmarks.packs
	$(BIN)/python -m tests.benchmarks.retrieval

hear: $(INSTALLED) ## Fit the confidence of transcripts, then count the words heard wrong; writes docs/voice.md
	$(BIN)/python -m tests.benchmarks.hearing fit
	$(BIN)/python -m tests.benchmarks.hearing measure

talk: $(INSTALLED) ## Spoken conversations for MINUTES: does memory stay where it is? Writes docs/voice.md
	$(BIN)/python -m tests.benchmarks.conversation $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

calibrate: $(INSTALLED) ## Compare judges on the answers of two models; writes docs/judging.md
	$(BIN)/python -m tests.benchmarks.calibrate $(ARGS)

lock: $(INSTALLED) ## Resolve pyproject.toml into requirements/*.lock (UPGRADE=1 takes the newest versions)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash requirements/lock.sh

measure: ## Time make demo and make test in a fresh clone with empty caches; prints the README's table
	bash .ci/measure

clean: ## Remove the virtual environment and everything that was built
	rm -rf '$(VENV)' build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
