"""Which requests the page answers: other web pages can send requests to every address that a browser can reach."""

import asyncio
from typing import Any

import pytest

from stbridge.web.guard import LARGEST_BODY, Guard, Rules, rules_for_browsers, rules_for_ingress


async def _accepted(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"accepted"})


def ask(
    headers: dict[str, str],
    *,
    method: str = "POST",
    path: str = "/api/command",
    peer: str = "192.168.1.5",
    rules: Rules | None = None,
    body: bytes = b"{}",
) -> tuple[int, dict[str, str], str]:
    """Send a request through the guard, and return status, headers and body."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": (peer, 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(_accepted, rules or rules_for_browsers("127.0.0.1", ["Nas.lan"]))
    asyncio.run(guard(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"].decode()


OWN = {"host": "nas.lan:8385", "origin": "http://nas.lan:8385", "content-type": "application/json"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("nas.lan", 200),
        ("NAS.LAN.:8385", 200),
        ("localhost:8385", 200),
        ("127.0.0.1:8385", 200),
        ("192.168.1.20", 200),
        ("[::1]:8385", 200),
        ("evil.example", 421),
        ("nas.lan.evil.example", 421),
        ("", 421),
    ],
)
def test_only_known_names_are_answered(host: str, status: int) -> None:
    """With DNS rebinding, a page on the Internet gives its own name to an address of the local network."""
    found, _, body = ask({"host": host}, method="GET")
    assert found == status
    assert status == 200 or "web.names" in body


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://nas.lan:8385"}, 200),
        ({"origin": "http://nas.lan:8384"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "", "host": "127.0.0.1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-length": str(LARGEST_BODY + 1)}, 413),
    ],
)
def test_other_pages_cannot_send_commands(changed: dict[str, str], status: int) -> None:
    """A page of another port of the same host is another page, too. TLS may end at a reverse proxy."""
    assert ask(OWN | changed)[0] == status


@pytest.mark.parametrize(
    ("path", "site", "status"),
    [
        ("/api/state", "cross-site", 403),
        ("/api/state", "same-origin", 200),
        ("/api/state", "none", 200),
        ("/", "cross-site", 200),
    ],
)
def test_other_sites_cannot_read(path: str, site: str, status: int) -> None:
    """They cannot read answers anyway, but could make the server compute them; a link to the page itself works."""
    assert ask({"host": "nas.lan", "sec-fetch-site": site}, method="GET", path=path)[0] == status


def test_a_proxy_that_replaces_the_host_is_named() -> None:
    """The message contains the line of the proxy's configuration that is missing."""
    status, _, body = ask({**OWN, "host": "127.0.0.1:8385"})
    assert status == 403
    assert "proxy_set_header Host" in body


def test_ingress_accepts_only_the_supervisor() -> None:
    """Home Assistant has checked the user; on this port, other clients would need no login."""
    rules = rules_for_ingress()
    headers = {"host": "ha.example:8123", "origin": "https://ha.example:8123", "content-type": "application/json"}
    assert ask(headers, peer="172.30.32.2", rules=rules)[0] == 200
    assert ask(headers, peer="172.30.32.3", rules=rules)[0] == 403
    assert ask({**headers, "x-forwarded-for": "172.30.32.2"}, peer="172.30.33.7", rules=rules)[0] == 403
    assert ask({**headers, "origin": "http://evil.example"}, peer="172.30.32.2", rules=rules)[0] == 403


def test_every_answer_has_the_protecting_headers() -> None:
    """Also refusals; in the panel of Home Assistant the page is in a frame, elsewhere it never is."""
    for host in ("nas.lan", "evil.example"):
        _, headers, _ = ask({"host": host}, method="GET")
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "frame-ancestors 'none'" in policy
        assert not [word for word in ("unsafe", "http:", "https:", "*", "data:") if word in policy]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    _, headers, _ = ask({"host": "any"}, method="GET", peer="172.30.32.2", rules=rules_for_ingress())
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


def test_a_body_without_a_length_is_limited_too() -> None:
    """A body in chunks has no length; it looks like a lost connection once it is too large."""
    received: list[Any] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        received.append(await receive())

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * (LARGEST_BODY + 1)}

    async def send(_message: Any) -> None:
        raise AssertionError("nothing is sent")

    headers = [(name.encode(), value.encode()) for name, value in OWN.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "client": ("127.0.0.1", 1), "headers": headers}
    asyncio.run(Guard(app, rules_for_browsers("127.0.0.1", ["nas.lan"]))(scope, receive, send))
    assert received == [{"type": "http.disconnect"}]
