"""The live view of `stbridge watch`, in a real terminal and without one, with data only from a real broker."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyte
import pytest

from stbridge.core.messages import Received
from stbridge.core.topics import Topics
from stbridge.watch.board import Board, Place
from stbridge.watch.lines import describe_received
from stbridge.watch.units import size
from tests.servers import PATIENCE_S, Mosquitto, Subscriber, eventually

COLUMNS, LINES = 110, 32
NOW = datetime(2026, 11, 24, tzinfo=UTC)

FOLDER: Mapping[str, Any] = {
    "id": "docs",
    "label": "Documents",
    "state": "syncing",
    "paused": False,
    "completion": 42.5,
    "global_bytes": 3_000_000,
    "need_items": 7,
    "need_bytes": 1_725_000,
    "failed": 0,
    "last_file": None,
    "error": None,
}
DEVICE: Mapping[str, Any] = {
    "id": "ABCDEFG-1",
    "name": "laptop",
    "paused": False,
    "connected": True,
    "completion": 99.0,
    "in_rate": 0.0,
    "out_rate": 12_500.0,
}
TREE: Mapping[str, Any] = {
    "bridge/state": "online",
    "nas/state": "online",
    "nas/system": {"state": "syncing", "in_sync": False, "all_in_sync": False, "need_bytes": 1_725_000},
    "nas/metrics": {"in_rate": 250_000.0, "out_rate": 0.0},
    "nas/folder/docs": FOLDER,
    "nas/folder/a%2Fb": {**FOLDER, "id": "a/b", "label": "", "state": "paused", "paused": True, "completion": None},
    "nas/device/ABCDEFG": DEVICE,
    "box/state": "offline",
    "box/connection": {"status": "unauthorized", "message": "api_key: Syncthing does not accept it", "since": None},
}


def payload_of(value: Any) -> bytes:
    """Return a payload in the format of the bridge."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def board_with(tree: Mapping[str, Any]) -> Board:
    """Return a board that has received these topics."""
    board = Board(Topics("syncthing"))
    for topic, value in tree.items():
        board.take(Received(topic=f"syncthing/{topic}", payload=payload_of(value)), NOW)
    return board


def test_the_board_keeps_the_newest_values() -> None:
    """Folders and devices are kept by ID, in the order of the screen; cleared topics are removed."""
    board = board_with(TREE)
    folders = [Place("nas", "folder", "a/b"), Place("nas", "folder", "docs")]
    devices = [Place("nas", "device", "ABCDEFG")]
    assert board.bridge_state == "online"
    assert board.places() == [*folders, *devices]
    assert board.payload(devices[0]) == DEVICE
    assert (board.instances["box"].connection or {})["status"] == "unauthorized"
    board.take(Received(topic="syncthing/nas/folder/docs", payload=b""), NOW)
    assert board.places() == [folders[0], *devices]


def test_the_board_keeps_what_belongs_to_a_folder() -> None:
    """Failed items and conflict files are kept by folder, and how complete it is on each device."""
    board = board_with(
        {
            "nas/folder/docs/failed": {"count": 1, "items": [{"path": "a", "error": "b"}]},
            "nas/folder/docs/conflicts": {"count": 1, "items": ["c"], "complete": True},
            "nas/completion/ABCDEFG/docs": {"completion": 12.5},
            "nas/pending": {"devices": [], "folders": []},
            "bridge/info": {"version": "0.1.0"},
        }
    )
    nas = board.instances["nas"]
    assert nas.failed["docs"]["count"] == nas.conflicts["docs"]["count"] == 1
    assert nas.completions == {("ABCDEFG", "docs"): {"completion": 12.5}}
    assert nas.pending == {"devices": [], "folders": []}
    assert board.bridge_info == {"version": "0.1.0"}


def test_an_instance_without_topics_is_removed_from_the_board() -> None:
    """`purge` clears every topic, and so does a bridge whose instance was renamed."""
    board = board_with(TREE)
    for topic in ("box/connection", "box/state", "box/system"):
        board.take(Received(topic=f"syncthing/{topic}", payload=b""), NOW)
    assert list(board.instances) == ["nas"]


@pytest.mark.parametrize("topic", ["elsewhere/nas/system", "syncthing/nas/nonsense", "syncthing/nas/folder/%FF"])
def test_topics_of_other_programs_are_ignored(topic: str) -> None:
    """Any client may publish on a broker; the view shows only the topics of the bridge."""
    board = board_with({})
    board.take(Received(topic=topic, payload=b"{}"), NOW)
    board.take(Received(topic="syncthing/nas/system", payload=b"{rubbish"), NOW)
    assert board.places() == []
    assert describe_received(Topics("syncthing"), Received(topic=topic, payload=b"{}")) is None


