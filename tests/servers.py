"""Real servers and plain clients for the tests: Mosquitto, a subscriber, and the bridge as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from stbridge.core.topics import Topics, is_retained
from stbridge.demo.node import SyncthingNode, free_port
from stbridge.health import health_file
from tests.secrecy import SECRECY

PATIENCE_S = 30.0
ANONYMOUS = "allow_anonymous true"
ROOT = Path(__file__).parent.parent
TOPICS = Topics("syncthing")
MANIFEST = ROOT / ".cache/servers/manifest.json"


def manifest() -> dict[str, Any]:
    """Return the list of servers that `scripts/servers` has installed."""
    if not MANIFEST.is_file():
        raise RuntimeError("there are no servers to test against: run `make servers`")
    found: dict[str, Any] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return found


def _mosquittos() -> list[str]:
    return list(manifest()["mosquittos"]) if MANIFEST.is_file() else ["none: run `make servers`"]


every_mosquitto = pytest.mark.parametrize("mosquitto", _mosquittos(), indirect=True)
"""Mark for tests that run with each available version of Mosquitto, instead of only with the one of this system."""


def newest_syncthing(major: str) -> str:
    """Return the program of the newest version of Syncthing 1 or 2; skip the test if there is none."""
    found = [path for version, path in manifest()["syncthing"].items() if version.startswith(f"{major}.")]
    if not found:
        pytest.skip(f"there is no Syncthing {major}.x at hand")
    return str(found[-1])


def content_of(file: Path) -> bytes:
    """Return the content of a file in /proc; nothing if its process has exited meanwhile."""
    with suppress(OSError):
        return file.read_bytes()
    return b""


def eventually(condition: Callable[[], Any], timeout_s: float = PATIENCE_S, found: object = "") -> Any:
    """Wait until a condition holds, and return its result.

    Args:
        condition: called repeatedly.
        timeout_s: maximum wait in seconds.
        found: what the failure shows; its content may change in the meantime.
    """
    pause = threading.Event()
    deadline = monotonic() + timeout_s
    while not (result := condition()):
        assert monotonic() < deadline, f"did not come to hold within {timeout_s:.0f} s {found}"
        pause.wait(0.05)
    return result


def listens(port: int) -> bool:
    """Return whether a server listens on a port of the loopback address."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def is_state(topic: str) -> bool:
    """Return whether a topic of the bridge, or another one, has retained messages."""
    parsed = TOPICS.parse(topic)
    return parsed is None or is_retained(parsed[1].kind)


LISTENING = ("GUI and API listening on 127", "GUI and API listening (address")
"""Lines that Syncthing 1.x and 2.x log each time they start to listen for requests."""


def listening_count(node: SyncthingNode) -> int:
    """Return how often an instance has started to listen for requests."""
    log = (node.home / "syncthing.log").read_text(encoding="utf-8", errors="replace")
    return sum(map(log.count, LISTENING))


@contextmanager
def listens_again(node: SyncthingNode) -> Iterator[None]:
    """Wait at the end until an instance listens again, which it does some time after a change of its section `gui`."""
    count = listening_count(node)
    yield
    eventually(lambda: listening_count(node) > count)


def change_gui(node: SyncthingNode, **changes: Any) -> None:
    """Change keys of the section `gui`, and wait until the instance listens again."""
    before = node.request("GET", "/rest/config/gui")
    if before | changes == before:
        return
    with listens_again(node), suppress(OSError):  # it may close the connection before it has answered
        node.request("PATCH", "/rest/config/gui", body=changes)


