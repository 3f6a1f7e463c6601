"""Fixtures for real servers, which start when a test needs them and stop when that test is done."""

import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from stbridge.demo import node as demo_node
from stbridge.demo.node import ServerPorts, SyncthingNode
from tests.dead_link import Cable, NoNamespaces
from tests.machine import Machine
from tests.secrecy import SECRECY, Listener
from tests.servers import MANIFEST, Mosquitto, Subscriber, manifest

# Without deadlines: the test machine is busy, so the duration of an example means nothing. A test takes its settings
# when its module is imported, so they must be loaded before any test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ODD_FOLDER = "a/b +#%ü"
"""A folder ID that contains every kind of character that topics and URLs cannot contain unescaped."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two real, connected nodes that share the folders "docs" and ODD_FOLDER."""

    version: str
    a: SyncthingNode
    b: SyncthingNode
    a_files: Path
    b_files: Path

    def write(self, name: str, content: bytes = b"content", folder: str = "docs") -> Path:
        """Write a file on node a."""
        file = self.a_files / ("docs" if folder == "docs" else "odd") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


def pytest_configure(config: pytest.Config) -> None:
    """Give each process of the tests its own range of ports, and let the programs that it starts react to Ctrl-C.

    A port is free until its server has started. A shell ignores SIGINT in what it runs in the background, and child
    processes inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if (worker := getattr(config, "workerinput", None)) is not None:
        count = worker["workercount"]
        # a worker that replaces a crashed one has a number beyond the count
        number = int(worker["workerid"].removeprefix("gw")) % count
        ports = demo_node.EVERY_SERVER_PORT
        size = len(ports) // count
        demo_node.SERVER_PORTS = ServerPorts(ports[number * size : (number + 1) * size])


@pytest.fixture(autouse=True)
def no_secret_is_logged() -> Iterator[None]:
    """Check that no message, no bridge log and no log record contains a secret of the servers."""
    listener = Listener()
    logging.getLogger().addHandler(listener)
    yield
    logging.getLogger().removeHandler(listener)
    assert SECRECY.take() == []


def _versions() -> list[str]:
    return list(manifest()["syncthing"]) if MANIFEST.is_file() else ["none: run `make servers`"]


@pytest.fixture(scope="session", params=_versions())
def syncthing_version(request: pytest.FixtureRequest) -> str:
    """Each available version of Syncthing, one after the other."""
    version: str = request.param
    return version


@pytest.fixture(scope="session")
def binary(syncthing_version: str) -> str:
    """The path of the Syncthing program of that version."""
    path: str = manifest()["syncthing"][syncthing_version]
    return path


@pytest.fixture(scope="session")
def node(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncthingNode]:
    """A running node."""
    one = SyncthingNode("node", tmp_path_factory.mktemp("node") / "home", binary)
    try:
        one.start()
        SECRECY.keep(one.api_key, "the API key of a node")
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="session")
def pair(syncthing_version: str, binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two connected nodes that share two folders; node a starts again by itself after a restart."""
    directory = tmp_path_factory.mktemp("pair")
    a = SyncthingNode("alpha", directory / "a/home", binary, monitor=True)
    b = SyncthingNode("beta", directory / "b/home", binary)
    files = {a: directory / "a/files", b: directory / "b/files"}
    try:
        a.start()
        b.start()
        for one in (a, b):
            SECRECY.keep(one.api_key, "the API key of a node")
        a.link(b)
        for here, there in ((a, b), (b, a)):
            here.share("docs", files[here] / "docs", label="Documents", devices=[there])
            here.share(ODD_FOLDER, files[here] / "odd", label="Odd", devices=[there])
        a.wait_for(lambda: a.is_connected(b) and all(one.is_idle("docs") and one.is_idle(ODD_FOLDER) for one in files))
        yield Pair(syncthing_version, a, b, files[a], files[b])
    finally:
        a.stop()
        b.stop()


@pytest.fixture
def mosquitto(request: pytest.FixtureRequest) -> str:
    """The Mosquitto program of the test's brokers: that of this system, or each version (`every_mosquitto`)."""
    servers = manifest()
    path: str = servers["mosquittos"][request.param] if hasattr(request, "param") else servers["mosquitto"]
    return path


@pytest.fixture
def new_broker(tmp_path: Path, mosquitto: str) -> Iterator[Callable[..., Mosquitto]]:
    """Create brokers that are not started yet."""
    made: list[Mosquitto] = []

    def make(**options: Any) -> Mosquitto:
        directory = tmp_path / f"broker{len(made)}"
        directory.mkdir()
        made.append(Mosquitto(directory, program=mosquitto, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def broker(new_broker: Callable[..., Mosquitto]) -> Mosquitto:
    """A running broker without retained messages."""
    return new_broker().start()


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    """A plain client that receives every message on the broker."""
    one = Subscriber(broker.port)
    yield one
    one.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without any settings."""
    return Machine(tmp_path, monkeypatch)


def pytest_report_header() -> list[str]:
    """Show at the start which real servers are available."""
    if not MANIFEST.is_file():
        return ["servers: none, run `make servers`"]
    mosquitto, syncthing = (", ".join(manifest()[one]) for one in ("mosquittos", "syncthing"))
    return [f"servers: Mosquitto {mosquitto}, Syncthing {syncthing}"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show at the end which tests could not run, so that no test is skipped silently."""
    missing = manifest()["missing"] if MANIFEST.is_file() else [{"what": "everything real", "why": "no servers"}]
    for one in missing:
        terminalreporter.write_line(f"could not run with {one['what']}: {one['why']}", yellow=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    """Two network namespaces connected by a cable that can be cut; the test is skipped where they cannot be created."""
    one = Cable()
    try:
        one.start()
    except NoNamespaces as error:
        pytest.skip(str(error))
    try:
        yield one
    finally:
        one.stop()
