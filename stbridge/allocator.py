"""Configures the memory allocator of the C library."""

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8
"""A parameter of mallopt(3) in glibc."""


def use_one_arena() -> None:
    """Make all threads allocate from one arena; does nothing if the C library is not glibc.

    By default, glibc creates up to 8 arenas for each processor, one for each of the first threads. Only threads of the
    same arena can reuse freed memory, so memory usage grows for hours. Python threads hardly ever allocate at the same
    time, so one arena is enough.

    glibc also keeps up to seven freed blocks of each size for each thread. Only the environment of the process can turn
    that off; the systemd units and the image do (GLIBC_TUNABLES).
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
