"""The steps of a random walk, drawn from a seed: the same seed gives the same steps, whatever their effect."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

WELL = "well"

BROKER, WAY_TO_BROKER, BRIDGE = "broker", "path to the broker", "bridge"
SYNCTHING, WAY_TO_SYNCTHING, BETA = "syncthing", "path to syncthing", "beta"
FRAGILE = (BROKER, WAY_TO_BROKER, BRIDGE, SYNCTHING, WAY_TO_SYNCTHING, BETA)
"""The parts that faults affect; each of them is repaired at the end of a burst."""

FEWEST_STEPS, MOST_STEPS = 4, 14

Arguments = tuple[Any, ...]


@dataclass(slots=True)
class Model:
    """Model of the world without access to it: it decides which steps are possible and which names exist.

    Attributes:
        burst: the number of the burst, from 1.
        parts: the state of each fragile part.
        beta: the second instance as the first one knows it: `well`, `paused` or `removed`.
        names: the existing names of each kind: files, folders, strangers, offers.
        last: the last burst of each action that must not happen often.
    """

    burst: int = 0
    parts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(FRAGILE, WELL))
    names: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def number(self) -> int:
        """Return a unique number."""
        return next(self._numbers)

    def of(self, kind: str) -> list[str]:
        """Return the names of a kind of thing."""
        return self.names.setdefault(kind, [])

    def is_due(self, what: str, every: int) -> bool:
        """Return whether an action has not happened in the last `every` bursts; if so, record that it happens now."""
        due = self.burst - self.last.get(what, -every) >= every
        if due:
            self.last[what] = self.burst
        return due


def nothing(_model: Model, _random: Random) -> Arguments:
    """Draw no arguments."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A row of the table of steps.

    Attributes:
        text: its description; each `{}` stands for an argument.
        weight: its probability relative to the other steps.
        do: the action, called with a world and the arguments.
        needs: the states of parts that the step requires.
        becomes: the states of parts after the step.
        draw: draws its arguments; None if the step is not possible at the moment.
    """

    text: str
    weight: float
    do: Callable[..., None]
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    becomes: Mapping[str, str] = field(default_factory=dict)
    draw: Callable[[Model, Random], Arguments | None] = nothing

    def fits(self, model: Model) -> bool:
        """Return whether all parts are in a required state."""
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
    """Some steps, and the steps that repair what they broke; afterwards every topic must soon be correct."""

    number: int
    steps: Sequence[Planned]
    mending: Sequence[Planned]


def plan(seed: int, steps: Sequence[Step]) -> Iterator[Burst]:
    """Yield bursts without end."""
    random, model = Random(seed), Model()
    while True:
        model.burst += 1
        drawn = [_draw(steps, model, random) for _ in range(random.randint(FEWEST_STEPS, MOST_STEPS))]
        yield Burst(model.burst, drawn, list(_repair(steps, model, random)))


def _draw(steps: Sequence[Step], model: Model, random: Random) -> Planned:
    fitting = [step for step in steps if step.fits(model)]
    while True:
        [step] = random.choices(fitting, [step.weight for step in fitting])
        arguments = step.draw(model, random)
        if arguments is not None:
            model.parts.update(step.becomes)
            return Planned(step, arguments)


def _repair(steps: Sequence[Step], model: Model, random: Random) -> Iterator[Planned]:
    """Yield steps in random order until every part is well; each part is repaired by one of the possible steps."""
    while broken := [part for part, state in model.parts.items() if state != WELL]:
        part = random.choice(broken)
        yield _draw([step for step in steps if step.becomes.get(part) == WELL and part in step.needs], model, random)
