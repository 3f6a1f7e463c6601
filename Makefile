# make demo   shows the whole job on this machine
# make test   sets everything up and runs all tests
# make check  style and types
# make test-wheel          tests the wheel as it is installed, on every Python that is at hand
# make test-faults         breaks the broker, Syncthing and the bridge in every way, and compares what is published
# make soak MINUTES=60     does so at random for so long, and draws what the bridge held; SEED=n goes the same way again
# make fuzz MINUTES=10     sends spoilt documents, commands and payloads through the code of the bridge, then has a real
#                          bridge follow an instance that answers anything; as many minutes each
# make test-homeassistant  runs the tests against a real Home Assistant, where one can be had
# make test-image          builds and runs the images by the steps of their Dockerfiles, without Docker
# make test-nodered        runs the example flows in a real Node-RED, where one can be had
# make bench               measures speed and cost, and writes benchmarks/REPORT.md (ONLY=latency measures one part)

PYTHON ?= python3
SECONDS ?=
MINUTES ?= 20
SEED ?=
ONLY ?=
QUICK ?=
# Most tests wait for real servers, so there may be more of them than processors.
WORKERS ?= 6
VENV := .venv
READY := $(VENV)/.ready

.PHONY: bench demo test test-faults soak fuzz test-homeassistant test-nodered test-wheel test-image check servers fixtures \
        pictures lock clean

demo: $(READY)
	@scripts/servers --demo
	@PATH="$$PATH:/usr/sbin" $(VENV)/bin/stbridge demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(READY) servers check
	$(VENV)/bin/pytest --numprocesses $(WORKERS) --dist loadgroup

test-faults: $(READY) servers
	$(VENV)/bin/pytest tests/faults --numprocesses $(WORKERS) --dist loadgroup

soak: $(READY) servers
	$(VENV)/bin/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

fuzz: $(READY) servers
	$(VENV)/bin/python -m tests.fuzzing --minutes $(MINUTES)
	$(VENV)/bin/python -m tests.hostile_walk --minutes $(MINUTES)

test-homeassistant: $(READY) servers
	@if scripts/homeassistant; then $(VENV)/bin/pytest tests/homeassistant; fi

test-image: $(READY) servers
	@if scripts/image; then $(VENV)/bin/pytest tests/image; fi

test-nodered: $(READY) servers
	@if scripts/node-red; then $(VENV)/bin/pytest tests/nodered; fi

test-wheel: $(READY) servers
	$(VENV)/bin/pytest tests/wheel

bench: $(READY) servers
	$(VENV)/bin/python -m benchmarks $(ONLY) $(if $(QUICK),--quick) $(if $(SECONDS),--seconds $(SECONDS))

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

$(READY): pyproject.toml requirements/development.txt requirements/build.txt scripts/environment
	@PYTHON=$(PYTHON) scripts/environment $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) .cache build .mypy_cache .ruff_cache .pytest_cache
