"""The blueprints that control Syncthing, imported into a real Home Assistant and run there."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from tests.documents import ROOT
from tests.homeassistant.blueprints import BLUEPRINTS, Automation, Phone, now, phone, remembered
from tests.homeassistant.conftest import ODD_FOLDER, House, variables
from tests.servers import BridgeProcess, Subscriber, eventually, manifest

PAGE = ROOT / "docs/home-assistant.md"
GAMING = "input_boolean.gaming"


def test_every_blueprint_is_valid_and_in_the_documents(house: House) -> None:
    """Home Assistant accepts each blueprint without an error, and the page has a link that imports it."""
    page = PAGE.read_text("utf-8")
    for name, path in BLUEPRINTS.items():
        house.hass.ask("blueprint/save", domain="automation", path=f"check/{name}.yaml", yaml=path.read_text("utf-8"))
    found = house.hass.ask("blueprint/list", domain="automation")
    for name in BLUEPRINTS:
        imported = found[f"check/{name}.yaml"]
        assert "error" not in imported
        source = imported["metadata"]["source_url"]
        assert source.endswith(f"/examples/home-assistant/blueprints/{name}.yaml")
        assert f"blueprint_import/?blueprint_url={quote(source, safe='')})" in page, name


@pytest.fixture
def subscriber(house: House) -> Iterator[Subscriber]:
    """Return an MQTT client that receives all messages of the broker."""
    one = Subscriber(house.broker.port)
    yield one
    one.close()


@pytest.fixture
def gaming(house: House) -> Iterator[Callable[[str], None]]:
    """Return a function that turns the helper on or off; turn it off afterwards, and resume everything."""

    def turn(state: str) -> None:
        house.hass.act(f"input_boolean.turn_{state}", GAMING)

    yield turn
    turn("off")
    node = house.nodes[0]
    for kind in ("folders", "devices"):
        for one in node.request("GET", f"/rest/config/{kind}"):
            node.request("POST", f"/rest/config/{kind}", body={**one, "paused": False})
    eventually(lambda: not _paused(house))


def _paused(house: House) -> set[str]:
    """Return the IDs of the paused folders, and the short IDs of the paused devices."""
    config = house.nodes[0].request("GET", "/rest/config")
    folders = {one["id"] for one in config["folders"] if one["paused"]}
    return folders | {short_id(one["deviceID"]) for one in config["devices"] if one["paused"]}


def _switch(house: House, kind: str, identifier: str) -> str:
    return house.entity_id(f"{house.subject(kind, identifier).object_id}_paused")


def _paused_is(house: House, *expected: str) -> None:
    eventually(lambda: _paused(house) == set(expected), 60)


def _published_as_paused(house: House, folder: str) -> None:
    """Wait until the topic shows that a folder is paused, because automations read the topic."""
    eventually(lambda: house.retained()[f"syncthing/nas/folder/{folder}"]["paused"])


def test_only_what_the_automation_paused_is_resumed(
    house: House, automate: Callable[..., Automation], gaming: Callable[[str], None]
) -> None:
    """What somebody pauses before or meanwhile stays paused, and what somebody resumes meanwhile stays resumed."""
    absent = short_id(house.subject("device", "AIR6LPZ").id)
    switches = [_switch(house, "folder", one) for one in ("docs", ODD_FOLDER, "inbox")]
    inbox = switches[2]
    house.hass.act("switch.turn_on", inbox)
    _published_as_paused(house, "inbox")
    automate("pause_while_on", paused=[*switches, _switch(house, "device", "AIR6LPZ")], while_on=GAMING, duration=30)
    gaming("on")
    _paused_is(house, "inbox", "docs", ODD_FOLDER, absent)
    house.hass.act("switch.turn_on", switches[0])
    eventually(lambda: house.retained()["syncthing/nas/folder/docs"]["resume_at"] is None)
    house.hass.act("switch.turn_off", switches[1])
    _paused_is(house, "inbox", "docs", absent)
    ends = house.retained()[f"syncthing/nas/device/{absent}"]["resume_at"]
    eventually(lambda: house.retained()[f"syncthing/nas/device/{absent}"]["resume_at"] > ends)
    assert _paused(house) == {"inbox", "docs", absent}
    gaming("off")
    _paused_is(house, "inbox", "docs")


@pytest.mark.timeout(300)
def test_restarts_do_not_change_what_is_resumed(
    house: House, automate: Callable[..., Automation], gaming: Callable[[str], None]
) -> None:
    """The bridge resumes a folder if Home Assistant stops, and a start of Home Assistant resumes nothing else."""
    automation = automate(
        "pause_while_on",
        paused=[_switch(house, "folder", "docs"), _switch(house, "folder", "inbox")],
        while_on=GAMING,
        duration=20,
    )
    since = now()
    house.nodes[0].request("PATCH", "/rest/config/folders/inbox", body={"paused": True})
    _published_as_paused(house, "inbox")
    gaming("on")
    _paused_is(house, "docs", "inbox")
    house.bridge.stop()
    house.bridge.start()
    house.hass.stop()
    _paused_is(house, "inbox")
    house.hass.start()
    _paused_is(house, "docs", "inbox")
    gaming("off")
    _paused_is(house, "inbox")
    house.hass.stop()
    since = now()
    house.hass.start()
    automation.settle(since)
    assert _paused(house) == {"inbox"}


@pytest.mark.timeout(300)
def test_limits_are_restored(
    house: House,
    automate: Callable[..., Automation],
    gaming: Callable[[str], None],
    subscriber: Subscriber,
    todo: str,
) -> None:
    """The limits that were set before are restored, also over a restart of the bridge; those set meanwhile stay."""
    topic = "syncthing/nas/command/set_limits"
    subscriber.publish(topic, '{"send_kbps": 300, "recv_kbps": 0}')
    try:
        eventually(lambda: house.retained()["syncthing/nas/system"]["max_send_kbps"] == 300)
        assert _limits(house) == (300, 0)
        limit = automate("limit_while_on", instance="nas", while_on=GAMING, send=100, receive=50, list=todo)
        gaming("on")
        eventually(lambda: _limits(house) == (100, 50))
        since = now()
        house.bridge.stop()
        house.bridge.start()
        limit.settle(since)
        assert _limits(house) == (100, 50)
        gaming("off")
        eventually(lambda: _limits(house) == (300, 0))
        eventually(lambda: not remembered(house.hass, todo))
        gaming("on")
        eventually(lambda: _limits(house) == (100, 50))
        subscriber.publish(topic, '{"send_kbps": 777}')
        eventually(lambda: house.retained()["syncthing/nas/system"]["max_send_kbps"] == 777)
        since = now()
        gaming("off")
        limit.settle(since)
        assert _limits(house) == (777, 50)
        assert not remembered(house.hass, todo)
    finally:
        subscriber.publish(topic, '{"send_kbps": 0, "recv_kbps": 0}')
        eventually(lambda: _limits(house) == (0, 0))


def _limits(house: House) -> tuple[int, int]:
    """Return the limits of Syncthing's configuration."""
    options = house.nodes[0].request("GET", "/rest/config/options")
    return options["maxSendKbps"], options["maxRecvKbps"]


