"""A real bridge, for some minutes, between one instance that gives random answers and one that behaves correctly.

    make fuzz MINUTES=10

The bridge must keep running, its memory must stay bounded, and the honest instance must never go offline. The hostile
one must be online again each time it becomes honest. `python -m tests.hostile_walk --seed NUMBER` repeats a walk.
"""

import argparse
import gzip
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory
from time import monotonic

from tests.fuzzing import HOSTILE_TEXTS, spoilt
from tests.servers import BridgeProcess, Mosquitto, Subscriber
from tests.syncthing.pretended import PretendedSyncthing
from tests.syncthing.server import (
    KNOWN,
    Answer,
    Behaviour,
    Exchange,
    ScriptedServer,
    answers,
    closes,
    drips,
    drips_head,
    floods,
    floods_with_error,
    redirects,
    refuses,
    stranger,
    truncates,
    truncates_chunks,
)

MOST_MEMORY = 400 * 1024 * 1024
"""In bytes. The largest answer that the bridge accepts has 8 to 64 MB, and parsing takes several times as much."""

HOSTILE_S = 6.0
RECOVERY_S = 120.0
"""In seconds. A long poll may take 65 s, so a response that arrives byte by byte is cut off only after that time."""

EVENT_S = 0.2
TYPES = ("ItemFinished", "FolderSummary", "FolderCompletion", "StateChanged", "DeviceConnected", "FolderErrors")


def nested(levels: int) -> bytes:
    """Return a document that is nested this deeply."""
    return b'{"a":' * levels + b"1" + b"}" * levels


BEHAVIOURS: tuple[Behaviour, ...] = (
    closes,
    drips,
    drips_head,
    floods,
    floods_with_error,
    redirects(floods),
    redirects(answers({})),
    truncates,
    truncates_chunks,
    *(refuses(status, "<html>no</html>") for status in (400, 401, 403, 404, 405, 500, 503)),
    *(stranger(status, "no") for status in (200, 401, 403, 407, 502, 511)),
    Answer(body=gzip.compress(gzip.compress(bytes(50_000_000))), headers={**KNOWN, "Content-Encoding": "gzip, gzip"}),
    Answer(body=gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}, status=302),
    *(Answer(body=nested(levels)) for levels in (50, 450, 990, 100_000)),
    Answer(body=b"[" + b"[]," * 1_000_000 + b"[]]"),
    Answer(body=b"1" * 5000),
    Answer(body=json.dumps("x" * 1_000_000).encode()),
    Answer(body=b"\xff\xfe"),
)


class Hostility:
    """Replaces or corrupts the answers of an honest instance at random.

    Args:
        seed: the seed of the random numbers.
    """

    def __init__(self, seed: int) -> None:
        self.rate = 0.0
        """The fraction of the answers that are hostile."""
        self._random = Random(seed)
        self._lock = threading.Lock()

    def on(self, honest: Behaviour) -> Behaviour:
        """Wrap an honest behavior: it is used at the configured rate, and a hostile one otherwise."""

        def answer(exchange: Exchange) -> None:
            with self._lock:
                chosen = self._choose(honest)
            chosen(exchange)

        return answer

    def _choose(self, honest: Behaviour) -> Behaviour:
        if self._random.random() >= self.rate:
            return honest
        if isinstance(honest, Answer) and self._random.random() < 0.6:
            return answers(spoilt(json.loads(honest.body), self._random))
        return self._random.choice(BEHAVIOURS)

    def event(self) -> tuple[str, object]:
        """Return an event with random content."""
        with self._lock:
            data = {"folder": "docs", "item": self._random.choice(HOSTILE_TEXTS), "summary": {"state": "idle"}}
            return self._random.choice(TYPES), spoilt(data, self._random)


