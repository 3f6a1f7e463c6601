"""Checks the certificate of a Syncthing instance according to `verify`."""

import hashlib
import ipaddress
import re
import socket
import ssl
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from urllib3.util.ssl_match_hostname import match_hostname

from stbridge.errors import SettingsError

SYSTEM = "system"
OFF = "off"
PIN = "sha256:"

HANDSHAKE_S = 5.0
SYNC_PROTOCOL = "bep/1.0"
"""The protocol name (ALPN) that Syncthing's sync port announces in the TLS handshake."""


def default_verify(url: str) -> str:
    """Return the default of `verify`: `off` for loopback, which no other machine can intercept, else `system`."""
    return OFF if is_loopback(urlsplit(url).hostname or "") else SYSTEM


def is_loopback(host: str) -> bool:
    """Return whether a host name or address refers to this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(verify: str) -> ssl.SSLContext:
    """Return the TLS context that checks a certificate according to `verify`.

    A pinned certificate is only checked by its fingerprint, after the handshake.

    Raises:
        SettingsError: the certificate file cannot be used.
    """
    if verify == SYSTEM:
        return system_context()
    if verify == OFF or verify.startswith(PIN):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return FileContext.of(Path(verify))
    except (OSError, ValueError) as error:
        raise SettingsError([f"verify: cannot use the certificate file {Path(verify)} ({error})"]) from error


class FileContext(ssl.SSLContext):
    """Trusts the certificates in a file and those that they have signed, but not the system's authorities.

    A certificate that is itself in the file is accepted for every name, because Syncthing's own certificate contains
    only the host name of its machine, and no address. Any other certificate must match the name.
    """

    _in_file: frozenset[bytes]

    @classmethod
    def of(cls, file: Path) -> Self:
        """Return the TLS context for a file.

        Raises:
            OSError, ValueError: the file cannot be used.
        """
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(file)
        context.check_hostname = False  # the name is checked after the handshake
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the authority of a certificate may be missing
        context._in_file = frozenset(map(ssl.PEM_cert_to_DER_cert, _PEM.findall(file.read_text("utf-8", "replace"))))
        return context

    def check_name(self, connection: ssl.SSLSocket) -> None:
        """Check that the certificate of a server matches its host name.

        Raises:
            CertificateError: it does not match; an exception of urllib3.
        """
        if connection.getpeercert(binary_form=True) not in self._in_file:
            certificate: Any = connection.getpeercert()  # urllib3 expects a narrower type
            match_hostname(certificate, connection.server_hostname or "")


_PEM = re.compile("-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


@cache
def system_context() -> ssl.SSLContext:
    """Return the shared context with the system's authorities; shared, because loading them takes 50 ms and 1 MB."""
    return ssl.create_default_context()


def pinned_fingerprint(verify: str) -> str | None:
    """Return the fingerprint in `verify`; None if there is none."""
    return verify.removeprefix(PIN) if verify.startswith(PIN) else None


def is_sync_port(url: str) -> bool:
    """Return whether a URL leads to Syncthing's sync port, the only one with the Block Exchange Protocol."""
    parts = urlsplit(url)
    context = tls_context(OFF)
    context.set_alpn_protocols([SYNC_PROTOCOL])
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 443), timeout=HANDSHAKE_S) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            return secure.selected_alpn_protocol() == SYNC_PROTOCOL
    except (OSError, ValueError):
        return False


def seen_fingerprint(url: str) -> str | None:
    """Return the fingerprint of a server's certificate, without trusting the server or sending a request."""
    parts = urlsplit(url)
    context = tls_context(OFF)
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 443), timeout=HANDSHAKE_S) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            certificate = secure.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return None
    return hashlib.sha256(certificate).hexdigest() if certificate else None
