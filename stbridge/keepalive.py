"""TCP keepalive: the system finds out that the other end of a connection is gone although nobody closed it."""

import contextlib
import socket
import sys

IDLE_S = 4
"""Seconds without a byte before the first probe."""

INTERVAL_S = 2
"""Seconds between two probes."""

PROBES = 3
"""Probes without an answer after which the connection counts as dead: 4 + 3 * 2 = 10 seconds in all."""


def enable_keepalive(connection: socket.socket) -> None:
    """Have the system end a connection whose other end has not answered for about 10 seconds.

    A router that forgets a connection, or a machine that loses power, sends neither FIN nor RST. Without keepalive a
    reader then waits for ever. A peer that is merely slow answers the probes, because its system does.

    Args:
        connection: a TCP connection, with or without TLS; other families are left as they are.
    """
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    _set(connection, socket.SOL_SOCKET, "SO_KEEPALIVE", 1)
    # macOS calls the idle time TCP_KEEPALIVE.
    _set(connection, socket.IPPROTO_TCP, "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE", IDLE_S)
    _set(connection, socket.IPPROTO_TCP, "TCP_KEEPINTVL", INTERVAL_S)
    _set(connection, socket.IPPROTO_TCP, "TCP_KEEPCNT", PROBES)
    # The system sends no probes while sent bytes wait for an acknowledgement; this limits that wait. On Linux it also
    # replaces the count of probes, so it must be no longer than they take (tcp(7)).
    _set(connection, socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", (IDLE_S + PROBES * INTERVAL_S) * 1000)


def _set(connection: socket.socket, level: int, name: str, value: int) -> None:
    option = getattr(socket, name, None)
    if option is not None:  # the platform has it
        with contextlib.suppress(OSError):  # the connection has ended already, which its next use reports
            connection.setsockopt(level, option, value)
