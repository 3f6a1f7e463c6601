"""Standard output and standard error, which may be closed, be full, lose their reader, or know few characters."""

import os
import select
import sys
from typing import TextIO

_discarded: set[TextIO] = set()  # the streams that could not be written


def open_streams() -> None:
    """Make both streams usable: Python has none for one that is closed, and the next file would get its number."""
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
    """Print a line on standard error, if that can be written."""
    try:
        print(f"stbridge: {line}", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def close_streams() -> bool:
    """Write what is buffered, so that nothing is left for Python to fail on; return False if output was lost."""
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
    """Tell whether nobody reads standard output any more, without writing to it; it is discarded then."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    left = any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    if left:
        discard(sys.stdout)
    return left


def discard(stream: TextIO) -> None:
    """Send a stream to /dev/null: what is still buffered would fail again, or block, when Python exits."""
    _discarded.add(stream)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _lose_output(error: OSError) -> None:
    discard(sys.stdout)
    if not isinstance(error, BrokenPipeError):  # the reader has left, as `head` does: that needs no words
        complain(f"cannot write to standard output ({error.strerror})")
