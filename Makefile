# Yurt. `make help` lists what can be made; PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
APP ?= accounting_kz
# The tests share two cores with the servers they use.
WORKERS ?= 2
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
N ?= 1
HISTORIES ?= 300
HOURS ?= 1
SECONDS ?= 30
KILLS ?= 20

BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo serve up down scale check test property torture planted outages crashes format documents

help: ## lists the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(BIN)/.run ## tells the whole story on servers of its own; APP=accounting_kz or APP=northwind
	@$(BIN)/python -m deploy.demo --app $(APP)

serve: $(BIN)/.run ## keeps the same stack in the foreground (YURT_PORT 8080, state under YURT_HOME .yurt/)
	@$(BIN)/python -m deploy.serve

up: .env ## starts docker-compose.yml: servers, migrations, services, proxy at YURT_PORT; secrets in .env, made once
	$(COMPOSE) build migrate  # the image of all four services
	$(COMPOSE) up -d
	@$(COMPOSE) ps

down: ## ends what `make up` started; the data stay
	$(COMPOSE) down

scale: .env ## runs several of one service: SERVICE=sync-gateway N=3; the next `make up` makes it one again
	$(COMPOSE) up -d --no-deps --no-recreate --scale $(SERVICE)=$(N) $(SERVICE)
	@$(COMPOSE) ps

.env:
	@$(PYTHON) -m deploy.compose.first_env

check: $(BIN)/.dev ## style, types, import rules, generated documents: what CI runs first
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.documents --check

test: $(BIN)/.dev ## all tests, on real PostgreSQL, RabbitMQ and S3; fails when one cannot be had
	@$(BIN)/python -m deploy.servers.found
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

property: $(BIN)/.dev ## random histories of workplaces and what became of every edit; HISTORIES=300, FAULTS=line,kill,… for some accidents only
	@YURT_HISTORIES=$(HISTORIES) $(if $(FAULTS),YURT_FAULTS=$(FAULTS)) $(BIN)/pytest -n $(WORKERS) --dist loadgroup tests/chaos/histories/run_histories.py

torture: $(BIN)/.dev ## the same for HOURS=1, from ever new seeds, which it prints; SEED=… tells one of them again
	@$(if $(FAULTS),YURT_FAULTS=$(FAULTS)) $(BIN)/python -m tests.chaos.histories.torture $(HOURS) $(SEED)

planted: $(BIN)/.dev ## plants deliberate defects, one after the other, and says how soon the histories found each
	@YURT_PLANTED=all $(BIN)/pytest tests/chaos/histories/test_planted.py

outages: $(BIN)/.dev ## each server stopped, and cut off, for SECONDS=30 under 20 exchanges and builds; prints what was seen
	YURT_OUTAGE_SECONDS=$(SECONDS) $(BIN)/pytest tests/chaos/outages -q

format: $(BIN)/.dev ## formats the Python files
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crashes: $(BIN)/.dev ## kills service and program at every named place, KILLS=20 times each, under load
	@YURT_CRASH_KILLS=$(KILLS) $(BIN)/pytest tests/chaos/crash_points -q -o timeout=7200

documents: $(BIN)/.dev ## writes the documents that are generated from the code
	$(BIN)/python -m deploy.documents

# The virtual environment, once: a rerun without a line needs nothing. The stamps are newer than the pins they fulfil.
$(BIN)/python:
	@$(PYTHON) deploy/interpreter.py
	@$(PYTHON) -m venv .venv

$(BIN)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing what Yurt runs on into .venv (once) …'
	@$(BIN)/python deploy/requirements.py embedded > .venv/requirements-run.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -r .venv/requirements-run.txt
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" -P -m deploy.yurtctl "$$@"\n' '$(CURDIR)' '$(CURDIR)/$(BIN)/python' > $(BIN)/yurtctl
	@chmod +x $(BIN)/yurtctl
	@touch $@

$(BIN)/.dev: $(BIN)/.run
	@echo 'Installing the tools of its developers into .venv (once) …'
	@$(BIN)/python deploy/requirements.py dev > .venv/requirements-dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -r .venv/requirements-dev.txt
	@touch $@
