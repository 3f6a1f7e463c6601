"""Who refuses a request: each refusal of a real Syncthing, and each of something in front of it."""

import socket
from collections.abc import Iterator

import pytest

from stbridge.demo.node import SyncthingNode
from stbridge.errors import HostCheckFailed, NotSyncthing, SyncthingError, TlsFailure, Unauthorized, Unreachable
from tests.secrecy import SECRECY
from tests.servers import eventually
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
    """A real node, without and with a password of its GUI."""
    one = SyncthingNode("guarded", tmp_path_factory.mktemp("guarded") / "home", binary)
    try:
        one.start()
        SECRECY.keep(one.api_key, "the API key of a node")
        if request.param:
            one.request("PATCH", "/rest/config/gui", body={"user": "ann", "password": "secret"})
            eventually(lambda: _has_password(one))
        yield one
    finally:
        one.stop()


def _has_password(node: SyncthingNode) -> bool:
    """Tell whether the listener that knows the password has replaced the old one."""
    try:
        return bool(node.request("GET", "/rest/config/gui")["password"])
    except OSError:
        return False


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host name is this machine's address."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *more, **named: resolve("127.0.0.1", *more, **named))


# --- Syncthing itself


def test_the_right_key_is_accepted(guarded: SyncthingNode, connect: Connect) -> None:
    """A password of the GUI does not matter to the API."""
    assert connect(guarded.url, guarded.api_key).get_ping() == {"ping": "pong"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_key_is_a_fault_of_the_key(guarded: SyncthingNode, connect: Connect, method: str) -> None:
    """Each version has its own words for it, and others with a password."""
    client = connect(guarded.url, WRONG)
    with pytest.raises(Unauthorized, match=rf"^api_key: Syncthing at {guarded.url} rejects the API key"):
        client.get_ping() if method == "GET" else client.clear_errors()


def test_no_key_is_a_fault_of_its_own(guarded: SyncthingNode, connect: Connect) -> None:
    """There is nothing to compare."""
    with pytest.raises(Unauthorized, match=r"^api_key: no API key is set"):
        connect(guarded.url, "").get_ping()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("right", [True, False])
def test_a_foreign_host_name_is_a_fault_of_the_url(guarded: SyncthingNode, connect: Connect, *, right: bool) -> None:
    """The host check comes before everything else, so the key does not matter."""
    key = guarded.api_key if right else WRONG
    with pytest.raises(HostCheckFailed, match=r"^url: .*insecureSkipHostcheck"):
        connect(f"http://nas:{guarded.gui_port}", key).get_ping()


@pytest.mark.parametrize("password", ["", "secret"])
def test_a_gui_with_tls_is_a_fault_of_the_url(expendable: SyncthingNode, connect: Connect, password: str) -> None:
    """The redirect comes before the check of the key."""
    changes = {"useTLS": True, **({"user": "ann", "password": password} if password else {})}
    expendable.request("PATCH", "/rest/config/gui", body=changes)
    secure = connect(expendable.url.replace("http:", "https:"), expendable.api_key, verify="off")
    eventually(lambda: is_up(secure))
    for key in (expendable.api_key, WRONG, ""):
        with pytest.raises(TlsFailure, match="Use https://"):
            connect(expendable.url, key).get_ping()
    with pytest.raises(Unauthorized, match=r"^api_key: Syncthing at https"):
        connect(secure.url, WRONG, verify="off").get_ping()


# --- something in front of it

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
"""What login pages, proxies and firewalls answer to a request with the right key."""


@pytest.mark.parametrize("front", FRONTS)
def test_what_asks_for_a_login_in_front_of_syncthing_is_named(serve: Serve, connect: Connect, front: str) -> None:
    """To copy the API key again would not help."""
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
def test_a_strange_redirect_is_an_error_like_any_other(serve: Serve, connect: Connect, location: str) -> None:
    """Whatever it names, it is no exception of a library, and shows neither HTML nor a password."""
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
    """Not even one that is not HTTP at all: the message goes to the log and to the topic `connection`."""
    server = serve({PING: answer})
    with pytest.raises(SyncthingError) as raised:
        connect(server.url, timeout_s=1).get_ping()
    assert "<" not in str(raised.value)
    assert "\x00" not in str(raised.value)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_syncthing_behind_it_is_named(serve: Serve, connect: Connect, status: int) -> None:
    """It is no Syncthing that starts: it may never come."""
    server = serve({PING: stranger(status, f"<html><h1>{status} Bad Gateway</h1></html>")})
    with pytest.raises(SyncthingError, match=rf"^url: the proxy at {server.url} .*\({status}\)") as raised:
        connect(server.url, timeout_s=1).get_ping()
    assert raised.value.status == Unreachable.status
    assert "Check that Syncthing is running" in str(raised.value)
