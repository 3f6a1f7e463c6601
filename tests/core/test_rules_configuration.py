"""Rules on the configuration: folders and devices are added, removed, renamed, shared, paused and resumed."""

from dataclasses import replace

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Read
from stbridge.core.outcome import SYSTEM, conflicts_address, failed_address, folder_address
from stbridge.core.topics import Address
from tests.core.world import (
    ART,
    ART_FOLDER,
    ART_ON_BETA,
    BETA,
    BETA_DEVICE,
    DELTA,
    DOCS,
    DOCS_FOLDER,
    DOCS_ON_BETA,
    DOCS_ON_GAMMA,
    GAMMA,
    GAMMA_DEVICE,
    ON_BETA,
    ON_GAMMA,
    Watched,
    after,
    completed,
    configured,
    device,
    device_address,
    folder,
    names,
    read,
    share_address,
    watched,
)


def about(one: Watched, folder_id: str = "", short: str = "") -> set[Address]:
    """Return every address of a folder or a device."""
    return {
        address
        for address in one.state.everything()
        if (folder_id and address.folder == folder_id) or (short and address.device == short)
    }


# --- added and removed


def test_a_new_folder_is_published_and_read() -> None:
    """The bridge reads its counts and its completion on the devices that share it."""
    one = watched(config=configured(folders=[ART_FOLDER]))
    outcome = one.see(configured())
    new = {DOCS, failed_address("docs"), conflicts_address("docs"), DOCS_ON_BETA, DOCS_ON_GAMMA}
    assert outcome.changed.keys() == new | {ON_BETA, ON_GAMMA, SYSTEM, ART}
    assert all(one.shown(address) is not None for address in new)
    assert set(outcome.reads) == {
        Read("folder_statistics"),
        Read("folder", "docs"),
        Read("completion", "docs", BETA),
        Read("completion", "docs", GAMMA),
        Read("restart_required"),
    }


def test_a_new_folder_that_is_paused_is_not_read() -> None:
    """Syncthing refuses to report the counts of a paused folder."""
    one = watched(config=configured(folders=[ART_FOLDER]))
    outcome = one.see(configured([ART_FOLDER, folder("docs", BETA, paused=True)]))
    assert set(outcome.reads) == {Read("folder_statistics"), Read("restart_required")}
    assert names(outcome) == ["config_changed"]


def test_a_folder_that_is_removed_clears_all_its_topics() -> None:
    """The folder also disappears from the sums of the instance and the devices."""
    one = watched(completed(BETA, "docs", need_bytes=500), read("docs", need_bytes=500))
    gone = about(one, "docs")
    outcome = one.see(configured([ART_FOLDER]))
    assert gone >= {DOCS, DOCS_ON_BETA, DOCS_ON_GAMMA}
    assert gone | {ON_BETA, ON_GAMMA, SYSTEM} <= outcome.changed.keys()
    assert [one.shown(address) for address in gone] == [None] * len(gone)
    assert not about(one, "docs")
    assert one.shown(SYSTEM)["folders"]["total"] == 1
    assert one.shown(SYSTEM)["completion"] == 100
    assert one.shown(ON_BETA)["completion"] == 100
    assert one.shown(ON_GAMMA)["completion"] is None


def test_a_device_that_is_removed_clears_all_its_topics() -> None:
    """The device also disappears from the instance and from the folders that it shared."""
    one = watched(completed(BETA, "docs", need_bytes=500))
    gone = about(one, short=ON_BETA.device)
    outcome = one.see(configured([folder("docs", GAMMA), folder("art")], [GAMMA_DEVICE]))
    assert gone == {ON_BETA, DOCS_ON_BETA, ART_ON_BETA}
    assert gone | {SYSTEM} <= outcome.changed.keys()
    assert [one.shown(address) for address in gone] == [None] * 3
    assert one.shown(SYSTEM)["devices"] == {"total": 1, "connected": 0, "paused": 0, "out_of_sync": 0}
    assert one.shown(DOCS)["devices"] == [ON_GAMMA.device]


def test_a_folder_with_another_id_is_another_folder() -> None:
    """The topics of the old ID are cleared, and those of the new ID are published."""
    one = watched()
    gone = about(one, "docs")
    outcome = one.see(configured([folder("documents", BETA, GAMMA), ART_FOLDER]))
    assert gone | about(one, "documents") <= outcome.changed.keys()
    assert all(one.shown(address) is None for address in gone)
    assert folder_address("documents") in about(one, "documents")


def test_a_new_device_is_published_and_its_shares_are_read() -> None:
    """Its completion is unknown, and it may have connected before the configuration was saved."""
    one = watched()
    shared = folder("docs", BETA, GAMMA, DELTA)
    outcome = one.see(configured([shared, ART_FOLDER], [BETA_DEVICE, GAMMA_DEVICE, device(DELTA, "delta")]))
    assert {device_address(DELTA), share_address(DELTA, "docs"), DOCS, SYSTEM} <= outcome.changed.keys()
    assert set(outcome.reads) == {
        Read("completion", "docs", DELTA),
        Read("connections"),
        Read("device_statistics"),
        Read("restart_required"),
    }
    payload = one.shown(device_address(DELTA))
    assert (payload["name"], payload["connected"], payload["completion"]) == ("delta", False, None)
    assert one.shown(SYSTEM)["all_in_sync"] is None


