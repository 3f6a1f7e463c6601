"""Stores the results of each benchmark, and writes the report of all results."""

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import description
from benchmarks.registry import BENCHMARKS, Benchmark
from benchmarks.section import Section

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "benchmarks/REPORT.md"
PLOTS = ROOT / "benchmarks/plots"
RESULTS = ROOT / ".cache/benchmarks"
RESOLUTION_DPI = 110

MET: Mapping[bool | None, str] = {True: "yes", False: "**no**", None: "unknown"}

Result = dict[str, Any]


def keep(benchmark: Benchmark, section: Section, *, quick: bool) -> None:
    """Store the results of a benchmark until it runs again."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    for plot in section.plots:
        plot.figure.savefig(PLOTS / f"{plot.name}.png", dpi=RESOLUTION_DPI, bbox_inches="tight")
    _write(
        benchmark,
        {
            "title": section.title,
            "summary": list(section.summary),
            "tables": [asdict(table) for table in section.tables],
            "plots": [{"name": plot.name, "caption": plot.caption} for plot in section.plots],
            "verdicts": [asdict(verdict) for verdict in section.verdicts],
            "quick": quick,
        },
    )


def keep_failure(benchmark: Benchmark, reason: str) -> None:
    """Store that a benchmark failed, and why."""
    summary = [f"**It failed:** {reason}"]
    _write(benchmark, {"title": benchmark.name.capitalize(), "summary": summary})


def in_words(error: Exception) -> str:
    """Describe an error and its place in one line."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "/benchmarks/" in frame.filename]
    where = f" ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else ""
    return f"{type(error).__name__}: {error}{where}"


def _write(benchmark: Benchmark, result: Result) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = json.dumps({**result, "at": at}, indent=1)
    (RESULTS / f"{benchmark.name}.json").write_text(text, encoding="utf-8")


def write() -> Path:
    """Write the report of all stored results."""
    REPORT.write_text("\n".join(_lines()) + "\n", encoding="utf-8")
    return REPORT


def _lines() -> Iterator[str]:
    results = {one.name: json.loads(path.read_text(encoding="utf-8")) for one in BENCHMARKS if (path := _kept(one))}
    yield "# Speed and cost of the bridge"
    yield ""
    yield "`make bench` runs all benchmarks and writes this report. `make bench ONLY=latency` repeats one part and"
    yield "keeps the others; `QUICK=1` is a quick trial. Compare ratios measured in the same run: absolute times differ"
    yield "from machine to machine."
    yield ""
    yield from _table(("component", "value"), list(description().items()))
    yield "## Aims"
    yield ""
    yield from _table(("part", "aim", "measured", "met"), list(_aims(results)))
    for benchmark in BENCHMARKS:
        if benchmark.name in results:
            yield from _section(benchmark, results[benchmark.name])


def _kept(benchmark: Benchmark) -> Path | None:
    path = RESULTS / f"{benchmark.name}.json"
    return path if path.is_file() else None


def _aims(results: Mapping[str, Result]) -> Iterator[Sequence[str]]:
    for name, result in results.items():
        for verdict in result.get("verdicts", ()):
            yield (name, verdict["aim"], verdict["measured"], MET[verdict["met"]])


def _section(benchmark: Benchmark, result: Result) -> Iterator[str]:
    yield f"## {result['title']}"
    yield ""
    hurried = "; a quick trial, too short for a verdict" if result.get("quick") else ""
    yield f"Question: {benchmark.question}. `make bench ONLY={benchmark.name}`, {result['at']}{hurried}."
    yield ""
    for paragraph in result["summary"]:
        yield from (paragraph, "")
    for table in result.get("tables", ()):
        yield from (f"**{table['title']}**", "")
        yield from _table(table["head"], table["rows"])
    for plot in result.get("plots", ()):
        yield from (f"![{plot['caption']}](plots/{plot['name']}.png)", "", plot["caption"], "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
