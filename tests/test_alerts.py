"""Problems and events that Syncthing itself does not report, caused on real nodes and observed on a real broker."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from tests.servers import DIALS_AGAIN_S, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance

QUICK: Mapping[str, str] = {
    "STBRIDGE_ALERTS__OUT_OF_SYNC": "2",
    "STBRIDGE_ALERTS__STUCK": "2",
    "STBRIDGE_ALERTS__STALE": "2",
    "STBRIDGE_ALERTS__UNSEEN": "2",
    "STBRIDGE_ALERTS__BEHIND": "1",
    "STBRIDGE_ALERTS__NO_LISTENER": "1",
    "STBRIDGE_ALERTS__DISCOVERY": "1",
    "STBRIDGE_ALERTS__SYSTEM_ERRORS": "2",
    "STBRIDGE_ALERTS__FLAPPING": "3",
    "STBRIDGE_POLL__STATUS": "2",
    "STBRIDGE_POLL__TRANSFER": "1",
}
"""Thresholds short enough for a test."""

UNNAMEABLE = b"\xff\xfe.txt"
"""A file name that is not valid UTF-8: Syncthing cannot scan the file, whatever user it runs as."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Two nodes that share "docs" and, receive-only on the first, "inbox"; a third node is not known to them."""

    alpha: SyncthingNode
    beta: SyncthingNode
    gamma: SyncthingNode
    files: Path

    def path(self, node: SyncthingNode, name: str, folder: str = "docs") -> Path:
        """Return the path of a file on a node."""
        return self.files / node.name / folder / name

    def scan(self, *nodes: SyncthingNode, folder: str = "docs") -> None:
        """Scan a folder, and wait until the scan is complete."""
        for node in nodes:
            node.request("POST", "/rest/db/scan", {"folder": folder})

    def settle(self) -> None:
        """Wait until the nodes are connected and everything is in sync."""
        eventually(
            lambda: (
                self.alpha.is_connected(self.beta)
                and all(node.is_idle(folder) for node in (self.alpha, self.beta) for folder in ("docs", "inbox"))
            )
        )

    def conflict(self, name: str) -> str:
        """Change a file on both nodes while they are disconnected; return the path of the resulting conflict file."""
        for node, content in ((self.alpha, b"from alpha"), (self.beta, b"from beta")):
            self.path(node, name).write_bytes(content)
        self.apart(lambda: self.scan(self.alpha, self.beta))
        stem = Path(name).stem

        def both() -> set[str]:
            found = [{one.name for one in self.path(node, "").glob(f"{stem}.sync-conflict-*")} for node in self.nodes]
            return found[0] & found[1]

        (conflict,) = eventually(both)
        return str(conflict)

    @property
    def nodes(self) -> tuple[SyncthingNode, SyncthingNode]:
        """The two nodes that share folders."""
        return self.alpha, self.beta

    def apart(self, act: Callable[[], object]) -> None:
        """Perform an action while the two nodes are disconnected."""
        self.alpha.request("POST", "/rest/system/pause", {"device": self.beta.device_id})
        eventually(lambda: not self.alpha.is_connected(self.beta))
        act()
        self.alpha.request("POST", "/rest/system/resume", {"device": self.beta.device_id})


