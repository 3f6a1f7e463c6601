# make demo   shows the whole job on this machine
# make test   sets everything up and runs all tests
# make check  style and types
# make test-homeassistant  runs the tests against a real Home Assistant, where one can be had

PYTHON ?= python3
SECONDS ?=
# Most tests wait for real servers, so there may be more of them than processors.
WORKERS ?= 4
VENV := .venv
READY := $(VENV)/.ready

.PHONY: demo test test-homeassistant check servers fixtures clean

demo: $(READY)
	@scripts/servers --demo
	@PATH="$$PATH:/usr/sbin" $(VENV)/bin/stbridge demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(READY) servers check
	$(VENV)/bin/pytest --numprocesses $(WORKERS) --dist loadgroup

test-homeassistant: $(READY) servers
	@if scripts/homeassistant; then $(VENV)/bin/pytest tests/homeassistant; fi

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

servers:
	@scripts/servers

fixtures: $(READY) servers
	$(VENV)/bin/python scripts/record-fixtures

$(READY): pyproject.toml scripts/environment
	@PYTHON=$(PYTHON) scripts/environment $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache
