"""A scripted HTTP server on loopback that answers from a table, also incorrectly, and records the requests."""

import json
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

from stbridge.syncthing.answers import IDENTITY

KNOWN: Mapping[str, str] = {IDENTITY: "DEVICE-ID", "X-Syncthing-Version": "v2.1.3"}
"""Headers that Syncthing sends with every answer to a valid key."""


@dataclass(frozen=True, slots=True)
class Request:
    """A received request."""

    line: str
    """Method and target, as in `GET /rest/db/status?folder=docs`."""
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def parameters(self) -> Mapping[str, str]:
        """The query parameters; of a repeated one, the last."""
        return dict(parse_qsl(self.line.partition("?")[2]))


class Exchange(BaseHTTPRequestHandler):
    """The handler of one connection and its consecutive requests."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: a separate body would wait for the acknowledgement of the head
    request: socket.socket
    server: "Listener"
    asked: Request

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.asked = Request(f"{self.command} {self.path}", path, dict(self.headers), body)
        self.server.requests.append(self.asked)
        self.server.behaviour(path)(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815 - names of http.server

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing: the requests are recorded."""


Behaviour = Callable[[Exchange], None]
Table = dict[str, Behaviour | Sequence[Behaviour]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A correct answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: KNOWN)

    def __call__(self, exchange: Exchange) -> None:
        exchange.begin(self.status, {**self.headers, "Content-Length": str(len(self.body))})
        exchange.wfile.write(self.body)


def answers(document: Any) -> Answer:
    """Answer with JSON, like Syncthing."""
    return Answer(body=json.dumps(document).encode())


def refuses(status: int, text: str = "", **headers: str) -> Answer:
    """Answer with an error text, like Syncthing with a valid key."""
    return Answer(status=status, body=text.encode(), headers={**KNOWN, **headers})


def stranger(status: int, text: str, **headers: str) -> Answer:
    """Answer like another server, or like Syncthing with a wrong key."""
    return Answer(status=status, body=text.encode(), headers=headers)


NO_ROUTE = refuses(404, "404 page not found\n")


def closes(exchange: Exchange) -> None:
    """Close the connection without an answer."""
    exchange.close_connection = True


def answers_once(answer: Answer) -> Behaviour:
    """Answer, then close the connection without announcing it, as servers do with idle connections."""

    def once(exchange: Exchange) -> None:
        answer(exchange)
        exchange.close_connection = True

    return once


def truncates(exchange: Exchange) -> None:
    """Send less than the announced length."""
    exchange.begin(200, {**KNOWN, "Content-Length": "1000"})
    exchange.wfile.write(b'{"ping": "po')
    exchange.close_connection = True


def truncates_chunks(exchange: Exchange) -> None:
    """Close the connection before the last chunk, as Syncthing does with a long poll when it restarts."""
    exchange.begin(200, {**KNOWN, "Transfer-Encoding": "chunked"})
    exchange.wfile.write(b"1\r\n[\r\n")
    exchange.close_connection = True


def drips(exchange: Exchange) -> None:
    """Send an endless body, one byte at a time."""
    exchange.begin(200, {**KNOWN, "Content-Length": "1000000000"})
    while not exchange.server.ended.wait(0.02):
        exchange.wfile.write(b" ")
        exchange.wfile.flush()


