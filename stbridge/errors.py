"""Every error that stbridge raises, as one tree.

    StbridgeError
    +-- Fatal                     trying again cannot help: the process ends with `exit_status`
    |   +-- SettingsError         one or more settings are wrong (78)
    |   +-- UsageError            the command line is wrong (2)
    |   +-- Failed                a one-shot command could not do its work (1)
    +-- Retriable                 the cause may go away: wait, then try again
    |   +-- BrokerUnavailable     the broker cannot be used now
    |   |   +-- BrokerUnreachable nothing answers at the address
    |   |   |   +-- ConnectionClosed  the broker, or the network, has closed the connection without a reason
    |   |   +-- BrokerRefused     it answers, but refuses the login or the session
    |   |       +-- TakenOver     another client uses the same client ID and took over the session
    |   |       +-- PublishRefused  it has closed the connection, and a message may be the reason
    |   +-- SyncthingUnavailable  (also a SyncthingError) this Syncthing instance cannot be used now
    |       +-- Unreachable       there is no connection, or it was lost
    |       |   +-- ConnectTimedOut  the connection was not opened in time
    |       +-- Starting          it answers that it is starting, or migrating its database
    |       +-- TlsFailure        its certificate is not the one that `verify` asks for
    |       +-- Unauthorized      it rejects the API key
    |       +-- HostCheckFailed   it rejects the host name in the address
    |       +-- NotSyncthing      something else answers at the address
    |       +-- TooOld            this version of Syncthing is not supported
    +-- SyncthingError            any failure between the bridge and a Syncthing instance; `code` goes into replies
        +-- CallFailed            this call failed; other calls may work
            +-- TimedOut          there was no answer in time
            +-- BadReply          the answer of Syncthing cannot be understood
            +-- TooLarge          the answer exceeds the size limit
            +-- NotFound          there is no such folder, device or file, or it is paused
            +-- Unsupported       this build or version of Syncthing cannot do that
            +-- NotApplicable     it makes no sense in the present state
            +-- Rejected          anything else that Syncthing answers with an error

Behind a reverse proxy any error can concern a single path: before a caller takes a SyncthingUnavailable as the state of
the instance, it has to check it with a call that always works, such as GET /rest/system/status. If such a call fails
with a CallFailed, the instance cannot be used either: every SyncthingError has a `status` for that.

A message says what is wrong, which setting, and how to fix it. A message about a setting of a Syncthing instance begins
with its relative name, as in `url: `; `with_setting_path` completes it. It never contains an API key or a password.
"""

import re
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
        faults: one readable line per fault, with the setting and how to fix it.
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
    """The cause may go away: wait, then try again."""


class SyncthingError(StbridgeError):
    """Any failure between the bridge and a Syncthing instance.

    `code` is the error code of a command's reply. `status` is the word in the `connection` topic, if the call decides
    whether the instance can be used.
    """

    code: ClassVar[str] = "syncthing_error"
    status: ClassVar[str] = "unreachable"

    may_have_run: bool = False
    """Whether Syncthing may have executed the call although it failed."""


class SyncthingUnavailable(Retriable, SyncthingError):
    """This Syncthing instance cannot be used now."""

    code = "unreachable"


class Unreachable(SyncthingUnavailable):
    """There is no connection, or it was lost.

    Args:
        message: what is wrong, the setting, and how to fix it.
        arrived: whether the call may have reached Syncthing.
    """

    def __init__(self, message: str, *, arrived: bool = True) -> None:
        super().__init__(message)
        self.may_have_run = arrived


class ConnectTimedOut(Unreachable):
    """The connection was not opened in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, arrived=False)


class Starting(SyncthingUnavailable):
    """Syncthing answers that it is starting, or migrating its database."""

    status = "starting"
    may_have_run = True  # a reverse proxy answers 502 as well if Syncthing exits while it executes the call


class TlsFailure(SyncthingUnavailable):
    """The certificate is not the one that `verify` asks for."""

    status = "tls_error"


class Unauthorized(SyncthingUnavailable):
    """Syncthing rejects the API key."""

    status = "unauthorized"
    code = "unauthorized"


class HostCheckFailed(SyncthingUnavailable):
    """Syncthing rejects the host name in the address (its protection against DNS rebinding)."""

    status = "host_check"
    code = "unauthorized"


class NotSyncthing(SyncthingUnavailable):
    """Something else answers at the address."""

    code = "syncthing_error"


class TooOld(SyncthingUnavailable):
    """This version of Syncthing is not supported."""

    code = "unsupported"


class CallFailed(SyncthingError):
    """This call failed; other calls may work."""


class TimedOut(CallFailed):
    """There was no answer in time."""

    code = "timeout"
    may_have_run = True


class BadReply(CallFailed):
    """The answer of Syncthing cannot be understood."""

    may_have_run = True


class TooLarge(CallFailed):
    """The answer exceeds the size limit."""

    code = "too_large"
    may_have_run = True


class NotFound(CallFailed):
    """There is no such folder, device or file, or it is paused."""

    code = "not_found"


class Unsupported(CallFailed):
    """This build or version of Syncthing cannot do that."""

    code = "unsupported"


class NotApplicable(CallFailed):
    """It makes no sense in the present state, for example for this type of folder."""

    code = "not_applicable"


class Rejected(CallFailed):
    """Syncthing answers with an error of its own."""


def with_setting_path(instance_name: str, message: str) -> str:
    """Complete the setting at the beginning of a Syncthing error's message: `url: ...` to `syncthing.NAME.url: ...`.

    Args:
        instance_name: the name of the instance.
        message: of a SyncthingError; one that does not begin with a setting is returned unchanged.
    """
    return f"syncthing.{instance_name}.{message}" if _SETTING.match(message) else message


_SETTING = re.compile(r"(url|api_key|verify|timeout_s): ")


class BrokerUnavailable(Retriable):
    """The broker cannot be used now."""


class BrokerUnreachable(BrokerUnavailable):
    """Nothing answers at the broker's address."""


class ConnectionClosed(BrokerUnreachable):
    """The broker, or the network, has closed the connection without a reason."""


class BrokerRefused(BrokerUnavailable):
    """The broker answers, but refuses the login or the session."""


class TakenOver(BrokerRefused):
    """Another client uses the same client ID, so the broker has closed our session."""


class PublishRefused(BrokerRefused):
    """The broker has closed the connection, and a message may be the reason."""
