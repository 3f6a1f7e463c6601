"""Decoding of answers that real Syncthing instances of several versions gave, and of unusual answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from stbridge.core import decode
from stbridge.core import observations as seen
from stbridge.core.decode import LONGEST_DIAL_ERROR, MOST_DIAL_ERRORS
from stbridge.core.model import (
    DeviceConfig,
    DialError,
    FolderConfig,
    PendingDevice,
    PendingFolder,
)
from stbridge.core.timing import in_utc
from tests.core.recorded import VERSIONS, is_before, recorded, recorded_id

every_version = pytest.mark.parametrize("version", VERSIONS)

YEAR_1 = "0001-01-01T00:00:00Z"
A_TIME = "2024-05-01T12:00:00Z"

# --- times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T12:00:00Z", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024-05-01T14:00:00+02:00", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024-05-01T14:00:00.123456789+02:00", datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2024-05-01T12:00:00.5Z", datetime(2024, 5, 1, 12, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_any_zone_and_precision(text: str, expected: datetime) -> None:
    """Times in any zone, with up to nine digits of a second, become UTC with microseconds."""
    stamp = decode.time(text)
    assert stamp == expected
    assert stamp.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        YEAR_1,
        "0001-01-01T00:53:28+00:53",
        "1970-01-01T00:00:00Z",
        "1970-01-01T01:00:00+01:00",
        "1969-12-31T19:00:00-05:00",
    ],
)
def test_the_times_that_mean_never_become_none(text: str | None) -> None:
    """Syncthing writes "never" as the year 1 or 1970 in its own zone; year 1 would overflow in UTC."""
    assert decode.time(text) is None


# --- the process


@every_version
def test_the_version_is_read(version: str) -> None:
    """Distributions append a suffix to the version, which is kept."""
    observation = decode.version(recorded(version, "system_version"))
    assert observation.version.split("-")[0] == f"v{version}"
    assert (observation.os, observation.arch) == ("linux", "amd64")


@every_version
def test_the_process_is_read(version: str) -> None:
    """Discovery was off during the recording, so its result is None."""
    raw = recorded(version, "system_status")
    observation = decode.status(raw)
    assert in_utc(observation.started_at) == raw["startTime"]
    assert observation == seen.StatusRead(
        device_id=recorded_id(version, "alpha"),
        started_at=observation.started_at,
        uptime_s=raw["uptime"],
        memory_bytes=raw["alloc"],
        goroutines=raw["goroutines"],
        listeners_ok=True,
        discovery_ok=None,
        dial_errors={},
    )


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("dial tcp 192.0.2.2:22000: connect: connection refused", "connection refused"),
        ("network disallowed", "network disallowed"),
        ("something:", "something:"),
        ("trailing: ", "trailing: "),
        ('parse "relay://192.0.2.2:443/?token=hidden&id=A"', 'parse "relay://192.0.2.2:443/?id=A"'),
        (f"dial: {'x' * 500}", f"{'x' * (LONGEST_DIAL_ERROR - 1)}\u2026"),
    ],
)
def test_the_error_of_an_address_is_short(error: str, shown: str) -> None:
    """Syncthing's page shows the same part: what follows the last colon. Secrets are removed."""
    dialed = {
        "tcp://192.0.2.2:22000": {"when": A_TIME, "error": error},
        "tcp://192.0.2.3:22000": {"when": A_TIME, "error": None},
        "tcp://192.0.2.4:22000": {"when": YEAR_1, "error": error},
    }
    observation = decode.status({**recorded("2.1.3", "system_status"), "lastDialStatus": dialed})
    at = datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert observation.dial_errors == {"tcp://192.0.2.2:22000": DialError(at=at, error=shown)}


def test_the_number_of_addresses_with_an_error_is_limited() -> None:
    """A discovery server can return any number of addresses for a device, and Syncthing lists all that fail."""
    failed = {"when": A_TIME, "error": "no route to host"}
    dialed = {f"tcp://192.0.2.1:{port}": failed for port in range(MOST_DIAL_ERRORS + 1)}
    observation = decode.status({**recorded("2.1.3", "system_status"), "lastDialStatus": dialed})
    assert len(observation.dial_errors) == MOST_DIAL_ERRORS


WELL = {"error": None}
ILL = {"error": "no route to host"}


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ({"tcp://0.0.0.0:22000": WELL}, True),
        ({"IPv4 local": WELL, "IPv6 local": ILL}, True),
        ({"IPv4 local": ILL, "IPv6 local": ILL}, False),
        ({"global": {}}, True),
        ({"global": {"error": ""}}, True),
    ],
)
def test_one_working_listener_or_discovery_service_is_enough(services: dict[str, Any], expected: bool) -> None:
    """IPv6 commonly fails on IPv4 networks, so one working service counts as success."""
    raw = recorded(VERSIONS[0], "system_status")
    observation = decode.status({**raw, "connectionServiceStatus": services, "discoveryStatus": services})
    assert (observation.listeners_ok, observation.discovery_ok) == (expected, expected)


@pytest.mark.parametrize("discovery", [{}, {"discoveryStatus": None}, {"discoveryStatus": {}}])
def test_disabled_discovery_is_neither_working_nor_failing(discovery: dict[str, Any]) -> None:
    """Without any discovery service, the result is None."""
    raw = recorded(VERSIONS[0], "system_status")
    assert decode.status({**raw, **discovery}).discovery_ok is None