def test_a_new_device_without_shares_is_published() -> None:
    """It has no completion to read."""
    one = watched()
    outcome = one.see(configured(devices=[BETA_DEVICE, GAMMA_DEVICE, device(DELTA, "delta")]))
    assert {device_address(DELTA), SYSTEM} <= outcome.changed.keys()
    assert set(outcome.reads) == {Read("connections"), Read("device_statistics"), Read("restart_required")}
    assert one.shown(SYSTEM)["devices"]["total"] == 3


# --- names and shares


@pytest.mark.parametrize(
    ("config", "address", "key", "shown"),
    [
        (configured([replace(DOCS_FOLDER, label="Papers"), ART_FOLDER]), DOCS, "label", "Papers"),
        (configured([replace(DOCS_FOLDER, type="sendonly"), ART_FOLDER]), DOCS, "type", "sendonly"),
        (configured(devices=[device(BETA, "laptop"), GAMMA_DEVICE]), ON_BETA, "name", "laptop"),
        (configured(name="box"), SYSTEM, "name", "box"),
    ],
)
def test_a_renamed_folder_or_device_is_published_with_the_new_name(
    config: seen.ConfigRead, address: Address, key: str, shown: str
) -> None:
    """All other values stay unchanged."""
    one = watched()
    before = one.shown(address)
    outcome = one.see(config)
    assert one.shown(address) == {**before, key: shown}
    assert address in outcome.changed
    others = {DOCS, ON_BETA} - {address}
    assert all(one.shown(other)["in_sync"] is True for other in others)


def test_an_unshared_folder_no_longer_counts_for_the_device() -> None:
    """Its completion is cleared and no longer counts for the device, which is not reported as a sync."""
    one = watched(completed(BETA, "docs", need_bytes=500))
    assert one.shown(ON_BETA)["in_sync"] is False
    outcome = one.see(configured([folder("docs", GAMMA), ART_FOLDER]))
    assert {DOCS_ON_BETA, ON_BETA, DOCS, SYSTEM} <= outcome.changed.keys()
    assert one.shown(DOCS_ON_BETA) is None
    assert one.shown(ON_BETA)["completion"] == 100
    assert one.shown(SYSTEM)["devices"]["out_of_sync"] == 0
    assert names(outcome) == ["config_changed"]


@pytest.mark.parametrize(
    "config",
    [
        configured([folder("docs", GAMMA), ART_FOLDER]),
        configured([folder("docs", GAMMA), folder("art")], [GAMMA_DEVICE]),
        configured([replace(DOCS_FOLDER, type="sendonly"), ART_FOLDER]),
    ],
    ids=["unshared", "device removed", "type"],
)
def test_a_folder_that_may_need_less_after_a_change_is_read(config: seen.ConfigRead) -> None:
    """Items that only a removed device had are no longer needed, and Syncthing sends no event about that."""
    one = watched(read("docs", need_bytes=500))
    outcome = one.see(config)
    assert {Read("folder", "docs"), Read("completion", "docs", GAMMA)} <= outcome.reads.keys()


def test_a_paused_folder_that_is_shared_with_fewer_devices_is_not_read() -> None:
    """Syncthing refuses to report its counts."""
    one = watched(config=configured([folder("docs", BETA, GAMMA, paused=True)]))
    assert Read("folder", "docs") not in one.see(configured([folder("docs", GAMMA, paused=True)])).reads


def test_a_device_is_unknown_until_a_newly_shared_folder_is_read() -> None:
    """The completion of the folder on the device must be read first."""
    one = watched()
    outcome = one.see(configured([DOCS_FOLDER, folder("art", BETA, GAMMA)]))
    assert Read("completion", "art", GAMMA) in outcome.reads
    assert one.shown(share_address(GAMMA, "art"))["completion"] is None
    assert one.shown(ON_GAMMA)["in_sync"] is None
    one.see(completed(GAMMA, "art"))
    assert one.shown(ON_GAMMA)["in_sync"] is True


def test_a_change_of_the_configuration_is_reported_once() -> None:
    """The first configuration and an identical one are no changes, but an option may require a restart now."""
    one = Watched()
    assert names(one.see(configured())) == []
    outcome = one.see(configured())
    assert (outcome.changed, list(outcome.reads), outcome.events) == ({}, [Read("restart_required")], [])
    outcome = one.see(configured(name="box"), at=after(4))
    assert [(event.event_type, event.at) for event in outcome.events] == [("config_changed", after(4))]
    assert set(outcome.reads) == {Read("restart_required")}


def test_a_snapshot_requests_no_additional_reads() -> None:
    """The snapshot already contains the reads that a new configuration would request."""
    one = watched()
    found = configured([folder("new", BETA), DOCS_FOLDER, ART_FOLDER])
    assert not one.see(seen.SnapshotStarted(), found, seen.SnapshotComplete()).reads
    assert one.see(configured()).reads
