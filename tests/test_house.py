"""The architecture of the code: allowed imports, pure modules, and tasks that only one module may do."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path

from tests.documents import ROOT, rows, spans, text_of

PACKAGE = "stbridge"

LAYERS = (
    ("addresses", "core", "errors"),
    ("allocator", "backoff", "clock", "keepalive", "output", "settings", "supervision"),
    ("homeassistant", "mqtt", "schedule", "syncthing"),
    (
        "birth",
        "commands",
        "health",
        "local",
        "log",
        "overrides",
        "publishing",
        "restoring",
        "settings_sources",
        "systemd",
        "watch",
        "web",
    ),
    ("instance",),
    ("bridge",),
    ("call", "check", "dashboard", "demo", "purge"),
    ("cli",),
    ("__main__",),
)
"""A part may import from the layers above it in this table, and not from its own layer or those below."""

PURE = ("core", "homeassistant")
"""These import only each other and those parts of the standard library that have no side effects."""

HARMLESS = frozenset(
    {
        "collections",
        "dataclasses",
        "datetime",
        "difflib",
        "enum",
        "fnmatch",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "math",
        "re",
        "typing",
        "unicodedata",
        "urllib.parse",
    }
)

THIRD_PARTIES: Mapping[str, set[str]] = {
    "amqtt": {"demo"},
    "paho": {"mqtt"},
    "pydantic": {"demo", "local", "settings", "settings_sources"},
    "pydantic_core": {"settings"},
    "pydantic_settings": {"settings", "settings_sources"},
    "rich": {"watch"},
    "shtab": {"cli"},
    "starlette": {"web"},
    "tenacity": {"syncthing"},
    "urllib3": {"syncthing"},
    "uvicorn": {"web"},
}
"""Which parts may import a library; its types and exceptions are used only there."""

ENVIRONMENT: Mapping[str, str] = {
    "cli": "hands it to the health check, which finds its file by it, and to the log of ignored variables",
    "demo.node": "passes it on to Syncthing, without what would redirect it",
    "local": "it may name the Syncthing instance of this machine",
    "log": "the journal adds the time by itself",
    "settings_sources": "settings",
    "systemd": "where to send the status of the service",
}
"""Which modules read the environment, and why."""

FILES: Mapping[str, str] = {
    "demo.node": "the log of the Syncthing instances of the demo",
    "demo.show": "the photos of the demo",
    "health": "the health file",
    "output": "/dev/null in place of a stream that is closed or cannot be written",
    "mqtt.tls": "reports which of the certificate's files cannot be read",
    "settings_sources": "settings and secrets",
    "syncthing.tls": "the certificates in the file of `verify`",
    "web.assets": "the files of the page",
}
"""Which modules read or write files, and which files."""

LONGEST_MODULE = 600

REASON = re.compile(r"# (?:noqa: BLE001 - )?(?!noqa)\w")


@dataclass(frozen=True, slots=True)
class Source:
    """A Python file; `name` is its dotted name below the package."""

    path: Path
    name: str
    lines: tuple[str, ...]
    tree: ast.Module

    @property
    def part(self) -> str:
        """The package or module directly below the top-level package."""
        return self.name.partition(".")[0]

    @property
    def nodes(self) -> Iterator[ast.AST]:
        """All nodes of its syntax tree."""
        return ast.walk(self.tree)

    @property
    def imports(self) -> Iterator[str]:
        """The full dotted name of every import, anywhere in the file."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    @property
    def calls(self) -> Iterator[str]:
        """The called expressions, as written."""
        return (ast.unparse(node.func) for node in self.nodes if isinstance(node, ast.Call))


def read(path: Path, below: Path = ROOT) -> Source:
    """Read a Python file."""
    text = path.read_text(encoding="utf-8")
    name = ".".join(path.relative_to(below).with_suffix("").parts).removesuffix(".__init__")
    return Source(path, name, tuple(text.splitlines()), ast.parse(text))


