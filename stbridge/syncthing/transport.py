"""Sends requests to Syncthing, and converts every failure into an error of `stbridge.errors`."""

import http.client
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import urllib3
from tenacity import RetryError

from stbridge.errors import (
    BadReply,
    ConnectTimedOut,
    NotSyncthing,
    SyncthingError,
    TimedOut,
    TlsFailure,
    TooLarge,
    Unreachable,
)
from stbridge.syncthing import tls
from stbridge.syncthing.answers import IDENTITY, LARGEST_ERROR, SUCCESS, evaluate, is_migration_page, migrating
from stbridge.syncthing.connections import SHORTEST_S, Sockets, new_pool
from stbridge.syncthing.retry import retrying, waiting

LARGEST_ANSWER = 64 * 1024 * 1024
"""Default maximum size of an answer, in bytes."""

SYNC_PORT = 22000
"""Syncthing's default sync port, for connections from other devices."""

PLAIN_S = 2.0
"""Seconds to wait for an answer over plain HTTP on the port of `https://`."""

LONGEST_CALL = 120
"""Maximum number of characters of method, path and query in a message; a long poll has 40 types in its query."""

_CHUNK = 64 * 1024

_PLAIN: Mapping[str, Any] = {"retries": False, "redirect": False, "preload_content": False, "decode_content": False}
"""Turns off what urllib3 does by itself. A redirect could send the key to another host, and its body has no limit."""

Parameters = Mapping[str, Any]

_LOST = (http.client.IncompleteRead, http.client.RemoteDisconnected)
_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
"""If the other side closes a connection, one of these exceptions is raised; which one is a matter of timing."""

_NOT_HTTP = (http.client.BadStatusLine, http.client.UnknownProtocol)
_MALFORMED = (http.client.HTTPException, urllib3.exceptions.DecodeError, urllib3.exceptions.InvalidHeader)
_NOT_CONNECTED = (urllib3.exceptions.NewConnectionError, ValueError)  # ValueError: the URL is invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A call with all its attempts."""

    method: str
    path: str
    parameters: Parameters
    body: Any
    """Sent as JSON; None for no such body."""
    text: str | None
    timeout_s: float
    default_timeout: bool
    """Whether the timeout is the setting `timeout_s`."""
    deadline: float
    as_text: bool

    def query(self) -> str:
        """Return the query with its question mark; empty if there are no parameters."""
        query = urlencode({name: value for name, value in self.parameters.items() if value is not None}, doseq=True)
        return f"?{query}" if query else ""

    def content(self) -> bytes | None:
        """Return the body as bytes; None if there is none."""
        text = self.text if self.body is None else json.dumps(self.body, allow_nan=False)
        return None if text is None else text.encode()

    def too_late(self, url: str, request: str) -> TimedOut:
        what = f"{request} did not answer within {self.timeout_s:g} s"
        if not self.default_timeout:
            return TimedOut(f"url: {url}: {what}")
        return TimedOut(f"timeout_s: {what}. Increase it if Syncthing needs longer, for example with a slow disk.")


