"""The blueprint that checks a backup. It runs after other tests, because it enables an entity."""

from collections.abc import Callable
from datetime import timedelta

from tests.homeassistant.blueprints import Automation, Notices, now, publishes
from tests.homeassistant.conftest import TEMPLATE, House
from tests.servers import eventually

NOTIFY = publishes("notify")
LOADING_S = 40
"""Seconds in which Home Assistant loads an automation, also on a busy machine."""


def test_a_stale_backup_notifies_every_day(
    house: House, automate: Callable[..., Automation], notices: Notices, conflict: str
) -> None:
    """The daily check names each reason, and does not notify if there is none."""
    docs, inbox = (house.subject("folder", one).object_id for one in ("docs", "inbox"))
    house.hass.enable([house.hass.entities()[f"{docs}_last_file"]["entity_id"]])
    problem, change = house.entity_id(f"{docs}_problem"), house.entity_id(f"{docs}_last_file")
    healthy = house.entity_id(f"{inbox}_problem")
    eventually(lambda: house.hass.states()[healthy]["state"] == "off")
    automate("notify_stale_backup", problem=[healthy], notify=NOTIFY)
    house.hass.act("automation.trigger", "automation.notify_stale_backup", skip_condition=False)
    eventually(lambda: house.hass.states()[problem]["state"] == "on")
    at = (now() + timedelta(seconds=LOADING_S)).strftime("%H:%M:%S")
    automate("notify_stale_backup", problem=[problem], change=[change], days=0.00001, at=at, notify=NOTIFY)
    title = "Syncthing: the backup is stale"
    eventually(lambda: notices.titles() == [title], timeout_s=2 * LOADING_S)
    reasons = notices.message(title).splitlines()
    assert conflict in reasons[0]
    assert reasons[1].startswith(f"nas {TEMPLATE}: no new file")