MODULES = [
    read(path, ROOT / PACKAGE)
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
    if path != ROOT / PACKAGE / "__init__.py"  # the public interface for users, see below
]
SCRIPTS = [path for path in (ROOT / "scripts").iterdir() if b"python" in path.read_bytes().splitlines()[0]]
SOURCES = [*MODULES, *map(read, [*SCRIPTS, *chain(*((ROOT / one).rglob("*.py") for one in ("benchmarks", "tests")))])]
RANKS = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def parts_that_import(library: str) -> set[str]:
    """Return the parts of the package that import a library."""
    return {module.part for module in MODULES for name in module.imports if name.partition(".")[0] == library}


# --- allowed imports


def test_every_part_is_in_the_table_of_layers() -> None:
    """The table of layers contains exactly the existing packages and modules."""
    assert sorted(chain(*LAYERS)) == sorted({module.part for module in MODULES})


def test_the_architecture_document_draws_the_same_layers() -> None:
    """The document shows readers the layers that these tests check."""
    drawn: dict[int, set[str]] = {}
    for layer, parts, _ in rows(text_of(ROOT / "docs/architecture.md"), "layer"):
        drawn.setdefault(int(layer), set()).update(spans(parts))
    assert drawn == {number: set(layer) for number, layer in enumerate(LAYERS, start=1)}


def test_imports_go_one_way() -> None:
    """No part imports from its own or a higher layer: the two edges are independent, and the core imports neither."""
    imports = {
        (module.name, name.split(".")[1])
        for module in MODULES
        for name in module.imports
        if name.startswith(f"{PACKAGE}.") and name.split(".")[1] in RANKS
    }
    others = [(name, part) for name, part in imports if name.partition(".")[0] != part]
    assert [(name, part) for name, part in others if RANKS[part] >= RANKS[name.partition(".")[0]]] == []


def test_each_library_is_imported_only_by_its_adapters() -> None:
    """Only the parts in the table import a library, and every imported library is in the table."""
    names = {name.partition(".")[0] for module in MODULES for name in module.imports}
    libraries = names - sys.stdlib_module_names - {PACKAGE}
    assert {library: parts_that_import(library) for library in sorted(libraries)} == THIRD_PARTIES


def test_private_names_stay_in_their_module() -> None:
    """No module uses a name of another module that starts with an underscore."""
    names = [(module.name, name.rpartition(".")[2]) for module in MODULES for name in module.imports]
    assert [name for name in names if name[1].startswith("_") and not name[1].endswith("__")] == []


def test_the_syncthing_client_does_not_need_the_settings_of_the_bridge() -> None:
    """`from stbridge import SyncthingClient` can be used without the bridge."""
    imports = {name for module in MODULES if module.part == "syncthing" for name in module.imports}
    assert not {name for name in imports if name.startswith(f"{PACKAGE}.settings")}


# --- pure modules


def test_the_core_is_pure() -> None:
    """The core has no input, output, clock, thread or log: the same observations always produce the same messages."""
    pure = [module for module in MODULES if module.part in PURE]
    outside = {(module.name, name) for module in pure for name in module.imports if not name.startswith(PACKAGE)}
    assert {(module, name) for module, name in outside if not set(_prefixes(name)) & HARMLESS} == set()
    impure = {"open", "print", "input", "now", "utcnow", "today", "fromtimestamp"}
    calls = {(module.name, call) for module in pure for call in module.calls}
    assert {(module, call) for module, call in calls if call.rpartition(".")[2] in impure} == set()


def _prefixes(name: str) -> Iterator[str]:
    return accumulate(name.split("."), "{}.{}".format)


# --- tasks that only one module may do, or none


def test_nothing_sleeps() -> None:
    """Every wait, in tests and scripts, too, uses something that a stop can interrupt, or a condition."""
    used = [(source.name, name) for source in SOURCES for name in chain(source.calls, source.imports)]
    assert [(source, name) for source, name in used if name.rpartition(".")[2] == "sleep"] == []


