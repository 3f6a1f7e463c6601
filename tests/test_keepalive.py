"""A peer that is gone without a word is noticed, although nothing is sent to it."""

import ctypes
import socket
import struct
import sys

import pytest

from stbridge import keepalive
from stbridge.keepalive import enable_keepalive

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it


def stop_answering(connection: socket.socket) -> None:
    """Drop all that arrives for a connection before TCP sees it, as a machine without power does."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # classic BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice in a few seconds what takes 14 otherwise."""
    monkeypatch.setattr(keepalive, "IDLE_S", 1)
    monkeypatch.setattr(keepalive, "INTERVAL_S", 1)
    monkeypatch.setattr(keepalive, "PROBES", 2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can drop what arrives for one connection")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"", b"unacknowledged"], ids=["nothing under way", "bytes under way"])
def test_a_peer_that_is_gone_without_a_word_is_noticed(sent: bytes) -> None:
    """Neither FIN nor RST arrives; a read that would last for ever fails."""
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


def test_a_dead_connection_is_noticed_within_15_seconds() -> None:
    """The promise of the design, by the values that the system is given."""
    assert keepalive.IDLE_S + keepalive.INTERVAL_S * keepalive.PROBES < 15


def test_other_sockets_are_left_as_they_are() -> None:
    """A Unix socket has no such options, and a closed one cannot be set: neither is an error here."""
    near, far = socket.socketpair()
    with near, far:
        enable_keepalive(near)
    closed = socket.socket()
    closed.close()
    enable_keepalive(closed)
