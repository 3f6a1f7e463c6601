"""Summary and plot of a long walk, computed from artificial readings."""

from pathlib import Path

import pytest

from tests.faults.soak import MEBIBYTE, draw, growth, summary
from tests.faults.walk import Reading
from tests.faults.world import Vitals


def reading(burst: int, process: int, memory_mib: float) -> Reading:
    """Return the reading of a burst; there is one burst a minute."""
    vitals = Vitals(threads=5, descriptors=12, memory=int(memory_mib * MEBIBYTE))
    return Reading(
        at=burst * 60.0,
        burst=burst,
        right_s=0.5,
        messages=burst * 30,
        topics=100 + burst,
        log_lines=9,
        process=process,
        vitals=vitals,
    )


WALK = [
    *(reading(burst, 1, 90) for burst in range(10)),
    *(reading(burst, 2, 40 + burst * 0.1) for burst in range(10, 70)),
]
"""Readings of a large bridge, followed by a small one that grows by 6 MiB per hour."""


def test_growth_is_that_of_the_last_bridge() -> None:
    """A restarted bridge uses less memory, which must not hide a leak."""
    slope, minutes = growth(WALK)
    assert slope == pytest.approx(6.0, abs=0.1)
    assert 40 < minutes < 50


def test_a_walk_that_has_just_begun_reports_no_growth() -> None:
    """Two points are too few for a regression."""
    assert growth(WALK[:2])[0] == 0


def test_a_walk_is_summarized_in_one_line_and_plotted(tmp_path: Path) -> None:
    """The line contains the seed, which reproduces the walk."""
    line = summary(WALK, 7)
    assert "70 bursts in 69.0 min (SEED=7), 2 bridges, 2070 messages" in line
    assert "+6.0 MiB/h over 44 min with 125 to 169 retained topics" in line
    draw(WALK, line, tmp_path / "made/soak.png")
    assert (tmp_path / "made/soak.png").read_bytes().startswith(b"\x89PNG")
