"""A real Home Assistant, controlled by its REST API and by the websocket API of its web pages."""

import itertools
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from stbridge.demo.node import free_port
from tests.servers import ROOT, eventually

HASS = ROOT / ".cache/homeassistant/venv/bin/hass"
START_S = 240.0
"""Time limit of a start: the first one on a machine installs the dependencies of the integrations."""

CLIENT = "http://127.0.0.1/"
CONFIGURATION = """
homeassistant:
  name: Home
  country: DE
  time_zone: UTC
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
config:
frontend:
history:
logbook:
recorder:
  commit_interval: 1
lovelace:
  mode: yaml
input_boolean:
  gaming:
mobile_app:
automation: !include automations.yaml
logger:
  default: warning
"""


class HomeAssistant:
    """A Home Assistant process with its own configuration directory and a logged-in owner.

    Args:
        directory: an empty directory for its configuration.
        configuration: its configuration file, with a place for the port.
    """

    def __init__(self, directory: Path, configuration: str = CONFIGURATION) -> None:
        self.directory = directory
        self._configuration = configuration
        self.port = free_port()
        self.token = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Connection | None = None
        self._connections = ExitStack()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """URL of its web pages."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> list[str]:
        """Warnings and errors that it has logged since its first start."""
        files = sorted(self.directory.glob("output-*.log"))
        return [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]

    def set_up(self) -> None:
        """Write the configuration, start it for the first time, and create its owner."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "configuration.yaml").write_text(self._configuration.format(port=self.port), encoding="utf-8")
        (self.directory / "automations.yaml").write_text("[]\n", encoding="utf-8")
        (self.directory / "ui-lovelace.yaml").write_text("views: []\n", encoding="utf-8")
        self._run()
        owner = {
            "client_id": CLIENT,
            "name": "Owner",
            "username": "owner",
            "password": "a password for tests",
            "language": "en",
        }
        code = self.request("POST", "/api/onboarding/users", owner)["auth_code"]
        self._log_in({"grant_type": "authorization_code", "code": code})
        self.ask("http/config/promote")  # otherwise it returns to another port after five minutes
        for step in ("core_config", "analytics"):
            self.request("POST", f"/api/onboarding/{step}", {})
        self.request(
            "POST", "/api/onboarding/integration", {"client_id": CLIENT, "redirect_uri": f"{CLIENT}?auth_callback=1"}
        )

    def start(self) -> None:
        """Start it again, and wait until it is running."""
        self._run()
        self._log_in({"grant_type": "refresh_token", "refresh_token": self._refresh_token})

    def _run(self) -> None:
        number = len(list(self.directory.glob("output-*.log")))
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        with (self.directory / f"output-{number:03}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(HASS), "--config", str(self.directory), "--log-no-color"], stdout=log, stderr=log, env=variables
            )
        eventually(self._answers, START_S)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "\n".join(self.log[-30:])
        try:
            return requests.get(f"{self.url}/manifest.json", timeout=5).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def _log_in(self, grant: Mapping[str, str]) -> None:
        tokens = requests.post(f"{self.url}/auth/token", {**grant, "client_id": CLIENT}, timeout=30).json()
        self.token = tokens["access_token"]
        self._refresh_token: str = tokens.get("refresh_token") or self._refresh_token
        eventually(lambda: self.request("GET", "/api/config")["state"] == "RUNNING", START_S)
        self._connections.close()
        address = f"ws://127.0.0.1:{self.port}/api/websocket"
        socket = self._socket = self._connections.enter_context(connect(address, max_size=None))
        socket.recv()
        socket.send(json.dumps({"type": "auth", "access_token": self.token}))
        assert json.loads(socket.recv())["type"] == "auth_ok"

    def stop(self) -> None:
        """Stop it."""
        self._connections.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            finally:
                self._process.kill()
                self._process = None

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the REST API, and return its JSON."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = requests.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def render(self, template: str) -> str:
        """Return the text that a template becomes."""
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.post(f"{self.url}/api/template", json={"template": template}, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.text

    def ask(self, kind: str, **arguments: Any) -> Any:
        """Send a command to the websocket API, and return its result."""
        assert self._socket is not None
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "type": kind, **arguments}))
        while (answer := json.loads(self._socket.recv(60)))["id"] != number:
            pass
        assert answer["success"], answer
        return answer["result"]

    def add_broker(self, port: int) -> None:
        """Add the MQTT integration by its config flow, as the web page does."""
        flow = self.request("POST", "/api/config/config_entries/flow", {"handler": "mqtt"})
        where = f"/api/config/config_entries/flow/{flow['flow_id']}"
        other = {"set_client_cert": False, "set_ca_cert": "off", "tls_insecure": False, "transport": "tcp"}
        broker = {"broker": "127.0.0.1", "port": port, "protocol": "5", "other_settings": other}
        result = self.request("POST", where, broker)
        assert result["type"] == "create_entry", result

    def add_list(self, name: str) -> str:
        """Add a to-do list, and return its entity ID."""
        flow = self.request("POST", "/api/config/config_entries/flow", {"handler": "local_todo"})
        where = f"/api/config/config_entries/flow/{flow['flow_id']}"
        result = self.request("POST", where, {"todo_list_name": name})
        assert result["type"] == "create_entry", result
        entity_id = f"todo.{name.lower().replace(' ', '_')}"
        eventually(lambda: entity_id in self.states())
        return entity_id

    def act(self, service: str, entity_id: str, **data: Any) -> None:
        """Call a service (an action) on an entity."""
        self.request("POST", f"/api/services/{service.replace('.', '/')}", {"entity_id": entity_id, **data})

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state object of every entity, by entity ID."""
        return {state["entity_id"]: state for state in self.request("GET", "/api/states")}

    def entities(self) -> dict[str, dict[str, Any]]:
        """Return the registry entry of every MQTT entity, by unique ID."""
        entries = self.ask("config/entity_registry/list")
        return {entry["unique_id"]: entry for entry in entries if entry["platform"] == "mqtt"}

    def enable(self, entity_ids: Iterable[str]) -> None:
        """Enable entities that are disabled."""
        for one in entity_ids:
            self.ask("config/entity_registry/update", entity_id=one, disabled_by=None)
        for entry in self.request("GET", "/api/config/config_entries/entry"):
            if entry["domain"] == "mqtt":
                self.request("POST", f"/api/config/config_entries/entry/{entry['entry_id']}/reload", {})

    def devices(self) -> dict[str, dict[str, Any]]:
        """Return the registry entry of every MQTT device, by identifier."""
        entries = self.ask("config/device_registry/list")
        return {name: entry for entry in entries for domain, name in entry["identifiers"] if domain == "mqtt"}

    def unavailable(self) -> list[str]:
        """Return the MQTT entities that are enabled but not available."""
        enabled = {entry["entity_id"] for entry in self.entities().values() if not entry["disabled_by"]}
        states = self.states()
        return sorted(name for name in enabled if name not in states or states[name]["state"] == "unavailable")

    def state_of(self, unique_id: str) -> dict[str, Any] | None:
        """Return the state object of an entity by its unique ID, or None if it does not exist."""
        entry = self.entities().get(unique_id)
        return None if entry is None else self.states().get(entry["entity_id"])
