"""The documents match the behavior of the program, and are complete."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stbridge import __version__, errors
from stbridge.cli import _SUBCOMMANDS, FAILED, INTERRUPTED
from stbridge.core import decode
from stbridge.core.envelope import CommandError, Reply
from stbridge.core.outcome import BridgeEvent
from stbridge.core.payloads import RENDERED, render, render_event
from stbridge.core.rules import apply
from stbridge.core.rules.instance import ONLINE
from stbridge.core.state import State
from stbridge.core.topics import TOPICS
from stbridge.errors import Fatal, SyncthingError, SyncthingUnavailable
from tests.documents import DOCUMENTS, README, ROOT, anchors, blocks, links, rows, sections, spans, spoken_code, text_of
from tests.machine import SETTINGS, Machine, variable_of

ARCHITECTURE = ROOT / "docs/architecture.md"
CONTRIBUTING = ROOT / "docs/contributing.md"
COMMANDS = ROOT / "docs/commands.md"
COMMAND_LINE = ROOT / "docs/command-line.md"
PAYLOADS = ROOT / "docs/payloads.md"
RECORDED = ROOT / "tests/fixtures/2.1.3"
NOW = datetime(2026, 11, 23, 20, 14, 5, tzinfo=UTC)

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def first_cells(document: Path, heading: str) -> set[str]:
    """Return all code in backticks in the first column of the tables with this heading."""
    return {name for cells in rows(text_of(document), heading) for name in spans(cells[0])}


def words_of(text: str, sections_of_settings: str = "mqtt|homeassistant|commands|poll|events|alerts|log") -> set[str]:
    """Return all words that look like the name of a setting."""
    return set(re.findall(rf"(?<![\w./-])(?:{sections_of_settings})(?:\.[a-z]\w*)+(?!\.?\w|/)", text))


def python_files() -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module of the program."""
    for path in (ROOT / "stbridge").rglob("*.py"):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def texts() -> set[str]:
    """Return every string in the program."""
    nodes = (node for _, tree in python_files() for node in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


# --- tables


def tables_script() -> ModuleType:
    """Load the script that generates the tables."""
    loader = SourceFileLoader("tables", str(ROOT / "scripts/tables"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


TABLES = tables_script()


@every_document
def test_the_tables_are_those_of_the_code(document: Path) -> None:
    """The tables of topics, commands and settings match the code. A difference needs a run of scripts/tables."""
    assert TABLES.filled(text_of(document)) == text_of(document)


@pytest.mark.parametrize("table", TABLES.TABLES)
def test_every_table_is_in_exactly_one_document(table: str) -> None:
    """Each table is shown once, in a document that the script updates."""
    assert [f"<!-- table: {table} -->" in text_of(one) for one in TABLES.DOCUMENTS].count(True) == 1


# --- published topics

TITLES = {
    row.kind: f"syncthing/{row.pattern.format(instance='I', folder='F', device='D', name='NAME')}" for row in TOPICS
}
SECTIONS = {topic: text for title, text in sections(PAYLOADS).items() for topic in spans(title)}


def everything() -> State:
    """Return a state that has content for every topic."""
    recorded = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RECORDED.glob("*.json")}
    own_id, state = recorded["system_status"]["myID"], State()
    for observation in (
        decode.status(recorded["system_status"]),
        decode.version(recorded["system_version"]),
        decode.config(recorded["config"], own_id),
        decode.connections(recorded["system_connections"], own_id),
        decode.errors(recorded["system_error"]),
        decode.upgrade({"running": "v2.1.3", "latest": "v2.1.4", "newer": True, "majorNewer": False}),
        decode.pending_devices(recorded["pending_devices"]),
        decode.pending_folders(recorded["pending_folders"]),
        decode.folder_status("docs", recorded["db_status_idle"]),
        decode.folder_errors(recorded["folder_errors"]),
    ):
        apply(state, observation, NOW)
    return state


def payloads() -> dict[str, Any]:
    """Return a payload for each kind of topic with JSON, the one with the most keys."""
    state = everything()
    rendered = [(address.kind, render(state, address) or b"null") for address in state.everything()]
    found = {
        kind: json.loads(payload) for kind, payload in sorted(rendered, key=lambda one: len(one[1])) if kind != "state"
    }
    reply = Reply(command="scan", status="error", error=CommandError("timeout", "too late"))
    found["response"] = json.loads(json.dumps(reply.payload()))
    found["event"] = json.loads(render_event(BridgeEvent("config_changed", NOW, {})))
    return found


def literal_keys(function: str) -> dict[str, None]:
    """Return the keys of the dictionary literal in a method of the bridge."""
    tree = ast.parse(text_of(ROOT / "stbridge/bridge.py"))
    (method,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function]
    literal = next(node for node in ast.walk(method) if isinstance(node, ast.Dict))
    return {str(key.value): None for key in literal.keys if isinstance(key, ast.Constant)}


EXAMPLES = payloads() | {"bridge_info": literal_keys("_info"), "bridge_health": literal_keys("_counters")}


def test_every_topic_has_its_section() -> None:
    """The documents explain exactly the topics that are published or subscribed."""
    assert set(SECTIONS) == set(TITLES.values())
    without_keys = {"state", "bridge_state", "raw", "command"}
    assert set(EXAMPLES) == set(TITLES) - without_keys
    assert set(RENDERED) <= set(EXAMPLES) | without_keys


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_key_of_a_payload_is_explained(kind: str) -> None:
    """The documents name exactly the existing keys, including nested ones."""
    explained = {key: cells[1] for cells in rows(SECTIONS[TITLES[kind]], "key") for key in spans(cells[0])}
    assert set(explained) == set(EXAMPLES[kind])
    for key, value in EXAMPLES[kind].items():
        inner = value[0] if isinstance(value, list) and value else value
        assert set(inner if isinstance(inner, dict) else ()) <= set(spans(explained[key])), key


def test_every_status_of_the_connection_is_explained() -> None:
    """`status` is `online`, or the kind of error that prevents the bridge from reaching Syncthing."""
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, SyncthingUnavailable)]
    assert first_cells(PAYLOADS, "status") == {ONLINE} | {kind.status for kind in kinds}


