"""A proxy to a real Syncthing instance that forwards all calls and events, except those that a test stops."""

import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import urlsplit

from tests.syncthing.server import Answer, Behaviour, Exchange, ScriptedServer

EVENTS = "/rest/events"
LONG_POLL_S = 90.0
PER_CONNECTION = frozenset({"connection", "content-length", "transfer-encoding", "date", "server"})
"""Headers that belong to one connection, or that the server adds itself."""


class Held:
    """A response that is on its way for a long time."""

    def __init__(self) -> None:
        self.answered, self.released = threading.Event(), threading.Event()


class Interceptor(dict[str, Any]):
    """Forwards calls to a Syncthing instance; as the table of its server it has this one behavior for every path.

    Args:
        target: the address of Syncthing's API, `http://...`.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target)
        self._failing: Mapping[str, Behaviour] = {}
        self._held: dict[str, Held] = {}
        self._hidden = ""
        self._lock = threading.Lock()
        self._forwarding: set[HTTPConnection] = set()
        self._stopped = threading.Event()
        self._server = ScriptedServer(self)

    def start(self) -> None:
        """Start to answer requests."""
        self._server.start()

    def stop(self) -> None:
        """Close every connection, including those that still wait for Syncthing's response."""
        self._stopped.set()
        with self._lock:
            for connection in self._forwarding:
                if connection.sock is not None:
                    connection.sock.shutdown(SHUT_RDWR)
        self._server.stop()

    @property
    def url(self) -> str:
        """The address of the interceptor."""
        return self._server.url

    def fails(self, failures: Mapping[str, Behaviour]) -> None:
        """Make these calls fail from now on, and forward all others.

        Args:
            failures: the behavior of each call, by its path with or without the query, or of all calls (`*`).
        """
        self._failing = failures

    def holds(self, call: str) -> "Held":
        """Hold Syncthing's next response to this call, which is a path with its query, until it is released."""
        held = self._held[call] = Held()
        return held

    def hides(self, event_type: str) -> None:
        """Hide the events of a type, as if Syncthing had not sent them."""
        self._hidden = event_type

    def get(self, _path: str, _default: Any = None) -> Behaviour:
        """Return the behavior for any call."""
        return self._handle

    def _handle(self, exchange: Exchange) -> None:
        target = exchange.asked.line.partition(" ")[2]
        for call, failure in self._failing.items():
            if call in (target, target.partition("?")[0], "*"):
                failure(exchange)
                return
        self._forward(exchange, target)

    def _forward(self, exchange: Exchange, target: str) -> None:
        method = exchange.asked.line.partition(" ")[0]
        not_forwarded = ("host", "accept-encoding") if self._hidden else ("host",)
        headers = {name: value for name, value in exchange.asked.headers.items() if name.lower() not in not_forwarded}
        connection = HTTPConnection(str(self._target.hostname), self._target.port, timeout=LONG_POLL_S)
        with self._lock:
            self._forwarding.add(connection)
        try:
            connection.request(method, target, exchange.asked.body, headers)
            response = connection.getresponse()
            body = response.read()
        except HTTPException:
            if not self._stopped.is_set():
                raise
            exchange.close_connection = True
            return
        finally:
            with self._lock:
                self._forwarding.discard(connection)
            connection.close()
        if response.status == HTTPStatus.OK and (held := self._held.pop(target, None)):
            held.answered.set()
            held.released.wait(LONG_POLL_S)
        if self._hidden and response.status == HTTPStatus.OK and target.startswith(f"{EVENTS}?"):
            body = self._without_hidden(body)
        kept = {name: value for name, value in response.getheaders() if name.lower() not in PER_CONNECTION}
        Answer(status=response.status, headers=kept, body=body)(exchange)

    def _without_hidden(self, body: bytes) -> bytes:
        """Replace the hidden events by ones that mean nothing; without an ID in between, an event would be missed."""
        events = json.loads(body)
        nothing = {"type": "Unknown", "data": None}
        return json.dumps([{**one, **nothing} if one["type"] == self._hidden else one for one in events]).encode()
