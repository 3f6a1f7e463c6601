"""The screen of `stbridge watch` as text: what it shows first, on terminals of any size."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from stbridge.core.json_text import on_one_line
from stbridge.core.messages import Received
from stbridge.core.problems import ROWS
from stbridge.core.timing import in_utc
from stbridge.homeassistant import devices, folders
from stbridge.watch.cells import in_ascii
from stbridge.watch.keyboard import keys
from stbridge.watch.notices import notices
from stbridge.watch.screen import screen
from stbridge.watch.status import Tone, status_of
from stbridge.watch.units import duration
from stbridge.watch.view import View
from tests.test_watch import board_with

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CONFLICT = {"code": "conflicts", "message": "1 conflict file, such as a", "since": "2026-11-23T21:00:00Z"}


def folder(label: str, **values: Any) -> Mapping[str, Any]:
    """Return the payload of a folder that is up to date, with other values for some keys."""
    healthy = {
        "id": label.lower(),
        "label": label,
        "paused": False,
        "state": "idle",
        "status": "up_to_date",
        "completion": 100.0,
        "global_bytes": 3_000_000,
        "need_bytes": 0,
        "need_items": 0,
        "need_total_items": 0,
        "failed": 0,
        "conflicts": 0,
        "problem": False,
        "problems": [],
    }
    return {**healthy, **values}


def device(name: str, **values: Any) -> Mapping[str, Any]:
    """Return the payload of a device that is connected and up to date, with other values for some keys."""
    healthy = {
        "id": f"{name}-1",
        "name": name,
        "paused": False,
        "connected": True,
        "status": "up_to_date",
        "completion": 100.0,
        "need_bytes": 0,
        "need_total_items": 0,
        "in_rate": 0.0,
        "out_rate": 0.0,
        "last_seen_at": "2026-11-23T23:59:00Z",
        "problem": False,
        "problems": [],
    }
    return {**healthy, **values}


def tree(*entries: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the topics of a bridge with one instance."""
    found: dict[str, Any] = {
        "bridge/state": "online",
        "nas/state": "online",
        "nas/system": {"state": "idle", "in_sync": True, "problems": []},
        "nas/metrics": {"in_rate": 0.0, "out_rate": 0.0},
    }
    for entry in entries:
        identifier = entry["id"].removesuffix("-1")
        found[f"nas/{'folder' if 'label' in entry else 'device'}/{identifier}"] = entry
    return {**found, **{f"nas/{topic}": payload for topic, payload in more.items()}}


def drawn(topics: Mapping[str, Any], pressed: Iterable[str] = (), *, width: int = 80, height: int = 24) -> Text:
    """Return the screen after some keys."""
    board, view = board_with(topics), View()
    for key in pressed:
        view.press(key, board)
    return screen(board, view, now=NOW, width=width, height=height)


def lines(topics: Mapping[str, Any], pressed: Iterable[str] = (), *, width: int = 80, height: int = 24) -> list[str]:
    """Return the lines of the screen after some keys."""
    return [line.rstrip() for line in drawn(topics, pressed, width=width, height=height).plain.split("\n")]


def line_of(found: list[str], text: str) -> str:
    """Return the line that contains a text."""
    return next(line for line in found if text in line)


def column_of(line: str, text: str) -> int:
    """Return the column of the terminal in which a text begins."""
    return cell_len(line[: line.index(text)])


MANY = [folder(f"Folder {number:02}") for number in range(50)]


# --- what matters first


def test_a_problem_is_on_top_with_its_fix() -> None:
    """The problem comes before all folders, and the fix contains the topic in full."""
    found = lines(tree(folder("Aardvark"), folder("Photos", problem=True, conflicts=1, problems=[CONFLICT])))
    assert found[:4] == [
        "stbridge  the bridge is online  1 problem",
        "! nas Photos: 1 conflict file, such as a",
        "    Compare each conflict file with its original, then delete it. See",
        "    syncthing/nas/folder/photos/conflicts.",
    ]
    assert "! Up to date" in line_of(found, " Photos ")


