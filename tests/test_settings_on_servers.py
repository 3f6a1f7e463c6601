"""How the bridge and `check` handle the settings of real deployments, on real servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.mqtt.retained import read_retained
from stbridge.settings import MqttSettings
from tests.certificates import Authority
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance
from tests.test_settings_in_practice import KUBERNETES

NewBroker = Callable[..., Mosquitto]
NewBridge = Callable[[dict[str, str]], BridgeProcess]

NOWHERE = {"STBRIDGE_SYNCTHING__NAS__URL": "http://127.0.0.1:1", "STBRIDGE_SYNCTHING__NAS__API_KEY": "a-key-of-no-use"}
"""An instance at an address where nothing listens."""

PASSWORD = "the password in plain text 5d20"


@pytest.fixture
def new_bridge(tmp_path: Path) -> Iterator[NewBridge]:
    """Create bridges; the fixture stops them."""
    made: list[BridgeProcess] = []

    def make(variables: dict[str, str]) -> BridgeProcess:
        made.append(BridgeProcess(tmp_path, variables))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs the broker's certificate."""
    return Authority(tmp_path, "authority")


@pytest.fixture
def tls_broker(new_broker: NewBroker, authority: Authority) -> Mosquitto:
    """A broker with TLS on a port other than 8883."""
    return new_broker(listener_lines=authority.listener_lines("127.0.0.1")).start()


def at(broker: Mosquitto, **more: str) -> dict[str, str]:
    """Return the variables for a broker and an unreachable instance."""
    variables = {"STBRIDGE_MQTT__HOST": "127.0.0.1", "STBRIDGE_MQTT__PORT": str(broker.port), **NOWHERE}
    return variables | {f"STBRIDGE_MQTT__{name}": value for name, value in more.items()}


# --- TLS


@pytest.mark.parametrize("key", ["CA_FILE", "INSECURE"])
def test_a_single_tls_key_encrypts_the_connection(
    tls_broker: Mosquitto, authority: Authority, new_bridge: NewBridge, key: str
) -> None:
    """One key is sufficient on any port; the log and `check` show the encryption."""
    value = {"CA_FILE": str(authority.file), "INSECURE": "true"}[key]
    bridge = new_bridge(at(tls_broker, **{f"TLS__{key}": value}))
    assert f"127.0.0.1:{tls_broker.port} accepts the bridge with MQTT 5, with TLS" in bridge.run("check").stdout
    bridge.start()
    connected = f"connected to the broker at 127.0.0.1:{tls_broker.port} with MQTT 5, with TLS"
    eventually(lambda: connected in bridge.log.read_text(encoding="utf-8"))


def test_a_key_for_certificate_checks_never_leads_to_plain_text(tls_broker: Mosquitto, new_bridge: NewBridge) -> None:
    """`insecure = false` is a TLS key like the others, so it enables TLS."""
    found = new_bridge(at(tls_broker, TLS__INSECURE="false")).run("check").stdout
    assert "is not trusted" in found
    assert "mqtt.tls.ca_file" in found


def test_an_unencrypted_connection_is_reported(broker: Mosquitto, new_bridge: NewBridge) -> None:
    """The log also reports a connection without TLS."""
    bridge = new_bridge(at(broker)).start()
    connected = f"connected to the broker at 127.0.0.1:{broker.port} with MQTT 5, unencrypted"
    eventually(lambda: connected in bridge.log.read_text(encoding="utf-8"))


def test_a_password_sent_in_plain_text_to_another_machine_is_a_warning(new_bridge: NewBridge) -> None:
    """`check` and the log warn, even if the other machine does not exist."""
    login = {"STBRIDGE_MQTT__USERNAME": "bridge", "STBRIDGE_MQTT__PASSWORD": PASSWORD}
    bridge = new_bridge({"STBRIDGE_MQTT__HOST": "broker.invalid", **login, **NOWHERE})
    warning = "mqtt.password is sent unencrypted to broker.invalid:1883. Set mqtt.tls.enabled"
    shown = bridge.run("check").stdout.splitlines()
    assert [line for line in shown if line.startswith(f"warn  {warning}")]
    assert shown[-1] == "2 problems and 1 warning found"
    bridge.start()
    eventually(lambda: f"WARNING {warning}" in bridge.log.read_text(encoding="utf-8"))


