"""What goes to the broker and what comes from it, without any word of an MQTT library."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to be published, at QoS 1.

    Attributes:
        topic: the full topic.
        payload: UTF-8; empty and retained clears the topic.
        retain: whether the broker keeps it for later subscribers.
        json: whether the payload is JSON (content type `application/json` on MQTT 5).
        expiry_s: MQTT 5 message expiry in seconds; None keeps it for ever.
        correlation: MQTT 5 correlation data, in replies.
    """

    topic: str
    payload: bytes
    retain: bool = False
    json: bool = True
    expiry_s: int | None = None
    correlation: bytes | None = None


def _nothing_to_acknowledge() -> None:
    """Stand in for the acknowledgement of a message that needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message that arrived.

    Attributes:
        topic: the full topic.
        payload: as received, possibly no UTF-8 at all.
        retained: True if it is a stored message, or (MQTT 5) was published as one.
        response_topic: MQTT 5: where the sender wants its reply.
        correlation: MQTT 5: what the sender wants back with it.
        expiry_s: MQTT 5: for how many seconds from its arrival on its sender wants it to count.
        again: whether the broker has tried to deliver it before, maybe to an earlier life of the bridge.
        acknowledge: tells the broker that it need not be delivered again; any thread, once.
    """

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    again: bool = False
    acknowledge: Callable[[], None] = field(default=_nothing_to_acknowledge, compare=False, repr=False)