def test_without_problems_there_is_only_the_list() -> None:
    """The screen shows in one place that everything is right."""
    found = lines(tree(folder("Photos"), device("laptop")))
    assert found[0] == "stbridge  the bridge is online  no problems"
    assert found[1].startswith("── nas  Up to date  in 0 B/s  out 0 B/s ──")
    assert not any("!" in line for line in found)


def test_the_problem_of_an_instance_comes_before_those_of_folders_and_devices() -> None:
    """The list of the instance contains the others, too, but each problem is shown once."""
    own = {"code": "system_errors", "message": "disk almost full"}
    unseen = {"code": "unseen", "message": "not seen"}
    system = {"state": "idle", "problems": [own, {**CONFLICT, "folder": "photos", "label": "Photos"}]}
    entries = folder("Photos", problems=[CONFLICT]), device("phone", connected=False, problems=[unseen])
    found = notices(board_with({**tree(*entries), "nas/system": system}))
    assert [(one.name, one.code) for one in found] == [
        ("", "system_errors"),
        ("Photos", "conflicts"),
        ("phone", "unseen"),
    ]


@pytest.mark.parametrize("code", [row.code for row in ROWS])
def test_every_problem_has_its_fix(code: str) -> None:
    """The fix is that of the documentation, without its markup."""
    problem = {"code": code, "message": "it is wrong"}
    (found,) = notices(board_with(tree(folder("Photos", problems=[problem]))))
    assert found.message == "it is wrong"
    assert found.fix
    assert "`" not in found.fix


def test_the_problem_of_a_newer_bridge_is_shown_without_a_fix() -> None:
    """Later versions may add problems."""
    (found,) = notices(board_with(tree(folder("Photos", problems=[{"code": "new", "message": "it is wrong"}]))))
    assert (found.message, found.fix) == ("it is wrong", "")


def test_many_problems_leave_room_for_the_list() -> None:
    """They fill a third of the screen, and a page of its own shows all of them."""
    topics = tree(*(folder(f"Folder {number:02}", problems=[CONFLICT]) for number in range(20)))
    found = lines(topics)
    assert "  18 more: press tab" in found[:9]
    assert any(line.startswith(">Folder 00") for line in found)
    page = lines(topics, ["tab", "end"])
    assert "nas Folder 19  since 2026-11-23 21:00 (3 h ago)" in page
    assert lines(topics, ["tab", "tab"]) == found


def test_a_large_terminal_shows_all_problems() -> None:
    """What the list does not need is used for problems."""
    topics = tree(*(folder(f"Folder {number:02}", problems=[CONFLICT]) for number in range(10)))
    assert not any("press tab" in line for line in lines(topics, height=60))


# --- connections


def test_an_instance_that_is_offline_is_shown_with_the_reason() -> None:
    """The reason of `connection` contains the fix; the problems of the instance may be outdated and are not shown."""
    reason = "syncthing.nas.api_key: Syncthing at http://nas:8384 rejects the API key. Copy it from Syncthing."
    connection = {"status": "unauthorized", "message": reason, "since": "2026-11-23T22:00:00Z"}
    topics = {**tree(folder("Photos", problems=[CONFLICT])), "nas/state": "offline", "nas/connection": connection}
    found = lines(topics)
    assert found[0] == "stbridge  the bridge is online  1 problem"
    assert " ".join(line.strip() for line in found[1:3]) == f"! nas: {reason}"
    assert line_of(found, "──").startswith("── nas  Offline for 2 h ──")
    assert any("Photos" in line for line in found)


def test_a_bridge_that_is_offline_makes_all_values_outdated() -> None:
    """Retained messages stay on the broker, so the screen would look normal."""
    found = lines({**tree(folder("Photos")), "bridge/state": "offline"})
    assert found[0] == "stbridge  the bridge is offline  1 problem"
    assert found[1] == "! The bridge is offline: all values may be outdated."
    outdated = drawn({**tree(folder("Music"), folder("Photos")), "bridge/state": "offline"})
    assert "dim" in {str(span.style) for span in outdated.spans}


