"""What a process costs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


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
