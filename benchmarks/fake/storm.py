"""Storms: many events at a fixed rate."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from time import monotonic, monotonic_ns

from benchmarks.fake.syncthing import FakeSyncthing

TICK_S = 0.004
"""Interval in which events are created, short enough that the fastest reader always finds some."""


class Storm:
    """Creates events in which folders and devices repeatedly get out of sync and in sync again.

    Args:
        fakes: the instances.
        rate: events per second of all instances together.
        seconds: the duration.
        stirred: number of folders of each instance with events, counted from the first.
        beacons: number of folders of the first instance, counted from the last, that have their own periodic changes.
            Their file count is the time of the change in microseconds of the monotonic clock.
        beacon_every_s: seconds between two changes of one beacon.
        spread: whether all instances have events, and not only the first.
    """

    def __init__(
        self,
        fakes: Sequence[FakeSyncthing],
        *,
        rate: int,
        seconds: float,
        stirred: int,
        beacons: int = 0,
        beacon_every_s: float = 2.0,
        spread: bool = False,
    ) -> None:
        self._rate = rate
        self._seconds = seconds
        self._steps = [stirring(fake, stirred) for fake in (fakes if spread else fakes[:1])]
        self._beacon = _beacon(fakes[0], beacons)
        self._beacons_a_second = beacons / beacon_every_s
        self._made = self._lit = 0
        self._began = monotonic()

    async def blow(self) -> dict[str, float]:
        """Create the events, and return their number and duration."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        self._began = monotonic()

        def tick() -> None:
            if self._make_what_is_due() < self._seconds:
                loop.call_later(TICK_S, tick)
            else:
                over.set_result(None)

        tick()
        await over
        return {"events": self._made + self._lit, "seconds": monotonic() - self._began}

    def _make_what_is_due(self) -> float:
        passed = monotonic() - self._began
        while self._made < self._rate * passed:
            self._steps[self._made % len(self._steps)]()
            self._made += 1
        while self._lit < self._beacons_a_second * passed:
            self._beacon()
            self._lit += 1
        return passed


def stirring(fake: FakeSyncthing, stirred: int) -> Callable[[], None]:
    """Return a function that creates the next event of a storm."""
    folders = list(fake.folders)[:stirred]
    turns = count()

    def step() -> None:
        turn = next(turns)
        round_, place = divmod(turn // 4, len(folders))
        folder = folders[place]
        match turn % 4:
            case 0:
                fake.turns(folder, ("syncing", "idle")[round_ % 2])
            case 3:
                fake.lags(fake.devices[round_ % len(fake.devices)], folder, turn % 89)
            case _:
                fake.changes(folder, missing=turn % 97, state=fake.folders[folder]["state"])

    return step


def _beacon(fake: FakeSyncthing, beacons: int) -> Callable[[], None]:
    folders = list(fake.folders)[len(fake.folders) - beacons :]
    turns = count()
    return lambda: fake.changes(folders[next(turns) % len(folders)], files=monotonic_ns() // 1000)