def test_a_broker_without_a_bridge_is_named() -> None:
    """The most frequent reasons are shown."""
    assert "stbridge  the bridge is not seen" in lines({})
    assert "has the same mqtt.base_topic." in " ".join(lines({}))


def test_a_topic_without_a_state_makes_an_unknown_instance() -> None:
    """Such topics are left over, or another program published them."""
    found = lines({"bridge/state": "online", "nas/folder/photos": folder("Photos")})
    assert found[1] == "! nas: The bridge does not publish the state of this instance."
    assert line_of(found, "──").startswith("── nas  Unknown ──")


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ({"state": "idle", "in_sync": False, "need_items": 0, "need_total_items": 1}, "Out of sync, needs 1 item"),
        ({"state": "syncing", "need_items": 2, "need_bytes": 1000}, "Syncing, needs 2 items, 1.0 kB"),
        ({"state": "error"}, "Folder stopped"),
        ({"state": "paused", "in_sync": None}, "Paused"),
        ({}, "Unknown"),
    ],
)
def test_an_instance_is_summarized(system: Mapping[str, Any], words: str) -> None:
    """Its line shows the state of all folders together."""
    assert line_of(lines({**tree(), "nas/system": system}), "──").startswith(f"── nas  {words}  in 0 B/s")


def test_pending_devices_and_folders_follow_the_problems() -> None:
    """They are requests, not problems, and the screen shows who offers a folder."""
    pending = {
        "devices": [{"device": "4CZBCB6-1", "name": "tablet", "address": "192.168.1.40:22000", "time": None}],
        "folders": [{"folder": "recipes", "label": "Recipes", "device": "laptop", "time": None}],
    }
    found = lines(tree(folder("Photos", problems=[CONFLICT]), device("laptop"), pending=pending), height=30)
    assert found[0] == "stbridge  the bridge is online  1 problem  2 pending requests"
    assert found[4:6] == [
        "? nas tablet: Pending device 4CZBCB6-1 at 192.168.1.40:22000",
        "    Accept or dismiss it on Syncthing's page, or with the commands accept_device",
    ]
    assert "? nas Recipes: Pending folder recipes, offered by laptop" in found


# --- folders and devices


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (folder("Photos"), "Up to date"),
        (folder("Photos", status="out_of_sync"), "Out of sync"),
        (folder("Photos", status="sync-preparing"), "Preparing to sync"),
        (folder("Photos", status="of_the_future"), "Of the future"),
        ({"id": "photos", "label": "Photos", "state": "idle"}, "Idle"),
        ({"id": "photos", "label": "Photos", "state": "error"}, "Stopped"),
        ({"id": "photos", "label": "Photos", "state": "scanning"}, "Scanning"),
        (device("laptop"), "Up to date"),
        (device("laptop", status="disconnected_inactive", connected=False), "Disconnected (inactive)"),
        ({"id": "laptop", "name": "laptop", "connected": True}, "Connected"),
        ({"id": "laptop", "name": "laptop", "connected": False}, "Disconnected"),
        ({"id": "laptop", "name": "laptop", "connected": True, "paused": True}, "Paused"),
    ],
)
def test_the_status_has_the_words_of_syncthings_page(payload: Mapping[str, Any], words: str) -> None:
    """Older bridges do not publish `status`: then `state` or the connection is shown, as far as it is known."""
    found = lines(tree(payload), width=120)
    row = line_of(found, "Photos" if "label" in payload else "laptop")
    assert f" {words} " in f"{row} "


def test_every_status_has_an_emphasis() -> None:
    """Only an unknown status, such as one of a newer bridge, looks like one."""
    board = board_with(tree(*(folder(name, status=name) for name in folders.STATUS)))
    board_of_devices = board_with(tree(*(device(name, status=name) for name in devices.STATUS)))
    for one in (board, board_of_devices):
        for place in one.places():
            assert status_of(place, one.payload(place)).tone is not Tone.UNKNOWN


