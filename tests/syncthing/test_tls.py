"""Certificates: which ones each `verify` setting accepts, and that no other server gets the key."""

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
    answers,
    drips,
    drips_head,
    floods,
    hangs,
    redirects,
    stranger,
)

PONG = {"ping": "pong"}


@pytest.fixture
def own(tmp_path: Path) -> Certificate:
    """A certificate like the one that Syncthing creates for itself."""
    return self_signed(tmp_path / "own")


@pytest.fixture
def other(tmp_path: Path) -> Certificate:
    """A second certificate of the same kind."""
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
    """Return the answers of Syncthing."""
    return {"/rest/system/ping": answers(PONG)}


def refusal(connect: Connect, server: ScriptedServer, verify: str) -> SyncthingUnavailable:
    """Return the error for a certificate that is not accepted; the server must not have received a request."""
    with pytest.raises(TlsFailure) as raised:
        connect(server.url, verify=verify).get_ping()
    assert server.requests == []
    return raised.value


# --- system


def test_a_certificate_of_a_trusted_authority_is_accepted(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """The setting `system` checks certificates like a browser."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.1").context)
    assert connect(server.url, verify="system").get_ping() == PONG


def test_a_certificate_for_another_address_is_refused(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """A trusted authority is not sufficient: the address must match, too."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.2").context)
    assert "it is for another address" in str(refusal(connect, server, "system"))


def test_a_certificate_for_another_host_is_refused(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """The host name must match as well."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.1").context)
    with pytest.raises(TlsFailure, match="it is for another host name"):
        connect(f"https://localhost:{server.port}", verify="system").get_ping()
    assert server.requests == []


def test_an_expired_certificate_is_refused(serve: Serve, connect: Connect, trusted: Authority) -> None:
    """A certificate is valid only for its time."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.1", days=-1).context)
    assert "expired" in str(refusal(connect, server, "system"))


def test_the_error_of_a_refused_certificate_contains_its_pin(serve: Serve, connect: Connect, own: Certificate) -> None:
    """Users can copy the fix for Syncthing's own certificate from the message."""
    server = serve(table(), context=own.context)
    answers = str(refusal(connect, server, "system"))
    assert answers.startswith(f"verify: the certificate of {server.url} is not accepted (self-signed)")
    pin = f"sha256:{own.fingerprint}"
    assert f'set verify = "{pin}"' in answers
    assert connect(server.url, verify=pin).get_ping() == PONG


# --- a file


def test_the_certificate_of_syncthing_is_accepted_by_its_file(serve: Serve, connect: Connect, own: Certificate) -> None:
    """The file is trusted under any name, because it contains the host name of its machine, and no address."""
    server = serve(table(), context=own.context)
    assert connect(server.url, verify=str(own.file)).get_ping() == PONG