def _soon() -> str:
    """Return a time of the day in some seconds: the automation must exist by then."""
    return (now() + timedelta(seconds=15)).strftime("%H:%M:%S")


def test_a_scan_starts_at_a_time(house: House, automate: Callable[..., Automation], subscriber: Subscriber) -> None:
    """The buttons of a folder and of the instance both work."""
    buttons = [house.subject("folder", "docs").object_id + "_scan", house.subject("system").object_id + "_scan_all"]
    since = subscriber.count
    automate("scan_nightly", scan=[house.entity_id(one) for one in buttons], at=_soon())
    for arguments in ("docs", "all"):
        subscriber.wait_for(partial(_is_scan_of, arguments), since=since)
        subscriber.wait_for_json(
            "syncthing/nas/response/scan", lambda one: one["status"] in ("ok", "accepted"), since=since
        )


def _is_scan_of(what: str, message: Any) -> bool:
    return message.topic == "syncthing/nas/command/scan" and what in message.payload.decode()


def test_a_scan_starts_after_a_backup(
    house: House, automate: Callable[..., Automation], gaming: Callable[[str], None], subscriber: Subscriber
) -> None:
    """Only the states that mean "finished" start it."""
    scan = house.entity_id(house.subject("folder", "docs").object_id + "_scan")
    automate("scan_after_backup", backup=GAMING, states=["off"], scan=[scan])
    since = subscriber.count
    gaming("on")
    gaming("off")
    subscriber.wait_for_json("syncthing/nas/response/scan", since=since)
    assert sum(_is_scan_of("docs", one) for one in subscriber.messages[since:]) == 1


