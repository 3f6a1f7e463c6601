"""All errors that stbridge raises, as one tree.

    StbridgeError
    +-- Fatal                     retrying cannot help: the process exits with `exit_status`
    |   +-- SettingsError         one or more settings are invalid (78)
    |   +-- UsageError            the command line is invalid (2)
    |   +-- Failed                a one-shot command could not do its work (1)
    +-- Retriable                 the cause may go away: wait, then retry
    |   +-- BrokerUnavailable     the broker cannot be used now
    |   |   +-- BrokerUnreachable nothing answers at the address
    |   |   |   +-- ConnectionClosed  the broker or the network has closed the connection, without a reason
    |   |   +-- BrokerRefused     the broker responds, but refuses the login or the session
    |   |       +-- TakenOver     another client uses the same client ID and took over the session
    |   |       +-- PublishRefused  the broker has closed the connection, possibly because of a message
    |   +-- SyncthingUnavailable  (also a SyncthingError) this Syncthing instance cannot be used now
    |       +-- Unreachable       there is no connection, or it was lost
    |       |   +-- ConnectTimedOut  the connection was not opened in time
    |       +-- Starting          Syncthing reports that it is starting, or migrating its database
    |       +-- TlsFailure        its certificate does not meet the requirement of `verify`
    |       +-- Unauthorized      Syncthing rejects the API key
    |       +-- HostCheckFailed   Syncthing rejects the host name in the address
    |       +-- NotSyncthing      another server responds at the address
    |       +-- TooOld            this version of Syncthing is not supported
    +-- SyncthingError            any failure between the bridge and a Syncthing instance; replies contain `code`
        +-- CallFailed            this call failed; other calls may work
            +-- TimedOut          there was no answer in time
            +-- BadReply          Syncthing's answer cannot be decoded
            +-- TooLarge          the answer exceeds the size limit
            +-- NotFound          there is no such folder, device or file, or it is paused
            +-- Unsupported       this build or version of Syncthing does not support the call
            +-- NotApplicable     the call makes no sense in the current state
            +-- Rejected          any other error that Syncthing returns

A reverse proxy may reject or misroute a single path. So one SyncthingUnavailable does not prove that the instance is
unavailable: the caller must first try a call that every instance supports, such as GET /rest/system/status. If that
call fails too, even with a CallFailed, the instance cannot be used; for this case every SyncthingError has a `status`.

A message states what is wrong, which setting to change, and how to fix it. If the setting is in the table
`[syncthing.NAME]` of an instance, the message begins with its name in that table, as in `url: `; `with_setting_path`
prepends the name of the table. A message never contains an API key or a password.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
"""The exceptions that Python code raises when it decodes an answer with an unexpected structure."""


class StbridgeError(Exception):
    """The root of all errors of stbridge."""


class Fatal(StbridgeError):
    """An error that retrying cannot fix."""

    exit_status: ClassVar[int] = 1


class SettingsError(Fatal):
    """One or more settings are invalid.

    Args:
        faults: one readable line per fault, with the setting and how to fix it.
    """

    exit_status = 78

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class UsageError(Fatal):
    """The command line is invalid."""

    exit_status = 2


class Failed(Fatal):
    """A one-shot command could not do its work."""


class Retriable(StbridgeError):
    """An error whose cause may go away: wait, then retry."""


class SyncthingError(StbridgeError):
    """Any failure between the bridge and a Syncthing instance.

    `code` is the error code in the reply to a command. `status` is the value for the `connection` topic, if this call
    determines whether the instance can be used.
    """

    code: ClassVar[str] = "syncthing_error"
    status: ClassVar[str] = "unreachable"

    may_have_run: bool = False
    """Whether Syncthing may have executed the call even though it failed."""


class SyncthingUnavailable(Retriable, SyncthingError):
    """This Syncthing instance cannot be used now."""

    code = "unreachable"


class Unreachable(SyncthingUnavailable):
    """There is no connection, or it was lost.

    Args:
        message: what is wrong, which setting to change, and how to fix it.
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
    """Syncthing reports that it is starting, or migrating its database."""

    status = "starting"
    may_have_run = True  # a reverse proxy also answers 502 if Syncthing exits while it executes the call


class TlsFailure(SyncthingUnavailable):
    """The certificate does not meet the requirement of `verify`."""

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
    """A server other than Syncthing responds at the address."""

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
    """Syncthing's answer cannot be decoded."""

    may_have_run = True


class TooLarge(CallFailed):
    """The answer exceeds the size limit."""

    code = "too_large"
    may_have_run = True


class NotFound(CallFailed):
    """There is no such folder, device or file, or it is paused."""

    code = "not_found"


class Unsupported(CallFailed):
    """This build or version of Syncthing does not support the call."""

    code = "unsupported"


class NotApplicable(CallFailed):
    """The call makes no sense in the current state, for example for this type of folder."""

    code = "not_applicable"


class Rejected(CallFailed):
    """Syncthing returns an error of its own."""


def with_setting_path(instance_name: str, message: str) -> str:
    """Complete the setting name at the start of an error message: `url: ...` becomes `syncthing.NAME.url: ...`.

    Args:
        instance_name: the name of the instance.
        message: of a SyncthingError; a message that does not begin with a setting is returned unchanged.
    """
    return f"syncthing.{instance_name}.{message}" if _SETTING.match(message) else message


_SETTING = re.compile(r"(url|api_key|verify|timeout_s): ")


class BrokerUnavailable(Retriable):
    """The broker cannot be used now."""


class BrokerUnreachable(BrokerUnavailable):
    """Nothing answers at the broker's address."""


class ConnectionClosed(BrokerUnreachable):
    """The broker or the network has closed the connection, without a reason."""


class BrokerRefused(BrokerUnavailable):
    """The broker responds, but refuses the login or the session."""


class TakenOver(BrokerRefused):
    """Another client uses the same client ID, so the broker has closed our session."""


class PublishRefused(BrokerRefused):
    """The broker has closed the connection, possibly because of a message."""
