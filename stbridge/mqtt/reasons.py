"""Reason codes of MQTT 5, also those that paho does not know."""

from dataclasses import dataclass
from functools import lru_cache

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

UNSPECIFIED_ERROR = 0x80
"""Stands in for codes that paho does not know; every packet may carry it."""

PACKET_TOO_LARGE = 0x95

UNSUPPORTED_BY_3_1_1 = 0x01
"""In CONNACK: how a broker that only knows MQTT 3.1.1 refuses the version, which paho translates."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What a broker answered.

    Attributes:
        code: the reason code (MQTT 5, section 2.4).
        name: its name in words, or its number if the specification has no name for it.
        is_failure: whether it is a refusal; codes that are not specified for the packet are.
    """

    code: int
    name: str
    is_failure: bool


def reason(code: ReasonCode, original: int) -> Reason:
    """Return what the broker answered.

    Args:
        code: what paho understood.
        original: what the packet held.
    """
    if original == code.value:
        return Reason(code.value, str(code).lower(), code.is_failure)
    # The names are one for each code, except 0x00, which paho knows in every packet.
    name = next(iter(code.names.get(original, ())), f"reason code 0x{original:02x}")
    return Reason(original, name.lower(), is_failure=True)


def reason_codes(packet_type: int, packet: bytes | bytearray) -> slice:
    """Return where a packet has its reason codes; an empty slice if it has none.

    Args:
        packet_type: one of paho's PacketTypes.
        packet: what follows its fixed header.
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
    """Return where the properties end that begin with their length as a variable byte integer (section 1.5.5)."""
    length = 0
    for at, byte in enumerate(packet[start : start + 4]):
        length |= (byte & 0x7F) << 7 * at
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return start + at + 1 + length
    return len(packet)
