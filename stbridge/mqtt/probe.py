"""Tries whether the bridge could connect, without publishing anything."""

import threading

from stbridge.core.messages import Received
from stbridge.errors import BrokerRefused
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.diagnosis import subscriptions_refused
from stbridge.mqtt.link import Link
from stbridge.mqtt.protocol import Protocol, ProtocolChoice
from stbridge.settings import MqttSettings


def probe(settings: MqttSettings) -> str:
    """Connect and subscribe once, under a client ID that does not disturb a running bridge.

    Args:
        settings: the broker's.

    Returns:
        the version of MQTT that the broker speaks with us: `5` or `3.1.1`.

    Raises:
        BrokerUnreachable: nothing answers.
        BrokerRefused: the broker refuses the login, or the subscription to commands.
        SettingsError: the files for TLS cannot be used.
    """
    stop = threading.Event()

    def opened(protocol: Protocol) -> Link:
        link = Link(settings, protocol, client_id=f"{settings.client_id}-check", received=_ignore)
        link.open(stop)
        return link

    link = ProtocolChoice(settings.protocol).open(opened)
    try:
        refused = link.subscribe([Subscription(f"{settings.base_topic}/+/command/#")])
    finally:
        link.close(say_goodbye=True)
    if refused:
        raise BrokerRefused(subscriptions_refused(refused))
    return link.protocol.value


def _ignore(_received: Received) -> None:
    """Leave alone what arrives: nobody has acknowledged it, so it will be delivered to the bridge."""
