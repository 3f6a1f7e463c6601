"""How requests reaches a Syncthing: over TLS as `verify` says, or over a unix socket."""

import socket
import ssl
from collections.abc import Mapping
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

CONNECTIONS = 10


class TlsAdapter(HTTPAdapter):
    """Checks certificates by a context of ours and, where one is pinned, by its fingerprint.

    The comparison takes place before a request, and the API key in it, is sent (urllib3, `assert_fingerprint`).

    Args:
        context: what checks certificates.
        fingerprint: the SHA-256 of the one certificate to be accepted.
    """

    def __init__(self, context: ssl.SSLContext, fingerprint: str | None) -> None:
        self._context = context
        self._fingerprint = fingerprint
        super().__init__(pool_maxsize=CONNECTIONS)

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
    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__("localhost", **kwargs)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        timeout = self.timeout
        self.sock.settimeout(timeout if isinstance(timeout, int | float) else None)
        self.sock.connect(self._path)


class _UnixPool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", maxsize=CONNECTIONS)
        self._path = path

    def _new_conn(self) -> _UnixConnection:
        return _UnixConnection(self._path, timeout=self.timeout.connect_timeout)


class UnixAdapter(HTTPAdapter):
    """Speaks HTTP over a unix socket; Syncthing checks no host name there.

    Args:
        path: the socket.
    """

    def __init__(self, path: str) -> None:
        self._pool = _UnixPool(path)
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
