"""The documents match the behavior of the program, and are complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stbridge import __version__, errors
from stbridge.cli import _SUBCOMMANDS, FAILED, INTERRUPTED
from stbridge.core.bridge_events import COMMON_KEYS, DEVICE_KEYS, EVENTS, FOLDER_KEYS, USUAL_KEYS, EventRow
from stbridge.core.command import Command
from stbridge.core.commands import BRIDGE_COMMANDS
from stbridge.core.commands import COMMANDS as INSTANCE_COMMANDS
from stbridge.core.envelope import CommandError, Reply
from stbridge.core.payloads import RENDERED
from stbridge.core.rules.instance import ONLINE
from stbridge.core.slow_topics import SLOW
from stbridge.core.topics import TOPICS, Topics
from stbridge.errors import Fatal, SyncthingError, SyncthingUnavailable
from stbridge.homeassistant.event_entities import EVENT_ENTITIES
from tests import example
from tests.documents import (
    DOCUMENTS,
    README,
    ROOT,
    anchors,
    blocks,
    links,
    loaded,
    rows,
    sections,
    spans,
    spoken_code,
    text_of,
)
from tests.machine import SETTINGS, Machine, variable_of

ARCHITECTURE = ROOT / "docs/architecture.md"
CONTRIBUTING = ROOT / "docs/contributing.md"
COMMANDS = ROOT / "docs/commands.md"
COMMAND_LINE = ROOT / "docs/command-line.md"
PAYLOADS = ROOT / "docs/payloads.md"
COMMAND_ROWS = (*INSTANCE_COMMANDS, *BRIDGE_COMMANDS)

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


TABLES = loaded(ROOT / "scripts/tables")


@every_document
def test_the_tables_are_those_of_the_code(document: Path) -> None:
    """The tables of topics, commands and settings match the code. A difference needs a run of scripts/tables."""
    assert TABLES.filled(text_of(document)) == text_of(document)


@pytest.mark.parametrize("table", TABLES.TABLES)
def test_every_table_is_in_exactly_one_document(table: str) -> None:
    """Each table is shown once, in a document that the script updates."""
    assert [f"<!-- table: {table} -->" in text_of(one) for one in TABLES.DOCUMENTS].count(True) == 1


def test_the_flow_of_the_dashboard_is_made_of_its_sources() -> None:
    """The flow for Node-RED has the fixes and the words of the code. A difference needs a run of scripts/flows."""
    script = loaded(ROOT / "scripts/flows")
    assert text_of(script.FLOW) == script.flow()


# --- published topics

TITLES = {
    row.kind: f"syncthing/{row.pattern.format(instance='I', folder='F', device='D', name='NAME')}" for row in TOPICS
}
SECTIONS = {topic: text for title, text in sections(PAYLOADS).items() for topic in spans(title)}


EXAMPLES = example.payloads()
FAILED_REPLY = Reply(command="scan", status="error", error=CommandError("timeout", "too late")).payload()
EXPLAINED = {kind: value for kind, value in EXAMPLES.items() if isinstance(value, dict)} | {"response": FAILED_REPLY}
WITHOUT_OWN_KEYS = {"event", "folder_event", "device_event", "raw", "command"}
"""Events and commands have their keys on their own pages; the keys of raw events are Syncthing's."""

BY_NAME = {"threads", "instances"}
"""Keys whose values are objects with one key for each name."""


def test_every_topic_has_its_section_and_its_example() -> None:
    """The documents explain exactly the topics that are published or subscribed."""
    assert set(SECTIONS) == set(TITLES.values())
    assert set(EXAMPLES) == set(TITLES) - set(SLOW.values())
    assert set(RENDERED) <= set(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_example_of_a_topic_is_in_its_section(kind: str) -> None:
    """The topic of the example belongs to the section."""
    assert f"<!-- table: payload_{kind} -->" in SECTIONS[TITLES[kind]]
    parsed = Topics("syncthing").parse(example.addresses_of_examples()[kind])
    assert parsed is not None
    assert parsed[1].kind == kind


@pytest.mark.parametrize("kind", sorted(set(EXPLAINED) - WITHOUT_OWN_KEYS))
def test_every_key_of_a_payload_is_explained(kind: str) -> None:
    """The documents name exactly the existing keys, including nested ones."""
    explained = {key: cells[1] for cells in rows(SECTIONS[TITLES[kind]], "key") for key in spans(cells[0])}
    assert set(explained) == set(EXPLAINED[kind])
    for key, value in EXPLAINED[kind].items():
        inner = value[0] if isinstance(value, list) and value else value
        nested = set(inner) if isinstance(inner, dict) and key not in BY_NAME else set[str]()
        assert nested <= set(spans(explained[key])), key


def test_every_status_of_the_connection_is_explained() -> None:
    """`status` is `online`, or the kind of error that prevents the bridge from reaching Syncthing."""
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, SyncthingUnavailable)]
    assert first_cells(PAYLOADS, "status") == {ONLINE} | {kind.status for kind in kinds}


