"""Every command on real Syncthing nodes of every version, through a real broker, over MQTT 5 and MQTT 3.1.1."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.model import short_id
from stbridge.core.topics import encode
from stbridge.demo.node import SyncthingNode
from tests.conftest import ODD_FOLDER, Pair
from tests.servers import DIALS_AGAIN_S, PATIENCE_S, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance

EVERYTHING = '["read", "operate", "admin"]'


@dataclass(frozen=True, slots=True)
class Plane:
    """A bridge that may run every command on the nodes of a pair, and on a third node, gamma, that may be damaged."""

    pair: Pair
    gamma: SyncthingNode
    files: Path
    broker: Mosquitto
    subscriber: Subscriber
    protocol: str

    def do(self, command: str, payload: Any = None, *, node: str = "alpha") -> Any:
        """Send a command that must succeed, and return its data."""
        reply = ask(self.subscriber, command, json.dumps(payload or {}), node=node)
        assert (reply["status"], reply["error"]) == ("ok", None), reply
        return reply["data"]

    def refusal(self, command: str, payload: Any = None, *, node: str = "alpha") -> str:
        """Send a command that must be refused, and return the error code."""
        reply = ask(self.subscriber, command, json.dumps(payload or {}), node=node)
        assert reply["status"] == "error", reply
        code: str = reply["error"]["code"]
        return code

    def folder(self, folder: str, node: SyncthingNode | None = None) -> Any:
        """Return Syncthing's configuration of a folder, or None if the folder is not configured."""
        folders = (node or self.pair.a).request("GET", "/rest/config/folders")
        return next((one for one in folders if one["id"] == folder), None)

    def device(self, device: str) -> Any:
        """Return node alpha's configuration of a device, or None if the device is not configured."""
        devices = self.pair.a.request("GET", "/rest/config/devices")
        return next((one for one in devices if one["deviceID"] == device), None)

    def wait_until_paused(self, subject: Mapping[str, str], paused: bool) -> None:
        """Wait until Syncthing itself has paused, or resumed, a folder or device."""
        device = "device" in subject
        path = "/rest/config/devices" if device else "/rest/config/folders"
        names = ("deviceID", "name") if device else ("id", "label")

        def is_so() -> bool:
            found = [
                one["paused"]
                for one in self.pair.a.request("GET", path)
                if any(one[name].startswith(*subject.values()) for name in names)
            ]
            return found == [paused]

        eventually(is_so)

    def is_shown(self, topic: str, **keys: Any) -> bool:
        """Return whether the newest payload of a topic has these values."""
        payload = json.loads(self.subscriber.latest()[f"syncthing/{topic}"])
        return all(payload[key] == value for key, value in keys.items())

    def wait_for(self, topic: str, condition: Any) -> Any:
        """Wait until a payload on a topic satisfies a condition; the current payload counts, too."""
        return self.subscriber.wait_for_json(f"syncthing/{topic}", condition)


@pytest.fixture(scope="module", params=["5", "3.1.1"])
def plane(
    request: pytest.FixtureRequest, pair: Pair, binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plane]:
    """The test setup, once for each version of Syncthing and of MQTT."""
    directory = tmp_path_factory.mktemp("plane")
    broker = Mosquitto(directory)
    gamma = SyncthingNode("gamma", directory / "gamma", binary, monitor=True)
    process = subscriber = None
    try:
        broker.start()
        subscriber = Subscriber(broker.port)
        gamma.start()
        nodes = {"alpha": pair.a, "beta": pair.b, "gamma": gamma}
        variables = {"STBRIDGE_MQTT__PORT": str(broker.port), "STBRIDGE_MQTT__PROTOCOL": request.param}
        for name, node in nodes.items():
            variables |= instance(name, node)
        process = BridgeProcess(directory, {**variables, "STBRIDGE_COMMANDS__ALLOW": EVERYTHING}).start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        yield Plane(pair, gamma, directory / "files", broker, subscriber, request.param)
    finally:
        if process:
            process.stop()
        if subscriber:
            subscriber.close()
        gamma.stop()
        broker.stop()


def test_the_bridge_uses_the_configured_version_of_mqtt(plane: Plane) -> None:
    """The other tests of this module run with both versions of MQTT."""
    assert plane.wait_for("bridge/info", bool)["mqtt_protocol"] == plane.protocol


