"""What the studio makes of an Auth's answers: ours on a real socket, and answers that ours never gives."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from outdial.auth.client import (
    AuthClient,
    AuthUnavailable,
    BadCredentials,
    SessionActive,
    SignedIn,
    SignedOut,
    TooManyAttempts,
)
from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY
from outdial.auth.local.app import create_auth
from outdial.auth.local.service import ACCESS_LIVES
from outdial.auth.local.throttle import MOST_FOR_CLIENT, MOST_FOR_EMAIL, WINDOW
from outdial.http import HttpResponse, RequestHead, listen, serving
from tests.auth.local.conftest import EMAIL, KEYRING, PASSWORD, World
from tests.support.factories import NOW
from tests.support.sockets import on_a_socket


@pytest.fixture
async def client(world: World) -> AsyncIterator[AuthClient]:
    """A client of our Auth, where Ada may sign in."""
    app = create_auth(world.auth, world.keys, KEYRING, world.clock)
    async with on_a_socket(app) as url, AuthClient(url + "/", LOCAL_PUBLISHABLE_KEY) as made:
        yield made


async def test_a_user_signs_in_refreshes_and_signs_out(client: AuthClient, world: World) -> None:
    first = await client.sign_in(EMAIL, PASSWORD, address="203.0.113.9")
    assert isinstance(first, SignedIn)
    assert (first.user_id, first.email, first.expires_at) == (world.ada.id, EMAIL, NOW + ACCESS_LIVES)
    assert first.access_token not in repr(first)
    assert first.refresh_token not in repr(first)

    world.clock.advance(timedelta(minutes=30))
    second = await client.refresh(first.refresh_token)
    assert isinstance(second, SignedIn)
    assert second.expires_at == NOW + timedelta(minutes=30) + ACCESS_LIVES
    for _ in range(2):
        assert await client.sign_out(second.access_token) == SignedOut()
    assert await client.refresh(second.refresh_token) == BadCredentials()


async def test_a_token_is_checked_against_its_session(client: AuthClient, world: World) -> None:
    first = await client.sign_in(EMAIL, PASSWORD)
    assert isinstance(first, SignedIn)
    assert await client.check_session(first.access_token) == SessionActive()
    await client.sign_out(first.access_token)
    assert await client.check_session(first.access_token) == SignedOut()
    second = await client.sign_in(EMAIL, PASSWORD)
    assert isinstance(second, SignedIn)
    await world.auth.delete_user(world.ada.id)
    assert await client.check_session(second.access_token) == SignedOut()


async def test_a_wrong_password_differs_from_too_many_attempts(client: AuthClient) -> None:
    told = [await client.sign_in(EMAIL, "wrong") for _ in range(MOST_FOR_EMAIL + 1)]
    assert told == [BadCredentials()] * MOST_FOR_EMAIL + [TooManyAttempts(WINDOW.total_seconds())]


async def test_attempts_are_counted_per_browser_address(client: AuthClient) -> None:
    for number in range(MOST_FOR_CLIENT):
        await client.sign_in(f"user{number}@example.com", "wrong", address="203.0.113.9")
    assert isinstance(await client.sign_in(EMAIL, PASSWORD, address="203.0.113.9"), TooManyAttempts)
    assert isinstance(await client.sign_in(EMAIL, PASSWORD, address="203.0.113.10"), SignedIn)


class Says:
    """Answers everything alike."""

    def __init__(
        self, status: int, body: bytes, header: tuple[bytes, bytes] = (b"content-type", b"application/json")
    ) -> None:
        self.answer = HttpResponse(status, [header], body)

    def admit(self, head: RequestHead) -> int | HttpResponse:
        return 1 << 16

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        return self.answer


USER = {"id": "018f3b5e-0000-7000-8000-000000000001", "email": None}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, SessionActive), (403, SignedOut), (404, SignedOut), (401, AuthUnavailable), (500, AuthUnavailable)],
)
async def test_only_a_refused_token_ends_a_session(status: int, kind: type) -> None:
    """A rejected API key, or a failure of Auth, must not sign everyone out."""
    listener = listen("127.0.0.1", 0)
    async with (
        serving(Says(status, b"{}"), listener),
        AuthClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "key") as client,
    ):
        assert isinstance(await client.check_session("token"), kind)


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        (Says(401, b'{"message": "No API key found in request"}'), AuthUnavailable),
        (Says(500, b"<html>"), AuthUnavailable),
        (Says(200, b"{"), AuthUnavailable),
        (Says(200, b"[]"), AuthUnavailable),
        (Says(200, b'{"access_token": "a", "refresh_token": "b", "expires_in": 1}'), AuthUnavailable),
        (Says(302, b"", (b"location", b"https://example.com/")), AuthUnavailable),
        (Says(429, b"{}"), TooManyAttempts),
        (Says(400, b"{}"), BadCredentials),
        (
            # An older Supabase Auth does not tell expires_at.
            Says(200, json.dumps({"access_token": "a", "refresh_token": "b", "expires_in": 60, "user": USER}).encode()),
            SignedIn,
        ),
    ],
)
async def test_each_response_maps_to_one_result(app: Says, kind: type) -> None:
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener), AuthClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "key") as client:
        assert isinstance(await client.sign_in(EMAIL, PASSWORD), kind)


async def test_an_unreachable_auth_is_not_a_wrong_password() -> None:
    async with AuthClient("http://127.0.0.1:1", "key") as client:
        assert isinstance(await client.sign_in(EMAIL, PASSWORD), AuthUnavailable)
        assert isinstance(await client.sign_out("token"), AuthUnavailable)
        assert isinstance(await client.check_session("token"), AuthUnavailable)


async def test_an_unreadable_response_to_a_sign_out_is_no_exception() -> None:
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(Says(200, b"{"), listener), AuthClient(url, "key") as client:
        assert isinstance(await client.sign_out("token"), AuthUnavailable)
