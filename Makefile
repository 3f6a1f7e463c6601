# make demo   shows the bridge at work on this machine
# make test   installs everything and runs all tests
# make check  checks style, types and language
# make docs   builds the site of the documentation in build/site, and compares it with what GitHub shows
# make test-wheel          tests the installed wheel on every available Python version, with the newest and the oldest packages
# make test-release        checks the packages, the workflows and what else is needed for a release
# make test-faults         causes faults of the broker, Syncthing and the bridge, and compares the published topics
# make soak MINUTES=60     causes random faults for 60 minutes, and plots the bridge's resources; SEED=n repeats a run
# make soak-cluster MINUTES=10  causes random faults of a cluster of three NATS servers for 10 minutes
# make fuzz MINUTES=10     runs malformed documents, commands and payloads through the bridge's code for 10 minutes,
#                          then a real bridge with an instance that sends arbitrary answers, for another 10 minutes
# make test-homeassistant  runs the tests against a real Home Assistant, if it can be installed
# make test-image          builds and runs the images by the steps of their Dockerfiles, without Docker,
#                          and runs the commands of the installation pages on a fresh Debian
# make test-web            runs the web page in Chromium, with accessibility tests, types and style of its code
# make test-nodered        runs the example flows in real Node-REDs, if they can be installed
# make test-page           compares the published status with Syncthing's own page in Chromium, if it can be installed
# make pictures            creates the pictures of the documents; installs Chromium, Home Assistant and Node-RED for it
# make bench               measures speed and cost, and writes benchmarks/REPORT.md (ONLY=latency runs one benchmark)

PYTHON ?= python3
SECONDS ?=
MINUTES ?= 20
SEED ?=
ONLY ?=
QUICK ?=
# Most tests wait for real servers, so more workers than processors are useful. With worksteal, neighboring tests, which
# share servers, mostly run in one worker.
WORKERS ?= 6
VENV := .venv
READY := $(VENV)/.ready

.PHONY: bench demo test test-faults soak soak-cluster fuzz test-homeassistant test-nodered test-page test-web test-wheel test-release test-image \
        check docs servers fixtures pictures lock clean

demo: $(READY)
	@scripts/servers --demo
	@PATH="$$PATH:/usr/sbin" $(VENV)/bin/stbridge demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(READY) servers check
	$(VENV)/bin/pytest --numprocesses $(WORKERS) --dist worksteal

test-faults: $(READY) servers
	$(VENV)/bin/pytest tests/faults --numprocesses $(WORKERS) --dist worksteal

soak: $(READY) servers
	$(VENV)/bin/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

soak-cluster: $(READY) servers
	$(VENV)/bin/python -m tests.cluster_walk --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

fuzz: $(READY) servers
	$(VENV)/bin/python -m tests.fuzzing --minutes $(MINUTES)
	$(VENV)/bin/python -m tests.hostile_walk --minutes $(MINUTES)

test-homeassistant: $(READY) servers
	@if scripts/homeassistant; then $(VENV)/bin/pytest tests/homeassistant; fi

test-image: $(READY) servers
	@if scripts/image; then $(VENV)/bin/pytest tests/image; fi

test-nodered: $(READY) servers
	@scripts/chromium || true
	@if scripts/node-red; then $(VENV)/bin/pytest tests/nodered; fi

test-page: $(READY) servers
	@if scripts/chromium; then $(VENV)/bin/pytest tests/page; fi

test-web: $(READY) servers
	@if scripts/chromium && scripts/web-tools; then $(VENV)/bin/pytest tests/webpage; fi

test-wheel: $(READY) servers
	$(VENV)/bin/pytest tests/wheel

test-release: $(READY)
	@scripts/release-tools
	$(VENV)/bin/pytest tests/release

bench: $(READY) servers
	$(VENV)/bin/python -m benchmarks $(ONLY) $(if $(QUICK),--quick) $(if $(SECONDS),--seconds $(SECONDS))

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m tests.prose

docs: $(READY)
	@$(VENV)/bin/python scripts/docs

servers:
	@scripts/servers

fixtures: $(READY) servers
	$(VENV)/bin/python scripts/record-fixtures

pictures: $(READY) servers
	@scripts/chromium || true
	@scripts/homeassistant || true
	@scripts/node-red || true
	$(VENV)/bin/python scripts/pictures

lock: $(READY)
	@scripts/lock

$(READY): pyproject.toml requirements/development.txt requirements/build.txt scripts/environment
	@PYTHON=$(PYTHON) scripts/environment $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) .cache build .mypy_cache .ruff_cache .pytest_cache
