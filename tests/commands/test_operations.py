"""The execution of commands: requests to Syncthing, their order, and the errors when Syncthing refuses them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from stbridge.commands import operations
from stbridge.commands.operations import execute
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import CommandError, Request, check
from stbridge.core.known import Known, with_ids
from stbridge.errors import (
    NotApplicable,
    NotFound,
    Rejected,
    StbridgeError,
    SyncthingError,
    TimedOut,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from stbridge.syncthing import SyncthingClient
from tests.syncthing.server import NO_ROUTE, Answer, Behaviour, ScriptedServer, answers, closes, refuses

ROWS = {command.name: command for command in COMMANDS}
A, B, C = (letter * 7 for letter in "ABC")

CONFIG = "/rest/config"
FOLDERS, DEVICES = "/rest/config/folders", "/rest/config/devices"
DOCS, ART = f"{FOLDERS}/docs", f"{FOLDERS}/art"
RESET, STATUS, UPGRADE = "/rest/system/reset", "/rest/system/status", "/rest/system/upgrade"
BROWSE = "/rest/system/browse"
PENDING_DEVICES, PENDING_FOLDERS = "/rest/cluster/pending/devices", "/rest/cluster/pending/folders"
OK = Answer()

CONFIGURED: dict[str, Any] = {
    "folders": [
        {"id": "docs", "path": "/data/docs", "paused": False, "devices": [{"deviceID": A, "encryptionPassword": "p"}]},
        {"id": "art", "path": "/data/art", "paused": False, "devices": []},
        {"id": "old", "path": "/data/old", "paused": True, "devices": []},
    ],
    "devices": [{"deviceID": A}],
    "gui": {"apiKey": "key", "theme": "default"},
    "options": {},
}


class Syncthing:
    """A scripted Syncthing instance and a client for it."""

    def __init__(self, server: ScriptedServer, client: SyncthingClient) -> None:
        self._server = server
        self.client = client
        self.does({CONFIG: answers(CONFIGURED), FOLDERS: OK, DEVICES: OK, DOCS: OK, ART: OK})
        self.does({STATUS: answers({"pathSeparator": "/", "tilde": "/home/someone"}), BROWSE: answers([])})

    def does(self, table: Mapping[str, Behaviour | Sequence[Behaviour]]) -> None:
        """Change the answers of some paths."""
        self._server.table.update(table)

    def executes(self, command: str, **arguments: Any) -> Any:
        """Execute a command, and return its data."""
        request = Request(command=ROWS[command], arguments=check(ROWS[command], arguments))
        return execute(self.client, with_ids(request, Known(config=None)))

    @property
    def changes(self) -> list[tuple[Any, ...]]:
        """The changing requests in order: method and target, and the body if there is one."""
        return [
            (request.line, json.loads(request.body)) if request.body else (request.line,)
            for request in self._server.requests
            if not request.line.startswith("GET ")
        ]


@pytest.fixture
def syncthing() -> Iterator[Syncthing]:
    """A Syncthing instance that has the configuration CONFIGURED and accepts every change."""
    server = ScriptedServer({}).start()
    client = SyncthingClient("key", server.url)
    yield Syncthing(server, client)
    client.close()
    server.stop()


def paused(folder: str, *, is_so: bool = True) -> tuple[str, Any]:
    """Return the request that pauses or resumes a folder."""
    return (f"PATCH {FOLDERS}/{folder}", {"paused": is_so})


# --- pausing


@pytest.mark.parametrize(
    ("name", "arguments", "change"),
    [
        ("pause", {"folder": "docs"}, paused("docs")),
        ("pause", {"folder": "docs", "for": "30m"}, paused("docs")),
        ("resume", {"folder": "docs"}, paused("docs", is_so=False)),
        ("set_paused", {"folder": "docs", "paused": True}, paused("docs")),
        ("set_paused", {"folder": "docs", "paused": False}, paused("docs", is_so=False)),
        ("pause", {"device": A}, (f"POST /rest/system/pause?device={A}",)),
        ("resume", {"device": A}, (f"POST /rest/system/resume?device={A}",)),
        ("set_paused", {"device": A, "paused": True}, (f"POST /rest/system/pause?device={A}",)),
        ("set_paused", {"device": A, "paused": False}, (f"POST /rest/system/resume?device={A}",)),
    ],
)
def test_a_folder_or_a_device_is_paused_or_resumed(
    syncthing: Syncthing, name: str, arguments: dict[str, Any], change: tuple[Any, ...]
) -> None:
    """No other folder or device and no other value is changed."""
    syncthing.does({"/rest/system/pause": OK, "/rest/system/resume": OK})
    assert syncthing.executes(name, **arguments) is None
    assert syncthing.changes == [change]


# --- simple commands


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        ({"folder": "docs"}, "/rest/db/scan?folder=docs"),
        ({"folder": "docs", "sub": "a b", "wait": True}, "/rest/db/scan?folder=docs&sub=a+b"),
        ({"all": True}, "/rest/db/scan"),
    ],
)
def test_a_scan_covers_one_folder_or_every_folder(syncthing: Syncthing, arguments: dict[str, Any], target: str) -> None:
    """Without a folder, Syncthing scans every folder."""
    syncthing.does({"/rest/db/scan": OK})
    syncthing.executes("scan", **arguments)
    assert syncthing.changes == [(f"POST {target}",)]


def test_pending_devices_and_folders_are_read_together(syncthing: Syncthing) -> None:
    """The answer contains both lists unchanged."""
    syncthing.does({PENDING_DEVICES: answers({B: {"name": "b"}}), PENDING_FOLDERS: answers({})})
    assert syncthing.executes("get_pending") == {"devices": {B: {"name": "b"}}, "folders": {}}


def test_secrets_are_removed_from_the_answer(syncthing: Syncthing) -> None:
    """The answer of the client is cleaned before it is published."""
    config = syncthing.executes("get_config")
    assert config["gui"] == {"theme": "default"}
    assert config["folders"][0]["devices"] == [{"deviceID": A}]


def test_an_upgrade_needs_a_newer_version(syncthing: Syncthing) -> None:
    """Syncthing answers with an empty body if there is none. That is an error, and so is a build without upgrades."""
    newer, restarting = answers({"newer": True}), answers({"ok": "restarting"})
    syncthing.does({UPGRADE: [newer, OK, refuses(501, "upgrade unsupported"), newer, restarting]})
    with pytest.raises(NotApplicable, match="no newer version"):
        syncthing.executes("upgrade")
    with pytest.raises(Unsupported):
        syncthing.executes("upgrade")
    assert syncthing.executes("upgrade") == {"ok": "restarting"}


# --- reset

STARTED, STARTED_AGAIN = answers({"startTime": "1"}), answers({"startTime": "2"})


def test_a_reset_pauses_running_folders_and_resumes_them(syncthing: Syncthing) -> None:
    """Syncthing refuses to reset running folders. After its restart, folders that were paused before stay paused."""
    syncthing.does({STATUS: [STARTED, STARTED_AGAIN], RESET: answers({"ok": "resetting"})})
    reply = syncthing.executes("reset", all=True)
    assert reply == {"reset": ["docs", "art", "old"], "resumed": ["docs", "art"]}
    assert syncthing.changes == [
        paused("docs"),
        paused("art"),
        (f"POST {RESET}",),
        paused("docs", is_so=False),
        paused("art", is_so=False),
    ]


@pytest.mark.parametrize(("folder", "resumed"), [("docs", ["docs"]), ("old", [])])
def test_a_reset_of_one_folder_leaves_the_others_alone(syncthing: Syncthing, folder: str, resumed: list[str]) -> None:
    """The other folders continue when Syncthing is back."""
    syncthing.does({STATUS: [STARTED, STARTED_AGAIN], RESET: answers({"ok": "resetting"})})
    assert syncthing.executes("reset", folder=folder) == {"reset": [folder], "resumed": resumed}
    assert syncthing.changes == [
        *map(paused, resumed),
        (f"POST {RESET}?folder={folder}",),
        *(paused(one, is_so=False) for one in resumed),
    ]


@pytest.mark.parametrize(
    "refusing",
    [{ART: [refuses(500, "no"), OK]}, {RESET: refuses(500, "no")}],
    ids=["to pause", "to reset"],
)
def test_a_reset_that_is_refused_changes_nothing(syncthing: Syncthing, refusing: dict[str, Any]) -> None:
    """Folders that were paused for the reset are resumed, and the error is that of the refusal."""
    syncthing.does({STATUS: STARTED, RESET: OK, **refusing})
    with pytest.raises(Rejected, match=r"^no$"):
        syncthing.executes("reset", all=True)
    assert syncthing.changes[-2:] == [paused("docs", is_so=False), paused("art", is_so=False)]


@pytest.mark.parametrize(
    ("then", "error", "may_have_run"),
    [
        ({RESET: refuses(500, "no"), ART: [OK, refuses(500, "disk full")]}, Rejected, False),
        ({RESET: closes, ART: [OK, refuses(500, "disk full")]}, Unreachable, True),
    ],
    ids=["refused", "lost"],
)
def test_a_failed_reset_reports_folders_that_stay_paused(
    syncthing: Syncthing, then: dict[str, Any], error: type[SyncthingError], *, may_have_run: bool
) -> None:
    """The error is the first one, states whether the reset may have run, and lists the folders to resume."""
    syncthing.does({STATUS: STARTED, **then})
    with pytest.raises(error, match=r"; these folders are still paused: art$") as failed:
        syncthing.executes("reset", all=True)
    assert failed.value.may_have_run == may_have_run
    assert paused("docs", is_so=False) in syncthing.changes


def test_a_reset_without_a_restart_reports_folders_that_stay_paused(
    syncthing: Syncthing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Syncthing was reset and must not be reset again. It is unknown when the folders can be resumed."""
    monkeypatch.setattr(operations, "RESTART_S", 0.0)
    syncthing.does({STATUS: STARTED, RESET: answers({"ok": "resetting"})})
    with pytest.raises(TimedOut, match=r"was reset.*; these folders are still paused: docs, art$"):
        syncthing.executes("reset", all=True)
    with pytest.raises(TimedOut, match=r"not restarted after 0 s$"):
        syncthing.executes("reset", folder="old")


