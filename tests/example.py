"""The example of the documents: the NAS of a family, its devices, and everything that the bridge publishes about it.

Syncthing's answers and events are the recorded ones of tests/fixtures with other names and numbers, so they have
exactly the form of real ones. The code of the bridge makes the payloads of them. `scripts/tables` shows these payloads
in the documents, and the tests check them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stbridge.commands.operations import execute
from stbridge.commands.replies import LARGEST_REPLY
from stbridge.core import decode, events
from stbridge.core import observations as seen
from stbridge.core.bridge_payloads import BridgeHealth, render_health, render_info, render_sentinel
from stbridge.core.command import Command
from stbridge.core.commands import BRIDGE_COMMANDS, COMMANDS, allowed
from stbridge.core.envelope import CommandError, Reply, Request, parse, select, too_large
from stbridge.core.known import Known, check_applicable, with_ids
from stbridge.core.messages import Received
from stbridge.core.observations import Observation
from stbridge.core.outcome import (
    CONNECTION,
    ERRORS,
    METRICS,
    PENDING,
    SYSTEM,
    UPGRADE,
    BridgeEvent,
    conflicts_address,
    device_address,
    failed_address,
    folder_address,
    share_address,
)
from stbridge.core.own_events import own_event
from stbridge.core.payloads import OFFLINE, ONLINE, render, render_event, render_raw
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.timing import in_utc, seconds
from stbridge.core.topics import BRIDGE, HOME_ASSISTANT, Address, Topics
from stbridge.errors import SyncthingError, with_setting_path
from stbridge.homeassistant.discovery import Site
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.settings import CommandSettings
from stbridge.syncthing import SyncthingClient
from stbridge.syncthing.answers import IDENTITY, evaluate
from stbridge.syncthing.transport import Transport
from tests.core.recorded import recorded

VERSION = "2.1.3"
"""The version of Syncthing whose recordings are used."""

NAME = "nas"
NOW = datetime(2026, 11, 23, 20, 14, 5, tzinfo=UTC)
STARTED_AT = datetime(2026, 11, 2, 6, 30, 11, tzinfo=UTC)
BRIDGE_STARTED_AT = datetime(2026, 11, 20, 17, 2, 48, tzinfo=UTC)

NAS = "DEPSC7H-BLSMG2V-NDD62ZJ-LWBXOMK-ISRLMSG-4WNSFJH-IFHT7BU-U3X4IQ4"
LAPTOP = "6G7U2AW-QOWILG6-T7RZ5CU-XEF4JYS-3B53VZD-RIABBES-ND7CHGP-O4RMTA2"
PHONE = "EVH5XCK-TXJS4YX-IPPTDMZ-ENCXQOR-ZPEUCL7-EALKNOV-KWII2RK-IMB3KQN"
TABLET = "4CZBCB6-B5E4FPH-VGGX54T-OM3EJUY-NDJBNBB-3RP6I5B-2JOVHAN-ZBP47QK"
DEVICES = {NAS: "nas", LAPTOP: "laptop", PHONE: "phone"}

SUNSET = "2026/11/sunset.jpg"
BUDGET = "household/budget.sync-conflict-20261123-195912-6G7U2AW.ods"
RECEIPT = "2026/receipt.jpg"
MARKER_MISSING = (
    "folder marker missing (this indicates potential data loss, search docs/forum to get information about how to "
    "proceed)"
)

Json = dict[str, Any]


def changed(template: Mapping[str, Any], **changes: Any) -> Json:
    """Return an object with other values for some of its keys; the changed keys come first."""
    assert changes.keys() <= template.keys(), changes.keys() - template.keys()
    return {**changes, **{key: value for key, value in template.items() if key not in changes}}


def answer(name: str, **changes: Any) -> Json:
    """Return a recorded answer with other values."""
    return changed(recorded(VERSION, name), **changes)


def at(**before: int) -> str:
    """Return a time stamp of Syncthing that is earlier than NOW by these units."""
    return (NOW - timedelta(**before)).isoformat().replace("+00:00", "Z")


# --- the configuration


def _folder(folder: str, label: str, *devices: str, kind: str = "sendreceive") -> Json:
    template = recorded(VERSION, "config")["folders"][0]
    shares = [changed(template["devices"][0], deviceID=device) for device in (NAS, *devices)]
    path = f"/volume1/{folder}"
    versioning = changed(template["versioning"], type="staggered")
    return changed(
        template, id=folder, label=label, path=path, type=kind, paused=False, devices=shares, versioning=versioning
    )


def _device(device: str) -> Json:
    template = recorded(VERSION, "config")["devices"][0]
    return changed(template, deviceID=device, name=DEVICES[device], addresses=["dynamic"], paused=False)


def config(*more: Json) -> Json:
    """Return the configuration, with additional folders."""
    folders = [
        _folder("photos", "Photos", LAPTOP, PHONE),
        _folder("documents", "Documents", LAPTOP),
        _folder("camera", "Phone camera", PHONE, kind="receiveonly"),
        _folder("music", "Music", LAPTOP, PHONE, kind="sendonly"),
        *more,
    ]
    return answer("config", folders=folders, devices=[_device(device) for device in DEVICES])


# --- folders

TOTALS = {
    "photos": (412_316_860_416, 84_312),
    "documents": (3_182_940_160, 12_406),
    "camera": (21_474_836_480, 5_127),
    "music": (96_636_764_160, 11_840),
}
"""Bytes and files of each folder, over all devices."""


def folder_status(folder: str, state: str = "idle", need_bytes: int = 0, need_files: int = 0, **changes: Any) -> Json:
    """Return the answer about a folder that needs some files."""
    size, files = TOTALS[folder]
    values: Json = {
        "state": state,
        "stateChanged": at(minutes=2),
        "globalBytes": size,
        "globalFiles": files,
        "globalTotalItems": files,
        "localBytes": size - need_bytes,
        "localFiles": files - need_files,
        "localTotalItems": files - need_files,
        "needBytes": need_bytes,
        "needFiles": need_files,
        "needTotalItems": need_files,
        "inSyncBytes": size - need_bytes,
        "inSyncFiles": files - need_files,
        "sequence": files,
    }
    return answer("db_status_idle", **{**values, **changes})


NEEDED = 1_342_177_280
SYNCING = folder_status("photos", "syncing", NEEDED, 214)
WITH_FAILED_ITEMS = folder_status("documents", errors=2, pullErrors=2, needDeletes=2, needTotalItems=2)
WITH_LOCAL_CHANGES = folder_status(
    "camera", receiveOnlyChangedFiles=1, receiveOnlyChangedBytes=184_320, receiveOnlyTotalItems=1
)


def completion(folder: str, need_bytes: int = 0, need_items: int = 0, remote_state: str = "valid") -> Json:
    """Return the answer about a folder on a device that needs some items."""
    size, files = TOTALS[folder]
    percent = 100 * (size - need_bytes) / size
    values = {"globalBytes": size, "globalItems": files, "needBytes": need_bytes, "needItems": need_items}
    return answer("db_completion", completion=percent, **values, remoteState=remote_state)


PHOTOS_ON_PHONE = completion("photos", 8_932_840_112, 1_906, remote_state="unknown")


def _file(name: str, size: int, modified: str, by: str) -> Json:
    template = recorded(VERSION, "db_file")["local"]
    values = {"name": name, "size": size, "type": "FILE_INFO_TYPE_FILE", "modified": modified, "modifiedBy": by[:7]}
    return changed(template, **values, version=[f"{by[:7]}:1795465882"])


PICTURE = _file(SUNSET, 4_718_592, at(minutes=4), LAPTOP)


def _tree() -> list[Json]:
    """Return the year 2026 of the photos, two levels deep."""
    (directory,) = recorded(VERSION, "db_browse")
    file = directory["children"][0]
    pictures = [changed(file, name="sunset.jpg", size=4_718_592, modTime=at(minutes=4))]
    return [changed(directory, name="11", type="FILE_INFO_TYPE_DIRECTORY", modTime=at(minutes=4), children=pictures)]


# --- connections


def connections(before_s: int, received: int) -> Json:
    """Return the answer about the connections some seconds before NOW; the phone is not connected."""
    whole = recorded(VERSION, "system_connections")
    (template,) = whole["connections"].values()
    stamp = at(seconds=before_s)
    common = {"connected": True, "address": "192.168.1.23:22000", "type": "tcp-client", "isLocal": True}
    laptop = changed(
        template, **common, crypto=template["crypto"], clientVersion="v2.1.3", inBytesTotal=received, at=stamp
    )
    phone = changed(
        template,
        **{**common, "connected": False, "address": "", "type": "", "isLocal": False},
        crypto="",
        clientVersion="",
        inBytesTotal=0,
        at=stamp,
    )
    total = changed(whole["total"], at=stamp, inBytesTotal=86_301_204_480 + received, outBytesTotal=41_104_932_864)
    return {"total": total, "connections": {LAPTOP: laptop, PHONE: phone}}


# --- Syncthing's answers, by request

DISK = "The disk is almost full"

_NEED = {"progress": [PICTURE], "queued": [], "rest": [], "page": 1, "perpage": 100}
_IGNORES = {"error": None, "expanded": ["*.tmp", "**/*.tmp", "*.tmp/**", "**/*.tmp/**"], "ignore": ["*.tmp"]}


_VERSION = {"versionTime": "2026-11-20T18:30:00Z", "modTime": "2026-11-18T21:04:51Z", "size": 4_601_233}


def _files(*files: Json) -> Json:
    return {"files": list(files), "page": 1, "perpage": 65_536}


def _pending_device() -> Json:
    (template,) = recorded(VERSION, "pending_devices").values()
    return changed(template, name="tablet", address="192.168.1.40:22000", time=at(minutes=12))


def _pending_folders() -> Json:
    (template,) = recorded(VERSION, "pending_folders")["docs"]["offeredBy"].values()
    return {"recipes": {"offeredBy": {LAPTOP: changed(template, label="Recipes", time=at(hours=3))}}}


def _errors() -> Json:
    (template,) = recorded(VERSION, "system_error")["errors"]
    message = f'External error report (error="{DISK}" log.pkg=api)'  # the form of Syncthing 2
    return answer("system_error", errors=[changed(template, when=at(hours=5), message=message)])


def _failed_items() -> Json:
    (template,) = recorded(VERSION, "folder_errors")["errors"]
    failed = [changed(template, path=path, error=template["error"]) for path in ("taxes/2014", "taxes/2015")]
    return answer("folder_errors", folder="documents", errors=failed)


def _folder_statistics() -> Json:
    template = recorded(VERSION, "stats_folder")["docs"]
    last = {
        "photos": (SUNSET, at(minutes=1)),
        "documents": ("household/budget.ods", at(minutes=15)),
        "camera": ("2026/11/IMG_4711.jpg", at(hours=13)),
        "music": ("Bach/cello-suite-1.flac", at(days=9)),
    }
    return {
        folder: changed(
            template,
            lastFile=changed(template["lastFile"], filename=file, at=stamp, deleted=False),
            lastScan=at(minutes=14),
        )
        for folder, (file, stamp) in last.items()
    }


def _device_statistics() -> Json:
    template = recorded(VERSION, "stats_device")[LAPTOP]
    seen_at = {LAPTOP: at(), PHONE: at(hours=12, minutes=33)}
    return {one: changed(template, lastSeen=when, lastConnectionDurationS=5_400.5) for one, when in seen_at.items()}


def _status() -> Json:
    uptime = round((NOW - STARTED_AT).total_seconds())
    whole = recorded(VERSION, "system_status")
    (listener,) = whole["connectionServiceStatus"].values()
    address = "tcp://192.168.1.10:22000"
    status = changed(
        whole,
        myID=NAS,
        startTime=in_utc(STARTED_AT),
        uptime=uptime,
        alloc=187_432_960,
        sys=203_456_512,
        goroutines=184,
        connectionServiceStatus={
            "tcp://0.0.0.0:22000": changed(listener, lanAddresses=[address], wanAddresses=[address])
        },
        guiAddressUsed="127.0.0.1:8384",
    )
    # not in the recording, because discovery was off
    return {**status, "discoveryStatus": {"IPv4 local broadcast discovery on port 21027": {"error": None}}}


def answers() -> Mapping[str, Any]:
    """Return Syncthing's answers, by request; calls that are not listed have no body."""
    return {
        "GET /rest/system/ping": {"ping": "pong"},
        "GET /rest/system/version": answer("system_version", version="v2.1.3", os="linux", arch="amd64"),
        "GET /rest/system/status": _status(),
        "GET /rest/system/connections": connections(0, 9_663_676_416),
        "GET /rest/config": config(),
        "GET /rest/config/defaults/folder": recorded(VERSION, "config")["defaults"]["folder"],
        "GET /rest/config/insync": {"configInSync": True},
        "GET /rest/system/error": _errors(),
        "GET /rest/system/discovery": {LAPTOP: {"addresses": ["tcp://192.168.1.23:22000"]}},
        "GET /rest/stats/device": _device_statistics(),
        "GET /rest/stats/folder": _folder_statistics(),
        "GET /rest/db/status": SYNCING,
        "GET /rest/db/completion": PHOTOS_ON_PHONE,
        "GET /rest/db/browse": _tree(),
        "GET /rest/db/file": _availability(),
        "GET /rest/db/ignores": _IGNORES,
        "GET /rest/db/need": _NEED,
        "GET /rest/db/remoteneed": _files(PICTURE),
        "GET /rest/db/localchanged": _files(
            changed(_file(RECEIPT, 184_320, at(days=2), NAS), invalid=True, localFlags=8)
        ),
        "GET /rest/folder/errors": _failed_items(),
        "GET /rest/folder/versions": {SUNSET: [_VERSION]},
        "GET /rest/cluster/pending/devices": {TABLET: _pending_device()},
        "GET /rest/cluster/pending/folders": _pending_folders(),
        "GET /rest/system/browse": [],
        "GET /rest/system/upgrade": {"running": "v2.1.3", "latest": "v2.1.4", "newer": True, "majorNewer": False},
        "POST /rest/db/prio": _NEED,
        "POST /rest/db/ignores": {**_IGNORES, "ignore": ["*.tmp", ".DS_Store"]},
        "POST /rest/system/restart": {"ok": "restarting"},
        "POST /rest/system/shutdown": {"ok": "shutting down"},
        "POST /rest/system/reset": {"ok": "resetting folder photos"},
        "POST /rest/system/upgrade": {"ok": "restarting"},
        "POST /rest/folder/versions": {},
    }