def test_a_folder_that_syncs_shows_its_progress_rate_and_time_left() -> None:
    """The number of items has singular and plural, and a percentage is never rounded up."""
    ends = in_utc(NOW + timedelta(seconds=53))
    values = {
        "status": "syncing",
        "completion": 99.99,
        "need_bytes": 1_725_000,
        "sync_rate": 2.5e7,
        "sync_ends_at": ends,
    }
    one = folder("One", **values, need_total_items=1)
    two = folder("Two", **values, need_total_items=2)
    found = lines(tree(one, two), width=120)
    assert line_of(found, "One").split()[1:2] == ["Syncing"]
    assert line_of(found, "One").endswith("99 %      1 item, 1.7 MB    3.0 MB  25.0 MB/s                  53 s")
    assert "2 items, 1.7 MB" in line_of(found, "Two")
    assert "1.7 MB  25.0 MB/s       53 s" in line_of(lines(tree(one)), "One")


def test_a_folder_that_is_scanned_shows_the_progress_of_the_scan() -> None:
    """Its completion stays 100 % during a scan."""
    ends = in_utc(NOW + timedelta(minutes=5))
    scanned = folder("Photos", status="scanning", scan_progress=34.5, scan_rate=1e8, scan_ends_at=ends)
    row = line_of(lines(tree(scanned)), "Photos")
    assert " 34 % " in row
    assert row.endswith("100.0 MB/s      5 min")


def test_a_paused_folder_shows_when_it_resumes() -> None:
    """Its completion is unknown, which is not 0 %."""
    paused = folder("Photos", status="paused", paused=True, completion=None, resume_at="2026-11-24T02:00:00Z")
    row = line_of(lines(tree(paused)), "Photos")
    assert row.endswith(" 2 h")
    assert "%" not in row
    assert "━" not in row


def test_a_device_shows_when_it_was_last_seen() -> None:
    """A device that was never connected is distinguished from one whose time is not known."""
    away = device("phone", status="disconnected", connected=False, last_seen_at="2026-11-15T00:00:00Z")
    never = device("tablet", status="disconnected_inactive", connected=False, last_seen_at=None)
    found = lines(tree(device("laptop"), away, never, {"id": "old", "name": "old", "connected": False}))
    assert [line_of(found, name).split()[-1] for name in ("laptop", "tablet")] == ["now", "never"]
    assert line_of(found, "phone").endswith(" 9 d ago")
    assert line_of(found, "old").endswith("Disconnected")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (53.9, "53 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d"), (3e9, "34722 d")],
)
def test_durations_are_in_whole_units(seconds: float, words: str) -> None:
    """A duration is never rounded up, and one that is over is zero."""
    assert duration(seconds) == words


@pytest.mark.parametrize("width", [44, 60, 80, 100, 120, 200])
def test_folders_and_devices_have_the_same_columns(width: int) -> None:
    """Also below names of wide characters, which take two columns each."""
    found = lines(tree(folder("写真とビデオ"), folder("Photos"), device("laptop")), width=width)
    rows = [line_of(found, name) for name in ("写真", "Photos", "laptop")]
    for text in ("Up to date", "100 %") if width > 50 else ("Up to date",):
        assert len({column_of(row, text) for row in rows}) == 1
    headings = [line for line in found if "status" in line]
    assert len({column_of(line, "status") for line in headings} | {column_of(rows[0], "Up to date")}) == 1


def test_bars_are_red_only_if_something_is_wrong() -> None:
    """The bar has the emphasis of the status."""
    waiting = folder("Photos", status="syncing", completion=50.0)
    broken = folder("Music", status="stopped", completion=50.0)
    selected = folder("A")
    assert _styles_of_bars(drawn(tree(selected, waiting, device("laptop")))) == {"cyan", "green"}
    assert _styles_of_bars(drawn(tree(selected, broken))) == {"red"}


