"""Automations that are made from the blueprints, and what they need: a client, a to-do list, a phone."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from tests.homeassistant.hass import HomeAssistant
from tests.servers import ROOT, Mosquitto, Subscriber, eventually

BLUEPRINTS = {path.stem: path for path in sorted((ROOT / "examples/home-assistant/blueprints").glob("*.yaml"))}
SETTLING_S = 120.0


def publishes(name: str) -> list[Any]:
    """Return an action that publishes the variables of a notification, under a name, instead of notifying a phone."""
    texts = f"{name!r}, title | default, message | default, link | default, tag | default"
    return [{"action": "mqtt.publish", "data": {"topic": "notices", "payload": f"{{{{ [{texts}] | to_json }}}}"}}]


class Automation:
    """An automation that is made from a blueprint.

    Args:
        hass: the Home Assistant in which it is created.
        name: the name of the blueprint.
        inputs: its inputs.
    """

    def __init__(self, hass: HomeAssistant, name: str, inputs: Mapping[str, Any]) -> None:
        self._hass = hass
        self._name = name
        self._inputs = inputs

    def create(self) -> None:
        """Import the blueprint as the web page does, and create the automation."""
        where = f"stbridge/{self._name}.yaml"
        if where not in self._hass.ask("blueprint/list", domain="automation"):
            source = BLUEPRINTS[self._name].read_text(encoding="utf-8")
            self._hass.ask("blueprint/save", domain="automation", path=where, yaml=source)
        body = {"alias": self._name, "use_blueprint": {"path": where, "input": self._inputs}}
        self._hass.request("POST", f"/api/config/automation/config/{self._name}", body)
        eventually(lambda: self._state.get("state") == "on")

    def remove(self) -> None:
        """Remove the automation."""
        self._hass.request("DELETE", f"/api/config/automation/config/{self._name}")

    @property
    def _state(self) -> dict[str, Any]:
        return self._hass.states().get(f"automation.{self._name}", {})

    def settle(self, since: datetime) -> None:
        """Wait until it was triggered after a time, and all of its runs have finished."""
        eventually(lambda: self._is_settled(since), SETTLING_S)

    def _is_settled(self, since: datetime) -> bool:
        attributes = self._state.get("attributes", {})
        last = attributes.get("last_triggered")
        return bool(last and datetime.fromisoformat(last) > since and not attributes["current"])


def now() -> datetime:
    """Return the time of this machine, which is also that of Home Assistant."""
    return datetime.now(UTC)


class Notices:
    """Receives what automations publish with `publishes`, also over restarts of the broker."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker
        self._earlier: list[list[str]] = []
        self.client = Subscriber(broker.port)

    def reconnect(self) -> None:
        """Connect again after a restart of the broker."""
        self._earlier = self.all
        self.client.close()
        self.client = Subscriber(self._broker.port)

    def close(self) -> None:
        """Disconnect."""
        self.client.close()

    def flush(self, hass: HomeAssistant) -> None:
        """Wait until everything that Home Assistant has published before has arrived."""
        since = self.client.count
        hass.request("POST", "/api/services/mqtt/publish", {"topic": "flushed", "payload": "now"})
        self.client.wait_for_payload("flushed", b"now", since=since)

    @property
    def all(self) -> list[list[str]]:
        """Name, title, message, link and tag of each notification."""
        messages = [json.loads(one.payload) for one in self.client.messages if one.topic == "notices"]
        return self._earlier + messages

    def titles(self, name: str = "notify") -> list[str]:
        """Return the titles of the notifications of one name."""
        return [one[1] for one in self.all if one[0] == name]

    def message(self, title: str) -> str:
        """Return the text of the last notification with a title."""
        return [one[2] for one in self.all if one[1] == title][-1]


class Shop:
    """Publishes the topics of an instance `shop` that does not exist."""

    DEVICE_ID = "VW2PZWG-4TMQH7K-UXQSMUU-CPQ5YWH-OEDFIIQ-JUG777G-2YQXXR5-YD6AWQR"

    def __init__(self, client: Subscriber) -> None:
        self._client = client
        self._problems: list[Mapping[str, str]] = []

    def raise_problem(self, problem: Mapping[str, str], *, silent: bool = False) -> None:
        """Raise a problem, with or without its event."""
        self._problems.append(problem)
        self._publish("problem_raised", problem, silent=silent)

    def clear(self, problem: Mapping[str, str], *, silent: bool = False) -> None:
        """Clear a problem, with or without its event."""
        self._problems = [one for one in self._problems if one["code"] != problem["code"]]
        self._publish("problem_cleared", problem, silent=silent)

    def come_online(self) -> None:
        """Publish everything that a bridge publishes when it connects."""
        self._publish("", {}, silent=True)
        self._client.publish("syncthing/shop/state", "online", retain=True)

    def vanish(self) -> None:
        """Clear the retained topics."""
        for topic in ("system", "state"):
            self._client.publish(f"syncthing/shop/{topic}", b"", retain=True)

    def _publish(self, name: str, problem: Mapping[str, str], *, silent: bool) -> None:
        system = {"device_id": self.DEVICE_ID, "problem": bool(self._problems), "problems": self._problems}
        self._client.publish("syncthing/shop/system", json.dumps(system), retain=True)
        if not silent:
            self._client.publish(f"syncthing/shop/event/{name}", json.dumps({"event_type": name, **problem}))


def remembered(hass: HomeAssistant, todo: str) -> list[dict[str, str]]:
    """Return the items of a to-do list."""
    body = {"entity_id": todo, "status": ["needs_action", "completed"]}
    found = hass.request("POST", "/api/services/todo/get_items?return_response", body)
    items: list[dict[str, str]] = found["service_response"][todo]["items"]
    return items


class Phone:
    """A phone with Home Assistant's app: it receives notifications, and its buttons can be pressed."""

    def __init__(self, hass: HomeAssistant, push_url: str, received: list[dict[str, Any]]) -> None:
        self._hass = hass
        self.received = received
        app = {"app_id": "app", "app_name": "App", "app_version": "1", "os_name": "Android", "os_version": "16"}
        about = {"device_id": "phone", "device_name": "Phone", "manufacturer": "M", "model": "M"}
        more = {"supports_encryption": False, "app_data": {"push_token": "token", "push_url": push_url}}
        body = {**app, **about, **more}
        self._webhook = hass.request("POST", "/api/mobile_app/registrations", body)["webhook_id"]
        eventually(lambda: self.device_id)

    @property
    def device_id(self) -> str:
        """Its ID in the device registry."""
        devices = self._hass.ask("config/device_registry/list")
        return next((str(one["id"]) for one in devices if ["mobile_app", "phone"] in one["identifiers"]), "")

    def press(self, action: str) -> None:
        """Press a button of a notification, as the app does."""
        event = {"event_type": "mobile_app_notification_action", "event_data": {"action": action}}
        self._hass.request("POST", f"/api/webhook/{self._webhook}", {"type": "fire_event", "data": event})

    def wait_for(self, part: str) -> dict[str, Any]:
        """Wait for a notification whose title or text contains a text, and return it."""
        found: dict[str, Any] = eventually(
            lambda: next((one for one in self.received if part in f"{one.get('title')} {one['message']}"), None)
        )
        return found


@contextmanager
def phone(hass: HomeAssistant) -> Iterator[Phone]:
    """Register a phone at Home Assistant, with a server for its notifications."""
    received: list[dict[str, Any]] = []

    class Push(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Push)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Phone(hass, f"http://127.0.0.1:{server.server_port}/push", received)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
