"""Which version of MQTT to speak: 5, and 3.1.1 with brokers that know no better."""

from collections.abc import Callable
from enum import Enum
from typing import Literal, TypeVar

from stbridge.errors import BrokerRefused

T = TypeVar("T")


class Protocol(Enum):
    """A version of MQTT; the value is what the settings call it."""

    MQTT_5 = "5"
    MQTT_3_1_1 = "3.1.1"


class VersionRefused(BrokerRefused):
    """The broker does not agree to speak this version.

    Args:
        message: what it did.
        silent: whether it said nothing at all, which may also mean that it hangs or is just ending.
    """

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class ProtocolChoice:
    """Finds a version that the broker speaks, and remembers it.

    Args:
        setting: `auto`, or the one version to speak.
    """

    def __init__(self, setting: Literal["auto", "5", "3.1.1"]) -> None:
        self._fixed = None if setting == "auto" else Protocol(setting)
        self._remembered: Protocol | None = None

    def candidates(self) -> tuple[Protocol, ...]:
        """Return the versions to try, in order."""
        known = self._fixed or self._remembered
        return (known,) if known else tuple(Protocol)

    def open(self, open_with: Callable[[Protocol], T]) -> T:
        """Try the candidates in turn until the broker accepts one.

        Args:
            open_with: opens a connection, or raises VersionRefused.

        Returns:
            what `open_with` returned.

        Raises:
            VersionRefused: the broker accepts none.
            BrokerUnavailable: the broker cannot be used at all.
        """
        refused: VersionRefused | None = None
        for protocol in self.candidates():
            try:
                opened = open_with(protocol)
            except VersionRefused as error:
                if error.silent and self._remembered:
                    raise  # it spoke this version before, and can do as much when it is back
                refused = error
                self._remembered = None
            else:
                self._remembered = protocol
                return opened
        assert refused is not None, "there is always a candidate"
        raise refused
