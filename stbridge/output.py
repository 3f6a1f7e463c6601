"""Writes to standard output and standard error, which may be closed, full, without a reader, or not Unicode."""

import os
import select
import sys
from typing import TextIO

_discarded: set[TextIO] = set()  # the streams that could not be written


def open_streams() -> None:
    """Make all standard streams usable: a closed one is None in Python, and the next file would get its number."""
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - positional only
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def say(line: str) -> bool:
    """Print a line on standard output; if it cannot be written, return False, and discard all further output."""
    try:
        print(line, flush=True)
    except OSError as error:
        _lose_output(error)
        return False
    return True


def complain(line: str) -> None:
    """Print a line on standard error, if that is possible."""
    try:
        print(f"stbridge: {line}", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def close_streams() -> bool:
    """Flush both streams, so that Python does not fail at exit; return False if output was lost."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _lose_output(error)
    try:
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)
    return sys.stdout not in _discarded


def reader_has_left() -> bool:
    """Return whether the reader of standard output has left, without writing to it; if so, discard further output."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    left = any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    if left:
        discard(sys.stdout)
    return left


def discard(stream: TextIO) -> None:
    """Redirect a stream to /dev/null: flushing its buffer at exit would fail again or block."""
    _discarded.add(stream)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _lose_output(error: OSError) -> None:
    discard(sys.stdout)
    if not isinstance(error, BrokenPipeError):  # a reader that closes its end, as `head` does, needs no message
        complain(f"cannot write to standard output ({error.strerror})")
