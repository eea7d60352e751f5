"""No secret travels unencrypted: TLS 1.2 or later, no public listener without it, no plain HTTP through a proxy."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from outdial.host.gateway.tls import TlsCertificate, certificate_of, open_listener, plain_http_response
from outdial.host.wire.errors import BadConfig
from outdial.host.wire.responses import ErrorResponse
from outdial.http import HttpResponse, RequestHead, url_of
from outdial.http.errors import CannotListen


def make_certificate(directory: Path, encryption: KeySerializationEncryption = NoEncryption()) -> TlsCertificate:
    """Write a self-signed certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    chain, private = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return TlsCertificate(chain, private)


async def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Return the negotiated TLS version."""
    spoken: asyncio.Queue[str | None] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        spoken.put_nowait(writer.get_extra_info("ssl_object").version())
        writer.close()
        await writer.wait_closed()
    return await spoken.get()


def client_of(certificate: TlsCertificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.chain))


async def test_serves_a_client_that_trusts_the_certificate(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    assert await handshake(certificate.context(), client_of(certificate)) == "TLSv1.3"

    older = client_of(certificate)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await handshake(certificate.context(), older) == "TLSv1.2"


def test_rejects_protocols_older_than_tls_1_2(tmp_path: Path) -> None:
    assert make_certificate(tmp_path).context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_names_invalid_files(tmp_path: Path) -> None:
    good = make_certificate(tmp_path)
    with pytest.raises(BadConfig, match=r"nowhere\.pem"):
        TlsCertificate(tmp_path / "nowhere.pem", good.key).context()
    (tmp_path / "other").mkdir()
    with pytest.raises(BadConfig, match=r"chain\.pem"):
        TlsCertificate(good.chain, make_certificate(tmp_path / "other").key).context()


def test_rejects_an_encrypted_key_without_a_prompt(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="passphrase"):
        make_certificate(tmp_path, BestAvailableEncryption(b"secret")).context()


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    assert certificate_of(None, None) is None
    with pytest.raises(BadConfig, match="both --cert and --key"):
        certificate_of(tmp_path / "chain.pem", None)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.0.2.7", "example.com"])
def test_a_listener_open_to_the_network_needs_tls(host: str) -> None:
    with pytest.raises(BadConfig, match="without TLS"):
        open_listener(host, 0)


@pytest.mark.parametrize("allowed", [{"tls": True}, {"behind_proxy": True}])
def test_with_tls_or_a_proxy_a_listener_may_be_public(allowed: dict[str, bool]) -> None:
    with open_listener("0.0.0.0", 0, **allowed) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_a_listener_has_its_address_exclusively() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        assert url_of(listener, tls=True) == f"https://127.0.0.1:{port}"
        with pytest.raises(CannotListen, match=str(port)):
            open_listener("127.0.0.1", port)


def asked(method: str, protocol: str | None, *, host: str = "api.example.com", query: str = "") -> RequestHead:
    headers = [(b"host", host.encode())]
    if protocol is not None:
        headers.append((b"x-forwarded-proto", protocol.encode()))
    return RequestHead(method, "/functions/v1/hello", query, headers)


@pytest.mark.parametrize("protocol", ["https", "HTTPS", "https, http", None])
def test_accepts_requests_over_https(protocol: str | None) -> None:
    assert plain_http_response(asked("POST", protocol)) is None


def test_redirects_get_from_plain_http() -> None:
    answer = plain_http_response(asked("GET", "http", query="a=1"))
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.headers) == (308, [(b"location", b"https://api.example.com/functions/v1/hello?a=1")])


def test_rejects_other_methods_over_plain_http() -> None:
    refusal = plain_http_response(asked("POST", "http"))
    assert isinstance(refusal, ErrorResponse)
    assert (refusal.status, refusal.code) == (403, "HTTPS_REQUIRED")
    assert "plain HTTP" in refusal.message


@pytest.mark.parametrize("host", ["", "a b", "example.com/..", "user@example.com", "example.com\\"])
def test_never_redirects_to_an_invalid_host(host: str) -> None:
    assert isinstance(plain_http_response(asked("GET", "http", host=host)), ErrorResponse)