def test_a_folder_and_a_device_are_paused_and_resumed(plane: Plane) -> None:
    """`pause`, `resume` and `set_paused` change Syncthing's own configuration."""
    for subject in ({"folder": "Odd"}, {"folder": "docs"}, {"device": short_id(plane.pair.b.device_id)}):
        for command, payload, paused in (
            ("pause", subject, True),
            ("resume", subject, False),
            ("set_paused", {**subject, "paused": True}, True),
            ("set_paused", {**subject, "paused": False}, False),
        ):
            plane.do(command, payload)
            plane.wait_until_paused(subject, paused)


def test_a_timed_pause_ends_automatically(plane: Plane) -> None:
    """`pause` with `for` publishes the resume time in the reply and in the folder's or device's topic, then resumes."""
    for subject, topic in (
        ({"folder": ODD_FOLDER}, f"folder/{encode(ODD_FOLDER)}"),
        ({"device": "beta"}, f"device/{short_id(plane.pair.b.device_id)}"),
    ):
        assert plane.refusal("pause", {**subject, "for": "a while"}) == "invalid_arguments"
        since = plane.subscriber.count
        resume_at = plane.do("pause", {**subject, "for": "6s"})["resume_at"]
        plane.wait_until_paused(subject, True)
        shown = plane.subscriber.wait_for_json(f"syncthing/alpha/{topic}", lambda one: one["resume_at"], since=since)
        assert shown["resume_at"] == resume_at
        plane.wait_until_paused(subject, False)
        eventually(partial(plane.is_shown, f"alpha/{topic}", paused=False, resume_at=None))


def test_a_timed_pause_right_after_a_resume_ends_automatically(plane: Plane) -> None:
    """The events of the resume may arrive after the reply to the second pause, and do not cancel its end."""
    for subject, topic in (
        ({"folder": "docs"}, "syncthing/alpha/folder/docs"),
        ({"device": "beta"}, f"syncthing/alpha/device/{short_id(plane.pair.b.device_id)}"),
    ):
        plane.do("pause", subject)
        plane.wait_until_paused(subject, True)
        since = plane.subscriber.count
        plane.do("resume", subject)
        resume_at = plane.do("pause", {**subject, "for": "6s"})["resume_at"]
        shown = plane.subscriber.wait_for_json(topic, lambda one: one["resume_at"], since=since)
        assert shown["resume_at"] == resume_at
        plane.wait_until_paused(subject, True)
        plane.wait_until_paused(subject, False)


def test_a_scan_finds_changes_in_an_unwatched_folder(plane: Plane) -> None:
    """`scan` makes Syncthing scan the disk; with `wait`, the reply comes after the scan."""
    files = plane.files / "unwatched"
    plane.pair.a.share("unwatched", files, fsWatcherEnabled=False)
    plane.wait_for("alpha/folder/unwatched", lambda one: one["state"] == "idle")
    (files / "deep").mkdir()
    for file in ("new.txt", "deep/two.txt"):
        (files / file).write_text("new", encoding="utf-8")
    assert ask(plane.subscriber, "scan", "unwatched")["error"] is None  # `accepted` if it takes more than two seconds
    for payload in ({"folder": "unwatched", "wait": True}, {"folder": "all", "wait": True}):
        plane.do("scan", payload)
    found = plane.do("get_file", {"folder": "unwatched", "file": "new.txt"})
    assert found["local"]["name"] == "new.txt"
    assert [one["name"] for one in plane.do("browse_database", {"folder": "unwatched"})] == ["deep", "new.txt"]
    top = plane.do("browse_database", {"folder": "unwatched", "level": 0})
    assert [one.get("children") for one in top] == [None, None]
    [one] = plane.do("browse_database", {"folder": "unwatched", "level": 1, "prefix": "deep"})
    assert one["name"] == "two.txt"
    plane.do("pause", {"folder": "unwatched"})
    eventually(lambda: plane.refusal("scan", {"folder": "unwatched"}) == "not_applicable")
    scanned = plane.do("scan", {"all": True, "wait": True})["folders"]
    assert "docs" in scanned
    assert "unwatched" not in scanned
    plane.pair.a.request("DELETE", "/rest/config/folders/unwatched")


def test_ignore_patterns_are_replaced(plane: Plane) -> None:
    """`new_ignores` writes the patterns that `get_ignores` returns."""
    plane.do("new_ignores", {"folder": "docs", "ignore": ["*.tmp", "// two"]})
    assert plane.pair.a.request("GET", "/rest/db/ignores", {"folder": "docs"})["ignore"] == ["*.tmp", "// two"]
    plane.do("new_ignores", {"folder": "docs", "ignore": []})
    assert not plane.do("get_ignores", {"folder": "docs"})["ignore"]