def _styles_of_bars(shown: Text) -> set[str]:
    return {str(span.style) for span in shown.spans if "━" in shown.plain[span.start : span.end]} - {"reverse", ""}


# --- keys


def test_the_list_moves_with_the_selection() -> None:
    """With 50 folders on 80 x 24, every folder can be reached, and the headings stay on top."""
    topics = tree(*MANY, device("laptop"))
    for number in range(50):
        found = lines(topics, ["down"] * number)
        assert any(line.startswith(f">Folder {number:02} ") for line in found)
        assert any(line.startswith("── nas  Up to date") for line in found[:2])
        assert found[2].split() == ["folder", "status", "needs", "rate", "left"]
    assert any(line.startswith(">laptop") for line in lines(topics, ["end"]))
    assert any(line.startswith(">Folder 10") for line in lines(topics, ["page down"]))
    assert lines(topics, ["page down", "home"]) == lines(topics)
    assert "lines 1 to 18 of 54" in line_of(lines(topics), "latest events")


def test_the_filter_shows_only_what_needs_attention() -> None:
    """Failed items and conflicts count although the problem may be turned off; disconnected devices are normal."""
    entries = [
        folder("Photos", problem=True, problems=[CONFLICT]),
        folder("Music", status="out_of_sync"),
        folder("Films", failed=2),
        folder("Letters", conflicts=1),
        folder("Waiting", status="syncing"),
        device("phone", status="disconnected", connected=False),
    ]
    found = lines(tree(*MANY, *entries), ["f"], height=40)
    shown = [line.split()[0].lstrip(">") for line in found if " %" in line]
    assert shown == ["Films", "Letters", "Music", "Photos"]
    assert "filtered" in found[0]
    assert lines(tree(*MANY, *entries), ["f", "f"]) == lines(tree(*MANY, *entries))


def test_the_filter_of_a_healthy_instance_shows_nothing() -> None:
    """An empty list would look like a fault."""
    assert "Nothing needs attention. Press f to show everything." in lines(tree(*MANY), ["f"])


def test_enter_shows_everything_about_a_folder() -> None:
    """Failed items, conflict files, and how complete the folder is on each device have no room in the list."""
    more = {
        "folder/photos/failed": {"count": 3, "items": [{"path": "a", "error": "no permission"}]},
        "folder/photos/conflicts": {"count": 1, "items": ["b.sync-conflict"], "complete": True},
        "completion/laptop/photos": {
            "completion": 12.5,
            "need_total_items": 1,
            "need_bytes": 9,
            "remote_state": "paused",
        },
    }
    photos = folder("Photos", path="/volume1/photos", problems=[CONFLICT], last_file="a", last_file_deleted=True)
    found = lines(tree(photos, device("laptop"), **more), ["enter"], height=40)
    assert found[1] == "nas: folder Photos  Up to date  100 %"
    for expected in (
        "Problem           1 conflict file, such as a",
        "Path              /volume1/photos",
        "Latest change     a deleted",
        "Failed items (3)",
        "  a: no permission",
        "Conflict files (1)",
        "  b.sync-conflict",
        "  laptop: 12 %, needs 1 item, 9 B, paused",
    ):
        assert expected in found
    assert any(line.startswith(">Photos") for line in lines(tree(photos), ["enter", "escape"]))


def test_enter_shows_everything_about_a_device() -> None:
    """For each folder, it shows how complete it is there."""
    more = {"completion/laptop/photos": {"completion": None, "remote_state": "unknown"}}
    laptop = device("laptop", address="192.168.1.2:22000", connection_type="tcp-client", is_local=True)
    found = lines(tree(folder("Photos"), laptop, **more), ["end", "enter"])
    assert "Connection        tcp-client, local network" in found
    assert "Last seen         2026-11-23 23:59 (60 s ago)" in found
    assert "  Photos: completion unknown" in found


