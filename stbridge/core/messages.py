"""Messages to and from the broker, independent of any MQTT library."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish at QoS 1.

    Attributes:
        topic: the full topic.
        payload: the payload in UTF-8; an empty retained message clears the topic.
        retain: whether the message is retained.
        json: whether the payload is JSON (content type `application/json` on MQTT 5).
        expiry_s: MQTT 5 message expiry in seconds; None means no expiry.
        correlation: MQTT 5 correlation data, in replies.
    """

    topic: str
    payload: bytes
    retain: bool = False
    json: bool = True
    expiry_s: int | None = None
    correlation: bytes | None = None


def _nothing_to_acknowledge() -> None:
    """Do nothing: the acknowledgement of a message that needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One received message.

    Attributes:
        topic: the full topic.
        payload: the payload as received; it may not be UTF-8.
        retained: True if the broker had stored the message, or (MQTT 5) if it was published with retain.
        response_topic: MQTT 5 response topic.
        correlation: MQTT 5 correlation data, which the reply repeats.
        expiry_s: MQTT 5 message expiry: the number of seconds from its arrival for which the message is valid.
        again: whether a previous run of the bridge may have received it without acknowledging it.
        acknowledge: acknowledges the message to the broker; any thread may call it, once.
    """

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    again: bool = False
    acknowledge: Callable[[], None] = field(default=_nothing_to_acknowledge, compare=False, repr=False)
