"""What a walk will do, drawn from a seed alone: the same seed gives the same steps, whatever comes of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

WELL = "well"

BROKER, WAY_TO_BROKER, BRIDGE = "broker", "way to the broker", "bridge"
SYNCTHING, WAY_TO_SYNCTHING, BETA = "syncthing", "way to syncthing", "beta"
FRAGILE = (BROKER, WAY_TO_BROKER, BRIDGE, SYNCTHING, WAY_TO_SYNCTHING, BETA)
"""What faults happen to; at the end of a burst each is mended."""

FEWEST_STEPS, MOST_STEPS = 4, 14

Arguments = tuple[Any, ...]


@dataclass(slots=True)
class Model:
    """What a walk knows of its world without looking: what steps make sense, and what there is to draw from.

    Attributes:
        burst: the number of the burst, from 1.
        parts: how each fragile part is.
        beta: how the second Syncthing is known to the first: `well`, `paused` or `removed`.
        names: what there is of each kind: files, folders, strangers, offers.
        last: in which burst something happened that must not happen often.
    """

    burst: int = 0
    parts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(FRAGILE, WELL))
    names: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def number(self) -> int:
        """Return a number that was never returned before."""
        return next(self._numbers)

    def of(self, kind: str) -> list[str]:
        """Return the names of a kind of thing."""
        return self.names.setdefault(kind, [])

    def is_due(self, what: str, every: int) -> bool:
        """Tell whether something has not happened in so many bursts; if so, it counts as happening now."""
        due = self.burst - self.last.get(what, -every) >= every
        if due:
            self.last[what] = self.burst
        return due


def nothing(_model: Model, _random: Random) -> Arguments:
    """Draw nothing."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A row of the table of steps.

    Attributes:
        text: what is told of it; `{}` stands for each of its arguments.
        weight: how likely it is, compared with others.
        do: what is done, to a world, with its arguments.
        needs: how parts have to be for it.
        becomes: how parts are after it.
        draw: draws its arguments; None if it makes no sense as things are.
    """

    text: str
    weight: float
    do: Callable[..., None]
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    becomes: Mapping[str, str] = field(default_factory=dict)
    draw: Callable[[Model, Random], Arguments | None] = nothing

    def fits(self, model: Model) -> bool:
        """Tell whether all parts are as it needs them."""
        return all(model.parts[part] in states for part, states in self.needs.items())


@dataclass(frozen=True, slots=True)
class Planned:
    """A step with its arguments."""

    step: Step
    arguments: Arguments

    def __str__(self) -> str:
        return self.step.text.format(*self.arguments)


@dataclass(frozen=True, slots=True)
class Burst:
    """Some steps, and those that mend what they broke; after these everything has to be right soon."""

    number: int
    steps: Sequence[Planned]
    mending: Sequence[Planned]


def plan(seed: int, steps: Sequence[Step]) -> Iterator[Burst]:
    """Yield one burst after the other, without an end."""
    random, model = Random(seed), Model()
    while True:
        model.burst += 1
        drawn = [_draw(steps, model, random) for _ in range(random.randint(FEWEST_STEPS, MOST_STEPS))]
        yield Burst(model.burst, drawn, list(_mend(steps, model, random)))


def _draw(steps: Sequence[Step], model: Model, random: Random) -> Planned:
    fitting = [step for step in steps if step.fits(model)]
    while True:
        [step] = random.choices(fitting, [step.weight for step in fitting])
        arguments = step.draw(model, random)
        if arguments is not None:
            model.parts.update(step.becomes)
            return Planned(step, arguments)


def _mend(steps: Sequence[Step], model: Model, random: Random) -> Iterator[Planned]:
    """Yield steps until every part is well, in any order: each part is mended by one of the steps that can."""
    while broken := [part for part, state in model.parts.items() if state != WELL]:
        part = random.choice(broken)
        yield _draw([step for step in steps if step.becomes.get(part) == WELL and part in step.needs], model, random)
