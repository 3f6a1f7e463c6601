"""The TLS context for the connection to the broker."""

import ssl
from pathlib import Path

from stbridge.errors import SettingsError
from stbridge.settings import MqttSettings, TlsSettings


class _ClosingSocket(ssl.SSLSocket):
    """A socket that closes itself when the handshake fails, because paho would drop it without closing it."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the standard library's signature
        try:
            super().do_handshake(block)
        except BaseException:  # after any exception, paho drops the socket
            self.close()
            raise


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """Return the TLS context for the settings; None if TLS is off.

    Args:
        settings: the settings of the broker.

    Raises:
        SettingsError: a file is missing or invalid.
    """
    if not settings.uses_tls:
        return None
    tls = settings.tls
    faults = [*_unreadable(tls)]
    if faults:
        raise SettingsError(faults)
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except ssl.SSLError as error:
        raise SettingsError([f"mqtt.tls.ca_file: {tls.ca_file} contains no certificate in PEM format"]) from error
    if tls.cert_file:
        try:
            # Without a password, OpenSSL would prompt for the passphrase of an encrypted key; an empty one fails.
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")
        except (ssl.SSLError, OSError) as error:
            fault = (
                f"mqtt.tls.cert_file: {tls.cert_file} and its key (mqtt.tls.key_file) cannot be used: "
                "both must be in PEM format and belong together, and the key must have no passphrase"
            )
            raise SettingsError([fault]) from error
    if tls.insecure:
        context.check_hostname = False  # must be set before verify_mode, and both before paho reads them
        context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = _ClosingSocket
    return context


def _unreadable(tls: TlsSettings) -> list[str]:
    files: dict[str, Path | None] = {
        "ca_file": tls.ca_file,
        "cert_file": tls.cert_file,
        "key_file": tls.key_file,
    }
    return [fault for name, path in files.items() if path and (fault := _fault(name, path))]


def _fault(name: str, path: Path) -> str | None:
    try:
        path.read_bytes()
    except OSError as error:
        return f"mqtt.tls.{name}: cannot read {path} ({error.strerror})"
    return None
