"""Checks the certificate of a Syncthing instance as `verify` demands."""

import hashlib
import ipaddress
import socket
import ssl
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from stbridge.errors import SettingsError

SYSTEM = "system"
OFF = "off"
PIN = "sha256:"

HANDSHAKE_S = 5.0
SYNC_PROTOCOL = "bep/1.0"
"""The name by which Syncthing's sync port announces its protocol in the handshake (ALPN)."""


def default_verify(url: str) -> str:
    """Return the default of `verify`: `off` on loopback, which nobody can intercept, else `system`."""
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

    A certificate from a file is accepted for every host name: Syncthing's own certificate contains only the host name
    of its machine, and no address. A pinned certificate is compared after the handshake, by its fingerprint alone.

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
        # Only the file, not the system's authorities: as names are not checked, any of their certificates would do.
        context = ssl.create_default_context(cafile=verify)
    except OSError as error:
        raise SettingsError([f"verify: cannot use the certificate file {Path(verify)} ({error})"]) from error
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold a certificate without its authority
    return context


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