class Transport:
    """The HTTP connection to a Syncthing instance.

    Args:
        api_key: sent as X-API-Key, which all versions accept.
        url: `http://...`, `https://...` or `unix:///path`.
        verify: how a certificate is checked, see the setting.
        timeout_s: seconds to wait for an answer.
        largest_answer: maximum size of an answer in bytes; a larger one is an error.
    """

    def __init__(
        self, api_key: str, url: str, verify: str, timeout_s: float, *, largest_answer: int = LARGEST_ANSWER
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._largest_answer = largest_answer
        self._stopped = threading.Event()
        self._retrying = retrying(self._stopped)
        self._sockets = Sockets()
        self._has_key = bool(api_key.strip())
        # Syncthing does not compress. Without compression, the size of an answer is also its size in memory.
        self._headers = {"X-API-Key": _as_header(api_key), "Accept": "*/*", "Accept-Encoding": "identity"}
        parts = urlsplit(self._url)
        self._path = "" if parts.scheme == "unix" else parts.path
        self._context = tls.tls_context(verify) if parts.scheme == "https" else None
        self._fingerprint = tls.pinned_fingerprint(verify)
        if verify == tls.OFF:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # "off" is the user's choice

    @cached_property
    def _pool(self) -> urllib3.HTTPConnectionPool:
        """The connections; a call creates them, because an invalid URL is an error of the call."""
        return new_pool(self._url, self._sockets, self._context, self._fingerprint)

    def close(self) -> None:
        """Close the connections; calls that are in progress or wait for another attempt fail."""
        self._stopped.set()
        self._sockets.close()
        with suppress(ValueError):  # the URL is invalid, so there are no connections
            self._pool.close()

    def break_off(self) -> None:
        """Break the connections; calls in progress fail as after a network error."""
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
        as_text: bool = False,
    ) -> Any:
        """Make a call and return its decoded JSON; None for an empty answer.

        Args:
            method: the HTTP method.
            path: the path, which starts with /rest.
            parameters: the query parameters; None values are left out.
            body: the body, sent as JSON.
            text: the body, sent unchanged.
            timeout_s: seconds to wait for the answer, for all attempts together; by default the setting `timeout_s`.
            again: whether the call may be retried if that is safe.
            as_text: whether the answer is text instead of JSON.

        Raises:
            SyncthingError: see `stbridge.errors` for its kinds.
        """
        limit = self._timeout_s if timeout_s is None else timeout_s
        call = _Call(
            method=method,
            path=path,
            parameters=parameters or {},
            body=body,
            text=text,
            timeout_s=limit,
            default_timeout=timeout_s is None,
            deadline=monotonic() + limit,
            as_text=as_text,
        )
        arrived = False

        def attempt(call: _Call) -> Any:
            nonlocal arrived
            try:
                return self._once(call)
            except SyncthingError as error:
                arrived = error.may_have_run = arrived or error.may_have_run  # also if only an earlier attempt did
                raise

        return self._retrying(attempt, call) if again else self._once(call)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait until a condition holds; temporary failures in the meantime are ignored.

        Raises:
            TimedOut: the condition does not hold in time, or the client is closed.
        """
        try:
            waiting(timeout_s, self._stopped)(condition)
        except RetryError as error:
            raise TimedOut(
                f"url: Syncthing at {self._url} did not reach the expected state within {timeout_s:.0f} s"
            ) from error

    def _once(self, call: _Call) -> Any:
        if self._stopped.is_set():
            raise Unreachable("the client is closed", arrived=False)
        name, response = f"{call.method} {call.path}", None
        try:
            target = f"{self._path}{call.path}{call.query()}"
            name = _shortened(f"{call.method} {target}")
            response = self._pool.urlopen(
                call.method,
                target,
                body=call.content(),
                headers=self._headers if call.body is None else {**self._headers, "Content-Type": "application/json"},
                timeout=urllib3.Timeout(total=max(SHORTEST_S, call.deadline - monotonic())),
                **_PLAIN,
            )
            with response:
                content = _content(response, name, self._largest_answer)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if isinstance(error, urllib3.exceptions.SSLError) and response is None:
                raise self._tls_failure(error, name) from error
            raise self._failure(error, call, name) from error
        return evaluate(
            self._url,
            name,
            status=response.status,
            headers=response.headers,
            content=content,
            has_key=self._has_key,
            as_text=call.as_text,
        )

    def _failure(self, error: Exception, call: _Call, name: str) -> SyncthingError:
        """Return the error that an exception of urllib3 represents."""
        chain = [*_chain(error)]
        if _is_connect_timeout(error):
            return ConnectTimedOut(
                f"url: {self._url} does not respond. Check the address, and that Syncthing is running."
            )
        malformed = next((one for one in chain if isinstance(one, _MALFORMED) and not isinstance(one, _LOST)), None)
        if malformed is not None:
            return self._malformed(malformed, name)
        if any(isinstance(one, _NOT_CONNECTED) for one in chain) and not isinstance(chain[-1], _CLOSED):
            return self._not_connected(chain)
        if _is_timeout(error, chain[-1]):
            return call.too_late(self._url, name)
        return self._lost(name, _reason(chain[-1]))

    def _not_connected(self, chain: Sequence[BaseException]) -> Unreachable:
        if isinstance(chain[-1], PermissionError) and (parts := urlsplit(self._url)).scheme == "unix":
            return Unreachable(f"url: {_denied(Path(unquote(parts.path)))}", arrived=False)
        unknown = any(isinstance(one, urllib3.exceptions.NameResolutionError) for one in chain)
        why = f"the host name {urlsplit(self._url).hostname!r} is unknown" if unknown else _reason(chain[-1])
        return Unreachable(
            f"url: {self._url} cannot be reached ({why}). Check the address, and that Syncthing is running.",
            arrived=False,
        )

    def _sync_port_error(self) -> NotSyncthing | None:
        """Return an error if the URL is the sync port of Syncthing, which a connection to it shows."""
        if not tls.is_sync_port(self._url):
            return None
        return NotSyncthing(f"url: {self._url} is the sync port of Syncthing. The GUI is usually on port 8384.")

    def _malformed(self, error: BaseException, name: str) -> SyncthingError:
        if mixed_up := self._sync_port_error():
            return mixed_up
        if isinstance(error, _NOT_HTTP):
            return NotSyncthing(f"url: the server at {self._url} does not speak HTTP. Check the address.")
        return BadReply(f"url: the answer of {self._url} to {name} is malformed ({_reason(error)})")

    def _lost(self, name: str, reason: str) -> SyncthingError:
        # The sync port closes plain HTTP connections. Connections are often lost, and the check opens another one, so
        # only the default sync port is checked.
        if urlsplit(self._url).port == SYNC_PORT and (mixed_up := self._sync_port_error()):
            return mixed_up
        return Unreachable(
            f"url: {self._url} cannot be reached: the connection was lost during {name} ({reason}). "
            "Check that Syncthing is running."
        )

    def _is_migrating(self) -> bool:
        """Return whether the temporary server of a migration responds, which uses plain HTTP even on the TLS port.

        The request does not contain the key. A stop aborts it like any other request.
        """
        content = b""
        with suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
            pool = new_pool(self._url.replace("https:", "http:", 1), self._sockets)
            with (
                closing(pool),
                pool.urlopen("GET", self._path or "/", timeout=urllib3.Timeout(total=PLAIN_S), **_PLAIN) as response,
            ):
                while len(content) < _CHUNK and (part := response.read1(_CHUNK)):
                    content += part
        return is_migration_page(content)

    def _tls_failure(self, error: Exception, name: str) -> SyncthingError:
        text = str(error)
        if "EOF occurred" in text:  # a forwarded port without a server, or a server that is stopping
            return self._lost(name, "it was closed")
        if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
            if self._is_migrating():
                return migrating(self._url)
            return TlsFailure(f"url: {self._url} does not speak TLS. Use http:// instead of https://.")
        if mixed_up := self._sync_port_error():
            return mixed_up
        fingerprint = tls.seen_fingerprint(self._url)
        fix = (
            f'If it is Syncthing\'s own certificate, set verify = "{tls.PIN}{fingerprint}".'
            if fingerprint
            else "Set verify to the file of the certificate."
        )
        return TlsFailure(f"verify: the certificate of {self._url} is not accepted ({_tls_reason(text)}). {fix}")


def _denied(socket_path: Path) -> str:
    """Return which file or directory in the path of a socket denies access, who has access, and the fix."""
    for path in reversed([socket_path, *socket_path.parents]):
        try:
            found = path.stat()
        except OSError:
            break
        needed = os.X_OK if path != socket_path else os.R_OK | os.W_OK
        if not os.access(path, needed, effective_ids=os.access in os.supports_effective_ids):
            use = "enter it" if path != socket_path else "read and write it"
            user, group = _named(path.owner, found.st_uid), _named(path.group, found.st_gid)
            return (
                f"permission denied for {path}: it belongs to user {user} and group {group}, mode "
                f"{found.st_mode & 0o7777:04o}. Run stbridge as a user who may {use}, for example as a member of that "
                "group."
            )
    return f"permission denied for {socket_path}. Run stbridge as a user who may read and write it."


def _named(owner: Callable[[], str], number: int) -> str:
    try:
        return owner()
    except (KeyError, OSError, NotImplementedError):  # a user of another container has no name here
        return str(number)


def _as_header(api_key: str) -> str:
    """Return the key with `?` in place of characters that a header cannot contain.

    Otherwise, http.client would raise an error that shows the key. Syncthing rejects the changed key like a wrong one.
    http.client encodes headers in Latin-1, and the key is sent in UTF-8.
    """
    return re.sub(r"[\x00-\x1f\x7f]", "?", api_key.strip()).encode(errors="replace").decode("latin-1")


def _content(response: urllib3.BaseHTTPResponse, name: str, largest: int) -> bytes:
    """Read an answer up to the size limit; the deadline of the socket limits the time."""
    succeeded = response.status in SUCCESS
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        if succeeded and IDENTITY in response.headers:
            raise BadReply(f"url: the answer to {name} is compressed. Turn compression off in front of Syncthing.")
        return b""
    parts: list[bytes] = []
    size = 0
    # `read` and `stream` would wait for a whole chunk
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if not succeeded and size > LARGEST_ERROR:
            break
        if size > largest:
            raise TooLarge(f"url: the answer to {name} has more than {largest} bytes")
    return b"".join(parts)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_CALL else f"{name[:LONGEST_CALL]}..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, because urllib3 wraps an exception several times."""
    while True:
        yield error
        inside = (getattr(error, "reason", None), *error.args, error.__cause__)
        found = next((one for one in inside if isinstance(one, BaseException)), None)
        if found is None:
            return
        error = found