# --- the configuration


@every_version
def test_the_configuration_is_read(version: str) -> None:
    """This device gives the name of the instance, and is neither a remote device nor one that shares a folder."""
    beta = recorded_id(version, "beta")
    config = decode.config(recorded(version, "config"), recorded_id(version, "alpha")).config
    folders = {"docs": ("Documents", "sendreceive"), "inbox": ("Inbox", "receiveonly"), "lost": ("Lost", "sendreceive")}
    assert config.name == "alpha"
    addresses = tuple(recorded(version, "system_status")["lastDialStatus"])  # the only one that was dialed
    assert config.devices == {beta: DeviceConfig(id=beta, name="beta", paused=False, addresses=addresses)}
    assert config.folders == {
        folder: FolderConfig(
            id=folder,
            label=label,
            path=f"/data/{folder}",
            type=kind,
            paused=False,
            devices=(beta,) if folder == "docs" else (),
        )
        for folder, (label, kind) in folders.items()
    }


def test_missing_names_and_lists_of_a_configuration_are_empty() -> None:
    """Null lists become empty; missing names and labels become empty strings, not None."""
    empty = decode.config({"devices": None, "folders": None}, "OWN").config
    assert (empty.name, empty.folders, empty.devices) == ("", {}, {})
    bare = {"id": "docs", "path": "/docs", "type": "sendonly", "paused": True, "devices": None}
    raw = {"devices": [{"deviceID": "BETA", "paused": True}], "folders": [bare]}
    config = decode.config(raw, "OWN").config
    assert config.devices == {"BETA": DeviceConfig(id="BETA", name="", paused=True)}
    assert config.folders["docs"] == FolderConfig(
        id="docs", label="", path="/docs", type="sendonly", paused=True, devices=()
    )


@every_version
def test_a_restart_that_is_not_required_is_read(version: str) -> None:
    """No recorded instance required a restart."""
    raw = recorded(version, "restart_required")
    assert decode.restart_required(raw) == seen.RestartRequiredRead(restart_required=False)
    assert decode.restart_required({"requiresRestart": True}).restart_required


# --- lists of the instance


@every_version
def test_the_error_list_is_read(version: str) -> None:
    """The latest entry is last, whatever type its level has. Syncthing 2.x wraps the text of entries from REST."""
    raw = recorded(version, "system_error")
    items = decode.errors(raw).items
    assert [item.message for item in items] == [entry["message"] for entry in raw["errors"]]
    assert "made up by the recording" in items[-1].message
    when = items[-1].when
    assert when is not None
    assert when.isoformat() == raw["errors"][-1]["when"][:26] + "+00:00"


@every_version
def test_the_error_list_of_a_process_that_just_started_is_read(version: str) -> None:
    """Syncthing 1.x reports a privileged user there; 2.x has no errors then, which is null."""
    items = decode.errors(recorded(version, "system_error_empty")).items
    assert len(items) == (1 if is_before(version, "2.0") else 0)
    assert all("privileged" in item.message for item in items)


@every_version
def test_pending_devices_are_read(version: str) -> None:
    """A pending device has its own name and address."""
    raw, beta = recorded(version, "pending_devices"), recorded_id(version, "beta")
    (device,) = decode.pending_devices(raw).devices
    assert in_utc(device.time) == raw[beta]["time"]
    assert device == PendingDevice(id=beta, name="beta", address=raw[beta]["address"], time=device.time)


@every_version
def test_pending_folders_are_read(version: str) -> None:
    """The device that offers this folder gave it no label."""
    raw, beta = recorded(version, "pending_folders"), recorded_id(version, "beta")
    (folder,) = decode.pending_folders(raw).folders
    assert in_utc(folder.time) == raw["docs"]["offeredBy"][beta]["time"]
    assert folder == PendingFolder(id="docs", label="", device=beta, time=folder.time)


def test_each_offer_of_a_pending_folder_is_one_entry() -> None:
    """The order is fixed. A pending folder without offers, which may be null, has no entry."""
    offer = {"label": "Documents", "time": A_TIME}
    raw = {"docs": {"offeredBy": {"GAMMA": offer, "BETA": offer}}, "art": {"offeredBy": None}}
    folders = decode.pending_folders(raw).folders
    assert [(folder.id, folder.device) for folder in folders] == [("docs", "BETA"), ("docs", "GAMMA")]


# --- answers that do not come from Syncthing


@pytest.mark.parametrize(
    "read",
    [
        decode.version,
        decode.status,
        lambda raw: decode.config(raw, "OWN"),
        decode.restart_required,
        lambda raw: decode.folder_status("docs", raw),
        decode.folder_errors,
        lambda raw: decode.completion("BETA", "docs", raw),
        lambda raw: decode.connections(raw, "OWN"),
        decode.device_statistics,
        decode.folder_statistics,
        decode.errors,
        decode.pending_devices,
        decode.pending_folders,
    ],
)
@pytest.mark.parametrize("malformed", [None, [1], "<html>", {"message": "not found"}])
def test_rubbish_raises_one_of_the_documented_errors(read: Callable[[Any], Any], malformed: Any) -> None:
    """If something else answers at Syncthing's address, the decoder raises an error that its caller handles."""
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        read(malformed)