def test_errors_are_added_and_cleared(plane: Plane) -> None:
    """`new_error` and `clear_errors` change Syncthing's own list of errors."""
    assert plane.do("new_error", {"message": "the disk is full"}) is None
    assert "the disk is full" in json.dumps(plane.pair.a.request("GET", "/rest/system/error"))
    assert plane.do("clear_errors") is None
    assert not plane.pair.a.request("GET", "/rest/system/error")["errors"]


def test_local_changes_are_reverted(plane: Plane) -> None:
    """`revert` deletes files that were added to a receive-only folder, and is refused for other folders."""
    files = plane.files / "inbox"
    plane.pair.a.share("inbox", files, label="Inbox", type="receiveonly")
    plane.wait_for("alpha/folder/inbox", lambda one: one["state"] == "idle")
    (files / "addition.txt").write_text("not from elsewhere", encoding="utf-8")
    plane.do("scan", {"folder": "inbox", "wait": True})
    assert plane.do("get_local_changes", {"folder": "inbox"})["files"]
    assert plane.refusal("override", {"folder": "inbox"}) == "not_applicable"
    assert plane.refusal("revert", {"folder": "docs"}) == "not_applicable"
    plane.do("revert", {"folder": "Inbox"})
    eventually(lambda: not (files / "addition.txt").exists())
    plane.pair.a.request("DELETE", "/rest/config/folders/inbox")


def test_remote_changes_are_overridden(plane: Plane) -> None:
    """`override` makes the version of a send-only folder win over the changes of another device."""
    folder = f"out-{plane.protocol}"  # a folder that is removed during a change may leave its index behind
    here, there = plane.files / "out-alpha", plane.files / "out-beta"
    plane.pair.a.share(folder, here, devices=[plane.pair.b], type="sendonly")
    plane.pair.b.share(folder, there, devices=[plane.pair.a])
    plane.wait_for(f"alpha/folder/{folder}", lambda one: one["state"] == "idle")
    plane.wait_for(f"beta/folder/{folder}", lambda one: one["state"] == "idle")
    (here / "mine.txt").write_text("mine", encoding="utf-8")
    plane.do("scan", {"folder": folder, "wait": True})  # Syncthing may not watch a new folder yet
    eventually((there / "mine.txt").is_file)
    (there / "mine.txt").write_text("theirs, and longer", encoding="utf-8")
    plane.do("scan", {"folder": folder, "wait": True}, node="beta")
    plane.wait_for(f"alpha/folder/{folder}", lambda one: one["need_items"])
    assert plane.refusal("revert", {"folder": folder}) == "not_applicable"
    plane.do("override", {"folder": folder})
    eventually(lambda: _text(there / "mine.txt") == "mine")
    for node in (plane.pair.a, plane.pair.b):
        node.request("DELETE", f"/rest/config/folders/{folder}")


