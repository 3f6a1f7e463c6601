"""Chooses the version of MQTT: 5, or 3.1.1 for brokers that do not support 5."""

from collections.abc import Callable
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

    def candidates(self) -> tuple[Protocol, ...]:
        """Return the versions to try, in this order."""
        known = self._fixed or self._remembered
        return (known,) if known else tuple(Protocol)

    def open(self, open_with: Callable[[Protocol], T]) -> T:
        """Try the candidates in turn until the broker accepts one.

        Args:
            open_with: a function that opens a connection, or raises VersionRefused.

        Returns:
            the result of `open_with`.

        Raises:
            VersionRefused: the broker accepts none of them.
            BrokerUnavailable: the broker cannot be used at all.
        """
        refused: VersionRefused | None = None
        for protocol in self.candidates():
            try:
                opened = open_with(protocol)
            except VersionRefused as error:
                if error.silent and self._remembered:
                    raise  # the broker accepted this version before, and will again when it is available
                refused = error
                self._remembered = None
            else:
                self._remembered = protocol
                return opened
        assert refused is not None, "there is always a candidate"
        raise refused
