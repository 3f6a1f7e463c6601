"""The brokers of the benchmark: those of the tests, and those that `scripts/brokers` installs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from stbridge.demo.node import free_port
from tests.nats import PROGRAM as NATS
from tests.nats import Nats
from tests.servers import ROOT, Mosquitto, eventually, listens, manifest

INSTALLED = ROOT / ".cache/brokers"
START_S = 60.0

Start = Callable[[Path], AbstractContextManager[int]]
"""Starts a broker with its files in a directory, and returns its port; leaving the context stops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A broker that `scripts/brokers` has installed.

    In commands and files, words in braces are replaced: `{here}` by the directory of the broker, `{where}` by the
    directory of the test, `{python}` by the Python program, `{port}`, `{second}` and `{third}` by free ports.

    Attributes:
        name: the name of the broker.
        directory: its directory in `.cache/brokers`.
        command: starts it.
        files: names and texts of its files in the directory of the test.
        variant: what distinguishes it from the same broker with other settings.
    """

    name: str
    directory: str
    command: Sequence[str]
    files: Sequence[tuple[str, str]] = ()
    variant: str = ""

    @property
    def version(self) -> str:
        """Its version; empty if it is not installed."""
        file = INSTALLED / self.directory / "version"
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""

    @contextmanager
    def run(self, where: Path) -> Iterator[int]:
        """Run it, and return its port."""
        port = free_port()
        words = {
            "here": str((INSTALLED / self.directory).resolve()),
            "where": str(where),
            "python": sys.executable,
            "port": str(port),
            "second": str(free_port()),
            "third": str(free_port()),
        }
        for name, text in self.files:
            (where / name).parent.mkdir(exist_ok=True)
            (where / name).write_text(_filled(text, words), encoding="utf-8")
        command = [_filled(word, words) for word in self.command]
        environment = {**os.environ, "PYTHONPATH": words["here"]}  # of a broker that is a Python package
        with (where / "broker.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            eventually(partial(listens, port), START_S)
            yield port
        finally:
            process.kill()
            process.wait()


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)


AEDES = """
import { createServer } from 'node:net'
const { Aedes } = await import(process.argv[1])
const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
"""

RUMQTTD = """
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""
"""iotcore contains rumqttd, whose listener for MQTT 5 is a separate one; its usual `max_payload_size` is 20480."""

MOQUETTE = """
host 127.0.0.1
port {port}
websocket_port disabled
allow_anonymous true
persistence_enabled false
telemetry_enabled false
"""

RABBITMQ = """
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{port}
mqtt.allow_anonymous = true
anonymous_login_user = guest
anonymous_login_pass = guest
"""

ENTER_RABBITMQ = """
cd '{here}/system' && mount --rbind /dev dev && mount -t proc proc proc && mount --bind '{where}' where || exit
exec env -i PATH=/usr/sbin:/usr/bin HOME=/where LANG=C.UTF-8 ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT={third} \
    RABBITMQ_NODENAME=bench@localhost RABBITMQ_DIST_PORT={second} RABBITMQ_MNESIA_BASE=/where/data \
    RABBITMQ_LOG_BASE=/where/log RABBITMQ_CONFIG_FILE=/where/configuration.conf \
    RABBITMQ_ENABLED_PLUGINS_FILE=/where/plugins chroot . /usr/lib/rabbitmq/bin/rabbitmq-server
"""

PROGRAMS = (
    Program(
        name="mochi-mqtt",
        directory="mochi",
        command=["{here}/cmd", "-tcp=127.0.0.1:{port}", "-ws=127.0.0.1:{second}", "-info=127.0.0.1:{third}"],
    ),
    Program(
        name="RabbitMQ",
        directory="rabbitmq",
        command=[
            "unshare",
            "--mount",
            "--propagation=private",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "{where}/enter",
        ],
        files=[("configuration.conf", RABBITMQ), ("plugins", "[rabbitmq_mqtt]."), ("enter", ENTER_RABBITMQ)],
    ),
    Program(
        name="iotcore",
        variant=" (MQTT 5 listener)",
        directory="iotcore",
        command=["{python}", "-m", "iotcore", "--config={where}/rumqttd.toml"],
        files=[("rumqttd.toml", RUMQTTD)],
    ),
    Program(
        name="iotcore",
        directory="iotcore",
        command=["{python}", "-m", "iotcore", "--listen=127.0.0.1", "--port={port}"],
    ),
    Program(
        name="Moquette",
        directory="moquette",
        command=["java", "-Xmx128m", "-cp", "{here}/lib/*", "-Dmoquette.path={where}", "io.moquette.broker.Server"],
        files=[("config/moquette.conf", MOQUETTE)],
    ),
    Program(
        name="Moquette",
        variant=" (`netty.mqtt.message_size 1000000`)",
        directory="moquette",
        command=["java", "-Xmx128m", "-cp", "{here}/lib/*", "-Dmoquette.path={where}", "io.moquette.broker.Server"],
        files=[("config/moquette.conf", f"{MOQUETTE}netty.mqtt.message_size 1000000\n")],
    ),
    Program(
        name="Aedes",
        directory="aedes",
        command=[
            "node",
            "--input-type=module",
            "--eval",
            AEDES,
            "{here}/node_modules/aedes/aedes.js",
            "{port}",
        ],
    ),
)


@contextmanager
def _mosquitto(program: str, where: Path) -> Iterator[int]:
    one = Mosquitto(where, program=program)
    try:
        yield one.start().port
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
def _amqtt(_where: Path) -> Iterator[int]:
    from stbridge.demo.broker import EmbeddedBroker  # noqa: PLC0415 - an extra

    one = EmbeddedBroker()
    one.start()
    try:
        yield one.port
    finally:
        one.stop()


def brokers() -> Mapping[tuple[str, str], Start]:
    """Return the available brokers by name and version."""
    mosquittos = manifest()["mosquittos"].items()
    nats = subprocess.run([NATS, "--version"], capture_output=True, text=True, check=True).stdout
    return {
        **{("Mosquitto", number): partial(_mosquitto, program) for number, program in mosquittos},
        **{(one.name, one.version + one.variant): one.run for one in PROGRAMS if one.version},
        ("NATS", nats.rpartition("v")[2].strip()): _nats,
        ("amqtt", version("amqtt")): _amqtt,
    }
