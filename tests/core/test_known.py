"""Names in commands become IDs; each name must be known, unique and suitable for the command."""

from dataclasses import replace
from typing import Any

import pytest

from stbridge.core.command import EVERY_FOLDER
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import CommandError, Request, check
from stbridge.core.known import Known, check_applicable, with_ids
from stbridge.core.model import PendingDevice, PendingFolder
from tests.core.world import BETA, GAMMA, configured, device, device_id, folder

ROWS = {command.name: command for command in COMMANDS}
TRUE_ID = "MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD"
"""An ID with valid check digits, like the next one from Syncthing's own tests (lib/protocol/deviceid_test.go)."""
WITHOUT_CHECK_DIGITS = "MFZWI3DBONSGYYLTMRWGC43ENRQXGZDMMFZWI3DBONSGYYLTMRWA"
TYPED = TRUE_ID.lower().replace("o", "0").replace("i", "1").replace("b", "8")
"""IDs contain no 0, 1 or 8, so Syncthing reads these digits as the letters that look like them."""
TWIN, STRANGER, GUEST = device_id("TWINTWI"), device_id("STRANGE"), device_id("GUESTGU")

CONFIG = configured(
    [
        folder("docs", BETA, label="Documents"),
        folder("art", label="docs"),
        folder("one", label="Twins"),
        folder("two", label="Twins"),
        folder("all", label="Everything", paused=True),
        replace(folder("plain"), label=""),
    ],
    [
        device(BETA, "beta"),
        device(GAMMA, "gamma"),
        device(TWIN, "beta"),
        device(device_id("NAMELES"), ""),
        device(TRUE_ID, "true"),
        device(device_id(TRUE_ID[:7]), "false"),
    ],
).config
OFFERS = (
    PendingFolder(id="photos", label="Photos", device=BETA, time=None),
    PendingFolder(id="photos", label="Photos", device=GAMMA, time=None),
    PendingFolder(id="docs", label="Twins", device=BETA, time=None),
    PendingFolder(id="more", label="Twins", device=BETA, time=None),
    PendingFolder(id="art", label="Party", device=BETA, time=None),
    PendingFolder(id="all", label="Everything", device=BETA, time=None),
)
GUESTS = tuple(
    PendingDevice(id=one, name=name, address="", time=None) for one, name in ((STRANGER, "phone"), (GUEST, "phone"))
)
KNOWN = Known(config=CONFIG, pending_devices=GUESTS, pending_folders=OFFERS)


def request(command: str, **arguments: Any) -> Request:
    """Return a request whose arguments have passed the check of their form."""
    return Request(command=ROWS[command], arguments=check(ROWS[command], arguments), transaction="t")


@pytest.mark.parametrize(
    ("name", "given", "resolved"),
    [
        ("scan", {"folder": "docs"}, {"folder": "docs"}),
        ("scan", {"folder": "Documents"}, {"folder": "docs"}),
        ("scan", {"folder": "art", "sub": "docs"}, {"folder": "art", "sub": "docs"}),
        ("scan", {"folder": "all"}, {"folder": "all"}),
        ("reset", {"folder": "all"}, {"folder": "all"}),
        ("scan", {"all": True}, {"folder": EVERY_FOLDER}),
        ("reset", {"all": True}, {"folder": EVERY_FOLDER}),
        ("get_folder_status", {"folder": "all"}, {"folder": "all"}),
        ("pause", {"device": BETA}, {"device": BETA}),
        ("pause", {"device": BETA[:7]}, {"device": BETA}),
        ("pause", {"device": BETA.lower()}, {"device": BETA}),
        ("pause", {"device": BETA.replace("-", "")}, {"device": BETA}),
        ("pause", {"device": f" {BETA[:7].lower()} "}, {"device": BETA}),
        ("pause", {"device": BETA.replace("-", " ")}, {"device": BETA}),
        ("pause", {"device": TYPED}, {"device": TRUE_ID}),
        ("pause", {"device": WITHOUT_CHECK_DIGITS}, {"device": TRUE_ID}),
        ("pause", {"device": TRUE_ID[:15].lower()}, {"device": TRUE_ID}),
        ("pause", {"device": BETA[:15]}, {"device": BETA}),
        ("pause", {"device": BETA[:31].lower()}, {"device": BETA}),
        ("pause", {"device": "gamma", "for": "5m"}, {"device": GAMMA, "for": "5m"}),
        ("get_completion", {"device": "gamma", "folder": "Documents"}, {"device": GAMMA, "folder": "docs"}),
        ("get_completion", {}, {}),
        ("accept_folder", {"folder": "Photos", "device": "gamma"}, {"folder": "photos", "device": GAMMA}),
        ("accept_folder", {"folder": "docs"}, {"folder": "docs"}),
        ("accept_folder", {"folder": "Everything"}, {"folder": "all"}),
        ("accept_folder", {"folder": "art"}, {"folder": "art"}),
        ("dismiss_folder", {"folder": "Party"}, {"folder": "art"}),
        ("dismiss_folder", {"folder": "more"}, {"folder": "more"}),
        ("accept_device", {"device": STRANGER[:7], "name": "gamma"}, {"device": STRANGER, "name": "gamma"}),
        ("new_error", {"message": "Documents"}, {"message": "Documents"}),
    ],
)
def test_a_name_becomes_an_id(name: str, given: dict[str, Any], resolved: dict[str, Any]) -> None:
    """A folder has an ID and a label, a device an ID, a short ID and a name. IDs take precedence over labels."""
    before = request(name, **given)
    assert with_ids(before, KNOWN) == replace(before, arguments=resolved)
    assert before.arguments == given


