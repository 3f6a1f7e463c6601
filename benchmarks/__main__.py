"""Runs benchmarks, each in a process of its own, and writes the report.

Usage: python -m benchmarks [NAME ...] [--quick] [--seconds N]
"""

import argparse
import signal
import subprocess
import sys
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import NoReturn

import psutil

from benchmarks import report
from benchmarks.registry import BENCHMARKS, Benchmark

INNER = "--this-process"
STOP_S = 30.0


def main() -> int:
    """Run what the command line says."""
    arguments = _arguments()
    chosen = [one for one in BENCHMARKS if not arguments.names or one.name in arguments.names]
    if arguments.this_process:
        return _measure(chosen[0], quick=arguments.quick)
    faults = sum(not _run(one, quick=arguments.quick, deadline_s=arguments.seconds) for one in chosen)
    _say(f"{report.write()} is written")
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    names = [one.name for one in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(names)}; default: all")
    parser.add_argument("--quick", action="store_true", help="try everything out, with little of everything")
    parser.add_argument("--seconds", type=float, help="the longest that one benchmark may take")
    parser.add_argument(INNER, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    return arguments


def _run(benchmark: Benchmark, *, quick: bool, deadline_s: float | None) -> bool:
    """Measure in a process of its own, so that nothing of it is left behind, whatever happens."""
    began = monotonic()
    _say(f"{benchmark.name}: {benchmark.question}")
    command = [sys.executable, "-m", "benchmarks", benchmark.name, INNER, *(["--quick"] if quick else [])]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status = process.wait(deadline_s or benchmark.deadline_s)
    except subprocess.TimeoutExpired:
        report.keep_failure(benchmark, f"it was ended after {deadline_s or benchmark.deadline_s:.0f} s")
        status = 1
    finally:
        _end(process)
    _say(f"{benchmark.name}: {'done' if status == 0 else 'FAILED'} after {monotonic() - began:.0f} s")
    return status == 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and everything that it started; it is given some time to do that by itself."""
    if process.poll() is not None:
        return
    below = psutil.Process(process.pid).children(recursive=True)  # Syncthings have sessions of their own
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for one in below:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def _measure(benchmark: Benchmark, *, quick: bool) -> int:
    signal.signal(signal.SIGTERM, _stop)
    try:
        section = benchmark.run(quick=quick)
    except Exception as error:
        report.keep_failure(benchmark, report.in_words(error))
        raise
    report.keep(benchmark, section, quick=quick)
    return 0


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """Let everything that was started be ended on the way out."""
    raise SystemExit(1)


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
