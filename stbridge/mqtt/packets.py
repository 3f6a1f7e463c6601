"""Limits of MQTT, and the conversion of our messages to paho's and back."""

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from stbridge.core.messages import Message, Received
from stbridge.mqtt.redelivery import NewMessage, RedeliveryFilter

LONGEST_STRING = 65_535  # bytes (MQTT 5, section 1.5.4)
LARGEST_PACKET = 268_435_455  # bytes (MQTT 5, section 2.1.4)
_OVERHEAD = 64  # maximum bytes of a PUBLISH in addition to topic, payload and correlation data


def unsendable(message: Message) -> str | None:
    """Return why a message is not valid in MQTT; None if it is valid.

    An invalid message would make the broker close the connection on every attempt.

    Args:
        message: the message.
    """
    topic = message.topic
    if not topic or set(topic) & set("+#\0"):
        return "its topic is empty or contains +, # or NUL"
    try:
        length = len(topic.encode())
    except UnicodeEncodeError:  # a lone surrogate, from a file name that is not UTF-8
        return "its topic cannot be encoded as UTF-8"
    if length > LONGEST_STRING:
        return f"its topic is longer than {LONGEST_STRING} bytes"
    if len(message.correlation or b"") > LONGEST_STRING:
        return f"its correlation data is longer than {LONGEST_STRING} bytes"
    return None


def oversized(message: Message, largest_packet: int | None) -> str | None:
    """Return why a message is too large for a broker; None if it is not.

    Args:
        message: a message for which `unsendable` returns None.
        largest_packet: maximum packet size in bytes that the broker accepts; None if it announced no limit.
    """
    size = len(message.topic.encode()) + len(message.payload) + len(message.correlation or b"") + _OVERHEAD
    limit = min(largest_packet or LARGEST_PACKET, LARGEST_PACKET)
    if size <= limit:
        return None
    return f"it has {size} bytes, but the broker accepts at most {limit}: raise the broker's max_packet_size"


def new_properties(packet_type: int) -> Properties:
    """Return an empty set of MQTT 5 properties.

    Args:
        packet_type: one of paho's PacketTypes.
    """
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho forgot its annotation


def publish_properties(message: Message) -> Properties | None:
    """Return the MQTT 5 properties of a message.

    Args:
        message: the message.
    """
    json = message.json and bool(message.payload)
    if message.expiry_s is None and message.correlation is None:
        return _JSON if json else None
    properties = new_properties(PacketTypes.PUBLISH)
    if json:
        _describe_json(properties)
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    return properties


def _describe_json(properties: Properties) -> Properties:
    properties.PayloadFormatIndicator = 1  # UTF-8
    properties.ContentType = "application/json"
    return properties


class _Json(Properties):
    """The properties of nearly every message, packed once: packing is a sixth of the cost of a message."""

    def pack(self) -> bytes:
        return _PACKED


_PACKED: bytes = _describe_json(new_properties(PacketTypes.PUBLISH)).pack()  # type: ignore[no-untyped-call]  # as above
_JSON = _Json(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # as above


def received_from(message: MQTTMessage, redeliveries: RedeliveryFilter) -> Received | None:
    """Convert a received message from paho's form to ours.

    Args:
        message: the message from paho.
        redeliveries: knows which messages have been handled.

    Returns:
        our form; None if the message has been handled, or if its topic is not UTF-8, which a broker must not forward
        (MQTT 5, section 1.5.4).
    """
    correlation = getattr(message.properties, "CorrelationData", None)
    payload = bytes(message.payload)
    try:
        topic = message.topic
    except UnicodeDecodeError:
        unreadable = redeliveries.take(message.mid, payload, again=message.dup) if message.qos else None
        if unreadable:
            unreadable.acknowledge()
        return None
    new: NewMessage | None = NewMessage(_nothing_to_acknowledge, again=False)
    if message.qos:
        content = b"\0".join((topic.encode(), correlation or b"", payload))  # a topic contains no NUL
        new = redeliveries.take(message.mid, content, again=message.dup)
    if new is None:
        return None
    return Received(
        topic=topic,
        payload=payload,
        retained=message.retain,
        response_topic=getattr(message.properties, "ResponseTopic", None),
        correlation=correlation,
        expiry_s=getattr(message.properties, "MessageExpiryInterval", None),
        again=new.again,
        acknowledge=new.acknowledge,
    )


def _nothing_to_acknowledge() -> None:
    """Do nothing: a message at QoS 0 needs no acknowledgement."""
