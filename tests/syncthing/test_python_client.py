"""The page on the Python client explains every method, and everything that it names exists."""

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from stbridge import SyncthingClient
from stbridge.demo.node import SyncthingNode
from stbridge.errors import NotFound, Rejected, SyncthingError
from stbridge.syncthing.calls.base import Completed
from tests.conftest import Pair
from tests.documents import ROOT, anchors, rows, sections, spans, text_of
from tests.servers import eventually
from tests.syncthing.conftest import Connect
from tests.syncthing.test_client import OLD_NAMES

PAGE = ROOT / "docs/python-client.md"
ALIASES = {"browse_databse", "get_upgrade", "need", "new_ping"}

METHODS: dict[str, Callable[..., Any]] = {
    name: one for name, one in inspect.getmembers(SyncthingClient, inspect.isfunction) if name[0] != "_"
}
every_method = pytest.mark.parametrize("name", sorted(METHODS.keys() - ALIASES))

HEADING = re.compile(r"^### (\w+)$", re.MULTILINE)


def parts(name: str) -> dict[str, str]:
    """Return the sections of the docstring of a method; the first one has no name."""
    document = inspect.getdoc(METHODS[name]) or ""
    found = re.split(r"^(Args|Returns|Raises|Example):\n", document, flags=re.MULTILINE)
    return {"": found[0], **dict(zip(found[1::2], found[2::2], strict=True))}


def statements(name: str) -> list[str]:
    """Return the statements of the example of a method."""
    return re.findall(r"^ *>>> (.*)$", parts(name)["Example"], re.MULTILINE)


def calls(code: str) -> list[ast.Call]:
    """Return the calls of client methods in a piece of code."""
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return [one for one in found if re.match(r"client\.\w+$", ast.unparse(one.func))]


def fault(call: ast.Call) -> str:
    """Return the fault of a call, which is an unknown method or invalid arguments, or an empty text."""
    name = ast.unparse(call.func).partition(".")[2]
    if name not in METHODS:
        return f"there is no method {name}"
    named = {argument.arg or "": argument.value for argument in call.keywords}
    try:
        inspect.signature(METHODS[name]).bind("self", *call.args, **named)
    except TypeError as error:
        return f"{name}: {error}"
    return ""


# --- the docstrings of the methods


@every_method
def test_a_method_is_explained(name: str) -> None:
    """The docstring has one sentence, every argument, the reply unless it is always the same, and an example."""
    found, method = parts(name), METHODS[name]
    assert re.fullmatch(r"[A-Z][^\n]*\.", found[""].split("\n\n")[0].strip())
    explained = re.findall(r"^ {4}(\w+): \S", found.get("Args", ""), re.MULTILINE)
    assert explained == list(inspect.signature(method).parameters)[1:]
    replies = get_type_hints(method)["return"] not in (type(None), Completed)
    assert bool(found.get("Returns", "").strip()) == replies
    assert name in {ast.unparse(call.func).partition(".")[2] for line in statements(name) for call in calls(line)}
    assert [fault(call) for line in statements(name) for call in calls(line) if fault(call)] == []


@every_method
def test_errors_that_a_method_names_exist(name: str) -> None:
    """They are errors of Syncthing's tree, or ValueError."""
    named = re.findall(r"^ {4}(\w+): \S", parts(name).get("Raises", ""), re.MULTILINE)
    assert bool(named) == ("Raises" in parts(name))
    errors = {one.__name__ for one in _tree(SyncthingError)} | {"ValueError"}
    assert set(named) <= errors


def _tree(error: type[Exception]) -> set[type[Exception]]:
    return {error}.union(*(_tree(one) for one in error.__subclasses__()))


NO_FOLDER: dict[str, type[SyncthingError]] = {
    "get_folder_status": NotFound,
    "get_folder_errors": NotFound,
    "get_completion": NotFound,
    "get_need": NotFound,
    "get_remote_need": NotFound,
    "get_local_changes": NotFound,
    "get_file": NotFound,
    "assign_priority": NotFound,
    "patch_folder": NotFound,
    "browse_database": Rejected,
    "new_ignores": Rejected,
    "scan": Rejected,
    "reset": Rejected,
    "get_versions": Rejected,
    "restore_versions": Rejected,
}
"""The error of each method for a folder that does not exist, in every version."""

NO_DEVICE_ID = (
    "get_completion get_pending_folders patch_device remove_device pause_device resume_device dismiss_pending_device"
)


@pytest.mark.parametrize("name", NO_FOLDER)
def test_a_missing_folder_raises_the_documented_error(node: SyncthingNode, connect: Connect, name: str) -> None:
    """Real Syncthing refuses the call, and the docstring names this error."""
    client = connect(node.url, node.api_key)
    values: dict[str, Any] = {"folder": "nothing", "device": node.device_id, "file": "a", "ignore": ["a"]}
    values |= {"changes": {}, "versions": {"a": "2026-11-23T20:14:05Z"}}
    given = {one: values[one] for one in inspect.signature(METHODS[name]).parameters if one in values}
    with pytest.raises(NO_FOLDER[name]):
        getattr(client, name)(**given)
    assert f"    {NO_FOLDER[name].__name__}: " in parts(name)["Raises"]


@pytest.mark.parametrize("name", NO_DEVICE_ID.split())
def test_an_invalid_device_id_raises_the_documented_error(node: SyncthingNode, connect: Connect, name: str) -> None:
    """Real Syncthing refuses the call, and the docstring names this error."""
    client = connect(node.url, node.api_key)
    with pytest.raises(Rejected, match="device ID invalid"):
        getattr(client, name)(device="abc", **({"changes": {}} if name == "patch_device" else {}))
    assert "    Rejected: " in parts(name)["Raises"]


