# Every recipe of Howler, one thought each. `make` alone lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-lock
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
PROTOS := $(patsubst proto/%,%,$(shell find proto/howler -name '*.proto' | sort))
CODE := server facade sandbox bench deploy docs tests examples
# The tests start hundreds of processes: what one has compiled, the next should find.
unexport PYTHONDONTWRITEBYTECODE
# A call to protoc; its argument is where the code goes.
PROTOC = $(BIN)/python -m grpc_tools.protoc -I proto \
	--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	--python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)

.DEFAULT_GOAL := help
.PHONY: help setup run proto proto-check breaking release test test-full check lint types imports buf unit e2e replicas fuzz-http test-clients format lock docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv from the hashed lock

$(STAMP): requirements.lock
	@echo "setup: making $(VENV) from requirements.lock"
	@test -n "$(PYTHON)" || { echo "setup: Howler needs Python 3.11 or newer on the PATH, or named by PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("setup: Howler needs Python 3.11 or newer; name one by PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.lock
	@$(PIP) -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python -r requirements.lock \
		|| { echo "setup: uv could not fetch them, pip tries; about a minute"; $(PIP) -r requirements.lock; }
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "howler.pth").write_text(str(pathlib.Path("generated").resolve()) + "\n")'
	@touch $@

run: $(STAMP) ## serve: HTTP on 127.0.0.1:8080, gRPC on 127.0.0.1:50051; on the sandbox where no platform is configured
	@exec $(BIN)/python deploy/up.py

proto: $(STAMP) ## regenerate generated/ from proto/
	@rm -rf generated/howler
	@$(call PROTOC,generated)
	@echo "proto: generated/ is up to date"

proto-check: $(STAMP) ## fail where generated/ is not what proto/ gives
	@rm -rf var/generated && mkdir -p var/generated
	@$(call PROTOC,var/generated)
	@diff -r -x __pycache__ generated var/generated || { echo "proto-check: generated/ has drifted; run make proto and commit it" >&2; exit 1; }
	@rm -rf var/generated
	@echo "proto-check: generated/ is what proto/ gives"

buf: $(STAMP) ## lint the protos
	@$(BIN)/buf lint proto
	@echo "buf: lint passed (STANDARD + COMMENTS)"

breaking: $(STAMP) ## fail where a proto breaks the released contract
	@if test -f proto/released.binpb; then $(BIN)/buf breaking proto --against proto/released.binpb && echo "breaking: none (FILE)"; \
	else echo "breaking: nothing to compare with, no contract was released yet (make release writes proto/released.binpb)"; fi

release: $(STAMP) ## make today's contract the released one (proto/released.binpb)
	@$(BIN)/buf build proto -o proto/released.binpb
	@echo "release: wrote proto/released.binpb; commit it with the CHANGELOG"

check: lint types imports buf proto-check breaking ## everything that needs no running process

lint: $(STAMP) ## ruff
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "lint: run make format" >&2; exit 1; }

types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy

imports: $(STAMP) ## the import contracts of pyproject.toml
	@$(BIN)/lint-imports --no-logo

unit: $(STAMP) ## all tests but those of e2e, replicas and clients
	@$(BIN)/python -m pytest tests --ignore tests/e2e --ignore tests/replicas --ignore tests/clients

e2e: $(STAMP) ## the tests of the whole, as real processes, with the official openai package
	@$(BIN)/python -m pytest tests/e2e

replicas: $(STAMP) ## the tests of many processes on one database, killed and stopped; of commands beside a server
	@$(BIN)/python -m pytest tests/replicas

# A file stays with one worker, for its tests share what they start; the order is that of tests/conftest.py.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder

fuzz-http: $(STAMP) ## schemathesis on the HTTP API, which uv fetches; CASES=50 for each operation
	@$(BIN)/python -m tests.fuzz.http_api

test: $(STAMP) ## everything: the checks, then all tests but those of clients, on four workers (they mostly wait)
	@echo "test: about seven minutes on two cores"
	@$(MAKE) --no-print-directory -j2 check
	@$(BIN)/python -m pytest tests --ignore tests/clients $(SIDE_BY_SIDE)

test-full: $(STAMP) ## the long ones: ten minutes of killed and stopped processes on each store, 2,000 examples of each property
	@HOWLER_TEST_SECONDS=600 $(BIN)/python -m pytest tests/replicas -s
	@HOWLER_TEST_SECONDS=60 $(BIN)/python -m pytest tests/e2e/test_grpc_stalled.py -s
	@HOWLER_TEST_SECONDS=600 $(BIN)/python -m pytest tests/e2e/test_http_stored.py -k resumed_at_every_place
	@$(BIN)/python -m pytest tests/unit tests/sandbox --hypothesis-profile full $(SIDE_BY_SIDE)

NODE_CLIENTS := tests/clients/node
CLIENTS := var/clients
OPENCODE := $(CLIENTS)/opencode-1.18.33
CLIENT_STAMPS := $(NODE_CLIENTS)/node_modules/.made-from-lock $(CLIENTS)/agents/.made-from-lock $(CLIENTS)/litellm/.made-from-lock $(OPENCODE)/.made

test-clients: $(STAMP) $(CLIENT_STAMPS) ## the clients that people use, pinned, against Howler; needs node and npm (ARGS=-k codex: some)
	@echo "test-clients: every client in its turn, about fifteen minutes"
	@$(BIN)/python -m pytest tests/clients -v $(ARGS)

$(NODE_CLIENTS)/node_modules/.made-from-lock: $(NODE_CLIENTS)/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "test-clients: needs node 20 or newer, and npm, on the PATH" >&2; exit 1; }
	@node -e 'if (process.versions.node.split(".")[0] < 20) { console.error("test-clients: needs node 20 or newer, this is " + process.version); process.exit(1) }'
	@echo "test-clients: installing the clients for node from package-lock.json, about a minute"
	@npm ci --prefix $(NODE_CLIENTS) --no-audit --no-fund --loglevel error
	@touch $@

# A lock of it names a package for each platform, and `npm ci` wants all of them, which not every mirror has.
$(OPENCODE)/.made: | $(NODE_CLIENTS)/node_modules/.made-from-lock
	@echo "test-clients: installing $(notdir $(OPENCODE)), half a minute"
	@rm -rf $(OPENCODE) && mkdir -p $(OPENCODE)
	@npm install --prefix $(OPENCODE) --no-audit --no-fund --loglevel error $(subst opencode-,opencode-ai@,$(notdir $(OPENCODE)))
	@touch $@

$(CLIENTS)/%/.made-from-lock: tests/clients/python/%.lock | $(STAMP)
	@echo "test-clients: making $(CLIENTS)/$* from $<, about a minute"
	@rm -rf $(CLIENTS)/$* && mkdir -p $(CLIENTS) && $(PYTHON) -m venv $(CLIENTS)/$*
	@$(CLIENTS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.PHONY: bench
bench: $(STAMP) ## measure CPU, time and memory per token, under 10 minutes (ARGS=--quick: one); bench/README.md
	@$(BIN)/python -m bench.run $(ARGS)

format: $(STAMP) ## let ruff format the code
	@$(BIN)/ruff check --fix --quiet $(CODE) || true
	@$(BIN)/ruff format $(CODE)

docs: $(STAMP) ## rewrite the tables of docs/configuration.md from the settings
	@$(BIN)/python -m docs.settings_tables

lock: $(STAMP) ## resolve the dependencies of pyproject.toml anew
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --upgrade --quiet -o requirements.lock

clean: ## remove what the recipes made, all but var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