def test_a_reset_that_cannot_resume_reports_folders_that_stay_paused(syncthing: Syncthing) -> None:
    """The reset was executed, so the error must not make a repetition run it again."""
    syncthing.does({STATUS: [STARTED, STARTED_AGAIN], RESET: answers({"ok": "resetting"})})
    syncthing.does({DOCS: [OK, refuses(500, "disk full")]})
    with pytest.raises(TimedOut, match=r"was reset.*disk full; these folders are still paused: docs, art$"):
        syncthing.executes("reset", all=True)


# --- a new configuration


def test_a_configuration_is_merged_part_by_part(syncthing: Syncthing) -> None:
    """Devices come first, then folders, and the GUI last. Existing entries are changed, and new ones are added."""
    syncthing.does({f"{DEVICES}/{A}": OK, f"{CONFIG}/gui": OK, f"{CONFIG}/options": OK})
    syncthing.does({f"{CONFIG}/defaults/folder": OK, f"{CONFIG}/defaults/ignores": OK})
    document = {
        "gui": {"theme": "dark"},
        "defaults": {"ignores": {"lines": ["*.tmp"]}, "folder": {"path": "~/sync"}},
        "folders": [{"id": "docs", "label": "Papers"}, {"id": "new", "path": "/new"}],
        "devices": [{"deviceID": C}, {"deviceID": A, "name": "a"}],
        "options": {"maxSendKbps": 5},
    }
    assert syncthing.executes("new_config", config=document) == {
        "changed": [
            *(f"devices/{C}", f"devices/{A}", "folders/docs", "folders/new"),
            *("options", "defaults/ignores", "defaults/folder", "gui"),
        ]
    }
    assert syncthing.changes == [
        (f"POST {DEVICES}", {"deviceID": C}),
        (f"PATCH {DEVICES}/{A}", {"deviceID": A, "name": "a"}),
        (f"PATCH {DOCS}", {"id": "docs", "label": "Papers"}),
        (f"POST {FOLDERS}", {"id": "new", "path": "/new"}),
        (f"PATCH {CONFIG}/options", {"maxSendKbps": 5}),
        (f"PUT {CONFIG}/defaults/ignores", {"lines": ["*.tmp"]}),
        (f"PATCH {CONFIG}/defaults/folder", {"path": "~/sync"}),
        (f"PATCH {CONFIG}/gui", {"theme": "dark"}),
    ]


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (refuses(400, "not so"), Rejected, "not so"),
        (NO_ROUTE, Unsupported, "this version of Syncthing has no PATCH /rest/config/options"),
        (refuses(401), Unauthorized, "api_key: .*"),
    ],
)
def test_a_partial_failure_reports_the_changes_before_it(
    syncthing: Syncthing, answer: Answer, error: type[StbridgeError], why: str
) -> None:
    """Syncthing has no transactions, so the sender must know the changes made so far. The type of the error stays."""
    syncthing.does({f"{CONFIG}/options": answer})
    document = {"folders": [{"id": "docs"}, {"id": "art"}], "options": {"maxSendKbps": -1}, "gui": {}}
    with pytest.raises(error, match=rf"^options: {why} \(changed before it: folders/docs, folders/art\)$"):
        syncthing.executes("new_config", config=document)
    with pytest.raises(error, match=f"^options: {why}$"):
        syncthing.executes("new_config", config={"options": {}})
    assert [line for line, _ in syncthing.changes if "gui" in line] == []


