"""Fuzz the bridge: corrupted documents of real Syncthing instances, and corrupted commands, must do no harm.

    make fuzz MINUTES=10

Each round is generated from a seed, which is shown on a failure: `python -m tests.fuzzing --seed NUMBER` repeats it.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom
from time import monotonic
from typing import Any

from rich.console import Console

from stbridge.core import decode, events
from stbridge.core import observations as seen
from stbridge.core.commands import COMMANDS, allowed
from stbridge.core.envelope import CommandError, Reply, parse, select, transaction_of
from stbridge.core.json_text import as_json, read_json
from stbridge.core.known import Known, check_applicable, with_ids
from stbridge.core.messages import Message, Received
from stbridge.core.observations import Observation
from stbridge.core.payloads import RENDERED, render, render_event, render_raw
from stbridge.core.rules import apply, conclude
from stbridge.core.state import State
from stbridge.core.topics import Address, Topics
from stbridge.errors import SyncthingError
from stbridge.homeassistant.discovery import Site
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.mqtt.packets import unsendable
from stbridge.restoring import payloads_of
from stbridge.syncthing.answers import evaluate
from stbridge.watch.board import Board
from stbridge.watch.lines import describe_received
from stbridge.watch.screen import screen
from stbridge.watch.view import View
from tests.core.recorded import VERSIONS, recorded, recorded_id

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
TOPICS = Topics("syncthing", "homeassistant")
ROWS = {command.name: command for command in COMMANDS}
EVERYTHING = allowed(("read", "operate", "admin"))
LARGEST = 1024 * 1024
MOST_CHARACTERS = 1_000_000
"""The maximum length of a document: the client reads no more than this, and smaller documents test as much."""

NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, OverflowError, AttributeError)
"""The exceptions that decoding raises for a malformed document of Syncthing; the code that fetched it handles them."""

HOSTILE_TEXTS = (
    *(
        "",
        " ",
        "a/b/#",
        "$SYS/broker",
        "+",
        "#",
        "%2F",
        "..",
        "~",
        "\x00",
        "two\nlines",
        "\x1b]0;title\x07\x1b[2J",
        "\x9b2J",
    ),
    *(
        "{{ states('x') }}",
        "{% raw %}",
        "<script>alert(1)</script>",
        "\u202etxt.exe",
        "\ufeff",
        "\ud800",
        "\udfff\ud800",
    ),
    *("\U0001f600" * 300, "x" * 100_000, "\uffff", "all", "null", "-1", "1e999", "9999-12-31T23:59:59Z"),
    *("0001-01-01T00:00:00Z", "2026-11-25T12:00:00.123456789+14:00", "9999-12-31T23:59:59-12:00", "online", "offline"),
)

RUBBISH: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, 5e-324),
    *(float("nan"), float("inf"), [], {}, [None], [[]], {"": None}, [{}] * 60, {"id": {}}),
    *HOSTILE_TEXTS,
)


CONTROLS = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}
STEERING = CONTROLS | {"\u2028", "\u2029", "\u202e"}
"""Characters that would start a new line, control a terminal, or reverse the direction of the text."""


# --- how a document is corrupted


def places(document: Any) -> list[tuple[Any, Any]]:
    """Return every place in a document: the container, and the key or index in it."""
    found, ahead = [], [document]
    while ahead:
        inside = ahead.pop()
        keys = inside if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ()
        for key in list(keys):
            found.append((inside, key))
            ahead.append(inside[key])
    return found


def _replace(inside: Any, key: Any, random: Random, _: Any) -> None:
    inside[key] = deepcopy(random.choice(RUBBISH))


def _remove(inside: Any, key: Any, _random: Random, _: Any) -> None:
    del inside[key]


def _exchange(inside: Any, key: Any, random: Random, document: Any) -> None:
    other, place = random.choice(places(document))
    inside[key] = deepcopy(other[place])


def _nest(inside: Any, key: Any, random: Random, _: Any) -> None:
    for _level in range(random.choice((1, 3, 30))):
        inside[key] = random.choice(({"x": inside[key]}, [inside[key]]))


def _grow(inside: Any, key: Any, random: Random, _: Any) -> None:
    most = MOST_CHARACTERS // (len(json.dumps(inside[key])) + 1)
    # Each element is a copy: otherwise a later change to one of them would change them all.
    inside[key] = [deepcopy(inside[key]) for _ in range(min(most, random.choice((2, 60, 300))))]


def _rename(inside: Any, key: Any, random: Random, _: Any) -> None:
    if isinstance(inside, dict):
        inside[random.choice(HOSTILE_TEXTS)] = inside.pop(key)


_WAYS = (_replace, _replace, _replace, _remove, _exchange, _nest, _grow, _rename)


def spoilt(document: Any, random: Random) -> Any:
    """Return a copy of a document with a few errors in it."""
    if random.random() < 0.02:
        return deepcopy(random.choice(RUBBISH))
    copy = deepcopy(document)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        if (found := places(copy)) and len(json.dumps(copy)) < MOST_CHARACTERS:
            random.choice(_WAYS)(*random.choice(found), random, copy)
    return copy


def decoded(document: Any) -> Any:
    """Return a document as the HTTP client decodes it; raise ValueError if the client would refuse it."""
    return read_json(json.dumps(document))


# --- what must hold


def check_payload(payload: bytes) -> None:
    """Check that a payload is strict JSON in UTF-8, and within the size limit."""
    assert isinstance(read_json(payload.decode()), dict)
    assert len(payload) < LARGEST, len(payload)


def check_message(message: Message) -> None:
    """Check that a message can be sent; only topics that are longer than MQTT allows are exempt."""
    fault = unsendable(message)
    assert fault is None or "longer than" in fault, fault
    assert not set(message.topic) & CONTROLS
    if message.payload not in (b"", b"online", b"offline"):
        check_payload(message.payload)


# --- a Syncthing instance that sends anything


class _Run:
    """One run of a bridge with a Syncthing instance of some version."""

    def __init__(self, random: Random, restored: Mapping[str, bytes]) -> None:
        self._random = random
        self._version = random.choice(VERSIONS)
        self._own_id = recorded_id(self._version, "alpha")
        self._beta = recorded_id(self._version, "beta")
        self._rate = random.choice((0.0, 0.1, 0.5))
        self._restored = restored
        self._state = State()
        self._now = START
        self._discovery = DiscoveryPublisher(
            Site(instance="nas", topics=TOPICS, allowed=EVERYTHING, link="http://nas:8384", version="1")
        )
        self.published: dict[str, bytes] = {}

    def live(self) -> None:
        """Read everything, follow all events, then read everything again."""
        restored = seen.Restored(payloads=payloads_of(TOPICS, self._restored, RENDERED))
        early = self._random.random() < 0.5
        self._see(*([restored] if early else []))
        self._read_everything()
        self._see(*([] if early else [restored]))
        for event in recorded(self._version, "events"):
            self._see(*self._observed(event))
            self._now += timedelta(seconds=self._random.choice((0, 0.001, 10, 100_000)))
        self._read_everything()

    def _read_everything(self) -> None:
        """Read until every document is one that Syncthing might send."""
        rate, complete = self._rate, False
        while not complete:
            self._see(seen.SnapshotStarted())
            try:
                for observation in self._snapshot():
                    self._see(observation)
                complete = True
            except NOT_UNDERSTOOD:
                self._see(seen.Unavailable(status="unreachable", message="a bad reply"))
                self._rate /= 2
        self._see(seen.SnapshotComplete())
        self._rate = rate

    def _read(
        self, decoder: Callable[..., Observation], name: str, *more: Any, after: bool = False
    ) -> Iterator[Observation]:
        document = recorded(self._version, name)
        if self._random.random() < self._rate:
            document = spoilt(document, self._random)
        document = decoded(document)
        yield decoder(*more, document) if after else decoder(document, *more)

    def _snapshot(self) -> Iterator[Observation]:
        yield from self._read(decode.version, "system_version")
        yield from self._read(decode.status, "system_status")
        yield from self._read(decode.config, "config", self._own_id)
        yield from self._read(decode.connections, "system_connections", self._own_id)
        yield from self._read(decode.errors, "system_error")
        yield from self._read(decode.pending_devices, "pending_devices")
        yield from self._read(decode.pending_folders, "pending_folders")
        yield from self._read(decode.restart_required, "restart_required")
        for name in ("db_status_idle", "db_status_receiveonly", "db_status_paused"):
            yield from self._read(decode.folder_status, name, "docs", after=True)
        yield from self._read(decode.folder_errors, "folder_errors")
        yield from self._read(decode.device_statistics, "stats_device")
        yield from self._read(decode.folder_statistics, "stats_folder")
        yield from self._read(decode.completion, "db_completion", self._beta, "docs", after=True)
        yield from self._read(decode.conflicts, "db_browse", "docs", after=True)
        yield from self._read(decode.conflict, "db_file", "docs", "a.sync-conflict-20261101-120000-ABCDEF7", after=True)

    def _observed(self, event: Any) -> Iterator[Observation]:
        if self._random.random() < self._rate:
            event = spoilt(event, self._random)
        try:
            event = decoded(event)
            observation = events.observe(event, self._own_id)
        except NOT_UNDERSTOOD:
            return
        read_json(render_raw(event).decode())
        if observation is not None:
            yield observation

    def _see(self, *observations: Observation) -> None:
        for observation in observations:
            apply(self._state, observation, self._now)
        conclude(self._state, self._now)
        outcome = self._state.take_outcome()
        for event in outcome.events:
            check_payload(render_event(event))
        for address in outcome.changed:
            message = Message(
                topic=TOPICS.build("nas", address), payload=render(self._state, address) or b"", retain=True
            )
            check_message(message)
            no_id = "//" in message.topic or message.topic.endswith("/")
            assert TOPICS.parse(message.topic) == (None if no_id else ("nas", address))
            self.published[message.topic] = message.payload
        if self._state.may_publish:
            for address in outcome.changed:
                for message in self._discovery.follow(self._state, address):
                    check_message(message)
                    assert TOPICS.is_discovery(message.topic)


def syncthing(random: Random) -> None:
    """Run a bridge twice; what the first run published is corrupted before the second run restores it."""
    first = _Run(random, {})
    first.live()
    kept = dict(first.published)
    for topic, payload in kept.items():
        if random.random() < 0.3:
            kept[topic] = _written(
                spoilt(json.loads(payload or b"null") if payload[:1] == b"{" else None, random), random
            )
    _Run(random, kept).live()


def _written(document: Any, random: Random) -> bytes:
    """Serialize any document the way any client might; sometimes return only a part of it."""
    payload = json.dumps(document).encode()
    if random.random() < 0.1:
        payload = payload[: random.randrange(len(payload) + 1)]
    return payload + bytes(random.randrange(256) for _ in range(3)) if random.random() < 0.05 else payload


def answers(random: Random) -> None:
    """Check that any HTTP response yields either JSON or an error type of the bridge."""
    error = ""
    content = _written(spoilt(recorded(random.choice(VERSIONS), "system_status"), random), random)
    headers = random.choice(({}, {"X-Syncthing-ID": "A"}, {"Location": random.choice(HOSTILE_TEXTS)}))
    try:
        evaluate(
            "http://nas",
            "GET /rest/x",
            status=random.choice((0, 200, 204, 301, 307, 400, 401, 403, 404, 405, 500, 501, 503, 999)),
            headers=headers,
            content=content,
        )
    except SyncthingError as refused:
        error = str(refused)
    assert len(error) < 1000


# --- a client that sends anything

_CONFIG = decode.config(recorded(VERSIONS[-1], "config"), recorded_id(VERSIONS[-1], "alpha")).config
_KNOWN = Known(
    config=_CONFIG,
    pending_devices=decode.pending_devices(recorded(VERSIONS[-1], "pending_devices")).devices,
    pending_folders=decode.pending_folders(recorded(VERSIONS[-1], "pending_folders")).folders,
)
_GOOD: tuple[Any, ...] = ("docs", "Documents", "all", "beta", 5, True, "30m", ["a"], {"devices": []})


def commands(random: Random) -> None:
    """Check that a command is either executed or refused with a code, and that its reply can be sent."""
    command = random.choice(COMMANDS)
    arguments = {row.name: random.choice(_GOOD) for row in command.arguments if random.random() < 0.8}
    given = {**arguments, "transaction": random.choice((None, 1, "t"))}
    payload = _written(spoilt(given, random) if random.random() < 0.8 else given, random)
    name = command.name if random.random() < 0.9 else random.choice(HOSTILE_TEXTS)
    received = Received(topic="t", payload=payload, retained=random.random() < 0.05)
    error: CommandError | None = None
    try:
        request = with_ids(parse(select(ROWS, name, received, EVERYTHING), payload), _KNOWN)
        check_applicable(request, _CONFIG)
        assert set(request.arguments) <= {row.name for row in request.command.arguments}
    except CommandError as refused:
        error = refused
    transaction = transaction_of(payload)
    reply = Reply(command=name, status="error" if error else "ok", error=error, transaction=transaction)
    check_payload(as_json(reply.payload(), whole=True))
    check_message(Message(topic=TOPICS.build("nas", Address("response", name=name)), payload=b"{}"))


# --- a terminal that shows anything

_PAYLOADS: Mapping[str, Mapping[str, Any]] = {
    "system": {"state": "idle", "in_sync": True, "all_in_sync": True, "problem": True, "problems": [{"message": "m"}]},
    "metrics": {"in_rate": 1.5, "out_rate": 0.0},
    "connection": {"status": "online", "message": "", "since": "2026-11-24T00:00:00Z"},
    "errors": {"count": 1, "items": [{"when": None, "message": "m"}]},
    "folder/docs": {
        "id": "docs",
        "label": "Documents",
        "state": "idle",
        "paused": False,
        "completion": 50.0,
        "failed": 1,
        "global_bytes": 1,
        "need_items": 1,
        "need_bytes": 1,
        "last_file": "a",
        "last_file_deleted": False,
        "error": "e",
        "problem": True,
        "problems": [{"code": "conflicts", "message": "m", "since": "2026-11-24T00:00:00Z"}],
        "resume_at": "r",
        "status": "syncing",
        "scan_progress": 1.0,
        "sync_rate": 1.0,
        "sync_ends_at": "2026-11-24T00:00:00Z",
        "last_file_at": "2026-11-24T00:00:00Z",
    },
    "device/ABCDEFG": {
        "id": "ABCDEFG",
        "name": "laptop",
        "paused": False,
        "connected": True,
        "completion": 99.0,
        "in_rate": 0.0,
        "out_rate": 1.0,
        "last_seen_at": "2026-11-24T00:00:00Z",
        "status": "up_to_date",
        "problems": [{"code": "behind", "message": "m"}],
    },
    "completion/ABCDEFG/docs": {"completion": 1.0, "need_bytes": 1, "need_total_items": 1, "remote_state": "paused"},
    "folder/docs/failed": {"count": 2, "items": [{"path": "p", "error": "e"}]},
    "folder/docs/conflicts": {"count": 2, "items": ["p"], "complete": False},
    "pending": {
        "devices": [{"device": "ABCDEFG-1", "name": "n", "address": "a", "time": "2026-11-24T00:00:00Z"}],
        "folders": [{"folder": "f", "label": "l", "device": "ABCDEFG", "time": "2026-11-24T00:00:00Z"}],
    },
    "event/conflict": {"event_type": "conflict", "time": "t", "path": "p"},
    "response/scan": {"command": "scan", "status": "error", "error": {"code": "c", "message": "m"}, "took_ms": 1},
}
_TREE = {
    "bridge/state": b"online",
    "nas/state": b"online",
    **{f"nas/{topic}": json.dumps(payload).encode() for topic, payload in _PAYLOADS.items()},
}


def terminal(random: Random) -> None:
    """Check that `stbridge watch` shows any broker content without passing control sequences to the terminal."""
    board = Board(TOPICS)
    for topic, payload in _TREE.items():
        levels = topic.split("/")
        if random.random() < 0.3:
            levels[random.randrange(len(levels))] = random.choice(HOSTILE_TEXTS)
        spoil = payload[:1] == b"{" and random.random() < 0.5
        content = _written(spoilt(json.loads(payload), random), random) if spoil else payload
        received = Received(topic=f"syncthing/{'/'.join(levels)}", payload=content)
        board.take(received, START)
        line = describe_received(TOPICS, received) or ""
        assert not set(line) & STEERING, line[:300]
    console = Console(width=100, height=40, force_terminal=True, color_system=None, legacy_windows=False)
    view = View()
    with console.capture() as capture:
        for key in ("down", "tab", "enter", "f", "enter"):
            view.press(key, board)
            console.print(screen(board, view, now=START, width=100, height=40))
    shown = capture.get().replace("\n", "")
    assert not set(shown) & STEERING, sorted(set(shown) & STEERING)


TARGETS: Mapping[str, Callable[[Random], None]] = {
    target.__name__: target for target in (syncthing, answers, commands, terminal)
}


def main() -> int:
    """Fuzz for some minutes, or repeat one seed; return 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="only this round")
    parser.add_argument("--target", choices=TARGETS)
    given = parser.parse_args()
    targets = {given.target: TARGETS[given.target]} if given.target else TARGETS
    first = SystemRandom().randrange(2**32) if given.seed is None else given.seed
    deadline, rounds, number = monotonic() + 60 * given.minutes, 0, first
    while number == first or (given.seed is None and monotonic() < deadline):
        for name, target in targets.items():
            try:
                target(Random(number))
            except Exception:  # noqa: BLE001 - any exception is a finding
                traceback.print_exc()
                sys.stderr.write(f"found by --target {name} --seed {number}, after {rounds} rounds\n")
                return 1
            rounds += 1
        number += 1
    sys.stderr.write(f"nothing was found in {rounds} rounds, seeds {first} to {number - 1}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
