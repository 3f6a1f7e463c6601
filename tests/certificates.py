"""Certificates that are generated for a single test."""

import datetime as dt
import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, stored in files."""

    file: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint of the certificate, in the format of the setting `verify`."""
        certificate = ssl.PEM_cert_to_DER_cert(self.file.read_text(encoding="ascii"))
        return hashlib.sha256(certificate).hexdigest()

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context of a server that presents this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


class Authority:
    """A certificate authority."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.file = directory / f"{name}.pem"
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = _unsigned(self._name, self._name, self._key).add_extension(constraints, critical=True)
        _write(self.file, certificate.sign(self._key, hashes.SHA256()))

    def certificate_for(self, address: str, *, days: int = 1) -> Certificate:
        """Make a certificate for an address that is valid for `days` days; with a negative number it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        holds = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        unsigned = _unsigned(_named(address), self._name, key, days=days).add_extension(holds, critical=False)
        made = Certificate(self._directory / f"{address}.crt", self._directory / f"{address}.key")
        _write(made.file, unsigned.sign(self._key, hashes.SHA256()), made.key, key)
        return made

    def listener_lines(self, address: str) -> Sequence[str]:
        """Return the configuration lines that enable TLS on a Mosquitto listener."""
        made = self.certificate_for(address)
        return [f"cafile {self.file}", f"certfile {made.file}", f"keyfile {made.key}"]


def self_signed(directory: Path, host: str = "nas") -> Certificate:
    """Make a certificate like that of Syncthing's GUI: self-signed, and valid only for the host name of its machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = Certificate(directory / "https-cert.pem", directory / "https-key.pem")
    directory.mkdir(parents=True, exist_ok=True)
    holds = x509.SubjectAlternativeName([x509.DNSName(host)])
    unsigned = _unsigned(_named(host), _named(host), key).add_extension(holds, critical=False)
    _write(made.file, unsigned.sign(key, hashes.SHA256()), made.key, key)
    return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _unsigned(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int = 1
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + min(0, days) * DAY - DAY)
        .not_valid_after(now + days * DAY)
    )


def _write(
    file: Path,
    certificate: x509.Certificate,
    key_file: Path | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> None:
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    if key_file is not None and key is not None:
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
