"""The verdicts of the fleet benchmark: a bridge that was not seen is named, and does not count as fast."""

from dataclasses import replace

import pytest

from benchmarks.fleet_report import section
from benchmarks.fleet_results import Arrival, Deaths, Memory, Period
from benchmarks.section import Verdict

BASES = ("fleet/000", "fleet/001", "fleet/002", "fleet/003")
VALUES = {"clients/connected": 5.0, "subscriptions/count": 20.0, "retained messages/count": 100.0}
START = Arrival(
    name="start",
    bridges=BASES,
    online_s=dict.fromkeys(BASES, 1.0),
    right_s=dict.fromkeys(BASES, 1.5),
    attempts={base: [0.1 + number] for number, base in enumerate(BASES)},
    broker_cpu_s=0.1,
    bridges_cpu_s=1.0,
    wrong=[],
    topics=400,
)
OUTAGE = replace(START, name="outage", outage_s=20.0)
DEATHS = Deaths(killed=BASES[:2], last_will_s=dict.fromkeys(BASES[:2], 0.1), others=[])
PERIOD = Period(
    name="nothing",
    seconds=10.0,
    counted={"messages/received": 3.0, "bytes/received": 4.0},
    broker_cpu_s=0.1,
    bridges_cpu_s=0.2,
)
MEMORY = Memory(broker=5.0, resident=[40.0], private=[20.0], broker_files=9, values=VALUES)


def verdicts(*arrivals: Arrival, deaths: Deaths = DEATHS) -> list[Verdict]:
    """Return the verdicts about a start, other arrivals, and deaths."""
    found = section(len(BASES), [START, *arrivals], [PERIOD], MEMORY, deaths, folders=10, devices=3)
    return list(found.verdicts)


def test_a_fleet_that_was_seen_completely_meets_every_aim() -> None:
    """No verdict names a bridge then."""
    assert [one.met for one in verdicts(OUTAGE)] == [True] * 4
    assert not [one.measured for one in verdicts(OUTAGE) if "fleet/" in one.measured]


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        (replace(OUTAGE, right_s=dict.fromkeys(BASES[1:], 1.5)), [False, False, True, True]),
        (replace(OUTAGE, online_s=dict.fromkeys(BASES[1:], 1.0)), [False, True, True, True]),
        (replace(OUTAGE, attempts={base: OUTAGE.attempts[base] for base in BASES[1:]}), [True, True, None, True]),
    ],
    ids=["never right", "never online", "no attempt"],
)
def test_a_bridge_that_was_not_seen_is_named(arrival: Arrival, expected: list[bool | None]) -> None:
    """It may be dead, which the figures of the others do not show."""
    found = verdicts(arrival)
    assert [one.met for one in found] == expected
    assert [BASES[0] in one.measured for one in found] == [met is not True for met in expected]


def test_a_missing_last_will_is_named() -> None:
    """A killed bridge without a last will stays online for its subscribers."""
    found = verdicts(OUTAGE, deaths=replace(DEATHS, last_will_s={BASES[1]: 0.1}))[-1]
    assert (found.met, found.measured) == (False, "1 of 2, and 0 others; missing: fleet/000")
