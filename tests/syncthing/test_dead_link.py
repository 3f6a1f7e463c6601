"""A dead connection to Syncthing: packets are dropped without FIN or RST."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stbridge import keepalive
from stbridge.errors import Unreachable
from stbridge.syncthing import SyncthingClient
from tests.certificates import self_signed
from tests.dead_link import Cable
from tests.syncthing.conftest import Connect, Serve
from tests.syncthing.server import Answer, answers, hangs

NOTICED_S = 25
"""Keepalive needs 15 s, and a busy machine some more. Without it, the calls here would wait for a minute."""

Call = Callable[[SyncthingClient], object]


def long_poll(client: SyncthingClient) -> object:
    """Wait for events like the bridge."""
    return client.get_events(0, timeout_s=55)


def scan(client: SyncthingClient) -> None:
    """Wait for a scan that takes hours."""
    client.scan("docs", timeout_s=24 * 3600)


@pytest.mark.parametrize(
    ("scheme", "call", "impatient"), [("http", scan, False), ("http", long_poll, True), ("https", long_poll, True)]
)
def test_keepalive_ends_a_call_on_a_dead_connection(  # noqa: PLR0917 - fixtures
    cable: Cable,
    serve: Serve,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    call: Call,
    impatient: bool,
) -> None:
    """The waiting call fails long before its own timeout, and the next call reaches Syncthing again."""
    if impatient:
        for name in ("IDLE_S", "INTERVAL_S", "PROBES"):
            monkeypatch.setattr(keepalive, name, 1)
    context = self_signed(tmp_path / "own").context if scheme == "https" else None
    table: dict[str, Any] = {"/rest/events": [hangs, answers([])], "/rest/db/scan": [hangs, Answer()]}
    server = serve(table, context=context)
    client = connect(f"{scheme}://{cable.lead_to(server.port)}", verify="off")
    waiting = cable.submit(call, client)
    server.wait_until_hanging()
    cable.cut()
    with pytest.raises(Unreachable, match="the connection was lost") as raised:
        waiting.result(NOTICED_S)
    assert raised.value.may_have_run
    cable.repair()
    cable.submit(call, client).result(NOTICED_S)
