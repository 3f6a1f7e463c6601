"""Promises of docs/security.md that no other test holds."""

import ast
import re
import socket
from collections.abc import Callable

import pytest

from stbridge.core.messages import Received
from stbridge.errors import TimedOut
from stbridge.mqtt import retained
from stbridge.mqtt.client import connect, new_client
from stbridge.mqtt.protocol import Protocol
from stbridge.mqtt.retained import RetainedReader, Selection
from stbridge.settings import MqttSettings
from stbridge.syncthing.transport import Transport
from tests.documents import ROOT, text_of
from tests.syncthing.server import Exchange, ScriptedServer

PING = "/rest/system/ping"
LISTENING = frozenset({"bind", "listen", "create_server", "start_server", "HTTPServer", "TCPServer"})


def test_the_bridge_opens_no_port() -> None:
    """Only the demo, to find free ports for its own servers, and the server of the web page bind a socket."""
    calls = [
        (str(file.relative_to(ROOT / "stbridge")), ast.unparse(node.func))
        for file in sorted((ROOT / "stbridge").rglob("*.py"))
        for node in ast.walk(ast.parse(text_of(file)))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in LISTENING
    ]
    assert calls == [("demo/node.py", "probe.bind"), ("web/server.py", "socket.create_server")]


# --- Syncthing


def continues(exchange: Exchange) -> None:
    """Announce an answer again and again, as fast as it is read."""
    exchange.close_connection = True
    try:
        while not exchange.server.ended.wait(0.05):
            exchange.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            exchange.wfile.flush()
    except OSError:
        return


def test_an_answer_that_is_announced_again_and_again_is_cut_off() -> None:
    """http.client skips any number of interim answers, without a limit of its own."""
    server = ScriptedServer({PING: continues}).start()
    transport = Transport("key", server.url, "off", 0.5)
    try:
        with pytest.raises(TimedOut, match=r"did not answer within 0\.5 s"):
            transport.call("GET", PING)
    finally:
        transport.close()
        server.stop()


# --- the broker


@pytest.fixture
def connect_flags() -> Callable[[Protocol], int]:
    """Return the flags of CONNECT that the bridge sends with a version of MQTT."""

    def flags(protocol: Protocol) -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            settings = MqttSettings(host="127.0.0.1", port=listener.getsockname()[1])
            client = new_client(settings, protocol, "bridge", None, 5.0)
            connect(client, settings, protocol, session_expiry_s=60)
            client.loop_write()
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(5)
                packet = accepted.recv(1024)
            client.disconnect()
        name_at = packet.index(b"\x00\x04MQTT")
        return packet[name_at + 7]  # behind the name and the level of the protocol (MQTT 3.1.1, section 3.1.2.3)

    return flags


CLEAN = 0x02


def test_no_session_is_kept_with_mqtt_3_1_1(connect_flags: Callable[[Protocol], int]) -> None:
    """A broker would keep commands for an absent bridge without any limit of time."""
    assert connect_flags(Protocol.MQTT_3_1_1) & CLEAN
    assert not connect_flags(Protocol.MQTT_5) & CLEAN


def test_retained_messages_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large payload only its existence is remembered, and nothing after the total."""
    monkeypatch.setattr(retained, "LARGEST_KEPT", 1000)
    monkeypatch.setattr(retained, "MOST_KEPT", 50_000)
    reader = RetainedReader(Selection(topic_filters=["#"]))
    reader.take(Received(topic="large", payload=b"x" * 1001, retained=True))
    reader.take(Received(topic="small", payload=b"x" * 1000, retained=True))
    assert reader._payloads == {"large": b"x", "small": b"x" * 1000}  # noqa: SLF001 - `read` needs a broker
    for number in range(1000):
        reader.take(Received(topic=f"topic {number}", payload=b"x" * 1000, retained=True))
    assert sum(map(len, reader._payloads.values())) <= 50_000  # noqa: SLF001 - as above
    assert "topic 10" in reader._payloads  # noqa: SLF001 - as above
    assert "topic 999" not in reader._payloads  # noqa: SLF001 - as above


# --- what the tests install


def test_the_syncthing_of_the_tests_is_a_commit() -> None:
    """A commit names its content; Go compares it with its checksum database unless that is turned off."""
    script = text_of(ROOT / "scripts/servers")
    assert re.search(r"^SYNCTHING_2_COMMIT=[0-9a-f]{40}$", script, re.MULTILINE)
    assert 'go mod download -json "github.com/syncthing/syncthing@$SYNCTHING_2_COMMIT"' in script
    assert not re.search(r"GOSUMDB|GONOSUMDB|GONOSUMCHECK|GOPRIVATE|GOINSECURE", script)
