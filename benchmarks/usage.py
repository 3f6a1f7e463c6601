"""Processor time and memory of a process."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources that a process has used so far.

    Attributes:
        cpu_s: processor time of its current threads in seconds, more precise than the ticks of the process.
        memory_mb: resident memory in units of 2^20 bytes.
        most_memory_mb: maximum of the resident memory.
        threads: number of threads.
        waits: number of times that its threads have waited, each of which ends with a wake-up of the processor.
    """

    cpu_s: float
    memory_mb: float
    most_memory_mb: float
    threads: int
    waits: int

    @classmethod
    def of(cls, process: int) -> Self:
        """Read the values of a process."""
        root = Path(f"/proc/{process}")
        status = dict(line.split(":", 1) for line in (root / "status").read_text(encoding="utf-8").splitlines())
        threads = [path.read_text(encoding="utf-8") for path in root.glob("task/*/status")]
        times = [path.read_text(encoding="utf-8") for path in root.glob("task/*/schedstat")]
        return cls(
            cpu_s=sum(int(one.split()[0]) for one in times) / 1e9,
            memory_mb=int(status["VmRSS"].split()[0]) / 1024,
            most_memory_mb=int(status["VmHWM"].split()[0]) / 1024,
            threads=int(status["Threads"]),
            waits=sum(int(one.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for one in threads),
        )


class Looks:
    """Reads the usage of a process repeatedly while its context is active.

    Args:
        process: its ID.
    """

    def __init__(self, process: int) -> None:
        self.usages = [Usage.of(process)]
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.usages.append(Usage.of(self._process))

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time used in the context."""
        return self.usages[-1].cpu_s - self.usages[0].cpu_s

    @property
    def more_mb(self) -> float:
        """Maximum growth of the memory in the context."""
        return max(one.memory_mb for one in self.usages) - self.usages[0].memory_mb

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            self.usages.append(Usage.of(self._process))
