"""Error messages about the broker: what is wrong, which setting to change, and how to fix it; never a secret."""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping

from stbridge.core.topics import is_strict
from stbridge.errors import (
    BrokerRefused,
    BrokerUnavailable,
    BrokerUnreachable,
    ConnectionClosed,
    PublishRefused,
    TakenOver,
)
from stbridge.mqtt.quarantine import Suspicion
from stbridge.mqtt.reasons import Reason
from stbridge.settings import MqttSettings

SESSION_TAKEN_OVER = 0x8E
KEEP_ALIVE_TIMEOUT = 0x8D  # paho sets it when nothing has arrived from the broker for too long
UNSUPPORTED_PROTOCOL_VERSION = 0x84


def encryption(settings: MqttSettings) -> str:
    """Return `with TLS` or `unencrypted`."""
    return "with TLS" if settings.uses_tls else "unencrypted"


def exposed_password(settings: MqttSettings) -> str | None:
    """Return a warning if the password is sent unencrypted to another machine, else None."""
    if not settings.password.get_secret_value() or settings.uses_tls or _is_this_machine(settings):
        return None
    return (
        f"mqtt.password is sent unencrypted to {address(settings)}. "
        "Set mqtt.tls.enabled, unless the whole network can be trusted."
    )


def interceptable_password(settings: MqttSettings) -> str | None:
    """Return how to protect the password from other users of this machine; None if none of them can receive it."""
    plain = settings.transport != "unix" and (not settings.uses_tls or settings.tls.insecure)
    if not settings.password.get_secret_value() or not plain or not _is_this_machine(settings):
        return None
    enabled = (
        'mqtt.tls.enabled, or mqtt.transport = "unix" and mqtt.host to a socket of the broker in a private directory'
    )
    fix = "mqtt.tls.insecure = false" if settings.uses_tls else enabled
    return (
        f"while the broker is stopped, another user of this machine can listen at {address(settings)} and receive "
        f"mqtt.password. To prevent it, set {fix}."
    )


def _is_this_machine(settings: MqttSettings) -> bool:
    if settings.transport == "unix" or settings.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(settings.host).is_loopback
    except ValueError:  # a host name
        return False


def address(settings: MqttSettings) -> str:
    """Return the broker's address as it is usually written."""
    if settings.transport == "unix":
        return settings.host
    if settings.transport == "websockets":
        return f"{'wss' if settings.uses_tls else 'ws'}://{node_name(settings)}{settings.path}"
    return node_name(settings)


def node_name(settings: MqttSettings) -> str:
    """Return what identifies a node of the broker to every reader: its host and port, or the path of its socket."""
    if settings.transport == "unix":
        return settings.host
    return f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"


def port_setting(settings: MqttSettings) -> str:
    """Return the name of the setting that contains the port of the broker."""
    return "mqtt.hosts" if settings.hosts else "mqtt.port"


def _host_and_port(settings: MqttSettings, between: str = " and ") -> str:
    return "mqtt.hosts" if settings.hosts else f"mqtt.host{between}mqtt.port"


def _host_setting(settings: MqttSettings) -> str:
    return "mqtt.hosts" if settings.hosts else "mqtt.host"


# Reason codes of CONNACK and DISCONNECT (MQTT 5, section 2.4) that have a fix; paho maps those of 3.1.1 to them.
_FIXES: dict[int, str] = {
    0x80: "see the broker's log",
    0x85: "set another mqtt.client_id",
    0x86: "check mqtt.username and mqtt.password",
    0x87: "check mqtt.username, mqtt.password, and what the broker allows this user and this client ID",
    0x88: "the broker is not ready; the bridge tries again",
    0x89: "the broker is busy; the bridge tries again",
    0x8A: "the broker has banned this client; see the broker's log",
    0x8B: "the bridge tries again",
    SESSION_TAKEN_OVER: "another client uses the client ID {settings.client_id!r}: set another mqtt.client_id",
    0x95: "raise the broker's max_packet_size",
    0x9A: "allow retained messages at the broker: the bridge requires them",
    0x9B: "allow QoS 1 at the broker: the bridge requires it",
    0x9C: "the broker has moved: set mqtt.host",
    0x9D: "the broker has moved: set mqtt.host",
}


