"""How requests reaches a Syncthing: over TCP, over TLS as `verify` says, or over a unix socket."""

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECTIONS = 10


class Sockets:
    """The sockets of a session, so that another thread can break off a request that waits on one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def note(self, one: socket.socket) -> None:
        """Know a socket, for as long as somebody else does."""
        with self._lock:
            self._sockets.add(one)

    def shut_down(self) -> None:
        """Break every connection there is; any thread."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # SSLSocket's own is not made for other threads


class TcpAdapter(HTTPAdapter):
    """Knows its sockets.

    Args:
        sockets: where they are noted.
    """

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        super().__init__(pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have every connection note its socket."""
        super().init_poolmanager(*args, **kwargs)
        sockets = self._sockets

        class NotedHttp(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.note(self.sock)

        class NotedHttps(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.note(self.sock)

        class HttpPool(HTTPConnectionPool):
            ConnectionCls = NotedHttp

        class HttpsPool(HTTPSConnectionPool):
            ConnectionCls = NotedHttps

        self.poolmanager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}


class TlsAdapter(TcpAdapter):
    """Checks certificates by a context of ours and, where one is pinned, by its fingerprint.

    The comparison takes place before a request, and the API key in it, is sent (urllib3, `assert_fingerprint`).

    Args:
        context: what checks certificates.
        fingerprint: the SHA-256 of the one certificate to be accepted.
        sockets: where its sockets are noted.
    """

    def __init__(self, context: ssl.SSLContext, fingerprint: str | None, sockets: Sockets) -> None:
        self._context = context
        self._fingerprint = fingerprint
        super().__init__(sockets)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give every connection our context."""
        super().init_poolmanager(
            *args,
            **kwargs,
            ssl_context=self._context,
            assert_fingerprint=self._fingerprint,
            assert_hostname=None if self._context.check_hostname else False,
        )

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the connection as it is: requests would put its own idea of `verify` over our context."""


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, sockets: Sockets, **kwargs: Any) -> None:
        super().__init__("localhost", **kwargs)
        self._path = path
        self._sockets = sockets

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        timeout = self.timeout
        self.sock.settimeout(timeout if isinstance(timeout, int | float) else None)
        self.sock.connect(self._path)
        self._sockets.note(self.sock)


class _UnixPool(HTTPConnectionPool):
    def __init__(self, path: str, sockets: Sockets) -> None:
        super().__init__("localhost", maxsize=CONNECTIONS)
        self._path = path
        self._sockets = sockets

    def _new_conn(self) -> _UnixConnection:
        return _UnixConnection(self._path, self._sockets, timeout=self.timeout.connect_timeout)


class UnixAdapter(HTTPAdapter):
    """Speaks HTTP over a unix socket; Syncthing checks no host name there.

    Args:
        path: the socket.
        sockets: where its sockets are noted.
    """

    def __init__(self, path: str, sockets: Sockets) -> None:
        self._pool = _UnixPool(path, sockets)
        super().__init__()

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> _UnixPool:
        """Return the one pool there is, whatever the URL."""
        return self._pool

    def request_url(self, request: Any, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002 - requests' signature
        """Return what stands in the request line."""
        return cast("str", request.path_url)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        super().close()