def _availability() -> Json:
    whole = recorded(VERSION, "db_file")
    return {
        "local": PICTURE,
        "global": PICTURE,
        "availability": [changed(whole["availability"][0], id=device) for device in (LAPTOP,)],
    }


class Answers(Transport):
    """A transport that answers from `answers`, without a network."""

    def __init__(self) -> None:
        self._answers = answers()

    def call(self, method: str, path: str, **_details: Any) -> Any:
        """Answer a call."""
        return self._answers.get(f"{method} {path}")

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Do nothing: Syncthing restarts at once."""

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def break_off(self) -> None:
        """Do nothing: no call waits for its answer."""


class Client(SyncthingClient):
    """A client of the example."""

    def __init__(self) -> None:
        self.url = "http://127.0.0.1:8384"
        self._transport = Answers()


# --- the State


class Example:
    """The State of the instance, and the events that the bridge has published about it."""

    def __init__(self) -> None:
        self.state = State()
        self.published: list[BridgeEvent] = []

    def take(self, *observations: Observation, before_s: int = 0) -> None:
        """Take observations some seconds before NOW."""
        now = NOW - timedelta(seconds=before_s)
        for observation in observations:
            apply(self.state, observation, now)
        conclude(self.state, now)
        self.published += self.state.take_outcome().events


def _completions(photos_on_phone: Json) -> list[Observation]:
    return [
        decode.completion(LAPTOP, "photos", completion("photos")),
        decode.completion(PHONE, "photos", photos_on_phone),
        decode.completion(LAPTOP, "documents", completion("documents")),
        decode.completion(PHONE, "camera", completion("camera", remote_state="unknown")),
        decode.completion(LAPTOP, "music", completion("music")),
        decode.completion(PHONE, "music", completion("music", remote_state="unknown")),
    ]


def example() -> Example:
    """Return the example: photos are being synced, documents have a conflict and failed items."""
    one, found = Example(), answers()
    one.take(
        seen.Restored(payloads={}),
        seen.SnapshotStarted(),
        decode.status(found["GET /rest/system/status"]),
        decode.version(found["GET /rest/system/version"]),
        decode.config(found["GET /rest/config"], NAS),
        decode.errors(recorded(VERSION, "system_error_empty")),
        decode.upgrade(found["GET /rest/system/upgrade"]),
        decode.restart_required(recorded(VERSION, "restart_required")),
        seen.PendingDevicesRead(devices=()),
        seen.PendingFoldersRead(folders=()),
        *(decode.folder_status(folder, folder_status(folder)) for folder in TOTALS),
        *_completions(PHOTOS_ON_PHONE),
        decode.connections(connections(900, 0), NAS),
        decode.device_statistics(found["GET /rest/stats/device"]),
        decode.folder_statistics(found["GET /rest/stats/folder"]),
        *(decode.conflicts(folder, []) for folder in TOTALS),
        seen.SnapshotComplete(),
        before_s=900,
    )
    one.take(decode.errors(found["GET /rest/system/error"]), before_s=890)
    one.take(decode.pending_devices(found["GET /rest/cluster/pending/devices"]), before_s=720)
    one.take(decode.pending_folders(found["GET /rest/cluster/pending/folders"]), before_s=700)
    one.take(decode.folder_status("camera", WITH_LOCAL_CHANGES), before_s=640)
    one.take(seen.ConflictRead(folder="documents", path=BUDGET, present=True), before_s=600)
    one.take(
        decode.folder_errors(found["GET /rest/folder/errors"]),
        decode.folder_status("documents", WITH_FAILED_ITEMS),
        before_s=580,
    )
    one.take(
        _event("StateChanged", before_s=120, folder="photos", **{"from": "sync-preparing", "to": "syncing"}),
        decode.folder_status("photos", folder_status("photos", "syncing", 4 * NEEDED, 861)),
        before_s=120,
    )
    one.take(decode.connections(connections(10, 9_328_132_096), NAS), before_s=10)
    one.take(decode.folder_status("photos", SYNCING), decode.connections(found["GET /rest/system/connections"], NAS))
    return one


# --- events


def raw_event(event_type: str, *, before_s: int = 0, **changes: Any) -> Json:
    """Return a recorded event with other data, some seconds before NOW."""
    template = next(one for one in recorded(VERSION, "events") if one["type"] == event_type)
    values = {"id": 4711, "globalID": 5093, "type": event_type, "time": at(seconds=before_s)}
    return {**values, "data": {**template["data"], **changes}}


def _event(event_type: str, **changes: Any) -> Observation:
    observation = events.observe(raw_event(event_type, **changes), NAS)
    assert observation is not None
    return observation


def all_events() -> list[Json]:
    """Return all events that the bridge publishes about the example and in the hour after it."""
    one = example()
    one.take(_event("StateChanged", folder="photos", to="idle", **{"from": "syncing"}))
    one.take(decode.folder_status("photos", folder_status("photos")))
    one.take(_event("DeviceConnected", id=PHONE, addr="192.168.1.31:22000", deviceName="phone"))
    one.take(*_completions(completion("photos")))
    one.take(_event("DeviceDisconnected", id=LAPTOP, error="reading length: EOF"))
    for event_type in ("FolderPaused", "FolderResumed"):
        one.take(_event(event_type, id="music", label="Music"))
    for event_type in ("DevicePaused", "DeviceResumed"):
        one.take(_event(event_type, device=PHONE))
    one.take(_event("StateChanged", folder="music", to="error", error=MARKER_MISSING, **{"from": "idle"}))
    one.take(decode.config(config(_folder("recipes", "Recipes", LAPTOP)), NAS))
    one.take(decode.errors(recorded(VERSION, "system_error_empty")))
    one.take(_event("LoginAttempt", success=False, username="someone", remoteAddress="192.168.1.66"))
    one.take(decode.status(changed(_status(), startTime=f"{in_utc(NOW)}", uptime=2)))
    finished = {"folder": "photos", "label": "Photos", "error": None, "transaction": "evening"}
    published = (*one.published, BridgeEvent("scan_finished", NOW, finished))
    return [json.loads(render_event(event)) for event in published]


def published_events() -> dict[str, Json]:
    """Return an example of each event, by its name: the first one with the most keys."""
    found: dict[str, Json] = {}
    for event in sorted(all_events(), key=len, reverse=True):
        found.setdefault(event["event_type"], event)
    return found


# --- payloads


def payloads() -> dict[str, Any]:
    """Return an example for each kind of topic; a word, or JSON."""
    state = example().state
    short = state.short_ids
    addresses = {
        "system": SYSTEM,
        "metrics": METRICS,
        "errors": ERRORS,
        "upgrade": UPGRADE,
        "pending": PENDING,
        "folder": folder_address("photos"),
        "failed": failed_address("documents"),
        "conflicts": conflicts_address("documents"),
        "device": device_address(short[LAPTOP]),
        "completion": share_address(short[PHONE], "photos"),
    }
    refused = Example()
    message = str(_failure("GET /rest/system/status", 403, "Forbidden"))
    refused.take(seen.Unavailable(status="unauthorized", message=message))
    return {
        "bridge_state": ONLINE,
        "bridge_info": json.loads(_info()),
        "bridge_health": json.loads(_health()),
        "bridge_discovery": _discovery_list(),
        "bridge_sentinel": json.loads(render_sentinel(BRIDGE_STARTED_AT)),
        "state": ONLINE if state.online else OFFLINE,
        **{kind: json.loads(render(state, address) or b"") for kind, address in addresses.items()},
        "connection": json.loads(render(refused.state, CONNECTION) or b""),
        "event": published_events()["conflict"],
        "folder_event": _activity("folder_synced"),
        "device_event": _activity("device_disconnected"),
        "raw": json.loads(render_raw(raw_event("ItemFinished", **_ITEM))),
        "command": json.loads(_row("pause").example),
        "response": reply(_row("pause")),
    }


def _activity(name: str) -> Json:
    """Return an event as it is published on the topic of its folder or device."""
    event = published_events()[name]
    data = {key: value for key, value in event.items() if key not in ("event_type", "time")}
    own = own_event(BridgeEvent(name, datetime.fromisoformat(event["time"]), data))
    assert own is not None
    shown: Json = json.loads(render_event(own[1]))
    return shown


_ITEM: Json = {"folder": "photos", "item": SUNSET, "type": "file", "action": "update", "error": None}


def addresses_of_examples() -> dict[str, str]:
    """Return the topic of each example, by the kind of topic."""
    short = example().state.short_ids
    build = Topics("syncthing").build
    return {
        **{
            kind: build(NAME, Address(kind))
            for kind in ("state", "connection", "system", "metrics", "errors", "upgrade", "pending")
        },
        "bridge_discovery": build(BRIDGE, Address("bridge_discovery", name=NAME)),
        **{
            kind: build(BRIDGE, Address(kind))
            for kind in ("bridge_state", "bridge_info", "bridge_health", "bridge_sentinel")
        },
        "folder": build(NAME, folder_address("photos")),
        "failed": build(NAME, failed_address("documents")),
        "conflicts": build(NAME, conflicts_address("documents")),
        "device": build(NAME, device_address(short[LAPTOP])),
        "completion": build(NAME, share_address(short[PHONE], "photos")),
        "event": build(NAME, Address("event", name="conflict")),
        "folder_event": build(NAME, Address("folder_event", folder="photos")),
        "device_event": build(NAME, Address("device_event", device=short[LAPTOP])),
        "raw": build(NAME, Address("raw", name="ItemFinished")),
        "command": build(NAME, Address("command", name="pause")),
        "response": build(NAME, Address("response", name="pause")),
    }


def _info() -> bytes:
    return render_info(
        version="0.1.0",
        started_at=BRIDGE_STARTED_AT,
        protocol="5",
        broker="broker.lan:1883",
        instances=[NAME],
        commands=allowed(CommandSettings().allow),
    )


def _discovery_list() -> Json:
    topics = Topics("syncthing", HOME_ASSISTANT)
    site = Site(instance=NAME, topics=topics, allowed=frozenset(), link=None, version="0.1.0")
    publisher = DiscoveryPublisher(site)
    list(publisher.follow(example().state, SYSTEM))
    message = publisher.topic_list.take()
    assert message is not None, "it was not taken before"
    shown: Json = json.loads(message.payload)
    return shown


def _health() -> bytes:
    return render_health(
        BridgeHealth(
            uptime_s=(NOW - BRIDGE_STARTED_AT).total_seconds(),
            queued=0,
            sent=18_204,
            dropped=0,
            failed=0,
            reconnects=1,
            connected_s=187_320.4,
            message="",
            threads={"mqtt": 3.1, "schedule": 0.4, "nas-events": 12.8, "nas-polls": 4.9},
            restarts=0,
            instances={NAME: "online"},
        )
    )


# --- commands


def _row(name: str) -> Command:
    return next(row for row in COMMANDS if row.name == name)


def known() -> Known:
    """Return the folders and devices that exist."""
    state = example().state
    return Known(config=state.config, pending_devices=state.pending_devices, pending_folders=state.pending_folders)


def request(command: Command, payload: str | None = None) -> Request:
    """Return the example of a command after all checks, or the request of another payload.

    Raises:
        CommandError: the payload is refused.
    """
    parsed = with_ids(parse(command, (payload or command.example).encode()), known())
    check_applicable(parsed, known().config)
    return parsed


def reply(command: Command) -> Json:
    """Return the reply to the example of a command."""
    done = Reply(command=command.name, status="ok", took_ms=12)
    if command not in BRIDGE_COMMANDS:
        done = replace(done, data=_data(command))
    return dict(done.payload())


def _data(command: Command) -> Any:
    """Return the data of a reply; a test compares those of the dispatcher itself with the dispatcher's."""
    checked = request(command)
    if command.name == "scan":
        return {"folders": [checked.arguments["folder"]]}
    if "for" in checked.arguments:
        return {"resume_at": in_utc(NOW + timedelta(seconds=seconds(checked.arguments["for"])))}
    return execute(Client(), checked)


