"""The setup of benchmarks: a real broker, real Syncthing instances and the bridge, each with its own directory."""

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
    """Create a temporary directory for a benchmark."""
    with TemporaryDirectory(prefix="stbridge-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def broker(where: Path, lines: Sequence[str] = (ANONYMOUS,)) -> Iterator[Mosquitto]:
    """Run a broker."""
    place = where / "broker"
    place.mkdir()
    one = Mosquitto(place, lines=lines)
    try:
        yield one.start()
    finally:
        one.stop()


@contextmanager
def syncthing(where: Path, name: str = "alpha") -> Iterator[SyncthingNode]:
    """Run a Syncthing instance of the newest available version."""
    one = SyncthingNode(name, where / name / "home", list(manifest()["syncthing"].values())[-1])
    try:
        one.start()
        yield one
    finally:
        one.stop()


def new_bridge(where: Path, port: int, node: SyncthingNode, *, url: str = "", **more: str) -> BridgeProcess:
    """Return a bridge that is not started, whose instance is called `alpha`."""
    place = where / "bridge"
    place.mkdir(exist_ok=True)
    return BridgeProcess(
        place,
        {
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "",  # installed packages have bytecode: compiling takes time, and memory
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
    """Run a bridge that is online.

    Args:
        bridge: a bridge that is new to this broker, or has disconnected from it cleanly.
        port: of the broker.
        base_topic: the base topic of the bridge.
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
    """Run a new bridge that is online."""
    with running(new_bridge(where, port, node, **more), port) as one:
        yield one


@contextmanager
def program(*command: str, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program while the context is active."""
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
