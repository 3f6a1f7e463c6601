"""Chooses the version of MQTT: 5, or 3.1.1 for brokers that do not support 5."""

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Literal, TypeVar

from stbridge.errors import BrokerRefused

T = TypeVar("T")


class Protocol(Enum):
    """A version of MQTT; its value is the name in the settings."""

    MQTT_5 = "5"
    MQTT_3_1_1 = "3.1.1"


class VersionRefused(BrokerRefused):
    """The broker does not accept this version of MQTT.

    Args:
        message: how the broker reacted.
        silent: whether it sent nothing at all, which can also mean that it hangs or is stopping.
    """

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class ProtocolChoice:
    """Finds a version that the broker supports, and remembers it.

    Args:
        setting: `auto`, or the only version to use.
    """

    def __init__(self, setting: Literal["auto", "5", "3.1.1"]) -> None:
        self._fixed = None if setting == "auto" else Protocol(setting)
        self._remembered: Protocol | None = None

    @property
    def known(self) -> Protocol | None:
        """The only version to use; None as long as it is not known."""
        return self._fixed or self._remembered

    def open(self, open_with: Callable[[Protocol], T], ask: Callable[[Protocol], None] | None = None) -> T:
        """Open a connection with the version of the broker.

        As long as the version is not known, this tries MQTT 5 first. A broker that sends nothing may not support it,
        but it may also hang, or its answer may be lost. Then it must not get a CONNECT with 3.1.1 and the same client
        ID: that deletes the session of MQTT 5, and the commands in it. So this asks under another client ID first, and
        tries MQTT 5 again.

        Args:
            open_with: a function that opens the connection, or raises VersionRefused.
            ask: a function that connects under another client ID, and raises VersionRefused if the broker does not
                answer; None for a connection whose session contains nothing.

        Returns:
            the result of `open_with`.

        Raises:
            VersionRefused: the broker does not accept a version.
            BrokerUnavailable: the broker cannot be used at all.
        """
        if self.known:
            return self._open_known(self.known, open_with)
        try:
            return self._remember(Protocol.MQTT_5, open_with)
        except VersionRefused as error:
            if error.silent and ask:
                ask(Protocol.MQTT_3_1_1)
                with suppress(VersionRefused):
                    return self._remember(Protocol.MQTT_5, open_with)
        return self._remember(Protocol.MQTT_3_1_1, open_with)

    def _open_known(self, known: Protocol, open_with: Callable[[Protocol], T]) -> T:
        try:
            return open_with(known)
        except VersionRefused as error:
            if not error.silent:  # a silent broker accepted this version before, and will when it is available again
                self._remembered = None
            raise

    def _remember(self, protocol: Protocol, open_with: Callable[[Protocol], T]) -> T:
        opened = open_with(protocol)
        self._remembered = protocol
        return opened
