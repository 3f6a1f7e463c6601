"""The client: each method sends its documented request."""

import inspect
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_origin, get_type_hints

import pytest

import stbridge
from stbridge import SyncthingClient
from stbridge.errors import BadReply, NotFound, Rejected, TimedOut
from stbridge.syncthing import retry
from stbridge.syncthing.calls.base import OLD_ARGUMENTS, Completed, completed
from stbridge.syncthing.client import Json
from tests.servers import eventually
from tests.syncthing.conftest import Connect, InBackground, Serve
from tests.syncthing.pretended import STATUS
from tests.syncthing.server import Answer, Exchange, answers, closes, hangs

OLD_NAMES = """
    get_version get_connections get_config get_insync get_errors get_discovery new_error clear_errors new_config restart
    reset shutdown get_upgrade upgrade get_status get_ping new_ping browse_database browse_databse get_completion
    get_file get_ignores new_ignores get_need need assign_priority scan get_folder_status get_device_statistics
    get_folder_statistics
"""
"""The methods of the old pysyncthing bindings."""

OTHERWISE_TESTED = {"break_off", "close", "get_log_text", "wait_for_restart"}


@dataclass(frozen=True, slots=True)
class Row:
    """A call of a method and its request."""

    method: str
    line: str
    arguments: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()
    body: Any = None


def row(method: str, line: str, *arguments: Any, body: Any = None, **named: Any) -> Row:
    """Return a row of the table."""
    return Row(method, line, arguments, tuple(named.items()), body)


