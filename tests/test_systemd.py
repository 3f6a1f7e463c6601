"""Notifications to systemd, over the same kind of socket that systemd uses."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stbridge.systemd import VARIABLE, notify


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Open a notification socket, as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(address)
        link.settimeout(5)
        yield link


def test_notifications_are_sent_over_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each notification is one datagram with exactly the given assignments."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv(VARIABLE, address)
    messages = ["READY=1", "WATCHDOG=1\nSTATUS=broker verbunden; büro online", "STOPPING=1"]
    with listening(address) as link:
        for message in messages:
            notify(message)
        assert [link.recv(4096).decode() for _ in messages] == messages


def test_an_address_that_starts_with_at_is_in_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some service managers listen on an address that is not a file."""
    with listening("") as link:  # Linux chooses a free name in the abstract namespace
        monkeypatch.setenv(VARIABLE, "@" + link.getsockname()[1:].decode())
        notify("READY=1")
        assert link.recv(4096) == b"READY=1"


@pytest.mark.parametrize("address", [None, ""])
def test_nothing_is_sent_without_systemd(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    """Without a notification socket in the environment, the bridge opens no socket."""
    if address is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, address)
    monkeypatch.delattr(socket, "socket")
    notify("READY=1")


def test_a_systemd_that_does_not_listen_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification that cannot be delivered does not stop the service."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    notify("READY=1")


def test_a_status_that_utf_8_cannot_encode_is_still_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Error messages of Syncthing may contain file names with arbitrary bytes."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv(VARIABLE, address)
    with listening(address) as link:
        notify("STATUS=nas: \ud800")
        assert link.recv(4096) == b"STATUS=nas: ?"
