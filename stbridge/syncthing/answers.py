"""What an answer of HTTP means: the JSON in it, or the error that it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stbridge.core.json_text import read_json
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
    if 300 <= status < 400:
        raise _redirected(url, headers.get("Location", ""))
    if status not in (200, 204):
        raise _refused(_Refusal(url=url, call=call, status=status, text=text[:LONGEST_TEXT], known=IDENTITY in headers))
    if IDENTITY not in headers:
        raise _stranger(url, text)
    if not content:
        return None
    try:
        return read_json(content)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """An answer that is no success."""

    url: str
    call: str
    status: int
    text: str
    known: bool
    """Whether a Syncthing said so: it names itself in every answer to a valid key."""

    def says(self, words: str) -> bool:
        return words in self.text.lower()


def _upgrade_unsupported(refusal: _Refusal) -> bool:
    """Up to 1.22.0 builds that cannot upgrade answer 503 to the check, and 500 to the upgrade.

    With 500 they also tell that the server that knows of newer versions could not be asked, which will mend.
    """
    return refusal.call.endswith("/rest/system/upgrade") and refusal.says("upgrade unsupported")


# What a refusal means: the first row that fits. A 403 has three meanings, and only the text tells which.
_REFUSALS: Sequence[tuple[Callable[[_Refusal], bool], Callable[[_Refusal], SyncthingError]]] = (
    (
        lambda r: r.status == 403 and r.says("host check"),
        lambda r: HostCheckFailed(
            f"url: Syncthing does not accept the host name in {r.url}: use its address, or set "
            "insecureSkipHostcheck in Syncthing's GUI settings"
        ),
    ),
    (
        lambda r: r.status in (401, 403) and not r.says("debugging disabled"),
        lambda r: Unauthorized(f"api_key: Syncthing at {r.url} does not accept the API key: copy it from its settings"),
    ),
    (
        lambda r: r.status == 400 and r.says("http request to an https server"),
        lambda r: TlsFailure(f"url: {r.url} wants TLS: use https:// in url, and set verify"),
    ),
    (
        lambda r: r.status == 501 or _upgrade_unsupported(r),
        lambda r: Unsupported(r.text or "this build of Syncthing cannot do that"),
    ),
    (
        lambda r: r.status in (502, 503, 504),
        lambda r: Starting(f"{r.url}: not ready ({r.status} {r.text})"),
    ),
    (
        lambda r: r.status in (404, 405) and not r.known,
        lambda r: BadReply(f"url: what answers at {r.url} is not Syncthing (it has no {r.call})"),
    ),
    (
        lambda r: r.status == 405 or (r.status == 404 and (not r.text or r.says("page not found"))),
        lambda r: Unsupported(f"this version of Syncthing has no {r.call}"),
    ),
    (lambda r: r.status == 404, lambda r: NotFound(r.text)),
    (
        lambda r: r.status >= 500 and not r.known,
        lambda r: Unreachable(f"url: what answers at {r.url} fails ({r.status}), and may not be Syncthing"),
    ),
    (
        lambda r: not r.known,
        lambda r: BadReply(f"url: what answers at {r.url} is not Syncthing ({r.status})"),
    ),
    (lambda _: True, lambda r: Rejected(r.text or f"Syncthing answers {r.status} to {r.call}")),
)


def _refused(refusal: _Refusal) -> SyncthingError:
    return next(error(refusal) for fits, error in _REFUSALS if fits(refusal))
