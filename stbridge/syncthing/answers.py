"""What an answer of HTTP means: the JSON in it, or the error that it is."""

import json
from collections.abc import Mapping
from typing import Any

from stbridge.errors import (
    BadReply,
    HostCheckFailed,
    NotFound,
    Rejected,
    Starting,
    SyncthingError,
    TlsFailure,
    Unauthorized,
    Unreachable,
    Unsupported,
)

IDENTITY = "X-Syncthing-ID"
LONGEST_TEXT = 300


def judge(url: str, call: str, *, status: int, headers: Mapping[str, str], content: bytes) -> Any:
    """Return the JSON of an answer, or raise what it means.

    Goes by the content and not by its declared type: restart, shutdown, reset and upgrade send JSON as text/plain.

    Args:
        url: the setting, for messages.
        call: method and path, for messages.
        status: of the answer.
        headers: of the answer; every answer of Syncthing to a valid key says who it is.
        content: of the answer.

    Raises:
        SyncthingError: of the kind that fits.
    """
    text = content.decode("utf-8", "replace").strip()
    if 300 <= status < 400:  # noqa: PLR2004 - a redirection
        raise _redirected(url, headers.get("Location", ""))
    if status != 200 and status != 204:  # noqa: PLR1714, PLR2004 - success has two forms
        raise _refused(url, call, status, text[:LONGEST_TEXT], known=IDENTITY in headers)
    if IDENTITY not in headers:
        raise _stranger(url, text)
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError as error:
        raise BadReply(f"url: {url} sends a reply to {call} that is not JSON") from error


def _redirected(url: str, location: str) -> SyncthingError:
    """With `gui.useTLS` Syncthing answers 307 to https, whatever the method."""
    if url.startswith("http://") and location.startswith("https://"):
        return TlsFailure(f"url: {url} wants TLS: use https:// in url, and set verify")
    return BadReply(f"url: {url} sends elsewhere ({location[:LONGEST_TEXT]}): is that Syncthing?")


def _stranger(url: str, text: str) -> SyncthingError:
    """While version 2 migrates the database of version 1, a makeshift server answers 200 to everything."""
    if "migration" in text.lower():
        return Starting(f"{url}: Syncthing is migrating its database")
    return BadReply(f"url: what answers at {url} is not Syncthing")


def _refused(url: str, call: str, status: int, text: str, *, known: bool) -> SyncthingError:
    """Tell refusals apart; a 403 has three meanings, and only the text tells which."""
    lower = text.lower()
    if status == 403 and "host check" in lower:  # noqa: PLR2004
        return HostCheckFailed(
            f"url: Syncthing does not accept the host name in {url}: use its address, or set "
            "insecureSkipHostcheck in Syncthing's GUI settings"
        )
    if status in (401, 403) and "debugging disabled" not in lower:
        return Unauthorized(f"api_key: Syncthing at {url} does not accept the API key: copy it from its settings")
    if status == 400 and "http request to an https server" in lower:  # noqa: PLR2004
        return TlsFailure(f"url: {url} wants TLS: use https:// in url, and set verify")
    if status == 501 or _upgrade_unsupported(call, status):  # noqa: PLR2004
        return Unsupported(text or "this build of Syncthing cannot do that")
    if status in (502, 503, 504):
        return Starting(f"{url}: not ready ({status} {text})")
    if status in (404, 405):
        return _not_found(url, call, text, known=known)
    if status >= 500 and not known:  # noqa: PLR2004
        return Unreachable(f"url: what answers at {url} fails ({status}), and may not be Syncthing")
    if not known:
        return BadReply(f"url: what answers at {url} is not Syncthing ({status})")
    return Rejected(text or f"Syncthing answers {status} to {call}")


def _upgrade_unsupported(call: str, status: int) -> bool:
    """Up to 1.22.0 builds that cannot upgrade answer 503 to the check, and 500 to the upgrade."""
    return call.endswith("/rest/system/upgrade") and status in (500, 503)


def _not_found(url: str, call: str, text: str, *, known: bool) -> SyncthingError:
    if not known:
        return BadReply(f"url: what answers at {url} is not Syncthing (it has no {call})")
    if "page not found" in text.lower() or not text:
        return Unsupported(f"this version of Syncthing has no {call}")
    return NotFound(text)
