"""The request function: requests, retries, and error messages."""

import gc
import gzip
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from tenacity import Retrying

from stbridge.demo.node import free_port
from stbridge.errors import (
    BadReply,
    CallFailed,
    ConnectTimedOut,
    HostCheckFailed,
    NotFound,
    NotSyncthing,
    Rejected,
    Starting,
    SyncthingError,
    SyncthingUnavailable,
    TimedOut,
    TlsFailure,
    TooLarge,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from stbridge.keepalive import enable_keepalive
from stbridge.syncthing import SyncthingClient, connections, retry
from stbridge.syncthing.transport import Transport
from tests.certificates import self_signed
from tests.servers import eventually
from tests.syncthing.conftest import KEY, Connect, InBackground, Serve
from tests.syncthing.server import (
    KNOWN,
    Answer,
    Behaviour,
    Exchange,
    answers,
    answers_once,
    closes,
    drips,
    drips_head,
    floods,
    floods_with_error,
    hangs,
    redirects,
    refuses,
    sends,
    stranger,
    truncates,
    truncates_chunks,
)

PING = "/rest/system/ping"
SCAN = "/rest/db/scan"
STATUS = "/rest/db/status"
PONG = {"ping": "pong"}
EMPTY = Answer()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause."""
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0)


# --- requests


def test_the_key_is_sent_in_the_header_that_every_version_accepts(serve: Serve, connect: Connect) -> None:
    """X-API-Key works with every version of Syncthing, but Bearer only since 1.23.7."""
    server = serve({PING: answers(PONG)})
    connect(server.url).get_ping()
    headers = server.requests[0].headers
    assert headers["X-API-Key"] == KEY
    assert "Authorization" not in headers


@pytest.mark.parametrize("written", ["{}\n", " {}", "\t{}\r\n"])
def test_white_space_around_the_key_is_removed(serve: Serve, written: str) -> None:
    """A key is often copied with its line break."""
    server = serve({PING: answers(PONG)})
    assert call(server.url, api_key=written.format(KEY)) == PONG
    assert server.requests[0].headers["X-API-Key"] == KEY


def test_proxies_and_passwords_of_the_environment_are_not_used(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Syncthing is nearby, so neither proxies nor .netrc apply."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server = serve({PING: answers(PONG)})
    assert connect(server.url).get_ping() == PONG
    assert "Authorization" not in server.requests[0].headers


def test_a_redirect_is_not_followed_with_the_key(serve: Serve, connect: Connect) -> None:
    """A server must not be able to send the key to another one."""
    thief = serve({PING: answers(PONG)})
    server = serve({PING: stranger(307, "", Location=f"{thief.url}{PING}")})
    with pytest.raises(NotSyncthing, match="it is not Syncthing"):
        connect(server.url).get_ping()
    assert thief.requests == []


def test_a_redirect_of_syncthing_to_https_is_reported(serve: Serve, connect: Connect) -> None:
    """With TLS enabled, Syncthing redirects http to https with 307 for every method."""
    server = serve({})
    server.table[SCAN] = stranger(307, "", Location=f"https://127.0.0.1:{server.port}{SCAN}")
    with pytest.raises(TlsFailure, match=r"^url: .* Use https://, and set verify"):
        connect(server.url).scan("docs")


@pytest.mark.parametrize("folder", ["a b", "ü#%?&=+"])
def test_special_characters_arrive_unchanged(serve: Serve, connect: Connect, folder: str) -> None:
    """All characters of an ID are quoted."""
    server = serve({SCAN: EMPTY})
    connect(server.url).scan(folder)
    assert server.requests[0].parameters["folder"] == folder


def test_the_path_of_a_reverse_proxy_is_kept(serve: Serve, connect: Connect) -> None:
    """An address may have a path, with or without a slash at its end."""
    server = serve({f"/sync{PING}": answers(PONG)})
    assert connect(f"{server.url}/sync/").get_ping() == PONG


@pytest.mark.parametrize("name", ["gui.sock", "with space/gui #1%20.sock"])
def test_a_unix_socket_works_like_a_port(serve: Serve, connect: Connect, tmp_path: Path, name: str) -> None:
    """Several calls use the same connection over a unix socket."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    server = serve({PING: answers(PONG)}, path=path)
    client = connect(f"unix://{quote(str(path))}")
    assert client.get_ping() == client.get_ping() == PONG
    assert server.lines == [f"GET {PING}"] * 2
    assert server.connections == 1


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """A directory that every user may enter, unlike those of pytest."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        directory.group()  # imports a module that another user may not be able to read
        yield directory


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Become a user without any permission until the end of the test."""
    if os.geteuid() != 0:
        pytest.skip("only root can become a user without permission")
    yield lambda: os.seteuid(65534)
    os.seteuid(0)


def test_a_unix_socket_without_permission_names_its_owner(
    serve: Serve, connect: Connect, shared_directory: Path, as_nobody: Callable[[], None]
) -> None:
    """The message shows which group the user of the bridge must join."""
    path = shared_directory / "gui.sock"
    serve({PING: answers(PONG)}, path=path)
    path.chmod(0o600)
    client = connect(f"unix://{quote(str(path))}")
    as_nobody()
    with pytest.raises(Unreachable) as raised:
        client.get_ping()
    assert str(raised.value) == (
        f"url: permission denied for {path}: it belongs to user root and group root, mode 0600. "
        "Run stbridge as a user who may read and write it, for example as a member of that group."
    )


def test_a_directory_that_denies_access_to_a_unix_socket_is_reported(
    serve: Serve, connect: Connect, shared_directory: Path, as_nobody: Callable[[], None]
) -> None:
    """Changing the permissions of the socket would not help."""
    private = shared_directory / "private"
    directory = private / "deep"
    directory.mkdir(parents=True)
    serve({PING: answers(PONG)}, path=directory / "gui.sock")
    private.chmod(0o700)
    os.chown(private, 54321, 54321)
    client = connect(f"unix://{quote(str(directory))}/gui.sock")
    as_nobody()
    with pytest.raises(Unreachable) as raised:
        client.get_ping()
    assert str(raised.value) == (
        f"url: permission denied for {private}: it belongs to user 54321 and group 54321, mode 0700. "
        "Run stbridge as a user who may enter it, for example as a member of that group."
    )


@pytest.mark.parametrize("url", ["unix:///no/such.sock", "http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
def test_an_address_without_a_server_is_unreachable(connect: Connect, url: str) -> None:
    """The message contains the setting and the address."""
    url = url.format(port=free_port())
    with pytest.raises(
        Unreachable, match=f"^url: {url} cannot be reached .*Check the address, and that Syncthing is running"
    ) as raised:
        connect(url).get_ping()
    assert not raised.value.may_have_run


@pytest.mark.parametrize("url", ["nas:8384", "ftp://nas", "nas", "http://nas:http"])
def test_an_invalid_address_is_unreachable(connect: Connect, url: str) -> None:
    """An invalid address is reported like one without a server."""
    with pytest.raises(Unreachable, match=f"^url: {url} cannot be reached"):
        connect(url).get_ping()


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue is another matter elsewhere")
def test_the_time_to_connect_is_limited(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection, the request cannot have arrived."""
    monkeypatch.setattr(connections, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as queue:
        for _ in range(2):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectTimedOut, match=f"^url: {url} does not respond") as raised:
            connect(url).get_ping()
    assert not raised.value.may_have_run


def test_a_call_may_have_run_in_an_earlier_attempt(connect: Connect) -> None:
    """The server closes the connection after the first request, and no longer listens for the next attempts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=take_one_request, args=(listener,))
        thread.start()
        error = failure_of(connect(f"http://127.0.0.1:{listener.getsockname()[1]}").get_ping)
        thread.join()
    assert "refused" in str(error)
    assert error.may_have_run


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_closes_every_connection_is_unreachable(scheme: str, connect: Connect) -> None:
    """A forwarded port without a server accepts and closes connections. The error must not blame the certificate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up_on_everybody, args=(listener,))
        thread.start()
        client = connect(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        error = failure_of(client.get_ping)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert type(error) is Unreachable
    assert error.may_have_run


def take_one_request(listener: socket.socket) -> None:
    """Read one request, close the port and then the connection, without an answer."""
    connection = listener.accept()[0]
    with connection:
        connection.recv(4096)
        listener.close()


def hang_up_on_everybody(listener: socket.socket) -> None:
    """Accept connections and close them."""
    with suppress(OSError):  # shut down
        while True:
            listener.accept()[0].close()


@pytest.mark.parametrize("host", ["nas.invalid", "bücher.invalid"])
def test_an_unknown_host_name_is_reported(connect: Connect, host: str) -> None:
    """The message contains the host name."""
    with pytest.raises(Unreachable, match=rf"^url: .*the host name '{host}' is unknown"):
        connect(f"http://{host}:8384").get_ping()


# --- retries


@pytest.mark.parametrize("failure", [closes, truncates, truncates_chunks, refuses(503), stranger(502, "Bad Gateway")])
@pytest.mark.parametrize("method", sorted(retry.IDEMPOTENT_METHODS))
def test_a_call_that_is_safe_to_repeat_is_retried(serve: Serve, method: str, failure: Behaviour) -> None:
    """A broken connection or a starting Syncthing is retried."""
    server = serve({PING: [failure, failure, answers(PONG)]})
    assert call(server.url, method) == PONG
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("failure", "error"),
    [(closes, Unreachable), (truncates, Unreachable), (refuses(503), Starting), (stranger(502, ""), Unreachable)],
)
def test_a_post_that_may_have_arrived_is_not_repeated(
    serve: Serve, failure: Behaviour, error: type[SyncthingError]
) -> None:
    """A call that may have been executed must not run twice."""
    server = serve({PING: [failure, answers(PONG)]})
    with pytest.raises(error):
        call(server.url, "POST")
    assert len(server.requests) == 1


def test_a_post_that_cannot_have_arrived_is_retried(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a listening server, the call cannot have been executed."""
    path = tmp_path / "gui.sock"
    starts = iter([lambda: serve({PING: answers(PONG)}, path=path)])
    monkeypatch.setattr(retry, "sleep_using_event", lambda _stopped: lambda _seconds: next(starts)())
    assert call(f"unix://{path}", "POST") == PONG


def test_the_number_of_attempts_is_limited(serve: Serve) -> None:
    """If Syncthing stays unavailable, the call fails."""
    server = serve({PING: closes})
    with pytest.raises(Unreachable):
        call(server.url)
    assert len(server.requests) == retry.ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (stranger(403, "CSRF Error"), Unauthorized),
        (stranger(401, "Not Authorized"), Unauthorized),
        (stranger(403, "Host check error"), HostCheckFailed),
        (refuses(404, "no such folder"), NotFound),
        (refuses(405, "Method Not Allowed"), Unsupported),
        (refuses(500, "folder marker missing"), Rejected),
        (refuses(501, "upgrade unsupported"), Unsupported),
        (stranger(200, "<html>a router</html>"), NotSyncthing),
        (Answer(body=b"{", headers=KNOWN), BadReply),
    ],
)
def test_a_permanent_failure_is_not_retried(serve: Serve, answer: Answer, error: type[SyncthingError]) -> None:
    """An error that another attempt cannot change is raised at once."""
    server = serve({PING: answer})
    with pytest.raises(error):
        call(server.url)
    assert len(server.requests) == 1


def test_calls_that_succeed_leave_no_retry_policies_to_the_garbage_collector(serve: Serve, connect: Connect) -> None:
    """A policy is a reference cycle, so one for each call would stay in memory until the next garbage collection."""
    client = connect(serve({PING: answers(PONG)}).url)
    client.get_ping()
    gc.collect()
    gc.disable()
    try:
        before = policies()
        for _ in range(10):
            client.get_ping()
        assert policies() == before
    finally:
        gc.enable()


def policies() -> int:
    """Return the number of retry policies in memory."""
    return sum(isinstance(one, Retrying) for one in gc.get_objects())


def test_a_migration_is_retried(serve: Serve) -> None:
    """While version 2 migrates the database, a temporary server answers 200 to every request."""
    server = serve({PING: stranger(200, "*** Database migration in progress ***")})
    with pytest.raises(Starting, match="migrating"):
        call(server.url)
    assert len(server.requests) == retry.ATTEMPTS


def test_a_timeout_is_not_retried(serve: Serve) -> None:
    """The wait was already long, and the call may still be running."""
    server = serve({PING: hangs})
    with pytest.raises(TimedOut, match=r"^timeout_s: GET /rest/system/ping did not answer within 1 s") as raised:
        call(server.url, timeout_s=1)
    assert raised.value.may_have_run
    eventually(lambda: len(server.requests) == 1)


def test_a_close_cuts_the_attempts_short(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge that stops must not wait."""
    monkeypatch.setattr(retry, "ATTEMPTS", 1_000_000_000)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 3600)
    server = serve({PING: closes})
    way = Transport(KEY, server.url, "off", 10)
    failed: list[SyncthingError] = []
    thread = threading.Thread(target=lambda: failed.append(failure_of(lambda: way.call("GET", PING))))
    thread.start()
    eventually(lambda: len(server.requests) > 1)
    way.close()
    thread.join(30)
    assert isinstance(failed[0], Unreachable)


def test_a_closed_client_sends_no_request(serve: Serve, connect: Connect) -> None:
    """Calls of a closed client raise an error."""
    server = serve({PING: answers(PONG)})
    with connect(server.url) as client:
        pass
    with pytest.raises(Unreachable, match="closed"):
        client.get_ping()
    assert server.requests == []


@pytest.mark.parametrize("over", ["port", "unix socket"])
def test_a_close_ends_the_connections(serve: Serve, connect: Connect, tmp_path: Path, over: str) -> None:
    """No unused connection stays open at Syncthing."""
    server = serve({PING: answers(PONG)}, path=tmp_path / "gui.sock" if over == "unix socket" else None)
    client = connect(server.url)
    client.get_ping()
    assert not server.idle
    client.close()
    eventually(lambda: server.idle)


def test_a_connection_that_died_while_idle_is_replaced(serve: Serve) -> None:
    """Syncthing closes connections after 15 idle seconds. Then even a call that is never retried uses a new one."""
    server = serve({PING: [answers_once(answers(PONG)), answers(PONG)]})
    way = Transport(KEY, server.url, "off", 10)
    way.call("GET", PING)
    eventually(lambda: server.idle)
    assert way.call("POST", PING) == PONG
    assert len(server.requests) == server.connections == 2
    way.close()


# --- limits


def test_no_cookie_is_kept(serve: Serve) -> None:
    """Syncthing sends cookies with every answer, but the key is sufficient."""
    server = serve({PING: Answer(body=b"{}", headers={**KNOWN, "Set-Cookie": "CSRF-Token-ABCDE=secret"})})
    with SyncthingClient(KEY, server.url) as client:
        client.get_ping()
        client.get_ping()
    assert ["Cookie" in request.headers for request in server.requests] == [False, False]


def test_a_large_reply_is_read(serve: Serve) -> None:
    """The tree of a folder may have megabytes."""
    tree = [{"name": f"file {number}", "size": number} for number in range(50_000)]
    assert call(serve({PING: answers(tree)}).url) == tree


def test_an_answer_that_is_too_large_is_refused(serve: Serve) -> None:
    """No server can fill the memory."""
    assert call(serve({PING: answers("x" * 998)}).url, largest_answer=1000) == "x" * 998
    with pytest.raises(TooLarge, match=r"^url: the answer to GET /rest/system/ping has more than 1000 bytes"):
        call(serve({PING: answers("x" * 999)}).url, largest_answer=1000)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate", "br", "zstd", "x-unknown", "identity, gzip"])
def test_a_compressed_answer_is_refused(serve: Serve, encoding: str) -> None:
    """A few bytes could become gigabytes. Syncthing does not compress, and the bridge does not request it."""
    bomb = gzip.compress(gzip.compress(bytes(10_000_000)))
    server = serve({PING: Answer(body=bomb, headers={**KNOWN, "Content-Encoding": encoding})})
    with pytest.raises(BadReply, match="Turn compression off in front of Syncthing"):
        call(server.url)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_compressed_error_is_recognized_by_its_status(serve: Serve) -> None:
    """The text of the error is left out."""
    bomb = gzip.compress(bytes(10_000_000))
    with pytest.raises(Rejected, match="500") as raised:
        call(serve({PING: Answer(status=500, body=bomb, headers={**KNOWN, "Content-Encoding": "gzip"})}).url)
    assert "\ufffd" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("behaviour", [drips, drips_head, redirects(drips)], ids=["body", "head", "body of a redirect"])
def test_a_slow_endless_answer_is_cut_off(serve: Serve, tmp_path: Path, behaviour: Behaviour, scheme: str) -> None:
    """Each byte arrives in time, but the answer never ends."""
    context = self_signed(tmp_path / "own").context if scheme == "https" else None
    with pytest.raises(TimedOut, match=r"did not answer within 3 s"):
        call(serve({PING: behaviour}, context=context).url, timeout_s=3)


@pytest.mark.parametrize("behaviour", [redirects(floods), floods_with_error], ids=["redirect", "error"])
def test_the_body_of_a_redirect_or_an_error_is_read_only_in_part(serve: Serve, behaviour: Behaviour) -> None:
    """By default, the library reads the whole body of a redirect, so that it can follow it later."""
    with pytest.raises((NotSyncthing, Rejected)):
        call(serve({PING: behaviour}).url, timeout_s=60)


def test_all_attempts_together_have_one_timeout(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that closes each connection after a while must not extend the call."""
    monkeypatch.setattr(retry, "ATTEMPTS", 1_000_000_000)

    def closes_late(exchange: Exchange) -> None:
        exchange.server.ended.wait(0.2)
        exchange.close_connection = True

    server = serve({PING: closes_late})
    with pytest.raises((Unreachable, TimedOut)):
        call(server.url, timeout_s=0.5)
    assert len(server.requests) <= 3


def test_the_time_for_the_tls_handshake_is_limited(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is open, but no request was sent over it."""
    monkeypatch.setattr(connections, "CONNECT_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(ConnectTimedOut, match="does not respond") as raised,
    ):
        connect(f"https://127.0.0.1:{listener.getsockname()[1]}").get_ping()
    assert not raised.value.may_have_run


def test_a_connection_that_is_closed_at_once_has_one_message(connect: Connect) -> None:
    """What the system reports is a matter of chance: it depends on which side was faster."""

    def close_each(abort: bool) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                connection = listener.accept()[0]
                if abort:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    messages = set()
    for abort in (False, True):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=close_each, args=(abort,), daemon=True).start()
            port = listener.getsockname()[1]
            for _ in range(100):
                failure = failure_of(connect(f"http://127.0.0.1:{port}").get_ping)
                messages.add(str(failure).replace(str(port), "PORT"))
            listener.shutdown(socket.SHUT_RDWR)
    lost = "the connection was lost during GET /rest/system/ping (the other side closed it)"
    assert messages == {f"url: http://127.0.0.1:PORT cannot be reached: {lost}. Check that Syncthing is running."}


# --- failures of one call


FAILURES_OF_ONE_CALL: Mapping[str, tuple[Behaviour, type[SyncthingError]]] = {
    "not found": (refuses(404, "no such folder"), NotFound),
    "no such path": (refuses(404, "404 page not found"), Unsupported),
    "wrong method": (refuses(405, "Method Not Allowed"), Unsupported),
    "error": (refuses(500, "leveldb: corrupted"), Rejected),
    "gateway timeout": (stranger(504, "<html>Gateway Timeout</html>"), TimedOut),
    "empty": (EMPTY, BadReply),
    "another shape": (answers([1, 2]), BadReply),
    "HTML": (Answer(body=b"<html>", headers=KNOWN), BadReply),
    "cut JSON": (Answer(body=b'{"cut": ', headers=KNOWN), BadReply),
    "no UTF-8": (Answer(body=b'{"a": "\xff"}', headers=KNOWN), BadReply),
    "no gzip": (Answer(body=b"{}", headers={**KNOWN, "Content-Encoding": "gzip"}), BadReply),
    "too large": (answers("x" * 2_000_000), TooLarge),
    "endless": (floods, TooLarge),
    "dripping": (drips, TimedOut),
    "dripping head": (drips_head, TimedOut),
    "hanging": (hangs, TimedOut),
    "endless header": (sends(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"), BadReply),
    "too many headers": (sends(b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 200 + b"\r\n"), BadReply),
    "two lengths": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        BadReply,
    ),
}


@pytest.mark.parametrize(("behaviour", "error"), FAILURES_OF_ONE_CALL.values(), ids=FAILURES_OF_ONE_CALL)
def test_a_failed_call_does_not_affect_the_next_one(
    serve: Serve, connect: Connect, behaviour: Behaviour, error: type[SyncthingError]
) -> None:
    """The error belongs to the call, and the same client can make the next call."""
    server = serve({STATUS: behaviour, PING: answers(PONG)})
    client = connect(server.url, timeout_s=3 if error is TimedOut else 30, largest_answer=1_000_000)
    assert client.get_ping() == PONG
    failed = failure_of(lambda: client.get_folder_status("docs"))
    assert type(failed) is error
    assert isinstance(failed, CallFailed)
    assert not isinstance(failed, SyncthingUnavailable)
    assert client.get_ping() == PONG


def test_an_answer_that_was_read_to_its_end_keeps_the_connection_open(serve: Serve, connect: Connect) -> None:
    """An error needs no new connection, unless its answer was not read to its end."""
    server = serve({STATUS: [refuses(500, "no"), Answer(body=b"{", headers=KNOWN), floods], PING: answers(PONG)})
    client = connect(server.url, largest_answer=1_000_000)
    for expected in (1, 1, 2):
        failure_of(lambda: client.get_folder_status("docs"))
        client.get_ping()
        assert server.connections == expected


def test_a_timeout_names_the_call_with_its_query(serve: Serve, connect: Connect) -> None:
    """The message shows which folder is slow, and which setting to change."""
    server = serve({STATUS: hangs})
    with pytest.raises(TimedOut, match=r"^timeout_s: GET /rest/db/status\?folder=photos did not answer within 0\.1 s"):
        connect(server.url, timeout_s=0.1).get_folder_status("photos")


def test_the_timeout_of_a_scan_does_not_blame_the_setting(serve: Serve, connect: Connect) -> None:
    """A scan has its own limit, which `timeout_s` does not change. A long query is truncated in the message."""
    server = serve({SCAN: hangs})
    with pytest.raises(
        TimedOut, match=r"^url: .* POST /rest/db/scan\?folder=x{50,120}\.\.\. did not answer within 0\.1 s"
    ):
        connect(server.url).scan("x" * 1000, timeout_s=0.1)


def test_a_close_during_a_connection_attempt_ends_the_call(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, in_background: InBackground
) -> None:
    """A call that was connecting must not wait for its answer after the client is closed."""
    client = connect(serve({PING: hangs}).url, timeout_s=3600)

    def close_meanwhile(connection: socket.socket) -> None:
        client.close()
        enable_keepalive(connection)

    monkeypatch.setattr(connections, "enable_keepalive", close_meanwhile)
    with pytest.raises(Unreachable):
        in_background(client.get_ping).result(30)


# --- error messages


FAILURES: Mapping[str, Behaviour] = {
    "unauthorized": stranger(403, "CSRF Error"),
    "html": stranger(200, "<html>a router</html>"),
    "closed": closes,
    "cut": truncates,
    "hanging": hangs,
    "moved": stranger(302, "", Location="http://elsewhere/"),
    "not JSON": refuses(200, "{"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_an_error_names_the_setting_and_never_the_key(serve: Serve, failure: Behaviour) -> None:
    """Errors go to logs and topics. They show what to fix, and never the key."""
    error = failure_of(lambda: call(serve({PING: failure}).url, timeout_s=0.1))
    assert str(error).startswith(("url: ", "api_key: ", "timeout_s: "))
    assert all(KEY not in text for text in chain_of(error))


@pytest.mark.parametrize("key", ["secret\r\nHost: evil", "secret\0", "secret\udc80", "secret…", ""])
def test_an_invalid_key_is_reported_without_showing_it(serve: Serve, key: str) -> None:
    """A key with invalid characters is refused like any other wrong key."""
    server = serve({PING: stranger(403, "CSRF Error")})
    error = failure_of(lambda: call(server.url, api_key=key))
    assert isinstance(error, Unauthorized)
    assert str(error).startswith("api_key: ")
    assert all("secret" not in text for text in chain_of(error))
    assert "evil" not in server.requests[0].headers["Host"]


# ---


def call(url: str, method: str = "GET", *, api_key: str = KEY, timeout_s: float = 10, **options: int) -> Any:
    """Make one call."""
    way = Transport(api_key, url, "off", timeout_s, **options)
    try:
        return way.call(method, PING)
    finally:
        way.close()


def failure_of(what: Callable[[], object]) -> SyncthingError:
    """Return the error that a call raises."""
    with pytest.raises(SyncthingError) as raised:
        what()
    return raised.value


def chain_of(error: BaseException) -> list[str]:
    """Return the texts that a traceback would show of an error and its causes."""
    texts = [repr(error)]
    while (cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        texts.append(repr(cause))
        error = cause
    return texts