# --- the size of messages


@pytest.mark.parametrize(
    ("limit", "protocol", "seen"),
    [
        ("max_packet_size 20000", "5", "it accepts at most 20000"),
        ("max_packet_size 20000", "3.1.1", "it closes the connection"),
        ("message_size_limit 20000", "5", "packet too large"),
    ],
)
def test_check_warns_of_a_broker_with_a_small_size_limit(
    new_broker: NewBroker, new_bridge: NewBridge, limit: str, protocol: str, seen: str
) -> None:
    """`check` detects the limit before messages are skipped, even if the broker does not announce it."""
    broker = new_broker(lines=["allow_anonymous true", limit]).start()
    shown = new_bridge(at(broker, PROTOCOL=protocol)).run("check").stdout.splitlines()
    warnings = [line for line in shown if line.startswith("warn")]
    assert len(warnings) == 1
    assert f"127.0.0.1:{broker.port} does not accept a message of 65536 bytes ({seen})" in warnings[0]


def test_check_leaves_no_retained_message(broker: Mosquitto, new_bridge: NewBridge) -> None:
    """The message that tests the size limit is not retained."""
    new_bridge(at(broker)).run("check")
    assert read_retained(MqttSettings(host="127.0.0.1", port=broker.port), ["#"]) == {}


# --- the API key


def test_a_missing_api_key_is_reported(
    node: SyncthingNode, broker: Mosquitto, subscriber: Subscriber, new_bridge: NewBridge
) -> None:
    """`check`, `call`, the log and the topic report a missing key, not a wrong one."""
    bridge = new_bridge(
        {**at(broker), "STBRIDGE_SYNCTHING__NAS__URL": node.url, "STBRIDGE_SYNCTHING__NAS__API_KEY": ""}
    )
    fault = "syncthing.nas.api_key: no API key is set. Copy it from Syncthing"
    assert f"FAIL  {fault}" in bridge.run("check").stdout
    assert bridge.run("call", "nas", "get_ping").stderr.startswith(f"stbridge: {fault}")
    bridge.start()
    connection = subscriber.wait_for_json("syncthing/nas/connection", lambda one: one["message"])
    assert connection["status"] == "unauthorized"
    assert connection["message"].startswith(fault)


def test_an_empty_variable_does_not_override_the_secret_file_of_the_key(
    node: SyncthingNode, broker: Mosquitto, new_bridge: NewBridge, tmp_path: Path
) -> None:
    """The key in the systemd credential is used, without newline and byte order mark."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "syncthing_nas_api_key").write_text(f"\ufeff{node.api_key}\n", encoding="utf-8")
    variables = {**at(broker), **instance("nas", node), "CREDENTIALS_DIRECTORY": str(credentials)}
    bridge = new_bridge({**variables, "STBRIDGE_SYNCTHING__NAS__API_KEY": ""})
    checked = bridge.run("check")
    assert checked.stdout.splitlines()[-1] == "everything is fine", checked.stdout + checked.stderr


# --- Kubernetes


def test_the_bridge_starts_with_the_variables_of_kubernetes(broker: Mosquitto, new_bridge: NewBridge) -> None:
    """One log line names the ignored variables."""
    bridge = new_bridge({**KUBERNETES, **at(broker)}).start()
    eventually(lambda: "connected to the broker" in bridge.log.read_text(encoding="utf-8"))
    lines = [line for line in bridge.log.read_text(encoding="utf-8").splitlines() if "Kubernetes" in line]
    assert len(lines) == 1
    assert all(name in lines[0] for name in KUBERNETES)
