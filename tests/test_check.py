"""The hints of `stbridge check`: which local users could receive a secret, and the settings that prevent it."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stbridge.check import Level, check, verdict
from stbridge.demo.node import SyncthingNode, free_port
from stbridge.mqtt.diagnosis import interceptable_password
from stbridge.settings import MqttSettings, Settings, SyncthingSettings
from tests.certificates import self_signed
from tests.servers import BridgeProcess, Mosquitto, eventually
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer, Table, answers

Serve = Callable[..., ScriptedServer]

SETTING = re.compile(r'syncthing\.nas\.(\w+) = "([^"]+)"')


def checked(directory: Path, variables: Mapping[str, str]) -> list[str]:
    """Return the lines that `stbridge check` prints."""
    return BridgeProcess(directory, variables).run("check").stdout.splitlines()


def hints(lines: list[str]) -> list[str]:
    """Return the lines that are hints."""
    return [line for line in lines if line.startswith("hint")]


def variables_of(node: SyncthingNode, broker: Mosquitto) -> dict[str, str]:
    """Return typical settings: Syncthing over plain HTTP on this machine."""
    return {
        "STBRIDGE_MQTT__HOST": "127.0.0.1",
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_SYNCTHING__NAS__URL": node.url,
        "STBRIDGE_SYNCTHING__NAS__API_KEY": node.api_key,
    }


def with_the_settings_of(hint: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a user who follows a hint."""
    followed = {f"STBRIDGE_SYNCTHING__NAS__{key.upper()}": value for key, value in SETTING.findall(hint)}
    assert followed, hint
    return {**variables, **followed}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that answer according to a table."""
    started: list[ScriptedServer] = []

    def start(table: Table, **options: Any) -> ScriptedServer:
        started.append(ScriptedServer(table, **options).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(params=["http", "https"])
def impostor(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> PretendedSyncthing:
    """A program of another local user that listens on Syncthing's port while Syncthing is stopped."""
    context = self_signed(tmp_path / "impostor").context if request.param == "https" else None
    return PretendedSyncthing(lambda table: serve(table, context=context))


# --- Syncthing


def test_check_prints_the_settings_that_pin_a_local_syncthing(
    node: SyncthingNode, broker: Mosquitto, tmp_path: Path
) -> None:
    """Every Syncthing instance also serves TLS on its GUI port; the two printed settings can be copied unchanged."""
    variables = variables_of(node, broker)
    lines = checked(tmp_path, variables)
    (hint,) = hints(lines)
    assert f"listen at {node.url} and receive syncthing.nas.api_key" in hint
    assert lines[-1] == "everything is fine"
    lines = checked(tmp_path, with_the_settings_of(hint, variables))
    assert hints(lines) == []
    assert lines[-1] == "everything is fine"
    assert "at https://127.0.0.1:" in "\n".join(lines)


def test_another_local_user_gets_the_key_only_without_those_settings(
    node: SyncthingNode, broker: Mosquitto, impostor: PretendedSyncthing, tmp_path: Path
) -> None:
    """This is the case in docs/security.md: another user listens on the port while Syncthing is stopped."""
    variables = variables_of(node, broker)
    (hint,) = hints(checked(tmp_path, variables))
    pinned = with_the_settings_of(hint, variables)
    theirs = impostor.url.partition("://")[2]
    checked(tmp_path, {**variables, "STBRIDGE_SYNCTHING__NAS__URL": f"http://{theirs}"})
    received = keys_at(impostor)
    assert set(received) == ({node.api_key} if impostor.url.startswith("http:") else set())
    lines = checked(tmp_path, {**pinned, "STBRIDGE_SYNCTHING__NAS__URL": f"https://{theirs}"})
    assert lines[-1] == "1 problem found"
    assert keys_at(impostor) == received


def keys_at(impostor: PretendedSyncthing) -> list[str]:
    """Return the API keys that a server received; the request that detects a migration page contains no key."""
    return [one.headers["X-API-Key"] for one in impostor.server.requests if "X-API-Key" in one.headers]


def instance_checked(url: str, verify: str = "system") -> list[str]:
    """Return the hints about an instance, without a broker."""
    instance = SyncthingSettings(url=url, api_key=SecretStr("key"), verify=verify)
    found = check(Settings(mqtt=MqttSettings(port=free_port()), syncthing={"nas": instance}))
    return [finding.text for finding in found if finding.level is Level.HINT]


def test_check_recommends_a_unix_socket_where_no_certificate_can_be_pinned(serve: Serve) -> None:
    """A proxy in front of Syncthing may speak plain HTTP only."""
    (hint,) = instance_checked(PretendedSyncthing(serve).url)
    assert 'syncthing.nas.url = "unix:///run/syncthing/gui.sock"' in hint
    assert "GUI address to /run/syncthing/gui.sock" in hint


