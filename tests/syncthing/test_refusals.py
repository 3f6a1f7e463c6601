"""Refused requests: the answers of real Syncthing, and those of proxies and logins in front of it."""

import socket
from collections.abc import Iterator

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.errors import HostCheckFailed, NotSyncthing, SyncthingError, TlsFailure, Unauthorized, Unreachable
from tests.secrecy import SECRECY
from tests.servers import change_gui, eventually
from tests.syncthing.conftest import Connect, Serve, is_up
from tests.syncthing.server import Answer, Behaviour, sends, stranger

PING = "/rest/system/ping"
WRONG = "not-the-real-key"
NGINX_401 = "<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
LOGIN_PAGE = '<!DOCTYPE html><html><form action="/login"><input type="password" name="p"></form></html>'


@pytest.fixture(scope="module", params=[False, True], ids=["open GUI", "GUI with a password"])
def guarded(
    request: pytest.FixtureRequest, binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SyncthingNode]:
    """A real node, without and with a password for its GUI."""
    one = SyncthingNode("guarded", tmp_path_factory.mktemp("guarded") / "home", binary)
    try:
        one.start()
        SECRECY.keep(one.api_key, "the API key of a node")
        if request.param:
            change_gui(one, user="ann", password="secret")
        yield one
    finally:
        one.stop()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve every host name to this machine."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *more, **named: resolve("127.0.0.1", *more, **named))


# --- Syncthing itself


def test_the_right_key_is_accepted(guarded: SyncthingNode, connect: Connect) -> None:
    """The password of the GUI does not affect the API."""
    assert connect(guarded.url, guarded.api_key).get_ping() == {"ping": "pong"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_key_is_reported_for_the_key(guarded: SyncthingNode, connect: Connect, method: str) -> None:
    """The answer differs by version, and again with a password."""
    client = connect(guarded.url, WRONG)
    with pytest.raises(Unauthorized, match=rf"^api_key: Syncthing at {guarded.url} rejects the API key"):
        client.get_ping() if method == "GET" else client.clear_errors()


def test_a_missing_key_is_reported_as_missing(guarded: SyncthingNode, connect: Connect) -> None:
    """The message differs from that for a wrong key."""
    with pytest.raises(Unauthorized, match=r"^api_key: no API key is set"):
        connect(guarded.url, "").get_ping()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("right", [True, False])
def test_a_foreign_host_name_is_reported_for_the_url(guarded: SyncthingNode, connect: Connect, *, right: bool) -> None:
    """Syncthing checks the host name first, so the key does not matter."""
    key = guarded.api_key if right else WRONG
    with pytest.raises(HostCheckFailed, match=r"^url: .*insecureSkipHostcheck"):
        connect(f"http://nas:{guarded.gui_port}", key).get_ping()


@pytest.mark.parametrize("password", ["", "secret"])
def test_a_gui_with_tls_is_reported_for_the_url(expendable: SyncthingNode, connect: Connect, password: str) -> None:
    """Syncthing redirects before it checks the key."""
    changes = {"useTLS": True, **({"user": "ann", "password": password} if password else {})}
    change_gui(expendable, **changes)
    secure = connect(expendable.url.replace("http:", "https:"), expendable.api_key, verify="off")
    eventually(lambda: is_up(secure))
    for key in (expendable.api_key, WRONG, ""):
        with pytest.raises(TlsFailure, match="Use https://"):
            connect(expendable.url, key).get_ping()
    with pytest.raises(Unauthorized, match=r"^api_key: Syncthing at https"):
        connect(secure.url, WRONG, verify="off").get_ping()


# --- proxies and logins in front of Syncthing

FRONTS = {
    "basic auth of nginx": stranger(401, NGINX_401, **{"WWW-Authenticate": 'Basic realm="Authorization Required"'}),
    "basic auth of Caddy": stranger(401, "", **{"WWW-Authenticate": 'Basic realm="restricted"'}),
    "basic auth of Traefik": stranger(401, "401 Unauthorized\n", **{"WWW-Authenticate": 'Basic realm="traefik"'}),
    "a bearer token": stranger(401, '{"message": "Unauthorized"}', **{"WWW-Authenticate": "Bearer"}),
    "a firewall": stranger(403, "<html><h1>Access denied</h1></html>"),
    "a firewall in words": stranger(403, "Access denied by policy"),
    "a proxy that wants a login": stranger(407, "", **{"Proxy-Authenticate": 'Basic realm="proxy"'}),
    "a captive portal": stranger(511, "<html>Network Authentication Required</html>"),
    "a login page": stranger(200, LOGIN_PAGE),
    "a login page on the same host": stranger(302, "", Location="/login?next=/rest/system/ping"),
    "a login page on another host": stranger(302, "", Location="https://login.example/?token=abc"),
}
"""The answers of login pages, proxies and firewalls to a request with the right key."""


@pytest.mark.parametrize("front", FRONTS)
def test_a_login_in_front_of_syncthing_is_reported(serve: Serve, connect: Connect, front: str) -> None:
    """Copying the API key again would not help."""
    server = serve({PING: FRONTS[front]})
    with pytest.raises((Unauthorized, NotSyncthing), match=r"^url: .*something in front of Syncthing") as raised:
        connect(server.url).get_ping()
    assert "asks for a login" in str(raised.value)
    assert "<" not in str(raised.value)
    assert "token" not in str(raised.value)


@pytest.mark.parametrize(
    "location",
    ["https://[broken/", "https://[::1", "//[/", "https://ann:secret@login.example/", "/<script>alert(1)</script>"],
)
def test_an_invalid_redirect_is_a_syncthing_error(serve: Serve, connect: Connect, location: str) -> None:
    """The error is not an exception of a library, and its message contains neither HTML nor a password."""
    server = serve({PING: stranger(302, "", Location=location)})
    with pytest.raises(SyncthingError, match=r"^url: .* redirects to") as raised:
        connect(server.url).get_ping()
    assert "<" not in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<html><h1>Oops</h1></html>\r\n"),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1, <h1>2</h1>\r\n\r\n1"),
        sends(b"<html><h1>Oops</h1></html>\r\n\r\n"),
        sends(b"HTTP/1.1 <b>200</b> <h1>Oops</h1>\r\n\r\n"),
        Answer(status=500, body="<html>Oops</html>".encode("utf-16")),
        stranger(500, '<?xml version="1.0"?><Error>AccessDenied</Error>'),
        stranger(418, "&lt;" + "x" * 400 + "<b>"),
    ],
)
def test_no_broken_answer_puts_html_into_a_message(serve: Serve, connect: Connect, answer: Behaviour) -> None:
    """This holds even for answers that are not HTTP. The message goes to the log and to the topic `connection`."""
    server = serve({PING: answer})
    with pytest.raises(SyncthingError) as raised:
        connect(server.url, timeout_s=1).get_ping()
    assert "<" not in str(raised.value)
    assert "\x00" not in str(raised.value)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_syncthing_is_reported(serve: Serve, connect: Connect, status: int) -> None:
    """The message must not suggest that Syncthing is starting, because it may be stopped."""
    server = serve({PING: stranger(status, f"<html><h1>{status} Bad Gateway</h1></html>")})
    with pytest.raises(SyncthingError, match=rf"^url: the proxy at {server.url} .*\({status}\)") as raised:
        connect(server.url).get_ping()
    assert raised.value.status == Unreachable.status
    assert "Check that Syncthing is running" in str(raised.value)
