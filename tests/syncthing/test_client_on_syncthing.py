"""The client on real Syncthing of every version: each method works as documented."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.errors import (
    HostCheckFailed,
    NotFound,
    NotSyncthing,
    Rejected,
    TlsFailure,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from stbridge.syncthing import SyncthingClient, transport
from stbridge.syncthing.calls.base import completed
from tests.conftest import ODD_FOLDER, Pair
from tests.servers import change_gui, eventually, listens_again
from tests.syncthing.conftest import Connect, is_up

NODE_FIELDS = {"state", "globalFiles", "needBytes"}


def client_of(node: SyncthingNode, connect: Connect) -> SyncthingClient:
    """Return a client for a node."""
    return connect(node.url, node.api_key)


@pytest.fixture
def alpha(pair: Pair, connect: Connect) -> SyncthingClient:
    """A client for the node `a` of the pair."""
    return client_of(pair.a, connect)


@pytest.fixture
def alone(node: SyncthingNode, connect: Connect) -> SyncthingClient:
    """A client for the node without peers."""
    return client_of(node, connect)


# --- reads

Ask = Callable[[SyncthingClient, Pair], Any]
READS: dict[str, tuple[Ask, set[str]]] = {
    "get_ping": (lambda a, _: a.get_ping(), {"ping"}),
    "get_version": (lambda a, _: a.get_version(), {"version", "os", "arch"}),
    "get_status": (lambda a, _: a.get_status(), {"myID", "startTime", "uptime"}),
    "get_errors": (lambda a, _: a.get_errors(), {"errors"}),
    "get_config": (lambda a, _: a.get_config(), {"folders", "devices", "options", "gui"}),
    "get_folder_defaults": (lambda a, _: a.get_folder_defaults(), {"type", "rescanIntervalS"}),
    "get_device_defaults": (lambda a, _: a.get_device_defaults(), {"addresses", "paused"}),
    "get_insync": (lambda a, _: a.get_insync(), {"configInSync"}),
    "get_restart_required": (lambda a, _: a.get_restart_required(), {"requiresRestart"}),
    "get_connections": (lambda a, _: a.get_connections(), {"total", "connections"}),
    "get_discovery": (lambda a, _: a.get_discovery(), set()),
    "get_device_statistics": (lambda a, pair: a.get_device_statistics()[pair.b.device_id], {"lastSeen"}),
    "get_pending_devices": (lambda a, _: a.get_pending_devices(), set()),
    "get_pending_folders": (lambda a, _: a.get_pending_folders(), set()),
    "get_folder_statistics": (lambda a, _: a.get_folder_statistics()[ODD_FOLDER], {"lastScan", "lastFile"}),
    "get_folder_status": (lambda a, _: a.get_folder_status(ODD_FOLDER), NODE_FIELDS),
    "get_folder_errors": (lambda a, _: a.get_folder_errors("docs"), {"errors", "folder"}),
    "get_completion": (lambda a, pair: a.get_completion(pair.b.device_id, ODD_FOLDER), {"completion", "needItems"}),
    "get_completion of all": (lambda a, _: a.get_completion(), {"completion", "needItems"}),
    "get_need": (lambda a, _: a.get_need("docs", 1, 10), {"progress", "queued", "rest"}),
    "get_remote_need": (lambda a, pair: a.get_remote_need(pair.b.device_id, "docs"), {"files"}),
    "get_local_changes": (lambda a, _: a.get_local_changes("docs", 1, 10), {"files"}),
    "get_ignores": (lambda a, _: a.get_ignores("docs"), {"ignore", "expanded"}),
}
"""The call of each read, and the keys that its answer must contain."""


@pytest.mark.parametrize("name", READS)
def test_every_version_answers_every_read(pair: Pair, alpha: SyncthingClient, name: str) -> None:
    """The same keys exist in every version."""
    ask, keys = READS[name]
    assert keys <= set(ask(alpha, pair))


@pytest.mark.parametrize(
    ("ask", "since"), [(SyncthingClient.get_health, (1, 22)), (SyncthingClient.get_paths, (1, 21))]
)
def test_a_call_is_unsupported_in_versions_before_it_existed(
    alone: SyncthingClient, syncthing_version: str, ask: Callable[[SyncthingClient], Any], since: tuple[int, int]
) -> None:
    """The error is Unsupported, not NotFound."""
    major, minor, *_ = map(int, syncthing_version.split("."))
    if (major, minor) >= since:
        assert ask(alone)
    else:
        with pytest.raises(Unsupported):
            ask(alone)


def test_a_missing_folder_is_not_found(alone: SyncthingClient) -> None:
    """An unknown folder does not count as a failure of the connection."""
    for ask in (alone.get_folder_status, alone.get_folder_errors, lambda folder: alone.get_file(folder, "a")):
        with pytest.raises(NotFound):
            ask("nothing")
    with pytest.raises(NotFound):
        alone.patch_folder("nothing", {"paused": True})


def test_a_build_without_upgrades_is_reported(alone: SyncthingClient) -> None:
    """The existence of an upgrade cannot be tested here. The upgrade itself is not requested, because it could run."""
    with pytest.raises(Unsupported):
        alone.check_upgrade()


# --- errors


def test_errors_are_added_and_cleared(alone: SyncthingClient) -> None:
    """An added entry stays in the list until it is cleared."""
    alone.new_error("größer als erlaubt")
    assert any("größer als erlaubt" in error["message"] for error in alone.get_errors()["errors"])
    alone.clear_errors()
    assert not alone.get_errors()["errors"]


def test_the_log_is_read_as_lines_and_as_text(alone: SyncthingClient, node: SyncthingNode) -> None:
    """Both contain the log of the start. With a time in the future, both are empty."""
    messages = [line["message"] for line in alone.get_log()["messages"]]
    assert any(node.device_id in message for message in messages)
    assert node.device_id in alone.get_log_text()
    assert alone.get_log(since="2999-01-01T00:00:00Z") == {"messages": []}
    assert alone.get_log_text(since="2999-01-01T00:00:00Z") == ""


def test_log_levels_can_be_changed(alone: SyncthingClient, syncthing_version: str) -> None:
    """The level of one package changes, and the others stay. Versions before 2.0 do not support this."""
    if syncthing_version.startswith("1."):
        for ask in (alone.get_log_levels, lambda: alone.new_log_levels({"scanner": "DEBUG"})):
            with pytest.raises(Unsupported):
                ask()
        return
    before = alone.get_log_levels()
    assert "scanner" in before["packages"]
    assert alone.new_log_levels({"scanner": "DEBUG"}) == completed()
    assert alone.get_log_levels()["levels"] == before["levels"] | {"scanner": "DEBUG"}
    with pytest.raises(Rejected, match="LOUD"):
        alone.new_log_levels({"scanner": "LOUD"})
    alone.new_log_levels({"scanner": "INFO"})
    assert alone.get_log_levels() == before


# --- services


def test_device_ids_are_checked(alone: SyncthingClient, node: SyncthingNode) -> None:
    """An ID may be in lower case and without dashes. Any other text is rejected with the reason."""
    assert alone.get_device_id(node.device_id.lower().replace("-", "")) == {"id": node.device_id}
    with pytest.raises(Rejected, match="incorrect length"):
        alone.get_device_id("abc")


def test_random_strings_have_the_requested_length(alone: SyncthingClient) -> None:
    """The default is 32 characters, and two strings differ."""
    found = [alone.get_random_string(length)["random"] for length in (None, None, 5)]
    assert [len(one) for one in found] == [32, 32, 5]
    assert found[0] != found[1]


def test_the_client_sends_no_languages(alone: SyncthingClient) -> None:
    """Syncthing therefore returns one language without a name."""
    assert alone.get_languages() == [""]


def test_the_usage_report_is_shown(alone: SyncthingClient) -> None:
    """The report belongs to this instance and has the requested format."""
    report = alone.get_report(2)
    assert (report["version"], report["urVersion"]) == (alone.get_version()["version"], 2)
    assert alone.get_report()["urVersion"] == 3
    assert report["numDevices"] == 1


def test_directories_of_the_machine_are_listed(alone: SyncthingClient, tmp_path: Path) -> None:
    """A path with a slash at its end lists the directories in it. A missing directory gives an empty list."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert [path.rstrip("/") for path in alone.browse_directories(f"{tmp_path}/")] == [
        f"{tmp_path}/one",
        f"{tmp_path}/two",
    ]
    assert alone.browse_directories(f"{tmp_path}/three") == []
    assert alone.browse_directories() == ["/"]


