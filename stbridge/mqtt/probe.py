"""Checks over a separate connection whether the bridge can use a broker."""

from dataclasses import dataclass

from stbridge.clock import utc_now
from stbridge.core.json_text import as_json
from stbridge.core.messages import Message
from stbridge.core.timing import in_utc
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.errors import BrokerRefused, ConnectionClosed, PublishRefused
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.diagnosis import address, subscriptions_refused
from stbridge.mqtt.session import Session, beside, open_session
from stbridge.settings import MqttSettings

USUAL_SIZE = 64 * 1024
"""In bytes; hardly any message is larger. The discovery message of an instance has 18 kB; lists and replies can be
larger."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a probe.

    Attributes:
        protocol: the version of MQTT that the broker and the bridge use: `5` or `3.1.1`.
        warning: what will not work, and how to fix it; empty if everything works.
    """

    protocol: str
    warning: str


def probe(settings: MqttSettings, client_id: str | None = None) -> Probe:
    """Connect and subscribe once, and publish one message that is not retained.

    Args:
        settings: the settings of the broker, with one node.
        client_id: the client ID; None derives one from the client ID of the bridge.

    Raises:
        BrokerUnreachable: nothing answers.
        BrokerRefused: the broker refuses the login, or the subscription to commands.
        SettingsError: the files for TLS cannot be used.
    """
    with open_session(settings, client_id or beside(settings, "check")) as session:
        refused = session.subscribe([Subscription(f"{settings.base_topic}/+/command/#")])
        refusal = "" if refused else _refusal(session, settings)
    if refused:
        raise BrokerRefused(subscriptions_refused(refused))
    return Probe(session.protocol.value, refusal and _too_large(settings, refusal))


def _refusal(session: Session, settings: MqttSettings) -> str:
    """Return why the broker does not accept a message of the usual size; empty if it does."""
    limit = session.largest_packet
    if limit is not None and limit < USUAL_SIZE:
        return f"it accepts at most {limit}"
    topic = Topics(settings.base_topic).build(BRIDGE, Address("event", name="check"))
    payload = as_json({"event_type": "check", "time": in_utc(utc_now())})
    try:
        reason = session.publish_now(Message(topic=topic, payload=payload.ljust(USUAL_SIZE)))
    except (ConnectionClosed, PublishRefused):
        return "it closes the connection"
    return reason.name if reason.is_failure else ""


def _too_large(settings: MqttSettings, refusal: str) -> str:
    return (
        f"the broker at {address(settings)} does not accept a message of {USUAL_SIZE} bytes ({refusal}). "
        "Messages that exceed its limit are skipped. Raise its limit, or allow the topic in its ACL "
        "(Mosquitto: max_packet_size, message_size_limit, acl_file)."
    )
