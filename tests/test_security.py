"""Secrets and certificates in a complete run: real servers, and all output of the bridge that others can see."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode, free_port
from tests.certificates import Authority, Certificate, self_signed
from tests.conftest import Pair
from tests.secrecy import SECRECY
from tests.servers import PATIENCE_S, ROOT, BridgeProcess, Mosquitto, Subscriber, change_gui, eventually, manifest

USER, PASSWORD = "bridge", "the password of the broker 6f1d"
GUI_PASSWORD = "the password of the GUI 8c2e"
FOLDER_PASSWORD = "the password of a folder 1b7a"
WRONG_KEY = "a-key-that-is-not-accepted-5d90"
UNTRUSTED = "MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD"
"""A device ID from Syncthing's own documentation."""

EVERYTHING = '["ConfigSaved", "LoginAttempt", "StateChanged", "DeviceConnected", "ItemFinished", "Failure", "Starting"]'


@dataclass
class Fortress:
    """A bridge whose logins use only certificates and secrets."""

    node: SyncthingNode
    authority: Authority
    own: Certificate
    broker: Mosquitto
    subscriber: Subscriber
    bridge: BridgeProcess
    variables: Mapping[str, str]
    directory: Path

    def run(self, *arguments: str, **variables: str) -> str:
        """Return all output of a subcommand."""
        environment = {**self.variables, "PYTHONPATH": str(ROOT), "HOME": str(self.directory), **variables}
        command = [sys.executable, "-m", "stbridge", *arguments]
        result = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S, check=False)
        return (result.stdout + result.stderr).decode()

    def ask(self, command: str, payload: Any = None) -> Any:
        """Send a command, and return its reply."""
        since = self.subscriber.count
        self.subscriber.publish(f"syncthing/nas/command/{command}", json.dumps(payload or {}))
        return self.subscriber.wait_for_json(f"syncthing/nas/response/{command}", since=since)


@pytest.fixture(scope="module")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    """A setup in which every possible secret is set, and every possible certificate is checked."""
    directory = tmp_path_factory.mktemp("fortress")
    node = SyncthingNode("nas", directory / "nas", list(manifest()["syncthing"].values())[-1])
    authority, plain = Authority(directory, "authority"), free_port()
    passwords = directory / "passwords"
    passwords.write_text(f"{USER}:{PASSWORD}\n", encoding="utf-8")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    passwords.chmod(0o600)
    broker = Mosquitto(
        directory,
        listener_lines=[*authority.listener_lines("127.0.0.1"), "require_certificate true"],
        lines=["allow_anonymous false", f"password_file {passwords}", f"listener {plain} 127.0.0.1"],
    )
    own = authority.certificate_for("127.0.0.3")
    bridge = subscriber = None
    try:
        node.start()
        change_gui(node, user="admin", password=GUI_PASSWORD)
        end(node)
        node.start()
        node.request("POST", "/rest/config/devices", body={"deviceID": UNTRUSTED, "name": "untrusted"})
        node.share("docs", directory / "docs")
        encrypted = [{"deviceID": node.device_id}, {"deviceID": UNTRUSTED, "encryptionPassword": FOLDER_PASSWORD}]
        node.request("PATCH", "/rest/config/folders/docs", body={"devices": encrypted})
        keep_secrets(node, own)
        broker.start()
        subscriber = Subscriber(plain, username=USER, password=PASSWORD)
        fingerprint = Certificate(node.home / "https-cert.pem", node.home / "https-key.pem").fingerprint
        variables = {
            "STBRIDGE_MQTT__PORT": str(broker.port),
            "STBRIDGE_MQTT__HOST": "127.0.0.1",
            "STBRIDGE_MQTT__USERNAME": USER,
            "STBRIDGE_MQTT__PASSWORD": PASSWORD,
            "STBRIDGE_MQTT__TLS__ENABLED": "true",
            "STBRIDGE_MQTT__TLS__CA_FILE": str(authority.file),
            "STBRIDGE_MQTT__TLS__CERT_FILE": str(own.file),
            "STBRIDGE_MQTT__TLS__KEY_FILE": str(own.key),
            "STBRIDGE_SYNCTHING__NAS__URL": node.url.replace("http://", "https://"),
            "STBRIDGE_SYNCTHING__NAS__API_KEY": node.api_key,
            "STBRIDGE_SYNCTHING__NAS__VERIFY": f"sha256:{fingerprint}",
            "STBRIDGE_SYNCTHING__WRONG__URL": node.url,
            "STBRIDGE_SYNCTHING__WRONG__API_KEY": WRONG_KEY,
            "STBRIDGE_COMMANDS__ALLOW": '["read", "operate", "admin"]',
            "STBRIDGE_EVENTS__RAW": EVERYTHING,
            "STBRIDGE_LOG__LEVEL": "debug",
            "XDG_RUNTIME_DIR": str(directory),
        }
        bridge = BridgeProcess(directory, variables).start()
        subscriber.wait_for_payload("syncthing/nas/state", b"online")
        yield Fortress(node, authority, own, broker, subscriber, bridge, variables, directory)
    finally:
        if bridge:
            bridge.stop()
        if subscriber:
            subscriber.close()
        node.stop()
        broker.stop()


