"""A broker that restricts a user to one client ID, as Mosquitto's dynamic security plugin and cloud brokers can."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bridges import bridges_to
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer

PASSWORD = "tied"
ITERATIONS = 10

NewBridge = Callable[..., BridgeProcess]


def client(username: str, client_id: str | None) -> dict[str, object]:
    """Return a user of the plugin, restricted to a client ID unless that is None."""
    salt = username.encode().ljust(12)
    hashed = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, ITERATIONS, 64)
    return {
        "username": username,
        **({"clientid": client_id} if client_id else {}),
        "password": b64encode(hashed).decode(),
        "salt": b64encode(salt).decode(),
        "iterations": ITERATIONS,
        "roles": [{"rolename": "everything"}],
    }


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker whose user `stbridge` may connect only with the client ID `stbridge`."""
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    kinds = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")
    access = [{"acltype": kind, "topic": "#", "priority": 0, "allow": True} for kind in kinds]
    rules = tmp_path / "dynamic-security.json"
    rules.write_text(
        json.dumps(
            {
                "clients": [client("stbridge", "stbridge"), client("somebody", None)],
                "roles": [{"rolename": "everything", "acls": access}],
            }
        ),
        encoding="utf-8",
    )
    rules.chmod(0o600)
    lines = ["log_type all", "allow_anonymous false", f"plugin {plugin}", f"plugin_opt_config_file {rules}"]
    broker = Mosquitto(tmp_path, lines=lines)
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
def new_bridge(strict_broker: Mosquitto, tmp_path: Path) -> Iterator[NewBridge]:
    """Create bridges, not started yet, that log in as that user."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(docs=False)
    login = {"STBRIDGE_MQTT__USERNAME": "stbridge", "STBRIDGE_MQTT__PASSWORD": PASSWORD}
    with bridges_to(syncthing, tmp_path) as make:
        yield lambda **variables: make(strict_broker.port, **login, **variables)
    syncthing.server.stop()


@pytest.fixture
def somebody(strict_broker: Mosquitto) -> Iterator[Subscriber]:
    """Another client of the broker."""
    subscriber = Subscriber(strict_broker.port, username="somebody", password=PASSWORD)
    yield subscriber
    subscriber.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_service_uses_its_own_client_id_only(new_bridge: NewBridge, somebody: Subscriber, protocol: str) -> None:
    """The bridge also uses it to read what the previous run published, on the connection that it publishes over."""
    somebody.publish("syncthing/nas/metrics", '{"in_bytes_lifetime": 700, "out_bytes_lifetime": 7}', retain=True)
    new_bridge(STBRIDGE_MQTT__PROTOCOL=protocol).start()
    somebody.wait_for_payload("syncthing/bridge/state", b"online")
    metrics = somebody.wait_for_json("syncthing/nas/metrics", lambda one: "goroutines" in one)
    assert metrics["in_bytes_lifetime"] >= 700
    assert ask(somebody, "get_version", "{}", node="nas")["status"] == "ok"


def test_the_subscriptions_for_reading_are_removed_after_reading(
    new_bridge: NewBridge, somebody: Subscriber, tmp_path: Path
) -> None:
    """With MQTT 3.1.1, the broker would otherwise send the bridge its own messages."""
    somebody.publish("syncthing/nas/system", '{"name": "before"}', retain=True)
    new_bridge(STBRIDGE_MQTT__PROTOCOL="3.1.1").start()
    somebody.wait_for_payload("syncthing/bridge/state", b"online")
    lines = (tmp_path / "mosquitto.log").read_text(encoding="utf-8").splitlines()
    read = [line for line in lines if "Sending PUBLISH to stbridge " in line and "'syncthing/nas/system'" in line]
    published = [line for line in lines if "from stbridge " in line and "'syncthing/nas/system'" in line]
    assert len(read) == 1
    assert published


def test_a_command_from_a_persistent_session_is_executed_after_the_restore(
    new_bridge: NewBridge, somebody: Subscriber
) -> None:
    """The broker delivers the command before the bridge has subscribed to anything; the command runs once."""
    first = new_bridge()
    first.start()
    somebody.wait_for_payload("syncthing/bridge/state", b"online")
    first.kill()
    somebody.wait_for_payload("syncthing/bridge/state", b"offline")
    since = somebody.count
    somebody.publish("syncthing/nas/command/get_version", '{"transaction": 1}')
    new_bridge().start()
    somebody.wait_for_json("syncthing/nas/response/get_version", lambda one: one["status"] == "ok", since=since)
    somebody.wait_for_payload("syncthing/bridge/state", b"online", since=since)
    replies = [one for one in somebody.messages[since:] if one.topic == "syncthing/nas/response/get_version"]
    assert len(replies) == 1


def test_a_refused_client_id_is_reported(new_bridge: NewBridge) -> None:
    """`check` must not disconnect a running bridge, so it uses another client ID, which this broker refuses."""
    checked = new_bridge().run("check")
    assert checked.returncode == 1
    assert "refuses the client ID 'stbridge-check'" in checked.stdout
    assert "or give --client-id" in checked.stdout


def test_subcommands_use_the_client_id_from_the_command_line(new_bridge: NewBridge, somebody: Subscriber) -> None:
    """With the client ID of the bridge, they work on a broker that accepts no other, while the bridge is stopped."""
    bridge = new_bridge()
    checked = bridge.run("check", "--client-id", "stbridge")
    assert checked.returncode == 0, checked.stdout
    bridge.start()
    somebody.wait_for_payload("syncthing/bridge/state", b"online")
    bridge.stop()
    refused = bridge.run("purge")
    assert refused.returncode == 1
    assert "refuses the client ID 'stbridge-reader'" in refused.stderr
    purged = bridge.run("purge", "--client-id", "stbridge")
    assert purged.returncode == 0, purged.stderr
    assert "cleared syncthing/bridge/state" in purged.stdout
