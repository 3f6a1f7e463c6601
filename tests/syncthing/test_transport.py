"""The one request function: what is sent, what is tried again, and what an error says."""

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
from stbridge.syncthing import SyncthingClient, adapters, retry
from stbridge.syncthing.transport import Transport
from tests.certificates import self_signed
from tests.servers import eventually
from tests.syncthing.conftest import KEY, Connect, InBackground, Serve
from tests.syncthing.server import (
    KNOWN,
    Answer,
    Behaviour,
    Exchange,
    answers_once,
    closes,
    drips,
    drips_head,
    floods,
    floods_with_error,
    hangs,
    redirects,
    refuses,
    says,
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
    """Try again without a wait."""
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0)


# --- what is sent


def test_the_key_is_sent_as_every_version_takes_it(serve: Serve, connect: Connect) -> None:
    """X-API-Key works with every Syncthing; Bearer does not before 1.23.7."""
    server = serve({PING: says(PONG)})
    connect(server.url).get_ping()
    headers = server.requests[0].headers
    assert headers["X-API-Key"] == KEY
    assert "Authorization" not in headers


@pytest.mark.parametrize("written", ["{}\n", " {}", "\t{}\r\n"])
def test_white_space_around_the_key_is_none_of_it(serve: Serve, written: str) -> None:
    """A key is often copied with the end of its line."""
    server = serve({PING: says(PONG)})
    assert call(server.url, api_key=written.format(KEY)) == PONG
    assert server.requests[0].headers["X-API-Key"] == KEY


