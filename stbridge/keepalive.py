"""TCP keepalive: the operating system detects that the peer of a connection is gone although it did not close it."""

import contextlib
import socket
import sys

IDLE_S = 4
"""Seconds without traffic before the first probe."""

INTERVAL_S = 2
"""Seconds between two probes."""

PROBES = 3
"""Number of unanswered probes after which the connection counts as dead: 4 + 3 * 2 = 10 seconds in total."""


def enable_keepalive(connection: socket.socket) -> None:
    """Make the operating system close a connection whose peer has not responded for about 10 seconds.

    A router that drops a connection, or a machine that loses power, sends neither FIN nor RST. Without keepalive, a
    reader then waits forever. A peer that is only slow still passes, because its operating system answers the probes.

    Args:
        connection: a TCP connection, with or without TLS; sockets of other families are not changed.
    """
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    _set(connection, socket.SOL_SOCKET, "SO_KEEPALIVE", 1)
    # On macOS, the option for the idle time is named TCP_KEEPALIVE.
    _set(connection, socket.IPPROTO_TCP, "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE", IDLE_S)
    _set(connection, socket.IPPROTO_TCP, "TCP_KEEPINTVL", INTERVAL_S)
    _set(connection, socket.IPPROTO_TCP, "TCP_KEEPCNT", PROBES)
    # The system sends no probes while sent bytes are unacknowledged; this option limits that time. On Linux it also
    # overrides the number of probes, so it must not exceed the time that they take (tcp(7)).
    _set(connection, socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", (IDLE_S + PROBES * INTERVAL_S) * 1000)


def _set(connection: socket.socket, level: int, name: str, value: int) -> None:
    option = getattr(socket, name, None)
    if option is not None:  # the platform has this option
        with contextlib.suppress(OSError):  # the connection is already closed; its next use reports that
            connection.setsockopt(level, option, value)
