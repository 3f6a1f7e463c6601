"""What is made of a long walk, without taking one."""

from pathlib import Path

import pytest

from tests.faults.soak import MEBIBYTE, draw, growth, summary
from tests.faults.walk import Reading
from tests.faults.world import Vitals


def reading(burst: int, process: int, memory_mib: float) -> Reading:
    """Return what is seen after a burst: there is one every minute."""
    vitals = Vitals(threads=5, descriptors=12, memory=int(memory_mib * MEBIBYTE))
    return Reading(burst * 60.0, burst, right_s=0.5, messages=burst * 30, log_lines=9, process=process, vitals=vitals)


WALK = [
    *(reading(burst, 1, 90) for burst in range(10)),
    *(reading(burst, 2, 40 + burst * 0.1) for burst in range(10, 70)),
]
"""A large bridge, and after it a small one that grows by 6 MiB in an hour."""


def test_growth_is_that_of_the_last_bridge() -> None:
    """One that was begun anew holds less, and is no cure for a leak."""
    slope, minutes = growth(WALK)
    assert slope == pytest.approx(6.0, abs=0.1)
    assert 40 < minutes < 50


def test_a_walk_that_has_hardly_begun_tells_no_growth() -> None:
    """Through so few points goes any line."""
    assert growth(WALK[:2])[0] == 0


def test_a_walk_is_told_in_a_line_and_drawn(tmp_path: Path) -> None:
    """The line names the seed, by which one comes there again."""
    line = summary(WALK, 7)
    assert "70 bursts in 69.0 min (SEED=7), 2 bridges, 2070 messages" in line
    assert "+6.0 MiB/h" in line
    draw(WALK, line, tmp_path / "made/soak.png")
    assert (tmp_path / "made/soak.png").read_bytes().startswith(b"\x89PNG")
