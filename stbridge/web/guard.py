"""Decides which requests are processed, and adds the headers that protect the page.

Browsers send requests of other web pages to every address that they can reach, including 127.0.0.1. So the guard
compares `Host` with a list of names, because with DNS rebinding a foreign page has its own name for this address, and
`Origin` with `Host` for every request that changes something.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SUPERVISOR = "172.30.32.2"
"""The address from which Home Assistant's Supervisor sends the requests of an ingress panel (developers.home-assistant,
Presenting your app)."""

LARGEST_BODY = 64 * 1024
LOCAL_NAMES = ("localhost",)
SAFE = ("GET", "HEAD")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types 'none'"
)

_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a listener accepts.

    Attributes:
        names: the host names that the page answers to, besides IP addresses and `localhost`; None accepts any name.
        peer: the only address that may connect; empty for all.
        framed: whether a page of the same origin may show this one in a frame.
    """

    names: frozenset[str] | None
    peer: str = ""
    framed: bool = False


def rules_for_browsers(host: str, names: Iterable[str]) -> Rules:
    """Return the rules of the listener for browsers.

    Args:
        host: the setting `web.host`.
        names: the setting `web.names`.
    """
    return Rules(frozenset(_normal(name) for name in (*LOCAL_NAMES, host, *names)))


def rules_for_ingress(peer: str = SUPERVISOR) -> Rules:
    """Return the rules of the listener for Home Assistant's ingress, which has already checked the user."""
    return Rules(None, peer, framed=True)


def _normal(name: str) -> str:
    return name.lower().strip("[]").removesuffix(".")


def host_of(authority: str) -> str:
    """Return the host of a `Host` header, without port and brackets."""
    if authority.startswith("["):
        return _normal(authority.partition("]")[0])
    return _normal(authority.partition(":")[0])


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address: a page of another site cannot have it as its name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Guard:
    """An ASGI application that passes accepted requests on.

    Args:
        app: the application behind it.
        rules: what it accepts.
    """

    def __init__(self, app: App, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        ancestors = "'self'" if rules.framed else "'none'"
        self._headers = {**_HEADERS, "Content-Security-Policy": _POLICY.format(ancestors=ancestors)}
        if not rules.framed:
            self._headers["X-Frame-Options"] = "DENY"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process a request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        app = self._refusal(scope) or self._app
        await app(scope, _limited(receive), send_with_headers)

    def _refusal(self, scope: Scope) -> App | None:
        """Return the answer to a request that is refused; None to accept it."""
        headers = Headers(scope=scope)
        client = (scope.get("client") or ("",))[0]
        if self._rules.peer and client != self._rules.peer:
            return _answer(403, f"only {self._rules.peer}, Home Assistant's Supervisor, may connect to this port")
        authority = headers.get("host", "")
        host = host_of(authority)
        if self._rules.names is not None and host not in self._rules.names and not is_ip_address(host):
            return _answer(421, f'the page does not answer to the name "{host[:100]}": add it to web.names')
        if scope["method"] in SAFE:
            if scope["path"].startswith("/api/") and headers.get("sec-fetch-site") == "cross-site":
                return _answer(403, "the request comes from another page")
            return None
        return self._refusal_of_change(headers, authority)

    @staticmethod
    def _refusal_of_change(headers: Headers, authority: str) -> App | None:
        origin = headers.get("origin", "").partition("://")[2]
        if (
            not origin
            or origin.lower() != authority.lower()
            or headers.get("sec-fetch-site", "same-origin") != "same-origin"
        ):
            return _answer(
                403,
                f'the request comes from another page ("{origin[:100]}" is not "{authority[:100]}"). A reverse proxy '
                "must pass the header Host on: proxy_set_header Host $http_host",
            )
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _answer(415, "the content type must be application/json")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > LARGEST_BODY:
            return _answer(413, "the request is too large")
        return None


def _answer(status: int, text: str) -> App:
    return JSONResponse({"error": text}, status)


def _limited(receive: Receive) -> Receive:
    """Return a function that stops reading a body that is too large: it then looks like a lost connection."""
    size = 0

    async def limited() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return {"type": "http.disconnect"} if size > LARGEST_BODY else message

    return limited
