"""Time from the publication of a command to its reply, and number of executed commands per second."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic

import requests
from matplotlib.figure import Figure
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks import stage
from benchmarks.quantiles import quantiles
from benchmarks.section import Plot, Section, Table
from stbridge.demo.node import SyncthingNode
from tests.servers import PATIENCE_S

VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
IN_FLIGHT = (1, 4, 16)
FOLDER = "docs"
ANSWERS = "replies"


@dataclass(frozen=True, slots=True)
class Call:
    """A command, and the REST request that it causes."""

    command: str
    arguments: Mapping[str, str]
    method: str
    path: str
    query: Mapping[str, str]


CALLS = (
    Call("get_ping", {}, "GET", "/rest/system/ping", {}),
    Call("get_folder_status", {"folder": FOLDER}, "GET", "/rest/db/status", {"folder": FOLDER}),
    Call("get_config", {}, "GET", "/rest/config", {}),
    Call("clear_errors", {}, "POST", "/rest/system/error/clear", {}),
    Call("scan", {"folder": FOLDER}, "POST", "/rest/db/scan", {"folder": FOLDER}),
)


class Commander:
    """Sends commands, and records when each reply arrived.

    It receives replies by a second connection. By default Mosquitto leaves Nagle's algorithm on, which on a single
    connection would delay a reply for up to 40 ms behind the acknowledgement of the command.

    Args:
        port: of the broker.
        version: the MQTT version; with version 5 the commands have a response topic.
    """

    def __init__(self, port: int, version: str) -> None:
        self._modern = version == "5"
        self._replies: SimpleQueue[tuple[float, int]] = SimpleQueue()
        self._sent = 0
        subscribed = threading.Event()
        self._sender, self._listener = (
            Client(CallbackAPIVersion.VERSION2, name, protocol=VERSIONS[version]) for name in ("sender", "listener")
        )
        self._listener.on_message = self._on_message
        self._listener.on_subscribe = lambda *_: subscribed.set()
        for client in (self._sender, self._listener):
            client.connect("127.0.0.1", port)
            connection = client.socket()
            assert isinstance(connection, socket.socket)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.loop_start()
        self._listener.subscribe(ANSWERS if self._modern else "syncthing/alpha/response/+", qos=0)
        assert subscribed.wait(PATIENCE_S)

    def stop(self) -> None:
        """Disconnect."""
        for client in (self._sender, self._listener):
            client.disconnect()
            client.loop_stop()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        reply = json.loads(message.payload)
        assert reply["status"] == "ok", reply
        self._replies.put((monotonic(), reply["transaction"]))

    def send(self, call: Call) -> int:
        """Send a command, and return its transaction."""
        self._sent += 1
        properties = None
        if self._modern:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho types only some
            properties.ResponseTopic = ANSWERS
        payload = json.dumps({**call.arguments, "transaction": self._sent})
        self._sender.publish(f"syncthing/alpha/command/{call.command}", payload, 1, properties=properties)
        return self._sent

    def receive(self) -> tuple[float, int]:
        """Wait for a reply, and return its arrival time and its transaction."""
        try:
            return self._replies.get(timeout=PATIENCE_S)
        except Empty:
            raise AssertionError("a command was not answered") from None


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Measure commands with each version of MQTT."""
    count, seconds = (10, 2.0) if quick else (150, 8.0)
    latencies, rates = [], []
    for version in VERSIONS:
        with _setting(version) as (node, commander):
            latencies += [[call.command, version, *_compare(call, node, commander, count)] for call in CALLS]
            rates.append([version, *(f"{_sustained(commander, one, seconds):.0f}" for one in IN_FLIGHT)])
    return Section(
        title="From a command to its reply",
        summary=[
            (
                f"Each command is sent {count} times, one after the other. It alternates with the REST request that"
                " it causes, sent by `requests` over one connection. Measured is the time from the publication to the"
                " reply at the sender; with MQTT 5 the command has a response topic."
            ),
            (
                f"Commands per second: `get_ping` for {seconds:.0f} s with a constant number of commands in flight;"
                " each reply triggers the next command. The bridge rejects commands beyond 32 in flight."
            ),
        ],
        tables=[
            Table(
                title="Milliseconds from a command to its reply, and of the bare request",
                head=["command", "MQTT", "median", "90th percentile", "99th percentile", "bare median", "bare 99th"],
                rows=latencies,
            ),
            Table(
                title="Commands per second",
                head=["MQTT", *(f"{one} in flight" for one in IN_FLIGHT)],
                rows=rates,
            ),
        ],
        plots=[Plot(name="commands", figure=_figure(latencies), caption=CAPTION)],
    )


@contextmanager
def _setting(version: str) -> Iterator[tuple[SyncthingNode, Commander]]:
    with stage.directory() as where, ExitStack() as ends:
        broker = ends.enter_context(stage.broker(where))
        node = ends.enter_context(stage.syncthing(where))
        node.share(FOLDER, where / FOLDER)
        (where / FOLDER / "file").write_bytes(b"content")
        ends.enter_context(stage.bridge(where, broker.port, node, STBRIDGE_MQTT__PROTOCOL=version))
        commander = Commander(broker.port, version)
        ends.callback(commander.stop)
        yield node, commander


def _compare(call: Call, node: SyncthingNode, commander: Commander, count: int) -> list[str]:
    """Return the cells of a row."""
    own, bare = [], []
    with requests.Session() as session:
        session.headers["X-API-Key"] = node.api_key
        for _ in range(count):
            began = monotonic()
            transaction = commander.send(call)
            came, to = commander.receive()
            assert to == transaction
            own.append((came - began) * 1000)
            began = monotonic()
            answer = session.request(call.method, node.url + call.path, params=call.query, timeout=PATIENCE_S)
            if answer.content.strip():
                answer.json()
            bare.append((monotonic() - began) * 1000)
    median, _, nearly_all = quantiles(bare)
    return [*(f"{value:.2f}" for value in quantiles(own)), f"{median:.2f}", f"{nearly_all:.2f}"]


def _sustained(commander: Commander, in_flight: int, seconds: float) -> float:
    """Return the executed commands per second with a constant number in flight."""
    ping, deadline = CALLS[0], monotonic() + seconds
    for _ in range(in_flight):
        commander.send(ping)
    under_way, answered = in_flight, 0
    began = monotonic()
    while under_way:
        came, _ = commander.receive()
        answered += 1
        if came < deadline:
            commander.send(ping)
        else:
            under_way -= 1
    return answered / (monotonic() - began)


CAPTION = "Median time from a command to its reply, compared with the bare REST request."


def _figure(latencies: Sequence[Sequence[str]]) -> Figure:
    figure = Figure(figsize=(8, 3.5))
    axes = figure.add_subplot(xlabel="milliseconds, median")
    commands = [call.command for call in CALLS]
    for offset, version in ((-0.25, "5"), (0.0, "3.1.1")):
        medians = [float(row[2]) for row in latencies if row[1] == version]
        axes.barh([place + offset for place in range(len(commands))], medians, 0.25, label=f"command, MQTT {version}")
    bare = [float(row[5]) for row in latencies if row[1] == "5"]
    axes.barh([place + 0.25 for place in range(len(commands))], bare, 0.25, color="tab:gray", label="bare request")
    axes.set_yticks(range(len(commands)), commands)
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.legend()
    return figure
