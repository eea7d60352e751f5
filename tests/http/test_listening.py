"""Listening sockets: made, taken over, refused; and behind TLS."""

import os
import socket
import ssl

import pytest

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
