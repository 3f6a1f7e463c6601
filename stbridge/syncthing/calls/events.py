"""Calls that wait for Syncthing's events."""

from collections.abc import Sequence
from typing import Any

from stbridge.syncthing.calls.base import Calls, Json

EXTRA_S = 10.0
"""Seconds by which the timeout of a long poll exceeds the poll itself."""


class EventCalls(Calls):
    """Events."""

    def get_events(
        self, since: int, mask: str | Sequence[str] = (), *, limit: int | None = None, timeout_s: float = 60.0
    ) -> list[Json]:
        """Wait for events (GET /rest/events).

        The call is not retried: when Syncthing restarts, IDs start at 1 again, so `since` may be far ahead.

        Args:
            since: the ID of the last event known, 0 for all that Syncthing keeps; IDs are per mask.
            mask: the types of events; none means Syncthing's default. Syncthing keeps a buffer for each mask.
            limit: maximum number of events, the newest ones.
            timeout_s: seconds until an empty list is returned; 0 does not wait.

        Returns:
            A list of `id`, `globalID`, `time`, `type` and `data`, the oldest first.

        Example:
            >>> client.get_events(0, ["StateChanged", "ItemFinished"], timeout_s=0)
            []
        """
        types = mask if isinstance(mask, str) else ",".join(mask)
        return self._poll("events", since, limit, timeout_s, events=types or None)

    def get_disk_events(self, since: int, *, limit: int | None = None, timeout_s: float = 60.0) -> list[Json]:
        """Wait for changes of files: LocalChangeDetected and RemoteChangeDetected (GET /rest/events/disk).

        The call is not retried, for the same reason as `get_events`.

        Args:
            since: the ID of the last event known, 0 for all that Syncthing keeps; these IDs are not those of
                `get_events`.
            limit: maximum number of events, the newest ones.
            timeout_s: seconds until an empty list is returned; 0 does not wait.

        Returns:
            A list of `id`, `globalID`, `time`, `type` and `data`, the oldest first.

        Example:
            >>> [event["data"]["path"] for event in client.get_disk_events(0, limit=1, timeout_s=0)]
            ['2026/sunset.jpg']
        """
        return self._poll("events/disk", since, limit, timeout_s)

    def _poll(self, path: str, since: int, limit: int | None, timeout_s: float, **parameters: Any) -> list[Json]:
        parameters = {"since": since, "limit": limit, "timeout": int(timeout_s), **parameters}
        target, timeout_s = f"/rest/{path}", timeout_s + EXTRA_S
        found = self._transport.call("GET", target, parameters=parameters, timeout_s=timeout_s, again=False)
        return self._array(path, found)