@pytest.mark.parametrize("document", [{"gui": {"apiKey": "other"}}, {"devices": []}, {"nonsense": {}}])
def test_a_configuration_that_would_lock_out_the_bridge_changes_nothing(
    syncthing: Syncthing, document: dict[str, Any]
) -> None:
    """Valid parts of the same document are not changed either."""
    with pytest.raises(CommandError):
        syncthing.executes("new_config", config={"folders": [{"id": "docs"}], **document})
    assert syncthing.changes == []


def test_a_configuration_without_a_gui_keeps_the_key(syncthing: Syncthing) -> None:
    """A replaced configuration without the key must not lock the bridge out of Syncthing."""
    syncthing.executes("new_config", config={"folders": [], "devices": []}, replace=True)
    assert syncthing.changes == [(f"PUT {CONFIG}", {"folders": [], "devices": [], "gui": {"apiKey": "key"}})]


def test_a_replaced_configuration_keeps_its_secrets(syncthing: Syncthing) -> None:
    """The answer of `get_config` can be written back. Entries that are missing in it are removed."""
    config = syncthing.executes("get_config")
    del config["folders"][1:]
    config["options"] = {"maxSendKbps": 5}
    assert syncthing.executes("new_config", config=config, replace=True) == {"changed": ["everything"]}
    expected = {**CONFIGURED, "folders": CONFIGURED["folders"][:1], "options": {"maxSendKbps": 5}}
    assert syncthing.changes == [(f"PUT {CONFIG}", expected)]


