"""The events of a Syncthing instance: one fixed mask, and a cursor that detects gaps and restarts."""

from collections.abc import Sequence
from typing import Any

from stbridge.errors import BadReply, Starting, TimedOut, Unreachable
from stbridge.syncthing.client import SyncthingClient

POLL_S = 55.0
"""Maximum seconds that one request waits for events.

Up to and including 1.27.3, Syncthing sends summaries only if a request for them started at most 60 s ago (verified
for 1.24 to 1.27.3).
"""


class EventsLost(Exception):
    """Events were missed, or Syncthing restarted, so everything has to be read again."""


class EventStream:
    """Follows the events of a Syncthing instance.

    From the first request with a mask, Syncthing keeps a buffer of 1000 events and a counter of IDs for this mask. The
    IDs start again when Syncthing restarts, and a request with an ID that does not exist yet waits without an answer.

    Args:
        client: the client for the instance.
        mask: the types of events; it must stay the same, because Syncthing keeps a separate buffer for each mask.
    """

    def __init__(self, client: SyncthingClient, mask: Sequence[str]) -> None:
        self._client = client
        self._mask = tuple(mask)
        self._last_id: int | None = None
        self._started_at: str | None = None

    def open(self) -> bool:
        """Move the cursor to the newest event, so that later events are received.

        Returns:
            whether it is the same Syncthing process as the last time.

        Raises:
            SyncthingUnavailable: Syncthing cannot be used now.
        """
        before = self._started_at
        self.forget()  # if a request fails, the next attempt must not take the process for one that is known
        started_at = self._process()
        self._last_id = self._newest_id()
        self._started_at = started_at
        return started_at == before

    def forget(self) -> None:
        """Discard the cursor, so that everything has to be read again."""
        self._last_id = self._started_at = None

    def can_resume(self) -> bool:
        """Return whether the cursor is still valid after an interruption: same process, and the IDs did not restart."""
        if self._last_id is None or self._process() != self._started_at:
            return False
        return self._newest_id() >= self._last_id

    def wait(self, timeout_s: float = POLL_S) -> list[dict[str, Any]]:
        """Wait for events and return them; the list is empty after the timeout.

        A request often breaks off because the process stops. Therefore the cursor is reused only after a check that the
        process is still the same.

        Args:
            timeout_s: maximum wait in seconds; 0 returns the events that exist already.

        Raises:
            EventsLost: events were missed.
            SyncthingUnavailable: Syncthing cannot be used now.
        """
        assert self._last_id is not None, "open() must be called first"
        try:
            events = self._newer(self._last_id, timeout_s)
        except (Unreachable, Starting, TimedOut) as error:
            if not self.can_resume():
                self._last_id = None
                raise EventsLost from error
            events = self._newer(self._last_id, 0)  # not []: there may have been events in the meantime
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
        """Return the start time of the Syncthing process in whole seconds, which identifies the process."""
        started_at: str | None = self._client.get_status().get("startTime")
        if not started_at:
            raise BadReply("url: the status contains no start time, so the server is not Syncthing. Check the address.")
        return started_at


def _id(event: object) -> int:
    if isinstance(event, dict) and isinstance(number := event.get("id"), int):
        return number
    raise BadReply("url: the server sends an event without an ID, so it is not Syncthing. Check the address.")
