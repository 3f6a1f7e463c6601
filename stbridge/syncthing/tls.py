"""How the certificate of a Syncthing is checked, as `verify` says."""

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


def default_verify(url: str) -> str:
    """Return the check where none is asked for: none on loopback, where nobody can sit in between."""
    return OFF if is_loopback(urlsplit(url).hostname or "") else SYSTEM


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(verify: str) -> ssl.SSLContext:
    """Return what checks a certificate.

    A certificate in a file is trusted for whatever name it is met under: Syncthing's own names only the host name of
    its machine, and no address. A pinned one is compared after the handshake, by its fingerprint alone.

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
        # Only the file, not the system's authorities too: anybody can have a certificate of theirs for some name.
        context = ssl.create_default_context(cafile=verify)
    except OSError as error:
        raise SettingsError([f"verify: cannot use the certificate file {Path(verify)} ({error})"]) from error
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold a certificate without its authority
    return context


@cache
def system_context() -> ssl.SSLContext:
    """Return what checks a certificate as browsers do: one for all, as its authorities take 50 ms and 1 MB to load."""
    return ssl.create_default_context()


def pinned_fingerprint(verify: str) -> str | None:
    """Return the fingerprint that `verify` asks for, if it asks for one."""
    return verify.removeprefix(PIN) if verify.startswith(PIN) else None


def seen_fingerprint(url: str) -> str | None:
    """Look which certificate a server shows, without trusting it or sending it anything."""
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