# --- all devices, limits


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_all_devices_are_paused_and_resumed_with_one_request(syncthing: Syncthing, what: str) -> None:
    """Without a device, Syncthing pauses or resumes all of them."""
    syncthing.does({f"/rest/system/{what}": OK})
    assert syncthing.executes(f"{what}_all") is None
    assert syncthing.changes == [(f"POST /rest/system/{what}",)]


@pytest.mark.parametrize(
    ("limits", "change"),
    [
        ({"send_kbps": 500}, {"maxSendKbps": 500}),
        ({"recv_kbps": 0}, {"maxRecvKbps": 0}),
        ({"send_kbps": 0, "recv_kbps": 7}, {"maxSendKbps": 0, "maxRecvKbps": 7}),
    ],
)
def test_only_the_given_limits_are_changed(
    syncthing: Syncthing, limits: dict[str, int], change: dict[str, int]
) -> None:
    """0 is a limit as well: it means unlimited."""
    syncthing.does({"/rest/config/options": OK})
    assert syncthing.executes("set_limits", **limits) is None
    assert syncthing.changes == [("PATCH /rest/config/options", change)]


@pytest.mark.parametrize("limits", [{}, {"send_kbps": -1}, {"send_kbps": 2**31}, {"recv_kbps": 1.5}])
def test_limits_that_syncthing_would_refuse_are_refused(syncthing: Syncthing, limits: dict[str, Any]) -> None:
    """One of both must be given."""
    with pytest.raises(CommandError):
        syncthing.executes("set_limits", **limits)
    assert syncthing.changes == []


# --- old versions of files

VERSIONS = "/rest/folder/versions"
KEPT = {"a.txt": [{"versionTime": "2026-11-20T19:30:00+01:00", "modTime": "2026-11-20T19:30:00+01:00", "size": 1}]}


@pytest.mark.parametrize("version", ["2026-11-20T19:30:00+01:00", "2026-11-20T18:30:00Z"])
def test_a_version_is_restored_by_its_time(syncthing: Syncthing, version: str) -> None:
    """Syncthing gets the time as it has written it, whatever the time zone of the command."""
    syncthing.does({VERSIONS: [answers(KEPT), answers({})]})
    assert syncthing.executes("restore_version", folder="docs", file="a.txt", version=version) is None
    assert syncthing.changes == [(f"POST {VERSIONS}?folder=docs", {"a.txt": "2026-11-20T19:30:00+01:00"})]


