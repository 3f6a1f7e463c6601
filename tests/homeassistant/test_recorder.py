"""What a sync and an idle instance leave in the database of a real Home Assistant, with the entities of the default."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from time import time

import pytest

from tests.homeassistant.conftest import FIGURES, House, built
from tests.servers import Subscriber, eventually

FILES, FILE_SIZE = 400, 50_000
RATE_KIB_S = 500
"""400 files of 50 kB take about 40 s."""

AT_LEAST_S = 30.0
MOST_ROWS_AN_HOUR = 2500
MOST_LINES = 4
QUIET_COPIES = 4
"""At least 45 s pass between this number of messages of a slow topic."""

ROWS = """
SELECT states_meta.entity_id, last_updated_ts FROM states JOIN states_meta USING (metadata_id) WHERE last_updated_ts > ?
"""


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a new test setup that reads everything without an event every second, and receives slowly."""
    often = dict.fromkeys(("CONNECTIONS", "TRANSFER", "STATUS", "ERRORS", "STATISTICS", "RECONCILE"), "1")
    with built(
        tmp_path_factory.mktemp("idle"), **{f"STBRIDGE_POLL__{key}": value for key, value in often.items()}
    ) as one:
        limits = {"maxRecvKbps": RATE_KIB_S, "limitBandwidthInLan": True}
        one.nodes[0].request("PATCH", "/rest/config/options", body=limits)
        _wait_for_copies(one, 2)
        yield one


def _wait_for_copies(house: House, number: int) -> None:
    """Wait until the slow copy of `metrics` was published this number of times."""
    subscriber = Subscriber(house.broker.port, "syncthing/nas/slow/metrics")
    try:
        eventually(lambda: subscriber.count > number, 20 * number)
    finally:
        subscriber.close()


def _rows(house: House, since: float) -> Counter[str]:
    """Return the number of rows of each entity of the bridge in the recorder's database."""
    ours = {entry["entity_id"] for entry in house.hass.entities().values()}
    database = sqlite3.connect(f"file:{house.hass.directory}/home-assistant_v2.db?mode=ro", uri=True)
    try:
        return Counter(name for name, _ in database.execute(ROWS, (since,)) if name in ours)
    finally:
        database.close()


def test_no_entity_stays_unknown(idle: House) -> None:
    """By default, each entity has a value, except events that never occurred and devices that were never seen."""
    eventually(lambda: not _unknown(idle))


def _unknown(house: House) -> list[str]:
    absent = next(one.object_id for one in house.subjects() if "absent" in one.name)
    states = house.hass.states()
    return [
        entry["entity_id"]
        for unique_id, entry in house.hass.entities().items()
        if not unique_id.startswith(absent)
        and not entry["entity_id"].startswith(("event.", "button."))
        and states.get(entry["entity_id"], {}).get("state") == "unknown"
    ]


def test_an_idle_instance_writes_nothing(idle: House) -> None:
    """Values that change all the time, such as the uptime, belong to entities that are disabled by default."""
    since = time()
    _wait_for_copies(idle, QUIET_COPIES)
    assert _rows(idle, since) == {}


def test_a_slow_sync_writes_little(idle: House) -> None:
    """The limits are rows an hour, from the first to the last change, and lines in the activity list for one sync."""
    a, b = idle.nodes
    folder = idle.subject("folder", "docs").object_id
    since = time()
    for number in range(FILES):
        (idle.directory / f"beta/docs/{number}.bin").write_bytes(number.to_bytes(2) * (FILE_SIZE // 2))
    b.request("POST", "/rest/db/scan?folder=docs")
    eventually(lambda: idle.state(f"{folder}_status") == "Syncing", 60)
    eventually(lambda: a.is_idle("docs") and len(list((idle.directory / "alpha/docs").glob("*.bin"))) == FILES, 200)
    eventually(lambda: idle.state(f"{folder}_status") == "Up to date" and idle.state(f"{folder}_need_items") == "0", 60)
    took = time() - since
    status = idle.entity_id(f"{folder}_status")
    eventually(lambda: _rows(idle, since)[status] == 2)  # the last rows are in the database
    rows = _rows(idle, since)
    began = datetime.fromtimestamp(since, UTC).isoformat()
    lines = idle.hass.request("GET", f"/api/logbook/{began}")
    shown = [f"{line.get('entity_id')}: {line.get('state')} {line.get('message', '')}" for line in lines]
    FIGURES.append(f"recorder: sync of {FILES} files in {took:.0f} s: {rows.total()} rows, {len(lines)} lines: {rows}")
    assert took > AT_LEAST_S
    assert rows.total() / took * 3600 <= MOST_ROWS_AN_HOUR, rows
    assert len(lines) <= MOST_LINES, shown