def end(node: SyncthingNode) -> None:
    """Stop a node, and wait until its port is closed, because its monitor may exit before it."""
    node.stop()
    eventually(lambda: not responds(node))


def responds(node: SyncthingNode) -> bool:
    """Return whether a server listens on the port of a node."""
    try:
        socket.create_connection(("127.0.0.1", node.gui_port)).close()
    except OSError:
        return False
    return True


def keep_secrets(node: SyncthingNode, own: Certificate) -> None:
    """Register all of these secrets for the search."""
    gui = node.request("GET", "/rest/config/gui")
    SECRECY.keep(gui["password"], "the hash of the GUI's password")
    SECRECY.keep(node.api_key, "the API key")
    SECRECY.keep(GUI_PASSWORD, "the GUI's password")
    SECRECY.keep(FOLDER_PASSWORD, "the password of an encrypted folder")
    SECRECY.keep(own.key.read_text(encoding="ascii").splitlines()[1], "the bridge's private key")
    SECRECY.keep((node.home / "key.pem").read_text(encoding="ascii").splitlines()[1], "Syncthing's private key")
    assert gui["password"].startswith("$2")


def test_no_secret_is_visible_in_a_complete_run(fortress: Fortress) -> None:
    """No message, reply, error, log line, subcommand output, file or process listing contains a secret.

    The test searches every message on the broker when it arrives, and the log, with all details on, at the end.
    """
    config = fortress.ask("get_config")["data"]
    assert config["gui"]["user"] == "admin"
    assert "password" not in config["gui"]
    for command in ("get_status", "get_connections", "get_errors", "get_discovery", "get_pending", "check_upgrade"):
        fortress.ask(command)
    parts: list[Any] = [config, {"gui": {"user": "root"}}, {"gui": {"password": []}}, {"folders": [{"id": "docs"}]}]
    for part in parts:
        fortress.ask("new_config", {"config": part})
    fortress.ask("new_config", {"config": config, "replace": True})
    fortress.subscriber.wait_for_json("syncthing/nas/raw/ConfigSaved")
    wrong = fortress.subscriber.wait_for_json("syncthing/wrong/connection", lambda one: one["status"] == "unauthorized")
    assert "api_key" in wrong["message"]
    assert fortress.subscriber.count > 50
    process = Path(f"/proc/{fortress.bridge.id}")
    said = {
        "the output of `check`": fortress.run("check"),
        "the output of `call`": fortress.run("call", "nas", "get_config"),
        "the output of `schema`": fortress.run("schema"),
        "the output of `health`": fortress.run("health"),
        "the health file": fortress.bridge.health_file.read_text(encoding="utf-8"),
        "the command line of the process": (process / "cmdline").read_text(encoding="utf-8"),
        "the name of the process": (process / "comm").read_text(encoding="utf-8"),
        "the log": fortress.bridge.log.read_text(encoding="utf-8"),
    }
    for where, text in said.items():
        assert text, where
        SECRECY.look(where, text)
    assert "admin" in said["the output of `call`"]
    # The password is not lost: Syncthing still has it, although the bridge never publishes it.
    devices = fortress.node.request("GET", "/rest/config/folders/docs")["devices"]
    assert FOLDER_PASSWORD in [one["encryptionPassword"] for one in devices]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STBRIDGE_MQTT__HOST", f"mqtt://user:{PASSWORD}@127.0.0.1"),
        ("STBRIDGE_MQTT__HOST", f"user:{PASSWORD}@127.0.0.1"),
        ("STBRIDGE_SYNCTHING__NAS__URL", f"http://user:{PASSWORD}@127.0.0.1:1"),
        ("STBRIDGE_SYNCTHING__NAS__URL", f"http://127.0.0.1:1/?apikey={PASSWORD}"),
        ("STBRIDGE_SYNCTHING__NAS__URL", f"http://127.0.0.1:1/#{PASSWORD}"),
        ("STBRIDGE_SYNCTHING__NAS__API_KEY", f"{WRONG_KEY}\nX-Other: 1"),
        ("STBRIDGE_SYNCTHING__NAS__APIKEY", PASSWORD),
        ("STBRIDGE_MQTT__PASSWORT", PASSWORD),
        ("STBRIDGE_MQTT", f'{{"password": ["{PASSWORD}"]}}'),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(fortress: Fortress, variable: str, value: str) -> None:
    """A URL with a password, a key with a line break, a misspelled setting: the message does not contain the secret."""
    said = fortress.run("check", **{variable: value})
    assert said
    SECRECY.look(f"the output of `check` of {variable}", said)


