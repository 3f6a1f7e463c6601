"""`stbridge dashboard` prints a dashboard for what a bridge has published on a real broker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bridges import bridges_to
from tests.servers import BridgeProcess, Mosquitto, Subscriber
from tests.syncthing.pretended import CONFIG, PretendedSyncthing
from tests.syncthing.server import ScriptedServer, answers
from tests.test_homeassistant_dashboard import entity_ids

Run = Callable[..., BridgeProcess]

LABELS = {"docs": "Docs", "music": "Music", "pictures": "写真"}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a bridge to a Syncthing instance with three folders."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    config = syncthing.has_folders(**dict.fromkeys(LABELS, False))
    labeled = [{**folder, "label": LABELS[folder["id"]]} for folder in config["folders"]]
    syncthing.table[CONFIG] = answers({**config, "folders": labeled})
    with bridges_to(syncthing, tmp_path) as new_bridge:
        yield lambda port, **variables: new_bridge(port, **variables).start()
    syncthing.server.stop()


def printed(bridge: BridgeProcess, *flags: str) -> Any:
    """Return the dashboard that the subcommand prints."""
    done = bridge.run("dashboard", *flags)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_the_dashboard_shows_what_the_bridge_has_published(broker: Mosquitto, subscriber: Subscriber, run: Run) -> None:
    """It is read from the broker, so it works while the bridge is running and after it was stopped."""
    bridge = run(broker.port)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    before = printed(bridge)
    bridge.stop()
    assert printed(bridge) == before
    assert [view["title"] for view in before["views"]] == ["Overview", "Folders", "Devices"]
    named = set(entity_ids(before))
    assert {"sensor.syncthing_nas_docs_status", "sensor.syncthing_nas_music_completion"} <= named


@pytest.mark.parametrize("children", ["true", "false"])
def test_excluded_folders_are_not_in_the_dashboard(
    broker: Mosquitto, subscriber: Subscriber, run: Run, children: str
) -> None:
    """Home Assistant does not know them, with and without child devices."""
    bridge = run(
        broker.port,
        STBRIDGE_HOMEASSISTANT__EXCLUDE='["folder/Music"]',
        STBRIDGE_HOMEASSISTANT__CHILD_DEVICES=children,
    )
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    named = str(set(entity_ids(printed(bridge))))
    assert "syncthing_nas_docs_" in named
    assert "music" not in named


def test_without_discovery_messages_the_settings_are_named(broker: Mosquitto, subscriber: Subscriber, run: Run) -> None:
    """The bridge never ran, it publishes nothing for Home Assistant, or it has another base topic."""
    bridge = run(broker.port, STBRIDGE_HOMEASSISTANT__ENABLED="false")
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    done = bridge.run("dashboard")
    assert (done.returncode, done.stdout) == (1, "")
    for part in ("homeassistant/device/+/config", "homeassistant.enabled", "mqtt.base_topic"):
        assert part in done.stderr


def test_an_unreachable_broker_is_named(broker: Mosquitto, subscriber: Subscriber, run: Run) -> None:
    """The message is that of the other subcommands."""
    bridge = run(broker.port)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    done = bridge.run("dashboard", "--set", "mqtt.port=1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "localhost:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_folders_with_names_in_other_scripts_are_left_out_and_named(
    broker: Mosquitto, subscriber: Subscriber, run: Run
) -> None:
    """Their entity IDs are not known, and a card without its entity would show an error."""
    bridge = run(broker.port)
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    done = bridge.run("dashboard")
    assert "写真" not in done.stdout
    assert "nas 写真 is not in the dashboard" in done.stderr
