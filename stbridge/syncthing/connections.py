"""Connection pools of urllib3 over TCP, TLS with the checks of `verify`, or a unix socket."""

import socket
import ssl
import threading
from contextlib import suppress
from time import monotonic
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util import parse_url

from stbridge.keepalive import enable_keepalive
from stbridge.syncthing.tls import FileContext

CONNECTIONS = 10

CONNECT_S = 5.0
"""Maximum time in seconds to open a connection; the same time again for a TLS handshake."""

SHORTEST_S = 0.001
"""Minimum timeout in seconds, because Python treats a timeout of 0 as non-blocking."""


class DeadlineSocket(socket.socket):
    """A socket whose timeout limits the total time of all reads and writes until `settimeout` is called again.

    The timeout of a plain socket restarts with each read, so a server that sends one byte at a time could block the
    caller without limit, both in the header and in the body of an answer.
    """

    _deadline: float | None = None

    def settimeout(self, value: float | None, /) -> None:
        """Limit all reads and writes from now on to this many seconds in total."""
        self._deadline = None if value is None else monotonic() + value
        super().settimeout(value)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read within the deadline; http.client uses this method for all reads."""
        self._limit()
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Write within the deadline; SSLSocket.sendall calls this for each part."""
        self._limit()
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """Write everything within the deadline."""
        self._limit()
        super().sendall(*args, **kwargs)

    def _limit(self) -> None:
        if self._deadline is not None:
            left = self._deadline - monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            super().settimeout(left)


class TlsDeadlineSocket(DeadlineSocket, ssl.SSLSocket):
    """A socket with a deadline over TLS."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - SSLSocket's signature
        """Perform the handshake, and the checks that OpenSSL does not support."""
        super().do_handshake(block)
        if isinstance(self.context, FileContext):
            self.context.check_name(self)


class Sockets:
    """The open sockets of a client, so that any thread can interrupt a request that waits for one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._closed = False

    def add(self, one: socket.socket) -> None:
        """Register a socket; it is removed when its connection is garbage collected."""
        with self._lock:
            self._sockets.add(one)
            closed = self._closed
        if closed:  # it was connecting when `close` was called
            _shut_down(one)

    def shut_down(self) -> None:
        """Break all connections."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            _shut_down(one)

    def close(self) -> None:
        """Break all connections, including those that are opened later."""
        with self._lock:
            self._closed = True
        self.shut_down()


def _shut_down(one: socket.socket) -> None:
    with suppress(OSError):  # already closed
        socket.socket.shutdown(one, socket.SHUT_RDWR)  # SSLSocket.shutdown is not safe from other threads


class _Connection(HTTPConnection):
    """A connection whose timeout covers connecting, the handshake and sending together.

    It uses keepalive, and other threads can interrupt it.

    Args:
        sockets: the registry for its socket.
    """

    def __init__(self, *args: Any, sockets: Sockets, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sockets = sockets

    def connect(self) -> None:
        timeout_s = cast("float", self.timeout)
        deadline = monotonic() + timeout_s
        self.timeout = min(CONNECT_S, timeout_s)
        try:
            super().connect()
        except TimeoutError as error:  # from a TLS handshake or a unix socket; urllib3 would report a read timeout
            raise ConnectTimeoutError(self, "not connected in time") from error
        finally:
            self.timeout = timeout_s
        self._sockets.add(self.sock)
        self.sock.settimeout(max(SHORTEST_S, deadline - monotonic()))

    def _new_conn(self) -> socket.socket:
        connection = self._open()
        timeout_s = connection.gettimeout()
        own = DeadlineSocket(fileno=connection.detach())
        own.settimeout(timeout_s)
        enable_keepalive(own)
        return own

    def _open(self) -> socket.socket:
        return super()._new_conn()


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _UnixConnection(_Connection):
    """A connection over a unix socket.

    Args:
        path: the path of the socket.
    """

    def __init__(self, *args: Any, path: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = path

    def _open(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(cast("float", self.timeout))
        try:
            connection.connect(self._path)
        except BaseException as error:  # after any exception, nothing else could close the socket
            connection.close()
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise NewConnectionError(self, str(error)) from error
            raise
        return connection


class _TcpPool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _UnixPool(HTTPConnectionPool):
    ConnectionCls = _UnixConnection


def new_pool(
    url: str, sockets: Sockets, context: ssl.SSLContext | None = None, fingerprint: str | None = None
) -> HTTPConnectionPool:
    """Return a pool of connections to a server.

    Args:
        url: `http://...`, `https://...` or `unix:///path`; its path is the caller's business, except with `unix`.
        sockets: the registry for the sockets of the connections.
        context: checks certificates; with `https` only.
        fingerprint: the SHA-256 of the only certificate to accept; None to accept any that the context accepts.

    Raises:
        ValueError: the URL is invalid.
    """
    scheme = urlsplit(url).scheme
    if scheme == "unix":  # Syncthing does not check the host name here
        return _UnixPool("localhost", maxsize=CONNECTIONS, sockets=sockets, path=unquote(urlsplit(url).path))
    where = parse_url(url)  # encodes an international host name
    if scheme == "http" and where.host:
        return _TcpPool(where.host, where.port, maxsize=CONNECTIONS, sockets=sockets)
    if scheme != "https" or not where.host or context is None:
        raise ValueError("it must look like http://host:port, https://host:port or unix:///path")
    context.sslsocket_class = TlsDeadlineSocket
    return _TlsPool(
        where.host,
        where.port,
        maxsize=CONNECTIONS,
        sockets=sockets,
        ssl_context=context,
        assert_fingerprint=fingerprint,  # urllib3 compares it before it sends a request with the API key
        assert_hostname=None if context.check_hostname else False,
    )
