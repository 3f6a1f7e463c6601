# make demo   shows the whole job on this machine
# make test   sets everything up and runs all tests
# make check  style and types
# make test-wheel          tests the wheel as it is installed, on every Python that is at hand
# make test-faults         breaks the broker, Syncthing and the bridge in every way, and compares what is published
# make test-homeassistant  runs the tests against a real Home Assistant, where one can be had
# make test-image          builds and runs the images by the steps of their Dockerfiles, without Docker
# make test-nodered        runs the example flows in a real Node-RED, where one can be had

PYTHON ?= python3
SECONDS ?=
# Most tests wait for real servers, so there may be more of them than processors.
WORKERS ?= 4
# Real servers on a busy machine may be late: a test that fails is tried once more, and named at the end.
AGAIN := --reruns 1 -rR
VENV := .venv
READY := $(VENV)/.ready

.PHONY: demo test test-faults test-homeassistant test-image test-nodered test-wheel check servers fixtures pictures lock clean

demo: $(READY)
	@scripts/servers --demo
	@PATH="$$PATH:/usr/sbin" $(VENV)/bin/stbridge demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(READY) servers check
	$(VENV)/bin/pytest --numprocesses $(WORKERS) --dist loadgroup $(AGAIN)

test-faults: $(READY) servers
	$(VENV)/bin/pytest tests/faults $(AGAIN)

test-homeassistant: $(READY) servers
	@if scripts/homeassistant; then $(VENV)/bin/pytest tests/homeassistant $(AGAIN); fi

test-image: $(READY) servers
	@if scripts/image; then $(VENV)/bin/pytest tests/image; fi

test-nodered: $(READY) servers
	@if scripts/node-red; then $(VENV)/bin/pytest tests/nodered $(AGAIN); fi

test-wheel: $(READY) servers
	$(VENV)/bin/pytest tests/wheel

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

servers:
	@scripts/servers

fixtures: $(READY) servers
	$(VENV)/bin/python scripts/record-fixtures

pictures: $(READY) servers
	@scripts/node-red || true
	$(VENV)/bin/python scripts/pictures

lock: $(READY)
	@scripts/lock

$(READY): pyproject.toml requirements/development.txt scripts/environment
	@PYTHON=$(PYTHON) scripts/environment $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache
