"""Renders the payloads of the bridge itself: `bridge/info`, `bridge/health` and `bridge/sentinel`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from stbridge.core.json_text import as_json
from stbridge.core.timing import in_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeHealth:
    """The values of `bridge/health`.

    Attributes:
        uptime_s: seconds since the start of the bridge.
        queued: messages that wait to be sent to the broker.
        sent: messages that the broker has acknowledged.
        dropped: discarded messages.
        failed: messages that the broker refused.
        reconnects: number of connections to the broker after the first.
        connected_s: seconds since the last connection to the broker; None without a connection.
        message: what is wrong with the connection to the broker; empty if nothing is wrong.
        threads: seconds since the last heartbeat, by thread.
        restarts: how often threads were restarted.
        instances: the status of each instance, by name.
    """

    uptime_s: float
    queued: int
    sent: int
    dropped: int
    failed: int
    reconnects: int
    connected_s: float | None
    message: str
    threads: Mapping[str, float]
    restarts: int
    instances: Mapping[str, str]


def render_health(health: BridgeHealth) -> bytes:
    """Return the payload of `bridge/health`."""
    return as_json(
        {
            "uptime_s": round(health.uptime_s),
            "queued": health.queued,
            "sent": health.sent,
            "dropped": health.dropped,
            "failed": health.failed,
            "reconnects": health.reconnects,
            "connected_s": None if health.connected_s is None else round(health.connected_s),
            "message": health.message or None,
            "threads": dict(health.threads),
            "restarts": health.restarts,
            "instances": dict(health.instances),
        }
    )


def render_sentinel(started_at: datetime) -> bytes:
    """Return the payload of `bridge/sentinel`, by which a bridge recognizes its own.

    Args:
        started_at: when the bridge started.
    """
    return as_json({"started_at": in_utc(started_at)})


def render_info(
    *,
    version: str,
    started_at: datetime,
    protocol: str,
    broker: str,
    instances: Iterable[str],
    commands: Iterable[str],
) -> bytes:
    """Return the payload of `bridge/info`.

    Args:
        version: the version of the bridge.
        started_at: when the bridge started.
        protocol: the version of MQTT in use.
        broker: the host and port of the node that the bridge is connected to, or the path of its socket.
        instances: the names of the instances.
        commands: the names of the allowed commands, in any order.
    """
    return as_json(
        {
            "version": version,
            "started_at": in_utc(started_at),
            "mqtt_protocol": protocol,
            "broker": broker,
            "instances": list(instances),
            "commands": sorted(commands),
        }
    )
