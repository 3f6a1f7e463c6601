"""Converts Syncthing's JSON documents to observations; all differences between versions are handled here.

Events, which contain the same documents, are converted in `events`.

A function raises KeyError, TypeError, ValueError or AttributeError if the JSON does not have the structure that
Syncthing's API defines; the caller reports an invalid response.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from stbridge.core import observations as seen
from stbridge.core.conflicts import is_conflict
from stbridge.core.json_text import cut
from stbridge.core.model import (
    Completion,
    Config,
    Connection,
    DeviceConfig,
    DialError,
    FailedItem,
    FolderConfig,
    FolderCounts,
    FolderStatistics,
    LoggedError,
    PendingDevice,
    PendingFolder,
    floored,
    percentage,
)
from stbridge.core.secrets import without_tokens
from stbridge.core.typed import flag, flag_or_none, listed, mapping, number, text, text_or_none, whole

Json = Mapping[str, Any]

DYNAMIC = "dynamic"
"""In the addresses of a device, it stands for all addresses that discovery finds."""

LONGEST_DIAL_ERROR = 200
"""Maximum length of a connection error, in characters."""

MOST_DIAL_ERRORS = 5_000
"""Maximum number of addresses with a connection error: a discovery server can return any number of addresses."""

_NEVER_BEFORE = 1971  # "never" is year 1 (Go's zero time) for folders, and 1970 for devices never seen
_NEVER_AFTER = 9000  # adding to Python's last day would overflow


def time(stamp_text: str | None) -> datetime | None:
    """Convert a time stamp of Syncthing; "never" becomes None.

    Time stamps carry the offset of Syncthing's machine and up to nine digits of a second. Year 1 must be recognized
    before the conversion to UTC, which would overflow.
    """
    if not stamp_text:
        return None
    stamp = datetime.fromisoformat(stamp_text)
    if stamp.year > _NEVER_AFTER:
        raise ValueError("a time in the far future")
    return None if stamp.year < _NEVER_BEFORE else stamp.astimezone(UTC)


def address(raw: Any) -> str | None:
    """Return the address of a device without tokens: the address of a relay may contain its token."""
    given = text_or_none(raw)
    return given and without_tokens(given)


def version(raw: Json) -> seen.VersionRead:
    """Read GET /rest/system/version."""
    return seen.VersionRead(version=text(raw["version"]), os=text(raw["os"]), arch=text(raw["arch"]))


def status(raw: Json) -> seen.StatusRead:
    """Read GET /rest/system/status.

    One working listener, and one working discovery method, is enough: the IPv6 ones commonly fail on IPv4 networks.
    `discoveryStatus` is absent while all discovery is off; it exists since 1.18.
    """
    listeners = raw.get("connectionServiceStatus")
    discovery = raw.get("discoveryStatus")
    return seen.StatusRead(
        device_id=text(raw["myID"]),
        started_at=time(raw["startTime"]),
        uptime_s=whole(raw["uptime"]),
        memory_bytes=whole(raw["alloc"]),
        goroutines=whole(raw["goroutines"]),
        listeners_ok=_any_without_error(mapping(listeners)) if listeners is not None else None,
        discovery_ok=_any_without_error(mapping(discovery)) if discovery else None,
        dial_errors=dict(islice(_dial_errors(mapping(raw.get("lastDialStatus"))), MOST_DIAL_ERRORS)),
    )


def _dial_errors(dialed: Json) -> Iterator[tuple[str, DialError]]:
    """Yield the addresses that could not be dialed, each with its error as Syncthing's page abbreviates it.

    The page shows only what follows the last colon; the rest repeats the address, which may contain a token.
    """
    for address_text, result in dialed.items():
        error, at = text_or_none(mapping(result).get("error")), time(text_or_none(mapping(result).get("when")))
        if error and at:
            shown = without_tokens(error)
            yield address_text, DialError(at=at, error=cut(shown.rpartition(": ")[2] or shown, LONGEST_DIAL_ERROR))


def _any_without_error(services: Json) -> bool:
    return any(not mapping(service).get("error") for service in services.values())


def config(raw: Json, own_id: str) -> seen.ConfigRead:
    """Read GET /rest/config (or the older /rest/system/config); the event ConfigSaved has the same document."""
    options = mapping(raw.get("options"))
    devices = {text(device["deviceID"]): mapping(device) for device in listed(raw["devices"])}
    ids = {device: device for device in devices}  # one shared string per ID, or every folder would keep its own copies
    return seen.ConfigRead(
        config=Config(
            name=text_or_none(devices.get(own_id, {}).get("name")) or "",
            gui_user=text_or_none(mapping(raw.get("gui")).get("user")) or "",
            max_send_kbps=_limit(options.get("maxSendKbps")),
            max_recv_kbps=_limit(options.get("maxRecvKbps")),
            folders={text(folder["id"]): _folder_config(folder, own_id, ids) for folder in listed(raw["folders"])},
            devices={
                device_id: DeviceConfig(
                    id=device_id,
                    name=text_or_none(device.get("name")) or "",
                    paused=flag(device["paused"]),
                    addresses=tuple(one for one in map(text, listed(device.get("addresses"))) if one != DYNAMIC),
                )
                for device_id, device in devices.items()
                if device_id != own_id
            },
        )
    )


def _limit(raw: Any) -> int | None:
    return None if raw is None else max(0, whole(raw))  # Syncthing treats a negative limit as none


def _folder_config(raw: Json, own_id: str, ids: Mapping[str, str]) -> FolderConfig:
    return FolderConfig(
        id=raw["id"],
        label=text_or_none(raw.get("label")) or "",
        path=text(raw["path"]),
        type=text(raw["type"]),
        paused=flag(raw["paused"]),
        devices=tuple(ids.get(device, device) for device in _sharing(raw) if device != own_id),
        versioning=text_or_none(mapping(raw.get("versioning")).get("type")) or "",
    )


def _sharing(folder: Json) -> Iterator[str]:
    return (text(device["deviceID"]) for device in listed(folder.get("devices")))


def restart_required(raw: Json) -> seen.RestartRequiredRead:
    """Read GET /rest/config/restart-required."""
    return seen.RestartRequiredRead(restart_required=flag(raw["requiresRestart"]))


def folder_status(folder: str, raw: Json) -> seen.FolderRead:
    """Read GET /rest/db/status, and the summary in FolderSummary.

    A folder that is paused or not running yet reports only zeros and the state "": its counts are unknown.
    Without an error, `error` and `watchError` are absent up to 1.19 and "" later; `receiveOnly...` is absent for other
    types of folders. `*TotalItems` includes deleted items, so the parts are added up here.
    """
    state = text(raw["state"])
    return seen.FolderRead(
        folder=folder,
        state=state or None,
        state_changed_at=time(raw.get("stateChanged")),
        error=text_or_none(raw.get("error")),
        watch_error=text_or_none(raw.get("watchError")),
        counts=_folder_counts(raw) if state else None,
        sequence=whole(raw.get("sequence") or 0),
    )


def _folder_counts(raw: Json) -> FolderCounts:
    return FolderCounts(
        global_bytes=whole(raw["globalBytes"]),
        global_files=whole(raw["globalFiles"]),
        local_bytes=whole(raw["localBytes"]),
        local_files=whole(raw["localFiles"]),
        need_bytes=whole(raw["needBytes"]),
        need_items=_sum(raw, "need", ("Files", "Directories", "Symlinks")),
        need_deletes=whole(raw["needDeletes"]),
        failed=whole(raw["errors"]),
        local_changes=_sum(raw, "receiveOnlyChanged", ("Files", "Directories", "Symlinks", "Deletes")),
    )


def _sum(raw: Json, prefix: str, parts: Sequence[str]) -> int:
    return sum(whole(raw.get(prefix + part, 0)) for part in parts)


def folder_errors(raw: Json) -> seen.FolderErrorsRead:
    """Read GET /rest/folder/errors, and FolderErrors; the list may be null."""
    items = tuple(FailedItem(path=text(item["path"]), error=text(item["error"])) for item in listed(raw["errors"]))
    return seen.FolderErrorsRead(folder=text(raw["folder"]), items=items)


def conflict(folder: str, path: str, raw: Json) -> seen.ConflictRead:
    """Read GET /rest/db/file; a deleted file stays in the index for a while."""
    local = mapping(raw.get("local"))
    return seen.ConflictRead(folder=folder, path=path, present=bool(local.get("name")) and not local.get("deleted"))


def conflicts(folder: str, raw: Sequence[Json]) -> seen.ConflictsRead:
    """Read GET /rest/db/browse: a tree of existing files, with names instead of paths."""
    return seen.ConflictsRead(folder=folder, paths=tuple(path for path in _files(raw) if is_conflict(path)))


def _files(tree: Sequence[Json]) -> Iterator[str]:
    branches = [("", tree)]
    while branches:
        prefix, branch = branches.pop()
        for entry in listed(branch):
            path = prefix + text(entry["name"])
            if entry["type"] == "FILE_INFO_TYPE_DIRECTORY":
                branches.append((f"{path}/", listed(entry.get("children"))))
            else:
                yield path


def completion(device: str, folder: str, raw: Json) -> seen.CompletionRead:
    """Read GET /rest/db/completion, and FolderCompletion; `remoteState` exists since 1.20.

    Syncthing reports 100 percent while empty files are missing, and if its float rounds the last bytes up.
    """
    percent = floored(min(100.0, max(0.0, number(raw["completion"]))))
    need_bytes, global_bytes = whole(raw["needBytes"]), whole(raw["globalBytes"])
    need_items, need_deletes = whole(raw["needItems"]), whole(raw["needDeletes"])
    if percent == 100 and (need_bytes or need_items or need_deletes):  # noqa: PLR2004 - percent
        percent = percentage(need_bytes=need_bytes, global_bytes=global_bytes, complete=False)
    return seen.CompletionRead(
        device=device,
        folder=folder,
        completion=Completion(
            completion=percent,
            need_bytes=need_bytes,
            need_items=need_items,
            need_deletes=need_deletes,
            global_bytes=global_bytes,
            remote_state=text_or_none(raw.get("remoteState")),
        ),
        sequence=whole(raw.get("sequence") or 0),
    )


def device_completion(device: str, raw: Json) -> seen.DeviceCompletionRead:
    """Read GET /rest/db/completion without a folder, which returns the sums over the folders that a device shares."""
    needed = [whole(raw[key]) for key in ("needBytes", "needItems", "needDeletes")]
    return seen.DeviceCompletionRead(device=device, complete=not any(needed))


def connections(raw: Json, own_id: str) -> seen.ConnectionsRead:
    """Read GET /rest/system/connections; up to 1.24 the list contains this device itself."""
    total = raw["total"]
    at = time(total["at"])
    if at is None:
        raise ValueError("connections without a time")
    return seen.ConnectionsRead(
        at=at,
        in_bytes=whole(total["inBytesTotal"]),
        out_bytes=whole(total["outBytesTotal"]),
        connections={
            device: _connection(connection)
            for device, connection in mapping(raw["connections"]).items()
            if device != own_id
        },
    )


def _connection(raw: Json) -> Connection:
    if not flag(raw["connected"]):
        return Connection(connected=False)
    return Connection(
        connected=True,
        address=address(raw["address"]),
        connection_type=text_or_none(raw["type"]),
        is_local=flag_or_none(raw.get("isLocal")),  # since 1.23
        crypto=text_or_none(raw.get("crypto")),
        client_version=text_or_none(raw["clientVersion"]),
        in_bytes=whole(raw["inBytesTotal"]),
        out_bytes=whole(raw["outBytesTotal"]),
    )


def device_statistics(raw: Json) -> seen.DeviceStatisticsRead:
    """Read GET /rest/stats/device."""
    return seen.DeviceStatisticsRead(
        last_seen_at={device: time(statistics["lastSeen"]) for device, statistics in raw.items()}
    )


def folder_statistics(raw: Json) -> seen.FolderStatisticsRead:
    """Read GET /rest/stats/folder, which omits paused folders."""
    return seen.FolderStatisticsRead(
        statistics={folder: _folder_statistics(statistics) for folder, statistics in raw.items()}
    )


def _folder_statistics(raw: Json) -> FolderStatistics:
    last = raw["lastFile"]
    at = time(last["at"])
    return FolderStatistics(
        last_scan_at=time(raw["lastScan"]),
        last_file=text(last["filename"]) if at else None,
        last_file_at=at,
        last_file_deleted=flag(last["deleted"]) if at else None,
    )


def errors(raw: Json) -> seen.ErrorsRead:
    """Read GET /rest/system/error; the list is null if there are no errors."""
    return seen.ErrorsRead(
        items=tuple(
            LoggedError(when=time(entry["when"]), message=without_tokens(text(entry["message"])))
            for entry in listed(raw["errors"])
        )
    )


def upgrade(raw: Json) -> seen.UpgradeRead:
    """Read GET /rest/system/upgrade; if no newer version exists, `latest` may be an older one."""
    latest = raw["latest"] if raw["newer"] or raw["majorNewer"] else raw["running"]
    return seen.UpgradeRead(latest=text(latest))


def pending_devices(raw: Json) -> seen.PendingDevicesRead:
    """Read GET /rest/cluster/pending/devices."""
    return seen.PendingDevicesRead(
        devices=tuple(
            PendingDevice(
                id=device,
                name=text(entry["name"]),
                address=without_tokens(text(entry["address"])),
                time=time(entry["time"]),
            )
            for device, entry in sorted(raw.items())
        )
    )


def pending_folders(raw: Json) -> seen.PendingFoldersRead:
    """Read GET /rest/cluster/pending/folders."""
    return seen.PendingFoldersRead(
        folders=tuple(
            PendingFolder(id=folder, label=text(offer["label"]), device=device, time=time(offer["time"]))
            for folder, entry in sorted(raw.items())
            for device, offer in sorted(mapping(entry["offeredBy"]).items())
        )
    )