@pytest.mark.parametrize(
    ("count", "words"),
    [(None, "?"), (0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (3.4e15, "3.4 PB"), (1e19, "10000.0 PB")],
)
def test_sizes_are_readable(count: float | None, words: str) -> None:
    """Units are powers of 1000, as in the file managers of Syncthing's users."""
    assert size(count) == words


PROBLEM: Mapping[str, Any] = {
    "code": "conflicts",
    "message": "1 conflict file, such as a",
    "folder": "docs",
    "label": "",
}


@pytest.mark.parametrize(
    ("topic", "payload", "line"),
    [
        ("errors", {"count": 1, "items": [{"message": "disk full"}]}, "1 error: disk full"),
        ("errors", {"count": 2, "items": [{"message": "a"}, {"message": "b"}]}, "2 errors, the last: b"),
        (
            "folder/docs",
            {**FOLDER, "need_items": 1},
            "folder Documents: syncing, 42.5 % of 3.0 MB, needs 1 item, 1.7 MB",
        ),
        (
            "system",
            {"state": "idle", "in_sync": True, "all_in_sync": True, "need_bytes": 0},
            "idle: in sync, all peers in sync",
        ),
        ("system", {"state": "idle", "in_sync": True, "all_in_sync": False, "need_bytes": 0}, "idle: in sync"),
        (
            "system",
            {"state": "syncing", "in_sync": False, "all_in_sync": False, "need_bytes": 0},
            "syncing: out of sync",
        ),
        ("system", {"state": "paused", "in_sync": None, "all_in_sync": None, "need_bytes": 0}, "paused"),
        ("event/problem_raised", PROBLEM, "problem conflicts of folder docs: 1 conflict file, such as a"),
        (
            "event/problem_cleared",
            {**PROBLEM, "label": "Documents"},
            "problem conflicts of folder Documents is cleared",
        ),
        (
            "event/problem_raised",
            {"code": "unseen", "message": "never seen", "device": "ABCDEFG", "name": "laptop", "late": True},
            "problem unseen of device laptop: never seen (late)",
        ),
        ("event/problem_cleared", {"code": "system_errors", "message": "x"}, "problem system_errors is cleared"),
    ],
)
def test_lines_are_plain_english(topic: str, payload: Mapping[str, Any], line: str) -> None:
    """Singular and plural are correct, and unknown values are not shown."""
    received = Received(topic=f"syncthing/nas/{topic}", payload=payload_of(payload))
    assert describe_received(Topics("syncthing"), received) == f"    nas  {line}"


def test_a_line_never_rounds_a_percentage_up() -> None:
    """Any client may publish more decimals than the bridge does."""
    payload = payload_of({**FOLDER, "completion": 99.9999999})
    line = describe_received(Topics("syncthing"), Received(topic="syncthing/nas/folder/docs", payload=payload))
    assert line is not None
    assert "99.99 % of" in line


@pytest.fixture
def published(subscriber: Subscriber) -> Subscriber:
    """A broker with retained topics of a bridge."""
    for topic, value in TREE.items():
        subscriber.publish(f"syncthing/{topic}", payload_of(value), retain=True)
    return subscriber


class Terminal:
    """`stbridge watch` in its own terminal."""

    def __init__(self, port: int, home: Path) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self._ours, theirs = pty.openpty()
        self.resize(COLUMNS, LINES)
        variables = {"STBRIDGE_MQTT__PORT": str(port), "TERM": "xterm", "HOME": str(home), "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stbridge", "watch"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**variables, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # the other end is closed
                return
            with self._lock:
                self._stream.feed(part)

    def shows(self, *words: str) -> bool:
        """Return whether all these words are on the screen."""
        with self._lock:
            text = "\n".join(self.screen.display)
        return all(word in text for word in words)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        with self._lock:
            self.screen.resize(lines, columns)

    def close(self) -> None:
        """Stop the program in the terminal."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._ours)


@pytest.fixture
def terminal(published: Subscriber, broker: Mosquitto, tmp_path: Path) -> Iterator[Terminal]:
    """The live view of the published topics."""
    one = Terminal(broker.port, tmp_path)
    yield one
    one.close()


def test_the_terminal_shows_instances_folders_devices_and_problems(terminal: Terminal) -> None:
    """The screen shows every retained topic, and for an unreachable Syncthing instance the reason."""
    eventually(lambda: terminal.shows("the bridge is online", "nas", "Documents", "Syncing", "7 items, 1.7 MB"))
    eventually(lambda: terminal.shows("a/b", "Paused", "laptop", "Connected", "12.5 kB/s", "in 250.0 kB/s"))
    eventually(lambda: terminal.shows("! box: api_key: Syncthing does not accept it", "box  Offline"))


def test_the_terminal_never_rounds_a_percentage_up(terminal: Terminal, published: Subscriber) -> None:
    """A folder that is almost complete is not shown as complete."""
    published.publish("syncthing/nas/folder/docs", payload_of({**FOLDER, "completion": 99.99}), retain=True)
    eventually(lambda: terminal.shows("Documents", " 99 "))
    assert not terminal.shows(" 100 ")


def test_the_terminal_follows_what_is_published(terminal: Terminal, published: Subscriber) -> None:
    """A changed folder, an event and a smaller terminal are shown at once."""
    eventually(lambda: terminal.shows("Documents", "42 %"))
    published.publish("syncthing/nas/folder/docs", payload_of({**FOLDER, "completion": 77.0}), retain=True)
    eventually(lambda: terminal.shows("Documents", "77 %"))
    published.publish(
        "syncthing/nas/event/folder_synced", payload_of({"event_type": "folder_synced", "folder": "docs"})
    )
    eventually(lambda: terminal.shows("event folder_synced folder=docs"))
    terminal.resize(80, 20)
    published.publish("syncthing/nas/folder/docs", payload_of({**FOLDER, "completion": 88.0}), retain=True)
    eventually(lambda: terminal.shows("Documents", "88 %"))


def test_keys_scan_and_pause_the_selected_folder(terminal: Terminal, published: Subscriber) -> None:
    """The arrow keys select, `s` and `p` send commands for the selection, and `q` restores the terminal."""
    eventually(lambda: terminal.shows(">a/b"))
    terminal.press("p")
    published.wait_for_payload("syncthing/nas/command/set_paused", b'{"folder": "a/b", "paused": false}')
    terminal.press("\x1b[B")
    eventually(lambda: terminal.shows(">Documents"))
    terminal.press("s")
    published.wait_for_payload("syncthing/nas/command/scan", b'{"folder": "docs"}')
    terminal.press("\x1b[B")
    eventually(lambda: terminal.shows(">laptop"))
    terminal.press("p")
    published.wait_for_payload("syncthing/nas/command/set_paused", b'{"device": "ABCDEFG", "paused": true}')
    terminal.press("q")
    assert terminal.process.wait(PATIENCE_S) == 0


def test_keys_find_a_folder_among_many_on_a_small_terminal(terminal: Terminal, published: Subscriber) -> None:
    """On 80 x 24, the list moves with the selection; a key hides everything that needs no attention."""
    terminal.resize(80, 24)
    for number in range(50):
        folder = {**FOLDER, "id": f"f{number:02}", "label": f"Folder {number:02}", "state": "idle"}
        published.publish(f"syncthing/nas/folder/f{number:02}", payload_of(folder), retain=True)
    broken = {**FOLDER, "id": "f30", "label": "Folder 30", "status": "stopped", "error": "disk full"}
    published.publish("syncthing/nas/folder/f30", payload_of(broken), retain=True)
    eventually(lambda: terminal.shows(">a/b", "lines 1 to", "of 57"))  # every topic has arrived
    assert not terminal.shows("Folder 49")
    terminal.press("\x1b[F\x1b[A")  # End, and one line up
    eventually(lambda: terminal.shows(">Folder 49", "laptop"))
    terminal.press("f")
    eventually(lambda: terminal.shows(">Folder 30", "! Stopped", "filtered"))
    assert not terminal.shows("Folder 49")
    terminal.press("\r")
    eventually(lambda: terminal.shows("folder Folder 30", "disk full"))


def test_a_lost_broker_ends_the_view_with_the_reason(terminal: Terminal, broker: Mosquitto) -> None:
    """The view never shows outdated data."""
    eventually(lambda: terminal.shows("Documents"))
    broker.stop()
    assert terminal.process.wait(PATIENCE_S) == 1
    eventually(lambda: terminal.shows("stbridge: "))


def test_without_a_terminal_there_are_plain_lines(published: Subscriber, broker: Mosquitto, tmp_path: Path) -> None:
    """Output to a pipe or a file has one line for each change, without control characters."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stbridge", "watch", "--set", f"mqtt.port={broker.port}"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(4)]
        text = "".join(lines)
        assert "folder Documents: syncing, 42.5 % of 3.0 MB, needs 7 items, 1.7 MB" in text
        assert "\x1b" not in text
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