def event_names() -> set[str]:
    """Return the names of events at the places where the program emits them."""
    names: set[str] = set()
    for _, tree in python_files():
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node.args]
            emitted = [node.args[0] for node in calls if ast.unparse(node.func).endswith(".emit")]
            chosen = [node.value for node in ast.walk(function) if isinstance(node, ast.Assign) and _is_name(node)]
            constants = [
                one for value in (*emitted, *chosen) for one in ast.walk(value) if isinstance(one, ast.Constant)
            ]
            names.update(str(one.value) for one in constants if emitted)
    return names


def _is_name(node: ast.Assign) -> bool:
    return ast.unparse(node.targets[0]) == "name"


def test_every_event_is_explained() -> None:
    """The documents explain exactly the names of `event/NAME` that the program emits."""
    assert event_names() <= first_cells(PAYLOADS, "event") <= texts()
    assert "folder_resumed" in event_names()


def test_every_error_code_is_explained() -> None:
    """The documents explain exactly the error codes that a reply can have."""
    codes = {one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, SyncthingError)}
    for _, tree in python_files():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "CommandError":
                codes |= {str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)}
    assert codes == first_cells(COMMANDS, "error code")


# --- the command line


def test_every_subcommand_is_explained() -> None:
    """The documents name exactly the existing subcommands."""
    assert {name.split()[0] for name in first_cells(COMMAND_LINE, "subcommand")} == set(_SUBCOMMANDS)


def test_every_exit_status_is_explained() -> None:
    """The documents list every exit status, so that callers can distinguish the reasons for an exit."""
    fatal = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Fatal)]
    explained = {int(cells[0]) for cells in rows(text_of(COMMAND_LINE), "exit status")}
    assert explained == {0, FAILED, INTERRUPTED} | {one.exit_status for one in fatal}


