"""Transport adapters for the `requests` library: TCP, TLS with the checks of `verify`, or a unix socket."""

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, cast
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

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
    """A connection whose timeout covers connecting, the handshake and sending together."""

    sockets: Sockets

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
        self.sockets.add(self.sock)
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


class TcpAdapter(HTTPAdapter):
    """Opens connections that have a deadline, use keepalive and can be interrupted.

    Args:
        sockets: the registry for the sockets of the connections.
    """

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        super().__init__(pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools create our connections."""
        super().init_poolmanager(*args, **kwargs)

        class TcpConnection(_Connection):
            sockets = self._sockets

        class TlsConnection(_TlsConnection):
            sockets = self._sockets

        class TcpPool(HTTPConnectionPool):
            ConnectionCls = TcpConnection

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = TlsConnection

        self.poolmanager.pool_classes_by_scheme = {"http": TcpPool, "https": TlsPool}


class TlsAdapter(TcpAdapter):
    """Checks certificates with our own TLS context and, if one is pinned, by its fingerprint.

    urllib3 compares the fingerprint (`assert_fingerprint`) before it sends a request with the API key.

    Args:
        context: the TLS context that checks certificates.
        fingerprint: the SHA-256 of the only certificate to accept; None to accept any that the context accepts.
        sockets: the registry for the sockets of the connections.
    """

    def __init__(self, context: ssl.SSLContext, fingerprint: str | None, sockets: Sockets) -> None:
        self._context = context
        self._context.sslsocket_class = TlsDeadlineSocket
        self._fingerprint = fingerprint
        super().__init__(sockets)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use our TLS context for every connection."""
        super().init_poolmanager(
            *args,
            **kwargs,
            ssl_context=self._context,
            assert_fingerprint=self._fingerprint,
            assert_hostname=None if self._context.check_hostname else False,
        )

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing, because requests would override our context with its own interpretation of `verify`."""


class _UnixConnection(_Connection):
    path: str

    def _open(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(cast("float", self.timeout))
        try:
            connection.connect(self.path)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise NewConnectionError(self, str(error)) from error
            raise
        return connection


class UnixAdapter(HTTPAdapter):
    """Sends HTTP over a unix socket, where Syncthing does not check the host name.

    Args:
        path: the path of the socket.
        sockets: the registry for the sockets of the connections.
    """

    def __init__(self, path: str, sockets: Sockets) -> None:
        class Connection(_UnixConnection):
            pass

        Connection.path, Connection.sockets = path, sockets

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        self._pool = Pool("localhost", maxsize=CONNECTIONS)
        super().__init__()

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> HTTPConnectionPool:
        """Return the same pool for every URL."""
        return self._pool

    def request_url(self, request: Any, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002 - requests' signature
        """Return the target for the request line."""
        return cast("str", request.path_url)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        super().close()