@pytest.mark.parametrize("name", ["scan", "reset"])
def test_all_means_every_folder_unless_a_folder_has_that_name(name: str) -> None:
    """The word cannot hide a folder of that name, and such a folder cannot hide `all: true`."""
    known = Known(config=configured([folder("docs")], []).config)
    assert with_ids(request(name, folder="all"), known).arguments == {"folder": EVERY_FOLDER}
    labelled = Known(config=configured([folder("docs", label="all")], []).config)
    assert with_ids(request(name, folder="all"), labelled).arguments == {"folder": "docs"}
    assert with_ids(request(name, all=True), labelled).arguments == {"folder": EVERY_FOLDER}


def test_a_scan_of_every_folder_needs_one_that_is_not_paused() -> None:
    """With `ok`, the sender would assume that something was scanned."""
    every = replace(request("scan", all=True), arguments={"folder": EVERY_FOLDER})
    running, paused = folder("docs"), folder("art", paused=True)
    check_applicable(every, configured([running, paused], []).config)
    with pytest.raises(CommandError, match="every folder is paused: resume one first"):
        check_applicable(every, configured([paused], []).config)


@pytest.mark.parametrize(
    ("name", "given", "code", "message"),
    [
        ("scan", {"all": False}, "invalid_arguments", "all must be true, or be left out"),
        ("scan", {"folder": "Docs"}, "not_found", "there is no folder 'Docs'"),
        ("scan", {"folder": "photos"}, "not_found", "there is no folder 'photos'"),
        ("scan", {"folder": "Twins"}, "invalid_arguments", "the name 'Twins' is not unique"),
        ("get_folder_status", {"folder": "ALL"}, "not_found", "there is no folder 'ALL'"),
        ("pause", {"device": "phone"}, "not_found", "there is no device 'phone'"),
        ("pause", {"device": BETA[:6]}, "not_found", f"there is no device {BETA[:6]!r}"),
        ("pause", {"device": "beta"}, "invalid_arguments", "the name 'beta' is not unique"),
        (
            "get_remote_need",
            {"device": "beta", "folder": "nope"},
            "invalid_arguments",
            "the name 'beta' is not unique",
        ),
        ("accept_folder", {"folder": "Documents"}, "not_found", "no pending folder 'Documents'"),
        ("accept_folder", {"folder": "Party"}, "invalid_arguments", "'art' with the label 'docs': give the ID"),
        ("accept_folder", {"folder": "photos", "device": "phone"}, "not_found", "there is no device 'phone'"),
        (
            "accept_folder",
            {"folder": "Twins"},
            "invalid_arguments",
            "is not unique, give the ID of the pending folder",
        ),
        ("accept_device", {"device": "gamma"}, "not_found", "no pending device 'gamma'"),
        (
            "dismiss_device",
            {"device": "phone"},
            "invalid_arguments",
            "is not unique, give the ID of the pending device",
        ),
    ],
)
def test_an_unknown_or_ambiguous_name_is_refused(name: str, given: dict[str, Any], code: str, message: str) -> None:
    """The bridge does not guess. The message shows whether there is no match or more than one."""
    with pytest.raises(CommandError) as refused:
        with_ids(request(name, **given), KNOWN)
    assert refused.value.code == code
    assert message in refused.value.message


