"""Checks the certificate of a Syncthing instance as `verify` demands."""

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
"""The name by which Syncthing's sync port announces its protocol in the handshake (ALPN)."""


def default_verify(url: str) -> str:
    """Return the default of `verify`: `off` on loopback, which no other machine can intercept, else `system`."""
    return OFF if is_loopback(urlsplit(url).hostname or "") else SYSTEM


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(verify: str) -> ssl.SSLContext:
    """Return the context that checks a certificate.

    A pinned certificate is compared after the handshake, by its fingerprint alone.

    Raises:
        SettingsError: the file cannot be used.
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
    """Trusts the certificates in a file and those that they have signed, and no authority of the system.

    A certificate that is itself in the file is accepted for every name: Syncthing's own one contains only the host name
    of its machine, and no address. The name in any other certificate has to fit.
    """

    _in_file: frozenset[bytes]

    @classmethod
    def of(cls, file: Path) -> Self:
        """Return the context for a file.

        Raises:
            OSError, ValueError: the file cannot be used.
        """
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(file)
        context.check_hostname = False  # it is checked after the handshake
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold a certificate without its authority
        context._in_file = frozenset(map(ssl.PEM_cert_to_DER_cert, _PEM.findall(file.read_text("utf-8", "replace"))))
        return context

    def check_name(self, connection: ssl.SSLSocket) -> None:
        """Check whether the certificate of a server is for its host name.

        Raises:
            CertificateError: it is not; an error of urllib3.
        """
        if connection.getpeercert(binary_form=True) not in self._in_file:
            certificate: Any = connection.getpeercert()  # urllib3 has a narrower type for it
            match_hostname(certificate, connection.server_hostname or "")


_PEM = re.compile("-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


@cache
def system_context() -> ssl.SSLContext:
    """Return the one context that checks as browsers do: loading its authorities takes 50 ms and 1 MB."""
    return ssl.create_default_context()


def pinned_fingerprint(verify: str) -> str | None:
    """Return the fingerprint in `verify`, if there is one."""
    return verify.removeprefix(PIN) if verify.startswith(PIN) else None


def is_sync_port(url: str) -> bool:
    """Return whether a port is the one for other devices: only that speaks Syncthing's Block Exchange Protocol."""
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
    """Return the fingerprint of a server's certificate, without trusting it or sending it anything."""
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