class Walk:
    """A bridge, a broker, and two simulated Syncthing instances.

    Args:
        directory: the directory for files.
        seed: the seed of the walk.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self._random = Random(seed)
        self._hostility = Hostility(seed)
        self._never = threading.Event()
        self._bad = PretendedSyncthing(lambda table: ScriptedServer(table).start())
        self._good = PretendedSyncthing(lambda table: ScriptedServer(table).start())
        for one in (self._bad, self._good):
            one.has_folders(docs=False)
        for path, behaviour in self._bad.table.items():
            assert callable(behaviour)
            self._bad.table[path] = self._hostility.on(behaviour)
        self._broker = Mosquitto(directory).start()
        self._subscriber = Subscriber(self._broker.port, "syncthing/#")
        self._bridge = BridgeProcess(directory, self._variables()).start()
        self.rounds = 0
        self.most_memory = 0

    def _variables(self) -> dict[str, str]:
        settings = {"URL": {"BAD": self._bad.url, "GOOD": self._good.url}, "API_KEY": {"BAD": "key", "GOOD": "key"}}
        instances = {
            f"STBRIDGE_SYNCTHING__{name}__{key}": value
            for key, values in settings.items()
            for name, value in values.items()
        }
        return {
            **instances,
            "STBRIDGE_MQTT__PORT": str(self._broker.port),
            "STBRIDGE_SYNCTHING__BAD__TIMEOUT_S": "2",
            "STBRIDGE_EVENTS__RAW": json.dumps(TYPES),
            "STBRIDGE_POLL__CONNECTIONS": "1",
            "STBRIDGE_POLL__RECONCILE": "5",
        }

    def begin(self) -> None:
        """Start everything, and wait until both instances are online."""
        self._subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        self._wait_until_recovered()

    def round(self) -> None:
        """Be hostile for some seconds, then honest, and check that the bridge recovers."""
        self._hostility.rate = self._random.choice((0.02, 0.2, 0.6, 1.0))
        deadline = monotonic() + HOSTILE_S
        while monotonic() < deadline:
            self._bad.happens(*self._hostility.event())
            if self._random.random() < 0.05:
                self._bad.breaks_off()
            self._never.wait(EVENT_S)
            self._check()
        self._hostility.rate = 0.0
        self._bad.restarts(started_at=f"2024-05-02T00:00:{self.rounds % 60:02}Z")
        self._wait_until_recovered()
        self.rounds += 1

    def _wait_until_recovered(self) -> None:
        """Check that both instances publish new changes."""
        mark = f"{self.rounds} {self._random.random()}"
        for name, one in (("good", self._good), ("bad", self._bad)):
            deadline = monotonic() + RECOVERY_S
            while f"{name} {mark}" not in self._seen():
                assert monotonic() < deadline, f"{name} is not followed again:\n{self.log[-3000:]}"
                one.happens("ItemFinished", {"folder": "docs", "item": f"{name} {mark}", "type": "file"})
                self._never.wait(0.5)
                self._check()

    def _seen(self) -> str:
        last = self._subscriber.messages[-500:]
        return "\n".join(one.payload.decode("utf-8", "replace") for one in last)

    def _check(self) -> None:
        assert self._bridge.running, self.log[-3000:]
        lines = Path(f"/proc/{self._bridge.id}/status").read_text(encoding="utf-8").splitlines()
        used = 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
        self.most_memory = max(self.most_memory, used)
        assert used < MOST_MEMORY, f"{used >> 20} MB"
        assert "Traceback" not in self.log, self.log[-3000:]
        states = [one.payload for one in self._subscriber.messages if one.topic == "syncthing/good/state"]
        assert b"offline" not in states[states.index(b"online") :] if b"online" in states else True

    @property
    def log(self) -> str:
        """The log of the bridge."""
        return self._bridge.log.read_text(encoding="utf-8")

    def end(self) -> None:
        """Stop everything."""
        self._bridge.kill()
        self._subscriber.close()
        self._broker.stop()
        for one in (self._bad, self._good):
            one.server.stop()


@contextmanager
def walk(seed: int) -> Iterator[Walk]:
    """Start a walk, and stop everything when it is done."""
    with TemporaryDirectory() as directory:
        one = Walk(Path(directory), seed)
        try:
            one.begin()
            yield one
        finally:
            one.end()


def main(note: Callable[[str], object] = sys.stderr.write) -> int:
    """Walk for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    given = parser.parse_args()
    deadline = monotonic() + 60 * given.minutes
    try:
        with walk(given.seed) as one:
            while monotonic() < deadline:
                one.round()
            note(f"hostile walk {given.seed}: {one.rounds} rounds, at most {one.most_memory >> 20} MB\n")
    except AssertionError as error:
        note(f"found by --seed {given.seed}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