class Mosquitto:
    """A real Mosquitto broker on a free port of the loopback address."""

    def __init__(
        self,
        directory: Path,
        *,
        lines: Sequence[str] = (ANONYMOUS,),
        listener_lines: Sequence[str] = (),
        port: int | None = None,
        program: str = "",
    ) -> None:
        self.port = port or free_port()
        self.lines = lines
        self.program = program or manifest()["mosquitto"]
        self._directory = directory
        self._listener_lines = listener_lines
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def id(self) -> int:
        """The process ID."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def start(self) -> "Mosquitto":
        """Start the broker and wait until it listens."""
        configuration = self._directory / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", *self._listener_lines, *self.lines, "user root", ""]
        configuration.write_text("\n".join(lines), encoding="utf-8")
        with (self._directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([self.program, "-c", str(configuration)], stderr=log)
        eventually(self._serves)
        return self

    def _serves(self) -> bool:
        """Return whether its main loop runs: it then closes a connection whose first bytes are neither CONNECT nor TLS.

        An open listener is not enough. Mosquitto opens its listeners one after the other, and ignores
        a SIGTERM that arrives before its main loop (`run = 1` in `mosquitto.c` of 2.0).
        """
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "mosquitto.log").read_text(encoding="utf-8")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(bytes(16))
                probe.shutdown(socket.SHUT_WR)
                probe.recv(1)
        except ConnectionResetError:
            return True
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Stop the broker; its stored messages are lost."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the broker, as a crash would."""
        self._end(signal.SIGKILL)

    def hang(self) -> None:
        """Suspend the broker."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Resume the suspended broker."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "start() comes first"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None


DIALS_AGAIN_S = 90
"""Syncthing retries a device that it has lost, or that shares something new, after a minute at the latest."""


class Subscriber:
    """A plain client that receives every message and can publish."""

    def __init__(
        self, port: int, topic_filter: str = "#", *, client_id: str = "", username: str = "", password: str = ""
    ) -> None:
        self.messages: list[MQTTMessage] = []
        self.port = port
        self._changed = threading.Condition()
        subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id or f"subscriber-{id(self)}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        if username:
            self._client.username_pw_set(username, password)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topic_filter, qos=1)
        assert subscribed.wait(PATIENCE_S)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        SECRECY.look(message.topic, message.topic)
        SECRECY.look(message.topic, bytes(message.payload))
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def count(self) -> int:
        """The number of messages received so far."""
        with self._changed:
            return len(self.messages)

    def wait_for(self, condition: Callable[[MQTTMessage], Any], *, since: int = 0) -> MQTTMessage:
        """Wait for a message, and return the first one from index `since` on that fits."""

        def found() -> MQTTMessage | None:
            return next((one for one in self.messages[since:] if condition(one)), None)

        with self._changed:
            assert self._changed.wait_for(found, PATIENCE_S), self._last_words()
            message = found()
        assert message is not None
        return message

    def wait_for_payload(self, topic: str, payload: bytes, *, since: int = 0) -> MQTTMessage:
        """Wait for exactly this payload on a topic; an empty payload means that the topic was cleared."""
        return self.wait_for(lambda one: one.topic == topic and one.payload == payload, since=since)

    def wait_for_json(self, topic: str, condition: Callable[[Any], Any] = lambda _: True, *, since: int = 0) -> Any:
        """Wait for a JSON payload on a topic, and return the first one that fits."""
        message = self.wait_for(
            lambda one: one.topic == topic and one.payload and condition(json.loads(one.payload)), since=since
        )
        return json.loads(message.payload)

    def until(self, topic: str, timeout_s: float = PATIENCE_S, **values: Any) -> Any:
        """Wait until the newest payload of a topic has these values, and return it."""
        found: dict[str, Any] = {}

        def fits() -> bool:
            found.clear()
            found.update(json.loads(self.latest().get(topic, b"{}")))
            return values.items() <= found.items()

        eventually(fits, timeout_s, found)
        return found

    def _last_words(self) -> str:
        latest = {message.topic: message.payload.decode("utf-8", "replace")[:300] for message in self.messages}
        return "\n".join(f"{topic} {payload}" for topic, payload in latest.items())

    def retained(self) -> dict[str, bytes]:
        """Return the newest payload of each topic whose messages the bridge retains."""
        return {topic: payload for topic, payload in self.latest().items() if is_state(topic)}

    def latest(self) -> dict[str, bytes]:
        """Return the newest payload of each topic that has one."""
        with self._changed:
            newest = {message.topic: bytes(message.payload) for message in self.messages}
        return {topic: payload for topic, payload in newest.items() if payload}

    def publish(
        self,
        topic: str,
        payload: bytes | str,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Publish a message, and wait until the broker has received it."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho types only some
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if correlation is not None:
            properties.CorrelationData = correlation
        self._client.publish(topic, payload, 1, retain, properties).wait_for_publish(PATIENCE_S)


def ask(subscriber: Subscriber, command: str, payload: str | bytes, *, node: str = "alpha", **options: Any) -> Any:
    """Send a command and return its reply."""
    since = subscriber.count
    subscriber.publish(f"syncthing/{node}/command/{command}", payload, **options)
    return subscriber.wait_for_json(f"syncthing/{node}/response/{command}", since=since)


def instance(name: str, node: SyncthingNode) -> dict[str, str]:
    """Return the environment variables that configure a node as an instance of the bridge."""
    prefix = f"STBRIDGE_SYNCTHING__{name.upper()}__"
    return {f"{prefix}URL": node.url, f"{prefix}API_KEY": node.api_key}


def variables_of(unit: Path) -> dict[str, str]:
    """Return the environment variables that a systemd unit sets."""
    return dict(re.findall(r"^Environment=(\w+)=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE))


class BridgeProcess:
    """`stbridge run` as a process, or another module with the same entry point, with the variables of its unit."""

    def __init__(
        self, directory: Path, variables: Mapping[str, str], module: str = "stbridge", prefix: Sequence[str] = ()
    ) -> None:
        self.log = directory / "stbridge.log"
        self._prefix = prefix
        self._module = module
        self._variables = {"XDG_RUNTIME_DIR": str(directory), "HOME": str(directory), **variables}
        for name, value in variables.items():
            if name.endswith(("API_KEY", "PASSWORD")):
                SECRECY.keep(value, name)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "BridgeProcess":
        """Start the process without waiting until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", self._module, "run"],
                stderr=log,
                stdout=log,
                env=self._environment,
            )
        return self

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another subcommand with the same settings."""
        command = [sys.executable, "-m", "stbridge", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, env=self._environment, check=False
        )

    @property
    def _environment(self) -> Mapping[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("STBRIDGE_")}
        return {**ours, **variables_of(ROOT / "systemd/stbridge.service"), **self._variables}

    @property
    def health_file(self) -> Path:
        """The path of its health file."""
        return health_file(self._variables, self._variables.get("STBRIDGE_MQTT__CLIENT_ID", "stbridge"))

    @property
    def id(self) -> int:
        """The process ID."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None, "start() comes first"
        self._process.send_signal(number)

    def stop(self) -> int:
        """Send SIGTERM, wait until the process exits, and return its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self) -> int:
        """Wait until the process exits, and return its exit status."""
        assert self._process is not None
        try:
            status = self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process = None
            if self.log.is_file():  # /dev/full never reaches an end of file
                SECRECY.look("the log of the bridge", self.log.read_bytes())
        return status


@contextmanager
def running(bridge: BridgeProcess, subscriber: Subscriber) -> Iterator[BridgeProcess]:
    """Run a bridge that is online at the beginning, and stop it at the end, also if it does not start."""
    try:
        bridge.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        yield bridge
    finally:
        bridge.stop()
