"""A response is dropped and its read repeated if its value was observed again after the request was sent."""

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation, Read
from stbridge.core.read_order import MOST_KEPT, Moment
from stbridge.core.rules import apply
from stbridge.core.timed_pauses import Paused
from tests.core.world import (
    BETA,
    DOCS,
    NOW,
    Watched,
    changed,
    completed,
    configured,
    connection,
    connections,
    docs_configured,
    failed,
    needing,
    read,
    watched,
)

OTHER = seen.ConflictRead(folder="docs", path="a.sync-conflict-20240501-120000-BETABET.txt", present=True)

OVERTAKEN: dict[str, tuple[Observation, Observation, Read]] = {
    "the counts of a folder": (read(need_items=1), read(), Read("folder", "docs")),
    "a folder that stops": (read(changed_at=NOW), changed("error", error="no marker"), Read("folder", "docs")),
    "the failed items of a folder": (failed("a"), failed(), Read("folder_errors", "docs")),
    "a completion": (needing(1), completed(), Read("completion", "docs", BETA)),
    "a paused folder": (configured(), seen.FolderPaused(folder="docs", paused=True), Read("config")),
    "a paused device": (configured(), seen.DevicePaused(device=BETA, paused=True), Read("config")),
    "a pause by a command": (
        docs_configured(paused=True),
        seen.PauseTimed(paused=Paused("folder", "docs"), until=NOW),
        Read("config"),
    ),
    "a saved configuration": (
        docs_configured(paused=True),
        seen.ConfigSaved(config=configured().config),
        Read("config"),
    ),
    "a device that connects": (
        connections(),
        seen.DeviceConnected(device=BETA, at=NOW, connection=connection()),
        Read("connections"),
    ),
    "a device that disconnects": (
        connections(of={BETA: connection()}),
        seen.DeviceDisconnected(device=BETA, at=NOW, error=None),
        Read("connections"),
    ),
    "a conflict that a search has not found": (
        seen.ConflictsRead(folder="docs", paths=()),
        OTHER,
        Read("conflicts", "docs"),
    ),
}
"""A late response, the newer observation, and the read that is repeated."""


def moment(one: Watched) -> Moment:
    """Return the current moment."""
    return one.state.read_order.moment


@pytest.mark.parametrize("case", OVERTAKEN)
def test_a_late_response_replaces_nothing_newer(case: str) -> None:
    """The read is repeated, and no topic changes."""
    late, newer, repeated = OVERTAKEN[case]
    one = watched()
    before_the_request = moment(one)
    one.see(newer)
    apply(one.state, late, NOW, before_the_request)
    outcome = one.state.take_outcome()
    assert (list(outcome.reads), list(outcome.changed)) == ([repeated], [])


@pytest.mark.parametrize("case", OVERTAKEN)
def test_a_response_is_applied_if_nothing_was_observed_since_its_request(case: str) -> None:
    """What was observed before the request does not matter, nor does another folder."""
    response, earlier, _ = OVERTAKEN[case]
    one = watched()
    one.see(earlier)
    before_the_request = moment(one)
    one.see(read("art", need_items=1))
    apply(one.state, response, NOW, before_the_request)
    assert one.state.take_outcome().changed


def test_responses_of_the_same_round_do_not_overtake_each_other() -> None:
    """The poller applies the results of several reads together."""
    one = watched()
    since = moment(one)
    for response in (read("art", need_items=1), read("docs", need_items=2), needing(3)):
        apply(one.state, response, NOW, since)
    assert one.shown(DOCS)["need_items"] == 2
    assert not one.state.take_outcome().reads & {Read("folder", "docs"): None}.keys()


@pytest.mark.parametrize(("others", "applied"), [(MOST_KEPT - 1, False), (MOST_KEPT, True)])
def test_the_order_of_a_limited_number_of_values_is_kept(others: int, applied: bool) -> None:
    """Memory is limited; a response is late by less than that."""
    one = watched()
    since = moment(one)
    one.see(read())
    for number in range(others):
        one.state.read_order.note(Read("folder", f"folder {number}"))
    apply(one.state, read(need_items=1), NOW, since)
    assert (one.shown(DOCS)["need_items"] == 1) == applied