def drips_head(exchange: Exchange) -> None:
    """Send an endless head, one byte at a time."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not exchange.server.ended.wait(0.02):
        exchange.wfile.write(b"x")
        exchange.wfile.flush()


def floods(exchange: Exchange, status: int = 200) -> None:
    """Send an endless body, as fast as it is read."""
    exchange.begin(status, {**KNOWN, "Content-Length": "1000000000000"})
    while not exchange.server.ended.is_set():
        exchange.wfile.write(b" " * 65536)


def floods_with_error(exchange: Exchange) -> None:
    """Send an endless error."""
    floods(exchange, 500)


def sends(content: bytes) -> Behaviour:
    """Send these bytes instead of an HTTP answer."""

    def send(exchange: Exchange) -> None:
        exchange.wfile.write(content)
        exchange.close_connection = True

    return send


def redirects(answer: Behaviour) -> Behaviour:
    """Answer 302 with the body of another answer."""

    def redirect(exchange: Exchange) -> None:
        begin = exchange.begin
        exchange.begin = lambda status, headers: begin(status + 102, {**headers, "Location": "/"})  # type: ignore[method-assign]
        try:
            answer(exchange)
        finally:
            exchange.begin = begin  # type: ignore[method-assign]  # the next request of the connection

    return redirect


def hangs(exchange: Exchange) -> None:
    """Accept the request, and never answer."""
    exchange.server.hanging.release()
    exchange.server.ended.wait()
    exchange.close_connection = True


class Listener(socketserver.ThreadingTCPServer):
    """The listening server with its table."""

    allow_reuse_address = True

    def __init__(self, table: Table, *, context: ssl.SSLContext | None, path: Path | None) -> None:
        self.table = table
        self.context = context
        self.requests: list[Request] = []
        self.open: set[socket.socket] = set()
        self.connections = 0
        self.hanging = threading.Semaphore(0)
        self.ended = threading.Event()
        self.failures: list[BaseException] = []
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()
        self.address_family = socket.AF_UNIX if path else socket.AF_INET
        super().__init__(str(path) if path else ("127.0.0.1", 0), Exchange)  # type: ignore[arg-type]  # or a path

    def behaviour(self, path: str) -> Behaviour:
        """Return the current reaction of a path; of several, each is used once, and the last one repeatedly."""
        row = self.table.get(path, NO_ROUTE)
        if callable(row):
            return row
        with self._lock:
            turn = self._turns.get(path, 0)
            self._turns[path] = turn + 1
        return row[min(turn, len(row) - 1)]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.open.add(connection)
        self.connections += 1
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        """Record exceptions, except for clients that closed the connection or refused the certificate."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.failures.append(error)


class ScriptedServer:
    """A server that answers from a table.

    Args:
        table: the reaction to each path; other paths are answered with 404. It may be changed at any time.
        context: the TLS context; without it, the server uses plain HTTP.
        path: a unix socket to listen on, instead of a free port.
    """

    def __init__(self, table: Table, *, context: ssl.SSLContext | None = None, path: Path | None = None) -> None:
        self.table = table
        self._path = path
        self._listener = Listener(table, context=context, path=path)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.01})

    def start(self) -> Self:
        """Start answering."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close all connections and stop; may be called twice."""
        if self._listener.ended.is_set():
            return
        self._listener.ended.set()
        self._listener.shutdown()
        self.hang_up()
        self._listener.server_close()
        self._thread.join()
        assert self._listener.failures == []

    def hang_up(self) -> None:
        """Close every open connection."""
        for connection in list(self._listener.open):
            with suppress(OSError):  # it has just been closed
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # SSLSocket's own method is not thread-safe

    @property
    def port(self) -> int:
        """The port of the server."""
        port: int = self._listener.server_address[1]
        return port

    @property
    def url(self) -> str:
        """The address of the server, as in the setting."""
        if self._path:
            return f"unix://{self._path}"
        return f"{'https' if self._listener.context else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """The received requests, in order."""
        return list(self._listener.requests)

    @property
    def lines(self) -> list[str]:
        """Method and target of the received requests, in order."""
        return [request.line for request in self.requests]

    @property
    def connections(self) -> int:
        """The number of connections so far."""
        return self._listener.connections

    @property
    def idle(self) -> bool:
        """Whether no client is connected."""
        return not self._listener.open

    def wait_until_hanging(self) -> None:
        """Wait until one more request hangs."""
        assert self._listener.hanging.acquire(timeout=30)