PATCH = {"maxSendKbps": 1}
ROWS = (
    row("get_ping", "GET /rest/system/ping"),
    row("get_health", "GET /rest/noauth/health"),
    row("get_version", "GET /rest/system/version"),
    row("get_status", "GET /rest/system/status"),
    row("get_paths", "GET /rest/system/paths"),
    row("browse_directories", "GET /rest/system/browse"),
    row("browse_directories", "GET /rest/system/browse?current=%2Fhome%2F", "/home/"),
    row("restart", "POST /rest/system/restart"),
    row("shutdown", "POST /rest/system/shutdown"),
    row("reset", "POST /rest/system/reset"),
    row("reset", "POST /rest/system/reset?folder=docs", "docs"),
    row("check_upgrade", "GET /rest/system/upgrade"),
    row("upgrade", "POST /rest/system/upgrade"),
    row("get_upgrade", "GET /rest/system/upgrade"),
    row("new_ping", "GET /rest/system/ping"),
    row("get_device_id", "GET /rest/svc/deviceid?id=abc", "abc"),
    row("get_random_string", "GET /rest/svc/random/string"),
    row("get_random_string", "GET /rest/svc/random/string?length=5", 5),
    row("get_languages", "GET /rest/svc/lang"),
    row("get_report", "GET /rest/svc/report"),
    row("get_report", "GET /rest/svc/report?version=2", 2),
    row("get_errors", "GET /rest/system/error"),
    row("new_error", "POST /rest/system/error", "größer", body="größer"),
    row("clear_errors", "POST /rest/system/error/clear"),
    row("get_log", "GET /rest/system/log"),
    row("get_log", "GET /rest/system/log?since=2026-11-23T20%3A14%3A05Z", "2026-11-23T20:14:05Z"),
    row("get_log_levels", "GET /rest/system/loglevels"),
    row("new_log_levels", "POST /rest/system/loglevels", {"main": "INFO"}, body={"main": "INFO"}),
    row("get_config", "GET /rest/config"),
    row("new_config", "PUT /rest/config", {"version": 37}, body={"version": 37}),
    row("get_config_part", "GET /rest/config/options", "options"),
    row("new_config_part", "PUT /rest/config/defaults/device", "defaults/device", PATCH, body=PATCH),
    row("patch_config", "PATCH /rest/config/options", "options", PATCH, body=PATCH),
    row("patch_config", "PATCH /rest/config/defaults/folder", "defaults/folder", PATCH, body=PATCH),
    row(
        "patch_folder",
        "PATCH /rest/config/folders/a%20b%23%25%C3%BC",
        "a b#%ü",
        {"paused": True},
        body={"paused": True},
    ),
    row("patch_device", "PATCH /rest/config/devices/ABC-DEF", "ABC-DEF", {"name": "nas"}, body={"name": "nas"}),
    row("add_folder", "POST /rest/config/folders", {"id": "docs"}, body={"id": "docs"}),
    row("add_device", "POST /rest/config/devices", {"deviceID": "ABC"}, body={"deviceID": "ABC"}),
    row("remove_folder", "DELETE /rest/config/folders/a%20b%23%25%C3%BC", "a b#%ü"),
    row("remove_device", "DELETE /rest/config/devices/ABC-DEF", "ABC-DEF"),
    row("get_folder_defaults", "GET /rest/config/defaults/folder"),
    row("get_device_defaults", "GET /rest/config/defaults/device"),
    row("new_default_ignores", "PUT /rest/config/defaults/ignores", {"lines": ["*"]}, body={"lines": ["*"]}),
    row("set_limits", "PATCH /rest/config/options", 5, 0, body={"maxSendKbps": 5, "maxRecvKbps": 0}),
    row("set_limits", "PATCH /rest/config/options", None, 5, body={"maxRecvKbps": 5}),
    row("get_insync", "GET /rest/config/insync"),
    row("get_restart_required", "GET /rest/config/restart-required"),
    row("get_connections", "GET /rest/system/connections"),
    row("get_discovery", "GET /rest/system/discovery"),
    row("get_device_statistics", "GET /rest/stats/device"),
    row("pause_device", "POST /rest/system/pause?device=ABC", "ABC"),
    row("pause_device", "POST /rest/system/pause"),
    row("resume_device", "POST /rest/system/resume?device=ABC", "ABC"),
    row("resume_device", "POST /rest/system/resume"),
    row("get_pending_devices", "GET /rest/cluster/pending/devices"),
    row("get_pending_folders", "GET /rest/cluster/pending/folders"),
    row("get_pending_folders", "GET /rest/cluster/pending/folders?device=ABC", "ABC"),
    row("dismiss_pending_device", "DELETE /rest/cluster/pending/devices?device=ABC", "ABC"),
    row("dismiss_pending_folder", "DELETE /rest/cluster/pending/folders?folder=docs", "docs"),
    row("dismiss_pending_folder", "DELETE /rest/cluster/pending/folders?folder=docs&device=ABC", "docs", "ABC"),
    row("get_folder_statistics", "GET /rest/stats/folder"),
    row("get_folder_status", "GET /rest/db/status?folder=a%2Fb+%2B%23%25%C3%BC", "a/b +#%ü"),
    row("get_folder_errors", "GET /rest/folder/errors?folder=docs", "docs"),
    row("get_folder_errors", "GET /rest/folder/errors?folder=docs&page=2&perpage=9", "docs", 2, 9),
    row("get_completion", "GET /rest/db/completion"),
    row("get_completion", "GET /rest/db/completion?device=ABC&folder=docs", "ABC", "docs"),
    row("get_completion", "GET /rest/db/completion?folder=docs", folder="docs"),
    row("get_need", "GET /rest/db/need?folder=docs", "docs"),
    row("get_need", "GET /rest/db/need?folder=docs&page=2&perpage=9", "docs", 2, 9),
    row("get_remote_need", "GET /rest/db/remoteneed?device=ABC&folder=docs", "ABC", "docs"),
    row("get_remote_need", "GET /rest/db/remoteneed?device=ABC&folder=docs&page=2&perpage=9", "ABC", "docs", 2, 9),
    row("get_local_changes", "GET /rest/db/localchanged?folder=docs", "docs"),
    row("get_local_changes", "GET /rest/db/localchanged?folder=docs&page=2&perpage=9", "docs", 2, 9),
    row("get_file", "GET /rest/db/file?folder=docs&file=a%2Fb+c.txt", "docs", "a/b c.txt"),
    row("browse_database", "GET /rest/db/browse?folder=docs", "docs"),
    row("browse_database", "GET /rest/db/browse?folder=docs&levels=2&prefix=a%2Fb", "docs", 2, "a/b"),
    row("browse_database", "GET /rest/db/browse?folder=docs&levels=0", "docs", 2, levels=0),
    row("browse_databse", "GET /rest/db/browse?folder=docs", "docs", 0, False),
    row("get_ignores", "GET /rest/db/ignores?folder=docs", "docs"),
    row("new_ignores", "POST /rest/db/ignores?folder=docs", "docs", ("*.tmp",), body={"ignore": ["*.tmp"]}),
    row("new_ignores", "POST /rest/db/ignores?folder=docs", "docs", "a\nb\n", body={"ignore": ["a", "b"]}),
    row("need", "GET /rest/db/need?folder=docs", "docs"),
    row("get_versions", "GET /rest/folder/versions?folder=docs", "docs"),
    row("restore_versions", "POST /rest/folder/versions?folder=docs", "docs", {"a": "time"}, body={"a": "time"}),
    row("assign_priority", "POST /rest/db/prio?folder=docs&file=a.txt", "docs", "a.txt"),
    row("scan", "POST /rest/db/scan"),
    row("scan", "POST /rest/db/scan?folder=docs&sub=a%2Fb", "docs", "a/b"),
    row("scan", "POST /rest/db/scan?folder=docs&sub=a&sub=b&next=60", "docs", ["a", "b"], next_s=60),
    row("override", "POST /rest/db/override?folder=docs", "docs"),
    row("revert", "POST /rest/db/revert?folder=docs", "docs"),
    row("get_events", "GET /rest/events?since=7&timeout=60", 7),
    row("get_events", "GET /rest/events?since=0&limit=1&timeout=0&events=A%2CB", 0, ["A", "B"], limit=1, timeout_s=0),
    row("get_events", "GET /rest/events?since=0&timeout=60&events=A%2CB", 0, "A,B"),
    row("get_disk_events", "GET /rest/events/disk?since=0&limit=1&timeout=0", 0, limit=1, timeout_s=0),
)


