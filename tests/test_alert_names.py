"""Thresholds for one folder or device that the settings select by its name, on real nodes of every version."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from tests.servers import BridgeProcess, Mosquitto, Subscriber, eventually, instance
from tests.test_short_ids import FIRST, TWIN

LAPTOP, PHONE = FIRST, "MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD"

SPELLINGS = ("phone", short_id(PHONE), PHONE, short_id(PHONE).lower(), PHONE.replace("-", "").lower())

NO_FOLDER = "no instance has a folder with this ID or label, so it has no effect"
NO_DEVICE = "no instance has a device with this ID, short ID or name, so it has no effect"
THERE = "so it has no effect there"

NewBridge = Callable[..., BridgeProcess]


@pytest.fixture
def alpha(binary: str, tmp_path: Path) -> Iterator[SyncthingNode]:
    """A node with two folders that Syncthing cannot watch, and two devices that never connect."""
    node = SyncthingNode("alpha", tmp_path / "alpha/home", binary)
    try:
        node.start()
        for device, name in ((LAPTOP, "laptop"), (PHONE, "phone")):
            _add_device(node, device, name)
        for folder, label in (("abcde-12345", "Papers"), ("music", "Music")):
            node.share(folder, tmp_path / "alpha" / folder, label=label, filesystemType="fake")
        yield node
    finally:
        node.stop()


@pytest.fixture
def beta(binary: str, tmp_path: Path) -> Iterator[SyncthingNode]:
    """A node that is not started yet; its configuration has one folder."""
    node = SyncthingNode("beta", tmp_path / "beta/home", binary)
    try:
        node.start()
        node.share("films", tmp_path / "beta/films", label="Films")
        node.stop()
        yield node
    finally:
        node.stop()


@pytest.fixture
def new_bridge(tmp_path: Path, broker: Mosquitto) -> Iterator[NewBridge]:
    """Create bridges with a TOML file, and stop them at the end."""
    made: list[BridgeProcess] = []

    def make(alerts: str, *nodes: SyncthingNode) -> BridgeProcess:
        file = tmp_path / "stbridge.toml"
        file.write_text(alerts, encoding="utf-8")
        variables = {"STBRIDGE_CONFIG": str(file), "STBRIDGE_MQTT__PORT": str(broker.port)}
        for node in nodes:
            variables |= instance(node.name, node)
        made.append(BridgeProcess(tmp_path, variables))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def _add_device(node: SyncthingNode, device: str, name: str) -> None:
    node.request("POST", "/rest/config/devices", body={"deviceID": device, "name": name, "addresses": ["dynamic"]})


def _rename(node: SyncthingNode, folder: str, label: str) -> None:
    node.request("PATCH", f"/rest/config/folders/{folder}", body={"label": label})


def _with_problem(subscriber: Subscriber, code: str) -> set[str]:
    """Return the labels of the folders and the names of the devices that have this problem."""
    found: list[dict[str, Any]] = [
        json.loads(payload)
        for topic, payload in subscriber.latest().items()
        if topic.startswith(("syncthing/alpha/folder/", "syncthing/alpha/device/")) and topic.count("/") == 3
    ]
    having = [one for one in found if code in [problem["code"] for problem in one["problems"] or ()]]
    return {one["label"] if "label" in one else one["name"] for one in having}


def _warnings(process: BridgeProcess) -> Sequence[str]:
    """Return the log lines about thresholds that have no effect."""
    lines = process.log.read_text(encoding="utf-8").splitlines()
    return [line[line.index("alerts.") :] for line in lines if "alerts." in line]


NAMED = """
[alerts]
unseen = 1
[alerts.folder.Papers]
watch_error = false
[alerts.device.{device}]
unseen = 0
"""


def test_a_threshold_follows_the_label_of_its_folder(
    alpha: SyncthingNode, subscriber: Subscriber, new_bridge: NewBridge
) -> None:
    """When another folder gets the label, the threshold applies to that folder; until then, the log warns once."""
    process = new_bridge(NAMED.format(device="laptop"), alpha).start()
    eventually(lambda: _with_problem(subscriber, "watch_error") == {"Music"})
    _rename(alpha, "abcde-12345", "Letters")
    eventually(lambda: _with_problem(subscriber, "watch_error") == {"Music", "Letters"})
    _rename(alpha, "music", "Papers")
    eventually(lambda: _with_problem(subscriber, "watch_error") == {"Letters"})
    process.stop()
    assert _warnings(process) == [f"alerts.folder.Papers: {NO_FOLDER}: correct or remove it"]


@pytest.mark.parametrize("named", SPELLINGS)
def test_a_threshold_accepts_the_name_or_the_id_of_a_device(
    alpha: SyncthingNode, subscriber: Subscriber, new_bridge: NewBridge, named: str
) -> None:
    """The setting accepts every spelling that commands accept; other devices keep the general threshold."""
    process = new_bridge(NAMED.format(device=named), alpha).start()
    eventually(lambda: _with_problem(subscriber, "unseen") == {"laptop"})
    process.stop()
    assert _warnings(process) == []
    checked = process.run("check")
    assert checked.stdout.splitlines()[-1] == "everything is fine", checked.stdout


WRONG = """
[alerts]
unseen = 1
[alerts.folder.Paprs]
watch_error = false
[alerts.folder.Twins]
watch_error = false
[alerts.folder."2nd floor"]
watch_error = false
[alerts.device.{short}]
unseen = 0
[alerts.device.lapptop]
unseen = 0
"""


def test_a_threshold_without_effect_is_a_warning(
    alpha: SyncthingNode, subscriber: Subscriber, new_bridge: NewBridge, tmp_path: Path
) -> None:
    """The log warns once, and `check` warns too, if a name does not exist or is not unique."""
    _add_device(alpha, TWIN, "twin")
    for folder in ("one", "two"):
        alpha.share(folder, tmp_path / "alpha" / folder, label="Twins", filesystemType="fake")
    short = short_id(LAPTOP)
    process = new_bridge(WRONG.format(short=short), alpha).start()
    eventually(lambda: _with_problem(subscriber, "unseen") == {"laptop", "phone", "twin"})
    eventually(lambda: _with_problem(subscriber, "watch_error") == {"Papers", "Music", "Twins"})
    _add_device(alpha, "P56IOI7-MZJNU2Y-IQGDREY-DM2MGTI-MGL3BXN-PQ6W5BM-TBBZ4TJ-XZWICQ2", "new")
    subscriber.wait_for_json("syncthing/alpha/system", lambda one: one["devices"]["total"] == 4)
    process.stop()
    folders, devices = (
        "alerts.folder.one or alerts.folder.two",
        f"alerts.device.{LAPTOP[:15]} or alerts.device.{TWIN[:15]}",
    )
    expected = [
        f"alerts.folder.Paprs: {NO_FOLDER}; did you mean alerts.folder.Papers?",
        f"alerts.folder.Twins: alpha has 2 folders with this label, {THERE}: write {folders}",
        f'alerts.folder."2nd floor": {NO_FOLDER}: correct or remove it',
        f"alerts.device.{short}: alpha has 2 devices with this short ID or name, {THERE}: write {devices}",
        f"alerts.device.lapptop: {NO_DEVICE}; did you mean alerts.device.laptop?",
    ]
    assert sorted(_warnings(process)) == sorted(expected)
    checked = process.run("check")
    assert checked.returncode == 0
    assert [line[6:] for line in checked.stdout.splitlines() if line.startswith("warn")] == expected
    assert checked.stdout.splitlines()[-1] == "5 warnings found"


def test_no_threshold_is_reported_while_an_instance_is_unknown(
    alpha: SyncthingNode, beta: SyncthingNode, subscriber: Subscriber, new_bridge: NewBridge
) -> None:
    """The folder may belong to the instance that cannot be reached."""
    settings = "[alerts.folder.Films]\nstale = 0\n[alerts.folder.Filmz]\nstale = 0\n"
    process = new_bridge(settings, alpha, beta).start()
    subscriber.wait_for_payload("syncthing/bridge/state", b"online")
    subscriber.wait_for_payload("syncthing/alpha/state", b"online")
    assert subscriber.latest()["syncthing/beta/state"] == b"offline"
    assert "warn" not in process.run("check").stdout
    assert _warnings(process) == []
    beta.start()
    subscriber.wait_for_payload("syncthing/beta/state", b"online")
    process.stop()
    (warning,) = _warnings(process)
    assert warning == f"alerts.folder.Filmz: {NO_FOLDER}; did you mean alerts.folder.Films?"
    (found,) = [line for line in process.run("check").stdout.splitlines() if line.startswith("warn")]
    assert found.endswith(warning)
