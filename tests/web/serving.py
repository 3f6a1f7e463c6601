"""The web page in the process of the tests, and plain HTTP clients for it."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from stbridge.demo.node import free_port
from stbridge.settings import MqttSettings, Settings
from stbridge.settings.web import WebSettings
from stbridge.web.guard import Rules
from stbridge.web.server import WebServer
from tests.servers import PATIENCE_S, Subscriber, eventually
from tests.web.trees import TREE, payload_of

OK = 200
PASSWORD = "a long password, with ä"


def settings_with(broker_port: int, **web: Any) -> Settings:
    """Return settings that no file and no variable of this machine can change."""
    values: dict[str, Any] = {name: field.default for name, field in Settings.model_fields.items()}
    values["mqtt"] = MqttSettings(host="127.0.0.1", port=broker_port)
    values["web"] = WebSettings(**{"port": free_port(), **web})
    return Settings.model_construct(**values)


class Page:
    """A client of the page.

    Args:
        port: the port of the page.
        prefix: the path below which a reverse proxy shows the page.
    """

    def __init__(self, port: int, prefix: str = "/") -> None:
        self.url = f"http://127.0.0.1:{port}{prefix}"
        self.origin = f"http://127.0.0.1:{port}"
        self.session = requests.Session()

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def get(self, path: str, **headers: str) -> requests.Response:
        """Read a path."""
        return self.session.get(self.url + path, headers=headers, timeout=PATIENCE_S, allow_redirects=False)

    def post(self, path: str, value: Any, **headers: str) -> requests.Response:
        """Send JSON, as the page itself does."""
        return self.session.post(
            self.url + path, json=value, headers={"Origin": self.origin, **headers}, timeout=PATIENCE_S
        )

    def state(self) -> Any:
        """Return the whole state."""
        return self.get("api/state").json()

    def wait_for(self, *path: str, value: Any) -> None:
        """Wait until the tree of the state has a value."""

        def found() -> Any:
            one = self.state()["tree"]
            for key in path:
                one = one.get(key, {})
            return one

        eventually(lambda: found() == value)

    def command(self, name: str, **arguments: Any) -> requests.Response:
        """Send a command to the instance `nas`."""
        wanted = {"base": "syncthing", "instance": "nas", "command": name, "arguments": arguments}
        return self.post("api/command", wanted)


class Stream:
    """A browser that follows the updates; `events` are those that have arrived.

    Args:
        page: the page.
        since: the last update that the browser has.
    """

    def __init__(self, page: Page, since: str) -> None:
        self.events: list[Mapping[str, str]] = []
        self.ended = threading.Event()
        host, _, port = page.origin.removeprefix("http://").partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        self._connection.connect()
        self._socket = self._connection.sock
        cookies = "; ".join(f"{name}={value}" for name, value in page.session.cookies.items())
        path = page.url.removeprefix(page.origin)
        self._connection.request("GET", f"{path}api/events?since={since}", headers={"Cookie": cookies})
        self.answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.answer.status == OK:
            self._thread.start()

    def _read(self) -> None:
        event: dict[str, str] = {}
        try:
            while line := self.answer.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if line == "\n":
                    self.events.append(event)
                    event = {}
                else:
                    event[name] = value
        except (OSError, http.client.HTTPException):  # the server or the test has closed the connection
            pass
        self.answer.close()
        self._connection.close()
        self._socket.close()
        self.ended.set()

    def updates(self) -> list[Any]:
        """Return the updates that have arrived."""
        return [json.loads(event["data"]) for event in self.events if "data" in event and "event" not in event]

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(OSError):  # the server has closed it
            self._socket.shutdown(socket.SHUT_RDWR)
        if self.answer.status == OK:
            self._thread.join()
        else:
            self._connection.close()
            self._socket.close()


@contextmanager
def web_page(broker_port: int, *, ingress: Rules | None = None, **web: Any) -> Iterator[Page]:
    """Serve the page for the duration of a test."""
    settings = settings_with(broker_port, **web)
    server = WebServer(settings, ingress=ingress)
    server.start()
    page = Page(settings.web.port)
    try:
        yield page
    finally:
        page.close()
        server.stop()


def publish_tree(subscriber: Subscriber, tree: Mapping[str, Any] = TREE, base: str = "syncthing") -> None:
    """Publish the topics of a made-up bridge."""
    for topic, value in tree.items():
        subscriber.publish(f"{base}/{topic}", payload_of(value), retain=True)