# --- the page


def test_the_page_has_every_method_once() -> None:
    """The page has no method that does not exist. The names of the old bindings are in a table."""
    generated = text_of(PAGE).partition("<!-- table: client_methods -->")[2].partition("<!-- end -->")[0]
    assert sorted(HEADING.findall(generated)) == sorted(METHODS.keys() - ALIASES)
    assert {name for cells in rows(text_of(PAGE), "old name") for name in spans(cells[0])} == ALIASES


@every_method
def test_the_page_contains_the_docstring_of_the_method(name: str) -> None:
    """The page contains its sentence, arguments, reply, errors and example."""
    start = text_of(PAGE).index(f"### {name}\n")
    section = re.split(r"^##+ ", text_of(PAGE)[start + 4 :], flags=re.MULTILINE)[0]
    found = parts(name)
    flat = " ".join(section.split())
    assert found[""].split("\n\n")[0].strip() in section
    for part in ("Args", "Returns", "Raises"):
        for words in re.sub(r"^ {4}\w+: ", "", found.get(part, ""), flags=re.MULTILINE).split("\n"):
            assert " ".join(words.split()) in flat
    assert all(f">>> {line}" in section for line in statements(name))
    for label in ("**Reply**", "**Errors**", "**Example**\n\n```python"):
        assert label in section


def test_every_argument_of_the_client_is_explained() -> None:
    """The first table of the page lists the arguments of `SyncthingClient`."""
    named = [name for cells in rows(text_of(PAGE), "argument") for name in spans(cells[0])]
    assert named == list(inspect.signature(SyncthingClient).parameters)


def test_every_error_is_explained() -> None:
    """The table of errors lists all errors that a call may raise."""
    named = {name for cells in rows(text_of(PAGE), "error") for name in spans(cells[0])}
    assert named == {one.__name__ for one in _tree(SyncthingError)}


# --- coming from other bindings

NEW_CALLS = [
    (cells[0], span)
    for cells in rows(text_of(PAGE) if PAGE.exists() else "", "old call")
    for span in spans(cells[1])
    if "client." in span
]


def test_the_other_bindings_have_their_tables() -> None:
    """Each binding has its table, and that of pysyncthing lists every call."""
    titles = [title for title in sections(PAGE) if title.startswith("Coming from")]
    assert titles == ["Coming from pysyncthing, python-syncthing or aiosyncthing"]
    assert {"pysyncthing", "python-syncthing", "aiosyncthing"} <= anchors(PAGE)
    old = {name for cells in rows(text_of(PAGE), "old call") for name in re.findall(r"`(\w+)\(", cells[0])}
    assert set(OLD_NAMES.split()) <= old
    assert len(NEW_CALLS) > 70


@pytest.mark.parametrize(("old", "new"), NEW_CALLS, ids=[old for old, _ in NEW_CALLS])
def test_the_replacement_of_an_old_call_exists(old: str, new: str) -> None:
    """The method exists and accepts these arguments."""
    assert calls(new), old
    assert [fault(call) for call in calls(new) if fault(call)] == []


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("client.get_everything()", "there is no method get_everything"),
        ("client.get_file(name)", "get_file: missing a required argument: 'file'"),
        ("client.scan(folder, subdirectory=path)", "scan: got an unexpected keyword argument 'subdirectory'"),
        ("client.get_ping()['ping']", ""),
    ],
)
def test_an_invalid_call_is_found(wrong: str, reason: str) -> None:
    """A table or an example with an unknown method or argument makes these tests fail."""
    [call] = calls(wrong)
    assert fault(call) == reason


# --- the examples on real Syncthing

UNLIKE_THE_PAIR = {
    "get_health": "only since 1.22.1",
    "get_paths": "only since 1.21",
    "get_log_levels": "only since 2.0",
    "check_upgrade": "needs Syncthing's upgrade server",
    "get_errors": "1.29 warns of the user root",
}
READS = sorted(name for name in METHODS.keys() - ALIASES - set(UNLIKE_THE_PAIR) if name.startswith(("get_", "browse_")))


@pytest.fixture
def photos(pair: Pair, tmp_path: Path, connect: Connect) -> Any:
    """A client for a node that shares the folder of the examples with the laptop."""
    client = connect(pair.a.url, pair.a.api_key)
    if "photos" not in {folder["id"] for folder in client.get_config()["folders"]}:
        for node, files in ((pair.a, pair.a_files), (pair.b, pair.b_files)):
            node.share("photos", files / "photos", devices=[{pair.a: pair.b, pair.b: pair.a}[node]])
        (pair.a_files / "photos/2026").mkdir()
        (pair.a_files / "photos/2026/sunset.jpg").write_bytes(b"picture")
        client.patch_folder("photos", {"versioning": {"type": "simple", "params": {"keep": "5"}}})
        client.scan("photos")
        eventually((pair.b_files / "photos/2026/sunset.jpg").exists)
        eventually(lambda: client.get_completion(pair.b.device_id, "photos")["needItems"] == 0)
    return client


@pytest.mark.parametrize("name", READS)
def test_an_example_works(photos: SyncthingClient, pair: Pair, name: str) -> None:
    """The result of an example has the documented type."""
    [line] = statements(name)
    shown = parts(name)["Example"].partition(line)[2].strip()
    found = eval(line, {"client": photos, "laptop": pair.b.device_id})  # noqa: S307 - our own documentation
    assert type(found) is type(ast.literal_eval(shown or "None"))
