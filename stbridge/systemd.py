"""Reports the status of the service to systemd (sd_notify(3)); does nothing without systemd."""

import contextlib
import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(message: str) -> None:
    """Send assignments such as READY=1, STATUS=... or WATCHDOG=1; failures are ignored."""
    address = os.environ.get(VARIABLE)
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace of Linux
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.connect(address)
        link.sendall(message.encode("utf-8", "replace"))
