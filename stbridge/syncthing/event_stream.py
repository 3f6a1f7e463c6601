"""The events of one Syncthing: one fixed mask, and a cursor that notices gaps and restarts."""

from collections.abc import Sequence
from typing import Any

from stbridge.errors import BadReply, Starting, TimedOut, Unreachable
from stbridge.syncthing.client import SyncthingClient

POLL_S = 55.0
"""How long one request waits for events, in seconds.

Up to 1.27.3 Syncthing sends summaries only if a request for them began at most 60 s ago (1.24 to 1.27.3 alike).
"""


class EventsLost(Exception):
    """Events were missed, or Syncthing restarted: everything has to be read again."""


class EventStream:
    """Follows the events of one Syncthing.

    Syncthing keeps a ring of 1000 events and a counter of ids per mask, from the first request with that mask on; the
    ids begin anew when it restarts, and a request with an id that has not been reached yet just hangs.

    Args:
        client: the way to it.
        mask: the types of events; always the same ones, because each mask is a ring of its own at the server.
    """

    def __init__(self, client: SyncthingClient, mask: Sequence[str]) -> None:
        self._client = client
        self._mask = tuple(mask)
        self._last_id: int | None = None
        self._started_at: str | None = None

    def open(self) -> bool:
        """Take the cursor to the newest event there is; what happens from now on will be seen.

        Returns:
            whether it is the same process of Syncthing as the last time.

        Raises:
            SyncthingUnavailable: no use can be made of Syncthing now.
        """
        self._last_id = None
        before, self._started_at = self._started_at, self._process()
        self._last_id = self._newest_id()
        return self._started_at == before

    def forget(self) -> None:
        """Drop the cursor, so that everything has to be read again."""
        self._last_id = self._started_at = None

    def can_resume(self) -> bool:
        """Tell whether the cursor of before an interruption still holds: the same process, and no id begun anew."""
        if self._last_id is None or self._process() != self._started_at:
            return False
        return self._newest_id() >= self._last_id

    def wait(self, timeout_s: float = POLL_S) -> list[dict[str, Any]]:
        """Wait for events and return them; there may be none after a while.

        A request that broke off has often met the end of the process: the cursor is used again only after a look at
        whether that is the same still.

        Args:
            timeout_s: how long to wait; 0 returns those that are there.

        Raises:
            EventsLost: some were missed.
            SyncthingUnavailable: no use can be made of Syncthing now.
        """
        assert self._last_id is not None, "open() comes first"
        try:
            events = self._newer(self._last_id, timeout_s)
        except (Unreachable, Starting, TimedOut) as error:
            if not self.can_resume():
                self._last_id = None
                raise EventsLost from error
            events = self._newer(self._last_id, 0)  # nothing is no answer to one who asks whether there was anything
        for event in events:
            if _id(event) != self._last_id + 1:
                self._last_id = None
                raise EventsLost
            self._last_id += 1
        return events

    def _newer(self, last_id: int, timeout_s: float) -> list[dict[str, Any]]:
        return self._client.get_events(since=last_id, mask=self._mask, timeout_s=timeout_s)

    def _newest_id(self) -> int:
        newest = self._client.get_events(since=0, mask=self._mask, limit=1, timeout_s=0)
        return _id(newest[-1]) if newest else 0

    def _process(self) -> str:
        """Return what tells one process of Syncthing from the next: its start, in whole seconds."""
        started_at: str | None = self._client.get_status().get("startTime")
        if not started_at:
            raise BadReply("url: the status contains no start time, so the server is not Syncthing. Check the address.")
        return started_at


def _id(event: object) -> int:
    if isinstance(event, dict) and isinstance(number := event.get("id"), int):
        return number
    raise BadReply("url: the server sends an event without an ID, so it is not Syncthing. Check the address.")
