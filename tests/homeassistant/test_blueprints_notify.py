"""The blueprints that notify, imported into a real Home Assistant and run there."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import yaml

from stbridge.core.problems import ROWS
from tests.homeassistant.blueprints import BLUEPRINTS, Automation, Notices, Shop, now, publishes, remembered
from tests.homeassistant.conftest import TEMPLATE, House
from tests.servers import eventually

NOTIFY = publishes("notify")
SOLVED = publishes("solved")
SECOND = {"seconds": 1}

CONFLICT = {
    "code": "conflicts",
    "folder": "photos",
    "label": "Photos",
    "message": "1 conflict file, such as letter.sync-conflict-20261125-120000-ABCDEFG.txt",
    "since": "2026-11-25T12:00:00Z",
}
UNSEEN = {
    "code": "unseen",
    "device": "EVH5XCK",
    "name": "phone",
    "message": "the device is not connected",
    "since": "2026-11-20T12:00:00Z",
}
RESTART = {"code": "restart_required", "message": "a configuration change\nnow", "since": "2026-11-25T13:00:00Z"}


@pytest.fixture
def shop(notices: Notices) -> Iterator[Shop]:
    """Return an instance that does not exist, and that is online."""
    one = Shop(notices.client)
    one.come_online()
    yield one
    one.vanish()


@pytest.fixture
def problems(automate: Callable[..., Automation], todo: str) -> Automation:
    """Return an automation that notifies about problems of the instance that does not exist."""
    return automate(
        "notify_problem",
        list=todo,
        instance="shop",
        duration=SECOND,
        again={"seconds": 3},
        notify=NOTIFY,
        solved=SOLVED,
    )


@pytest.fixture
def empty(house: House, todo: str) -> Iterator[None]:
    """Empty the to-do list afterwards."""
    yield
    for item in remembered(house.hass, todo):
        house.hass.act("todo.remove_item", todo, item=item["uid"])


def test_the_fixes_are_those_of_the_documentation() -> None:
    """The blueprint has the fix of every problem."""
    text = BLUEPRINTS["notify_problem"].read_text("utf-8").replace("!input", "")
    assert yaml.safe_load(text)["variables"]["fixes"] == {row.code: row.fix for row in ROWS}


@pytest.mark.usefixtures("empty")
def test_every_problem_notifies_once(
    house: House, problems: Automation, shop: Shop, notices: Notices, todo: str
) -> None:
    """A problem notifies also while others exist, and not again when the bridge connects again."""
    shop.raise_problem(UNSEEN)
    eventually(lambda: notices.titles() == ["Syncthing shop: phone"])
    shop.raise_problem(CONFLICT)
    eventually(lambda: notices.titles()[1:] == ["Syncthing shop: Photos"])
    shop.raise_problem(RESTART)
    eventually(lambda: notices.titles()[2:] == ["Syncthing shop"])
    assert notices.message("Syncthing shop: Photos").splitlines() == [
        CONFLICT["message"],
        "Compare each conflict file with its original, then delete it.",
    ]
    assert [item["summary"] for item in remembered(house.hass, todo)] == [
        "Syncthing shop: phone: the device is not connected",
        f"Syncthing shop: Photos: {CONFLICT['message']}",
        "Syncthing shop: a configuration change now",
    ]
    since = now()
    shop.come_online()
    problems.settle(since)
    notices.flush(house.hass)
    assert len(notices.titles()) == 3
    shop.clear(UNSEEN)
    eventually(lambda: len(remembered(house.hass, todo)) == 2)
    eventually(lambda: notices.titles("solved") == ["Syncthing shop: phone: the device is not connected"])
    shop.raise_problem(UNSEEN)
    eventually(lambda: notices.titles()[3:] == ["Syncthing shop: phone"])


@pytest.mark.usefixtures("empty")
def test_a_problem_that_returns_at_once_is_not_new(
    house: House, problems: Automation, shop: Shop, notices: Notices, todo: str
) -> None:
    """A restart of Syncthing clears some problems and raises them again."""
    shop.raise_problem(CONFLICT)
    eventually(lambda: notices.titles() == ["Syncthing shop: Photos"])
    since = now()
    shop.clear(CONFLICT)
    shop.raise_problem(CONFLICT | {"since": "2026-11-25T14:00:00Z"})
    shop.come_online()
    problems.settle(since)
    notices.flush(house.hass)
    assert len(notices.titles()) == 1
    assert len(remembered(house.hass, todo)) == 1


@pytest.mark.usefixtures("empty")
def test_missed_events_are_made_up_for(
    house: House, problems: Automation, shop: Shop, notices: Notices, todo: str
) -> None:
    """A problem that was raised, cleared, or cleared and raised again while Home Assistant was stopped is handled."""
    shop.raise_problem(UNSEEN)
    shop.raise_problem(CONFLICT)
    eventually(lambda: len(notices.titles()) == 2)
    shop.clear(UNSEEN, silent=True)
    shop.clear(CONFLICT, silent=True)
    shop.raise_problem(CONFLICT | {"since": "2026-11-25T15:00:00Z"}, silent=True)
    shop.raise_problem(RESTART, silent=True)
    since = now()
    shop.come_online()
    problems.settle(since)
    notices.flush(house.hass)
    assert notices.titles()[2:] == ["Syncthing shop: Photos", "Syncthing shop"]
    assert notices.titles("solved") == ["Syncthing shop: phone: the device is not connected"]
    assert len(remembered(house.hass, todo)) == 2


@pytest.mark.usefixtures("empty")
def test_a_short_problem_does_not_notify(house: House, problems: Automation, shop: Shop, notices: Notices) -> None:
    """A problem that is cleared in time causes no notification, nor one that is raised again since then."""
    since = now()
    shop.raise_problem(UNSEEN)
    shop.clear(UNSEEN)
    problems.settle(since)
    notices.flush(house.hass)
    assert not notices.titles()


def _restart_bridge(house: House, _notices: Notices) -> None:
    house.bridge.stop()
    house.bridge.start()


def _restart_syncthing(house: House, _notices: Notices) -> None:
    house.nodes[0].stop()
    eventually(lambda: house.retained()["syncthing/nas/state"] == "offline")
    house.nodes[0].start()


def _restart_broker(house: House, notices: Notices) -> None:
    house.broker.kill()
    house.broker.start()
    notices.reconnect()


def _restart_home_assistant(house: House, _notices: Notices) -> None:
    house.hass.stop()
    house.hass.start()


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("empty")
def test_restarts_repeat_and_lose_no_problem(
    house: House, automate: Callable[..., Automation], notices: Notices, todo: str
) -> None:
    """Real problems notify once, over a restart of the bridge, Syncthing, the broker and Home Assistant."""
    alpha = house.directory / "alpha"
    conflicts = [alpha / f"{one}/a.sync-conflict-20261125-120000-ABCDEFG.txt" for one in ("docs", "odd")]
    marker, elsewhere = alpha / "inbox/.stfolder", alpha / "inbox/marker"
    ignored = [row.code for row in ROWS if row.code not in ("conflicts", "folder_error")]
    automation = automate(
        "notify_problem", list=todo, duration=SECOND, again={"seconds": 20}, ignored=ignored, notify=NOTIFY
    )
    # Syncthing creates the marker of an empty folder again when it starts.
    (alpha / "inbox/kept.txt").write_bytes(b"kept")
    eventually(lambda: house.retained()["syncthing/nas/folder/inbox"]["local_files"] == 1)
    conflicts[0].write_bytes(b"the other one")
    marker.rename(elsewhere)
    notices.client.publish("syncthing/nas/command/scan", "inbox")
    try:
        eventually(lambda: sorted(notices.titles()) == ["Syncthing nas: Inbox", f"Syncthing nas: {TEMPLATE}"], 60)
        assert house.nodes[0].url in [one[3] for one in notices.all]
        for restart in (_restart_bridge, _restart_syncthing, _restart_broker, _restart_home_assistant):
            since = now()
            restart(house, notices)
            automation.settle(since)
            notices.flush(house.hass)
            assert len(notices.titles()) == 2, restart
        since = now()
        house.hass.stop()
        conflicts[1].write_bytes(b"the other one")
        elsewhere.rename(marker)
        notices.client.publish("syncthing/nas/command/scan", "inbox")
        eventually(lambda: house.retained()["syncthing/nas/system"]["folders"]["error"] == 0)
        house.hass.start()
        automation.settle(since)
        notices.flush(house.hass)
        assert notices.titles()[2:] == ["Syncthing nas: Sent"]
        summaries = [item["summary"] for item in remembered(house.hass, todo)]
        assert not [one for one in summaries if one.startswith("Syncthing nas: Inbox")]
        assert len(summaries) == 2
    finally:
        for one in conflicts:
            one.unlink(missing_ok=True)
        house.nodes[0].request("POST", "/rest/db/revert", {"folder": "inbox"})
        eventually(lambda: not house.retained()["syncthing/nas/folder/inbox"]["problem"], 60)


def test_a_conflict_notifies(
    house: House, automate: Callable[..., Automation], notices: Notices, request: pytest.FixtureRequest
) -> None:
    """The notification names the instance, the folder and both files."""
    automate("notify_conflict", notify=NOTIFY)
    probe = json.dumps({"folder": "probe", "label": "Probe", "path": "new", "original": "old"})

    def has_subscribed() -> bool:
        notices.client.publish("syncthing/probe/event/conflict", probe)
        return bool(notices.titles())

    eventually(has_subscribed)  # an automation subscribes some time after it is turned on
    name = request.getfixturevalue("conflict")
    title = f"Syncthing nas: conflict in {TEMPLATE}"
    eventually(lambda: [one for one in notices.titles() if "Probe" not in one] == [title])
    assert notices.message(title).startswith(f"{name}\nThe other version is report.txt.")


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("empty")
def test_what_is_offline_notifies_once(
    house: House, automate: Callable[..., Automation], notices: Notices, todo: str
) -> None:
    """A device and an instance that are offline notify once, also over a restart of the bridge."""
    a, b = house.nodes
    device, instance = house.subject("device", b.device_id), house.subject("system")
    connectivity = [house.entity_id(f"{one.object_id}_connected") for one in (device, instance)]
    b.stop()
    try:
        eventually(lambda: house.hass.states()[connectivity[0]]["state"] == "off", 60)
        automate(
            "notify_offline",
            connectivity=connectivity,
            list=todo,
            duration=SECOND,
            notify=NOTIFY,
            online=publishes("online"),
        )
        eventually(lambda: notices.titles() == ["nas beta is offline"], 60)
        a.stop()
        eventually(lambda: notices.titles()[1:] == ["Syncthing nas is offline"], 60)
        assert "syncthing.nas.url" in notices.message("Syncthing nas is offline")
        a.start()
        eventually(lambda: notices.titles("online") == ["Syncthing nas is offline"], 60)
        house.bridge.stop()
        eventually(lambda: house.hass.states()[connectivity[0]]["state"] == "unavailable")
        house.bridge.start()
        since = now()
        eventually(lambda: _is_off_since(house, connectivity[0], since + timedelta(seconds=2)))
        assert len(notices.titles()) == 2
        assert [item["summary"] for item in remembered(house.hass, todo)] == ["nas beta is offline"]
    finally:
        if not a.running:
            a.start()
        b.start()
    eventually(lambda: notices.titles("online")[1:] == ["nas beta is offline"], 60)


def _is_off_since(house: House, entity_id: str, at: datetime) -> bool:
    """Return whether an entity has been off since it changed, and the time has come."""
    return house.hass.states()[entity_id]["state"] == "off" and now() > at


def test_a_bridge_that_is_gone_notifies(house: House, automate: Callable[..., Automation], notices: Notices) -> None:
    """It is reported when the bridge has stopped, and when it returns."""
    instance = house.entity_id(f"{house.subject('system').object_id}_connected")
    automate("notify_bridge", connectivity=[instance], duration=SECOND, notify=NOTIFY, returned=publishes("returned"))
    title = "Syncthing nas: no connection to the bridge"
    house.bridge.stop()
    try:
        eventually(lambda: notices.titles() == [title])
    finally:
        house.bridge.start()
    eventually(lambda: notices.titles("returned") == [title])