def test_proxies_and_passwords_of_the_environment_are_not_used(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Syncthing is near: neither a proxy nor .netrc has anything to do with it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server = serve({PING: says(PONG)})
    assert connect(server.url).get_ping() == PONG
    assert "Authorization" not in server.requests[0].headers


def test_a_redirect_is_not_followed_with_the_key(serve: Serve, connect: Connect) -> None:
    """Whoever answers at the address cannot have the key sent to another."""
    thief = serve({PING: says(PONG)})
    server = serve({PING: stranger(307, "", Location=f"{thief.url}{PING}")})
    with pytest.raises(NotSyncthing, match="it is not Syncthing"):
        connect(server.url).get_ping()
    assert thief.requests == []


def test_a_syncthing_that_wants_tls_is_told_by_its_setting(serve: Serve, connect: Connect) -> None:
    """With TLS turned on in Syncthing, http is answered 307 to https whatever the method."""
    server = serve({})
    server.table[SCAN] = stranger(307, "", Location=f"https://127.0.0.1:{server.port}{SCAN}")
    with pytest.raises(TlsFailure, match=r"^url: .* Use https://, and set verify"):
        connect(server.url).scan("docs")


@pytest.mark.parametrize("folder", ["a b", "ü#%?&=+"])
def test_odd_values_arrive_as_they_are(serve: Serve, connect: Connect, folder: str) -> None:
    """Whatever is in an ID is quoted."""
    server = serve({SCAN: EMPTY})
    connect(server.url).scan(folder)
    assert server.requests[0].parameters["folder"] == folder


def test_the_path_of_a_reverse_proxy_is_kept(serve: Serve, connect: Connect) -> None:
    """An address may have a path, with or without a slash at its end."""
    server = serve({f"/sync{PING}": says(PONG)})
    assert connect(f"{server.url}/sync/").get_ping() == PONG


@pytest.mark.parametrize("name", ["gui.sock", "with space/gui #1%20.sock"])
def test_a_unix_socket_is_as_good_as_a_port(serve: Serve, connect: Connect, tmp_path: Path, name: str) -> None:
    """Calls go over a unix socket, and so does the next one over the same connection."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    server = serve({PING: says(PONG)}, path=path)
    client = connect(f"unix://{quote(str(path))}")
    assert client.get_ping() == client.get_ping() == PONG
    assert server.lines == [f"GET {PING}"] * 2
    assert server.connections == 1


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """Make a directory that every user may enter; those of pytest are private."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        directory.group()  # imports a module that another user may not be able to read
        yield directory


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Become a user without any permission, until the end of the test."""
    if os.geteuid() != 0:
        pytest.skip("only root can become a user without permission")
    yield lambda: os.seteuid(65534)
    os.seteuid(0)


def test_a_unix_socket_without_permission_names_its_owner(
    serve: Serve, connect: Connect, shared_directory: Path, as_nobody: Callable[[], None]
) -> None:
    """Then it is known which group the bridge's user has to join."""
    path = shared_directory / "gui.sock"
    serve({PING: says(PONG)}, path=path)
    path.chmod(0o600)
    client = connect(f"unix://{quote(str(path))}")
    as_nobody()
    with pytest.raises(Unreachable) as raised:
        client.get_ping()
    assert str(raised.value) == (
        f"url: permission denied for {path}: it belongs to user root and group root, mode 0600. "
        "Run stbridge as a user who may read and write it, for example as a member of that group."
    )


def test_a_directory_that_hides_a_unix_socket_is_named(
    serve: Serve, connect: Connect, shared_directory: Path, as_nobody: Callable[[], None]
) -> None:
    """The permissions of the socket would not help."""
    private = shared_directory / "private"
    directory = private / "deep"
    directory.mkdir(parents=True)
    serve({PING: says(PONG)}, path=directory / "gui.sock")
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
def test_nobody_at_the_address_is_unreachable(connect: Connect, url: str) -> None:
    """An address where nothing listens is told with its setting."""
    url = url.format(port=free_port())
    with pytest.raises(
        Unreachable, match=f"^url: {url} cannot be reached .*Check the address, and that Syncthing is running"
    ) as raised:
        connect(url).get_ping()
    assert not raised.value.may_have_run


@pytest.mark.parametrize("url", ["nas:8384", "ftp://nas", "nas", "http://nas:http"])
def test_what_is_no_address_is_unreachable(connect: Connect, url: str) -> None:
    """A slip in the address is told like an address that is not there."""
    with pytest.raises(Unreachable, match=f"^url: {url} cannot be reached"):
        connect(url).get_ping()


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue is another matter elsewhere")
def test_an_address_that_does_not_answer_is_not_waited_for_long(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not even connected cannot have arrived."""
    monkeypatch.setattr(adapters, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as queue:
        for _ in range(2):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectTimedOut, match=f"^url: {url} does not respond") as raised:
            connect(url).get_ping()
    assert not raised.value.may_have_run


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_hangs_up_is_unreachable(scheme: str, connect: Connect) -> None:
    """A forwarded port with nobody behind it takes connections and ends them: that is no fault of a certificate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up_on_everybody, args=(listener,))
        thread.start()
        client = connect(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        error = failure_of(client.get_ping)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert type(error) is Unreachable
    assert error.may_have_run


def hang_up_on_everybody(listener: socket.socket) -> None:
    """Take connections and end them."""
    with suppress(OSError):  # shut down
        while True:
            listener.accept()[0].close()


def test_an_unknown_host_name_is_named(connect: Connect) -> None:
    """A name that nobody knows is told as such."""
    with pytest.raises(Unreachable, match=r"^url: .*the host name 'nas\.invalid' is unknown"):
        connect("http://nas.invalid:8384").get_ping()


# --- what is tried again


@pytest.mark.parametrize("failure", [closes, truncates, truncates_chunks, refuses(503), stranger(502, "Bad Gateway")])
@pytest.mark.parametrize("method", sorted(retry.IDEMPOTENT_METHODS))
def test_a_call_that_does_no_harm_twice_is_tried_again(serve: Serve, method: str, failure: Behaviour) -> None:
    """A connection that broke, or a Syncthing that is not ready, is overcome."""
    server = serve({PING: [failure, failure, says(PONG)]})
    assert call(server.url, method) == PONG
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("failure", "error"),
    [(closes, Unreachable), (truncates, Unreachable), (refuses(503), Starting), (stranger(502, ""), Unreachable)],
)
def test_a_post_that_may_have_arrived_is_not_repeated(
    serve: Serve, failure: Behaviour, error: type[SyncthingError]
) -> None:
    """What may have been carried out is not carried out twice."""
    server = serve({PING: [failure, says(PONG)]})
    with pytest.raises(error):
        call(server.url, "POST")
    assert len(server.requests) == 1


def test_a_post_that_cannot_have_arrived_is_tried_again(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing listened yet, nothing can have been carried out."""
    path = tmp_path / "gui.sock"
    starts = iter([lambda: serve({PING: says(PONG)}, path=path)])
    monkeypatch.setattr(retry, "sleep_using_event", lambda _stopped: lambda _seconds: next(starts)())
    assert call(f"unix://{path}", "POST") == PONG


def test_an_attempt_too_many_is_not_made(serve: Serve) -> None:
    """A Syncthing that stays away is given up for now."""
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
def test_what_would_fail_again_is_not_tried_again(serve: Serve, answer: Answer, error: type[SyncthingError]) -> None:
    """An answer that another attempt cannot change is told at once."""
    server = serve({PING: answer})
    with pytest.raises(error):
        call(server.url)
    assert len(server.requests) == 1


def test_a_migration_is_waited_for_a_little(serve: Serve) -> None:
    """While version 2 migrates the database, a makeshift server answers 200 to everything."""
    server = serve({PING: stranger(200, "*** Database migration in progress ***")})
    with pytest.raises(Starting, match="migrating"):
        call(server.url)
    assert len(server.requests) == retry.ATTEMPTS


def test_what_took_too_long_is_not_tried_again(serve: Serve) -> None:
    """That was a long wait already, and the call may be under way."""
    server = serve({PING: hangs})
    with pytest.raises(TimedOut, match=r"^timeout_s: GET /rest/system/ping did not answer within 0\.1 s") as raised:
        call(server.url, timeout_s=0.1)
    assert raised.value.may_have_run
    assert len(server.requests) == 1


def test_a_close_cuts_the_attempts_short(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge that ends waits for nobody."""
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


def test_a_client_that_is_closed_calls_nobody(serve: Serve, connect: Connect) -> None:
    """After its end a client is of no use."""
    server = serve({PING: says(PONG)})
    with connect(server.url) as client:
        pass
    with pytest.raises(Unreachable, match="closed"):
        client.get_ping()
    assert server.requests == []


@pytest.mark.parametrize("over", ["port", "unix socket"])
def test_a_close_ends_the_connections(serve: Serve, connect: Connect, tmp_path: Path, over: str) -> None:
    """Nothing stays open at Syncthing that nobody uses."""
    server = serve({PING: says(PONG)}, path=tmp_path / "gui.sock" if over == "unix socket" else None)
    client = connect(server.url)
    client.get_ping()
    assert not server.idle
    client.close()
    eventually(lambda: server.idle)


def test_a_connection_that_died_while_idle_is_replaced(serve: Serve) -> None:
    """Syncthing closes what is idle for 15 s: the next call takes another connection, even one that is not repeated."""
    server = serve({PING: [answers_once(says(PONG)), says(PONG)]})
    way = Transport(KEY, server.url, "off", 10)
    way.call("GET", PING)
    eventually(lambda: server.idle)
    assert way.call("POST", PING) == PONG
    assert len(server.requests) == server.connections == 2
    way.close()


# --- what is too much


def test_no_cookie_is_kept(serve: Serve) -> None:
    """Syncthing hands some out with every answer; the key is all that is needed."""
    server = serve({PING: Answer(body=b"{}", headers={**KNOWN, "Set-Cookie": "CSRF-Token-ABCDE=secret"})})
    with SyncthingClient(KEY, server.url) as client:
        client.get_ping()
        client.get_ping()
    assert ["Cookie" in request.headers for request in server.requests] == [False, False]


def test_a_large_reply_is_read(serve: Serve) -> None:
    """The tree of a folder may have megabytes."""
    tree = [{"name": f"file {number}", "size": number} for number in range(50_000)]
    assert call(serve({PING: says(tree)}).url) == tree


def test_an_answer_that_is_too_large_is_refused(serve: Serve) -> None:
    """Whatever answers there cannot fill the memory."""
    assert call(serve({PING: says("x" * 998)}).url, largest_answer=1000) == "x" * 998
    with pytest.raises(TooLarge, match=r"^url: the answer to GET /rest/system/ping has more than 1000 bytes"):
        call(serve({PING: says("x" * 999)}).url, largest_answer=1000)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate", "br", "zstd", "x-unknown", "identity, gzip"])
def test_a_compressed_answer_is_refused(serve: Serve, encoding: str) -> None:
    """A few bytes could become gigabytes; Syncthing compresses nothing, and the bridge does not ask for it."""
    bomb = gzip.compress(gzip.compress(bytes(10_000_000)))
    server = serve({PING: Answer(body=bomb, headers={**KNOWN, "Content-Encoding": encoding})})
    with pytest.raises(BadReply, match="Turn compression off in front of Syncthing"):
        call(server.url)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_compressed_error_is_recognized_by_its_status(serve: Serve) -> None:
    """Its text is left out."""
    bomb = gzip.compress(bytes(10_000_000))
    with pytest.raises(Rejected, match="500") as raised:
        call(serve({PING: Answer(status=500, body=bomb, headers={**KNOWN, "Content-Encoding": "gzip"})}).url)
    assert "\ufffd" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("behaviour", [drips, drips_head, redirects(drips)], ids=["body", "head", "body of a redirect"])
def test_an_answer_that_drips_is_cut_off(serve: Serve, tmp_path: Path, behaviour: Behaviour, scheme: str) -> None:
    """Each byte comes in time, but the whole never would."""
    context = self_signed(tmp_path / "own").context if scheme == "https" else None
    with pytest.raises(TimedOut, match=r"did not answer within 0\.5 s"):
        call(serve({PING: behaviour}, context=context).url, timeout_s=0.5)


@pytest.mark.parametrize("behaviour", [redirects(floods), floods_with_error], ids=["redirect", "error"])
def test_the_body_of_what_is_no_success_is_read_only_in_part(serve: Serve, behaviour: Behaviour) -> None:
    """The library would read all of a redirect, to be able to follow it later."""
    with pytest.raises((NotSyncthing, Rejected)):
        call(serve({PING: behaviour}).url, timeout_s=60)


def test_all_attempts_together_have_one_timeout(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs up after a while is not waited for again and again."""
    monkeypatch.setattr(retry, "ATTEMPTS", 1_000_000_000)

    def closes_late(exchange: Exchange) -> None:
        exchange.server.ended.wait(0.2)
        exchange.close_connection = True

    server = serve({PING: closes_late})
    with pytest.raises((Unreachable, TimedOut)):
        call(server.url, timeout_s=0.5)
    assert len(server.requests) <= 3


def test_a_handshake_that_is_not_answered_is_not_waited_for_long(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is open, but nothing has been sent over it."""
    monkeypatch.setattr(adapters, "CONNECT_S", 0.2)
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


# --- a failure of one call


FAILURES_OF_ONE_CALL: Mapping[str, tuple[Behaviour, type[SyncthingError]]] = {
    "not found": (refuses(404, "no such folder"), NotFound),
    "no such path": (refuses(404, "404 page not found"), Unsupported),
    "wrong method": (refuses(405, "Method Not Allowed"), Unsupported),
    "error": (refuses(500, "leveldb: corrupted"), Rejected),
    "gateway timeout": (stranger(504, "<html>Gateway Timeout</html>"), TimedOut),
    "empty": (EMPTY, BadReply),
    "another shape": (says([1, 2]), BadReply),
    "HTML": (Answer(body=b"<html>", headers=KNOWN), BadReply),
    "cut JSON": (Answer(body=b'{"cut": ', headers=KNOWN), BadReply),
    "no UTF-8": (Answer(body=b'{"a": "\xff"}', headers=KNOWN), BadReply),
    "no gzip": (Answer(body=b"{}", headers={**KNOWN, "Content-Encoding": "gzip"}), BadReply),
    "too large": (says("x" * 2_000_000), TooLarge),
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
def test_a_call_that_fails_says_nothing_about_the_others(
    serve: Serve, connect: Connect, behaviour: Behaviour, error: type[SyncthingError]
) -> None:
    """The error belongs to the call, and the same client makes the next call as if nothing had happened."""
    server = serve({STATUS: behaviour, PING: says(PONG)})
    client = connect(server.url, timeout_s=3, largest_answer=1_000_000)
    assert client.get_ping() == PONG
    failed = failure_of(lambda: client.get_folder_status("docs"))
    assert type(failed) is error
    assert isinstance(failed, CallFailed)
    assert not isinstance(failed, SyncthingUnavailable)
    assert client.get_ping() == PONG


def test_an_answer_that_was_read_leaves_the_connection_open(serve: Serve, connect: Connect) -> None:
    """An error costs no new connection, unless its answer was not read to its end."""
    server = serve({STATUS: [refuses(500, "no"), Answer(body=b"{", headers=KNOWN), floods], PING: says(PONG)})
    client = connect(server.url, largest_answer=1_000_000)
    for connections in (1, 1, 2):
        failure_of(lambda: client.get_folder_status("docs"))
        client.get_ping()
        assert server.connections == connections


def test_a_timeout_names_the_call_with_its_query(serve: Serve, connect: Connect) -> None:
    """Whoever reads it knows which folder is slow, and which setting to change."""
    server = serve({STATUS: hangs})
    with pytest.raises(TimedOut, match=r"^timeout_s: GET /rest/db/status\?folder=photos did not answer within 0\.1 s"):
        connect(server.url, timeout_s=0.1).get_folder_status("photos")


def test_a_timeout_of_its_own_does_not_blame_the_setting(serve: Serve, connect: Connect) -> None:
    """A scan has a limit of its own, which `timeout_s` does not change; a long query is cut."""
    server = serve({SCAN: hangs})
    with pytest.raises(
        TimedOut, match=r"^url: .* POST /rest/db/scan\?folder=x{50,120}\.\.\. did not answer within 0\.1 s"
    ):
        connect(server.url).scan("x" * 1000, timeout_s=0.1)


def test_a_close_while_it_connects_ends_the_call(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, in_background: InBackground
) -> None:
    """A call that was connecting does not wait for its answer after the client is closed."""
    client = connect(serve({PING: hangs}).url, timeout_s=3600)

    def close_meanwhile(connection: socket.socket) -> None:
        client.close()
        enable_keepalive(connection)

    monkeypatch.setattr(adapters, "enable_keepalive", close_meanwhile)
    with pytest.raises(Unreachable):
        in_background(client.get_ping).result(30)


# --- what an error says


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
    """Errors go into logs and topics: they say what to mend, and keep the secret."""
    error = failure_of(lambda: call(serve({PING: failure}).url, timeout_s=0.1))
    assert str(error).startswith(("url: ", "api_key: ", "timeout_s: "))
    assert all(KEY not in text for text in chain_of(error))


@pytest.mark.parametrize("key", ["secret\r\nHost: evil", "secret\0", "secret\udc80", "secret…", ""])
def test_a_key_that_cannot_be_one_is_told_without_telling_it(serve: Serve, key: str) -> None:
    """A key with a character that is none of a key's is refused like any other that is wrong."""
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
    """Return the error that it ends in."""
    with pytest.raises(SyncthingError) as raised:
        what()
    return raised.value


def chain_of(error: BaseException) -> list[str]:
    """Return what a traceback would show of an error and of those that it comes from."""
    texts = [repr(error)]
    while (cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        texts.append(repr(cause))
        error = cause
    return texts
