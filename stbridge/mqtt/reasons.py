"""Reason codes of MQTT 5, including those that paho does not know."""

from dataclasses import dataclass
from functools import lru_cache

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

UNSPECIFIED_ERROR = 0x80
"""Replaces codes that paho does not know; valid in every packet."""

PACKET_TOO_LARGE = 0x95

UNSUPPORTED_BY_3_1_1 = 0x01
"""In CONNACK: the code with which a broker that only supports MQTT 3.1.1 refuses the version; paho converts it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """The broker's answer to a packet.

    Attributes:
        code: the reason code (MQTT 5, section 2.4).
        name: its name, or its number if the specification does not define it.
        is_failure: whether it is a refusal; codes that are not specified for the packet count as one.
    """

    code: int
    name: str
    is_failure: bool


def reason(code: ReasonCode, original: int) -> Reason:
    """Return the broker's answer.

    Args:
        code: the code from paho.
        original: the code in the packet.
    """
    if original == code.value:
        return Reason(code.value, str(code).lower(), code.is_failure)
    # Each code has one name, except 0x00, which paho knows in every packet.
    name = next(iter(code.names.get(original, ())), f"reason code 0x{original:02x}")
    return Reason(original, name.lower(), is_failure=True)


def reason_codes(packet_type: int, packet: bytes | bytearray) -> slice:
    """Return the position of the reason codes in a packet; an empty slice if it has none.

    Args:
        packet_type: one of paho's PacketTypes.
        packet: the bytes after its fixed header.
    """
    match packet_type:
        case PacketTypes.DISCONNECT:
            return slice(0, 1)
        case PacketTypes.CONNACK:
            return slice(1, 2)
        case PacketTypes.PUBACK:
            return slice(2, 3)
        case PacketTypes.SUBACK:
            return slice(_end_of_properties(packet, 2), len(packet))
    return slice(0, 0)


def known_reasons(packet_type: int, codes: bytes) -> bytes:
    """Return reason codes with UNSPECIFIED_ERROR in place of those that paho does not know in this packet."""
    return bytes(code if _is_known(packet_type, code) else UNSPECIFIED_ERROR for code in codes)


@lru_cache(maxsize=1024)
def _is_known(packet_type: int, code: int) -> bool:
    if packet_type == PacketTypes.CONNACK and code == UNSUPPORTED_BY_3_1_1:
        return True
    try:
        ReasonCode(packet_type, identifier=code)
    except (KeyError, ValueError):
        return False
    return True


def _end_of_properties(packet: bytes | bytearray, start: int) -> int:
    """Return the end of properties that start with their length as a variable byte integer (MQTT 5, section 1.5.5)."""
    length = 0
    for at, byte in enumerate(packet[start : start + 4]):
        length |= (byte & 0x7F) << 7 * at
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return start + at + 1 + length
    return len(packet)