def test_a_certificate_is_accepted_by_the_file_of_its_authority(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    """The file may contain the certificate of a private authority."""
    authority = Authority(tmp_path, "private")
    server = serve(table(), context=authority.certificate_for("127.0.0.1").context)
    assert connect(server.url, verify=str(authority.file)).get_ping() == PONG


def test_a_certificate_of_the_authority_in_the_file_for_another_address_is_refused(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """Otherwise any server with a certificate of that authority would get the API key."""
    authority = Authority(tmp_path, "private")
    server = serve(table(), context=authority.certificate_for("127.0.0.2").context)
    assert "it is for another host name or address" in str(refusal(connect, server, str(authority.file)))


def test_a_certificate_beside_its_authority_in_the_file_is_accepted_for_every_address(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """Adding the certificate itself to the file pins it. Other certificates of the authority are not pinned."""
    authority = Authority(tmp_path, "private")
    pinned, unpinned = authority.certificate_for("127.0.0.2"), authority.certificate_for("127.0.0.3")
    file = tmp_path / "both.pem"
    file.write_bytes(authority.file.read_bytes() + pinned.file.read_bytes())
    assert connect(serve(table(), context=pinned.context).url, verify=str(file)).get_ping() == PONG
    refusal(connect, serve(table(), context=unpinned.context), str(file))


def test_a_certificate_is_accepted_by_its_own_file_whatever_signed_it(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    """A certificate from an authority works like one that Syncthing created."""
    bought = Authority(tmp_path, "private").certificate_for("127.0.0.1")
    server = serve(table(), context=bought.context)
    assert connect(server.url, verify=str(bought.file)).get_ping() == PONG


def test_only_the_file_is_trusted(serve: Serve, connect: Connect, own: Certificate, other: Certificate) -> None:
    """Another certificate for the same host is refused."""
    server = serve(table(), context=other.context)
    assert "self-signed" in str(refusal(connect, server, str(own.file)))


def test_with_a_file_no_authority_of_the_system_is_trusted(
    serve: Serve, connect: Connect, own: Certificate, trusted: Authority
) -> None:
    """The file replaces the authorities of the system."""
    server = serve(table(), context=trusted.certificate_for("127.0.0.2").context)
    refusal(connect, server, str(own.file))


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_an_unusable_certificate_file_is_reported_for_the_setting(tmp_path: Path, content: str | None) -> None:
    """A wrong path is reported before anything is sent."""
    file = tmp_path / "cert.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=f"^verify: cannot use the certificate file {file} "):
        tls_context(str(file))


# --- a pin


@pytest.mark.parametrize("written", [str, str.upper, lambda pin: bytes.fromhex(pin).hex(":")])
def test_a_pinned_certificate_is_accepted_without_other_checks(
    serve: Serve, connect: Connect, tmp_path: Path, written: Callable[[str], str]
) -> None:
    """Authority, name and time are not checked. The pin may have upper case digits and colons."""
    expired = Authority(tmp_path, "private").certificate_for("127.0.0.2", days=-1)
    server = serve(table(), context=expired.context)
    assert connect(server.url, verify=f"sha256:{written(expired.fingerprint)}").get_ping() == PONG


def test_another_certificate_than_the_pinned_one_gets_no_key(
    serve: Serve, connect: Connect, own: Certificate, other: Certificate
) -> None:
    """The fingerprint is compared before anything is sent."""
    server = serve(table(), context=other.context)
    answers = str(refusal(connect, server, f"sha256:{own.fingerprint}"))
    assert "its fingerprint is not the pinned one" in answers
    assert other.fingerprint in answers


def test_an_incomplete_pin_accepts_no_certificate(serve: Serve, connect: Connect, own: Certificate) -> None:
    """Half a fingerprint does not match."""
    server = serve(table(), context=own.context)
    refusal(connect, server, f"sha256:{own.fingerprint[:30]}")


def test_a_certificate_that_changes_is_refused_from_then_on(
    serve: Serve, connect: Connect, own: Certificate, other: Certificate
) -> None:
    """Every new connection is checked again."""
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
    """The setting `off` disables the check without a warning, because the user chose it."""
    server = serve(table(), context=own.context)
    assert connect(server.url, verify="off").get_ping() == PONG


def test_on_loopback_certificates_are_not_checked_by_default(serve: Serve, connect: Connect, own: Certificate) -> None:
    """A client on the same machine needs only the key, although Syncthing's certificate is self-signed."""
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
def test_certificates_are_checked_by_default_except_on_loopback(url: str, verify: str) -> None:
    """For any other address, an attacker could be in between."""
    assert default_verify(url) == verify


# --- problems other than certificates


def test_https_to_an_http_server_is_reported(serve: Serve, connect: Connect) -> None:
    """The error for an https address of an http server must not blame the certificate."""
    server = serve(table())
    with pytest.raises(TlsFailure, match=r"^url: .* does not speak TLS. Use http://"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()


def test_http_to_an_https_server_is_reported_with_its_address(serve: Serve, connect: Connect, own: Certificate) -> None:
    """A server that accepts only TLS closes the connection, and the error contains its address."""
    server = serve(table(), context=own.context)
    with pytest.raises(SyncthingUnavailable, match=rf"^url: http://127.0.0.1:{server.port} "):
        connect(f"http://127.0.0.1:{server.port}").get_ping()


def test_a_server_without_tls_has_no_fingerprint(serve: Serve) -> None:
    """Without TLS there is no certificate to show."""
    server = serve(table())
    assert seen_fingerprint(f"https://127.0.0.1:{server.port}") is None
    server.stop()
    assert seen_fingerprint(f"https://127.0.0.1:{server.port}") is None


@pytest.mark.parametrize("verify", [SYSTEM, OFF, "sha256:00"])
def test_old_versions_of_tls_are_refused(verify: str) -> None:
    """Insecure versions are refused, whatever is checked of the certificate."""
    assert tls_context(verify).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_the_authorities_of_the_system_are_loaded_once() -> None:
    """There are many authorities, and a bridge has many clients."""
    assert tls_context(SYSTEM) is tls_context(SYSTEM)


def test_a_migration_page_in_plain_http_means_that_syncthing_is_starting(serve: Serve, connect: Connect) -> None:
    """Syncthing 2 migrates the database of version 1 behind a temporary page. The key is not sent in plain text."""
    server = serve({"/": stranger(200, "*** Database migration in progress ***")})
    with pytest.raises(Starting, match=r"^url: .* is migrating its database"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()
    assert {request.line for request in server.requests} == {"GET /"}
    assert not any("X-API-Key" in request.headers for request in server.requests)


@pytest.mark.parametrize("behaviour", [drips, drips_head, hangs, redirects(floods)])
def test_a_plain_http_server_does_not_delay_calls(serve: Serve, connect: Connect, behaviour: Behaviour) -> None:
    """It gets one request for the migration page, with a deadline, and redirects are not read to their end."""
    server = serve({"/": behaviour})
    with pytest.raises(TlsFailure, match="does not speak TLS"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()
    assert server.lines == ["GET /"]


def test_a_stop_cuts_off_the_request_for_the_migration_page(
    serve: Serve, connect: Connect, in_background: InBackground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request may delay a stop."""
    monkeypatch.setattr(transport, "PLAIN_S", 600.0)
    server = serve({"/": hangs})
    client = connect(f"https://127.0.0.1:{server.port}", timeout_s=600.0)
    waiting = in_background(client.get_ping)
    server.wait_until_hanging()
    client.close()
    assert isinstance(waiting.exception(timeout=30), SyncthingUnavailable)


def test_a_page_about_another_migration_does_not_count(serve: Serve, connect: Connect) -> None:
    """Otherwise the bridge would wait for it without end."""
    server = serve({"/": stranger(200, "<h1>This site is moving: migration to a new host</h1>")})
    with pytest.raises(TlsFailure, match="does not speak TLS"):
        connect(f"https://127.0.0.1:{server.port}").get_ping()
