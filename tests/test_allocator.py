"""How the service configures the memory allocator of the C library."""

import platform
from pathlib import Path

import pytest

from tests.servers import BridgeProcess, Mosquitto, Subscriber
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import ScriptedServer

HEAP = 64 * 1024 * 1024
"""glibc aligns each additional arena to this size (HEAP_MAX_SIZE on 64 bit)."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_all_threads_of_the_service_share_one_arena(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    """Each arena keeps the memory that its threads have freed, so with several arenas memory grows for hours."""
    syncthing = PretendedSyncthing(lambda table: ScriptedServer(table).start())
    syncthing.has_folders(docs=False)
    variables = {
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_SYNCTHING__NAS__URL": syncthing.url,
        "STBRIDGE_SYNCTHING__NAS__API_KEY": "key",
    }
    bridge = BridgeProcess(tmp_path, variables).start()
    try:
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        maps = Path(f"/proc/{bridge.id}/maps").read_text(encoding="utf-8").splitlines()
        anonymous = [line for line in maps if len(line.split()) == 5]
        assert [line for line in anonymous if int(line.partition("-")[0], 16) % HEAP == 0] == []
    finally:
        bridge.stop()
        syncthing.server.stop()