_TEMPORARY = frozenset({0x88, 0x89, 0x8B})  # unavailable, busy, shutting down: these conditions need no action


def refusal(reason: Reason, settings: MqttSettings) -> BrokerUnavailable:
    """Return the error for the reason code with which the broker refuses or closes a connection.

    Args:
        reason: from CONNACK or DISCONNECT.
        settings: the broker's.
    """
    code = reason.code
    fix = _FIXES.get(code, "see the broker's log").format(settings=settings)
    kind = BrokerUnreachable if code in _TEMPORARY else TakenOver if code == SESSION_TAKEN_OVER else BrokerRefused
    return kind(f"the broker at {address(settings)} reports: {reason.name}; {fix}")


_ABOUT_THE_CLIENT = frozenset({0x85, 0x86, 0x87})
"""Reason codes of CONNACK that may concern the client ID: brokers can tie a user to one client ID."""


def login_refused(reason: Reason, settings: MqttSettings, client_id: str) -> BrokerUnavailable:
    """Return the error for the reason code with which the broker refuses a new connection.

    Args:
        reason: from CONNACK.
        settings: the broker's.
        client_id: the client ID of the connection.
    """
    if reason.code not in _ABOUT_THE_CLIENT:
        return refusal(reason, settings)
    fix = _FIXES[reason.code] if client_id == settings.client_id else f"{_FIXES[reason.code]}, or give --client-id"
    return BrokerRefused(f"the broker at {address(settings)} refuses the client ID {client_id!r}: {reason.name}; {fix}")


_ABOUT_A_MESSAGE = frozenset({0x80, 0x81, 0x82, 0x83, 0x87, 0x90, 0x95, 0x97, 0x99})
"""Reason codes of DISCONNECT that may concern a message; the others concern the connection as a whole."""


def closing(reason: Reason, settings: MqttSettings) -> BrokerUnavailable:
    """Return the error for the reason code with which the broker closes a connection that it had accepted.

    Args:
        reason: from DISCONNECT.
        settings: the broker's.
    """
    if not reason.is_failure:
        return ConnectionClosed(f"{address(settings)} has closed the connection")
    error = refusal(reason, settings)
    return PublishRefused(str(error)) if reason.code in _ABOUT_A_MESSAGE else error


def closed_over(suspicion: Suspicion) -> str:
    """Return the text to append to an error message if a message may have caused the broker to close the connection.

    Args:
        suspicion: the message.
    """
    if suspicion.alone:
        return f"; the only unacknowledged message was on {quoted(suspicion.topic)}: {how_to_allow(suspicion.topic)}"
    return f"; the first unacknowledged message was on {quoted(suspicion.topic)}"


def topics_skipped(topics: Mapping[str, int]) -> str:
    """Return an error message about skipped topics; an empty string if there are none.

    Args:
        topics: sizes in bytes by topic.
    """
    if not topics:
        return ""
    first = next(iter(topics))
    what = f"messages on {quoted(first)}" if len(topics) == 1 else f"{len(topics)} topics, such as {quoted(first)},"
    return f"{what} are skipped, because the broker closes the connection when it receives them: {how_to_allow(first)}"


def quoted(topic: str) -> str:
    """Return a topic in the form that log lines use: quoted and cut, because another program may have chosen it."""
    return repr(topic[:300])


def how_to_allow(topic: str) -> str:
    """Return what to do if the broker closes the connection when it receives a message on a topic.

    Args:
        topic: the topic.
    """
    fixes = "allow the topic in the broker's ACL, or raise the broker's limit on the size of messages"
    if is_strict(topic):
        return fixes
    return f'{fixes}, or set mqtt.topic_encoding = "strict" if the broker rejects spaces, dots and similar characters'