def test_keys_act_only_on_a_selection_that_is_visible() -> None:
    """A device cannot be scanned, and the page of problems shows no selection."""
    board, view = board_with(tree(folder("Photos"), device("laptop"))), View()
    assert view.press("s", board) is not None
    view.press("tab", board)
    assert view.press("s", board) is None
    view.press("tab", board)
    view.press("end", board)
    assert view.press("s", board) is None
    assert view.note == "Only folders can be scanned: select a folder."
    paused = view.press("p", board)
    assert paused is not None
    assert (paused.topic, paused.payload) == (
        "syncthing/nas/command/set_paused",
        b'{"device": "laptop", "paused": true}',
    )


def test_escape_leaves_a_page_before_it_quits() -> None:
    """So a user who is lost comes back to the list."""
    board, view = board_with(tree(folder("Photos"))), View()
    view.press("enter", board)
    view.press("escape", board)
    assert not view.over
    view.press("escape", board)
    assert view.over


def test_keys_that_arrive_together_are_all_recognized() -> None:
    """A key that is held down sends its sequence faster than the program reads."""
    assert list(keys("\x1b[B\x1bOB\x1b[6~\x1b[Fs\r\x1b")) == [
        "down",
        "down",
        "page down",
        "end",
        "s",
        "enter",
        "escape",
    ]


# --- terminals of any size


@pytest.mark.parametrize("width", [1, 12, 40, 60, 80, 131, 250])
@pytest.mark.parametrize("pressed", [[], ["end"], ["f"], ["tab"], ["enter"], ["tab", "end"]])
def test_the_screen_has_exactly_the_size_of_the_terminal(width: int, pressed: list[str]) -> None:
    """A longer line or one line more would scroll the terminal."""
    names = [folder(f"{number:02} {name}", problems=[CONFLICT]) for number, name in enumerate(ODD_NAMES)]
    for height in (1, 2, 3, 5, 9, 24, 70):
        shown = drawn(tree(*MANY, *names, device("laptop")), pressed, width=width, height=height).plain
        assert [cell_len(line) for line in shown.split("\n")] == [width] * height


ODD_NAMES = ("", "写真とビデオのフォルダー" * 10, "e\u0301" * 30, "a" * 500, "\U0001f600" * 60)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\tb", "[red]a[/red]"])
def test_names_cannot_control_the_terminal(name: str) -> None:
    """They are shown as they are, with control characters as escapes."""
    pending = {"devices": [{"device": name, "name": name, "address": name, "time": name}], "folders": []}
    topics = tree(
        folder(name, id="x", problems=[{"code": "x", "message": name}]), {**device("x"), "name": name}, pending=pending
    )
    for pressed in ([], ["enter"], ["tab"]):
        text = drawn(topics, pressed, width=200).plain
        assert on_one_line(name) in text
        assert not set(text) & {"\x1b", "\u202e", "\t"}


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """Otherwise lines and bars would be escapes."""
    text = in_ascii(drawn(tree(folder("a" * 100, completion=50.0)))).plain
    assert text.isascii()
    assert "====----" in text


# --- commands for what the screen shows


def test_a_command_is_for_the_folder_that_was_shown() -> None:
    """A message that arrives between the drawing and the key may change what is selected: then nothing is sent."""
    stopped, behind = folder("Aaa", status="stopped"), folder("Zzz", status="out_of_sync")
    board, view = board_with(tree(stopped, behind)), View(attention_only=True)
    screen(board, view, now=NOW, width=80, height=24)
    view.press("down", board)
    screen(board, view, now=NOW, width=80, height=24)
    payload = json.dumps({**behind, "status": "up_to_date"}).encode()
    board.take(Received(topic="syncthing/nas/folder/zzz", payload=payload, retained=True), NOW)
    assert view.press("p", board) is None
    assert "the selection has changed" in view.note
    screen(board, view, now=NOW, width=80, height=24)
    message = view.press("p", board)
    assert message is not None
    assert json.loads(message.payload)["folder"] == "aaa"