@pytest.mark.parametrize(
    ("file", "version", "code"),
    [
        ("b.txt", "2026-11-20T18:30:00Z", "not_found"),
        ("a.txt", "2026-11-20T18:30:01Z", "not_found"),
        ("a.txt", "2026-11-20T18:30:00", "not_found"),
        ("a.txt", "yesterday", "invalid_arguments"),
    ],
)
def test_a_version_that_does_not_exist_is_not_restored(
    syncthing: Syncthing, file: str, version: str, code: str
) -> None:
    """Syncthing would move the current file away before it looks for the version."""
    syncthing.does({VERSIONS: answers(KEPT)})
    with pytest.raises((NotFound, CommandError)) as refused:
        syncthing.executes("restore_version", folder="docs", file=file, version=version)
    assert isinstance(refused.value, NotFound | CommandError)
    assert refused.value.code == code
    assert syncthing.changes == []


def test_the_reason_why_a_version_is_not_restored_is_reported(syncthing: Syncthing) -> None:
    """Syncthing answers with status 200 then."""
    syncthing.does({VERSIONS: [answers(KEPT), answers({"a.txt": "cannot restore on top of a directory"})]})
    with pytest.raises(Rejected, match="cannot restore on top of a directory"):
        syncthing.executes("restore_version", folder="docs", file="a.txt", version="2026-11-20T18:30:00Z")


# --- pending devices and folders


@pytest.mark.parametrize(
    ("offered", "arguments", "name"),
    [({"name": "b"}, {}, "b"), ({"name": "b"}, {"name": "phone"}, "phone"), ({"name": ""}, {}, ""), ({}, {}, "")],
)
def test_a_device_is_accepted_under_its_own_name_or_another(
    syncthing: Syncthing, offered: dict[str, str], arguments: dict[str, str], name: str
) -> None:
    """The device may connect from any address."""
    syncthing.does({PENDING_DEVICES: answers({B: offered})})
    assert syncthing.executes("accept_device", device=B, **arguments) == {"deviceID": B, "name": name}
    assert syncthing.changes == [(f"POST {DEVICES}", {"deviceID": B, "name": name, "addresses": ["dynamic"]})]


OFFER, ENCRYPTED = {"label": "Photos", "receiveEncrypted": False}, {"label": "Photos", "receiveEncrypted": True}


@pytest.mark.parametrize(
    ("offered_by", "arguments", "expected"),
    [
        ({A: OFFER}, {}, {"label": "Photos", "path": "/home/someone/Photos", "type": "sendreceive"}),
        ({A: {"label": ""}}, {}, {"label": "", "path": "/home/someone/photos", "type": "sendreceive"}),
        ({A: ENCRYPTED}, {}, {"label": "Photos", "path": "/home/someone/Photos", "type": "receiveencrypted"}),
        ({A: OFFER}, {"label": "Bilder"}, {"label": "Bilder", "path": "/home/someone/Bilder", "type": "sendreceive"}),
        (
            {A: OFFER},
            {"type": "receiveonly"},
            {"label": "Photos", "path": "/home/someone/Photos", "type": "receiveonly"},
        ),
        ({A: OFFER}, {"path": "/p"}, {"label": "Photos", "path": "/p", "type": "sendreceive"}),
        ({A: {"label": "a/b"}}, {"path": "/p"}, {"label": "a/b", "path": "/p", "type": "sendreceive"}),
    ],
)
def test_a_new_folder_is_accepted_with_offered_or_given_values(
    syncthing: Syncthing, offered_by: dict[str, Any], arguments: dict[str, str], expected: dict[str, str]
) -> None:
    """By default its path is its label below the default path, and encrypted offers become encrypted folders."""
    syncthing.does(
        {
            PENDING_FOLDERS: answers({"photos": {"offeredBy": offered_by}}),
            "/rest/config/defaults/folder": answers({"path": "/home/someone/"}),
        }
    )
    assert syncthing.executes("accept_folder", folder="photos", **arguments) == {"id": "photos", **expected}
    shared = [{"deviceID": device} for device in offered_by]
    assert syncthing.changes == [(f"POST {FOLDERS}", {"id": "photos", **expected, "devices": shared})]


@pytest.mark.parametrize(("device", "accepted"), [({}, [B, C]), ({"device": C}, [C])])
def test_an_accepted_folder_is_shared_with_the_devices_that_offer_it(
    syncthing: Syncthing, device: dict[str, str], accepted: list[str]
) -> None:
    """It is shared with all of them, or only with the given one."""
    syncthing.does({PENDING_FOLDERS: answers({"new": {"offeredBy": {B: OFFER, C: OFFER}}})})
    syncthing.executes("accept_folder", folder="new", path="/new", **device)
    ((_, config),) = syncthing.changes
    assert config["devices"] == [{"deviceID": one} for one in accepted]