# --- the search itself


def test_a_published_or_logged_secret_would_be_found(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The search covers topics, payloads, log records and their tracebacks, and the log of a bridge."""
    key = pair.a.api_key
    subscriber.publish(f"leak/{key}", b"x")
    subscriber.wait_for(lambda one: one.topic.startswith("leak/"))
    assert found() == [f"leak/{key}"]
    subscriber.publish("leak", f'{{"key": "{key}"}}')
    subscriber.wait_for(lambda one: one.topic == "leak")
    assert found() == ["leak"]
    logging.getLogger("stbridge.planted").error("it is %s", key)
    logging.getLogger("stbridge.planted").error("failed", exc_info=ValueError(key))
    assert found() == ["the log of stbridge.planted"] * 2
    process = BridgeProcess(tmp_path, {"STBRIDGE_MQTT__PORT": str(broker.port)}).start()
    process.log.write_text(f"key {key}", encoding="utf-8")
    process.stop()
    assert found() == ["the log of the bridge"]


def found() -> list[str]:
    """Return the places where secrets were found."""
    return [one.partition(" is in ")[2] for one in SECRECY.take()]


# --- changed certificates


def test_a_certificate_other_than_the_pinned_one_takes_syncthing_offline(fortress: Fortress) -> None:
    """The impostor receives no key, and the problem is published; with the right certificate, the bridge reconnects."""
    kept = {name: (fortress.node.home / name).read_bytes() for name in ("https-cert.pem", "https-key.pem")}
    since = fortress.subscriber.count
    end(fortress.node)
    self_signed(fortress.node.home)
    fortress.node.start()
    topic = "syncthing/nas/connection"
    published = fortress.subscriber.wait_for_json(topic, lambda one: one["status"] == "tls_error", since=since)
    assert published["message"].startswith("syncthing.nas.verify: the certificate of https://127.0.0.1:")
    assert "its fingerprint is not the pinned one" in published["message"]
    fortress.subscriber.wait_for_payload("syncthing/nas/state", b"offline", since=since)
    end(fortress.node)
    for name, content in kept.items():
        (fortress.node.home / name).write_bytes(content)
    since = fortress.subscriber.count
    fortress.node.start()
    fortress.subscriber.wait_for_payload("syncthing/nas/state", b"online", since=since)


def test_a_broker_with_another_certificate_is_refused(fortress: Fortress, tmp_path: Path) -> None:
    """The impostor receives no password; with the right certificate, the bridge reconnects."""
    files = [fortress.directory / f"127.0.0.1.{ending}" for ending in ("crt", "key")]
    kept = [file.read_bytes() for file in files]
    other = Authority(tmp_path, "another").certificate_for("127.0.0.1")
    fortress.broker.stop()
    for file, source in zip(files, (other.file, other.key), strict=True):
        file.write_bytes(source.read_bytes())
    fortress.broker.start()
    log = fortress.bridge.log
    eventually(lambda: "the certificate of 127.0.0.1:" in log.read_text(encoding="utf-8"))
    refusals = [line for line in log.read_text(encoding="utf-8").splitlines() if "is not trusted" in line]
    assert len(refusals) == 1
    assert "mqtt.tls.ca_file" in refusals[0]
    fortress.broker.stop()
    for file, content in zip(files, kept, strict=True):
        file.write_bytes(content)
    fortress.broker.start()
    again = Subscriber(fortress.subscriber.port, username=USER, password=PASSWORD)
    try:
        again.wait_for_payload("syncthing/bridge/state", b"online")
    finally:
        again.close()
