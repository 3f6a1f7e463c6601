"""The parts of a section of the report, which a benchmark returns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from matplotlib.figure import Figure

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Comparison of an aim with the measured value.

    Attributes:
        aim: the aim, with its unit.
        measured: the measured value, with its unit.
        met: whether the aim is met; None if unknown.
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
        rows: the cells as text.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of(cls, title: str, items: Iterable[Item], columns: Mapping[str, Callable[[Item], str]]) -> Self:
        """Return a table with a row for each item.

        Args:
            title: the line above it.
            items: what the rows describe.
            columns: by heading, the function that returns the cell of an item.
        """
        rows = [[cell(item) for cell in columns.values()] for item in items]
        return cls(title=title, head=list(columns), rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot of the report.

    Attributes:
        name: the file name without its suffix.
        figure: the figure.
        caption: the description of the plot.
    """

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the report.

    Attributes:
        title: its heading.
        summary: paragraphs about the method and the results.
        tables: the figures.
        plots: the pictures.
        verdicts: its aims, compared with the measured values.
    """

    title: str
    summary: Sequence[str]
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    verdicts: Sequence[Verdict] = ()
