"""A server between the bridge and a real Syncthing that forwards every call, except those that a test lets fail."""

from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.syncthing.server import Answer, Behaviour, Exchange, ScriptedServer

LONG_POLL_S = 90.0
PER_CONNECTION = frozenset({"connection", "content-length", "transfer-encoding", "date", "server"})
"""Headers that belong to one connection or that the server adds by itself."""


class Interceptor(dict[str, Any]):
    """Forwards calls to a Syncthing; the table of its server has this one behavior for every path.

    Args:
        target: the address of Syncthing's API, `http://...`.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target)
        self._failing: dict[str, Behaviour] = {}
        self._server = ScriptedServer(self)

    def start(self) -> None:
        """Start to answer."""
        self._server.start()

    def stop(self) -> None:
        """Close every connection."""
        self._server.stop()

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.url

    def fails(self, call: str, failure: Behaviour) -> None:
        """Let a call fail from now on; a call is a path, with or without a query."""
        self._failing[call] = failure

    def works(self) -> None:
        """Forward every call again."""
        self._failing.clear()

    def get(self, _path: str, _default: Any = None) -> Behaviour:
        """Return what is done with any call."""
        return self._handle

    def _handle(self, exchange: Exchange) -> None:
        target = exchange.asked.line.partition(" ")[2]
        for call, failure in list(self._failing.items()):
            if target == call or target.partition("?")[0] == call:
                failure(exchange)
                return
        self._forward(exchange, target)

    def _forward(self, exchange: Exchange, target: str) -> None:
        method = exchange.asked.line.partition(" ")[0]
        headers = {name: value for name, value in exchange.asked.headers.items() if name.lower() != "host"}
        connection = HTTPConnection(str(self._target.hostname), self._target.port, timeout=LONG_POLL_S)
        try:
            connection.request(method, target, exchange.asked.body, headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in PER_CONNECTION}
        Answer(status=response.status, headers=kept, body=body)(exchange)
