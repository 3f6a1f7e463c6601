"""The meaning of HTTP answers, from Syncthing and from other servers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from stbridge.errors import (
    BadReply,
    HostCheckFailed,
    NotFound,
    NotSyncthing,
    Rejected,
    Starting,
    SyncthingError,
    TimedOut,
    TlsFailure,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from stbridge.syncthing.answers import LONGEST_TEXT, evaluate
from tests.syncthing.server import KNOWN

URL = "http://nas:8384"
CALL = "GET /rest/system/ping"
MIGRATION = "*** Database migration in progress ***\n\nLog: ..."


def evaluated(
    text: str,
    *,
    status: int = 200,
    known: bool = True,
    call: str = CALL,
    url: str = URL,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """Evaluate an answer; with `known`, it comes from a Syncthing instance that accepts the key."""
    more = KNOWN if known else {}
    return evaluate(url, call, status=status, headers={**headers, **more}, content=text.encode())


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ('{"ping": "pong"}', {"ping": "pong"}),
        ("[]\n", []),
        ("null", None),
        ("", None),
    ],
)
def test_the_result_of_a_call_is_its_json(text: str, means: Any) -> None:
    """Many calls have an empty answer, and some lists are null."""
    assert evaluated(text) == means


def test_the_declared_type_of_an_answer_does_not_matter() -> None:
    """Restart, shutdown, reset and upgrade send JSON as text/plain."""
    assert evaluated('{"ok": "restarting"}', headers={"Content-Type": "text/plain"}) == {"ok": "restarting"}


def test_no_content_is_a_success() -> None:
    """Some calls are answered with 204."""
    assert evaluated("", status=204) is None


@pytest.mark.parametrize(
    ("status", "text", "known", "error", "message"),
    [
        (401, "<html>401 Authorization Required</html>", False, Unauthorized, "^url: something in front of Syncthing"),
        (403, "<h1>Blocked by the firewall</h1>", False, Unauthorized, "^url: something in front of Syncthing"),
        (403, "CSRF Error\n", True, Unauthorized, r"^api_key: .* at http://nas:8384 rejects"),
        (403, "Forbidden\n", False, Unauthorized, r"^api_key: "),
        (403, "Host check error\n", False, HostCheckFailed, r"^url: .*insecureSkipHostcheck"),
        (403, "Debugging disabled\n", True, Rejected, "^Debugging disabled$"),
        (400, "Client sent an HTTP request to an HTTPS server.\n", False, TlsFailure, "^url: .* Use https://"),
        (400, "Bad Request", False, NotSyncthing, r"^url: .* is not Syncthing \(400 Bad Request\)"),
        (400, "invalid character", True, Rejected, "^invalid character$"),
        (400, "", True, Rejected, "^Syncthing answers 400 to GET /rest/system/ping$"),
        (404, "no such folder\n", True, NotFound, "^no such folder$"),
        (404, "folder is not running", True, NotFound, "^folder is not running$"),
        (404, "404 page not found\n", True, Unsupported, "^this version of Syncthing has no GET /rest/system/ping$"),
        (404, "", True, Unsupported, "has no GET /rest/system/ping$"),
        (405, "Method Not Allowed\n", True, Unsupported, "has no GET /rest/system/ping$"),
        (404, "404 page not found\n", False, NotSyncthing, "^url: .* is not Syncthing"),
        (405, "Method Not Allowed\n", False, NotSyncthing, "^url: .* is not Syncthing"),
        (418, "I'm a teapot", False, NotSyncthing, r"^url: .* is not Syncthing \(418 I'm a teapot\)"),
        (500, "folder marker missing\n", True, Rejected, "^folder marker missing$"),
        (500, "Internal Server Error", False, Unreachable, "^url: .* answers 500 to GET /rest/system/ping"),
        (501, "upgrade unsupported", True, Unsupported, "^upgrade unsupported$"),
        (501, "", True, Unsupported, "cannot do that"),
        (
            502,
            "<html><h1>502 Bad Gateway</h1></html>",
            False,
            Unreachable,
            "^url: the proxy at .* cannot reach Syncthing",
        ),
        (503, "no server is available", False, Unreachable, "^url: the proxy at .* cannot reach Syncthing .503"),
        (503, "Service Unavailable", True, Starting, "^url: .* not ready"),
        (500, "<html>error</html>", True, Rejected, "^Syncthing answers 500 to GET /rest/system/ping$"),
        (504, "Gateway Timeout", False, TimedOut, "^url: the proxy at .* waited for GET /rest/system/ping"),
        (200, MIGRATION, False, Starting, "^url: .* migrating its database"),
        (200, "<html>a router</html>", False, NotSyncthing, "^url: .* is not Syncthing. Check"),
        (200, '{"ping": "pong"}', False, NotSyncthing, "^url: .* is not Syncthing. Check"),
        (200, "<html>", True, BadReply, "^url: .* GET /rest/system/ping is not JSON$"),
        (200, '{"cut": "sho', True, BadReply, "not JSON"),
        (200, "[" * 100_000, True, BadReply, "not JSON"),
        (200, '{"rate": 1e999}', True, BadReply, "not JSON"),
        (200, '{"rate": NaN}', True, BadReply, "not JSON"),
    ],
)
def test_a_failed_call_raises_an_error_that_shows_the_fix(
    status: int, text: str, known: bool, error: type[SyncthingError], message: str
) -> None:
    """The status, the text and the headers of Syncthing together show the problem and the setting to change."""
    with pytest.raises(error, match=message) as raised:
        evaluated(text, status=status, known=known)
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("method", "status", "text", "error"),
    [
        ("GET", 501, "upgrade unsupported\n", Unsupported),
        ("GET", 503, "upgrade unsupported\n", Unsupported),
        ("POST", 500, "upgrade unsupported\n", Unsupported),
        ("GET", 500, 'Get "https://upgrades.syncthing.net/meta.json": no route to host\n', Rejected),
        ("GET", 503, "Service Unavailable", Starting),
    ],
)
def test_a_build_without_upgrades_is_distinguished_from_a_temporary_failure(
    method: str, status: int, text: str, error: type[SyncthingError]
) -> None:
    """Up to 1.22.0 the status is not sufficient, and a network failure must not look permanent."""
    with pytest.raises(error):
        evaluated(text, status=status, call=f"{method} /rest/system/upgrade")


@pytest.mark.parametrize(
    ("url", "location", "error", "message"),
    [
        ("http://nas:8384", "https://nas:8384/rest/", TlsFailure, "^url: .* Use https://, and set verify"),
        (
            "http://nas",
            "http://nas/lessons/author",
            NotSyncthing,
            "^url: .* redirects to http://nas/lessons/author, so it is not Syncthing",
        ),
        (
            "http://nas:8384",
            "https://login.example/start?state=token",
            NotSyncthing,
            "^url: http://nas:8384 redirects to https://login.example/start, so something in front of Syncthing",
        ),
        ("https://nas", "https://login.example", NotSyncthing, "something in front of Syncthing asks for a login"),
        ("https://nas", "", NotSyncthing, "redirects to nowhere"),
    ],
)
def test_a_redirect_is_not_followed(url: str, location: str, error: type[SyncthingError], message: str) -> None:
    """Syncthing redirects only to https. Any other redirect comes from something else, such as a login page."""
    with pytest.raises(error, match=message):
        evaluated("", status=307, known=False, url=url, headers={"Location": location})


@pytest.mark.parametrize("realm", ["Authorization Required", "Authorization Required (ABCDEFG)"])
def test_a_wrong_key_is_recognized_when_the_gui_has_a_password(realm: str) -> None:
    """This answer of Syncthing has no device ID, like the answers of a proxy."""
    with pytest.raises(Unauthorized, match=r"^api_key: "):
        evaluated("Not Authorized\n", status=401, known=False, headers={"WWW-Authenticate": f'Basic realm="{realm}"'})


def test_a_login_in_front_of_syncthing_does_not_blame_the_key() -> None:
    """Copying the API key again would not help."""
    with pytest.raises(
        Unauthorized, match=r"^url: something in front of Syncthing at http://nas:8384 asks for a login"
    ):
        evaluated("Unauthorized", status=401, known=False, headers={"WWW-Authenticate": 'Basic realm="proxy"'})


def test_a_refusal_without_a_key_reports_the_missing_key() -> None:
    """The message must not blame a key that was never set."""
    with pytest.raises(Unauthorized, match=r"^api_key: no API key is set"):
        evaluate(URL, CALL, status=403, headers=KNOWN, content=b"CSRF Error", has_key=False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 500, 502, 503, 504])
@pytest.mark.parametrize("known", [True, False])
def test_no_message_shows_html(status: int, known: bool) -> None:
    """It would fill the log and the topic `connection` with markup."""
    with pytest.raises(SyncthingError) as raised:
        evaluated("<!DOCTYPE html>\n<html><body><h1>Oops</h1></body></html>", status=status, known=known)
    assert "<" not in str(raised.value)


def test_a_long_refusal_is_cut() -> None:
    """Text from a foreign server must not flood the log."""
    with pytest.raises(Rejected) as raised:
        evaluated("x" * 100_000, status=400)
    assert len(str(raised.value)) == LONGEST_TEXT
