"""TCP keepalive detects a peer that disappears silently, even if nothing is sent to it."""

import ctypes
import socket
import struct
import sys

import pytest

from stbridge import keepalive
from stbridge.keepalive import enable_keepalive

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it


def stop_answering(connection: socket.socket) -> None:
    """Drop all incoming packets of a connection before TCP sees them, as if the peer had lost power."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # classic BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the detection time from 14 s to a few seconds."""
    monkeypatch.setattr(keepalive, "IDLE_S", 1)
    monkeypatch.setattr(keepalive, "INTERVAL_S", 1)
    monkeypatch.setattr(keepalive, "PROBES", 2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can drop what arrives for one connection")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"", b"unacknowledged"], ids=["nothing under way", "bytes under way"])
def test_a_peer_that_disappears_silently_is_detected(sent: bytes) -> None:
    """Without FIN or RST, a read would otherwise wait forever; keepalive makes it fail."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as near:
        near.connect(listener.getsockname())
        far = listener.accept()[0]
        with far:
            enable_keepalive(near)
            stop_answering(far)
            near.sendall(sent)
            near.settimeout(30)
            with pytest.raises(OSError, match="timed out") as failed:
                near.recv(1)
            assert not isinstance(failed.value, TimeoutError) or failed.value.errno, "it was our own timeout"


def test_a_dead_connection_is_detected_within_15_seconds() -> None:
    """The socket options guarantee the time that the design promises."""
    assert keepalive.IDLE_S + keepalive.INTERVAL_S * keepalive.PROBES < 15


def test_other_sockets_stay_unchanged() -> None:
    """A Unix socket does not have these options, and a closed socket cannot be changed: neither is an error."""
    near, far = socket.socketpair()
    with near, far:
        enable_keepalive(near)
    closed = socket.socket()
    closed.close()
    enable_keepalive(closed)
