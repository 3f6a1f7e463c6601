"""The one request function: every failure becomes an error of ours here, and nowhere else."""

import re
import ssl
import threading
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from tenacity import RetryError

from stbridge.errors import SyncthingUnavailable, TimedOut, TlsFailure, TooLarge, Unreachable
from stbridge.syncthing import tls
from stbridge.syncthing.adapters import Sockets, TcpAdapter, TlsAdapter, UnixAdapter
from stbridge.syncthing.answers import judge
from stbridge.syncthing.retry import retrying, waiting

LARGEST_REPLY = 64 * 1024 * 1024
CONNECT_S = 5.0
_CHUNK = 64 * 1024

Parameters = Mapping[str, Any]


class Transport:
    """The way to one Syncthing.

    Args:
        api_key: the key, sent as X-API-Key, which every version takes.
        url: `http://...`, `https://...` or `unix:///path`.
        verify: how a certificate is checked, see the setting.
        timeout_s: seconds to wait for an answer.
    """

    def __init__(self, api_key: str, url: str, verify: str, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._stopped = threading.Event()
        self._sockets = Sockets()
        self._session = requests.Session()
        # No proxies, .netrc or certificate authorities from the environment: Syncthing is near, and its key is secret.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # the key is enough
        self._headers = {**requests.utils.default_headers(), "X-API-Key": _as_header(api_key), "Accept": "*/*"}
        self._base = self._mount(verify)

    def _mount(self, verify: str) -> str:
        """Set the way up, and return what goes before a path."""
        parts = urlsplit(self._url)
        if parts.scheme == "unix":
            self._session.mount("http://", UnixAdapter(unquote(parts.path), self._sockets))
            return "http://localhost"
        self._session.mount("http://", TcpAdapter(self._sockets))
        if parts.scheme == "https":
            context = tls.tls_context(verify)
            self._session.verify = context.verify_mode == ssl.CERT_REQUIRED
            self._session.mount("https://", TlsAdapter(context, tls.pinned_fingerprint(verify), self._sockets))
            if verify == tls.OFF:
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was asked for
        return self._url

    def close(self) -> None:
        """Close the connections, and cut short whatever waits for an answer, or to try again."""
        self._stopped.set()
        self._sockets.shut_down()
        self._session.close()

    def break_off(self) -> None:
        """Break off the requests that are under way; they fail as if the connection had been lost."""
        self._sockets.shut_down()

    def call(
        self,
        method: str,
        path: str,
        *,
        parameters: Parameters | None = None,
        body: Any = None,
        text: str | None = None,
        timeout_s: float | None = None,
        again: bool = True,
    ) -> Any:
        """Make a call and return its decoded JSON; None for an empty reply.

        Args:
            method: of HTTP.
            path: from /rest on.
            parameters: of the query; None values are left out.
            body: sent as JSON.
            text: sent as it is.
            timeout_s: seconds to wait for the answer, if other than usual.
            again: whether it may be tried again, if it does no harm twice.

        Raises:
            SyncthingError: of the kind that fits, see `stbridge.errors`.
        """
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        data = None if text is None else text.encode()
        patience = self._timeout_s if timeout_s is None else timeout_s

        def once() -> Any:
            if self._stopped.is_set():
                raise Unreachable("the client is closed", arrived=False)
            return self._once(method, path, {"params": given, "json": body, "data": data}, patience)

        return retrying(method, self._stopped)(once) if again else once()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait until a condition holds, whatever Syncthing answers meanwhile.

        Raises:
            TimedOut: it does not come to hold in time, or the client is closed.
        """
        try:
            waiting(timeout_s, self._stopped)(condition)
        except RetryError as error:
            raise TimedOut(f"url: {self._url} did not get there within {timeout_s:.0f} s") from error

    def _once(self, method: str, path: str, content: Mapping[str, Any], patience: float) -> Any:
        deadline = monotonic() + patience
        try:
            # not Session.request: to merge settings of the session with those of the request takes a tenth of it all
            request = requests.Request(method, self._base + path, headers=self._headers, **content).prepare()
            with self._session.send(
                request,
                proxies={},
                timeout=(min(CONNECT_S, patience + 1), patience + 1),
                allow_redirects=False,  # it could lead the key to another host; `judge` tells what it means
                stream=True,
            ) as response:
                answer = _content(response, deadline)
        except requests.exceptions.SSLError as error:
            raise self._tls_failure(error) from error
        except requests.exceptions.ConnectTimeout as error:
            raise TimedOut(f"url: {self._url} does not answer", arrived=False) from error
        except (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError) as error:
            raise TimedOut(f"url: {self._url} did not answer within {patience:.0f} s") from error
        except (requests.exceptions.ConnectionError, urllib3.exceptions.ProtocolError) as error:
            raise self._unreachable(error) from error
        except (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as error:
            raise Unreachable(f"url: {self._url} cannot be reached ({_reason(error)})") from error
        return judge(
            self._url,
            f"{method} {path}",
            status=response.status_code,
            headers=response.headers,
            content=answer,
        )

    def _unreachable(self, error: Exception) -> Unreachable:
        inner = _innermost(error)
        refused = isinstance(inner, urllib3.exceptions.NewConnectionError | ConnectionRefusedError | FileNotFoundError)
        if isinstance(inner, urllib3.exceptions.NameResolutionError):
            why = f"the host name {urlsplit(self._url).hostname!r} is not known"
        else:
            why = _reason(inner)
        return Unreachable(
            f"url: {self._url} cannot be reached ({why}); does Syncthing run there?", arrived=not refused
        )

    def _tls_failure(self, error: Exception) -> SyncthingUnavailable:
        text = str(error)
        if "EOF occurred" in text:  # hung up in the handshake: a forwarded port with nobody behind it, or an end
            return self._unreachable(error)
        if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
            return TlsFailure(f"url: {self._url} does not speak TLS: use http:// in url")
        fingerprint = tls.seen_fingerprint(self._url)
        cure = (
            f'if that is Syncthing\'s own certificate, set verify = "{tls.PIN}{fingerprint}"'
            if fingerprint
            else "set verify to the certificate's file"
        )
        return TlsFailure(f"verify: the certificate of {self._url} is not accepted ({_tls_reason(text)}); {cure}")


def _as_header(api_key: str) -> bytes:
    """Return what can be sent: an error about a header that cannot be would tell the key, and go into the log.

    Characters that no key has make another key of it, for Syncthing to refuse.
    """
    return re.sub(r"[\x00-\x1f\x7f]", "?", api_key.strip()).encode(errors="replace")


def _content(response: requests.Response, deadline: float) -> bytes:
    """Read a reply, but no endless one: neither in size nor in time, however slowly bytes drip."""
    parts: list[bytes] = []
    size = 0
    # iter_content would wait until a whole chunk is there
    while part := response.raw.read1(_CHUNK, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > LARGEST_REPLY:
            raise TooLarge(f"url: the reply has more than {LARGEST_REPLY} bytes")
        if monotonic() > deadline + CONNECT_S:
            raise requests.exceptions.ReadTimeout("the reply takes too long")
    return b"".join(parts)


def _innermost(error: BaseException) -> BaseException:
    """Return what went wrong at the bottom: requests and urllib3 wrap it several times."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _innermost(reason)
    if error.args and isinstance(error.args[0], BaseException):
        return _innermost(error.args[0])
    if len(error.args) > 1 and isinstance(error.args[1], BaseException):
        return _innermost(error.args[1])
    return error


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rsplit(": ", 1)[-1] if "(host=" in text else text


def _tls_reason(text: str) -> str:
    for known, readable in (
        ("Fingerprints did not match", "its fingerprint is not the pinned one"),
        ("self-signed", "self-signed"),
        ("self signed", "self-signed"),
        ("expired", "expired"),
        ("Hostname mismatch", "it is for another host name"),
        ("IP address mismatch", "it is for another address"),
        ("unable to get local issuer", "its authority is unknown"),
    ):
        if known in text:
            return readable
    return "TLS failed"
