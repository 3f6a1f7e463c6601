"""What systemd is told, over the kind of socket that it really uses."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stbridge.systemd import VARIABLE, notify


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Be systemd, as far as notifications go."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(address)
        link.settimeout(5)
        yield link


def test_systemd_is_told_over_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each notification is one datagram with exactly the assignments that were given."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv(VARIABLE, address)
    messages = ["READY=1", "WATCHDOG=1\nSTATUS=broker verbunden; büro online", "STOPPING=1"]
    with listening(address) as link:
        for message in messages:
            notify(message)
        assert [link.recv(4096).decode() for _ in messages] == messages


def test_an_address_that_begins_with_at_is_in_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some service managers listen where no file is."""
    with listening("") as link:  # Linux chooses a free name in the abstract namespace
        monkeypatch.setenv(VARIABLE, "@" + link.getsockname()[1:].decode())
        notify("READY=1")
        assert link.recv(4096) == b"READY=1"


@pytest.mark.parametrize("address", [None, ""])
def test_nothing_is_sent_without_systemd(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    """Where nobody asks to be notified, no socket is opened."""
    if address is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, address)
    monkeypatch.delattr(socket, "socket")
    notify("READY=1")


def test_a_systemd_that_does_not_listen_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification that cannot be delivered is no failure of the service."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    notify("READY=1")


def test_a_status_that_utf_8_cannot_encode_is_sent_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Error messages of Syncthing may hold file names of any bytes."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv(VARIABLE, address)
    with listening(address) as link:
        notify("STATUS=nas: \ud800")
        assert link.recv(4096) == b"STATUS=nas: ?"
