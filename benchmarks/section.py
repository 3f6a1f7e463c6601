"""What one benchmark has to say."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How an aim compares with what was measured.

    Attributes:
        aim: what was to be reached, with its unit.
        measured: what was, with its unit.
        met: whether that is good enough; None where it cannot be told.
    """

    aim: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the report.

    Attributes:
        title: the line above it.
        head: the headings of its columns, with units.
        rows: the cells, as they are shown.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot of the report.

    Attributes:
        name: the file's, without its suffix.
        figure: what is drawn.
        caption: what there is to see.
    """

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the report.

    Attributes:
        title: its heading.
        summary: what was found out, and how it was measured: one paragraph each.
        tables: the figures.
        plots: the pictures.
        verdicts: the aims that it is about.
    """

    title: str
    summary: Sequence[str]
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    verdicts: Sequence[Verdict] = ()
