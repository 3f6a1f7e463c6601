"""The link "Visit" on Home Assistant's devices: an address of Syncthing's GUI that users can open."""

import json
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from tests.machine import Machine
from tests.servers import BridgeProcess, Mosquitto, Subscriber, instance

DISCOVERY = "homeassistant/device/"

NO_LINK = (
    "http://127.0.0.1:8384",
    "https://127.12.0.3:8384",
    "http://127.1:8384",
    "http://localhost:8384",
    "http://LocalHost.:8384",
    "http://nas.localhost:8384",
    "http://[::1]:8384",
    "http://[::ffff:127.0.0.1]:8384",
    "http://0.0.0.0:8384",
    "http://[::]:8384",
    "http://[fe80::1%25eth0]:8384",
    "unix:///run/syncthing.sock",
    "http://syncthing:8384",
    "http://nas:8384",
    "http://nas.:8384",
    "http://2130706433:8384",
    "https://syncthing/prefix",
    "http://host.docker.internal:8384",
    "http://host.containers.internal:8384",
    "http://a0d7b954-syncthing.local.hass.io:8384",
    "http://syncthing.default.svc.cluster.local:8384",
    "http://syncthing.default.svc:8384",
)
"""Addresses that lead elsewhere, or nowhere, in a browser on another machine."""

LINK = (
    "https://nas.lan:8384",
    "http://192.168.1.20:8384",
    "http://10.0.0.127:8384",
    "http://[2001:db8::20]:8384",
    "http://nas.local:8384",
    "http://localhost.example.org",
    "https://home.example.org/syncthing",
)


def _visit(machine: Machine, table: str) -> str | None:
    machine.config(f"[syncthing.nas]\n{table}\n")
    return machine.load().syncthing["nas"].link


# --- on a real Syncthing instance


def _published_links(
    node: SyncthingNode, broker: Mosquitto, subscriber: Subscriber, directory: Path, **more: str
) -> list[Any]:
    """Return the links of all devices in the discovery messages of a bridge, except the bridge itself."""
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", node)}
    variables |= {f"STBRIDGE_SYNCTHING__ALPHA__{key}": value for key, value in more.items()}
    process = BridgeProcess(directory, variables).start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    finally:
        process.stop()
    messages = [json.loads(payload) for topic, payload in subscriber.latest().items() if topic.startswith(DISCOVERY)]
    messages = [message for message in messages if message["device"]["model"] != "Bridge"]
    assert messages
    return [message["device"].get("configuration_url") for message in messages]


def test_a_loopback_address_is_no_link(
    node: SyncthingNode, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The link would lead to the machine of the user who looks at Home Assistant."""
    assert set(_published_links(node, broker, subscriber, tmp_path)) == {None}


def test_the_link_is_the_configured_address(
    node: SyncthingNode, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """All devices get the link, although the bridge itself uses another address."""
    address = "https://home.example.org/syncthing/"
    assert set(_published_links(node, broker, subscriber, tmp_path, GUI_URL=address)) == {address}


# --- the default


@pytest.mark.parametrize("url", NO_LINK)
def test_an_address_that_only_the_bridge_can_use_is_not_linked(machine: Machine, url: str) -> None:
    """The discovery message has a link only if `gui_url` is set."""
    assert _visit(machine, f'url = "{url}"') is None
    assert _visit(machine, f'url = "{url}"\ngui_url = "http://nas:8384"') == "http://nas:8384"


@pytest.mark.parametrize("url", LINK)
def test_the_link_is_the_address_of_the_bridge_if_browsers_can_use_it(machine: Machine, url: str) -> None:
    """A path prefix of a reverse proxy is preserved."""
    assert _visit(machine, f'url = "{url}"') == url
    assert _visit(machine, f'url = "{url}"\ngui_url = ""') == url


# --- faults


@pytest.mark.parametrize(
    ("gui_url", "fault"),
    [
        ("nas:8384", "must look like https://nas.lan:8384 or http://192.168.1.20:8384"),
        ("unix:///run/syncthing.sock", "must look like https://nas.lan:8384 or http://192.168.1.20:8384"),
        ("javascript://nas/%0Aalert(1)", "must look like https://nas.lan:8384 or http://192.168.1.20:8384"),
        ("https://", "must look like https://nas.lan:8384 or http://192.168.1.20:8384"),
        ("http://nas:0", "must look like https://nas.lan:8384 or http://192.168.1.20:8384"),
        ("http://the nas:8384", "must look like https://nas.lan:8384 or http://192.168.1.20:8384"),
        ("http://nas:99999", "port out of range 0-65535"),
        (
            "https://me:secret@nas.lan",
            "must not contain a user name or password: every client of the broker can read it",
        ),
        ("https://me@nas.lan", "must not contain a user name or password: every client of the broker can read it"),
        (
            "https://nas.lan/?key=secret",
            "must end with the path, without ? or #: every client of the broker can read it",
        ),
        ("https://nas.lan/#secret", "must end with the path, without ? or #: every client of the broker can read it"),
    ],
)
def test_a_link_that_browsers_cannot_open_is_a_fault(machine: Machine, gui_url: str, fault: str) -> None:
    """The message names the setting and the valid format; it does not show text that may be a password."""
    machine.config(f'[syncthing.nas]\nurl = "http://nas:8384"\ngui_url = "{gui_url}"\n')
    assert list(machine.faults()) == [f"syncthing.nas.gui_url: {fault}"]