def test_without_a_known_configuration_every_name_counts_as_an_id() -> None:
    """Syncthing has not been read yet, and decides itself."""
    nothing = Known(config=None)
    for name, arguments in (
        ("scan", {"folder": "Documents"}),
        ("pause", {"device": "beta"}),
        ("accept_folder", {"folder": "Photos", "device": "beta"}),
        ("accept_device", {"device": "phone"}),
    ):
        assert with_ids(request(name, **arguments), nothing).arguments == arguments
        check_applicable(request(name, **arguments), None)


TYPES = ("sendreceive", "sendonly", "receiveonly", "receiveencrypted")
RUNNING = (
    *("scan", "priority", "assign_priority", "new_ignores", "override", "revert"),
    *("get_versions", "restore_version"),
)
FOR_TYPES = {"override": {"sendonly"}, "revert": {"receiveonly", "receiveencrypted"}}
REST: dict[str, dict[str, Any]] = {
    "priority": {"file": "f"},
    "assign_priority": {"file": "f"},
    "get_file": {"file": "f"},
    "restore_version": {"file": "f", "version": "2026-11-20T18:30:00Z"},
} | {
    "new_ignores": {"ignore": []},
    "set_paused": {"paused": True},
    "get_remote_need": {"device": BETA},
}
ON_A_FOLDER = [row.name for row in COMMANDS if any(one.type == "folder" for one in row.arguments)]


def why_not(name: str, **of_folder: Any) -> str | None:
    """Return why a command is refused for a folder with these values, or None if it is accepted."""
    config = configured([replace(folder("docs"), **{"versioning": "simple", **of_folder})]).config
    try:
        check_applicable(request(name, folder="docs", **REST.get(name, {})), config)
    except CommandError as refused:
        return f"{refused.code}: {refused.message}"
    return None


@pytest.mark.parametrize("name", ON_A_FOLDER)
def test_commands_are_refused_for_unsuitable_folders(name: str) -> None:
    """Some commands need a type of folder, and some a folder that is not paused."""
    for folder_type in TYPES:
        fits = folder_type in FOR_TYPES.get(name, TYPES)
        assert (why_not(name, type=folder_type) is None) == fits
        assert (why_not(name, type=folder_type, paused=True) is None) == (fits and name not in RUNNING)


def test_a_refusal_shows_the_fix() -> None:
    """The message names the folder and the required type or state."""
    refusals: list[tuple[str, dict[str, Any], str]] = [
        ("override", {"type": "receiveonly"}, "override is for folders of the type sendonly: 'docs' is receiveonly"),
        (
            "revert",
            {"type": "sendonly"},
            "revert is for folders of the type receiveonly or receiveencrypted: 'docs' is sendonly",
        ),
        ("scan", {"paused": True}, "the folder 'docs' is paused: resume it first"),
        *(
            (name, {"versioning": versioning}, f"the folder 'docs' has {message}")
            for name in ("get_versions", "restore_version")
            for versioning, message in (
                ("", "no file versioning: it keeps no old versions"),
                ("external", "external file versioning: Syncthing neither lists nor restores its old versions"),
            )
        ),
    ]
    for name, of_folder, message in refusals:
        assert why_not(name, **of_folder) == f"not_applicable: {message}"


def test_every_folder_is_not_the_folder_with_the_id_all() -> None:
    """A folder with the ID "all" does not affect commands to every folder. Syncthing checks unknown folders itself."""
    check_applicable(replace(request("scan", all=True), arguments={"folder": EVERY_FOLDER}), CONFIG)
    check_applicable(request("scan", folder="unheard-of"), CONFIG)
    with pytest.raises(CommandError, match="'all' is paused"):
        check_applicable(request("new_ignores", folder="all", ignore=[]), CONFIG)
