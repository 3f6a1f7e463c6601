"""Bridges, as processes, to one pretended Syncthing instance."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import BridgeProcess
from tests.syncthing.pretended import PretendedSyncthing

NewBridge = Callable[..., BridgeProcess]
"""Called with the port of a broker and further variables; returns a bridge that is not started."""


@contextmanager
def bridges_to(syncthing: PretendedSyncthing, directory: Path) -> Iterator[NewBridge]:
    """Create bridges to an instance called `nas`, and stop all of them at the end."""
    made: list[BridgeProcess] = []

    def make(port: int, **variables: str) -> BridgeProcess:
        settings = {
            "STBRIDGE_MQTT__PORT": str(port),
            "STBRIDGE_SYNCTHING__NAS__URL": syncthing.url,
            "STBRIDGE_SYNCTHING__NAS__API_KEY": "key",
        }
        made.append(BridgeProcess(directory, {**settings, **variables}))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.stop()