# --- the configuration


def test_the_configuration_can_be_replaced_and_changed_in_parts(alone: SyncthingClient) -> None:
    """A read returns what was written. A patch changes only the given keys."""
    before = alone.get_config()
    alone.new_config({**before, "options": {**before["options"], "maxSendKbps": 1234}})
    alone.patch_config("options", {"maxRecvKbps": 5678})
    options = alone.get_config()["options"]
    assert (options["maxSendKbps"], options["maxRecvKbps"]) == (1234, 5678)
    alone.new_config(before)
    assert alone.get_config()["options"] == before["options"]


def test_the_patterns_of_new_folders_can_be_set(alone: SyncthingClient) -> None:
    """They are part of the defaults."""
    alone.new_default_ignores({"lines": ["*.tmp"]})
    assert alone.get_config()["defaults"]["ignores"]["lines"] == ["*.tmp"]
    alone.new_default_ignores({"lines": []})


def test_folders_and_devices_are_added_and_changed(alone: SyncthingClient, pair: Pair, tmp_path: Path) -> None:
    """A folder may have any ID, even one with a slash. New folders and devices start with the defaults."""
    alone.add_device({**alone.get_device_defaults(), "deviceID": pair.b.device_id, "name": "beta", "paused": True})
    alone.patch_device(pair.b.device_id, {"name": "other"})
    for folder in ("plain", ODD_FOLDER):
        path = tmp_path / ("plain" if folder == "plain" else "odd")
        alone.add_folder({**alone.get_folder_defaults(), "id": folder, "path": str(path), "paused": True})
        alone.patch_folder(folder, {"label": "Other"})
    config = alone.get_config()
    assert {device["deviceID"]: device["name"] for device in config["devices"]}[pair.b.device_id] == "other"
    added = {folder["id"]: folder for folder in config["folders"]}
    assert [added[folder]["label"] for folder in ("plain", ODD_FOLDER)] == ["Other", "Other"]
    assert all(added[folder]["rescanIntervalS"] == 3600 and added[folder]["paused"] for folder in added)
    alone.new_config(
        {**config, "folders": [], "devices": [one for one in config["devices"] if one["deviceID"] != pair.b.device_id]}
    )