# --- events

EVENT_NAMES = [row.name for row in EVENTS]


def emitting_calls() -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    """Yield the calls that emit an event, with the function that contains them."""
    for _, tree in python_files():
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith((".emit", "._emit")):
                    yield function, node


def names_of(function: ast.FunctionDef, call: ast.Call) -> set[str]:
    """Return the names that an event may have: constants in the call, or in what the function assigns to `name`."""
    assigned = [node.value for node in ast.walk(function) if isinstance(node, ast.Assign) and _is_name(node)]
    values = [call.args[0], *(assigned if isinstance(call.args[0], ast.Name) else ())]
    constants = [one for value in values for one in ast.walk(value) if isinstance(one, ast.Constant)]
    return {one.value for one in constants if isinstance(one.value, str)}


def _is_name(node: ast.Assign) -> bool:
    return ast.unparse(node.targets[0]) == "name"


def test_the_table_of_events_has_every_event() -> None:
    """It has exactly the events of the example, and the code emits no others; each has an entity in Home Assistant."""
    emitted = {name for call in emitting_calls() for name in names_of(*call)}
    assert {"folder_resumed", "scan_finished", "device_connected"} <= emitted
    assert emitted <= set(EVENT_NAMES)
    assert {event["event_type"] for event in example.all_events()} == set(EVENT_NAMES)
    assert sorted(name for row in EVENT_ENTITIES for name in row.types) == sorted(EVENT_NAMES)


@pytest.mark.parametrize("row", EVENTS, ids=EVENT_NAMES)
def test_the_table_of_events_has_every_key(row: EventRow) -> None:
    """Every event of this name has the keys of its row; events about a folder or device also identify it."""
    found = [set(event) for event in example.all_events() if event["event_type"] == row.name]
    assert found
    allowed = [{*row.keys, *subject} for subject in (((), FOLDER_KEYS, DEVICE_KEYS) if row.has_subject else ((),))]
    assert [keys for keys in found if keys - set(COMMON_KEYS) not in allowed] == []
    written = [call for function, call in emitting_calls() if names_of(function, call) == {row.name}]
    assert {word.arg for call in written for word in call.keywords if word.arg} <= {*row.keys, "late"}


@pytest.mark.parametrize("row", EVENTS, ids=EVENT_NAMES)
def test_an_event_has_a_name_beside_each_id(row: EventRow) -> None:
    """People read the events in notifications and in activity lists, where an ID alone means nothing."""
    for identifier, name in (FOLDER_KEYS, DEVICE_KEYS):
        assert (identifier in row.keys) == (name in row.keys)


def test_every_key_of_an_event_has_a_meaning() -> None:
    """A key that has another meaning in some event is explained there."""
    used = {key for row in EVENTS for key in row.keys if key not in (row.special or {})}
    assert used == set(USUAL_KEYS)
    assert [row.name for row in EVENTS if not set(row.special or ()) <= set(row.keys)] == []


# --- commands


@pytest.mark.parametrize("command", COMMAND_ROWS, ids=[command.name for command in COMMAND_ROWS])
def test_the_example_of_a_command_is_accepted(command: Command) -> None:
    """It passes every check of the bridge, and shows at least one argument if the command has any."""
    arguments = example.request(command).arguments
    assert bool(arguments) == bool(command.arguments)


def test_the_examples_of_errors_are_messages_of_the_program() -> None:
    """The messages are what the checks return; those that need a connection or a clock are texts of the program."""
    shown = {spans(cells[0])[0]: spans(cells[3])[0] for cells in rows(text_of(COMMANDS), "error code")}
    returned = {error.code: error.message for error in example.errors()}
    assert {code: shown[code] for code in returned} == returned
    assert {text for code, text in shown.items() if code not in returned} <= texts()


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
    without_service = code.replace("docker compose exec stbridge ", "")  # the service is called like the program
    assert set(re.findall(r"(?:^|[\s`$])stbridge ([a-z]+)", without_service)) <= set(_SUBCOMMANDS)
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
    named = {name for text in texts() for name in words_of(text, "mqtt|homeassistant|commands|poll|alerts|web")}
    assert named <= known_settings()
    assert {"mqtt.host", "mqtt.tls.ca_file", "commands.allow"} <= named


EXAMPLES_IN_TOML = [(one.name, block) for one in DOCUMENTS for block in blocks(one, "toml")]


@pytest.mark.parametrize("block", [block for _, block in EXAMPLES_IN_TOML], ids=[name for name, _ in EXAMPLES_IN_TOML])
def test_examples_of_settings_can_be_used(machine: Machine, block: str) -> None:
    """A TOML block in a document is a valid settings file, except for the secrets that it leaves out."""
    for file in re.findall(r'_file = "(/[^"]+)"', block):
        block = block.replace(file, str(machine.file(Path(file).name, "secret")))
    machine.config(block.replace("…", "a5" * 32))
    settings = machine.load()
    assert settings.syncthing or settings.web.model_fields_set


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