def test_an_existing_folder_is_also_shared_with_the_offering_device(syncthing: Syncthing) -> None:
    """Other devices that share it keep it, with their passwords. Nothing else changes."""
    syncthing.does({PENDING_FOLDERS: answers({"docs": {"offeredBy": {B: OFFER, A: OFFER}}})})
    assert syncthing.executes("accept_folder", folder="docs") == {"id": "docs", "path": "/data/docs"}
    devices = [{"deviceID": A, "encryptionPassword": "p"}, {"deviceID": B}]
    assert syncthing.changes == [(f"PATCH {DOCS}", {"devices": devices})]


@pytest.mark.parametrize(
    "label", ["a/b", "..", ".hidden", "a\\b", "C:", "what?", "a\nb", "tab\t", "\u202e", "~", "x" * 256]
)
def test_an_unsafe_label_is_not_used_as_a_path(syncthing: Syncthing, label: str) -> None:
    """The ID is used instead. The offering device also chooses the ID, so it may be unsafe, too."""
    syncthing.does({"/rest/config/defaults/folder": answers({"path": ""})})
    syncthing.does({PENDING_FOLDERS: answers({one: {"offeredBy": {A: {"label": label}}} for one in ("photos", label)})})
    with pytest.raises(CommandError, match="give path") as refused:
        syncthing.executes("accept_folder", folder=label)
    assert refused.value.code == "invalid_arguments"
    assert syncthing.changes == []
    assert syncthing.executes("accept_folder", folder="photos")["path"] == "~/photos"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/data/docs", NotApplicable),
        ("/data/docs/new", NotApplicable),
        ("/data", NotApplicable),
        ("/home/someone", NotApplicable),
        ("~", NotApplicable),
        ("new", CommandError),
    ],
)
def test_a_folder_is_not_added_to_an_existing_directory(
    syncthing: Syncthing, path: str, error: type[Exception]
) -> None:
    """The path of another folder or an existing directory is refused, unless the command allows it explicitly."""
    syncthing.does({PENDING_FOLDERS: answers({"new": {"offeredBy": {A: OFFER}}}), BROWSE: answers(["/home/someone/"])})
    with pytest.raises(error, match=r"path|directory"):
        syncthing.executes("accept_folder", folder="new", path=path)
    with pytest.raises(CommandError, match="existing needs path"):
        syncthing.executes("accept_folder", folder="new", existing=True)
    assert syncthing.changes == []
    assert syncthing.executes("accept_folder", folder="new", path=path, existing=True)["path"] == path


@pytest.mark.parametrize(
    ("name", "arguments", "what"),
    [
        ("accept_device", {"device": C}, f"no pending device '{C}'"),
        ("accept_folder", {"folder": "photos"}, "no pending folder 'photos'"),
        ("accept_folder", {"folder": "more", "device": C}, "no pending folder 'more'"),
        ("accept_folder", {"folder": "none"}, "no pending folder 'none'"),
    ],
)
def test_only_pending_devices_and_folders_are_accepted(
    syncthing: Syncthing, name: str, arguments: dict[str, str], what: str
) -> None:
    """A device or folder without an offer, or without one from the given device, is not added."""
    offers = {"more": {"offeredBy": {A: OFFER}}, "none": {"offeredBy": None}}
    syncthing.does({PENDING_DEVICES: answers({B: {}}), PENDING_FOLDERS: answers(offers)})
    with pytest.raises(NotFound, match=what):
        syncthing.executes(name, **arguments)
    assert syncthing.changes == []


def test_pending_devices_and_folders_can_be_dismissed(syncthing: Syncthing) -> None:
    """A command dismisses a device, a folder, or the offer of one device."""
    syncthing.does({PENDING_DEVICES: OK, PENDING_FOLDERS: OK})
    syncthing.executes("dismiss_device", device=B)
    syncthing.executes("dismiss_folder", folder="a/b")
    syncthing.executes("dismiss_folder", folder="docs", device=A)
    assert [line for (line,) in syncthing.changes] == [
        f"DELETE {PENDING_DEVICES}?device={B}",
        f"DELETE {PENDING_FOLDERS}?folder=a%2Fb",
        f"DELETE {PENDING_FOLDERS}?folder=docs&device={A}",
    ]
