"""Decodes the JSON of an HTTP answer, or raises the error that the answer represents."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from stbridge.core.json_text import read_json
from stbridge.core.secrets import without_tokens
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

IDENTITY = "X-Syncthing-ID"
SUCCESS = (200, 204)
LONGEST_TEXT = 300
"""Maximum number of characters of an answer that a message quotes."""
LARGEST_ERROR = 64 * 1024
"""Maximum bytes of an error, a redirect or a page of another server that are read and searched."""


def evaluate(
    url: str,
    call: str,
    *,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    has_key: bool = True,
    as_text: bool = False,
) -> Any:
    """Return the JSON of an answer, or raise the error that the answer represents.

    The declared content type is ignored, because restart, shutdown, reset and upgrade send JSON as text/plain.

    Args:
        url: the setting, for messages.
        call: method, path and query, for messages.
        status: the HTTP status.
        headers: the headers; Syncthing includes its device ID in every answer to a valid key.
        content: the body.
        has_key: whether a key was sent.
        as_text: whether the body is plain text instead of JSON.

    Raises:
        SyncthingError: the answer represents an error, or is not JSON.
    """
    if 300 <= status < 400:
        raise _redirected(url, headers.get("Location", ""))
    if status not in SUCCESS:
        realm = headers.get("WWW-Authenticate", "")
        text, authentic = _text(content), IDENTITY in headers
        raise _refused(
            _Refusal(url=url, call=call, status=status, text=text, authentic=authentic, realm=realm, has_key=has_key)
        )
    if IDENTITY not in headers:
        raise _without_identity(url, content)
    if as_text:
        return content.decode("utf-8", "replace")
    if not content:
        return None
    try:
        return read_json(content)
    except ValueError as error:
        raise BadReply(f"url: the answer of {url} to {call} is not JSON") from error


def _text(content: bytes) -> str:
    """Return the start of an answer for messages; "" if it is an HTML page, which comes from a proxy, not Syncthing."""
    text = content[: 4 * LONGEST_TEXT].decode("utf-8", "replace").strip()
    return "" if _MARKUP.search(text) else without_tokens(text)[:LONGEST_TEXT]


_MARKUP = re.compile(r"<[a-z!/?]|\x00", re.IGNORECASE)
"""HTML and XML; a zero byte shows an encoding in which these would not be recognized."""
_PASSWORD_FIELD = re.compile(rb"""<input[^>]{0,200}?type\s*=\s*["']?password""", re.IGNORECASE)
_LOGIN_PATH = re.compile(r"\b(log[-_]?in|sign[-_]?in|sso|auth|oauth2?|saml2?|oidc)\b", re.IGNORECASE)


def _redirected(url: str, location: str) -> SyncthingError:
    """Return the error for a redirect.

    With `gui.useTLS`, Syncthing redirects every http request to https on the same host (307). A redirect to another
    host leads to a login page.
    """
    here, there = urlsplit(url), _location(location)
    elsewhere = there.hostname is not None and there.hostname != here.hostname
    if here.scheme == "http" and there.scheme == "https" and not elsewhere:
        return TlsFailure(_needs_tls(url))
    # a query may contain a token, and the part before the host a password
    bare = there._replace(netloc=there.netloc.rpartition("@")[2], query="", fragment="").geturl()
    shown = _MARKUP.split(bare)[0][:LONGEST_TEXT] or "nowhere"
    if elsewhere or _LOGIN_PATH.search(there.path):
        return NotSyncthing(
            f"url: {url} redirects to {shown}, so something in front of Syncthing asks for a login. {_LET_THROUGH}"
        )
    return NotSyncthing(f"url: {url} redirects to {shown}, so it is not Syncthing. Check the address.")


def _location(location: str) -> SplitResult:
    try:
        return urlsplit(location)
    except ValueError:  # brackets without a valid address
        return urlsplit("")


_LET_THROUGH = "Let requests with the API key pass, or use an address of Syncthing itself."


def _needs_tls(url: str) -> str:
    return f"url: {url} requires TLS. Use https://, and set verify if the certificate is Syncthing's own."


def is_migration_page(content: bytes) -> bool:
    """Return whether a page is the one that Syncthing 2 shows while it migrates the database of version 1."""
    return b"database migration" in content[: 4 * LONGEST_TEXT].lower()


def migrating(url: str) -> Starting:
    """Return the error for a migration in progress."""
    return Starting(f"url: Syncthing at {url} is migrating its database. Wait until it has finished.")


