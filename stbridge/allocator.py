"""The allocator of the C library."""

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8
"""Of mallopt(3), in glibc."""


def use_one_arena() -> None:
    """Have all threads allocate from one arena; do nothing where the C library is not glibc.

    By default, glibc gives each of the first threads an arena of its own: 8 for each processor. What a thread has freed
    can only be used by threads of the same arena again, so memory grows for hours. Threads of Python hardly ever
    allocate at the same time.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