@every_document
def test_names_that_a_reader_may_type_exist(document: Path) -> None:
    """Subcommands, make targets, settings and variables that a document mentions exist."""
    code = spoken_code(document)
    assert set(re.findall(r"(?:^|[\s`$])stbridge ([a-z]+)", code)) <= set(_SUBCOMMANDS)
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= targets()
    assert words_of(code) <= known_settings()
    assert set(re.findall(r"STBRIDGE_\w+", code)) <= variables()


def targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))


def known_settings() -> set[str]:
    """Return the names of all settings and of the tables that contain them."""
    paths = [path[:length] for path in SETTINGS for length in range(1, len(path) + 1)]
    return {".".join(path) for path in paths}


def variables() -> set[str]:
    """Return the environment variables of all settings."""
    return {"STBRIDGE_CONFIG"} | {variable_of(path) for path in SETTINGS}


def test_every_message_of_the_program_names_settings_that_exist() -> None:
    """A user who is asked to change a setting can find it."""
    named = {name for text in texts() for name in words_of(text, "mqtt|homeassistant|commands|poll|alerts")}
    assert named <= known_settings()
    assert {"mqtt.host", "mqtt.tls.ca_file", "commands.allow"} <= named


EXAMPLES_IN_TOML = [(one.name, block) for one in DOCUMENTS for block in blocks(one, "toml")]


@pytest.mark.parametrize("block", [block for _, block in EXAMPLES_IN_TOML], ids=[name for name, _ in EXAMPLES_IN_TOML])
def test_examples_of_settings_can_be_used(machine: Machine, block: str) -> None:
    """A TOML block in a document is a valid settings file, except for the secrets that it leaves out."""
    for file in re.findall(r'_file = "(/[^"]+)"', block):
        block = block.replace(file, str(machine.file(Path(file).name, "secret")))
    machine.config(block.replace("…", "a5" * 32))
    assert machine.load().syncthing


# --- references between documents


@pytest.mark.parametrize("document", [ARCHITECTURE, CONTRIBUTING], ids=lambda path: path.name)
def test_files_that_a_document_on_the_code_names_exist(document: Path) -> None:
    """The places where contributors add code exist."""
    form = r"[\w/.]+\.py|(?:scripts|stbridge|tests)/[a-z_/]+"
    named = {name for name in spans(text_of(document)) if re.fullmatch(form, name)}
    places = [ROOT, ROOT / "stbridge"]
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
    assert len(named) > 10


@every_document
def test_links_have_targets(document: Path) -> None:
    """Every link to a file of the project leads to an existing file, and to an existing heading in it."""
    for target in links(document):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            found = document.parent / name if name else document
            assert found.exists(), target
            assert not anchor or anchor in anchors(found), target


def test_every_document_can_be_reached_from_the_readme() -> None:
    """Links lead from the README to every document, in one or more steps."""
    reached, ahead = set[Path](), [README]
    while ahead:
        document = ahead.pop()
        if document not in reached and document in DOCUMENTS:
            reached.add(document)
            ahead += [(document.parent / target.partition("#")[0]).resolve() for target in links(document)]
    assert reached == set(DOCUMENTS)


def test_the_changelog_has_this_version() -> None:
    """The newest entry is about the version that the program reports."""
    assert re.findall(r"^## (\S+)", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)[0] == __version__


SOMEBODYS_OWN = re.compile(r"/(?:home|root|Users|mnt|media|work(?:space|tree)?s?|src)/(?!(?:someone|ann)\b)\w")


def test_no_file_names_directories_of_a_single_machine() -> None:
    """The project contains no paths of a developer's machine."""
    visible = [path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name == ".ci"]
    visible = [path for path in visible if path.name != "build"]  # the theme of the site names those of its authors
    files = [file for path in visible for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    named = [file for file in files if SOMEBODYS_OWN.search(file.read_bytes().decode("utf-8", "ignore"))]
    assert [file for file in named if file.suffix != ".pyc"] == []
