"""Runs each benchmark in its own process, and writes the report.

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
    """Run the benchmarks of the command line."""
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
    parser.add_argument("--quick", action="store_true", help="run quickly, with few measurements")
    parser.add_argument("--seconds", type=float, help="time limit of each benchmark")
    parser.add_argument(INNER, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    return arguments


def _run(benchmark: Benchmark, *, quick: bool, deadline_s: float | None) -> bool:
    """Run a benchmark in its own process, so that none of its processes is left behind after a failure."""
    began = monotonic()
    _say(f"{benchmark.name}: {benchmark.question}")
    command = [sys.executable, "-m", "benchmarks", benchmark.name, INNER, *(["--quick"] if quick else [])]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status = process.wait(deadline_s or benchmark.deadline_s)
    except subprocess.TimeoutExpired:
        report.keep_failure(benchmark, f"it was stopped after {deadline_s or benchmark.deadline_s:.0f} s")
        status = 1
    finally:
        _end(process)
    _say(f"{benchmark.name}: {'done' if status == 0 else 'FAILED'} after {monotonic() - began:.0f} s")
    return status == 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process and its children; it has some time to stop them itself."""
    if process.poll() is not None:
        return
    below = psutil.Process(process.pid).children(recursive=True)  # Syncthing instances have their own sessions
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
    """Exit by an exception, so that all started processes are stopped."""
    raise SystemExit(1)


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