def _text(file: Path) -> str | None:
    """Return the content of a file; None while Syncthing replaces it."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def test_a_partial_configuration_is_merged(plane: Plane) -> None:
    """`new_config` changes only the given values, and keeps everything else, above all the API key."""
    before = plane.pair.b.request("GET", "/rest/config")
    changed = plane.do(
        "new_config",
        {"config": {"options": {"maxSendKbps": 4321}, "folders": [{"id": ODD_FOLDER, "label": "Odder"}]}},
        node="beta",
    )
    assert changed == {"changed": [f"folders/{ODD_FOLDER}", "options"]}
    after = plane.pair.b.request("GET", "/rest/config")
    assert after["options"]["maxSendKbps"] == 4321
    assert plane.folder(ODD_FOLDER, plane.pair.b)["label"] == "Odder"
    after["options"]["maxSendKbps"] = before["options"]["maxSendKbps"]
    for folder in after["folders"]:
        folder["label"] = {ODD_FOLDER: "Odd"}.get(folder["id"], folder["label"])
    assert after == before
    speed = {"maxSendKbps": before["options"]["maxSendKbps"]}
    plane.do("new_config", {"config": {"options": speed, "folders": [{"id": ODD_FOLDER, "label": "Odd"}]}}, node="beta")


@pytest.mark.parametrize(
    "config",
    [
        {"devices": []},
        {"folders": []},
        {"gui": {"enabled": False}},
        {"gui": {"apiKey": "other"}},
        {"gui": {"address": ""}},
        {"nonsense": {}},
        {"folders": [{"label": "no ID"}]},
    ],
    ids=json.dumps,
)
def test_a_configuration_that_would_lock_out_all_users_is_refused(plane: Plane, config: Any) -> None:
    """A document that removes all devices, the GUI or the API key changes nothing."""
    before = plane.pair.b.request("GET", "/rest/config")
    assert plane.refusal("new_config", {"config": config}, node="beta") == "invalid_arguments"
    assert plane.pair.b.request("GET", "/rest/config") == before


def test_a_configuration_that_was_read_can_be_restored(plane: Plane) -> None:
    """`get_config` omits the secrets, and `new_config` with `replace` keeps the secrets that are omitted."""
    before = plane.gamma.request("GET", "/rest/config")
    document = plane.do("get_config", node="gamma")
    assert "apiKey" not in json.dumps(document)
    plane.do("new_config", {"config": document, "replace": True}, node="gamma")
    assert plane.gamma.request("GET", "/rest/config") == before


def test_pending_devices_and_folders_are_accepted_or_dismissed(plane: Plane) -> None:
    """A device, and then a folder that it offers, are dismissed, and accepted when they are pending again."""
    alpha, gamma = plane.pair.a, plane.gamma
    address = f"tcp://127.0.0.1:{alpha.sync_port}"
    name = f"gamma {plane.protocol}"
    gamma.request("PATCH", f"/rest/config/devices/{gamma.device_id}", body={"name": name})
    body = {"deviceID": alpha.device_id, "name": "alpha", "addresses": [address]}
    gamma.request("POST", "/rest/config/devices", body=body)
    assert plane.refusal("accept_device", {"device": "nobody"}) == "not_found"
    waiting = plane.wait_for("alpha/pending", lambda one: name in [device["name"] for device in one["devices"]])
    assert [one["device"] for one in waiting["devices"] if one["name"] == name] == [gamma.device_id]
    plane.do("dismiss_device", {"device": short_id(gamma.device_id)})
    plane.wait_for("alpha/pending", lambda one: name not in [device["name"] for device in one["devices"]])
    eventually(lambda: gamma.device_id in alpha.request("GET", "/rest/cluster/pending/devices"), DIALS_AGAIN_S)
    eventually(lambda: _accepted(plane, "accept_device", {"device": name, "name": "Gamma"}))
    assert plane.device(gamma.device_id)["name"] == "Gamma"
    eventually(lambda: alpha.is_connected(gamma), DIALS_AGAIN_S)

    gamma.share("gift", plane.files / "gift-gamma", label="Gift", devices=[alpha])
    offered = f"gift-{plane.protocol}"
    eventually(lambda: "gift" in alpha.request("GET", "/rest/cluster/pending/folders"), DIALS_AGAIN_S)
    plane.wait_for("alpha/pending", lambda one: [folder["label"] for folder in one["folders"]] == ["Gift"])
    plane.do("dismiss_folder", {"folder": "gift", "device": "Gamma"})
    assert not alpha.request("GET", "/rest/cluster/pending/folders")
    gamma.share(offered, plane.files / "second-gamma", label="Second", devices=[alpha])
    eventually(lambda: offered in alpha.request("GET", "/rest/cluster/pending/folders"), DIALS_AGAIN_S)
    plane.wait_for("alpha/pending", lambda one: "Second" in [folder["label"] for folder in one["folders"]])
    target = plane.files / "second-alpha"
    plane.do("accept_folder", {"folder": "Second", "path": str(target), "type": "receiveonly"})
    accepted = plane.folder(offered)
    assert (accepted["path"], accepted["type"], accepted["label"]) == (str(target), "receiveonly", "Second")
    (plane.files / "second-gamma/hello.txt").write_text("hello", encoding="utf-8")
    plane.wait_for(f"gamma/folder/{offered}", lambda one: one["id"] == offered)
    plane.do("scan", {"folder": offered, "wait": True}, node="gamma")
    eventually((target / "hello.txt").is_file)
    alpha.request("DELETE", f"/rest/config/folders/{encode(offered)}")
    alpha.request("DELETE", f"/rest/config/devices/{gamma.device_id}")
    gamma.request("DELETE", f"/rest/config/devices/{alpha.device_id}")


def _accepted(plane: Plane, command: str, payload: Any) -> bool:
    """Try to accept, and return whether it worked; the bridge may not know the pending device or folder yet."""
    return bool(ask(plane.subscriber, command, json.dumps(payload))["status"] == "ok")


def test_an_upgrade_that_is_not_possible_is_refused(plane: Plane) -> None:
    """A build that cannot upgrade itself reports that; on other builds the test never triggers a real upgrade."""
    code = plane.refusal("check_upgrade", node="gamma")
    if code == "unsupported":
        assert plane.refusal("upgrade", node="gamma") == "unsupported"
    else:
        assert code == "syncthing_error"  # it cannot reach a server that would offer a newer version


def test_a_folder_is_reset(plane: Plane) -> None:
    """`reset` pauses the folder, makes Syncthing delete its index and restart, and resumes the folder."""
    files = plane.files / "reset"
    files.mkdir(parents=True)
    (files / "kept.txt").write_text("kept", encoding="utf-8")  # first: Syncthing does not watch a new folder at once
    plane.gamma.share("again", files)
    plane.wait_for("gamma/folder/again", lambda one: one["local_files"] == 1)
    started = plane.gamma.request("GET", "/rest/system/status")["startTime"]
    assert plane.do("reset", {"folder": "again"}, node="gamma") == {"reset": ["again"], "resumed": ["again"]}
    assert plane.gamma.request("GET", "/rest/system/status")["startTime"] != started
    assert plane.folder("again", plane.gamma)["paused"] is False
    assert (files / "kept.txt").is_file()
    assert plane.refusal("reset", {"folder": "again"}, node="gamma") == "rate_limited"


def test_syncthing_is_restarted_at_most_once_a_minute(plane: Plane) -> None:
    """`restart` starts a new process; a second command within a minute is refused."""
    started = plane.gamma.request("GET", "/rest/system/status")["startTime"]
    assert plane.do("restart", node="gamma")["ok"] == "restarting"
    assert plane.refusal("restart", node="gamma") == "rate_limited"
    eventually(lambda: _start_of(plane.gamma) not in (None, started))
    plane.wait_for("gamma/system", lambda one: one["started_at"] and one["started_at"] != started)


def _start_of(node: SyncthingNode) -> Any:
    try:
        return node.request("GET", "/rest/system/status")["startTime"]
    except OSError:
        return None


@pytest.mark.parametrize("extra", [{"transaction": "T-1"}, {}], ids=["transaction", "correlation"])
def test_a_repeated_command_is_not_executed_again(plane: Plane, extra: Any) -> None:
    """A repetition gets the reply of the first command, and Syncthing receives one request."""
    if plane.protocol == "3.1.1" and not extra:
        extra = {"transaction": 2}  # MQTT 3.1.1 has no correlation data
    plane.do("clear_errors", node="beta")
    payload = json.dumps({"message": f"once {extra}", **extra})
    options = {} if extra else {"response_topic": "answers/here", "correlation": b"\x00\xff"}
    replies = [ask(plane.subscriber, "new_error", payload, node="beta", **options) for _ in range(3)]
    assert replies[0] == replies[1] == replies[2]
    assert len(plane.pair.b.request("GET", "/rest/system/error")["errors"]) == 1


def test_mosquitto_rr_gets_its_reply(plane: Plane) -> None:
    """Mosquitto's request-response client works with a response topic of its own, and with the usual topic."""
    program = shutil.which("mosquitto_rr")
    assert program, "mosquitto_rr belongs to mosquitto-clients"
    ways = [("311", "syncthing/alpha/response/get_ping")]
    if plane.protocol == "5":  # a bridge that uses 3.1.1 does not receive the properties of MQTT 5
        ways.append(("5", "some/answers"))
    for version, topic in ways:
        command = [program, "-p", str(plane.broker.port), "-V", version, "-W", "20", "-e", topic]
        command += ["-t", "syncthing/alpha/command/get_ping", "-m", "{}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        assert json.loads(done.stdout)["data"] == {"ping": "pong"}


@pytest.mark.parametrize("topic", ["syncthing/alpha/command/scan", "homeassistant/x/config", "$SYS/x", "a/#"])
def test_a_harmful_response_topic_gets_no_reply(plane: Plane, topic: str) -> None:
    """The reply is not published to command topics, discovery, broker topics or wildcards, only to the usual topic."""
    since = plane.subscriber.count
    if "#" not in topic:  # neither clients nor brokers accept a wildcard in a response topic
        assert ask(plane.subscriber, "get_ping", "{}", response_topic=topic)["status"] == "ok"
        assert ask(plane.subscriber, "get_ping", "{}")["status"] == "ok"
    assert [one.topic for one in plane.subscriber.messages[since:] if one.topic == topic] == []


def test_syncthing_is_shut_down(plane: Plane) -> None:
    """`shutdown` stops the process; from then on, commands to it fail as unreachable."""
    assert "shut" in json.dumps(plane.do("shutdown", node="gamma"))
    eventually(lambda: not plane.gamma.running)
    assert plane.refusal("get_status", node="gamma") == "unreachable"
    eventually(lambda: plane.subscriber.latest()["syncthing/gamma/state"] == b"offline")