@pytest.fixture(scope="module")
def stage(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Three running nodes."""
    directory = tmp_path_factory.mktemp("stage")
    alpha, beta, gamma = (
        SyncthingNode(name, directory / name / "home", binary, monitor=name == "alpha")
        for name in ("alpha", "beta", "gamma")
    )
    one = Stage(alpha, beta, gamma, directory / "files")
    try:
        for node in (alpha, beta, gamma):
            node.start()
        alpha.link(beta)
        for here, there in ((alpha, beta), (beta, alpha)):
            here.share("docs", one.path(here, ""), label="Documents", devices=[there])
            kind = "receiveonly" if here is alpha else "sendonly"
            here.share("inbox", one.path(here, "", "inbox"), label="Inbox", devices=[there], type=kind)
        one.settle()
        yield one
    finally:
        for node in (alpha, beta, gamma):
            node.stop()


class Scene:
    """A bridge to two nodes, and the messages that it publishes after a mark.

    Args:
        stage: the nodes.
        process: the bridge, which is not started yet.
        subscriber: a client that receives every message.
    """

    def __init__(self, stage: Stage, process: BridgeProcess, subscriber: Subscriber) -> None:
        self.stage = stage
        self.process = process
        self.subscriber = subscriber
        self.since = 0

    def start(self) -> None:
        """Start the bridge, and wait until it is online."""
        self.mark()
        self.process.start()
        self.subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=self.since)

    def mark(self) -> None:
        """Ignore all messages up to now."""
        self.since = self.subscriber.count

    def wait(self, topic: str, condition: Callable[[Any], Any] = lambda _: True, node: str = "alpha") -> Any:
        """Wait for a payload on a topic of an instance."""
        return self.subscriber.wait_for_json(f"syncthing/{node}/{topic}", condition, since=self.since)

    def event(self, event_type: str, node: str = "alpha", **data: Any) -> Any:
        """Wait for an event that has these keys and values."""
        return self.wait(f"event/{event_type}", lambda one: {key: one.get(key) for key in data} == data, node)

    def events(self, *names: str, node: str = "alpha") -> list[dict[str, Any]]:
        """Return the received events with one of these names."""
        topics = [f"syncthing/{node}/event/{name}" for name in names]
        messages = self.subscriber.messages[self.since :]
        return [json.loads(message.payload) for message in messages if message.topic in topics]

    def problem(self, topic: str, code: str, node: str = "alpha") -> Any:
        """Wait until a payload has a problem, and return that problem."""
        payload = self.wait(topic, lambda one: code in _codes(one), node)
        assert payload["problem"] is True
        return next(one for one in payload["problems"] if one["code"] == code)

    def no_problem(self, topic: str, code: str, node: str = "alpha") -> None:
        """Wait until the newest payload does not have a problem."""
        full = f"syncthing/{node}/{topic}"
        eventually(lambda: code not in _codes(json.loads(self.subscriber.latest()[full])))

    def raised_and_cleared(self, code: str, node: str = "alpha") -> list[str]:
        """Return the published changes of a problem: raised or cleared."""
        events = self.events("problem_raised", "problem_cleared", node=node)
        return [one["event_type"] for one in events if one["code"] == code]

    def has_come_and_gone(self, code: str, node: str = "alpha") -> None:
        """Wait until a problem has been published once as raised and once as cleared."""
        eventually(lambda: self.raised_and_cleared(code, node) == ONCE)


ONCE = ["problem_raised", "problem_cleared"]


def _codes(payload: Any) -> list[str]:
    return [one["code"] for one in payload["problems"] or ()]


@pytest.fixture
def scene(stage: Stage, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> Iterator[Scene]:
    """A bridge to alpha and beta that is online, without any problems."""
    stage.settle()
    for node in stage.nodes:  # 1.x adds a notice if it runs as root
        node.request("POST", "/rest/system/error/clear")
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **QUICK}
    process = BridgeProcess(tmp_path, {**variables, **instance("alpha", stage.alpha), **instance("beta", stage.beta)})
    one = Scene(stage, process, subscriber)
    try:
        one.start()
        one.wait("system", lambda payload: payload["problem"] is False)
        one.wait(f"device/{short_id(stage.beta.device_id)}", lambda payload: payload["connected"])
        one.mark()
        yield one
    finally:
        process.stop()


# --- conflicts


def test_a_conflict_is_published_by_both_nodes_until_it_is_deleted(scene: Scene) -> None:
    """The node that makes the file and the one that receives it each report it once, and drop it when it is deleted."""
    scene.stage.path(scene.stage.alpha, "report.txt").write_bytes(b"first")
    eventually(scene.stage.path(scene.stage.beta, "report.txt").is_file)
    path = scene.stage.conflict("report.txt")
    for node in ("alpha", "beta"):
        event = scene.event("conflict", node, folder="docs", path=path, original="report.txt", label="Documents")
        assert event["device"] in [short_id(one.device_id) for one in scene.stage.nodes]
        listed = scene.wait("folder/docs/conflicts", lambda one: one["count"], node)
        assert listed == {"count": 1, "items": [path], "complete": True}
        scene.problem("folder/docs", "conflicts", node)
        assert scene.wait("system", lambda one: one["conflicts"], node)["conflicts"] == 1
    scene.stage.path(scene.stage.beta, path).unlink()
    for node in ("alpha", "beta"):
        scene.no_problem("folder/docs", "conflicts", node)
        assert scene.wait("folder/docs/conflicts", lambda one: not one["count"], node)["items"] == []
        assert len(scene.events("conflict", node=node)) == 1
        scene.has_come_and_gone("conflicts", node)


def test_conflicts_from_before_the_start_are_found_and_published_late(scene: Scene) -> None:
    """The inventory finds existing conflicts. A restarted bridge raises none again, and publishes missed ones late."""
    scene.stage.path(scene.stage.alpha, "plan.txt").write_bytes(b"first")
    eventually(scene.stage.path(scene.stage.beta, "plan.txt").is_file)
    first = scene.stage.conflict("plan.txt")
    since = scene.problem("folder/docs", "conflicts")["since"]
    scene.process.stop()
    scene.stage.path(scene.stage.alpha, "minutes.txt").write_bytes(b"first")
    eventually(scene.stage.path(scene.stage.beta, "minutes.txt").is_file)
    second = scene.stage.conflict("minutes.txt")
    scene.start()
    event = scene.event("conflict", path=second)
    assert event["late"] is True
    listed = scene.wait("folder/docs/conflicts", lambda one: one["count"] == 2)
    assert (sorted(listed["items"]), listed["complete"]) == (sorted([first, second]), True)
    assert scene.problem("folder/docs", "conflicts")["since"] == since
    assert [one["path"] for one in scene.events("conflict")] == [second]
    assert scene.raised_and_cleared("conflicts") == []
    for path in (first, second):
        scene.stage.path(scene.stage.alpha, path).unlink()
    scene.no_problem("folder/docs", "conflicts")


# --- folders that were not observed


def test_a_folder_that_was_paused_for_longer_than_the_threshold_is_not_stale(scene: Scene) -> None:
    """The device was connected all the time; the bridge reads its completion when the folder is resumed."""
    paused = ask(scene.subscriber, "pause", '{"folder": "docs", "for": "4s"}')
    assert paused["status"] == "ok"
    scene.event("folder_resumed", folder="docs")
    scene.stage.path(scene.stage.beta, "later.txt").write_bytes(b"something happens in the folder")
    folder = scene.wait("folder/docs", lambda one: one["last_file"] == "later.txt" and one["in_sync"])
    assert folder["problems"] == []
    assert scene.raised_and_cleared("stale") == []


# --- items and folders that fail


def test_an_item_that_cannot_be_scanned_is_reported(scene: Scene) -> None:
    """Syncthing sends no event for a scan error. The bridge reports it once, and clears it when it is fixed."""
    stage = scene.stage
    stage.alpha.share("odd", stage.path(stage.alpha, "", "odd"), label="Odd", fsWatcherEnabled=False)
    bad = Path(os.fsdecode(bytes(stage.path(stage.alpha, "", "odd")) + b"/" + UNNAMEABLE))
    try:
        scene.wait("folder/odd", lambda one: one["in_sync"])
        bad.write_bytes(b"x")
        for _ in range(2):
            stage.scan(stage.alpha, folder="odd")
        listed = scene.wait("folder/odd/failed", lambda one: one["count"] == 1)
        assert listed["items"][0]["error"]
        scene.event("item_failed", folder="odd", label="Odd", error=listed["items"][0]["error"])
        assert "1 item failed" in scene.problem("folder/odd", "failed_items")["message"]
        bad.unlink()
        stage.scan(stage.alpha, folder="odd")
        scene.no_problem("folder/odd", "failed_items")
        assert len(scene.events("item_failed")) == 1
        scene.has_come_and_gone("failed_items")
    finally:
        stage.alpha.request("DELETE", "/rest/config/folders/odd")


def test_an_item_that_cannot_be_synced_is_reported_once_despite_retries(scene: Scene) -> None:
    """Syncthing retries repeatedly; the bridge publishes one event."""
    stage = scene.stage
    shared = stage.path(stage.alpha, "blocked/shared.txt")
    shared.parent.mkdir()
    shared.write_bytes(b"x")
    eventually(stage.path(stage.beta, "blocked/shared.txt").is_file)
    stage.beta.request("POST", "/rest/db/ignores", {"folder": "docs"}, {"ignore": ["kept"]})
    kept = stage.path(stage.beta, "blocked/kept")
    kept.write_bytes(b"ignored, so Syncthing must not delete it")
    scene.mark()
    shutil.rmtree(shared.parent)
    assert scene.event("item_failed", "beta")["path"] == "blocked"
    scene.problem("folder/docs", "failed_items", "beta")
    scene.problem("folder/docs", "out_of_sync", "beta")
    stage.path(stage.alpha, "another.txt").write_bytes(b"makes beta sync, and try again")
    scene.wait("folder/docs", lambda one: one["last_file"] == "another.txt" and one["failed"], "beta")
    kept.unlink()
    stage.beta.request("POST", "/rest/db/ignores", {"folder": "docs"}, {"ignore": []})
    for command in ("pause", "resume"):  # otherwise Syncthing would wait a minute before it retries
        assert ask(scene.subscriber, command, '{"folder": "docs"}', node="beta")["status"] == "ok"
    scene.no_problem("folder/docs", "failed_items", "beta")
    scene.no_problem("folder/docs", "out_of_sync", "beta")
    assert len(scene.events("item_failed", node="beta")) == 1


def test_a_folder_that_lost_its_marker_is_a_problem(scene: Scene) -> None:
    """The bridge reports the error once, and clears it when the marker is back."""
    marker = scene.stage.path(scene.stage.beta, ".stfolder", "inbox")
    shutil.rmtree(marker)
    eventually(lambda: _scan_fails(scene.stage.beta, "inbox"))
    assert "marker" in scene.event("folder_error", "beta", folder="inbox")["error"]
    assert "marker" in scene.problem("folder/inbox", "folder_error", "beta")["message"]
    assert scene.problem("system", "folder_error", "beta")["folder"] == "inbox"
    marker.mkdir()
    scene.stage.scan(scene.stage.beta, folder="inbox")
    scene.no_problem("folder/inbox", "folder_error", "beta")
    assert len(scene.events("folder_error", node="beta")) == 1


def _scan_fails(node: SyncthingNode, folder: str) -> bool:
    try:
        node.request("POST", "/rest/db/scan", {"folder": folder})
    except OSError:
        return True
    return False


def test_local_changes_of_a_folder_that_only_receives_are_a_problem(scene: Scene) -> None:
    """The problem lasts until the changes are reverted, and survives a restart of the bridge."""
    scene.stage.path(scene.stage.alpha, "addition.txt", "inbox").write_bytes(b"not from elsewhere")
    since = scene.problem("folder/inbox", "local_changes")["since"]
    assert scene.wait("folder/inbox", lambda one: one["local_changes"])["local_changes"] == 1
    scene.process.stop()
    scene.start()
    again = scene.problem("folder/inbox", "local_changes")
    assert again["since"] == since
    assert scene.raised_and_cleared("local_changes") == []
    scene.stage.alpha.request("POST", "/rest/db/revert", {"folder": "inbox"})
    scene.no_problem("folder/inbox", "local_changes")
    scene.event("problem_cleared", code="local_changes", folder="inbox", since=since)


def test_a_folder_that_cannot_be_watched_is_a_problem(scene: Scene) -> None:
    """The problem contains Syncthing's filesystem watcher error."""
    scene.stage.alpha.share("unwatched", scene.stage.files / "unwatched", filesystemType="fake")
    try:
        assert scene.problem("folder/unwatched", "watch_error")["message"]
    finally:
        scene.stage.alpha.request("DELETE", "/rest/config/folders/unwatched")
    scene.event("problem_cleared", code="watch_error", folder="unwatched")


# --- devices


def test_a_device_that_stays_disconnected_is_a_problem(scene: Scene) -> None:
    """After the threshold the device is `unseen` and its folders are `stale`; both clear when it reconnects."""
    beta = f"device/{short_id(scene.stage.beta.device_id)}"
    scene.stage.beta.stop()
    try:
        scene.event("device_disconnected", device=short_id(scene.stage.beta.device_id))
        problem = scene.problem(beta, "unseen")
        assert problem["since"] == scene.wait(beta, lambda one: not one["connected"])["unseen_since"]
        scene.problem("folder/docs", "stale")
        assert scene.problem("system", "unseen")["name"] == "beta"
    finally:
        scene.stage.beta.start()
    scene.event("device_connected", device=short_id(scene.stage.beta.device_id))
    scene.no_problem(beta, "unseen")
    scene.no_problem("folder/docs", "stale")
    scene.has_come_and_gone("unseen")
    names = [one["event_type"] for one in scene.events("device_connected", "device_disconnected")]
    assert names == ["device_disconnected", "device_connected"]


def test_a_pending_device_and_a_pending_folder_are_reported_once(scene: Scene) -> None:
    """The folder is offered by the device after the device was accepted."""
    alpha, gamma = scene.stage.alpha, scene.stage.gamma
    address = {"deviceID": alpha.device_id, "name": "alpha", "addresses": [f"tcp://127.0.0.1:{alpha.sync_port}"]}
    gamma.request("POST", "/rest/config/devices", body=address)
    try:
        event = scene.event("device_pending", device=gamma.device_id)
        assert (event["name"], scene.wait("system", lambda one: one["pending_devices"])["pending_devices"]) == (
            "gamma",
            1,
        )
        there = [f"tcp://127.0.0.1:{gamma.sync_port}"]  # otherwise gamma would dial again only after a minute
        body = {"deviceID": gamma.device_id, "name": "gamma", "addresses": there}
        alpha.request("POST", "/rest/config/devices", body=body)
        eventually(lambda: alpha.is_connected(gamma), DIALS_AGAIN_S)
        scene.event("device_connected", device=short_id(gamma.device_id))
        gamma.share("offer", scene.stage.files / "gamma/offer", label="Offer", devices=[alpha])
        eventually(lambda: "offer" in alpha.request("GET", "/rest/cluster/pending/folders"), DIALS_AGAIN_S)
        scene.event("folder_pending", folder="offer", label="Offer", device=short_id(gamma.device_id))
        scene.wait("system", lambda one: one["pending_folders"] == 1)
        assert [len(scene.events(name)) for name in ("device_pending", "folder_pending")] == [1, 1]
    finally:
        gamma.request("DELETE", "/rest/config/folders/offer")
        for here, other in ((gamma, alpha), (alpha, gamma)):
            here.request("DELETE", f"/rest/config/devices/{other.device_id}")


def test_a_slow_sync_shows_its_progress_and_a_hung_one_is_stuck(scene: Scene) -> None:
    """The receiver shows progress, rate and completion, the sender a device that is behind; then the sender hangs."""
    stage, rate = scene.stage, 400
    limits = {"maxSendKbps": rate, "limitBandwidthInLan": True}
    # In version 1, a device that has never announced a file counts as complete.
    stage.path(stage.beta, "first.txt").write_bytes(b"first")
    eventually(stage.path(stage.alpha, "first.txt").is_file)
    scene.event("device_synced", "beta", name="alpha")
    stage.beta.request("PATCH", "/rest/config/options", body=limits)
    try:
        stage.path(stage.beta, "large.bin").write_bytes(os.urandom(24_000_000))
        folder = scene.wait("folder/docs", lambda one: one["sync_progress"] and one["sync_rate"])
        assert 0 < folder["sync_progress"] < 100
        assert folder["sync_ends_at"] > folder["out_of_sync_since"]
        assert scene.wait("metrics", lambda one: one["in_rate"] > 10_000)["in_rate"] < 10_000 * rate
        scene.problem(f"device/{short_id(stage.alpha.device_id)}", "behind", "beta")
        stage.beta.hang()
        assert "without progress" in scene.problem("folder/docs", "stuck")["message"]
    finally:
        stage.beta.wake()
        stage.beta.request("PATCH", "/rest/config/options", body={"maxSendKbps": 0, "limitBandwidthInLan": False})
    scene.event("folder_synced", folder="docs")
    eventually(lambda: len(scene.events("device_synced", node="beta")) == 2)
    scene.no_problem("folder/docs", "stuck")
    scene.no_problem(f"device/{short_id(stage.alpha.device_id)}", "behind", "beta")
    eventually(lambda: json.loads(scene.subscriber.latest()["syncthing/alpha/metrics"])["in_rate"] == 0)
    assert json.loads(scene.subscriber.latest()["syncthing/alpha/folder/docs"])["sync_progress"] is None


def test_a_scan_shows_its_progress(scene: Scene) -> None:
    """The bridge publishes percent, bytes per second and the estimated completion time while it hashes a large file."""
    large = scene.stage.files / "large"
    large.mkdir()
    with (large / "sparse.bin").open("wb") as file:
        file.truncate(6 << 30)
    scene.stage.alpha.share("large", large, scanProgressIntervalS=1, hashers=1)
    try:
        folder = scene.wait("folder/large", lambda one: one["scan_progress"] and one["scan_rate"])
        assert 0 < folder["scan_progress"] <= 100
        assert folder["scan_ends_at"]
    finally:
        scene.stage.alpha.request("DELETE", "/rest/config/folders/large")


# --- the instance


def test_a_sync_is_published_once_on_each_side(scene: Scene) -> None:
    """The receiver publishes that it has synced, the sender that the other device has; there are no other events."""
    scene.stage.path(scene.stage.alpha, "once.txt").write_bytes(b"once")
    scene.event("folder_synced", "beta", folder="docs")
    scene.event("device_synced", device=short_id(scene.stage.beta.device_id))
    scene.wait("folder/docs", lambda one: one["last_file"] == "once.txt", "beta")
    assert [len(scene.events("folder_synced", node=node)) for node in ("alpha", "beta")] == [0, 1]
    assert [len(scene.events("device_synced", node=node)) for node in ("alpha", "beta")] == [1, 0]


def test_a_restart_of_syncthing_is_published_once(scene: Scene) -> None:
    """A restart raises no problem but those of disconnected devices, and causes no events about syncing or pausing."""
    assert ask(scene.subscriber, "restart", "PRESS")["status"] == "ok"
    started = scene.event("syncthing_started")
    assert started["version"].startswith("v")
    scene.subscriber.wait_for_payload("syncthing/alpha/state", b"online", since=scene.since)
    scene.stage.settle()
    scene.wait(f"device/{short_id(scene.stage.beta.device_id)}", lambda one: one["connected"])
    names = [
        message.topic.split("/")[-1]
        for message in scene.subscriber.messages[scene.since :]
        if "alpha/event" in message.topic
    ]
    # the devices may need longer than these thresholds to connect again
    assert {one["code"] for one in scene.events("problem_raised")} <= {"unseen", "stale"}
    connections = {"syncthing_started", "device_connected", "device_disconnected"}
    assert set(names) <= connections | {"problem_raised", "problem_cleared"}
    assert names.count("syncthing_started") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="Syncthing writes the notice only when it runs as root")
