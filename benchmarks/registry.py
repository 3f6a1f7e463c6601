"""List of the benchmarks, in the order of the report."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from benchmarks.section import Section


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark; the module with its name contains `run(quick: bool) -> Section`.

    Attributes:
        name: its name on the command line.
        deadline_s: seconds after which it is stopped.
        question: the question that it answers.
    """

    name: str
    deadline_s: float
    question: str

    def run(self, *, quick: bool) -> Section:
        """Run the benchmark, and return its section of the report."""
        measure = cast(Callable[[bool], Section], import_module(f"benchmarks.{self.name}").run)
        return measure(quick)


BENCHMARKS = (
    Benchmark("latency", 600, "how long a change takes to reach a subscriber"),
    Benchmark("commands", 200, "how long a command takes, and how many run per second"),
    Benchmark("idle", 600, "what the bridge costs while nothing happens"),
    Benchmark("brokers", 1800, "how the bridge works with each broker"),
    Benchmark("steps", 120, "how the processor time of an event is spent"),
    Benchmark("scale", 480, "what folders, devices and instances cost"),
    Benchmark("fleet", 900, "what a hundred bridges on one broker cost, and how they survive its restarts"),
    Benchmark("storms", 240, "how the bridge handles ten thousand events a second"),
    Benchmark("webpage", 300, "how the web page handles a large fleet and a storm"),
    Benchmark("files", 900, "how the bridge handles a sync of very many small files"),
)