# --- errors

_ROWS = {row.name: row for row in COMMANDS}
_ALL = ("read", "operate", "admin")


def _refusal(name: str, payload: str, *, retained: bool = False, allow: tuple[str, ...] = _ALL) -> CommandError:
    """Return the error of a command that is refused before Syncthing is asked."""
    received = Received(topic=f"syncthing/{NAME}/command/{name}", payload=payload.encode(), retained=retained)
    try:
        request(select(_ROWS, name, received, allowed(allow)), payload)
    except CommandError as error:
        return error
    raise AssertionError(f"{name} is not refused")


def _failure(call: str, status: int, text: str) -> CommandError:
    """Return the error of a command that Syncthing refuses."""
    headers = {IDENTITY: NAS}
    try:
        evaluate("http://127.0.0.1:8384", call, status=status, headers=headers, content=text.encode())
    except SyncthingError as error:
        return CommandError(error.code, with_setting_path(NAME, str(error)))
    raise AssertionError(f"{call} does not fail")


def errors() -> Iterator[CommandError]:
    """Yield an example of each error that needs neither a clock nor a connection."""
    yield _refusal("pause", "photos")
    yield _refusal("pause", '{"folder": "photos", "fro": "30m"}')
    yield _refusal("sacn", "photos")
    yield _refusal("shutdown", "{}", allow=tuple(CommandSettings().allow))
    yield _refusal("scan", "photos", retained=True)
    yield _refusal("scan", "")
    yield _refusal("scan", "fotos")
    yield _refusal("revert", "photos")
    yield _failure("GET /rest/system/upgrade", 501, "upgrade unsupported")
    yield _failure("GET /rest/system/status", 403, "Forbidden")
    yield _failure("POST /rest/db/scan", 500, MARKER_MISSING)
    large = too_large(Reply(command="browse_database", status="ok"), 23_068_672, LARGEST_REPLY)
    assert large.error is not None
    yield large.error
