"""Where it is measured: a real broker, real Syncthings and the bridge, each with a directory of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stbridge.demo.node import SyncthingNode
from tests.servers import ANONYMOUS, PATIENCE_S, ROOT, BridgeProcess, Mosquitto, Subscriber, manifest


@contextmanager
def directory() -> Iterator[Path]:
    """Have a directory for one benchmark."""
    with TemporaryDirectory(prefix="stbridge-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def broker(where: Path, lines: Sequence[str] = (ANONYMOUS,)) -> Iterator[Mosquitto]:
    """Have a broker."""
    place = where / "broker"
    place.mkdir()
    one = Mosquitto(place, lines=lines)
    try:
        yield one.start()
    finally:
        one.stop()


@contextmanager
def syncthing(where: Path, name: str = "alpha") -> Iterator[SyncthingNode]:
    """Have a Syncthing, the newest that is at hand."""
    one = SyncthingNode(name, where / name / "home", list(manifest()["syncthing"].values())[-1])
    try:
        one.start()
        yield one
    finally:
        one.stop()


def new_bridge(where: Path, port: int, node: SyncthingNode, *, url: str = "", **more: str) -> BridgeProcess:
    """Return a bridge that has not been started; it knows the Syncthing as `alpha`."""
    place = where / "bridge"
    place.mkdir(exist_ok=True)
    return BridgeProcess(
        place,
        {
            "PYTHONPATH": str(ROOT),
            "STBRIDGE_MQTT__HOST": "127.0.0.1",
            "STBRIDGE_MQTT__PORT": str(port),
            "STBRIDGE_SYNCTHING__ALPHA__URL": url or node.url,
            "STBRIDGE_SYNCTHING__ALPHA__API_KEY": node.api_key,
            "STBRIDGE_COMMANDS__ALLOW": '["read", "operate", "admin"]',
            **more,
        },
    )


@contextmanager
def running(bridge: BridgeProcess, port: int, base_topic: str = "syncthing") -> Iterator[BridgeProcess]:
    """Have a bridge run; it is online from the beginning on.

    Args:
        bridge: the bridge, which has not said anything at this broker, or said goodbye.
        port: of the broker.
        base_topic: of the bridge.
    """
    watcher = Subscriber(port, f"{base_topic}/bridge/state")
    try:
        bridge.start()
        watcher.wait_for_payload(f"{base_topic}/bridge/state", b"online")
        yield bridge
    finally:
        watcher.close()
        bridge.stop()


@contextmanager
def bridge(where: Path, port: int, node: SyncthingNode, **more: str) -> Iterator[BridgeProcess]:
    """Have the bridge, online."""
    with running(new_bridge(where, port, node, **more), port) as one:
        yield one


@contextmanager
def program(*command: str, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a program run beside, until the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the benchmarks."""
    return [sys.executable, "-m", f"benchmarks.{name}", *arguments]