def methods() -> dict[str, Callable[..., Any]]:
    """Return the public methods of the client."""
    return {name: one for name, one in inspect.getmembers(SyncthingClient, inspect.isfunction) if name[0] != "_"}


def call(client: SyncthingClient, one: Row) -> Any:
    """Make the call of a row."""
    return getattr(client, one.method)(*one.arguments, **dict(one.named))


# --- the interface


def test_the_client_can_be_imported_from_the_package() -> None:
    """`from stbridge import SyncthingClient` works, and no other name is exported."""
    assert SyncthingClient is stbridge.syncthing.SyncthingClient
    with pytest.raises(AttributeError, match="no attribute 'Syncthing'"):
        stbridge.Syncthing  # noqa: B018 - the access must fail


def test_a_key_is_sufficient_for_syncthing_on_this_machine() -> None:
    """Address and timeout have defaults, and the key is not shown."""
    with SyncthingClient("the-key") as client:
        assert client.url == "https://127.0.0.1:8384"
        assert repr(client) == "SyncthingClient('https://127.0.0.1:8384')"


@pytest.mark.parametrize("name", OLD_NAMES.split())
def test_the_methods_of_the_old_bindings_exist(name: str) -> None:
    """Users of pysyncthing find each method under its old name."""
    assert name in methods()


@pytest.mark.parametrize("name", methods())
def test_every_method_is_documented_and_typed(name: str) -> None:
    """The docstring describes the method and names its request."""
    method = methods()[name]
    said = inspect.getdoc(method)
    assert said
    requests = tuple(re.findall(r"[A-Z]+ /rest/[a-z/-]+", said))
    assert all(one.line.startswith(requests) for one in ROWS if one.method == name)
    assert set(get_type_hints(method)) == {*inspect.signature(method).parameters, "return"} - {"self"}


def test_the_table_has_every_method() -> None:
    """Every method is tested, and a new method needs a row."""
    assert {one.method for one in ROWS} | OTHERWISE_TESTED == set(methods())


# --- the requests


@pytest.mark.parametrize("one", ROWS, ids=lambda one: one.line)
def test_each_method_makes_its_request(serve: Serve, connect: Connect, one: Row) -> None:
    """Method, path, query and body are those of Syncthing's documentation and of the docstring."""
    target = one.line.split()[1].partition("?")[0]
    promised = get_type_hints(methods()[one.method])["return"]
    reply: Any = [{"reply": 1}] if get_origin(promised) is list else {"reply": 1}
    server = serve({target: answers(reply)})
    result = call(connect(server.url), one)
    assert server.lines == [one.line]
    body = server.requests[0].body.decode()
    assert (body if isinstance(one.body, str) else json.loads(body or "null")) == one.body
    assert result == (completed() if promised is Completed else reply)


