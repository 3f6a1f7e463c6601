"""Certificates: what each `verify` accepts, and that the key goes to nobody else."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stbridge.errors import SettingsError, Starting, SyncthingUnavailable, TlsFailure
from stbridge.syncthing import transport
from stbridge.syncthing.tls import OFF, SYSTEM, default_verify, seen_fingerprint, system_context, tls_context
from tests.certificates import Authority, Certificate, self_signed
from tests.syncthing.conftest import Connect, InBackground, Serve
from tests.syncthing.server import (
    Behaviour,
    ScriptedServer,
    Table,
    drips,
    drips_head,
    floods,
    hangs,
    redirects,
    says,
    stranger,
)

PONG = {"ping": "pong"}


@pytest.fixture
def own(tmp_path: Path) -> Certificate:
    """A certificate as Syncthing makes for itself."""
    return self_signed(tmp_path / "own")


@pytest.fixture
def other(tmp_path: Path) -> Certificate:
    """Another one of the same kind."""
    return self_signed(tmp_path / "other")


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """An authority that this machine trusts."""
    authority = Authority(tmp_path, "trusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    system_context.cache_clear()
    yield authority
    system_context.cache_clear()


def table() -> Table:
    """Return what a Syncthing would answer."""
    return {"/rest/system/ping": says(PONG)}


def refusal(connect: Connect, server: ScriptedServer, verify: str) -> SyncthingUnavailable:
    """Return the error of a certificate that is not accepted; nothing was sent to that server."""
    with pytest.raises(TlsFailure) as raised:
        connect(server.url, verify=verify).get_ping()
    assert server.requests == []
    return raised.value


# --- system


def test_a_certificate_of_a_trusted_authority_is_accepted(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """`system` is what browsers do."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.1").context)
    assert connect(server.url, verify="system").get_ping() == PONG


def test_a_certificate_for_another_address_is_refused(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """The authority is not enough: the address must fit, too."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.2").context)
    assert "it is for another address" in str(refusal(connect, server, "system"))


def test_a_certificate_for_another_host_is_refused(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """A host name must fit as well."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.1").context)
    with pytest.raises(TlsFailure, match="it is for another host name"):
        connect(f"https://localhost:{server.port}", verify="system").get_ping()
    assert server.requests == []


