"""A network cable between two network namespaces that a test can cut: packets are lost without FIN or RST.

The servers stay on the loopback address of this machine. `Cable.lead_to` gives the near namespace an address at the far
end that forwards to such a server; `Cable.expose` gives it an address on its own loopback interface. `Cable.command`
runs programs in the near namespace, and `Cable.submit` runs functions there.

Syncthing on loopback checks the host name of requests. A real instance that is reached over the cable therefore needs
`insecureSkipHostcheck` (PATCH /rest/config/gui).
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.proxy import Proxy

NEAR = "192.0.2.1"
FAR = "192.0.2.2"
"""Addresses reserved for documentation (RFC 5737); each pair of namespaces uses them independently."""
CLONE_NEWNET = 0x40000000
"""From sched.h; Python 3.11 has no setns()."""

Result = TypeVar("Result")
_numbers = count()


class NoNamespaces(Exception):
    """This machine does not let the tests create network namespaces."""


class Cable:
    """Two network namespaces with a cable between them."""

    def __init__(self) -> None:
        name = f"stbridge-{os.getpid()}-{next(_numbers)}"
        self._near, self._far = f"{name}-near", f"{name}-far"
        self._proxies: list[Proxy] = []
        self._executors = {one: ThreadPoolExecutor(initializer=_enter, initargs=(one,)) for one in self._namespaces}

    @property
    def _namespaces(self) -> tuple[str, str]:
        return self._near, self._far

    @property
    def command(self) -> list[str]:
        """The prefix that makes a command run in the near namespace."""
        return ["ip", "netns", "exec", self._near]

    def start(self) -> Self:
        """Create the namespaces and connect the cable.

        Raises:
            NoNamespaces: this machine does not allow it; the message gives the reason.
        """
        if sys.platform != "linux" or shutil.which("ip") is None:
            raise NoNamespaces("needs Linux with iproute2: apt-get install iproute2")
        try:
            for one in self._namespaces:
                _ip("netns", "add", one)
                _ip("-n", one, "link", "set", "lo", "up")
            _ip("-n", self._near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self._far)
            for one, address, other in ((self._near, NEAR, FAR), (self._far, FAR, NEAR)):
                _ip("-n", one, "address", "add", f"{address}/30", "dev", "cable")
                _ip("-n", one, "link", "set", "cable", "up")
                # As behind a router. Otherwise the kernel reports an unknown neighbor, and the failure is not silent.
                hardware = _ip("-n", self._far if one == self._near else self._near, "-o", "link", "show", "cable")
                _ip("-n", one, "neigh", "replace", other, "lladdr", _address_of(hardware), "dev", "cable")
        except subprocess.CalledProcessError as error:
            self.stop()
            raise NoNamespaces(f"network namespaces need root: {error.stderr.strip()}") from error
        return self

    def stop(self) -> None:
        """Delete the namespaces and stop the servers."""
        for proxy in self._proxies:
            proxy.stop()
        for executor in self._executors.values():
            executor.shutdown()
        for one in self._namespaces:
            if Path("/run/netns", one).exists():
                _ip("netns", "delete", one)

    def lead_to(self, port: int) -> str:
        """Return the address at which the near namespace reaches a server of this machine over the cable."""
        return f"{FAR}:{self._listen(self._far, FAR, port)}"

    def expose(self, port: int) -> int:
        """Return the port on the near namespace's loopback interface that reaches a server without the cable."""
        return self._listen(self._near, "127.0.0.1", port)

    def _listen(self, namespace: str, host: str, port: int) -> int:
        # A socket stays in the namespace in which it was created; the rest of the proxy runs outside that namespace.
        proxy = self._executors[namespace].submit(Proxy, port, host).result(30).start()
        self._proxies.append(proxy)
        return proxy.port

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Run a function in a thread that belongs to the near namespace."""
        return self._executors[self._near].submit(function, *arguments)

    def cut(self) -> None:
        """Cut the cable: packets are lost in both directions."""
        _ip("-n", self._far, "link", "set", "cable", "down")

    def repair(self) -> None:
        """Connect the cable again."""
        _ip("-n", self._far, "link", "set", "cable", "up")


def _enter(namespace: str) -> None:
    """Move this thread into a network namespace."""
    with Path("/run/netns", namespace).open("rb") as file:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def _address_of(link: str) -> str:
    return link.partition("link/ether ")[2].split()[0]