@pytest.mark.parametrize(
    "one", [one for one in ROWS if get_type_hints(methods()[one.method])["return"] == Json], ids=lambda one: one.line
)
def test_a_reply_of_another_type_raises_bad_reply(serve: Serve, connect: Connect, one: Row) -> None:
    """If an object is documented, a list, a text or an empty answer is not valid."""
    target = one.line.split()[1].partition("?")[0]
    server = serve({target: [answers([]), answers("text"), Answer()]})
    for kind in ("an array", "a plain value", "empty"):
        with pytest.raises(BadReply, match=kind):
            call(connect(server.url), one)


@pytest.mark.parametrize("answer", [Answer(), answers(None), answers([])])
def test_no_events_are_an_empty_list(serve: Serve, connect: Connect, answer: Answer) -> None:
    """Old versions send null."""
    assert connect(serve({"/rest/events": answer}).url).get_events(0, timeout_s=0) == []


def test_an_upgrade_without_a_newer_version_completes(serve: Serve, connect: Connect) -> None:
    """Syncthing sends an empty answer if there is no newer version."""
    assert connect(serve({"/rest/system/upgrade": Answer()}).url).upgrade() == completed()


@pytest.mark.parametrize(
    ("path", "ask", "key"),
    [
        ("system/error", SyncthingClient.get_errors, "errors"),
        ("system/log", SyncthingClient.get_log, "messages"),
        ("folder/errors", lambda client: client.get_folder_errors("docs"), "errors"),
        *[("db/need", lambda client: client.get_need("docs"), key) for key in ("progress", "queued", "rest")],
        ("db/remoteneed", lambda client: client.get_remote_need("ABC", "docs"), "files"),
        ("db/localchanged", lambda client: client.get_local_changes("docs"), "files"),
    ],
)
def test_an_empty_list_is_not_null(
    serve: Serve, connect: Connect, path: str, ask: Callable[[SyncthingClient], Any], key: str
) -> None:
    """Syncthing sends null instead of an empty list. Other keys stay unchanged."""
    server = serve({f"/rest/{path}": answers({key: None, "other": None})})
    assert ask(connect(server.url)) == {key: [], "other": None}


@pytest.mark.parametrize("body", [b"", b"one line\n", b'{"not": "decoded"}', "größer \xff".encode("latin-1")])
def test_the_log_is_text(serve: Serve, connect: Connect, body: bytes) -> None:
    """It is returned unchanged, except that bytes that are not UTF-8 are replaced."""
    server = serve({"/rest/system/log.txt": Answer(body=body)})
    client = connect(server.url)
    assert client.get_log_text() == body.decode(errors="replace")
    client.get_log_text("2026-11-23T20:14:05Z")
    assert server.lines == ["GET /rest/system/log.txt", "GET /rest/system/log.txt?since=2026-11-23T20%3A14%3A05Z"]


def test_an_invalid_device_id_is_rejected(serve: Serve, connect: Connect) -> None:
    """Syncthing answers 200 with an error text, so the client raises the error."""
    server = serve({"/rest/svc/deviceid": answers({"error": '"abc": device ID invalid: incorrect length'})})
    with pytest.raises(Rejected, match=r'^"abc": device ID invalid: incorrect length$'):
        connect(server.url).get_device_id("abc")


# --- the arguments of the old bindings


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("new_error", {"error_body": "x"}),
        ("get_completion", {"device_id": "ABC", "folder": "docs"}),
        ("new_ignores", {"folder": "docs", "ignores": {"ignore": ["a"]}}),
        ("assign_priority", {"folder": "docs", "filename": "a"}),
        ("scan", {"folder": "docs", "subfolder": "a"}),
    ],
)
def test_an_old_name_of_an_argument_works_like_the_new_one(
    serve: Serve, connect: Connect, method: str, arguments: dict[str, Any]
) -> None:
    """Both cause the same request, and giving both is an error."""
    server = serve({target: answers({}) for target in {one.line.split()[1].partition("?")[0] for one in ROWS}})
    call_it = getattr(connect(server.url), method)
    renamed = {OLD_ARGUMENTS.get(name, name): value for name, value in arguments.items()}
    assert call_it(**arguments) == call_it(**renamed)
    old, new = server.requests
    assert (old.line, old.body) == (new.line, new.body)
    with pytest.raises(TypeError, match=f"{method}.*old name"):
        call_it(**{**arguments, **renamed})


