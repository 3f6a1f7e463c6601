"""What a process costs."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far.

    Attributes:
        cpu_s: seconds of processor time of all threads that it has; finer than the ticks of the whole process.
        memory_mb: what is resident, in units of 2^20 bytes.
        most_memory_mb: what was, at most.
        threads: how many there are.
    """

    cpu_s: float
    memory_mb: float
    most_memory_mb: float
    threads: int

    @classmethod
    def of(cls, process: int) -> Self:
        """Look at a process."""
        root = Path(f"/proc/{process}")
        status = dict(line.split(":", 1) for line in (root / "status").read_text(encoding="utf-8").splitlines())
        times = [path.read_text(encoding="utf-8") for path in root.glob("task/*/schedstat")]
        return cls(
            cpu_s=sum(int(one.split()[0]) for one in times) / 1e9,
            memory_mb=int(status["VmRSS"].split()[0]) / 1024,
            most_memory_mb=int(status["VmHWM"].split()[0]) / 1024,
            threads=int(status["Threads"]),
        )


class Looks:
    """Looks at what a process uses, again and again, for as long as the `with` lasts.

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
        """How many seconds of processor time it took meanwhile."""
        return self.usages[-1].cpu_s - self.usages[0].cpu_s

    @property
    def more_mb(self) -> float:
        """How much memory it took at most beyond what there was at the beginning."""
        return max(one.memory_mb for one in self.usages) - self.usages[0].memory_mb

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            self.usages.append(Usage.of(self._process))
