"""Runs the page: threads for the broker and the updates, and one for uvicorn's event loop with one or two ports."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import threading
from queue import SimpleQueue

import uvicorn

from stbridge.errors import Failed, SettingsError, StbridgeError
from stbridge.settings import Settings
from stbridge.settings.web import WebSettings
from stbridge.web.assets import assets
from stbridge.web.bases import BaseTopics
from stbridge.web.feed import Feed
from stbridge.web.fleet import Fleet
from stbridge.web.guard import App, Guard, Rules, rules_for_browsers, rules_for_ingress
from stbridge.web.hub import Hub
from stbridge.web.login import Logins
from stbridge.web.offers import offered
from stbridge.web.pages import Pages

log = logging.getLogger(__name__)

STOP_S = 3
"""How long open requests may take when the page stops."""

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - on it, the guard accepts only the Supervisor of Home Assistant


class WebServer:
    """The web page of all instances on the broker.

    Args:
        settings: all settings.
        client_id: the client ID; None derives one from the client ID of the bridge.
        ingress: what the port for Home Assistant's ingress accepts; by default only the Supervisor.

    Raises:
        SettingsError: the settings of the page are not safe, or a command does not exist.
    """

    def __init__(self, settings: Settings, *, client_id: str | None = None, ingress: Rules | None = None) -> None:
        web = settings.web
        password = web.password.get_secret_value()
        _check(web, password)
        self.ends: SimpleQueue[StbridgeError | None] = SimpleQueue()
        """Whatever is put into it makes `run` stop: an error with that error, None without one."""
        self._settings = web
        self._ingress = ingress or rules_for_ingress()
        bases = BaseTopics(web.base_topics or (settings.mqtt.base_topic,), strict=settings.mqtt.strict_topics)
        self._hub = Hub(Fleet(bases), self._ticked, self._died)
        self._feed = Feed(settings.mqtt, bases, self._hub, self.ends.put, client_id=client_id)
        self._pages = Pages(
            self._hub,
            self._feed,
            assets(),
            allow=offered(web.allow),
            logins=Logins(web.username, password) if password else None,
            asks_username=bool(web.username),
            cookie=f"stbridge_web_{web.port}",
        )
        self._listeners: list[tuple[socket.socket, App]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="web-server", daemon=True)

    def run(self) -> None:
        """Serve the page until something is put into `ends`.

        Raises:
            Failed: a port cannot be used, or the server died.
            SettingsError: the settings of the broker cannot be used.
        """
        self.start()
        try:
            end = self.ends.get()
        finally:
            self.stop()
        if end is not None:
            raise end

    def start(self) -> None:
        """Start to serve the page.

        Raises:
            Failed: a port cannot be used.
        """
        web = self._settings
        guard = Guard(self._pages.app(), rules_for_browsers(web.host, web.names))
        self._listeners = [(_listen(web.host, web.port, "port"), guard)]
        if web.ingress_port:
            panel = Guard(self._pages.app(open_to_all=True), self._ingress)
            self._listeners.append((_listen(EVERY_ADDRESS, web.ingress_port, "ingress_port"), panel))
        self._thread.start()
        self._ready.wait()
        self._hub.start()
        self._feed.start()
        host = f"[{web.host}]" if ":" in web.host else web.host
        log.info("the page is at http://%s:%d/", host, web.port)

    def stop(self) -> None:
        """Stop to serve the page, and disconnect."""
        self._feed.stop()
        self._hub.stop()  # before the event loop, which it calls
        if self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has died
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    # --- the thread of the hub

    def _ticked(self) -> None:
        assert self._loop is not None, "the hub starts after the loop"
        with contextlib.suppress(RuntimeError):  # the loop has died, which `ends` reports
            self._loop.call_soon_threadsafe(self._pages.wake)

    def _died(self, error: Exception) -> None:
        log.error("the page died", exc_info=error)
        self.ends.put(Failed(f"the page died: {type(error).__name__}: {error}"))

    # --- the thread of the server

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # noqa: BLE001 - the main thread would wait forever
            self._died(error)
            self._ready.set()
        finally:
            for listener, _app in self._listeners:
                listener.close()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        servers = [uvicorn.Server(_config(app)) for _listener, app in self._listeners]
        pairs = zip(servers, self._listeners, strict=True)
        tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, (listener, _app) in pairs]
        self._ready.set()
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await asyncio.gather(*(one for one in tasks if one.done()))
            raise RuntimeError("the HTTP server has stopped")
        self._pages.stop()  # first: uvicorn waits for open streams before it stops
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)


def _config(app: App) -> uvicorn.Config:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # otherwise a header would replace the peer's address, which the guard checks
        timeout_graceful_shutdown=STOP_S,
    )


def _listen(host: str, port: int, key: str) -> socket.socket:
    """Return a listening socket.

    Args:
        host: the name or address to listen on.
        port: the port.
        key: the setting of the port, for messages.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise Failed(f"web.host: {host} is not an address of this machine ({error.strerror})") from error
        reason = f"web.{key}: cannot listen on {host} port {port} ({error.strerror})"
        raise Failed(f"{reason}. Set another web.{key}, or stop the program that uses the port") from error


def _check(web: WebSettings, password: str) -> None:
    """Refuse settings with which more people could use the page than the user expects."""
    if web.username and not password:
        raise SettingsError(["web.username: has no effect without web.password. Set web.password, too"])
    if password or web.insecure or _is_loopback(web.host):
        return
    fault = f"web.password: must be set, because other machines can reach web.host {web.host}"
    raise SettingsError([f"{fault}. To show the page to everybody in the network, set web.insecure = true"])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
