"""Serves fake Syncthing instances, each on its own port, controlled by standard input.

Usage: python -m benchmarks.fake.server INSTANCES FOLDERS DEVICES CONNECTED. Each line of standard input is `NAME
JSON-OF-ARGUMENTS` and calls a method of `Director`. The reply is a line of JSON. The process exits at end of file.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from time import process_time
from typing import Any

from benchmarks.fake.storm import Storm
from benchmarks.fake.syncthing import FILES, FakeSyncthing, query_of
from stbridge.syncthing.answers import IDENTITY

HEAD = (
    "HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\n"
    f"{IDENTITY}: {{identity}}\r\nX-Syncthing-Version: v2.1.3\r\nContent-Length: {{length}}\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """An HTTP connection with consecutive requests without a body."""

    def __init__(self, fake: FakeSyncthing, waiting: set["Connection"]) -> None:
        self._fake = fake
        self._waiting = waiting
        self._received = b""
        self._since = 0
        self._limit = 0
        self._timeout: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for responses."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel a waiting request."""
        self._stop_waiting()
        if exc is not None:
            sys.stderr.write(f"a connection broke: {exc}\n")

    def data_received(self, data: bytes) -> None:
        """Collect data, and answer each complete request."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path, _, query = head.split(b" ", 2)[1].decode().partition("?")
            if path == "/rest/events":
                self._wait_for_events(query)
            else:
                answer = self._fake.answer(path, query_of(query))
                self._respond(answer) if answer is not None else self._respond(b"no such thing", "404 Not Found")

    def _wait_for_events(self, query: str) -> None:
        self._fake.requests["/rest/events"] = self._fake.requests.get("/rest/events", 0) + 1
        parameters = dict(part.split("=", 1) for part in query.split("&"))
        self._since, self._limit = int(parameters["since"]), int(parameters.get("limit", 1000))
        timeout_s = float(parameters["timeout"])
        if timeout_s == 0 or self._fake.newest_id > self._since:
            self.send_events()
        else:
            self._waiting.add(self)
            self._timeout = asyncio.get_running_loop().call_later(timeout_s, self.send_events)

    def send_events(self) -> None:
        """Answer a waiting request with the available events."""
        self._stop_waiting()
        self._respond(self._fake.events(self._since, self._limit))

    def _stop_waiting(self) -> None:
        self._waiting.discard(self)
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _respond(self, body: bytes, status: str = "200 OK") -> None:
        assert self._transport is not None, "who asks is connected"
        head = HEAD.format(status=status, identity=self._fake.own_id, length=len(body))
        self._transport.write(head.encode() + body)


class Director:
    """Controls the fake instances.

    Args:
        fakes: all instances.
    """

    def __init__(self, fakes: Sequence[FakeSyncthing]) -> None:
        self._fakes = fakes

    async def requests(self) -> dict[str, int]:
        """Return the number of requests for each path, of all instances."""
        total: dict[str, int] = {}
        for fake in self._fakes:
            for path, times in fake.requests.items():
                total[path] = total.get(path, 0) + times
        return total

    async def cpu_s(self) -> float:
        """Return the seconds of processor time that this process has used."""
        return process_time()

    async def folders(self, instance: int = 0) -> dict[str, Any]:
        """Return the summary of every folder."""
        return self._fakes[instance].folders

    async def completions(self, instance: int = 0) -> list[Any]:
        """Return all changed completions, each as device, folder and completion."""
        return [[*key, completion] for key, completion in self._fakes[instance].completions.items()]

    async def change(self, folder: str, files: int, missing: int = 0, instance: int = 0) -> None:
        """Change the counts of a folder, which causes one event."""
        self._fakes[instance].changes(folder, files=files, missing=missing)

    async def change_each(self, files: int, missing: int) -> None:
        """Change the first folder of every instance, and how much of it the first device needs, each differently.

        Args:
            files: number of files in the folder of the first instance; each following instance has one more.
            missing: number of files that the device of the first instance needs.
        """
        for number, fake in enumerate(self._fakes):
            folder = next(iter(fake.folders))
            fake.changes(folder, files=files + number)
            fake.lags(fake.devices[0], folder, 1 + (missing + number) % (FILES - 1))

    async def calm(self) -> None:
        """Bring every folder and device of every instance in sync again, after a storm."""
        for fake in self._fakes:
            for folder, summary in fake.folders.items():
                if summary["state"] != "idle" or summary["needBytes"]:
                    fake.turns(folder, "idle")
                    fake.changes(folder, files=summary["globalFiles"])
            for device, folder in list(fake.completions):
                fake.lags(device, folder, 0)

    async def storm(self, **quantities: Any) -> dict[str, float]:
        """Create many events, and return their number and duration; for the arguments see `Storm`."""
        return await Storm(self._fakes, **quantities).blow()


async def _serve(instances: int, folders: int, devices: int, connected: int) -> None:
    numbers = range(1, instances + 1)
    fakes = [FakeSyncthing(number, folders, devices, connected=bool(connected)) for number in numbers]
    ports = [await _listen(fake) for fake in fakes]
    director = Director(fakes)
    _respond(ports)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, _, arguments = line.partition(" ")
        _respond(await getattr(director, name)(**json.loads(arguments)))


async def _listen(fake: FakeSyncthing) -> int:
    waiting: set[Connection] = set()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        if waiting:
            for connection in tuple(waiting):
                connection.send_events()

    fake.on_event = wake
    server = await loop.create_server(lambda: Connection(fake, waiting), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    return port


def _respond(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(*map(int, sys.argv[1:5])))