def test_the_notice_about_a_privileged_user_is_no_problem(
    binary: str, syncthing_version: str, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Syncthing itself writes this notice at its start; it stays in the list of errors."""
    node = SyncthingNode("alpha", tmp_path / "home", binary)
    process: BridgeProcess | None = None
    try:
        node.start()
        process = BridgeProcess(tmp_path, {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", node)}).start()
        system = subscriber.wait_for_json("syncthing/alpha/system", lambda one: one["problem"] is not None)
        errors = subscriber.wait_for_json("syncthing/alpha/errors")
        assert (system["problem"], system["problems"]) == (False, [])
        assert system["errors"] == errors["count"]
        notices = [one for one in errors["items"] if "privileged or system user" in one["message"]]
        assert len(notices) == (1 if syncthing_version.startswith("1.") else 0)  # 2.x writes the notice only to its log
    finally:
        if process is not None:
            process.stop()
        node.stop()


def test_errors_of_syncthing_are_a_problem(scene: Scene) -> None:
    """The problem lasts until the errors are cleared."""
    for message in ("the floor is wet", "the roof leaks"):
        assert ask(scene.subscriber, "new_error", message)["status"] == "ok"
    assert "the roof leaks" in scene.problem("system", "system_errors")["message"]
    assert ask(scene.subscriber, "clear_errors", "PRESS")["status"] == "ok"
    scene.no_problem("system", "system_errors")
    scene.has_come_and_gone("system_errors")


def test_failing_listeners_and_discovery_are_a_problem(scene: Scene) -> None:
    """Both are raised only after the threshold, and clear when they work again."""
    options = scene.stage.beta.request("GET", "/rest/config/options")
    wrong = {
        "listenAddresses": ["tcp://192.0.2.1:22000"],
        "globalAnnounceEnabled": True,
        "globalAnnounceServers": ["https://127.0.0.1:9/"],
    }
    scene.stage.beta.request("PATCH", "/rest/config/options", body=wrong)
    try:
        scene.problem("system", "no_listener", "beta")
        scene.problem("system", "discovery", "beta")
    finally:
        right = {key: options[key] for key in wrong}
        scene.stage.beta.request("PATCH", "/rest/config/options", body=right)
    scene.no_problem("system", "no_listener", "beta")
    scene.no_problem("system", "discovery", "beta")


def test_another_syncthing_at_the_same_address_is_a_problem(
    stage: Stage, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The bridge remembers the previous device ID and the previous folders."""
    for number, node in enumerate((stage.beta, stage.gamma)):
        since = subscriber.count
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("nas", node)}
        process = BridgeProcess(tmp_path, variables)
        try:
            process.start()
            system = subscriber.wait_for_json(
                "syncthing/nas/system", lambda one: one["problems"] is not None, since=since
            )
            if number:
                system = subscriber.wait_for_json("syncthing/nas/system", lambda one: one["problem"], since=since)
        finally:
            process.stop()
    assert {"identity_changed", "folders_vanished"} <= set(_codes(system))
    messages = {one["code"]: one["message"] for one in system["problems"]}
    assert stage.beta.device_id in messages["identity_changed"]


def test_a_build_that_cannot_upgrade_has_no_upgrade(scene: Scene) -> None:
    """The topic is not published at all."""
    assert "syncthing/alpha/system" in scene.subscriber.latest()
    assert not [topic for topic in scene.subscriber.latest() if topic.endswith("/upgrade")]