def test_check_prints_the_fingerprint_where_the_certificate_is_not_checked(serve: Serve, tmp_path: Path) -> None:
    """`https` alone is no protection: with `verify = "off"`, another local user can present any certificate."""
    own = self_signed(tmp_path / "own")
    syncthing = PretendedSyncthing(lambda table: serve(table, context=own.context))
    (hint,) = instance_checked(syncthing.url, verify="off")
    assert SETTING.findall(hint) == [("verify", f"sha256:{own.fingerprint}")]


def test_check_has_no_hint_where_no_other_user_can_listen(serve: Serve, tmp_path: Path) -> None:
    """A pinned certificate, a certificate file and a Unix socket need no hint."""
    own = self_signed(tmp_path / "own")
    pinned = PretendedSyncthing(lambda table: serve(table, context=own.context))
    assert instance_checked(pinned.url, verify=f"sha256:{own.fingerprint}") == []
    assert instance_checked(pinned.url, verify=str(own.file)) == []
    socket = PretendedSyncthing(lambda table: serve(table, path=tmp_path / "gui.sock"))
    assert instance_checked(socket.url) == []


def test_check_has_no_hint_about_an_instance_that_has_a_problem(serve: Serve) -> None:
    """The output has one line about the fault of each instance, and no hint."""
    syncthing = PretendedSyncthing(serve)
    syncthing.table["/rest/system/version"] = answers({"version": "v1.18.6"})
    assert instance_checked(syncthing.url) == []


def test_a_hint_is_neither_a_warning_nor_a_problem(serve: Serve, broker: Mosquitto) -> None:
    """Most machines have only one user, so a hint is not a problem."""
    instance = SyncthingSettings(url=PretendedSyncthing(serve).url, api_key=SecretStr("key"))
    found = check(Settings(mqtt=MqttSettings(port=broker.port), syncthing={"nas": instance}))
    assert [finding.level for finding in found].count(Level.HINT) == 1
    assert verdict(found) == "everything is fine"


# --- the broker


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that requires a user name and password, with a TCP port and a Unix socket."""
    passwords = tmp_path / "passwords"
    passwords.write_text("stbridge:the password of the hint 2f7c\n", encoding="utf-8")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
    lines = [f"password_file {passwords}", f"listener 0 {tmp_path / 'mqtt.sock'}"]
    one = Mosquitto(tmp_path, lines=["allow_anonymous false", *lines])
    one.start()
    eventually((tmp_path / "mqtt.sock").exists)
    yield one
    one.stop()


def test_check_recommends_a_unix_socket_for_the_password_of_a_local_broker(
    guarded: Mosquitto, node: SyncthingNode, tmp_path: Path
) -> None:
    """The same login over the Unix socket needs no hint."""
    variables = {
        **variables_of(node, guarded),
        "STBRIDGE_MQTT__USERNAME": "stbridge",
        "STBRIDGE_MQTT__PASSWORD": "the password of the hint 2f7c",
    }
    lines = checked(tmp_path, variables)
    (hint, _) = hints(lines)
    assert f"listen at 127.0.0.1:{guarded.port} and receive mqtt.password" in hint
    assert 'mqtt.transport = "unix"' in hint
    over_the_socket = {"STBRIDGE_MQTT__TRANSPORT": "unix", "STBRIDGE_MQTT__HOST": str(tmp_path / "mqtt.sock")}
    lines = checked(tmp_path, {**variables, **over_the_socket})
    assert len(hints(lines)) == 1
    assert lines[-1] == "everything is fine"


@pytest.mark.parametrize(
    ("broker", "fix"),
    [
        ({}, "set mqtt.tls.enabled, or"),
        ({"host": "::1"}, "set mqtt.tls.enabled, or"),
        ({"port": 8883, "tls": {"insecure": True}}, "set mqtt.tls.insecure = false"),
        ({"port": 8883}, None),
        ({"host": "/run/mqtt.sock", "transport": "unix"}, None),
        ({"host": "broker.lan"}, None),
        ({"password": ""}, None),
    ],
)
def test_the_hint_about_the_broker_is_only_for_a_password_without_a_checked_certificate(
    broker: dict[str, Any], fix: str | None
) -> None:
    """A broker on another machine gets a warning instead."""
    settings = MqttSettings.model_validate({"username": "stbridge", "password": "secret", **broker})
    hint = interceptable_password(settings)
    assert (hint is None) if fix is None else (hint is not None and fix in hint and "secret" not in hint)
