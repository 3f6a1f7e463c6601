"""The brokers that the bridge is tried with: those of the tests, and those that `scripts/brokers` brings."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks import stage
from stbridge.demo.node import free_port
from tests.servers import ROOT, eventually, manifest

BROUGHT = ROOT / ".cache/brokers"
NATS = BROUGHT / "nats/usr/sbin/nats-server"
AEDES = BROUGHT / "aedes"

NATS_CONFIGURATION = """
server_name: bench
listen: 127.0.0.1:{own_port}
jetstream {{ store_dir: "{directory}" }}
mqtt {{ host: 127.0.0.1, port: {port} }}
"""

AEDES_PROGRAM = """
import { createServer } from 'node:net'
const { Aedes } = await import(process.argv[1])
const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
"""

Start = Callable[[Path], AbstractContextManager[int]]


@contextmanager
def _mosquitto(where: Path) -> Iterator[int]:
    with stage.broker(where) as one:
        yield one.port


@contextmanager
def _amqtt(_where: Path) -> Iterator[int]:
    from stbridge.demo.broker import EmbeddedBroker  # noqa: PLC0415 - an extra

    one = EmbeddedBroker()
    one.start()
    try:
        yield one.port
    finally:
        one.stop()


@contextmanager
def _nats(where: Path) -> Iterator[int]:
    configuration, port = where / "nats.conf", free_port()
    text = NATS_CONFIGURATION.format(own_port=free_port(), directory=where / "jetstream", port=port)
    configuration.write_text(text, encoding="utf-8")
    with _process(where, port, str(NATS), "--config", str(configuration)):
        yield port


@contextmanager
def _aedes(where: Path) -> Iterator[int]:
    port, module = free_port(), AEDES / "node_modules/aedes/aedes.js"
    with _process(where, port, "node", "--input-type=module", "--eval", AEDES_PROGRAM, str(module), str(port)):
        yield port


@contextmanager
def _process(where: Path, port: int, *command: str) -> Iterator[None]:
    with (where / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually(lambda: _listens(port))
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def brokers() -> Mapping[str, Start]:
    """Return the brokers that are at hand, by name and version."""
    mosquitto = _said([manifest()["mosquitto"], "-h"]).splitlines()[0].split()[-1]
    found: dict[str, Start] = {f"Mosquitto {mosquitto}": _mosquitto}
    if NATS.exists():
        found[f"NATS {_said([str(NATS), '--version']).rpartition('v')[2]}"] = _nats
    if (AEDES / "ready").exists() and shutil.which("node"):
        found[f"Aedes {(AEDES / 'ready').read_text(encoding='utf-8').strip()}"] = _aedes
    found[f"amqtt {version('amqtt')}"] = _amqtt
    return found
