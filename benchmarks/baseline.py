"""The minimal implementation that the bridge is compared with: a long poll, JSON, and a publication.

Usage: python -m benchmarks.baseline URL API_KEY PORT EVENT,EVENT,...
"""

import json
import socket
import sys

import requests
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


def main(url: str, api_key: str, port: str, mask: str) -> None:
    """Publish every event unchanged until the process is stopped."""
    client = Client(CallbackAPIVersion.VERSION2, "baseline")
    client.connect("127.0.0.1", int(port), keepalive=600)
    while not client.is_connected():
        client.loop()
    connection = client.socket()
    assert isinstance(connection, socket.socket)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session = requests.Session()
    session.headers["X-API-Key"] = api_key
    since = 0
    while True:
        query: dict[str, str | int] = {"events": mask, "since": since, "timeout": 55}
        for event in session.get(f"{url}/rest/events", params=query, timeout=60).json():
            client.publish(f"baseline/{event['type']}", json.dumps(event), qos=1)
            since = event["id"]
        client.loop(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
