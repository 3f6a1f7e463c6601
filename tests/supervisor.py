"""A simulated Home Assistant Supervisor that answers an app's request for its broker."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

TOKEN = "the token"
BROKER = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons", "password": "secret"}


class Supervisor:
    """A server that returns the MQTT service to clients that send the token.

    Args:
        service: the answer; empty if no app provides the service.
        host: the address to listen on.
        port: the port to listen on; 0 selects a free one.
    """

    def __init__(self, service: Any, host: str = "127.0.0.1", port: int = 0) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path == "/services/mqtt" and self.headers["Authorization"] == f"Bearer {TOKEN}"
                body = (
                    {"result": "ok", "data": service} if known and service else {"result": "error", "message": "none"}
                )
                self.send_response(200 if known and service else 400)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_arguments: Any) -> None:
                """Suppress the log of requests."""

        self._server = HTTPServer((host, port), Answer)
        self.url = f"http://{host}:{self._server.server_port}"

    def start(self) -> "Supervisor":
        """Start to answer requests."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop answering requests."""
        self._server.shutdown()
        self._server.server_close()