PARTS = ("options", "gui", "ldap", "defaults/folder", "defaults/device", "defaults/ignores")
PATCHES: dict[str, dict[str, Any]] = {
    "options": {"maxSendKbps": 77},
    "gui": {"theme": "dark"},
    "ldap": {"address": "ldap.lan:389"},
    "defaults/folder": {"rescanIntervalS": 77},
    "defaults/device": {"maxSendKbps": 77},
    "defaults/ignores": {"lines": ["*.tmp"]},
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_configuration_is_read_and_replaced(
    alone: SyncthingClient, node: SyncthingNode, part: str
) -> None:
    """A read returns what was written, and the other parts stay unchanged."""
    before = _once_up(alone.get_config)
    changed = _once_up(lambda: alone.get_config_part(part)) | PATCHES[part]
    with _changed(node, part):
        assert _once_up(lambda: alone.new_config_part(part, changed)) == completed()
    assert _once_up(lambda: alone.get_config_part(part)) == changed
    others = set(PARTS) - {part}
    with _changed(node, part):
        _once_up(lambda: alone.new_config(before))
    assert {one: _once_up(partial(alone.get_config_part, one)) for one in others} == {
        one: _part(before, one) for one in others
    }


def _changed(node: SyncthingNode, part: str) -> AbstractContextManager[None]:
    """Wait for what Syncthing does after a change of this part."""
    return listens_again(node) if part == "gui" else nullcontext()


def _once_up(call: Callable[[], Any]) -> Any:
    """Repeat a call until Syncthing listens: 1.19 sometimes opens its listener twice after a change."""

    def attempt() -> list[Any]:
        try:
            return [call()]
        except Unreachable:
            return []

    return eventually(attempt)[0]


def _part(config: dict[str, Any], part: str) -> Any:
    for key in part.split("/"):
        config = config[key]
    return config


@pytest.mark.parametrize("part", [part for part in PARTS if part != "defaults/ignores"])
def test_keys_of_a_part_are_changed(alone: SyncthingClient, node: SyncthingNode, part: str) -> None:
    """A patch changes only the given keys."""
    before = _once_up(lambda: alone.get_config_part(part))
    with _changed(node, part):
        assert _once_up(lambda: alone.patch_config(part, PATCHES[part])) == completed()
    assert _once_up(lambda: alone.get_config_part(part)) == before | PATCHES[part]
    with _changed(node, part):
        _once_up(lambda: alone.new_config_part(part, before))


def test_an_unknown_part_is_unsupported(alone: SyncthingClient) -> None:
    """A misspelled name is an error, not a success."""
    for call in (
        lambda: alone.get_config_part("option"),
        lambda: alone.new_config_part("option", {}),
        lambda: alone.patch_config("option", {}),
    ):
        with pytest.raises(Unsupported):
            call()


def test_folders_and_devices_are_removed(alone: SyncthingClient, pair: Pair, tmp_path: Path) -> None:
    """Other folders, other devices and all files stay. Removing twice is no error, but an invalid device ID is one."""
    (tmp_path / "kept.txt").write_text("kept", encoding="utf-8")
    alone.add_device({"deviceID": pair.b.device_id, "name": "beta"})
    for folder in ("plain", ODD_FOLDER, "other"):
        alone.add_folder({"id": folder, "path": str(tmp_path), "paused": True})
    for folder in ("plain", ODD_FOLDER, "plain", ODD_FOLDER):
        assert alone.remove_folder(folder) == completed()
    assert [folder["id"] for folder in alone.get_config()["folders"]] == ["other"]
    alone.remove_folder("other")
    for _ in range(2):
        assert alone.remove_device(pair.b.device_id) == completed()
    assert [device["name"] for device in alone.get_config()["devices"]] == ["node"]
    with pytest.raises(Rejected, match="device ID invalid"):
        alone.remove_device("abc")
    assert (tmp_path / "kept.txt").read_text(encoding="utf-8") == "kept"


# --- folders


def test_old_versions_are_listed_and_restored(pair: Pair, alpha: SyncthingClient, connect: Connect) -> None:
    """Node b keeps the version of a file that node a replaces, and restores it."""
    beta = client_of(pair.b, connect)
    with pytest.raises(Rejected, match="folder has no versioner"):
        beta.get_versions("docs")
    with pytest.raises(Rejected, match="folder has no versioner"):
        beta.restore_versions("docs", {"a": "2026-11-23T20:14:05Z"})
    beta.patch_folder("docs", {"versioning": {"type": "simple", "params": {"keep": "5"}}})
    theirs = pair.b_files / "docs/versioned.txt"
    for content in (b"old", b"newer"):
        pair.write("versioned.txt", content)
        alpha.scan("docs")
        eventually(partial(holds, theirs, content))
    [version] = beta.get_versions("docs")["versioned.txt"]
    assert version["size"] == len(b"old")
    unknown = beta.restore_versions("docs", {"nothing.txt": version["versionTime"]})
    assert "version not found" in unknown["nothing.txt"]
    # Syncthing names versions by the second: within the same second, the replaced file would overwrite this version
    replaced_at = datetime.fromisoformat(version["versionTime"])
    eventually(lambda: datetime.now(UTC) - replaced_at > timedelta(seconds=1))
    assert beta.restore_versions("docs", {"versioned.txt": version["versionTime"]}) == {}
    assert theirs.read_bytes() == b"old"
    beta.patch_folder("docs", {"versioning": {"type": ""}})
    eventually(partial(holds, pair.a_files / "docs/versioned.txt", b"old"))
    eventually(lambda: pair.a.is_idle("docs") and pair.b.is_idle("docs"))


def test_changes_of_files_are_disk_events(pair: Pair, alpha: SyncthingClient) -> None:
    """They are in order. There are none after the last one, and `limit` keeps the newest."""
    for name in ("event-one.txt", "event-two.txt"):
        pair.write(name)
        alpha.scan("docs", name)
    events: list[dict[str, Any]] = []

    def reported() -> bool:
        events[:] = alpha.get_disk_events(0, timeout_s=1)
        return len(events) > 1 and events[-1]["data"]["path"] == "event-two.txt"

    eventually(reported)
    assert [event["data"]["path"] for event in events[-2:]] == ["event-one.txt", "event-two.txt"]
    assert {event["type"] for event in events[-2:]} == {"LocalChangeDetected"}
    assert alpha.get_disk_events(events[-1]["id"], timeout_s=0) == []
    assert [event["id"] for event in alpha.get_disk_events(0, limit=1, timeout_s=0)] == [events[-1]["id"]]


def test_a_scan_returns_when_it_has_finished(pair: Pair, alpha: SyncthingClient) -> None:
    """Files from before the scan are in the index afterwards. One scan may cover several paths."""
    for name in ("scanned/one.txt", "scanned/two.txt", "whole.txt"):
        pair.write(name)
    alpha.scan("docs", ["scanned/one.txt", "scanned/two.txt"])
    for name in ("scanned/one.txt", "scanned/two.txt"):
        assert alpha.get_file("docs", name)["local"]["name"] == name
    alpha.scan(next_s=3600)
    alpha.scan("docs", "whole.txt")
    assert alpha.get_file("docs", "whole.txt")["local"]["deleted"] is False


def test_the_tree_of_a_folder_can_be_browsed(pair: Pair, alpha: SyncthingClient) -> None:
    """The call returns the whole tree, its top level, or a subdirectory."""
    pair.write("browsed/deep/file.txt")
    alpha.scan("docs", "browsed")
    (top,) = [one for one in alpha.browse_database("docs", levels=0) if one["name"] == "browsed"]
    assert not top.get("children")
    (deep,) = alpha.browse_database("docs", prefix="browsed")
    assert (deep["name"], [one["name"] for one in deep["children"]]) == ("deep", ["file.txt"])


def test_ignore_patterns_are_replaced(alpha: SyncthingClient) -> None:
    """A read returns the written patterns. An empty list removes all patterns."""
    assert alpha.new_ignores("docs", ["*.ignored", "// a comment"])["ignore"] == ["*.ignored", "// a comment"]
    assert alpha.get_ignores("docs")["ignore"] == ["*.ignored", "// a comment"]
    alpha.new_ignores("docs", [])
    assert not alpha.get_ignores("docs")["ignore"]


def test_a_file_can_be_moved_to_the_front(alpha: SyncthingClient) -> None:
    """The answer contains the needed files. A file that is not needed has no effect."""
    assert {"progress", "queued", "rest"} <= set(alpha.assign_priority("docs", "nothing.txt"))


def test_local_changes_of_a_receive_only_folder_are_reverted(
    node: SyncthingNode, alone: SyncthingClient, tmp_path: Path
) -> None:
    """A file that was added to a receive-only folder is listed, and `revert` deletes it."""
    node.share("inbox", tmp_path, type="receiveonly")
    added = tmp_path / "added.txt"
    added.write_text("added", encoding="utf-8")
    alone.scan("inbox")
    assert [file["name"] for file in alone.get_local_changes("inbox")["files"]] == ["added.txt"]
    alone.revert("inbox")
    eventually(lambda: not added.exists() and not alone.get_local_changes("inbox")["files"])
    node.request("DELETE", "/rest/config/folders/inbox")


def test_changes_made_on_other_devices_are_overridden(pair: Pair, alpha: SyncthingClient) -> None:
    """In a send-only folder, `override` makes the version of this device win."""
    file = pair.write("overridden.txt", b"ours")
    theirs = pair.b_files / "docs/overridden.txt"
    eventually(lambda: content_of(theirs) == b"ours")
    alpha.patch_folder("docs", {"type": "sendonly"})
    theirs.write_bytes(b"theirs")
    pair.b.request("POST", "/rest/db/scan", {"folder": "docs"})
    eventually(lambda: names_of(alpha.get_need("docs")) == ["overridden.txt"])
    alpha.override("docs")
    eventually(lambda: content_of(theirs) == b"ours")
    assert content_of(file) == b"ours"
    alpha.patch_folder("docs", {"type": "sendreceive"})
    eventually(lambda: pair.a.is_idle("docs"))


def holds(file: Path, content: bytes) -> bool:
    """Return whether a file has this content."""
    return content_of(file) == content


def content_of(file: Path) -> bytes | None:
    """Return the content of a file, or None while it is missing because it is being replaced."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def names_of(need: dict[str, Any]) -> list[str]:
    """Return the names of the needed files."""
    return [file["name"] for kind in ("progress", "queued", "rest") for file in need[kind] or ()]


# --- devices


def test_devices_are_paused_and_resumed(pair: Pair, alpha: SyncthingClient) -> None:
    """The call affects one device, or all of them."""

    def paused() -> bool:
        state: bool = alpha.get_connections()["connections"][pair.b.device_id]["paused"]
        return state

    for device in (pair.b.device_id, None):
        alpha.pause_device(device)
        eventually(paused)
        alpha.resume_device(device)
        eventually(lambda: not paused())
    eventually(lambda: pair.a.is_connected(pair.b))


def test_pending_devices_and_folders_are_dismissed(
    pair: Pair, alpha: SyncthingClient, node: SyncthingNode, tmp_path: Path
) -> None:
    """An unknown device is pending, and when it is added, its folder is pending. Both can be dismissed."""

    def device_is_dismissed() -> bool:  # a connection that began before the pause may make it pending again
        alpha.dismiss_pending_device(node.device_id)
        return node.device_id not in alpha.get_pending_devices()

    def folder_is_dismissed(device: str | None) -> bool:
        alpha.dismiss_pending_folder("offered", device)
        return "offered" not in alpha.get_pending_folders()

    address = f"tcp://127.0.0.1:{pair.a.sync_port}"
    body = {"deviceID": pair.a.device_id, "name": "alpha", "addresses": [address]}
    node.request("POST", "/rest/config/devices", body=body)
    eventually(lambda: node.device_id in alpha.get_pending_devices())
    node.request("POST", "/rest/system/pause")
    eventually(device_is_dismissed)

    node.share("offered", tmp_path, devices=[pair.a])
    alpha.add_device({"deviceID": node.device_id, "name": "node", "addresses": ["dynamic"]})
    node.request("POST", "/rest/system/resume")
    eventually(lambda: "offered" in alpha.get_pending_folders(node.device_id))
    node.request("POST", "/rest/system/pause")
    for device in (node.device_id, None):
        eventually(partial(folder_is_dismissed, device))

    node.request("DELETE", "/rest/config/folders/offered")
    node.request("DELETE", f"/rest/config/devices/{pair.a.device_id}")
    pair.a.request("DELETE", f"/rest/config/devices/{node.device_id}")


# --- the process


def test_a_restart_a_reset_and_a_shutdown(expendable: SyncthingNode, connect: Connect, tmp_path: Path) -> None:
    """After a restart or a reset, another process answers. After a shutdown, no process answers."""
    client = client_of(expendable, connect)
    started_at = client.get_status()["startTime"]
    client.restart()
    client.wait_for_restart(started_at, 60)

    expendable.share("docs", tmp_path / "docs", paused=True)
    started_at = client.get_status()["startTime"]
    client.reset("docs")
    client.wait_for_restart(started_at, 60)

    client.shutdown()
    eventually(lambda: not expendable.running)
    with pytest.raises(Unreachable) as raised:
        client.get_ping()
    assert not raised.value.may_have_run


# --- access


def test_a_wrong_key_is_unauthorized(expendable: SyncthingNode, connect: Connect) -> None:
    """The answer differs by version, and again if the GUI has a password."""
    wrong = connect(expendable.url, "not-the-real-key")
    with pytest.raises(Unauthorized, match=r"^api_key: "):
        wrong.get_ping()
    change_gui(expendable, user="ann", password="secret")
    with pytest.raises(Unauthorized, match=r"^api_key: "):
        wrong.get_ping()


def test_a_missing_key_is_reported(node: SyncthingNode, connect: Connect) -> None:
    """The message differs from that for a wrong key."""
    with pytest.raises(Unauthorized, match=r"^api_key: no API key is set"):
        connect(node.url, "").get_ping()


@pytest.mark.parametrize(
    ("scheme", "verify"), [("https", "off"), ("https", "system"), ("https", f"sha256:{'ab' * 32}"), ("http", "system")]
)
def test_the_sync_port_of_syncthing_is_recognized(
    pair: Pair, connect: Connect, monkeypatch: pytest.MonkeyPatch, scheme: str, verify: str
) -> None:
    """Users confuse the two ports. With https the sync port is recognized on any port, with http on the default one."""
    [address] = pair.a.request("GET", "/rest/config/options")["listenAddresses"]
    port = int(address.rsplit(":", 1)[-1])
    if scheme == "http":
        monkeypatch.setattr(transport, "SYNC_PORT", port)
    with pytest.raises(NotSyncthing, match=r"is the sync port of Syncthing. The GUI is usually on port 8384"):
        connect(f"{scheme}://127.0.0.1:{port}", pair.a.api_key, verify=verify).get_ping()


def test_a_host_name_other_than_loopback_is_refused(
    node: SyncthingNode, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GUI that listens on loopback accepts only host names of loopback, even if the key is right."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *more, **named: resolve("127.0.0.1", *more, **named))
    with pytest.raises(HostCheckFailed, match="insecureSkipHostcheck"):
        connect(f"http://nas:{node.gui_port}", node.api_key).get_ping()


def test_a_gui_with_tls_needs_https(expendable: SyncthingNode, connect: Connect) -> None:
    """Plain HTTP is redirected to https for every method, and https uses Syncthing's own certificate."""
    plain = client_of(expendable, connect)
    with suppress(Unreachable, TlsFailure):  # as below
        plain.patch_config("gui", {"useTLS": True})
    secure = connect(
        expendable.url.replace("http:", "https:"), expendable.api_key, verify=str(expendable.home / "https-cert.pem")
    )
    eventually(lambda: is_up(secure))
    for call in (plain.get_ping, plain.clear_errors):
        with pytest.raises(TlsFailure, match="Use https://"):
            call()


def test_a_gui_on_a_unix_socket_is_reached(expendable: SyncthingNode, connect: Connect, tmp_path: Path) -> None:
    """Syncthing may listen on a unix socket instead of a port."""
    path = tmp_path / "gui.sock"
    with suppress(Unreachable):  # the listener restarts, sometimes before it has answered
        client_of(expendable, connect).patch_config("gui", {"address": str(path)})
    client = connect(f"unix://{path}", expendable.api_key)
    eventually(lambda: is_up(client))
    assert client.get_status()["myID"] == expendable.device_id
