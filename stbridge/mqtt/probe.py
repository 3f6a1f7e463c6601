"""Tries whether the bridge could connect, without publishing anything."""

from stbridge.errors import BrokerRefused
from stbridge.mqtt.client import Subscription
from stbridge.mqtt.diagnosis import subscriptions_refused
from stbridge.mqtt.session import beside, open_session
from stbridge.settings import MqttSettings


def probe(settings: MqttSettings, client_id: str | None = None) -> str:
    """Connect and subscribe once.

    Args:
        settings: the broker's.
        client_id: the client ID; None derives one from that of the bridge.

    Returns:
        the version of MQTT that the broker speaks with us: `5` or `3.1.1`.

    Raises:
        BrokerUnreachable: nothing answers.
        BrokerRefused: the broker refuses the login, or the subscription to commands.
        SettingsError: the files for TLS cannot be used.
    """
    with open_session(settings, client_id or beside(settings, "check")) as session:
        refused = session.subscribe([Subscription(f"{settings.base_topic}/+/command/#")])
    if refused:
        raise BrokerRefused(subscriptions_refused(refused))
    return session.protocol.value