def subscriptions_refused(refused: Mapping[str, str]) -> str:
    """Return an error message that names the refused subscriptions; an empty string if there are none.

    Args:
        refused: reasons by topic filter.
    """
    if not refused:
        return ""
    filters = ", ".join(f"{topic_filter} ({reason})" for topic_filter, reason in refused.items())
    return f"the broker does not let the bridge subscribe to {filters}: allow it in the broker's ACL"


def _not_trusted(error: Exception, settings: MqttSettings) -> str:
    reason = getattr(error, "verify_message", "") or str(error)
    return (
        f"the certificate of {address(settings)} is not trusted ({reason}): set mqtt.tls.ca_file to the "
        f"authority that signed it, and {_host_setting(settings)} to a name in the certificate"
    )


def _no_tls(error: Exception, settings: MqttSettings) -> str:
    reason = getattr(error, "reason", None) or str(error)
    return (
        f"TLS with {address(settings)} fails ({reason}): check that {port_setting(settings)} is the TLS port, "
        "mqtt.tls.enabled, and whether the broker requires a client certificate (mqtt.tls.cert_file)"
    )


def _unknown_host(_error: Exception, settings: MqttSettings) -> str:
    return f"the host name {settings.host!r} cannot be resolved: check {_host_setting(settings)}"


def _no_host_name(_error: Exception, settings: MqttSettings) -> str:
    return f"{settings.host!r} is not a valid host name: check {_host_setting(settings)}"


def _refused(_error: Exception, settings: MqttSettings) -> str:
    return f"nothing listens at {address(settings)}: check that the broker is running, {_host_and_port(settings)}"


def _hung_up(_error: Exception, settings: MqttSettings) -> str:
    where, port = address(settings), port_setting(settings)
    return f"{where} resets the connection: check {port}, mqtt.transport and mqtt.tls.enabled"


def _timed_out(_error: Exception, settings: MqttSettings) -> str:
    return f"no answer from {address(settings)}: check {_host_and_port(settings, ', ')} and the firewall"


def _no_socket(_error: Exception, settings: MqttSettings) -> str:
    return f"there is no socket {settings.host}: check that the broker is running, and mqtt.host"


def _no_permission(_error: Exception, settings: MqttSettings) -> str:
    return f"no permission to use {address(settings)}: check the permissions of the user that runs stbridge"


def _no_websocket(_error: Exception, settings: MqttSettings) -> str:
    where = address(settings)
    return f"{where} does not speak MQTT over WebSocket: check {port_setting(settings)}, mqtt.path and mqtt.transport"


def _other(error: Exception, settings: MqttSettings) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot connect to {address(settings)} ({reason}): check {_host_and_port(settings)}"


# The first row that matches applies. socket.getaddrinfo raises UnicodeError if a label of the host name is empty or
# longer than 63 characters. paho's WebSocket handshake raises LookupError and other ValueErrors on invalid input.
_UNREACHABLE: tuple[tuple[type[Exception], Callable[[Exception, MqttSettings], str]], ...] = (
    (ssl.SSLCertVerificationError, _not_trusted),
    (ssl.SSLError, _no_tls),
    (socket.gaierror, _unknown_host),
    (ConnectionRefusedError, _refused),
    (ConnectionResetError, _hung_up),
    (TimeoutError, _timed_out),
    (FileNotFoundError, _no_socket),
    (PermissionError, _no_permission),
    (UnicodeError, _no_host_name),
    (OSError, _other),
    (Exception, _no_websocket),
)


def unreachable(error: Exception, settings: MqttSettings) -> BrokerUnavailable:
    """Return the error, with its message, for an exception that was raised while connecting.

    Args:
        error: raised by paho, the sockets or TLS.
        settings: the broker's.
    """
    if type(error).__name__ == "WebsocketConnectionError":
        return BrokerUnreachable(_no_websocket(error, settings))
    return BrokerUnreachable(
        next(describe(error, settings) for kind, describe in _UNREACHABLE if isinstance(error, kind))
    )
