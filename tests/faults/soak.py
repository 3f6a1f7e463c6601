"""A long random walk, with a plot of the bridge's memory, threads and descriptors: `make soak MINUTES=60 SEED=7`.

On the first difference from the expected state, it prints the steps of the last burst and exits with status 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from random import SystemRandom
from statistics import linear_regression, median, quantiles

from matplotlib.figure import Figure

from tests.faults.ground import Ground
from tests.faults.walk import Reading, Walk
from tests.faults.world import newest
from tests.servers import ROOT, manifest

PICTURE = ROOT / "build/soak.png"
MEBIBYTE = 1024 * 1024
MOST_LOGGED = 20_000
"""Maximum number of characters of the bridge's log that are shown after a failure."""

SETTLED = 0.25
"""Fraction of a bridge's run in which its memory still grows to its working size."""


def last_run(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings of the last bridge process, without its warm-up."""
    run = [one for one in readings if one.process == readings[-1].process]
    began, ended = run[0].at, run[-1].at
    return [one for one in run if one.at >= began + SETTLED * (ended - began)]


def growth(readings: Sequence[Reading]) -> tuple[float, float]:
    """Return the memory growth of the last bridge process in MiB per hour, and the minutes of observation."""
    run = last_run(readings)
    minutes = (run[-1].at - run[0].at) / 60
    if len(run) < 3:
        return 0.0, minutes
    found = linear_regression([one.at / 3600 for one in run], [one.vitals.memory / MEBIBYTE for one in run])
    return found.slope, minutes


def summary(readings: Sequence[Reading], seed: int) -> str:
    """Summarize the whole walk in one line."""
    right = [one.right_s for one in readings]
    slowest = quantiles(right, n=100)[98] if len(right) > 1 else right[0]
    slope, minutes = growth(readings)
    last = readings[-1]
    bridges = len({one.process for one in readings})
    return (
        f"{len(readings)} bursts in {last.at / 60:.1f} min (SEED={seed}), {bridges} bridges, "
        f"{last.messages} messages; right again after {median(right):.2f} s (median), {slowest:.2f} s (99 %), "
        f"{max(right):.2f} s (at most); memory {last.vitals.memory / MEBIBYTE:.1f} MiB, {slope:+.1f} MiB/h over "
        f"{minutes:.0f} min with {last_run(readings)[0].topics} to {last.topics} retained topics; "
        f"{last.vitals.threads} threads, {last.vitals.descriptors} file descriptors"
    )


def line(reading: Reading) -> str:
    """Summarize a burst in one line."""
    memory = reading.vitals.memory / MEBIBYTE
    return f"{reading.at / 60:6.1f} min, burst {reading.burst}: right after {reading.right_s:.2f} s, {memory:.1f} MiB"


def draw(readings: Sequence[Reading], title: str, file: Path) -> None:
    """Plot the readings of all bursts."""
    minutes = [one.at / 60 for one in readings]
    sent = [0, *(one.messages for one in readings)]
    rows: Iterable[tuple[str, dict[str, list[float]]]] = (
        ("resident memory (MiB)", {"": [one.vitals.memory / MEBIBYTE for one in readings]}),
        ("held", {"threads": [one.vitals.threads for one in readings],
                  "file descriptors": [one.vitals.descriptors for one in readings]}),
        ("retained topics", {"": [one.topics for one in readings]}),
        ("messages of a burst", {"": [after - before for before, after in pairwise(sent)]}),
        ("seconds until right", {"": [one.right_s for one in readings]}),
    )  # fmt: skip
    figure = Figure(figsize=(11, 11), layout="constrained")
    figure.suptitle(title, fontsize=9, wrap=True)
    began = [now.at / 60 for before, now in pairwise(readings) if now.process != before.process]
    for axes, (name, lines) in zip(figure.subplots(5, sharex=True), rows, strict=True):
        for label, values in lines.items():
            axes.plot(minutes, values, ".-", linewidth=0.8, markersize=3, label=label)
        for at in began:
            axes.axvline(at, color="grey", linewidth=0.4, linestyle=":")
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
        if len(lines) > 1:
            axes.legend()
    axes.set_xlabel("minutes (a dotted line: another process of the bridge)")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)


def soak(minutes: float, seed: int, binary: str, readings: list[Reading]) -> None:
    """Walk for some minutes, and collect the readings.

    Raises:
        AssertionError: the state differs from the expected state.
    """
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as directory:
        ground = Ground(Path(directory), binary)
        try:
            ground.start()
            for reading in Walk(ground, seed).go():
                readings.append(reading)
                print(line(reading), flush=True)
                if reading.at > minutes * 60:
                    return
        except AssertionError as error:
            print(error, flush=True)  # here, because `stop` may fail as well
            print(ground.bridge.log.read_text(encoding="utf-8")[-MOST_LOGGED:], flush=True)
            raise
        finally:
            ground.stop()


def main() -> int:
    """Run a walk by the command line arguments, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--syncthing", choices=[*manifest()["syncthing"]], help="a version; the newest if not given")
    given = parser.parse_args()
    binary = manifest()["syncthing"][given.syncthing] if given.syncthing else newest()
    readings: list[Reading] = []
    status = 0
    print(f"SEED={given.seed}", flush=True)
    try:
        soak(given.minutes, given.seed, binary, readings)
    except AssertionError:
        status = 1
    except KeyboardInterrupt:
        pass  # the readings so far are still plotted
    if readings:
        text = summary(readings, given.seed)
        draw(readings, text, PICTURE)
        print(f"{text}\n{PICTURE}")
    return status


if __name__ == "__main__":
    sys.exit(main())