def test_every_broad_exception_handler_gives_its_reason() -> None:
    """A handler of all exceptions has its reason on its line, or raises what it caught."""
    handlers = [(one, node) for one in SOURCES for node in one.nodes if isinstance(node, ast.ExceptHandler)]
    broad = [(source, node) for source, node in handlers if {"Exception", "BaseException"} & _caught(node)]
    assert [
        f"{source.name}:{node.lineno}"
        for source, node in broad
        if ast.unparse(node.body[-1]) != "raise" and not REASON.search(source.lines[node.lineno - 1])
    ] == []


def _caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"BaseException"}
    return {ast.unparse(one) for one in ast.walk(handler.type)}


def test_only_the_command_line_exits_the_process() -> None:
    """All other code raises an error, and its caller decides."""
    endings = {"sys.exit", "exit", "quit", "os._exit", "os.abort", "SystemExit"}
    assert {module.name for module in MODULES if endings & set(module.calls)} == {"cli"}


def test_only_listed_modules_read_the_environment() -> None:
    """The behavior of the bridge depends on its settings; any other use of the environment needs a reason."""
    readers = {
        module.name for module in MODULES for node in module.nodes if ast.unparse(node) in ("os.environ", "os.getenv")
    }
    assert readers == set(ENVIRONMENT)


def test_only_listed_modules_touch_files() -> None:
    """Settings are read in one place, and each written file is listed here."""
    calls = {(one.name, node) for one in MODULES for node in one.nodes if isinstance(node, ast.Call)}
    assert {name for name, call in calls if _touches_a_file(call)} == set(FILES)


def _touches_a_file(call: ast.Call) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    opens = name == "open" and bool(call.args) and isinstance(call.args[0], ast.Constant)
    return opens or name in ("fdopen", "mkstemp", "read_text", "read_bytes", "write_text", "write_bytes")


def test_modules_are_short() -> None:
    """A module has one task and can be read in one sitting."""
    assert {one.name: len(one.lines) for one in MODULES if len(one.lines) > LONGEST_MODULE} == {}


# --- effects of imports

LOOK = """
import logging, pkgutil, signal, sys, threading
from importlib import import_module
import amqtt.broker, paho.mqtt.client, pydantic_settings, tenacity, urllib3  # what these do is their own business

FORBIDDEN = {"socket.__new__", "subprocess.Popen", "os.fork", "os.mkdir", "os.remove", "os.rename", "os.putenv"}

def forbid(event, arguments):
    if event in FORBIDDEN or (event == "open" and set("wax+") & set(str(arguments[1] or ""))):
        raise AssertionError((event, arguments))

handlers, signals = list(logging.root.handlers), [signal.getsignal(number) for number in signal.valid_signals()]
sys.addaudithook(forbid)
import stbridge
for module in pkgutil.walk_packages(stbridge.__path__, "stbridge."):
    import_module(module.name)
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
assert logging.root.handlers == handlers, logging.root.handlers
assert signals == [signal.getsignal(number) for number in signal.valid_signals()]
assert not [name for name, one in logging.root.manager.loggerDict.items()
            if name.startswith("stbridge") and getattr(one, "handlers", [])]
"""


def python(code: str) -> str:
    """Run a program in a new interpreter that writes no bytecode, and return its output."""
    command = [sys.executable, "-B", "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_does_nothing() -> None:
    """No import of a module starts a thread, opens a socket, writes a file, or sets up logging or signals."""
    assert python(LOOK) == ""


def test_the_command_line_loads_only_what_a_subcommand_needs() -> None:
    """`stbridge health` runs every few seconds in a container, so it loads neither HTTP nor MQTT."""
    health = "try: stbridge.cli.main(['health', '--set', 'mqtt.client_id=nobody'])\nexcept SystemExit as exit: "
    loaded = f"import sys, stbridge.cli\n{health}print(exit.code, {{'paho', 'urllib3'}} & set(sys.modules))"
    assert python(loaded) == "1 set()\n"
    assert python("from stbridge import SyncthingClient; print(SyncthingClient.__name__)") == "SyncthingClient\n"
