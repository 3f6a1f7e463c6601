"""The example flows work as described in a real Node-RED, with a real bridge and a real Syncthing instance."""

import json
from contextlib import suppress
from typing import Any

import pytest
import requests

from tests.nodered.conftest import House
from tests.nodered.server import BROKER, EXAMPLES, flow
from tests.servers import PATIENCE_S, eventually

FLOWS = sorted(one.name for one in EXAMPLES.glob("*.json"))
PROBLEM = {"code": "folder_error", "message": "its marker is missing", "folder": "photos", "label": "Photos"}
CONFLICT = {"path": "a.sync-conflict-20261123-201405-VW2PZWG.jpg", "folder": "photos", "label": "Photos"}


def nodes_of(house: House, modules: set[str]) -> set[str]:
    """Return the node types that these modules contain."""
    answer = requests.get(f"{house.node_red.url}/nodes", headers={"Accept": "application/json"}, timeout=PATIENCE_S)
    return {kind for one in answer.json() if one["module"] in modules for kind in one["types"]}


def photos(house: House) -> Any:
    """Return Syncthing's configuration of the folder."""
    return house.syncthing.request("GET", "/rest/config/folders/photos")


def is_scanned(house: House, file: str) -> bool:
    """Return whether Syncthing knows a file; before that, it answers 404."""
    with suppress(OSError):
        found = house.syncthing.request("GET", "/rest/db/file", {"folder": "photos", "file": file})
        return bool(found["local"]["size"])
    return False


def pressed(house: House) -> requests.Response:
    """Press the button by an HTTP request."""
    return requests.post(f"{house.node_red.url}/syncthing/scan", timeout=2 * PATIENCE_S)


# --- all of them


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_can_be_imported_beside_the_others(house: House, name: str) -> None:
    """A flow consists of core nodes and those of the modules that it names, with unique IDs; all share one broker."""
    nodes = flow(name)
    named = {module for node in nodes for module in node.get("modules", {})}
    assert named == ({"@flowfuse/node-red-dashboard"} if name == "dashboard.json" else set())
    assert {node["type"] for node in nodes} <= nodes_of(house, {"node-red"} | named) | {"tab"}
    (tab,) = [node for node in nodes if node["type"] == "tab"]
    assert tab["info"]
    assert [node["id"] for node in nodes if node["type"] == BROKER] == ["stbridge-broker"]
    assert all(node["id"].startswith(f"{tab['id']}-") for node in nodes if "z" in node)


def test_node_red_logs_no_error_about_the_flows(house: House) -> None:
    """Node-RED logs no error and no unknown node."""
    log = house.node_red.log.read_text(encoding="utf-8")
    assert "[error]" not in log
    assert "unknown" not in log


# --- alerts


@pytest.mark.parametrize(
    ("event", "payload", "alert"),
    [
        ("conflict", CONFLICT, f"nas: Photos: conflict: {CONFLICT['path']}"),
        ("problem_raised", PROBLEM, "nas: Photos: its marker is missing"),
        ("problem_cleared", PROBLEM, "nas: Photos: over: its marker is missing"),
        ("problem_raised", {"code": "no_listener", "message": "no address works"}, "nas: no address works"),
    ],
)
def test_a_conflict_and_a_problem_become_a_line_of_text(
    house: House, event: str, payload: dict[str, str], alert: str
) -> None:
    """The alert names the instance, the folder and the problem or conflict of the event."""
    since = house.subscriber.count
    content = json.dumps({"event_type": event, "time": "2026-11-23T20:14:05.000Z", **payload})
    house.subscriber.publish(f"syncthing/nas/event/{event}", content)
    house.subscriber.wait_for_payload("alerts/syncthing", alert.encode(), since=since)


# --- pause while streaming


def test_a_folder_is_paused_while_something_plays(house: House) -> None:
    """Syncthing pauses the folder for at most six hours, and resumes it when the player stops."""
    since = house.subscriber.count
    house.subscriber.publish("home/tv/state", "playing")
    house.subscriber.wait_for_json("syncthing/nas/folder/photos", lambda one: one["resume_at"], since=since)
    assert photos(house)["paused"] is True
    house.subscriber.publish("home/tv/state", "idle")
    house.subscriber.wait_for_json("syncthing/nas/response/resume", since=since)
    assert photos(house)["paused"] is False


def test_a_folder_that_somebody_else_paused_is_left_alone(house: House) -> None:
    """A player that stops resumes only a folder that it has paused, and repeated states change nothing."""
    since = house.subscriber.count
    for state in ("idle", "playing", "playing", "off", "idle"):
        house.subscriber.publish("home/tv/state", state)
    house.subscriber.wait_for_json("syncthing/nas/response/resume", since=since)
    sent = [one.topic for one in house.subscriber.messages[since:] if "/command/" in one.topic]
    assert sent == ["syncthing/nas/command/pause", "syncthing/nas/command/resume"]


# --- scan button


def test_the_button_gets_the_reply_to_its_own_scan(house: House) -> None:
    """The HTTP response contains the bridge's reply, and Syncthing has scanned the folder."""
    since = house.subscriber.count
    (house.photos / "unseen.jpg").write_bytes(b"a photo")
    answer = pressed(house)
    eventually(lambda: is_scanned(house, "unseen.jpg"))
    assert answer.status_code == requests.codes.ok
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["command"] == "scan"
    assert answer.json()["status"] in ("ok", "accepted")  # "accepted" if it takes more than two seconds
    command = house.subscriber.wait_for(lambda one: one.topic == "syncthing/nas/command/scan", since=since)
    assert json.loads(command.payload) == {"folder": "photos"}
    assert command.properties is not None
    assert command.properties.ResponseTopic == "answers/node-red"  # type: ignore[attr-defined]  # paho sets it


def test_a_refused_scan_is_an_http_error(house: House) -> None:
    """An error in the reply becomes an HTTP error with the reason."""
    house.syncthing.request("PATCH", "/rest/config/folders/photos", body={"paused": True})
    house.subscriber.wait_for_json("syncthing/nas/folder/photos", lambda one: one["paused"])
    try:
        answer = pressed(house)
    finally:
        house.syncthing.request("PATCH", "/rest/config/folders/photos", body={"paused": False})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "not_applicable")