def test_a_mapping_of_patterns_needs_its_key(serve: Serve, connect: Connect) -> None:
    """A mapping without the key is refused, because it would delete all patterns."""
    server = serve({})
    with pytest.raises(ValueError, match="ignore: a mapping needs the key 'ignore'"):
        connect(server.url).new_ignores("docs", {"ignores": ["a"]})
    assert server.requests == []


# --- calls that need several requests


def test_a_folder_with_a_slash_in_its_id_is_changed_through_the_list(serve: Serve, connect: Connect) -> None:
    """Such an ID cannot be part of a path, so the whole folder is sent with the changes."""
    folders = "/rest/config/folders"
    odd = {"id": "a/b", "label": "Odd", "paused": False}
    server = serve({folders: [answers([{"id": "docs"}, odd]), Answer()]})
    connect(server.url).patch_folder("a/b", {"paused": True})
    assert server.lines == [f"GET {folders}", f"POST {folders}"]
    assert json.loads(server.requests[1].body) == {**odd, "paused": True}


def test_a_folder_with_a_slash_in_its_id_is_removed_by_replacing_the_configuration(
    serve: Serve, connect: Connect
) -> None:
    """The new configuration contains everything except the folder."""
    config = {"gui": {"apiKey": "key"}, "folders": [{"id": "docs"}, {"id": "a/b"}]}
    server = serve({"/rest/config": [answers(config), Answer()]})
    assert connect(server.url).remove_folder("a/b") == completed()
    assert server.lines == ["GET /rest/config", "PUT /rest/config"]
    assert json.loads(server.requests[1].body) == {**config, "folders": [{"id": "docs"}]}


def test_a_missing_folder_with_a_slash_in_its_id_is_not_created(serve: Serve, connect: Connect) -> None:
    """Changing a missing folder is an error, as it is for other IDs."""
    server = serve({"/rest/config/folders": answers([{"id": "docs"}])})
    with pytest.raises(NotFound, match="'a/b'"):
        connect(server.url).patch_folder("a/b", {"paused": True})
    assert len(server.requests) == 1


def test_the_client_waits_for_a_restart(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restart is over when another process answers, whatever is answered in between."""
    monkeypatch.setattr(retry, "LOOK_S", 0)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0)
    old, new = answers({"startTime": "old"}), answers({"startTime": "new"})
    server = serve({STATUS: [old, old, *[closes] * 9, answers([]), answers({}), new]})
    connect(server.url).wait_for_restart("old", 30)
    assert len(server.requests) == 14


def test_the_wait_for_a_restart_ends_with_its_timeout_or_a_close(serve: Serve, connect: Connect) -> None:
    """The time is over, or the client is closed."""
    server = serve({STATUS: answers({"startTime": "old"})})
    client = connect(server.url)
    with pytest.raises(TimedOut, match="within 0 s"):
        client.wait_for_restart("old", 0)
    client.close()
    with pytest.raises(TimedOut):
        client.wait_for_restart("old", 3600)


def test_a_long_poll_has_a_longer_timeout_than_other_calls(
    serve: Serve, connect: Connect, in_background: InBackground
) -> None:
    """A timeout of 0.1 s for other calls does not apply to events."""
    happened = threading.Event()

    def answer_then(exchange: Exchange) -> None:
        happened.wait(30)
        answers([{"id": 1}])(exchange)

    server = serve({"/rest/events": answer_then, STATUS: hangs})
    waiting = in_background(lambda: connect(server.url, timeout_s=0.1).get_events(0))
    eventually(lambda: server.requests)
    with pytest.raises(TimedOut):
        connect(server.url, timeout_s=0.1).get_status()
    happened.set()
    assert waiting.result(30) == [{"id": 1}]
