"""A client for Syncthing's REST API, which can also be used without MQTT.

It supports Syncthing 1.19 and later, including 2.x. Methods return Syncthing's JSON
(docs.syncthing.net/dev/rest.html).
"""

from typing import Self

from stbridge.syncthing.calls.base import SLOW_S, Json
from stbridge.syncthing.calls.configuration import ConfigurationCalls
from stbridge.syncthing.calls.devices import DeviceCalls
from stbridge.syncthing.calls.events import EXTRA_S, EventCalls
from stbridge.syncthing.calls.folders import FolderCalls
from stbridge.syncthing.calls.process import LogCalls, ProcessCalls
from stbridge.syncthing.tls import default_verify
from stbridge.syncthing.transport import LARGEST_ANSWER, Transport

__all__ = ["EXTRA_S", "SLOW_S", "Json", "SyncthingClient"]


class SyncthingClient(ProcessCalls, LogCalls, ConfigurationCalls, DeviceCalls, FolderCalls, EventCalls):
    """A client for one Syncthing instance.

    Every method raises a subclass of `stbridge.errors.SyncthingError`: SyncthingUnavailable if Syncthing cannot be used
    now (unreachable, starting, unauthorized ...), CallFailed if only this call failed. Calls that are safe to repeat
    are retried for about two seconds; others only if Syncthing cannot have received them.

    Args:
        api_key: the API key from Syncthing's settings.
        api_url: the address of its GUI: `http://...`, `https://...` or `unix:///path`.
        verify: how its certificate is checked: `system`, the path of a certificate or authority,
            `sha256:<fingerprint>` or `off`. The default is `off` for loopback addresses, which no other machine can
            intercept, and `system` for others.
        timeout_s: seconds to wait for an answer, all attempts together.
        largest_answer: maximum size of an answer, in bytes.
    """

    def __init__(
        self,
        api_key: str,
        api_url: str = "https://127.0.0.1:8384",
        *,
        verify: str | None = None,
        timeout_s: float = 10.0,
        largest_answer: int = LARGEST_ANSWER,
    ) -> None:
        self.url = api_url
        self._transport = Transport(
            api_key, api_url, verify or default_verify(api_url), timeout_s, largest_answer=largest_answer
        )

    def __repr__(self) -> str:
        return f"SyncthingClient({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; running calls fail, including those that wait for another attempt.

        Example:
            >>> client.close()
        """
        self._transport.close()

    def break_off(self) -> None:
        """Break the connections; running calls fail as after a network error, later calls reconnect.

        Example:
            >>> client.break_off()
        """
        self._transport.break_off()

    # The names of the old pysyncthing bindings, including the misspelled `browse_databse`.
    browse_databse = FolderCalls.browse_database
    get_upgrade = ProcessCalls.check_upgrade
    need = FolderCalls.get_need
    new_ping = ProcessCalls.get_ping
