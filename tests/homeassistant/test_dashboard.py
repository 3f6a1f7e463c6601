"""The dashboard that `stbridge dashboard` prints, and the card that fills itself, in a real Home Assistant."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.homeassistant.conftest import House
from tests.homeassistant.dashboards import entity_ids, import_dashboard, shown
from tests.servers import eventually

RATE_KIB_S = 300
SIZE = 18_000_000
"""At this rate, a file of this size takes a minute."""

SYNC_S = 150.0
PAPERS = r"\\{\\{ 1 \\/ 0 \\}\\} Papers"
"""The label of the folder `docs` in the card: no character of it is formatting."""


@pytest.fixture
def healthy(house: House) -> House:
    """Return the test setup when nothing is wrong."""
    eventually(lambda: "Everything is up to date." in shown(house))
    return house


@pytest.fixture
def conflict(healthy: House) -> Iterator[Path]:
    """Create a conflict file."""
    path = healthy.directory / "alpha/docs/card.sync-conflict-20261125-120000-ABCDEFG.txt"
    path.write_bytes(b"the other one")
    yield path
    path.unlink()


@pytest.fixture
def stopped(healthy: House) -> Iterator[str]:
    """Stop a folder: its marker is missing. Return its label."""
    marker, kept = (healthy.directory / "alpha/inbox" / name for name in (".stfolder", ".kept"))
    marker.rename(kept)
    _scan(healthy, "inbox")
    yield "Inbox"
    kept.rename(marker)
    _scan(healthy, "inbox")


def _scan(house: House, folder: str) -> None:
    button = house.entity_id(f"{house.subject('folder', folder).object_id}_scan")
    house.hass.act("button.press", button)


@pytest.fixture
def syncing(healthy: House) -> Iterator[str]:
    """Start a slow sync of one file, and return the ID of its folder."""
    a, b = healthy.nodes
    big = healthy.directory / "beta/docs/big.bin"
    a.request("PATCH", "/rest/config/options", body={"maxRecvKbps": RATE_KIB_S, "limitBandwidthInLan": True})
    big.write_bytes(bytes(range(250)) * (SIZE // 250))
    b.request("POST", "/rest/db/scan?folder=docs")
    yield "docs"
    a.request("PATCH", "/rest/config/options", body={"maxRecvKbps": 0, "limitBandwidthInLan": False})
    eventually(lambda: a.is_idle("docs") and (healthy.directory / "alpha/docs/big.bin").exists(), SYNC_S)
    big.unlink()
    b.request("POST", "/rest/db/scan?folder=docs")
    eventually(lambda: not (healthy.directory / "alpha/docs/big.bin").exists(), SYNC_S)


def _is_shown(house: House, pattern: str) -> bool:
    return re.search(pattern, shown(house)) is not None


def test_every_entity_of_the_dashboard_exists(healthy: House) -> None:
    """Home Assistant saves the dashboard unchanged, and knows each entity in it."""
    saved = import_dashboard(healthy)
    named = set(entity_ids(saved))
    assert len(named) > 40
    assert named <= set(healthy.hass.states())
    assert [view["title"] for view in saved["views"]] == ["Overview", "Folders", "Devices"]


def test_the_card_has_no_alert_if_nothing_is_wrong(healthy: House) -> None:
    """It is short then. Until every entity has its value after a restart, it may show more."""
    eventually(lambda: shown(healthy) == "### nas\n\nEverything is up to date.")


def test_the_card_shows_a_conflict(healthy: House, conflict: Path) -> None:
    """It shows the problem with its fix, and the path of the conflict file."""
    escaped = re.sub(r"([-.])", r"\\\1", conflict.name)
    problem = rf"\*\*nas\\: {PAPERS}\*\*: 1 conflict file.*<br>Compare each conflict file .*\[Open\]\(/config"
    for part in (re.escape(f"  - {escaped}"), problem, rf"- \*\*Conflicts in {PAPERS}\*\*: 1\n"):
        eventually(partial(_is_shown, healthy, part))
    assert "Everything is up to date." not in shown(healthy)


def test_the_card_shows_a_folder_that_has_stopped(healthy: House, stopped: str) -> None:
    """It shows the error of Syncthing with its fix, and the folder in the table."""
    eventually(lambda: f"| {stopped} | Stopped |" in shown(healthy))
    eventually(lambda: re.search(rf"\*\*nas\\: {stopped}\*\*: folder marker missing.*<br>.*Mount", shown(healthy)))


def test_the_card_shows_how_long_a_sync_will_take(healthy: House, syncing: str) -> None:
    """It shows a bar, the percentage and the time left."""
    row = re.compile(rf"\| {PAPERS} \| Syncing \| [▰▱]{{10}}&nbsp;[\d.]+&nbsp;% \| \d+&nbsp;(second|minute)s? \|")
    assert syncing in healthy.subject("folder", "docs").id
    eventually(lambda: row.search(shown(healthy)), SYNC_S)


def test_the_card_says_that_the_bridge_is_gone(healthy: House) -> None:
    """All other entities are unavailable then."""
    healthy.bridge.stop()
    try:
        eventually(lambda: "**Syncthing bridge** is not running" in shown(healthy))
        assert "Everything is up to date." not in shown(healthy)
    finally:
        healthy.bridge.start()
        eventually(lambda: not healthy.hass.unavailable())
