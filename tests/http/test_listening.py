"""Listening sockets: made, taken over, refused; and behind TLS."""

import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from outdial.clock import SystemClock
from outdial.http import CannotListen, ServerLimits, adopt, listen, serving
from tests.support.wire import App, Wire, get, post, served


def test_an_address_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}"):
            listen("127.0.0.1", port)


async def test_two_servers_share_an_inherited_socket() -> None:
    with listen("127.0.0.1", 0) as owned:
        port = owned.getsockname()[1]
        async with serving(App(), adopt(os.dup(owned.fileno()))) as first:
            await first.drain()
            async with serving(App(), adopt(os.dup(owned.fileno()))):
                wire = await Wire.open(port)
                assert (await wire.ask(get())).status == 200
                await wire.close()


def test_only_listening_sockets_are_adopted() -> None:
    with socket.socket() as silent:
        with pytest.raises(CannotListen, match="does not listen"):
            adopt(silent.fileno())
        assert silent.fileno() >= 0
    with open(os.devnull) as file, pytest.raises(CannotListen, match=f"file descriptor {file.fileno()}"):
        adopt(file.fileno())


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The context of a server with a certificate of its own making, and of a client that trusts it."""
    key, moment = ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(moment - timedelta(days=1)).not_valid_after(moment + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    file = tmp_path / "both.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


async def test_tls_works_and_the_application_sees_it(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(App(admitted=3_000_000), tls=contexts[0]) as here:
        wire = await here.connect(ssl=contexts[1], server_hostname="localhost")
        assert (await wire.ask(get())).status == 200
        assert len((await wire.ask(post(b"x" * 2_000_000))).body) > 2_000_000
        assert (await wire.ask(get("connection: close"))).headers["connection"] == "close"
        assert await wire.rest() == b""
    assert all(head.secure and head.client == "127.0.0.1" for head, _ in here.app.asked)


async def test_a_rejected_body_gets_its_response_through_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    limits = ServerLimits(discard=1000, linger_s=0.2, sweep_s=0.05)
    async with served(App(admitted=100), tls=contexts[0], limits=limits) as here:
        wire = await here.connect(ssl=contexts[1], server_hostname="localhost")
        assert (await wire.ask(post(length=1_000_000))).status == 413
        assert await wire.rest() == b""


async def test_a_client_without_tls_affects_no_other(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(tls=contexts[0]) as here:
        plain = await here.connect()
        plain.send(get())
        assert b"HTTP" not in await plain.rest()
        wire = await here.connect(ssl=contexts[1], server_hostname="localhost")
        assert (await wire.ask(get())).status == 200
