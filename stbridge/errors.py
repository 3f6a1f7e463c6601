"""Every error that stbridge raises, as one tree.

    StbridgeError
    +-- Fatal                     trying again cannot help: the process ends with `exit_status`
    |   +-- SettingsError         one or more settings are wrong (78)
    |   +-- UsageError            the command line is wrong (2)
    |   +-- Failed                a one-shot command could not do its work (1)
    +-- Retriable                 the world may mend: wait, then try again
    |   +-- BrokerUnavailable     no use can be made of the broker now
    |   |   +-- BrokerUnreachable nothing answers at the address
    |   |   +-- BrokerRefused     it answers, and refuses the login or the session
    |   |       +-- TakenOver     another client has the client ID, and took the session
    |   +-- SyncthingUnavailable  (also a SyncthingError) no use can be made of this Syncthing now
    |       +-- Unreachable       nothing answers at the address
    |       |   +-- TimedOut      it was reached, but the answer did not come in time
    |       +-- Starting          it answers that it is starting, or migrating its database
    |       +-- TlsFailure        its certificate is not the one that `verify` asks for
    |       +-- Unauthorized      it does not accept the API key
    |       +-- HostCheckFailed   it does not accept the host name in the address
    |       +-- BadReply          what answers does not speak as Syncthing does
    +-- SyncthingError            anything wrong between the bridge and a Syncthing; `code` goes into replies
        +-- CallFailed            it understood the call and refuses it; the same call would fail again
            +-- NotFound          no such folder, device or file, or it is paused
            +-- Unsupported       this build or version of Syncthing cannot do that
            +-- NotApplicable     it makes no sense as things are
            +-- TooLarge          the answer is more than anybody should take in
            +-- Rejected          anything else that Syncthing answers with an error of its own

A message names what is wrong, the setting, and the cure. It never holds an API key or a password.
"""

from collections.abc import Sequence
from typing import ClassVar

MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
"""What code raises that reads an answer of another form than it expects."""


class StbridgeError(Exception):
    """The root of all errors of stbridge."""


class Fatal(StbridgeError):
    """Trying again cannot help."""

    exit_status: ClassVar[int] = 1


class SettingsError(Fatal):
    """One or more settings are wrong.

    Args:
        faults: one readable line per fault, each naming the setting and the cure.
    """

    exit_status = 78

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class UsageError(Fatal):
    """The command line is wrong."""

    exit_status = 2


class Failed(Fatal):
    """A one-shot command could not do its work."""


class Retriable(StbridgeError):
    """The world may mend: wait, then try again."""


class SyncthingError(StbridgeError):
    """Anything that goes wrong between the bridge and a Syncthing.

    `code` is the error code of a command's reply.
    """

    code: ClassVar[str] = "syncthing_error"


class SyncthingUnavailable(Retriable, SyncthingError):
    """No use can be made of this Syncthing now.

    `status` is the word for it in the `connection` topic.
    """

    status: ClassVar[str] = "unreachable"
    code = "unreachable"


class Unreachable(SyncthingUnavailable):
    """Nothing answers at the address.

    Args:
        message: what is wrong, the setting, and the cure.
        arrived: whether the call may have arrived, and may have been carried out, all the same.
    """

    def __init__(self, message: str, *, arrived: bool = True) -> None:
        super().__init__(message)
        self.arrived = arrived


class TimedOut(Unreachable):
    """It was reached, but the answer did not come in time."""

    code = "timeout"


class Starting(SyncthingUnavailable):
    """It answers that it is starting, or migrating its database."""

    status = "starting"


class TlsFailure(SyncthingUnavailable):
    """Its certificate is not the one that `verify` asks for."""

    status = "tls_error"


class Unauthorized(SyncthingUnavailable):
    """It does not accept the API key."""

    status = "unauthorized"
    code = "unauthorized"


class HostCheckFailed(SyncthingUnavailable):
    """It does not accept the host name in the address (its guard against DNS rebinding)."""

    status = "host_check"
    code = "unauthorized"


class BadReply(SyncthingUnavailable):
    """What answers does not speak as Syncthing does."""

    code = "syncthing_error"


class CallFailed(SyncthingError):
    """Syncthing understood the call and refuses it; the same call would fail again."""


class NotFound(CallFailed):
    """No such folder, device or file, or it is paused."""

    code = "not_found"


class Unsupported(CallFailed):
    """This build or version of Syncthing cannot do that."""

    code = "unsupported"


class NotApplicable(CallFailed):
    """It makes no sense as things are, for example for this type of folder."""

    code = "not_applicable"


class TooLarge(CallFailed):
    """It answers with more than anybody should take in."""

    code = "too_large"


class Rejected(CallFailed):
    """Syncthing answers with an error of its own."""


class BrokerUnavailable(Retriable):
    """No use can be made of the broker now."""


class BrokerUnreachable(BrokerUnavailable):
    """Nothing answers at the broker's address."""


class BrokerRefused(BrokerUnavailable):
    """The broker answers, and refuses the login or the session."""


class TakenOver(BrokerRefused):
    """Another client uses the same client ID, and the broker has ended our session for it."""