def test_an_expired_certificate_is_refused(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """A certificate is good for its time only."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.1", days=-1).context)
    assert "expired" in str(refusal(connect, server, "system"))


def test_a_refused_certificate_is_told_with_the_pin_that_would_accept_it(
    serve: Serve, connect: Connect, own: Certificate
) -> None:
    """Whoever finds Syncthing's own certificate refused can copy the cure from the message."""
    server = serve(table(), context=own.context)
    says = str(refusal(connect, server, "system"))
    assert says.startswith(f"verify: the certificate of {server.url} is not accepted (self-signed)")
    pin = f"sha256:{own.fingerprint}"
    assert f'set verify = "{pin}"' in says
    assert connect(server.url, verify=pin).get_ping() == PONG


# --- a file


def test_syncthings_own_certificate_is_accepted_by_its_file(serve: Serve, connect: Connect, own: Certificate) -> None:
    """The file is trusted under whatever name it is met: it holds the host name of its machine, and no address."""
    server = serve(table(), context=own.context)
    assert connect(server.url, verify=str(own.file)).get_ping() == PONG


def test_a_certificate_is_accepted_by_the_file_of_its_authority(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    """The file may be that of a private authority."""
    authority = Authority(tmp_path, "private")
    server = serve(table(), context=authority.certificate_for("127.0.0.1").context)
    assert connect(server.url, verify=str(authority.file)).get_ping() == PONG


def test_a_certificate_of_the_authority_in_the_file_for_another_address_is_refused(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """Otherwise everybody with any certificate of that authority would get the API key."""
    authority = Authority(tmp_path, "private")
    server = serve(table(), context=authority.certificate_for("127.0.0.2").context)
    assert "it is for another host name or address" in str(refusal(connect, server, str(authority.file)))


def test_a_certificate_beside_its_authority_in_the_file_is_accepted_for_every_address(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """Whoever puts the certificate itself into the file has pinned it; another one of the authority is not pinned."""
    authority = Authority(tmp_path, "private")
    pinned, unpinned = authority.certificate_for("127.0.0.2"), authority.certificate_for("127.0.0.3")
    file = tmp_path / "both.pem"
    file.write_bytes(authority.file.read_bytes() + pinned.file.read_bytes())
    assert connect(serve(table(), context=pinned.context).url, verify=str(file)).get_ping() == PONG
    refusal(connect, serve(table(), context=unpinned.context), str(file))


def test_a_certificate_is_accepted_by_its_own_file_whoever_signed_it(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """A certificate that was bought is as good a file as one that Syncthing made."""
    bought = Authority(tmp_path, "private").certificate_for("127.0.0.1")
    server = serve(table(), context=bought.context)
    assert connect(server.url, verify=str(bought.file)).get_ping() == PONG


def test_only_the_file_is_trusted(serve: Serve, connect: Connect, own: Certificate, other: Certificate) -> None:
    """Another certificate is refused, though it is for the same host."""
    server = serve(table(), context=other.context)
    assert "self-signed" in str(refusal(connect, server, str(own.file)))


def test_with_a_file_no_authority_of_the_system_counts(
    serve: Serve, connect: Connect, own: Certificate, trusted: Authority
) -> None:
    """Whoever names a file trusts nobody else."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.2").context)
    refusal(connect, server, str(own.file))


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_that_cannot_be_used_is_a_fault_of_the_setting(tmp_path: Path, content: str | None) -> None:
    """A wrong path shows before anything is sent."""
    file = tmp_path / "cert.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=f"^verify: cannot use the certificate file {file} "):
        tls_context(str(file))


# --- a pin


@pytest.mark.parametrize("written", [str, str.upper, lambda pin: bytes.fromhex(pin).hex(":")])
def test_a_pinned_certificate_is_accepted_whatever_else_is_wrong_with_it(
    serve: Serve, connect: Connect, tmp_path: Path, written: Callable[[str], str]
) -> None:
    """With a pin neither authority nor name nor time counts; digits may be large, and have colons between them."""
    expired = Authority(tmp_path, "private").certificate_for("127.0.0.2", days=-1)
    server = serve(table(), context=expired.context)
    assert connect(server.url, verify=f"sha256:{written(expired.fingerprint)}").get_ping() == PONG


def test_another_certificate_than_the_pinned_one_gets_no_key(
    serve: Serve, connect: Connect, own: Certificate, other: Certificate
) -> None:
    """The fingerprint is compared before anything is sent."""
    server = serve(table(), context=other.context)
    says = str(refusal(connect, server, f"sha256:{own.fingerprint}"))
    assert "its fingerprint is not the pinned one" in says
    assert other.fingerprint in says


def test_a_pin_that_is_no_fingerprint_accepts_nothing(serve: Serve, connect: Connect, own: Certificate) -> None:
    """Half a fingerprint is no fingerprint."""
    server = serve(table(), context=own.context)
    refusal(connect, server, f"sha256:{own.fingerprint[:30]}")


def test_a_certificate_that_changes_is_refused_from_then_on(
    serve: Serve, connect: Connect, own: Certificate, other: Certificate
) -> None:
    """Every new connection is checked anew."""
    context = own.context
    server = serve(table(), context=context)
    client = connect(server.url, verify=f"sha256:{own.fingerprint}")
    assert client.get_ping() == PONG
    context.load_cert_chain(other.file, other.key)
    server.hang_up()
    with pytest.raises(TlsFailure, match="its fingerprint is not the pinned one"):
        client.get_ping()
    assert len(server.requests) == 1


# --- off, and the default


def test_without_a_check_every_certificate_is_accepted(serve: Serve, connect: Connect, own: Certificate) -> None:
    """`off` asks for nothing, and warns of nothing: it was asked for."""
    server = serve(table(), context=own.context)
    assert connect(server.url, verify="off").get_ping() == PONG


def test_on_loopback_no_check_is_the_default(serve: Serve, connect: Connect, own: Certificate) -> None:
    """A client for this machine needs nothing but the key, though Syncthing's certificate is its own."""
    server = serve(table(), context=own.context)
    assert connect(server.url).get_ping() == PONG


@pytest.mark.parametrize(
    ("url", "verify"),
    [
        ("https://127.0.0.1:8384", OFF),
        ("https://127.9.9.9", OFF),
        ("https://[::1]:8384", OFF),
        ("https://localhost:8384", OFF),
        ("https://nas.localhost", OFF),
        ("https://nas:8384", SYSTEM),
        ("https://192.168.1.2:8384", SYSTEM),
        ("https://localhost.example", SYSTEM),
        ("unix:///run/syncthing.sock", SYSTEM),
    ],
)
def test_only_loopback_is_believed_by_default(url: str, verify: str) -> None:
    """Where somebody could sit in between, the certificate is checked unless told otherwise."""
    assert default_verify(url) == verify


# --- what is no matter of certificates


def test_tls_to_a_server_without_it_says_so(serve: Serve, connect: Connect) -> None:
    """An https address of a server that speaks http is told as such, and not as a wrong certificate."""
    server = serve(table())
    with pytest.raises(TlsFailure, match=r"^url: .* does not speak TLS. Use http://"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()


def test_http_to_a_server_with_tls_says_where(serve: Serve, connect: Connect, own: Certificate) -> None:
    """A server that speaks nothing but TLS ends the connection: that is told with the address."""
    server = serve(table(), context=own.context)
    with pytest.raises(SyncthingUnavailable, match=rf"^url: http://127.0.0.1:{server.port} "):
        connect(f"http://127.0.0.1:{server.port}").get_ping()


def test_the_fingerprint_of_nobody_is_none(serve: Serve) -> None:
    """Where no TLS is spoken there is no certificate to be shown."""
    server = serve(table())
    assert seen_fingerprint(f"https://127.0.0.1:{server.port}") is None
    server.stop()
    assert seen_fingerprint(f"https://127.0.0.1:{server.port}") is None


@pytest.mark.parametrize("verify", [SYSTEM, OFF, "sha256:00"])
def test_old_versions_of_tls_are_refused(verify: str) -> None:
    """Whatever is checked of the certificate, what has been broken long ago is not spoken."""
    assert tls_context(verify).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_the_authorities_of_the_system_are_loaded_once() -> None:
    """There are many, and a bridge has many clients."""
    assert tls_context(SYSTEM) is tls_context(SYSTEM)


def test_a_migration_in_plain_http_on_the_port_of_tls_is_a_start(serve: Serve, connect: Connect) -> None:
    """Syncthing 2 migrates the database of version 1 behind a temporary page; the key is not sent in plain text."""
    server = serve({"/": stranger(200, "*** Database migration in progress ***")})
    with pytest.raises(Starting, match=r"^url: .* is migrating its database"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()
    assert {request.line for request in server.requests} == {"GET /"}
    assert not any("X-API-Key" in request.headers for request in server.requests)


@pytest.mark.parametrize("behaviour", [drips, drips_head, hangs, redirects(floods)])
def test_a_server_of_plain_http_delays_no_call_by_much(serve: Serve, connect: Connect, behaviour: Behaviour) -> None:
    """It is asked once whether it migrates, within a deadline, and no redirect is read to its end."""
    server = serve({"/": behaviour})
    with pytest.raises(TlsFailure, match="does not speak TLS"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()
    assert server.lines == ["GET /"]


def test_the_question_whether_it_migrates_is_cut_off_by_a_stop(
    serve: Serve, connect: Connect, in_background: InBackground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing may delay a stop."""
    monkeypatch.setattr(transport, "PLAIN_S", 600.0)
    server = serve({"/": hangs})
    client = connect(f"https://127.0.0.1:{server.port}", timeout_s=600.0)
    waiting = in_background(client.get_ping)
    server.wait_until_hanging()
    client.close()
    assert isinstance(waiting.exception(timeout=30), SyncthingUnavailable)


def test_a_page_about_another_migration_is_none_of_syncthing(serve: Serve, connect: Connect) -> None:
    """It would be waited for without end."""
    server = serve({"/": stranger(200, "<h1>This site is moving: migration to a new host</h1>")})
    with pytest.raises(TlsFailure, match="does not speak TLS"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()