def _without_identity(url: str, content: bytes) -> SyncthingError:
    """Return the error for a successful answer that is not from Syncthing's API.

    While version 2 migrates the database of version 1, a temporary server of Syncthing answers 200 to every request.
    """
    if is_migration_page(content):
        return migrating(url)
    if _PASSWORD_FIELD.search(content[:LARGEST_ERROR]):
        return NotSyncthing(f"url: something in front of Syncthing at {url} asks for a login. {_LET_THROUGH}")
    return NotSyncthing(f"url: the server at {url} is not Syncthing. Check the address.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """An answer with a status that is not a success."""

    url: str
    call: str
    status: int
    text: str
    authentic: bool
    """Whether Syncthing itself certainly sent the answer: it contains the device ID, as answers to a valid key do."""
    realm: str
    has_key: bool

    @property
    def endpoint(self) -> str:
        """Method and path of the call."""
        return self.call.partition("?")[0]

    def mentions(self, words: str) -> bool:
        return words in self.text.lower()

    @property
    def rejects_key(self) -> bool:
        """Whether Syncthing itself rejects the key; such an answer may not contain the device ID.

        `lib/api/api_auth.go`: if the GUI has a password, 401 "Not Authorized" with the realm "Authorization Required",
        followed by the short ID since 1.20, and 403 "Forbidden"; otherwise 403 "CSRF Error".
        """
        if self.status == 401:
            return (self.text == "Not Authorized" and "Authorization Required" in self.realm) or self.authentic
        return self.authentic or self.text in ("Forbidden", "CSRF Error")


def _upgrade_unsupported(refusal: _Refusal) -> bool:
    """Return whether this build of Syncthing cannot upgrade itself.

    Up to 1.22.0, such builds answer 503 to the check and 500 to the upgrade. 500 is also the answer if the upgrade
    server cannot be reached, which is temporary.
    """
    return refusal.endpoint.endswith("/rest/system/upgrade") and refusal.mentions("upgrade unsupported")


# The error for a refusal, by its first matching row. The three meanings of 403 differ only in the text.
_REFUSALS: Sequence[tuple[Callable[[_Refusal], bool], Callable[[_Refusal], SyncthingError]]] = (
    (
        lambda r: r.status == 403 and r.mentions("host check"),
        lambda r: HostCheckFailed(
            f"url: Syncthing rejects the host name in {r.url}, as its GUI listens on loopback only. Use localhost "
            "on the same machine, or turn on insecureSkipHostcheck (in Syncthing: Actions > Advanced > GUI)."
        ),
    ),
    (
        # 407 and 511: proxies and captive portals
        lambda r: r.status in (407, 511) or (r.status in (401, 403) and not r.rejects_key),
        lambda r: Unauthorized(
            f"url: something in front of Syncthing at {r.url} asks for a login ({_answer(r)}). {_LET_THROUGH}"
        ),
    ),
    (
        lambda r: r.status in (401, 403) and not r.has_key,
        lambda _: Unauthorized(
            "api_key: no API key is set. Copy it from Syncthing (Actions > Settings > General) into this setting, or "
            "name a file that holds it in api_key_file."
        ),
    ),
    (
        # With a valid key, debug endpoints answer 403 "Debugging disabled" (lib/api/api.go).
        lambda r: r.status in (401, 403) and not r.mentions("debugging disabled"),
        lambda r: Unauthorized(
            f"api_key: Syncthing at {r.url} rejects the API key. Copy it from Syncthing: Actions > Settings > General."
        ),
    ),
    (
        lambda r: r.status == 400 and r.mentions("http request to an https server"),
        lambda r: TlsFailure(_needs_tls(r.url)),
    ),
    (
        lambda r: r.status == 501 or _upgrade_unsupported(r),
        lambda r: Unsupported(r.text or "this build of Syncthing cannot do that"),
    ),
    (
        # A reverse proxy has timed out; the call may still be running.
        lambda r: r.status == 504,
        lambda r: TimedOut(
            f"url: the proxy at {r.url} timed out while it waited for {r.call} (504). Check that Syncthing is running, "
            "and the timeout of the proxy."
        ),
    ),
    (
        lambda r: r.status in (502, 503) and not r.authentic,
        lambda r: Unreachable(
            f"url: the proxy at {r.url} cannot reach Syncthing ({_answer(r)}). Check that Syncthing is running, and "
            "its address in the proxy."
        ),
    ),
    (
        lambda r: r.status in (502, 503),
        lambda r: Starting(f"url: Syncthing at {r.url} is not ready ({_answer(r)}). Wait until it has started."),
    ),
    (
        lambda r: r.status in (404, 405) and not r.authentic,
        lambda r: NotSyncthing(
            f"url: the server at {r.url} is not Syncthing: it has no {r.endpoint}. Check the address."
        ),
    ),
    (
        lambda r: r.status == 405 or (r.status == 404 and (not r.text or r.mentions("page not found"))),
        lambda r: Unsupported(f"this version of Syncthing has no {r.endpoint}"),
    ),
    (lambda r: r.status == 404, lambda r: NotFound(r.text)),
    (
        lambda r: r.status >= 500 and not r.authentic,
        lambda r: Unreachable(f"url: the server at {r.url} answers {r.status} to {r.call}. Check the address."),
    ),
    (
        lambda r: not r.authentic,
        lambda r: NotSyncthing(f"url: the server at {r.url} is not Syncthing ({_answer(r)}). Check the address."),
    ),
    (lambda _: True, lambda r: Rejected(r.text or f"Syncthing answers {r.status} to {r.call}")),
)


def _answer(refusal: _Refusal) -> str:
    return f"{refusal.status} {refusal.text}".strip()


def _refused(refusal: _Refusal) -> SyncthingError:
    return next(error(refusal) for fits, error in _REFUSALS if fits(refusal))