@pytest.fixture
def handset(house: House) -> Iterator[Phone]:
    """A phone with Home Assistant's app."""
    with phone(house.hass) as one:
        yield one


@pytest.mark.timeout(300)
def test_a_request_is_answered_on_the_phone(
    house: House, automate: Callable[..., Automation], handset: Phone, subscriber: Subscriber
) -> None:
    """The buttons of the notification accept and dismiss a device and a folder, if the bridge allows it."""
    a = house.nodes[0]
    c = SyncthingNode("gamma", house.directory / "c/home", list(manifest()["syncthing"].values())[-1])
    a.request("PATCH", "/rest/config/defaults/folder", body={"path": str(house.directory / "alpha")})
    automate("accept_request", phone=handset.device_id)
    c.start()
    try:
        known = {"deviceID": a.device_id, "name": "alpha", "addresses": [f"tcp://127.0.0.1:{a.sync_port}"]}
        c.request("POST", "/rest/config/devices", body=known)
        asked = handset.wait_for(c.device_id)
        assert asked["title"] == "Syncthing nas: pending device"
        accept = asked["data"]["actions"][0]["action"]
        handset.press(accept)
        handset.wait_for("commands.allow")
        house.bridge.stop()
        allow = '["read", "operate", "accept_device", "dismiss_folder", "accept_folder"]'
        other = BridgeProcess(house.directory, variables(house.broker, a, STBRIDGE_COMMANDS__ALLOW=allow)).start()
        try:
            subscriber.wait_for_payload("syncthing/nas/state", b"online", since=subscriber.count)
            handset.press(accept)
            handset.wait_for("Done.")
            assert c.device_id in {one["deviceID"] for one in a.request("GET", "/rest/config/devices")}
            c.share("offered|{{ 1 }}", house.directory / "c/offered", label="Offered", devices=[a])
            offered = handset.wait_for("offers the folder Offered")
            handset.press(offered["data"]["actions"][1]["action"])
            eventually(lambda: sum(one["message"] == "Done." for one in handset.received) == 2)
            c.share("taken", house.directory / "c/taken", label="Taken", devices=[a])
            offered = handset.wait_for("offers the folder Taken")
            handset.press(offered["data"]["actions"][0]["action"])
            eventually(lambda: sum(one["message"] == "Done." for one in handset.received) == 3)
            assert "taken" in {one["id"] for one in a.request("GET", "/rest/config/folders")}
        finally:
            other.stop()
            c.stop()  # before it is removed, because it would connect again and be pending
            a.request("DELETE", "/rest/config/folders/taken")
            a.request("DELETE", f"/rest/config/devices/{c.device_id}")
            house.bridge.start()
            eventually(lambda: set(house.hass.devices()) == {one.object_id for one in house.subjects()}, 60)
    finally:
        c.stop()
