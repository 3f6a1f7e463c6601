"""Which benchmarks there are, in the order of the report."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from benchmarks.section import Section


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark: the module of its name has `run(quick: bool) -> Section`.

    Attributes:
        name: what it is called by on the command line.
        deadline_s: it is ended after so many seconds.
        question: what it answers.
    """

    name: str
    deadline_s: float
    question: str

    def run(self, *, quick: bool) -> Section:
        """Measure."""
        measure = cast(Callable[[bool], Section], import_module(f"benchmarks.{self.name}").run)
        return measure(quick)


BENCHMARKS = (
    Benchmark("latency", 600, "how long a change takes to reach a subscriber"),
    Benchmark("commands", 200, "how long a command takes, and how many there may be"),
    Benchmark("idle", 600, "what the bridge costs while nothing happens"),
    Benchmark("brokers", 300, "what the bridge does with other brokers than Mosquitto"),
    Benchmark("steps", 120, "where the processor time of an event goes"),
    Benchmark("scale", 480, "what folders, devices and instances cost"),
    Benchmark("storms", 240, "what ten thousand events a second do"),
    Benchmark("files", 900, "what a sync of very many small files does"),
)