def _is_connect_timeout(error: Exception) -> bool:
    """Return whether a connection was not opened in time; urllib3 derives refused connections from this error, too."""
    exceptions = urllib3.exceptions
    return isinstance(error, exceptions.ConnectTimeoutError) and not isinstance(error, exceptions.NewConnectionError)


def _is_timeout(error: Exception, innermost: BaseException) -> bool:
    """Return whether an error is our own timeout, and not ETIMEDOUT, with which keepalive closes a dead connection.

    Both are a TimeoutError, which urllib3 reports as a read timeout; only the latter has an errno.
    """
    if isinstance(innermost, TimeoutError):
        return innermost.errno is None
    return isinstance(error, urllib3.exceptions.ReadTimeoutError) and not isinstance(innermost, OSError)


def _reason(error: BaseException) -> str:
    if isinstance(error, _CLOSED):
        return "the other side closed it"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rsplit(": ", 1)[-1] if "(host=" in text else text


def _tls_reason(text: str) -> str:
    for known, readable in (
        ("Fingerprints did not match", "its fingerprint is not the pinned one"),
        ("self-signed", "self-signed"),
        ("self signed", "self-signed"),
        ("expired", "expired"),
        ("Hostname mismatch", "it is for another host name"),
        ("doesn't match", "it is for another host name or address"),
        ("IP address mismatch", "it is for another address"),
        ("unable to get local issuer", "its authority is unknown"),
    ):
        if known in text:
            return readable
    return "TLS failed"
