# Every recipe of Howler, one thought each. `make` alone lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.from-lock
PROTOS := $(patsubst proto/%,%,$(shell find proto -name '*.proto' | sort))
PROTOC = $(BIN)/python -m grpc_tools.protoc -I proto \
	--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	--python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)

.DEFAULT_GOAL := help
.PHONY: help setup proto proto-check buf release-protos run test check lint types unit e2e format lock docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv from the hashed lock

$(STAMP): requirements.lock
	@echo "setup: making $(VENV) from requirements.lock (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "setup: Howler needs Python 3.11 or newer; name one with PYTHON=…")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "howler.pth").write_text(str(pathlib.Path("generated").resolve()) + "\n")'
	@touch $@

proto: $(STAMP) ## regenerate generated/ from proto/
	@rm -rf generated/howler
	@$(call PROTOC,generated)
	@echo "proto: generated/ is up to date"
