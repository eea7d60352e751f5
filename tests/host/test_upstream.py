"""Requests of /auth/v1 are forwarded to the Auth server with the client address."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from outdial.host.gateway import upstream as upstream_module
from outdial.host.gateway.upstream import MAX_BODY_BYTES, SETTING, AuthUpstream
from outdial.host.wire.responses import server_error
from outdial.http import HttpResponse, RequestHead, listen, serving
from outdial.settings import SettingError
from tests.support.gateway import GatewayHarness, make_harness


class Behind:
    """Responds with the request that it received."""

    def __init__(self) -> None:
        self.heads: list[RequestHead] = []
        self.bodies: list[bytes] = []

    def admit(self, head: RequestHead) -> int | HttpResponse:
        return MAX_BODY_BYTES

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        self.heads.append(head)
        self.bodies.append(body)
        return HttpResponse(403, [(b"x-sb-error-code", b"bad_jwt"), (b"access-control-allow-origin", b"*")], b"{}")


@pytest.fixture
async def behind() -> AsyncIterator[tuple[Behind, str]]:
    app, listener = Behind(), listen("127.0.0.1", 0)
    async with serving(app, listener):
        yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"


async def ask(harness: GatewayHarness, method: str, path: str, **options: object) -> tuple[int, dict[str, str], bytes]:
    listener = listen("127.0.0.1", 0)
    async with serving(harness.gateway, listener, error_response=server_error), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{path}"
        async with session.request(method, url, **options) as response:  # type: ignore[arg-type]
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status, headers, await response.read()


async def test_forwards_requests_and_responses(behind: tuple[Behind, str]) -> None:
    app, address = behind
    harness = make_harness()
    harness.operations.auth = upstream = AuthUpstream(address)
    forged = {"x-forwarded-for": "198.51.100.1", "authorization": "Bearer x"}
    status, headers, body = await ask(harness, "POST", "/auth/v1/token?grant_type=password", data=b"{}", headers=forged)
    await upstream.close()

    assert (status, headers["x-sb-error-code"], body) == (403, "bad_jwt", b"{}")
    [head] = app.heads
    assert (head.method, head.path, head.query) == ("POST", "/auth/v1/token", "grant_type=password")
    assert app.bodies == [b"{}"]
    told = dict(head.headers)
    assert told[b"authorization"] == b"Bearer x"
    # Forwarding headers of the client are ignored.
    assert told[b"x-forwarded-for"] == b"127.0.0.1"


@pytest.mark.parametrize(("proxies", "client"), [(1, "10.0.0.8"), (2, "203.0.113.9")])
async def test_behind_proxies_auth_gets_the_client_that_they_report(
    behind: tuple[Behind, str], proxies: int, client: str
) -> None:
    app, address = behind
    harness = make_harness()
    harness.operations.auth = upstream = AuthUpstream(address, proxies)
    headers = {"x-forwarded-for": "192.0.2.77, 203.0.113.9, 10.0.0.8", "x-forwarded-proto": "https"}
    await ask(harness, "POST", "/auth/v1/token", data=b"{}", headers=headers)
    await upstream.close()
    [head] = app.heads
    told = [pair for pair in head.headers if pair[0].startswith(b"x-forwarded")]
    assert told == [(b"x-forwarded-for", client.encode()), (b"x-forwarded-proto", b"https")]


async def test_forwards_preflights(behind: tuple[Behind, str]) -> None:
    app, address = behind
    harness = make_harness()
    harness.operations.auth = upstream = AuthUpstream(address)
    await ask(harness, "OPTIONS", "/auth/v1/token")
    await upstream.close()
    assert [head.method for head in app.heads] == ["OPTIONS"]


async def test_an_unreachable_server_is_a_502_with_cors_headers() -> None:
    harness = make_harness()
    harness.operations.auth = upstream = AuthUpstream("http://127.0.0.1:1")
    status, headers, _ = await ask(harness, "GET", "/auth/v1/user")
    await upstream.close()
    assert (status, headers["sb-error-code"], headers["access-control-allow-origin"]) == (502, "AUTH_UNREACHABLE", "*")


async def test_rejects_a_long_body_before_reading_it(behind: tuple[Behind, str]) -> None:
    app, address = behind
    harness = make_harness()
    harness.operations.auth = upstream = AuthUpstream(address)
    status, _, _ = await ask(harness, "POST", "/auth/v1/token", data=b"x" * (MAX_BODY_BYTES + 1))
    await upstream.close()
    assert (status, app.heads) == (413, [])


@pytest.mark.parametrize("address", ["127.0.0.1:54323", "localhost", "ftp://studio", "http://"])
def test_an_invalid_address_prevents_the_start(address: str) -> None:
    with pytest.raises(SettingError, match=SETTING):
        AuthUpstream(address)


async def test_gives_up_on_a_slow_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "_TIMEOUT_S", 0.05)
    silent = listen("127.0.0.1", 0)
    harness = make_harness()
    harness.operations.auth = upstream = AuthUpstream(f"http://127.0.0.1:{silent.getsockname()[1]}")
    status, headers, _ = await ask(harness, "GET", "/auth/v1/user")
    await upstream.close()
    silent.close()
    assert (status, headers["sb-error-code"]) == (502, "AUTH_UNREACHABLE")


async def test_without_an_upstream_auth_is_not_found() -> None:
    status, _, _ = await ask(make_harness(), "GET", "/auth/v1/health")
    assert status == 404
