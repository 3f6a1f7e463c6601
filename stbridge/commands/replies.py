"""The one reply to a command: on its response topic, and where the sender of an MQTT 5 request wants it."""

import logging

from stbridge.core.envelope import Reply, retained_command, too_large
from stbridge.core.json_text import as_json
from stbridge.core.messages import Message, Received
from stbridge.core.topics import Address, Topics
from stbridge.mqtt.outbox import Outbox

LARGEST_REPLY = 8 * 1024 * 1024
"""In bytes; many brokers take much less, as far as they say so."""

log = logging.getLogger(__name__)


def send_reply(outbox: Outbox, topics: Topics, instance: str, received: Received, reply: Reply) -> None:
    """Answer a command; a retained one is cleared besides, or it would come again with every connection."""
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
            log.warning("no reply on the response topic %r that a command asked for: it is not for replies", wanted)
    if retained_command(reply):
        # No state: anybody can think of any number of names, and what the broker refuses to clear would stay for ever.
        outbox.put(Message(topic=received.topic, payload=b"", retain=True), urgent=True)
