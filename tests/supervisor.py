"""The Supervisor of Home Assistant, as far as an app asks it for its broker."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

TOKEN = "the token"
BROKER = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons", "password": "secret"}


class Supervisor:
    """A server that tells the MQTT service to whoever has the token.

    Args:
        service: what it tells; nothing where no app provides the service.
        host: where it listens.
        port: any that is free, if it is 0.
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
                """Say nothing."""

        self._server = HTTPServer((host, port), Answer)
        self.url = f"http://{host}:{self._server.server_port}"

    def start(self) -> "Supervisor":
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
