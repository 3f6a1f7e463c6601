"""Fixtures: scripted servers, and clients that are closed after the test."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.errors import SyncthingUnavailable
from stbridge.syncthing import SyncthingClient
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer, Table

KEY = "not-the-real-key"

Serve = Callable[..., ScriptedServer]
Connect = Callable[..., SyncthingClient]
InBackground = Callable[[Callable[[], Any]], Future[Any]]


def is_up(client: SyncthingClient) -> bool:
    """Return whether Syncthing answers."""
    try:
        client.get_ping()
    except SyncthingUnavailable:
        return False
    return True


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that answer from a table."""
    servers: list[ScriptedServer] = []

    def start(table: Table, **options: Any) -> ScriptedServer:
        servers.append(ScriptedServer(table, **options).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Create clients for addresses."""
    clients: list[SyncthingClient] = []

    def make(url: str, api_key: str = KEY, **options: Any) -> SyncthingClient:
        clients.append(SyncthingClient(api_key, url, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def syncthing(serve: Serve) -> PretendedSyncthing:
    """A scripted Syncthing instance of the newest recorded version."""
    return PretendedSyncthing(serve)


@pytest.fixture
def in_background() -> Iterator[InBackground]:
    """Run a function in another thread."""
    with ThreadPoolExecutor() as executor:
        yield executor.submit


@pytest.fixture
def expendable(binary: str, tmp_path: Path) -> Iterator[SyncthingNode]:
    """A real node for one test, which starts again after a restart."""
    one = SyncthingNode("expendable", tmp_path / "home", binary, monitor=True)
    try:
        one.start()
        yield one
    finally:
        one.stop()
