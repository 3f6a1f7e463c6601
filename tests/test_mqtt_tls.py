"""TLS, WebSocket and Unix sockets: the ways to a broker that are not plain TCP."""

from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import free_port
from stbridge.errors import BrokerRefused, BrokerUnavailable, BrokerUnreachable, SettingsError
from stbridge.mqtt.outbox import Outbox
from stbridge.mqtt.probe import probe
from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings, TlsSettings
from tests.certificates import Authority
from tests.servers import ANONYMOUS, Mosquitto, every_mosquitto
from tests.test_mqtt_adapter import NewBroker, fill, new_connection, settings


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs all certificates of a test."""
    return Authority(tmp_path, "authority")


def tls_broker(new_broker: NewBroker, authority: Authority, address: str, *more: str) -> Mosquitto:
    """Start a broker with a TLS listener."""
    return new_broker(listener_lines=[*authority.listener_lines(address), *more]).start()


def with_tls(port: int, *, transport: str = "tcp", **tls: Any) -> MqttSettings:
    """Return settings for TLS."""
    return settings(port, transport=transport, tls={"enabled": True, **tls})


@every_mosquitto
def test_a_certificate_of_a_private_authority_is_trusted(new_broker: NewBroker, authority: Authority) -> None:
    """A private authority needs only mqtt.tls.ca_file."""
    broker = tls_broker(new_broker, authority, "127.0.0.1")
    kept = fill(with_tls(broker.port, ca_file=authority.file), 50)
    assert read_retained(with_tls(broker.port, ca_file=authority.file), ["syncthing/nas/#"]) == kept


def test_an_unknown_authority_is_trusted_only_with_insecure(new_broker: NewBroker, authority: Authority) -> None:
    """The message names the setting; `insecure` disables the check."""
    broker = tls_broker(new_broker, authority, "127.0.0.1")
    with pytest.raises(BrokerUnreachable, match=r"not trusted .* mqtt.tls.ca_file"):
        probe(with_tls(broker.port))
    assert probe(with_tls(broker.port, insecure=True)).protocol == "5"


def test_a_certificate_for_another_host_is_not_trusted(new_broker: NewBroker, authority: Authority) -> None:
    """The host name in the certificate is checked."""
    broker = tls_broker(new_broker, authority, "127.0.0.2")
    with pytest.raises(BrokerUnreachable, match=r"not trusted .*127.0.0.1.* mqtt.host to a name"):
        probe(with_tls(broker.port, ca_file=authority.file))


@every_mosquitto
def test_a_broker_may_require_a_client_certificate(new_broker: NewBroker, authority: Authority) -> None:
    """The client certificate is used where the broker requires it; without one the message is readable."""
    broker = tls_broker(new_broker, authority, "127.0.0.1", "require_certificate true")
    certificate = authority.certificate_for("127.0.0.3")
    own: dict[str, Any] = {"ca_file": authority.file, "cert_file": certificate.file, "key_file": certificate.key}
    assert probe(with_tls(broker.port, **own)).protocol == "5"
    with pytest.raises(BrokerUnavailable, match=r"mqtt\.tls"):
        probe(with_tls(broker.port, ca_file=authority.file))


def test_an_expired_certificate_of_the_broker_is_not_trusted(new_broker: NewBroker, authority: Authority) -> None:
    """A certificate is valid only until its end date."""
    expired = authority.certificate_for("127.0.0.1", days=-1)
    lines = [f"cafile {authority.file}", f"certfile {expired.file}", f"keyfile {expired.key}"]
    broker = new_broker(listener_lines=lines).start()
    with pytest.raises(BrokerUnreachable, match=r"not trusted .*expired"):
        probe(with_tls(broker.port, ca_file=authority.file))


def test_a_client_certificate_of_another_authority_is_refused(
    new_broker: NewBroker, authority: Authority, tmp_path: Path
) -> None:
    """The broker refuses it, and the message names the settings."""
    broker = tls_broker(new_broker, authority, "127.0.0.1", "require_certificate true")
    (tmp_path / "other").mkdir()
    certificate = Authority(tmp_path / "other", "other").certificate_for("127.0.0.3")
    own: dict[str, Any] = {"ca_file": authority.file, "cert_file": certificate.file, "key_file": certificate.key}
    with pytest.raises(BrokerUnavailable, match=r"mqtt\.tls"):
        probe(with_tls(broker.port, **own))


@every_mosquitto
def test_a_mismatch_of_tls_and_port_is_reported(new_broker: NewBroker, authority: Authority) -> None:
    """The most common mistake is reported in both directions: TLS to a plain port, and plain text to a TLS port."""
    plain = new_broker().start()
    with pytest.raises(BrokerUnreachable, match=r"mqtt.tls.enabled"):
        probe(with_tls(plain.port, ca_file=authority.file))
    secure = tls_broker(new_broker, authority, "127.0.0.1")
    with pytest.raises(BrokerRefused, match=r"mqtt.tls.enabled"):
        probe(settings(secure.port))


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({"ca_file": "/no/such/file"}, "mqtt.tls.ca_file: cannot read /no/such/file"),
        ({"ca_file": "/dev/null"}, "mqtt.tls.ca_file: /dev/null contains no certificate"),
        ({"cert_file": "/dev/null"}, "mqtt.tls.cert_file: /dev/null and its key"),
    ],
)
def test_unusable_files_prevent_the_start(tls: dict[str, Any], message: str) -> None:
    """A wrong path is a fault in the settings that is reported before the bridge starts."""
    wanted = TlsSettings.model_validate({"enabled": True, **tls})
    connection = new_connection(settings(tls=wanted), Outbox())
    with pytest.raises(SettingsError, match=message):
        connection.start()


# --- transports


def websockets(port: int) -> list[str]:
    """Return the lines of a second listener: Mosquitto does not start with only a WebSocket listener."""
    # Without socket_domain, libwebsockets listens on every address.
    return [f"listener {port} 127.0.0.1", "socket_domain ipv4", "protocol websockets", ANONYMOUS]


def test_websockets_carry_every_topic(new_broker: NewBroker) -> None:
    """The bridge can use a broker behind a web server."""
    port = free_port()
    new_broker(lines=websockets(port)).start()
    kept = fill(settings(port, transport="websockets"), 200)
    assert read_retained(settings(port, transport="websockets"), ["syncthing/nas/#"]) == kept


@every_mosquitto
def test_websockets_over_tls_work(new_broker: NewBroker, authority: Authority) -> None:
    """TLS and WebSocket can be combined."""
    port = free_port()
    new_broker(lines=[*websockets(port), *authority.listener_lines("127.0.0.1")]).start()
    fill(with_tls(port, ca_file=authority.file, transport="websockets"), 50)  # retries until the second listener is up
    assert probe(with_tls(port, ca_file=authority.file, transport="websockets")).protocol == "5"


@every_mosquitto
def test_a_unix_socket_works(new_broker: NewBroker, tmp_path: Path) -> None:
    """A broker on the same machine can be used without the network."""
    path = tmp_path / "broker.sock"
    new_broker(lines=[ANONYMOUS, f"listener 0 {path}"]).start()
    assert probe(settings(host=str(path), transport="unix")).protocol == "5"
