"""A proxy to a real Syncthing instance that forwards all calls, except those that a test makes fail."""

import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import urlsplit

from tests.syncthing.server import Answer, Behaviour, Exchange, ScriptedServer

LONG_POLL_S = 90.0
PER_CONNECTION = frozenset({"connection", "content-length", "transfer-encoding", "date", "server"})
"""Headers that belong to one connection, or that the server adds itself."""


class Interceptor(dict[str, Any]):
    """Forwards calls to a Syncthing instance; as the table of its server it has this one behavior for every path.

    Args:
        target: the address of Syncthing's API, `http://...`.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target)
        self._failing: Mapping[str, Behaviour] = {}
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
        """Make these calls fail from now on, and forward all others; a call is a path, with or without a query."""
        self._failing = failures

    def get(self, _path: str, _default: Any = None) -> Behaviour:
        """Return the behavior for any call."""
        return self._handle

    def _handle(self, exchange: Exchange) -> None:
        target = exchange.asked.line.partition(" ")[2]
        for call, failure in self._failing.items():
            if target == call or target.partition("?")[0] == call:
                failure(exchange)
                return
        self._forward(exchange, target)

    def _forward(self, exchange: Exchange, target: str) -> None:
        method = exchange.asked.line.partition(" ")[0]
        headers = {name: value for name, value in exchange.asked.headers.items() if name.lower() != "host"}
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
        kept = {name: value for name, value in response.getheaders() if name.lower() not in PER_CONNECTION}
        Answer(status=response.status, headers=kept, body=body)(exchange)
