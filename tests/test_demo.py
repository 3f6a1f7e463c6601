"""`stbridge demo` as a process: its output, also while other clients use its broker, and its cleanup."""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stbridge.demo.broker import EmbeddedBroker
from stbridge.errors import Failed
from stbridge.mqtt.probe import probe
from stbridge.settings import MqttSettings

SHOW_S = 150.0
"""In seconds. The demo itself takes 20 s on an idle machine."""

NOISE = re.compile("Traceback|ERROR|Exception|never retrieved")
"""Warnings are not included: on a machine that stalls for seconds, the bridge may really lose its connection."""

INVITATION = re.compile(r"mosquitto_sub -p (\d+)")
"""The line of the demo that shows how to connect to its broker."""

RESET = struct.pack("ii", 1, 0)
"""A value for SO_LINGER that makes closing the socket reset the connection."""

CONNECT = b"\x10\x10\x00\x04MQTT%c\x02\x00\x3c\x00\x04abcd"
"""A CONNECT packet; the placeholder is the protocol level."""


def variables(scratch: Path, binary: str) -> dict[str, str]:
    """Return an environment with this Syncthing program on the PATH."""
    programs = scratch / "bin"
    programs.mkdir()
    (programs / "syncthing").symlink_to(binary)
    (scratch / "tmp").mkdir()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("STBRIDGE_")}
    return {**ours, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(scratch / "tmp")}


@contextmanager
def demo(scratch: Path, binary: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo, with standard output and standard error in one stream."""
    with subprocess.Popen(
        [sys.executable, "-m", "stbridge", "demo", *arguments],
        env=variables(scratch, binary),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # no effect if it has stopped; otherwise its Syncthing nodes would be left behind
            process.wait(SHOW_S)


def disturb(port: int) -> None:
    """Behave like clients that are killed, that use another protocol version, or that do not speak MQTT."""
    for first in (b"GET / HTTP/1.0\r\n\r\n", b"", b"\x10", CONNECT % 5, CONNECT % 4, CONNECT % 4 + b"\xff" * 9):
        for linger in (b"", RESET):
            with socket.create_connection(("127.0.0.1", port)) as client:
                if linger:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.sendall(first)


def lines_until_the_end(process: subprocess.Popen[str]) -> list[str]:
    """Return the output of the demo, and disturb its broker as soon as its port is known."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if invited := INVITATION.search(line):
            disturb(int(invited[1]))
    process.wait(SHOW_S)
    return lines


@pytest.fixture(scope="module")
def shown(binary: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The output of the demo from start to end."""
    scratch = tmp_path_factory.mktemp("demo")
    with demo(scratch, binary, "--seconds", "1") as process:
        lines = lines_until_the_end(process)
    assert process.returncode == 0, "\n".join(lines)
    assert list((scratch / "tmp").iterdir()) == []
    return lines


def place_of(lines: list[str], *words: str, after: int = -1) -> int:
    """Return the number of the first line that contains all these words."""
    found = (number for number, line in enumerate(lines) if number > after and all(word in line for word in words))
    number = next(found, None)
    assert number is not None, f"no line with {words} after line {after}:\n" + "\n".join(lines)
    return number


def test_the_demo_works_and_shows_nothing_that_looks_like_a_failure(shown: list[str]) -> None:
    """The output has no traceback and no error, even while other clients disturb the broker."""
    assert shown[-1] == "everything worked"
    place_of(shown, "open the web page: http://127.0.0.1:")
    assert [line for line in shown if NOISE.search(line)] == []


def test_the_demo_shows_a_conflict_that_is_raised_and_cleared(shown: list[str]) -> None:
    """The main purpose of the bridge: it reports a problem, and reports when the problem is over."""
    away = place_of(shown, " laptop ", "device nas: not connected")
    back = place_of(shown, " laptop ", "device nas: connected", after=away)
    for name in (" laptop ", " nas "):
        place_of(shown, name, "event conflict", "notes.sync-conflict-", after=away)
        raised = place_of(shown, name, "problem conflicts of folder Photos: 1 conflict file", after=away)
        place_of(shown, name, "problem conflicts of folder Photos is cleared", after=max(back, raised))


def test_the_demo_shows_an_error_that_is_raised_and_cleared(shown: list[str]) -> None:
    """An error that is added over MQTT is a problem until it is cleared."""
    raised = place_of(shown, " nas ", "problem system_errors: ", "this error was sent over MQTT")
    place_of(shown, " nas ", "problem system_errors is cleared", after=raised)


def test_the_demo_counts_in_correct_english(shown: list[str]) -> None:
    """The output has "one error" and "two errors"."""
    wrong = re.compile(r"\b1 (errors|items|files|folders|devices|topics|commands)\b")
    assert [line for line in shown if wrong.search(line)] == []


def test_the_demo_can_be_interrupted(binary: str, tmp_path: Path) -> None:
    """Ctrl-C is the usual way to stop: the demo prints a summary and leaves nothing behind."""
    with demo(tmp_path, binary) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if "writing" in line:
                process.send_signal(signal.SIGINT)
                break
        lines += [line.rstrip("\n") for line in process.stdout]
    assert [line for line in lines if NOISE.search(line)] == []
    assert process.returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []


# --- the embedded broker


def test_a_broker_that_cannot_start_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may take the port first."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        broker = EmbeddedBroker()
        monkeypatch.setattr(broker, "port", other.getsockname()[1])
        with pytest.raises(Failed, match=r"the embedded broker cannot start: .*address already in use"):
            broker.start()
        broker.stop()


def test_the_broker_stops_while_clients_are_connected(caplog: pytest.LogCaptureFixture) -> None:
    """The broker frees its port and logs nothing."""
    broker = EmbeddedBroker()
    broker.start()
    assert probe(MqttSettings(host="127.0.0.1", port=broker.port, protocol="3.1.1")).protocol == "3.1.1"
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall(CONNECT % 4)
        assert client.recv(4)
        broker.stop()
    disturbed = [record for record in caplog.records if record.name.startswith(("amqtt", "asyncio", "transitions"))]
    assert disturbed == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", broker.port))
