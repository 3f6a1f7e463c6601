"""Sends the reply to a command: on the bridge's own response topic, and on the MQTT 5 response topic if any."""

import logging

from stbridge.core.envelope import Reply, retained_command, too_large
from stbridge.core.json_text import as_json
from stbridge.core.messages import Message, Received
from stbridge.core.topics import Address, Topics
from stbridge.mqtt.outbox import Outbox

LARGEST_REPLY = 8 * 1024 * 1024
"""Maximum size of a reply in bytes; a broker may announce a lower limit."""

log = logging.getLogger(__name__)


def send_reply(outbox: Outbox, topics: Topics, instance: str, received: Received, reply: Reply) -> None:
    """Answer a command; also clear a retained one, or the broker would deliver it again on every connection."""
    payload = as_json(reply.payload(), whole=True)
    if len(payload) > (limit := min(LARGEST_REPLY, outbox.largest_payload)):
        payload = as_json(too_large(reply, len(payload), limit).payload(), whole=True)
    response = topics.build(instance, Address("response", name=reply.command))
    outbox.put(Message(topic=response, payload=payload, correlation=received.correlation), urgent=True)
    wanted = received.response_topic
    if wanted is not None and wanted != response:
        if topics.may_answer_on(wanted):
            outbox.put(Message(topic=wanted, payload=payload, correlation=received.correlation), urgent=True)
        else:
            log.warning(
                "no reply on the response topic %r of a command: the bridge does not publish replies there", wanted
            )
    if retained_command(reply):
        # Not put_state: any client can invent names, and a topic that the broker refuses to clear would stay in the
        # outbox.
        outbox.put(Message(topic=received.topic, payload=b"", retain=True), urgent=True)
