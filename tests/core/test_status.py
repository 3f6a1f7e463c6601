"""The status of folders and devices, in the words of Syncthing's own page."""

from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation
from tests.core.world import (
    BETA,
    DAY,
    DOCS,
    GAMMA,
    HOUR,
    ON_BETA,
    Watched,
    World,
    after,
    beta_configured,
    changed,
    completed,
    configured,
    connection,
    connections,
    docs_configured,
    folder,
    last_seen,
    not_running,
    read,
    watched,
)


def typed(folder_type: str) -> seen.ConfigRead:
    """Return a configuration in which "docs" has a type."""
    return configured([folder("docs", BETA, GAMMA, type=folder_type)])


# --- folders


@pytest.mark.parametrize(
    ("observations", "settings", "status"),
    [
        ([], None, "up_to_date"),
        ([], docs_configured(paused=True), "paused"),
        ([not_running()], None, "unknown"),
        ([changed("error", error="gone")], None, "stopped"),
        ([changed("error", error="gone"), read(state="error", need_items=1, failed=1)], None, "stopped"),
        *(
            ([changed(state), read(state=state, need_items=1)], None, state)
            for state in (
                "scanning",
                "scan-waiting",
                "syncing",
                "sync-preparing",
                "sync-waiting",
                "cleaning",
                "clean-waiting",
                "starting",
            )
        ),
        ([read(need_items=1)], None, "out_of_sync"),
        ([read(need_deletes=1)], None, "out_of_sync"),
        ([read(need_items=1, failed=1)], None, "out_of_sync"),
        ([read(failed=1)], None, "failed_items"),
        ([read(failed=1, local_changes=1)], typed("receiveonly"), "failed_items"),
        ([read(local_changes=1)], typed("receiveonly"), "local_additions"),
        ([read(local_changes=1)], typed("receiveencrypted"), "unexpected_items"),
        ([read(local_changes=1)], typed("sendreceive"), "up_to_date"),
        ([read(local_changes=1)], configured([folder("docs", type="receiveonly")]), "local_additions"),
        ([], configured([folder("docs")]), "unshared"),
        ([read(need_items=1)], configured([folder("docs")]), "out_of_sync"),
    ],
)
def test_the_status_of_a_folder_is_that_of_the_page(
    observations: list[Observation], settings: seen.ConfigRead | None, status: str
) -> None:
    """The conditions are checked in the order of the page."""
    assert watched(*observations, config=settings).shown(DOCS)["status"] == status


@pytest.mark.parametrize("work", ["syncing", "sync-preparing", "sync-waiting"])
def test_the_status_stays_until_the_counts_after_a_sync_are_read(work: str) -> None:
    """The counts of a running sync would show as `out_of_sync` for a moment."""
    one = watched(changed(work), read(state=work, need_items=1))
    one.see(changed("idle"))
    assert (one.shown(DOCS)["state"], one.shown(DOCS)["status"]) == ("idle", work)
    one.see(read())
    assert one.shown(DOCS)["status"] == "up_to_date"


def test_the_status_of_a_resumed_folder_is_unknown_until_it_is_read() -> None:
    """The values from before the pause are no longer valid."""
    one = watched(config=docs_configured(paused=True))
    one.see(seen.FolderPaused(folder="docs", paused=False))
    assert one.shown(DOCS)["status"] == "unknown"
    one.see(changed("idle"))
    assert one.shown(DOCS)["status"] == "unknown"
    one.see(read())
    assert one.shown(DOCS)["status"] == "up_to_date"


# --- devices

CONNECTED = connections(of={BETA: connection()})


def beta_status(one: Watched) -> Any:
    """Return the status of BETA."""
    return one.shown(ON_BETA)["status"]


@pytest.mark.parametrize(
    ("observations", "settings", "status"),
    [
        ([CONNECTED], None, "up_to_date"),
        ([CONNECTED], beta_configured(paused=True), "paused"),
        ([CONNECTED, completed(need_bytes=1)], None, "syncing"),
        ([CONNECTED, completed(need_items=1)], None, "syncing"),
        ([CONNECTED, completed(need_deletes=1)], None, "syncing"),
        ([CONNECTED, completed(need_items=1, remote_state="paused")], None, "syncing"),
        ([CONNECTED, completed(need_items=1, remote_state="notSharing")], None, "syncing"),
        ([CONNECTED, completed(need_items=1)], configured([folder("docs", BETA, paused=True)]), "up_to_date"),
        ([], None, "disconnected"),
        ([completed(need_items=1)], None, "disconnected"),
        ([], configured([folder("docs", GAMMA)]), "unused"),
        ([CONNECTED], configured([folder("docs", GAMMA)]), "unused"),
    ],
)
def test_the_status_of_a_device_is_that_of_the_page(
    observations: list[Observation], settings: seen.ConfigRead | None, status: str
) -> None:
    """The page also shows a device as syncing that has itself paused a folder or not accepted it."""
    assert beta_status(watched(*observations, config=settings)) == status


def test_the_status_of_a_connected_device_is_unknown_until_its_folders_are_read() -> None:
    """Otherwise it would be up to date for a moment."""
    one = Watched()
    one.see(configured(), CONNECTED, completed(need_items=1))
    assert beta_status(one) == "unknown"
    one.see(completed(folder_id="art"))
    assert beta_status(one) == "syncing"


def test_a_device_that_was_never_connected_is_inactive() -> None:
    """On the page of 2.1 as well; older pages show it as disconnected."""
    world = World()
    world.start(world.nobody(), last_seen(at=None))
    assert world.beta["status"] == "disconnected_inactive"
    world.see(world.connect())
    assert world.beta["status"] == "unknown"
    world.see(completed())
    assert world.beta["status"] == "up_to_date"


def test_a_device_becomes_inactive_seven_days_after_it_was_last_seen() -> None:
    """Nothing happens at that time, so a timer publishes it, also if no problem depends on the time."""
    world = World().start(completed())
    world.see(world.disconnect())
    world.later(7 * DAY - 1)
    assert world.beta["status"] == "disconnected"
    assert world.state.next_due == after(7 * DAY)
    world.later(1)
    assert world.beta["status"] == "disconnected_inactive"
    assert ON_BETA in world.changed
    world.see(world.connect())
    assert world.beta["status"] == "up_to_date"


def test_a_device_that_was_last_seen_long_ago_is_inactive_from_the_start() -> None:
    """The time comes from Syncthing's statistics, not from the start of the bridge."""
    world = World().start(connections(), last_seen(BETA, at=after(-8 * DAY)))
    assert world.beta["status"] == "disconnected_inactive"
    recent = World().start(connections(), last_seen(BETA, at=after(-7 * DAY + HOUR)))
    assert recent.beta["status"] == "disconnected"
    assert recent.state.next_due == after(HOUR)
